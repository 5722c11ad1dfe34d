"""Recipes: how a survey's pixels become pictures, named and versioned, as its TOML declares them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from surveys.request import Cuts
from surveys.toml_keys import SEGMENT, Keys

Algorithm = Literal["grey", "lupton", "stiff"]
Unit = Literal["nanomaggy", "pixel"]

ALGORITHMS: tuple[Algorithm, ...] = ("grey", "lupton", "stiff")

#: Name of the recipe whose levels are measured on the very picture; no survey may declare it.
AUTO = "auto"

STRETCHES = ("linear", "sqrt", "log", "asinh", "power")

#: What each algorithm has to say; what all have stands in `_SHARED`.
_OWN: dict[Algorithm, tuple[str, ...]] = {
    "grey": ("stretch", "power", "softening", "cuts", "colormap", "invert"),
    "lupton": ("q", "softening", "minimum", "black", "scale", "ceiling", "variant"),
    "stiff": ("cuts", "contrast", "saturation"),
}
_SHARED = ("version", "algorithm", "bands", "unit", "sky")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How pixels become a picture.

    Parameters
    ----------
    name, version
        What it is cited by; the numbers of a version never change.
    algorithm
        ``grey`` (one band, in grey or a colour map), ``lupton`` or ``stiff``.
    bands
        Red, green and blue; of ``grey``, the bands it is for, () for every band.
    unit
        Of all its levels: nanomaggies (flux of AB, or the survey's own, magnitude 22.5), or pixel values.
    sky
        ``subtract``: the median of each band over the picture is taken off first, for surveys whose images
        hold the background. Levels are the survey's nevertheless.
    q, softening, minimum
        Lupton's Q, S and m. `softening` is the scale of a ``grey`` asinh too.
    black
        What is subtracted from each band first.
    scale
        What each band is multiplied by then; its bands are those any triplet may be made of.
    ceiling
        Limit of each band after that: stars that saturated in all bands are white.
    variant
        ``astropy``: the constants of `make_lupton_rgb`.
    cuts
        Black and white; for one band in `band_cuts`, for all others in `cuts`.
    contrast, saturation
        F and S of STIFF.
    stretch, power, colormap, invert
        Of one band.
    """

    name: str
    version: int
    algorithm: Algorithm
    bands: tuple[str, ...] = ()
    unit: Unit = "nanomaggy"
    sky: Literal["keep", "subtract"] = "keep"
    q: float = 8.0
    softening: float | None = None
    minimum: float = 0.0
    black: Mapping[str, float] = field(default_factory=dict)
    scale: Mapping[str, float] = field(default_factory=dict)
    ceiling: float | None = None
    variant: Literal["", "astropy"] = ""
    cuts: Cuts | None = None
    band_cuts: Mapping[str, Cuts] = field(default_factory=dict)
    contrast: float = 1.0
    saturation: float = 1.0
    stretch: str = "asinh"
    power: float = 2.0
    colormap: str = ""
    invert: bool = False

    @property
    def label(self) -> str:
        """Name and version, such as ``gri/1``; the name alone where nothing is fixed."""
        return f"{self.name}/{self.version}" if self.version else self.name

    def cuts_of(self, band: str) -> Cuts | None:
        """Black and white of a band."""
        return self.band_cuts.get(band, self.cuts)

    def suits(self, bands: tuple[str, ...]) -> bool:
        """Whether it has levels for these bands."""
        if self.algorithm == "grey":
            return len(bands) == 1 and (not self.bands or bands[0] in self.bands)
        return len(bands) == 3 and set(bands) <= {*self.bands, *self.scale, *self.band_cuts}


def read_recipes(keys: Keys, bands: tuple[str, ...], zeropoints: bool) -> tuple[Recipe, ...]:
    """Read the table ``recipes`` of a declaration.

    Parameters
    ----------
    keys
        The table; each key of it names a recipe.
    bands
        Labels of the survey's bands.
    zeropoints
        Whether each of them has a zero point, so that levels can be nanomaggies.

    Raises
    ------
    DeclarationError
        Naming the key and what is expected.
    """
    recipes = []
    for name in keys.content:
        if not SEGMENT.match(name) or name.lower() == AUTO:
            raise keys.fault(name, f"a name of letters, digits and . _ ~ - only, other than {AUTO!r}")
        recipes.append(_recipe(name, keys.table(name), bands, zeropoints))
    if len({recipe.name.lower() for recipe in recipes}) < len(recipes):
        raise keys.fault(recipes[-1].name, "recipes whose names differ by more than case")
    return tuple(recipes)


