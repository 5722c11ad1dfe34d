"""Everything a client asked for, already valid and frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from surveys.sky.stencil import Stencil


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval; an open end is an infinity."""

    lower: float
    upper: float

    def overlaps(self, lower: float, upper: float) -> bool:
        """Whether it has a point in common with the closed interval ``[lower, upper]``."""
        return self.lower <= upper and lower <= self.upper


Combine = Literal["auto", "first", "mean", "weighted", "mosaic"]
Resample = Literal["lanczos3", "bilinear", "interp", "adaptive", "exact"]
Edge = Literal["auto", "clip", "pad", "error"]


@dataclass(frozen=True, slots=True)
class MosaicOptions:
    """How several images become one.

    Parameters
    ----------
    combine
        Where images overlap: ``auto`` takes each pixel from the image whose unique area, else whose centre,
        is nearest; ``first`` from the image nearest to the centre of the region that has data; ``mean`` and
        ``weighted`` combine all; ``mosaic`` is ``auto``, for single exposures too.
    grid
        ``native``: the pixel grid of the image nearest to the centre, extended; ``tan``: a gnomonic one about
        the centre of the region, north up.
    pixscale_deg
        Pixel scale of a ``tan`` grid; None for the survey's own.
    resample
        Kernels of our own (``lanczos3``, ``bilinear``), or an algorithm of the package reproject.
    photscale
        ``auto``: inputs are scaled to one zero point; ``none``: pixel values are taken as they are.
    background
        ``match``: constants make the overlaps of the images agree; ``auto``: ``keep`` for FITS, ``match`` for
        pictures.
    flux
        Whether a pixel value is the ``flux`` in the pixel or a surface brightness (``sb``); ``auto``: as
        declared.
    """

    combine: Combine = "auto"
    grid: Literal["native", "tan"] = "native"
    pixscale_deg: float | None = None
    resample: Resample = "lanczos3"
    photscale: Literal["auto", "none"] = "auto"
    background: Literal["auto", "keep", "match"] = "auto"
    flux: Literal["auto", "flux", "sb"] = "auto"


@dataclass(frozen=True, slots=True)
class Cuts:
    """Brightnesses of black and white: physical ``values``, ``percent`` of the pixels, or ``zscale``."""

    kind: Literal["values", "percent", "zscale"]
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True, slots=True)
class PictureOptions:
    """How pixels become a picture; None, "" and () leave the choice to the survey's recipe.

    Parameters
    ----------
    media_type
        ``image/png`` or ``image/jpeg``; of stamps of alerts ``image/webp`` too.
    bands
        Bands that become red, green and blue; in () the longest wavelength becomes red.
    recipe
        Name of a recipe of the survey; ``auto``: levels from the pixels of this very picture.
    algorithm, variant
        Of colour pictures; the variant ``astropy`` of Lupton's does as `make_lupton_rgb`.
    q, softening, minimum
        Lupton et al. 2004: Q, S and m, physical units; `minimum` has one value, or one a band.
    stretch, power, cuts, invert, colormap
        Of pictures of one band: curve, its exponent for ``power``, levels, and colours. `cuts` are the levels
        of STIFF-like pictures too.
    contrast, saturation
        STIFF-like pictures: F and S.
    orient
        ``north``: north up and east left, resampled; ``native``: as stored, the first row at the bottom.
    width, height
        Pixels of the picture; None for the natural size, at most `LONGEST_SIDE` on its longer side.
    quality
        Of JPEG, 1 to 95.
    draw
        What is drawn on it: ``scalebar``, ``compass``, ``center``, ``grid``.
    label
        Text in its corner.
    """

    media_type: str
    bands: tuple[str, ...] = ()
    recipe: str = ""
    algorithm: Literal["", "lupton", "stiff"] = ""
    variant: Literal["", "astropy"] = ""
    q: float | None = None
    softening: float | None = None
    minimum: tuple[float, ...] = ()
    stretch: Literal["", "linear", "sqrt", "log", "asinh", "power"] = ""
    power: float | None = None
    cuts: Cuts | None = None
    invert: bool = False
    colormap: str = ""
    contrast: float | None = None
    saturation: float | None = None
    orient: Literal["native", "north"] = "native"
    width: int | None = None
    height: int | None = None
    quality: int | None = None
    draw: tuple[str, ...] = ()
    label: str = ""


#: Pixels of the longer side of a picture, unless another size is asked for.
LONGEST_SIDE = 2048

AS_DECLARED = MosaicOptions()


@dataclass(frozen=True, slots=True)
class CutoutRequest:
    """One cutout: which dataset, which part of it, which product.

    Parameters
    ----------
    dataset
        What follows ``?`` in the publisher DID: ``survey``, ``survey/band``, ``survey/band/image`` or
        ``survey/band/image/weight``; of alerts ``survey/alert/candid`` or ``survey/object/objectId``, with a
        kind of stamp or without. As the client wrote it (look-up ignores case).
    stencil
        ICRS region, or None for the whole image.
    band_m
        Vacuum wavelength interval, metres.
    time_mjd
        Time interval, MJD (UTC).
    pol
        Polarization states, one filter (their union); empty for none.
    filters
        Band labels of the survey (``g``), one filter (their union); empty for none.
    mask
        Blank the pixels of the box whose centres lie outside the stencil.
    checksum
        Write CHECKSUM and DATASUM.
    edge
        What becomes of the part of the region beyond the data; ``auto`` pads fixed-size boxes, and clips
        shapes.
    detail
        ``full``: weight, mask and psf beside the image, as far as the survey has them.
    layout
        Several bands in one file: an extension each, or one cube where their grids are identical.
    mosaic
        How several images become one.
    picture
        A picture instead of FITS.
    array
        The bare numbers, as JSON, instead of FITS: of stamps of alerts alone.
    canonical
        The request in its canonical spelling (``sync?ID=…&CIRCLE=…``), for the card CUT_URL; no host.
    """

    dataset: str
    stencil: Stencil | None = None
    band_m: Interval | None = None
    time_mjd: Interval | None = None
    pol: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    mask: bool = False
    checksum: bool = False
    edge: Edge = "auto"
    detail: Literal["image", "full"] = "image"
    layout: Literal["mef", "cube"] = "mef"
    mosaic: MosaicOptions = AS_DECLARED
    picture: PictureOptions | None = None
    array: bool = False
    canonical: str = ""
