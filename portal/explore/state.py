"""What a URL of the explorer says: where, how large, which data, which product. Whatever is wrong is said."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar, get_args
from urllib.parse import urlencode

from dali.errors import ProtocolError, UsageError, quoted
from dali.parameters import Parameters, refuse_unknown
from dali.words import parse_word
from dali.xtypes import parse_number, parse_size
from portal.position import Place, parse_place
from soda.habits import parse_bands
from surveys.recipe import Recipe
from surveys.survey import Survey

Shape = Literal["circle", "box", "polygon"]
Format = Literal["fits", "png", "jpeg"]
T = TypeVar("T")
W = TypeVar("W", bound=str)

SHAPES: tuple[Shape, ...] = get_args(Shape)
FORMATS: tuple[Format, ...] = get_args(Format)
EDGES = ("auto", "clip", "pad", "error")
STRETCHES = ("linear", "sqrt", "log", "asinh", "power")
DEFAULT_SIZE, DEFAULT_RADIUS = "2arcmin", "1arcmin"
#: Numbers and words that go to the service as they are.
LOOK = ("recipe", "q", "softening", "stretch", "cuts", "cmap")
_SWITCHES = ("mask", "north", "detail")
_OWN = (
    "survey",
    "bands",
    "at",
    "shape",
    "size",
    "radius",
    "points",
    "format",
    "edge",
    *LOOK,
    *_SWITCHES,
)
NAMES = tuple(name.upper() for name in _OWN)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong, and where.

    Parameters
    ----------
    field
        Of the form; "" where it is about all of it.
    message, fix
        In the service's own words.
    """

    field: str
    message: str
    fix: str = ""

    def told(self) -> dict[str, str]:
        """As JSON has it."""
        return {"field": self.field, "message": self.message, "fix": self.fix}


@dataclass(frozen=True, slots=True)
class State:
    """What is asked for: texts as they were typed, and what they mean where they mean something.

    Parameters
    ----------
    survey
        None where there is none at all.
    bands
        Labels, in the order of the survey.
    at, place
        Where.
    shape
        Of the region.
    size, radius, points
        Of a box, a circle, a polygon.
    extent_deg
        Width and height of a circle or a box; None of a polygon, and where it is not understood.
    format
        Of the product.
    edge
        What becomes of a region that reaches beyond the data.
    look
        How pixels become a picture: values of `LOOK` that were given.
    mask, north, detail
        Blank pixels outside of the region; turn north up; weights and masks too.
    problems
        What was not understood.
    """

    survey: Survey | None
    bands: tuple[str, ...] = ()
    at: str = ""
    place: Place | None = None
    shape: Shape = "box"
    size: str = DEFAULT_SIZE
    radius: str = DEFAULT_RADIUS
    points: str = ""
    extent_deg: tuple[float, float] | None = None
    format: Format = "fits"
    edge: str = "auto"
    look: dict[str, str] = field(default_factory=dict)
    mask: bool = False
    north: bool = False
    detail: bool = False
    problems: tuple[Problem, ...] = ()

    @property
    def is_colour(self) -> bool:
        """Whether a picture of it has colours."""
        return len(self.bands) > 1

    @property
    def recipes(self) -> list[Recipe]:
        """Recipes that suit the bands."""
        if self.survey is None:
            return []
        chosen = set(self.bands)
        return [recipe for recipe in self.survey.recipes if _suits(recipe, chosen)]

    def query(self) -> str:
        """Spell it as the query of a URL, without what goes without saying."""
        return urlencode(list(self._said()))

    def _said(self) -> Iterator[tuple[str, str]]:
        if self.survey is not None:
            yield "survey", self.survey.name
            if self.bands != bands_of(self.survey):
                yield "bands", ",".join(self.bands)
        yield "at", self.at
        yield "shape", self.shape
        match self.shape:
            case "circle":
                yield "radius", self.radius
            case "box":
                yield "size", self.size
            case "polygon":
                yield "points", self.points
        yield "format", self.format
        if self.edge != "auto":
            yield "edge", self.edge
        yield from self.look.items()
        for switch in _SWITCHES:
            if getattr(self, switch):
                yield switch, "true"