def _recipe(name: str, keys: Keys, labels: tuple[str, ...], zeropoints: bool) -> Recipe:
    algorithm: Algorithm = keys.choice("algorithm", ALGORITHMS)
    keys.known |= {*_OWN[algorithm], *_SHARED}
    fields = {
        key: read(keys, key, labels)
        for key, read in _READERS.items()
        if key in (*_OWN[algorithm], *_SHARED) and keys.has(key)
    }
    cuts = fields.pop("cuts", None)
    recipe = Recipe(
        name=name,
        algorithm=algorithm,
        version=keys.whole("version", lowest=1),
        **{"unit": "nanomaggy" if zeropoints else "pixel"} | fields,
        **({"cuts": cuts} if isinstance(cuts, Cuts) else {"band_cuts": cuts or {}}),
    )
    keys.finish()
    _check(recipe, keys, zeropoints)
    return recipe


def _check(recipe: Recipe, keys: Keys, zeropoints: bool) -> None:
    """Check what the keys of a recipe together can break."""
    if recipe.unit == "nanomaggy" and not zeropoints:
        raise keys.fault("unit", '"pixel", because not every band declares a zeropoint')
    if recipe.algorithm != "grey" and len(recipe.bands) != 3:
        raise keys.fault("bands", "three bands: red, green, blue")
    if recipe.algorithm == "lupton":
        if recipe.softening is None:
            raise keys.fault("softening", "a number above 0: Lupton's S")
        if recipe.minimum < 0 and not recipe.variant:
            raise keys.fault("minimum", "0 or more; `black` lowers each band")
        if recipe.scale and not set(recipe.bands) <= set(recipe.scale):
            raise keys.fault("scale", "a number for each band of the recipe")
    if recipe.algorithm == "stiff" and any(recipe.cuts_of(band) is None for band in recipe.bands):
        raise keys.fault("cuts", "black and white of each band of the recipe")


def _bands(keys: Keys, key: str, labels: tuple[str, ...]) -> tuple[str, ...]:
    bands = tuple(keys.texts(key))
    if not set(bands) <= set(labels):
        raise keys.fault(key, f"bands of the survey: {', '.join(labels)}")
    return bands


def _by_band(keys: Keys, key: str, labels: tuple[str, ...]) -> dict[str, float]:
    table = keys.table(key, required=True)
    values = {label: table.number(label) for label in labels if table.has(label)}
    table.finish()
    return values


def _scale(keys: Keys, key: str, labels: tuple[str, ...]) -> dict[str, float]:
    scale = _by_band(keys, key, labels)
    if min(scale.values()) <= 0:
        raise keys.fault(key, "numbers above 0")
    return scale


def _cuts(keys: Keys, key: str, labels: tuple[str, ...]) -> Cuts | dict[str, Cuts]:
    if isinstance(keys.content[key], dict) and set(keys.content[key]) != {"percent"}:
        table = keys.table(key, required=True)
        cuts = {label: _one_cuts(table, label) for label in labels if table.has(label)}
        table.finish()
        return cuts
    return _one_cuts(keys, key)


def _one_cuts(keys: Keys, key: str) -> Cuts:
    value = keys.take(key)
    if value == "zscale":
        return Cuts("zscale")
    kind: Literal["values", "percent"] = "percent" if isinstance(value, dict) else "values"
    limits = value.get("percent") if isinstance(value, dict) and set(value) == {"percent"} else value
    if (
        not isinstance(limits, list)
        or len(limits) != 2
        or not all(isinstance(one, int | float) and not isinstance(one, bool) for one in limits)
        or not limits[0] < limits[1]
        or (kind == "percent" and not 0 <= limits[0] < limits[1] <= 100)
    ):
        raise keys.fault(key, '[black, white], { percent = [low, high] } or "zscale"')
    return Cuts(kind, float(limits[0]), float(limits[1]))


def _colormap(keys: Keys, key: str, labels: tuple[str, ...]) -> str:
    # Imported late: it takes a while, and few recipes need it.
    from matplotlib import colormaps

    name = keys.text(key)
    if name not in colormaps:
        raise keys.fault(key, "the name of a colour map of matplotlib")
    return name


_READERS: dict[str, Callable[[Keys, str, tuple[str, ...]], Any]] = {
    "bands": _bands,
    "unit": lambda keys, key, labels: keys.choice(key, ("nanomaggy", "pixel")),
    "sky": lambda keys, key, labels: keys.choice(key, ("keep", "subtract")),
    "q": lambda keys, key, labels: keys.positive(key),
    "softening": lambda keys, key, labels: keys.positive(key),
    "minimum": lambda keys, key, labels: keys.number(key),
    "black": _by_band,
    "scale": _scale,
    "ceiling": lambda keys, key, labels: keys.positive(key),
    "variant": lambda keys, key, labels: keys.choice(key, ("astropy",)),
    "cuts": _cuts,
    "contrast": lambda keys, key, labels: keys.positive(key),
    "saturation": lambda keys, key, labels: keys.positive(key),
    "stretch": lambda keys, key, labels: keys.choice(key, STRETCHES),
    "power": lambda keys, key, labels: keys.positive(key),
    "colormap": _colormap,
    "invert": lambda keys, key, labels: keys.truth(key, False),
}
