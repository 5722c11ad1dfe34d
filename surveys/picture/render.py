"""Arrays into the file of a picture: levels, colours, marks, coordinates, PNG or JPEG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from surveys.kernels import picture as kernels
from surveys.mosaic.grid import OutputGrid
from surveys.picture.avm import Caption, describe, fit_plane
from surveys.picture.colours import NO_DATA, paint_of
from surveys.picture.curves import ASINH_SOFTENING, SCREEN, curve, limits_of
from surveys.picture.encode import QUALITY, encode_jpeg, encode_png
from surveys.picture.levels import factors, measured_colour, measured_grey, sky_of
from surveys.picture.look import Look
from surveys.picture.marks import draw_marks
from surveys.recipe import ALGORITHMS, Recipe
from surveys.request import Cuts, PictureOptions

Image = NDArray[np.float32]
Bytes = NDArray[np.uint8]

_NOTHING = np.array(NO_DATA, np.uint8)
#: Three of them are a float32 yet.
_NO_CEILING = 1e38
#: f of Lupton's curve in astropy, whose slope is that of a straight line at this part of the range.
_ASTROPY_FRACTION = 0.1


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture, encoded.

    Parameters
    ----------
    content
        The file.
    media_type
        ``image/png`` or ``image/jpeg``.
    width, height
        Pixels.
    recipe
        By what it was made, with all numbers: one line.
    missing
        Bands of which no pixel has data; each pixel has the mean of the other bands in them.
    covered
        Part of its pixels with data in any band.
    """

    content: bytes
    media_type: str
    width: int
    height: int
    recipe: str
    missing: tuple[str, ...]
    covered: float


def render(
    images: Sequence[Image | None],
    look: Look,
    place: OutputGrid | None,
    options: PictureOptions,
    *,
    zeropoints: Sequence[float | None] = (),
    caption: Caption | None = None,
) -> Picture:
    """Make a picture of the images of its bands.

    Parameters
    ----------
    images
        Of the bands of the look in their order, shape (h, w) all, NaN where there is no data, the first row
        that of the FITS file, which becomes the lowest. None for a band without any image here.
    look
        How it is made, by `choose_look`.
    place
        Of these pixels; None where they have none on the sky.
    options
        What the request says of file, marks and label.
    zeropoints
        Of each band, magnitude of a pixel of value 1; None where unknown.
    caption
        What its metadata tell beside the coordinates.

    Raises
    ------
    RequestFault
        If marks are asked for that need a place on the sky.
    """
    pixels, used, covered = colour_pixels(images, look, zeropoints)
    height, width = pixels.shape[:2]
    if options.draw or options.label:
        pixels = draw_marks(pixels, place, options)
    caption = replace(caption or Caption(), recipe=cite(used, look), bands=look.bands)
    xmp = describe(caption, None if place is None else fit_plane(place), width, height)
    if options.media_type == "image/jpeg":
        content = encode_jpeg(pixels, xmp, QUALITY if options.quality is None else options.quality)
    else:
        content = encode_png(pixels, xmp, transparent=covered < width * height)
    missing = tuple(
        dict.fromkeys(
            band
            for band, image in zip(look.bands, images, strict=True)
            if image is None or not np.isfinite(image).any()
        )
    )
    return Picture(
        content, options.media_type, width, height, cite(used, look), missing, covered / (width * height)
    )


def colour_pixels(
    images: Sequence[Image | None], look: Look, zeropoints: Sequence[float | None] = ()
) -> tuple[Bytes, Recipe, int]:
    """Colours of a picture without marks.

    Parameters
    ----------
    images, look, zeropoints
        As `render` takes them.

    Returns
    -------
    pixels
        Shape (h, w, 1) for grey, else (h, w, 3); the upper row first.
    recipe
        With the levels used.
    covered
        Number of pixels with data in any band.
    """
    given = list(zeropoints or (None,) * len(look.bands))
    # A band without any image needs no zero point, and has none.
    some = next((zeropoint for zeropoint in given if zeropoint is not None), None)
    given = [some if image is None else one for one, image in zip(given, images, strict=True)]
    look, to_unit = factors(look, given)
    shape = next(image.shape for image in images if image is not None)
    planes = [
        np.full(shape, np.nan, np.float32) if image is None else np.ascontiguousarray(image, np.float32)
        for image in images
    ]
    # What is taken off each band before anything else, in its own pixel values.
    skies = [sky_of(plane).median if look.recipe.sky == "subtract" else 0.0 for plane in planes]
    recipe = look.recipe
    if look.measured:
        scaled = [plane * np.float32(factor) for plane, factor in zip(planes, to_unit, strict=True)]
        measure = (
            measured_colour(scaled, recipe, look.bands)
            if look.is_colour
            else measured_grey(scaled[0], recipe)
        )
        recipe = measure
    match recipe.algorithm:
        case "grey":
            pixels, missing = _grey(planes[0], recipe, look.bands[0], to_unit[0], skies[0])
        case "lupton":
            pixels, missing = _lupton(planes, recipe, look.bands, to_unit, skies)
        case "stiff":
            pixels, missing = _stiff(planes, recipe, look.bands, to_unit, skies)
    return pixels, recipe, shape[0] * shape[1] - missing


