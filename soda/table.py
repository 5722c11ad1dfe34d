"""The table of SODA's parameters: what a client is told of each, and which values it may have."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from dali.votable import Datatype
from dali.words import limits

#: ObsCore 1.1, section B.6.5, in its order.
POL_STATES = ("I", "Q", "U", "V", "RR", "LL", "RL", "LR", "XX", "YY", "XY", "YX", "POLI", "POLA")

FITS, PNG, JPEG = "application/fits", "image/png", "image/jpeg"
#: Of stamps of alerts alone: an animation, and bare numbers.
WEBP, ARRAY = "image/webp", "application/json"
#: RESPONSEFORMAT in lower case -> the media type of the answer, of images.
IMAGE_TYPES = {
    "fits": FITS,
    FITS: FITS,
    "image/fits": "image/fits",
    "png": PNG,
    PNG: PNG,
    "jpeg": JPEG,
    "jpg": JPEG,
    JPEG: JPEG,
}
#: The same of whatever there is.
MEDIA_TYPES = {**IMAGE_TYPES, "webp": WEBP, WEBP: WEBP, "json": ARRAY, ARRAY: ARRAY}
PICTURE_TYPES = (PNG, JPEG, WEBP)

#: Pixels of a side of a picture that may be asked for.
MAX_SIDE = 8192
MAX_QUALITY = 95
#: Pixel scales of a grid that may be asked for, degrees.
PIXSCALES_DEG = (0.001 / 3600, 1.0)
TRUE_FALSE = ("true", "false")

#: What a parameter says something of: which pixels; how images become one; FITS; pictures, of one band
#: (`grey`) or of several (`colour`, and its two algorithms).
Concern = Literal[
    "pixels", "mosaic", "fits", "picture", "grey", "colour", "lupton", "stiff", "protocol", "list"
]
_COLOURS = ("colour", "lupton", "stiff")
_PICTURES = ("picture", "grey", *_COLOURS)


@dataclass(frozen=True, slots=True)
class SodaParameter:
    """A row of the table.

    `options`: all values there are. `lowest`, `highest`: limits of a number, the
    lower of which it must be above where it is `above` it. `many`: it may
    be repeated in sync. `product`: in async it may have several values, each of which gives results of its
    own. `extension`: no standard knows it, we declare it.
    """

    name: str
    description: str
    ucd: str = ""
    unit: str = ""
    datatype: Datatype = "char"
    arraysize: str | None = "*"
    xtype: str = ""
    many: bool = False
    product: bool = False
    extension: bool = False
    concern: Concern = "pixels"
    options: tuple[str, ...] = ()
    lowest: float | None = None
    highest: float | None = None
    above: bool = False

    @property
    def of_pictures(self) -> bool:
        """Whether it says something of pictures alone."""
        return self.concern in _PICTURES

    @property
    def of_colour(self) -> bool:
        """Whether it says something of colour pictures alone."""
        return self.concern in _COLOURS


#: UCD and unit as in section 4, that of ID as in its proposed erratum 1.
STANDARD = (
    SodaParameter(
        "ID",
        "Publisher DID of an image, a survey band or a survey; of an alert, its stamp, or an object",
        "meta.id;meta.dataset",
        product=True,
    ),
    SodaParameter(
        "POS",
        "CIRCLE ra dec radius, RANGE ra1 ra2 dec1 dec2 or POLYGON ra1 dec1 ra2 dec2 ra3 dec3 …; ICRS degrees",
        "pos.outline;obs",
        product=True,
    ),
    SodaParameter(
        "CIRCLE",
        "ra dec radius, ICRS degrees",
        "pos.outline;obs",
        "deg",
        "double",
        "3",
        "circle",
        product=True,
    ),
    SodaParameter(
        "POLYGON",
        "ra dec of each vertex, ICRS degrees; either winding, the smaller side",
        "pos.outline;obs",
        "deg",
        "double",
        "*",
        "polygon",
        product=True,
    ),
    SodaParameter(
        "BAND",
        "Wavelengths in vacuum, barycentric, lower upper; of a cube, its channels that overlap",
        "em.wl;stat.interval",
        "m",
        "double",
        "2",
        "interval",
        product=True,
    ),
    SodaParameter(
        "TIME",
        "Times, lower upper, MJD (UTC); of a time axis, its pixels that overlap",
        "time.interval;obs.exposure",
        "d",
        "double",
        "2",
        "interval",
        product=True,
    ),
    SodaParameter(
        "POL",
        f"Polarization state: {', '.join(POL_STATES)}",
        "meta.code;phys.polarization",
        many=True,
        options=POL_STATES,
    ),
)

PIXELS = (
    SodaParameter("FILTER", "Label of a band of the survey", "instr.bandpass", many=True, extension=True),
    SodaParameter(
        "CENTER",
        "ra dec of the centre of a box of fixed size, ICRS degrees; with SIZE",
        "pos.eq",
        "deg",
        "double",
        "2",
        "point",
        product=True,
        extension=True,
    ),
    SodaParameter(
        "SIZE",
        "width [height] of the box and a unit: 30arcsec, 2', 0.1deg, 256px; with CENTER",
        "phys.angSize",
        extension=True,
    ),
    SodaParameter(
        "MASK",
        "true: blank pixels whose centres lie outside the region",
        "meta.code",
        extension=True,
        options=TRUE_FALSE,
    ),
)


def _word(name: str, description: str, concern: Concern, *options: str, many: bool = False) -> SodaParameter:
    return SodaParameter(
        name, description, "meta.code", many=many, extension=True, concern=concern, options=options
    )


def _number(
    name: str,
    description: str,
    concern: Concern,
    lowest: float | None = None,
    highest: float | None = None,
    *,
    above: bool = False,
    datatype: Datatype = "double",
    arraysize: str | None = None,
) -> SodaParameter:
    if datatype == "int":
        description += f", {lowest} to {highest}"
    elif lowest is not None:
        description += f", {limits(lowest, math.inf if highest is None else highest, above=above)}"
    return SodaParameter(
        name,
        description,
        datatype=datatype,
        arraysize=arraysize,
        extension=True,
        concern=concern,
        lowest=lowest,
        highest=highest,
        above=above,
    )


def _text(name: str, description: str, concern: Concern, *, product: bool = False) -> SodaParameter:
    return SodaParameter(name, description, product=product, extension=True, concern=concern)


MOSAICS = (
    _word(
        "COMBINE",
        "What overlapping images give: auto, each pixel that of the image it belongs to; first, that of the "
        "image nearest to the centre; mean, weighted; mosaic, auto of single exposures too",
        "mosaic",
        "auto",
        "first",
        "mean",
        "weighted",
        "mosaic",
    ),
    _word("GRID", "Pixel grid: that of the image, or gnomonic and north up", "mosaic", "native", "tan"),
    _text("PIXSCALE", "Size of a pixel of GRID=tan, with a unit: 0.3arcsec", "mosaic"),
    _word(
        "RESAMPLE",
        "How pixels are interpolated, where they are",
        "mosaic",
        "lanczos3",
        "bilinear",
        "interp",
        "adaptive",
        "exact",
    ),
    _word("PHOTSCALE", "Whether images are scaled to one zero point", "mosaic", "auto", "none"),
    _word("BACKGROUND", "Whether sky levels are made to match", "mosaic", "auto", "keep", "match"),
    _word("FLUX", "What a pixel value is: flux or surface brightness", "mosaic", "auto", "flux", "sb"),
    _word(
        "EDGE",
        "Region beyond the data: clipped, padded, or an error",
        "mosaic",
        "auto",
        "clip",
        "pad",
        "error",
    ),
)

FILES = (
    _word("CHECKSUM", "true: write CHECKSUM and DATASUM", "fits", *TRUE_FALSE),
    _word(
        "DETAIL",
        "full: weight, mask and psf too; of stamps, a header that says when, where and of what",
        "fits",
        "image",
        "full",
    ),
    _word("LAYOUT", "Several bands: an extension each, or one cube", "fits", "mef", "cube"),
)

PICTURES = (
    _text("RECIPE", "Recipe of the survey for pictures; auto: levels from the pixels", "picture"),
    _word("ORIENT", "north: north up, east left", "picture", "native", "north"),
    _number("WIDTH", "Pixels of the picture along x", "picture", 1, MAX_SIDE, datatype="int"),
    _number("HEIGHT", "Pixels of the picture along y", "picture", 1, MAX_SIDE, datatype="int"),
    _number("QUALITY", "Quality of JPEG", "picture", 1, MAX_QUALITY, datatype="int"),
    _word("DRAW", "Marks on the picture", "picture", "scalebar", "compass", "center", "grid", many=True),
    _text("LABEL", "Text in the corner of the picture", "picture"),
    _text("CUTS", "Black and white: zscale, percentiles (1% 99.5%), or values", "picture"),
    _word("STRETCH", "Curve from black to white", "grey", "linear", "sqrt", "log", "asinh", "power"),
    _number("POWER", "Exponent of STRETCH=power", "grey", 0, 10, above=True),
    _word("INVERT", "true: white sky", "grey", *TRUE_FALSE),
    _text("CMAP", "Colour map of matplotlib: gray, viridis, …", "grey"),
    _text("RGB", "Bands that become red, green and blue: i,r,g", "colour", product=True),
    _word("ALGORITHM", "Of colour pictures", "colour", "lupton", "stiff"),
    _word("VARIANT", "astropy: as make_lupton_rgb of astropy has it", "lupton", "astropy"),
    _number("Q", "Lupton et al. 2004: softening at bright pixels", "lupton", 0, 1000, above=True),
    _number("SOFTENING", "Scale of the asinh in the recipe's unit: S of Lupton", "picture", 0, above=True),
    _number("MINIMUM", "Lupton et al. 2004: m, one value, or one a band", "lupton", arraysize="*"),
    _number("CONTRAST", "STIFF-like colours: gamma of the luminance", "stiff", 0, 10, above=True),
    _number("SATURATION", "STIFF-like colours: saturation", "stiff", 0, 10),
)

PROTOCOL = (
    SodaParameter(
        "RESPONSEFORMAT",
        "application/fits, image/fits, image/png or image/jpeg; fits, png, jpeg. Of stamps of alerts "
        "image/webp and application/json too; webp, json",
        "meta.code.mime",
        concern="protocol",
        options=tuple(MEDIA_TYPES),
    ),
    SodaParameter(
        "RUNID", "The client's own name for the request, written to the log", "meta.id", concern="protocol"
    ),
)

#: Of jobs alone: what is asked of many targets.
LISTS = (
    SodaParameter(
        "UPLOAD",
        "targets,param:<part>: a table of targets, the file of that part of the request; or targets,<URL>",
        "meta.ref;meta.table",
        concern="list",
    ),
    SodaParameter(
        "COLUMNS",
        "Columns of the table that are not found by themselves: ra:RAJ2000,dec:DEJ2000,id:Name",
        extension=True,
        concern="list",
    ),
    SodaParameter(
        "ONBAD",
        "Targets that cannot be read: skip, they fail and the others are made; fail, the job is refused",
        "meta.code",
        extension=True,
        concern="list",
        options=("skip", "fail"),
    ),
    SodaParameter(
        "RADIUS",
        "Half the side of a square about each target, with a unit: 15arcsec is SIZE=30arcsec",
        "phys.angSize",
        extension=True,
        concern="list",
    ),
)

PARAMETERS = (*STANDARD, *PIXELS, *MOSAICS, *FILES, *PICTURES, *PROTOCOL)
BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}
NAMES = tuple(BY_NAME)
#: Of ``/async``.
JOB_PARAMETERS = (*PARAMETERS, *LISTS)
