"""What a state of the explorer is as a request: parameters of ``/sync`` and ``/async``."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote_plus

from dali.xtypes import format_numbers
from portal.explore.state import State
from surveys.identifiers import Identifiers
from surveys.survey import Survey

Pairs = list[tuple[str, str]]

#: What of the look goes with which algorithm; all of it goes with levels that are measured.
_LOOKS = {
    "grey": ("recipe", "stretch", "softening", "cuts", "cmap"),
    "lupton": ("recipe", "q", "softening"),
    "stiff": ("recipe", "cuts"),
}
#: Pixels of the longer side of a preview.
PREVIEW_PX = 720


def product(state: State, identifiers: Identifiers) -> Pairs | None:
    """Give the parameters of what is asked for; None while it is not known where, or of what."""
    place = _place(state, identifiers)
    if place is None:
        return None
    pairs = [*place, *_of_all(state)]
    if state.format == "fits":
        if state.north:
            pairs.append(("GRID", "tan"))
        if state.detail:
            pairs.append(("DETAIL", "full"))
        return pairs
    return [*pairs, ("RESPONSEFORMAT", f"image/{state.format}"), *_picture(state)]


def preview(state: State, identifiers: Identifiers, width_px: int, height_px: int) -> Pairs | None:
    """Give the parameters of a small picture of what is asked for, which has so many pixels."""
    place = _place(state, identifiers)
    if place is None:
        return None
    pairs = [*place, *_of_all(state), ("RESPONSEFORMAT", "image/png"), *_picture(state)]
    if max(width_px, height_px) > PREVIEW_PX:
        pairs.append(("WIDTH", str(max(1, round(PREVIEW_PX * width_px / max(width_px, height_px))))))
    return pairs


def spelled(pairs: Pairs) -> str:
    """Spell parameters as the query of a URL, as legibly as may be."""
    return "&".join(f"{name}={quote_plus(value, safe=':/?@,~')}" for name, value in pairs)


def _place(state: State, identifiers: Identifiers) -> Pairs | None:
    if state.survey is None or state.place is None:
        return None
    name = state.survey.name
    if len(state.bands) == 1:
        pairs = [("ID", identifiers.did(f"{name}/{state.bands[0]}"))]
    else:
        pairs = [("ID", identifiers.did(name))]
        if len(state.bands) < len(state.survey.bands):
            pairs += [("FILTER", band) for band in state.bands]
    ra, dec = round(state.place.ra_deg, 9), round(state.place.dec_deg, 9)
    match state.shape:
        case "circle":
            if state.extent_deg is None:
                return None
            return [
                *pairs,
                ("CIRCLE", format_numbers(ra, dec, round(state.extent_deg[0] / 2, 9))),
            ]
        case "box":
            if state.extent_deg is None:
                return None
            return [*pairs, ("CENTER", format_numbers(ra, dec)), ("SIZE", state.size)]
        case "polygon":
            return [*pairs, ("POLYGON", state.points)]


def _of_all(state: State) -> Iterator[tuple[str, str]]:
    if state.survey is not None and state.survey.kind == "exposures":
        # A place is seen by several: one image is made of them.
        yield "COMBINE", "mosaic"
    if state.mask and state.shape != "box":
        yield "MASK", "true"
    if state.edge != "auto":
        yield "EDGE", state.edge


def _picture(state: State) -> Iterator[tuple[str, str]]:
    if rgb := _rgb(state):
        yield "RGB", ",".join(rgb)
    for name in _LOOKS[algorithm_of(state)]:
        if text := state.look.get(name):
            yield name.upper(), text
    if state.north:
        yield "ORIENT", "north"


def algorithm_of(state: State) -> str:
    """Tell by which algorithm a picture is made."""
    chosen = state.look.get("recipe")
    suited = [one for one in state.recipes if chosen in (None, "", one.name)]
    if suited:
        return suited[0].algorithm
    return "lupton" if state.is_colour else "grey"


def _rgb(state: State) -> tuple[str, ...]:
    """Choose red, green and blue where the service does not do so by itself: of two bands, or of many."""
    bands, survey = state.bands, state.survey
    if survey is None or len(bands) in (0, 1) or any(set(bands) == set(one.bands) for one in state.recipes):
        return ()
    by_length = sorted(bands, key=lambda label: -_wavelength(survey, label))
    if len(bands) == 2:
        return by_length[0], by_length[0], by_length[1]
    return by_length[0], by_length[len(bands) // 2], by_length[-1]


def _wavelength(survey: Survey, label: str) -> float:
    return next(band.em_min_m for band in survey.bands if band.label == label)