def bands_of(survey: Survey) -> tuple[str, ...]:
    """Give the bands that are shown first: those of the first recipe in colour, else the first three."""
    labels = tuple(band.label for band in survey.bands)
    for recipe in survey.recipes:
        if len(recipe.bands) > 1:
            return tuple(label for label in labels if label in recipe.bands)
    return labels[:3]


def read_state(
    given: Parameters, surveys: Sequence[Survey], start_of: Callable[[Survey], Place | None]
) -> State:
    """Read the query of a URL.

    Parameters
    ----------
    given
        Parameters, as they were sent.
    surveys
        Those that the caller may enter; the first is shown where none is named.
    start_of
        Gives where to look in a survey if nothing is said.
    """
    reading = _Reading(given)
    survey = reading.survey(surveys)
    start = None if survey is None else start_of(survey)
    state = State(
        survey,
        bands=() if survey is None else reading.bands(survey),
        at=reading.text("at") or (start.decimal if start else ""),
        shape=reading.word("shape", SHAPES, _implied_shape(given)),
        size=reading.text("size") or DEFAULT_SIZE,
        radius=reading.text("radius") or DEFAULT_RADIUS,
        points=" ".join(reading.text("points").replace(",", " ").split()),
        format=reading.format(),
        edge=reading.word("edge", EDGES, "auto"),
        look={name: text for name in LOOK if (text := reading.text(name))},
        mask=reading.switch("mask"),
        north=reading.switch("north"),
        detail=reading.switch("detail"),
    )
    place = reading.attempt("at", lambda: parse_place(state.at, "AT")) if state.at else start
    if state.shape == "polygon":
        # The picture round about is centred on it.
        place = reading.attempt("points", lambda: _middle(state.points))
    extent = None
    scale = None if survey is None else survey.pixel_scale_arcsec
    if state.shape == "circle":
        extent = reading.attempt("radius", lambda: _diameter(state.radius, scale))
    elif state.shape == "box":
        extent = reading.attempt("size", lambda: _sides(state.size, scale))
    state = replace(state, place=place, extent_deg=extent, problems=tuple(reading.problems))
    return replace(state, look=_suiting(state))


def _suiting(state: State) -> dict[str, str]:
    """Give the look without a recipe of other bands: it was chosen before these were."""
    recipe = state.look.get("recipe", "")
    declared = () if state.survey is None else state.survey.recipes
    if any(one.name == recipe for one in declared) and not any(one.name == recipe for one in state.recipes):
        return {name: text for name, text in state.look.items() if name != "recipe"}
    return dict(state.look)


class _Reading:
    """Reads parameters, and keeps what is wrong with them."""

    def __init__(self, given: Parameters) -> None:
        self._given = given
        self.problems: list[Problem] = []
        for fault in refuse_unknown(given, frozenset(NAMES), NAMES):
            self.problems += problems_of(fault, "")

    def attempt(self, field: str, read: Callable[[], T]) -> T | None:
        """Read something; None where it is wrong, which is kept."""
        try:
            return read()
        except ProtocolError as fault:
            self.problems += problems_of(fault, field)
            return None

    def text(self, name: str) -> str:
        """Give the last value of a parameter, "" where there is none."""
        values = self._given.all(name.upper())
        return values[-1].strip() if values else ""

    def word(self, name: str, words: Sequence[W], default: W) -> W:
        """Read one of some words."""
        text = self.text(name)
        return (
            self.attempt(name, lambda: parse_word(text, name.upper(), words)) if text else None
        ) or default

    def format(self) -> Format:
        """Read the format, which people know by two names."""
        return "jpeg" if self.text("format").lower() == "jpg" else self.word("format", FORMATS, "fits")

    def switch(self, name: str) -> bool:
        """Read what is on or off; a box that is ticked is "on"."""
        text = self.text(name).lower()
        return text not in ("", "false", "0", "off")

    def survey(self, surveys: Sequence[Survey]) -> Survey | None:
        """Find the survey; the first one where none is named, or none of that name is known."""
        name = self.text("survey")
        found = next((one for one in surveys if one.name.lower() == name.lower()), None)
        if name and found is None:
            known = ", ".join(one.name for one in surveys)
            self.problems.append(
                Problem(
                    "survey",
                    f"there is no survey {quoted(name)}.",
                    f"Surveys here: {known}." if known else "",
                )
            )
        return found or next(iter(surveys), None)

    def bands(self, survey: Survey) -> tuple[str, ...]:
        """Read labels of bands; in the order of the survey."""
        text = ",".join(self._given.all("BANDS"))
        if not text.strip(", "):
            return bands_of(survey)
        labels = self.attempt("bands", lambda: parse_bands(text, survey)) or bands_of(survey)
        return tuple(band.label for band in survey.bands if band.label in labels)


