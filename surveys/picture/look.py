"""Which bands make a picture, and by which recipe: decided from request and survey, before any pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from surveys.errors import RequestFault
from surveys.identifiers import is_layer
from surveys.picture.colours import is_colormap, nearest_colormap
from surveys.recipe import AUTO, STRETCHES, Algorithm, Recipe
from surveys.request import CutoutRequest, PictureOptions
from surveys.survey import Survey

MEDIA_TYPES = ("image/png", "image/jpeg")
MARKS = ("scalebar", "compass", "center", "grid")

_NAMES: dict[Algorithm, str] = {"grey": "one band", "lupton": "ALGORITHM=lupton", "stiff": "ALGORITHM=stiff"}
#: Options, the algorithms that know them, and their parameters.
_BELONGING: tuple[tuple[str, tuple[Algorithm, ...], str], ...] = (
    ("variant", ("lupton",), "VARIANT"),
    ("q", ("lupton",), "Q"),
    ("minimum", ("lupton",), "MINIMUM"),
    ("softening", ("lupton", "grey"), "SOFTENING"),
    ("cuts", ("grey", "stiff"), "CUTS"),
    ("contrast", ("stiff",), "CONTRAST"),
    ("saturation", ("stiff",), "SATURATION"),
    ("stretch", ("grey",), "STRETCH"),
    ("power", ("grey",), "POWER"),
    ("invert", ("grey",), "INVERT"),
    ("colormap", ("grey",), "CMAP"),
)
_OF_ONE_BAND = ("stretch", "power", "invert", "colormap")


@dataclass(frozen=True, slots=True)
class Look:
    """How a picture is made, decided.

    Parameters
    ----------
    bands
        One, or red, green and blue (one band may stand twice).
    recipe
        Of these bands, with what the request changes of it.
    measured
        Whether levels are measured on the picture itself: by ``RECIPE=auto``, or where no recipe suits.
    changed
        Parameters of the request that took the place of what the recipe says.
    """

    bands: tuple[str, ...]
    recipe: Recipe
    measured: bool
    changed: tuple[str, ...] = ()

    @property
    def is_colour(self) -> bool:
        """Whether several bands make it."""
        return self.recipe.algorithm != "grey"


def look_of(request: CutoutRequest, survey: Survey) -> Look:
    """Decide how the picture of a request is made, whatever images there are.

    Raises
    ------
    RequestFault
        As `choose_look`.
    """
    if request.picture is None:
        raise ValueError("the request is of no picture")
    _, *rest = request.dataset.split("/")
    if is_layer(request.dataset):
        # Levels of images are not those of weights and masks.
        survey = replace(survey, recipes=())
    if rest:
        return choose_look(request.picture, survey, [survey.band(rest[0]).label])
    left = [
        band.label
        for band in survey.bands
        if (not request.filters or band.label in request.filters)
        and (request.band_m is None or request.band_m.overlaps(band.em_min_m, band.em_max_m))
    ]
    return choose_look(request.picture, survey, left)


def choose_look(options: PictureOptions, survey: Survey, bands: Sequence[str]) -> Look:
    """Decide how a picture is made.

    Parameters
    ----------
    options
        What is asked.
    survey
        Its recipes; the first that suits is the default.
    bands
        Labels of the bands that the dataset and the filters of the request leave.

    Returns
    -------
    Look
        Its bands are those whose images are needed.

    Raises
    ------
    RequestFault
        If the options contradict each other, the survey or its recipe, or are out of their range.
    """
    check_options(options)
    wanted = _wanted(options, survey, tuple(bands))
    recipe = _recipe(options, survey, wanted, tuple(bands))
    chosen = _triplet(options, survey, recipe, wanted) if recipe.algorithm != "grey" else wanted
    _check_belonging(options, recipe)
    changed = tuple(word for name, _, word in _BELONGING if _is_given(options, name))
    made = _with(options, recipe, chosen)
    if options.softening is not None and made.algorithm == "grey" and made.stretch != "asinh":
        raise RequestFault(
            f"SOFTENING={options.softening:g} is the scale of STRETCH=asinh, and this picture has "
            f"STRETCH={made.stretch}; leave one of them out"
        )
    return Look(chosen, made, recipe.name == AUTO, changed)


def _wanted(options: PictureOptions, survey: Survey, bands: tuple[str, ...]) -> tuple[str, ...]:
    """Bands of the picture, as far as the request says: RGB, else all that are left."""
    if not options.bands:
        return bands
    known = {band.label.lower(): band.label for band in survey.bands}
    for label in options.bands:
        if label.lower() not in known:
            raise RequestFault(
                f"RGB: {survey.name} has no band {label!r}; it has {', '.join(known.values())}"
            )
    if len(options.bands) != 3:
        raise RequestFault(
            f"RGB takes three bands, red, green and blue, got {len(options.bands)}; for one band "
            "name it by ID or FILTER"
        )
    labels = tuple(known[label.lower()] for label in options.bands)
    missing = [label for label in labels if label not in bands]
    if missing:
        raise RequestFault(
            f"RGB={','.join(labels)} needs the band {missing[0]}, but ID and FILTER leave "
            f"{', '.join(bands)}; name the survey, ID=…?{survey.name}, without FILTER"
        )
    return labels


def _recipe(
    options: PictureOptions, survey: Survey, wanted: tuple[str, ...], bands: tuple[str, ...]
) -> Recipe:
    """Recipe by its name, else the first that suits, else one whose levels are measured."""
    colour = bool(options.bands or options.algorithm) or (len(wanted) > 1)
    if options.recipe and options.recipe.lower() != AUTO:
        return _named(options, survey, wanted, bands)
    if colour and len(wanted) == 1:
        raise RequestFault(
            f"ALGORITHM={options.algorithm} makes colour of three bands, but ID and FILTER leave {wanted[0]} "
            f"alone; name the survey, ID=…?{survey.name}, or leave ALGORITHM out"
        )
    if not options.recipe:
        for recipe in survey.recipes:
            if (recipe.algorithm != "grey") is colour and _suits(recipe, options, wanted):
                return recipe
    _check_count(survey, wanted)
    algorithm: Algorithm = (options.algorithm or "lupton") if colour else "grey"
    return Recipe(AUTO, 0, algorithm, unit=_unit(survey, wanted))


def _suits(recipe: Recipe, options: PictureOptions, wanted: tuple[str, ...]) -> bool:
    if options.algorithm and recipe.algorithm != options.algorithm:
        return False
    if recipe.algorithm == "grey" or options.bands or len(wanted) == 3:
        return recipe.suits(wanted)
    return set(recipe.bands) <= set(wanted)


def _named(
    options: PictureOptions, survey: Survey, wanted: tuple[str, ...], bands: tuple[str, ...]
) -> Recipe:
    recipe = next((one for one in survey.recipes if one.name.lower() == options.recipe.lower()), None)
    if recipe is None:
        names = ", ".join([*(one.name for one in survey.recipes), AUTO])
        raise RequestFault(f"RECIPE={options.recipe} is no recipe of {survey.name}; it has {names}")
    if options.algorithm and options.algorithm != recipe.algorithm:
        made = f"is {recipe.algorithm}'s" if recipe.algorithm != "grey" else "is for one band"
        raise RequestFault(
            f"RECIPE={recipe.name} {made}, but ALGORITHM={options.algorithm} is asked for; leave one out"
        )
    if recipe.algorithm == "grey":
        if len(wanted) > 1:
            raise RequestFault(
                f"RECIPE={recipe.name} is for one band, the request has {', '.join(wanted)}; choose one by "
                "FILTER, or a recipe of several bands"
            )
    elif len(bands) == 1:
        raise RequestFault(
            f"RECIPE={recipe.name} makes colour of {', '.join(recipe.bands)}, but ID and FILTER leave "
            f"{bands[0]} alone; name the survey, ID=…?{survey.name}"
        )
    if not _suits(recipe, options, wanted):
        known = tuple(dict.fromkeys([*recipe.bands, *recipe.scale]))
        raise RequestFault(
            f"RECIPE={recipe.name} has levels for {', '.join(known)}, not for {', '.join(wanted)}; "
            "RECIPE=auto measures levels on the picture"
        )
    return recipe


def _triplet(
    options: PictureOptions, survey: Survey, recipe: Recipe, wanted: tuple[str, ...]
) -> tuple[str, ...]:
    """Red, green and blue: as asked, as the recipe has them, else the longest wavelength first."""
    if options.bands:
        return wanted
    if recipe.bands and set(recipe.bands) <= set(wanted):
        return recipe.bands
    return tuple(sorted(wanted, key=lambda label: -_middle(survey, label)))


def _middle(survey: Survey, label: str) -> float:
    band = survey.band(label)
    return band.em_min_m + band.em_max_m


def _check_count(survey: Survey, wanted: tuple[str, ...]) -> None:
    if len(wanted) not in (1, 3):
        few = "two" if len(wanted) == 2 else "more than three"
        raise RequestFault(
            f"a colour picture is of three bands, and {', '.join(wanted)} are {few}; name three by "
            "RGB=red,green,blue (one may stand twice), or one by FILTER"
        )


def _unit(survey: Survey, bands: tuple[str, ...]) -> Any:
    known = all(survey.band(label).zeropoint is not None for label in bands)
    return "nanomaggy" if known else "pixel"


def _is_given(options: PictureOptions, name: str) -> bool:
    """Whether the request says something; 0 is something."""
    value = getattr(options, name)
    return value is not None and value is not False and value not in ("", ())


def _check_belonging(options: PictureOptions, recipe: Recipe) -> None:
    for name, algorithms, word in _BELONGING:
        if _is_given(options, name) and recipe.algorithm not in algorithms:
            if recipe.algorithm != "grey" and name in _OF_ONE_BAND:
                raise RequestFault(
                    f"{word} is for pictures of one band; this one is of several: leave it out"
                )
            means = " or ".join(_NAMES[one] for one in algorithms)
            raise RequestFault(
                f"{word} belongs to {means}; this picture is of {_NAMES[recipe.algorithm]} (recipe "
                f"{recipe.label})"
            )


def _with(options: PictureOptions, recipe: Recipe, bands: tuple[str, ...]) -> Recipe:
    """Recipe with what the options say instead."""
    changes: dict[str, Any] = {
        name: getattr(options, name)
        for name in ("q", "softening", "contrast", "saturation", "power")
        if getattr(options, name) is not None
    }
    changes |= {
        name: getattr(options, name) for name in ("variant", "stretch", "colormap") if getattr(options, name)
    }
    if options.invert:
        changes["invert"] = not recipe.invert
    if options.cuts is not None:
        changes |= {"cuts": options.cuts, "band_cuts": {}}
    variant = changes.get("variant", recipe.variant)
    if len(options.minimum) == 1:
        if options.minimum[0] < 0 and variant != "astropy":
            raise RequestFault(
                f"MINIMUM={options.minimum[0]:g}: expected 0 or more, since it divides by the intensity; "
                "three values, one a band, may be negative, and lift the sky"
            )
        changes |= {"minimum": options.minimum[0], "black": {}}
    elif options.minimum:
        changes |= {"minimum": 0.0, "black": dict(zip(bands, options.minimum, strict=True))}
    return replace(recipe, **changes)


def check_options(options: PictureOptions) -> None:
    """Check what needs no survey.

    Raises
    ------
    RequestFault
        Naming the parameter, its value and what is expected.
    """
    expected = _range_of(options)
    if expected is not None:
        word, value, range_ = expected
        raise RequestFault(f"{word}={value}: expected {range_}")
    for mark in options.draw:
        if mark not in MARKS:
            raise RequestFault(f"DRAW={mark}: expected one of {', '.join(MARKS)}")
    if options.colormap and not is_colormap(options.colormap):
        near = nearest_colormap(options.colormap)
        raise RequestFault(f"CMAP={options.colormap}: no colour map of matplotlib; the nearest is {near}")


def _range_of(options: PictureOptions) -> tuple[str, object, str] | None:
    """First option that is out of its range: parameter, value, range."""
    if options.media_type not in MEDIA_TYPES:
        return "RESPONSEFORMAT", options.media_type, " or ".join(MEDIA_TYPES)
    if options.stretch and options.stretch not in STRETCHES:
        return "STRETCH", options.stretch, f"one of {', '.join(STRETCHES)}"
    for word, value in (
        ("Q", options.q),
        ("SOFTENING", options.softening),
        ("POWER", options.power),
        ("CONTRAST", options.contrast),
    ):
        if value is not None and not 0 < value < float("inf"):
            return word, f"{value:g}", "a number above 0"
    if options.saturation is not None and not 0 <= options.saturation < float("inf"):
        return "SATURATION", f"{options.saturation:g}", "0 (grey) or more"
    if len(options.minimum) not in (0, 1, 3):
        return "MINIMUM", ",".join(f"{one:g}" for one in options.minimum), "one value, or three: one a band"
    if options.quality is not None and not 1 <= options.quality <= 95:
        return "QUALITY", options.quality, "a whole number from 1 to 95"
    if (cuts := options.cuts) is not None and cuts.kind != "zscale":
        if not cuts.low < cuts.high:
            return "CUTS", f"{cuts.low:g},{cuts.high:g}", "black before white"
        if cuts.kind == "percent" and not 0 <= cuts.low < cuts.high <= 100:
            return "CUTS", f"{cuts.low:g},{cuts.high:g}", "percentages from 0 to 100"
    return None