def cite(recipe: Recipe, look: Look) -> str:
    """Say by what a picture was made: recipe and version, algorithm, bands, all numbers."""
    numbers: dict[str, object] = {}
    if recipe.algorithm == "grey":
        numbers = {"stretch": recipe.stretch}
        if recipe.stretch == "asinh":
            numbers["softening"] = recipe.softening
        if recipe.stretch == "power":
            numbers["power"] = recipe.power
        numbers |= {"cmap": recipe.colormap, "inverted": "yes" if recipe.invert else ""}
    if recipe.algorithm == "lupton":
        numbers = {"variant": recipe.variant, "Q": recipe.q, "S": recipe.softening, "m": recipe.minimum}
        numbers["ceiling"] = recipe.ceiling
        numbers |= {
            name: _numbers(values, look.bands)
            for name, values in (("black", recipe.black), ("scale", recipe.scale))
        }
    if recipe.algorithm == "stiff":
        numbers = {"contrast": recipe.contrast, "saturation": recipe.saturation}
    if recipe.algorithm != "lupton":
        numbers["cuts"] = "/".join(_cuts(recipe.cuts_of(band)) for band in look.bands)
    told = "; ".join(f"{name} {_number(value)}" for name, value in numbers.items() if value not in ("", None))
    unit = "nanomaggies" if recipe.unit == "nanomaggy" else "pixel values"
    changed = f" changed by {', '.join(look.changed)}" if look.changed and recipe.version else ""
    colours = ",".join(look.bands)
    return f"{recipe.label}{changed}: {recipe.algorithm} of {colours}; {told}; levels in {unit}" + (
        "; sky subtracted" if recipe.sky == "subtract" else ""
    )


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _numbers(values: object, bands: Sequence[str]) -> str:
    if not isinstance(values, dict) or not values:
        return ""
    return "/".join(f"{values[band]:.6g}" for band in bands if band in values)


def _cuts(cuts: Cuts | None) -> str:
    if cuts is None or cuts.kind == "zscale":
        return "zscale"
    return f"{cuts.low:.6g} to {cuts.high:.6g}" + (" percent" if cuts.kind == "percent" else "")


def _grey(values: Image, recipe: Recipe, band: str, factor: float, sky: float) -> tuple[Bytes, int]:
    black, white = _pixel_limits(values, recipe.cuts_of(band) or Cuts("zscale"), factor, sky)
    parameter = recipe.power
    if recipe.stretch == "asinh":
        # In units of the range, as the curve has it.
        softening = recipe.softening
        parameter = ASINH_SOFTENING if softening is None else softening / factor / (white - black)
    elif recipe.stretch != "power":
        parameter = 0.0
    paint = paint_of(recipe.colormap, recipe.invert)
    limits, starts = curve(recipe.stretch, parameter)
    pixels = np.empty((*values.shape, paint.shape[1]), np.uint8)
    missing = kernels.shade(
        values, black, white - black, limits, starts, paint, _NOTHING[: paint.shape[1]], pixels
    )
    return pixels, int(missing)


def _pixel_limits(values: Image, cuts: Cuts, factor: float, sky: float) -> tuple[float, float]:
    """Pixel values of black and white."""
    black, white = limits_of(values, cuts)
    return (black / factor + sky, white / factor + sky) if cuts.kind == "values" else (black, white)


def _lupton(
    planes: list[Image],
    recipe: Recipe,
    bands: Sequence[str],
    to_unit: Sequence[float],
    skies: Sequence[float],
) -> tuple[Bytes, int]:
    """Lupton et al. 2004: R = r f/I with f = asinh(Q (I - m)/S)/Q, or the variant of astropy."""
    softening = recipe.softening or 1.0
    black = np.array([recipe.black.get(band, 0.0) for band in bands])
    minimum, gain = recipe.minimum, 1.0 / recipe.q
    if recipe.variant == "astropy":
        gain = _ASTROPY_FRACTION / np.arcsinh(_ASTROPY_FRACTION * recipe.q)
        black, minimum = black + minimum, 0.0  # it is subtracted from each band
    unit = np.array(to_unit)
    scale = unit * np.array([recipe.scale.get(band, 1.0) for band in bands])
    pixels = np.empty((*planes[0].shape, 3), np.uint8)
    missing = kernels.lupton(
        (planes[0], planes[1], planes[2]),
        black / unit + np.array(skies),
        scale,
        _NO_CEILING if recipe.ceiling is None else recipe.ceiling,
        minimum,
        recipe.q / softening,
        gain,
        _NOTHING,
        pixels,
    )
    return pixels, missing


def _stiff(
    planes: list[Image],
    recipe: Recipe,
    bands: Sequence[str],
    to_unit: Sequence[float],
    skies: Sequence[float],
) -> tuple[Bytes, int]:
    """Brightness Y = mean(max(c, 0)), each colour Y + S (c - mean c), by Y^(1/F - 1), to the power 1/2.2."""
    limits = np.array(
        [
            _pixel_limits(plane, recipe.cuts_of(band) or Cuts("percent", 1.0, 99.7), factor, sky)
            for plane, band, factor, sky in zip(planes, bands, to_unit, skies, strict=True)
        ]
    )
    pixels = np.empty((*planes[0].shape, 3), np.uint8)
    missing = kernels.stiff(
        planes[0],
        planes[1],
        planes[2],
        np.ascontiguousarray(limits[:, 0]),
        limits[:, 1] - limits[:, 0],
        1.0 / recipe.contrast - 1.0,
        recipe.saturation,
        *curve("power", SCREEN),
        _NOTHING,
        pixels,
    )
    return pixels, int(missing)


def warm_up() -> None:
    """Compile the kernels, or load them from disk, before the first request needs them."""
    plane = np.eye(16, dtype=np.float32)
    for algorithm in ALGORITHMS:
        bands = ("a",) if algorithm == "grey" else ("a", "b", "c")
        look = Look(bands, Recipe("auto", 0, algorithm, unit="pixel"), True)
        render([plane] * len(bands), look, None, PictureOptions("image/png"))
    for depth in (1, 3):
        noise = np.arange(96 * depth, dtype=np.uint8).reshape(8, 12, depth) * np.uint8(37)
        encode_png(noise)
        encode_png(np.zeros_like(noise))