def problems_of(fault: ProtocolError, field: str | None = None) -> list[Problem]:
    """List what an error tells; without a `field`, each beside the field that its sentence begins with."""
    return [
        Problem(_field_of(one.sentence) if field is None else field, one.sentence, one.fix)
        for one in (fault, *fault.also)
    ]


#: Fields of the form by the parameter of the service that they become.
_FIELDS = {
    "FILTER": "bands",
    "RGB": "bands",
    "ID": "survey",
    "CENTER": "at",
    "CIRCLE": "radius",
    "POLYGON": "points",
    "RESPONSEFORMAT": "format",
    "GRID": "north",
    "ORIENT": "north",
}


def _field_of(sentence: str) -> str:
    """Find the field that a sentence is about: by its first word that is a parameter."""
    for word in re.findall(r"\b[A-Z]+\b", sentence):
        if word in _FIELDS or word in NAMES:
            return str(_FIELDS.get(word, word.lower()))
    return "recipe" if " recipe" in sentence else ""


def _suits(recipe: Recipe, bands: set[str]) -> bool:
    """Whether a picture of some bands can be made by a recipe."""
    if recipe.algorithm == "grey":
        return len(bands) == 1 and (not recipe.bands or bands <= set(recipe.bands))
    return len(bands) > 1 and bands <= set(recipe.bands)


def _implied_shape(given: Parameters) -> Shape:
    """Tell the shape by what is said of it."""
    if given.all("RADIUS"):
        return "circle"
    return "polygon" if given.all("POINTS") else "box"


def _diameter(text: str, scale_arcsec: float | None) -> tuple[float, float]:
    width, height, in_pixels = parse_size(text, "RADIUS")
    if width != height:
        raise UsageError(f"RADIUS is one number; got {quoted(text)}", "Write RADIUS=30arcsec.")
    return _in_degrees("RADIUS", 2 * width, 2 * height, in_pixels, scale_arcsec)


def _sides(text: str, scale_arcsec: float | None) -> tuple[float, float]:
    width, height, in_pixels = parse_size(text, "SIZE")
    return _in_degrees("SIZE", width, height, in_pixels, scale_arcsec)


def _in_degrees(
    name: str, width: float, height: float, in_pixels: bool, scale_arcsec: float | None
) -> tuple[float, float]:
    if not in_pixels:
        return width, height
    if scale_arcsec is None:
        raise UsageError(
            f"{name} in pixels needs a survey with pixels of one size", f"Write {name}=30arcsec."
        )
    return width * scale_arcsec / 3600, height * scale_arcsec / 3600


def _middle(text: str) -> Place:
    """Give a place in the middle of the corners of a polygon."""
    numbers = [parse_number(word, "POINTS") for word in text.split()]
    if len(numbers) < 6 or len(numbers) % 2:
        raise UsageError(
            "POINTS is RA and Dec of three corners at least, ICRS degrees",
            "Write POINTS=150.1 2.2 150.11 2.2 150.1 2.21.",
        )
    corners = list(zip(numbers[::2], numbers[1::2], strict=True))
    # Of unit vectors, so that it is right beside RA 0 and the poles too.
    turned = [(math.radians(ra), math.radians(dec)) for ra, dec in corners]
    x = sum(math.cos(dec) * math.cos(ra) for ra, dec in turned)
    y = sum(math.cos(dec) * math.sin(ra) for ra, dec in turned)
    z = sum(math.sin(dec) for _, dec in turned)
    ra, dec = math.degrees(math.atan2(y, x)) % 360, math.degrees(math.atan2(z, math.hypot(x, y)))
    return Place(ra, dec, "equatorial")
