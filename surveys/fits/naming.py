"""Names of products: ``<SURVEY>J<hhmmss.ss><±ddmmss.s>_<bands>_<WxH>.fits``, or the image's own name."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from surveys.image import ImageRecord
from surveys.sky.pixels import PixelBox
from surveys.sky.stencil import CenteredBox, Circle, Polygon, Range, Stencil

MAX_NAME = 120
# So near to a whole number of units the last digits of an angle decide.
_NEAR = 1e-6
_UNSAFE = re.compile(r"[^A-Za-z0-9._+~-]+")
_SUFFIX = re.compile(r"(\.(fits?|fts|fz|gz))+$", re.IGNORECASE)


def centre_deg(stencil: Stencil) -> tuple[float, float]:
    """Right ascension (0 to 360) and declination of the middle of a stencil, ICRS."""
    match stencil:
        case Circle(ra_deg=ra, dec_deg=dec) | CenteredBox(ra_deg=ra, dec_deg=dec):
            return ra % 360.0, dec
        case Range(ra_min_deg=west, ra_max_deg=east, dec_min_deg=south, dec_max_deg=north):
            return (west + east) / 2 % 360.0, (south + north) / 2
        case Polygon(vertices_deg=vertices):
            ra, dec = np.radians(vertices).T
            x, y, z = (np.cos(dec) * np.cos(ra)).sum(), (np.cos(dec) * np.sin(ra)).sum(), np.sin(dec).sum()
            return math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.atan2(z, math.hypot(x, y)))


def position_name(ra_deg: float, dec_deg: float) -> str:
    """``Jhhmmss.ss±ddmmss.s``, truncated and not rounded, as the IAU asks."""
    hundredths, tenths = _whole(ra_deg % 360.0, 24000), _whole(abs(dec_deg), 36000)
    minutes, ss = divmod(hundredths, 6000)
    arcminutes, arcs = divmod(tenths, 600)
    # The digits before the point, as one number.
    ra = f"{minutes // 60 * 10000 + minutes % 60 * 100 + ss // 100:06d}.{ss % 100:02d}"
    dec = f"{arcminutes // 60 * 10000 + arcminutes % 60 * 100 + arcs // 10:06d}.{arcs % 10}"
    return f"J{ra}{'-' if dec_deg < 0 else '+'}{dec}"


def _whole(degrees: float, per_degree: int) -> int:
    """Count the whole units of an angle."""
    units = degrees * per_degree
    if abs(units - round(units)) < _NEAR:
        # The decimal number as it was written is cut, not its nearest binary one: 0.1 deg is 24 s, not 23.99.
        return int(Decimal(repr(degrees)) * per_degree)
    return int(units)


def product_name(record: ImageRecord, stencil: Stencil | None, grid: PixelBox, planes: str = "") -> str:
    """File name of a product of one image as it is stored, ASCII and without any separator of folders.

    `planes` tells which ones of a cube are in it; "" for all.
    """
    if stencil is None:
        return safe_name(source_stem(record), _ending(planes, ".fits"))
    return cutout_name(record, (record.band,), stencil, grid.width, grid.height, planes=planes)


def cutout_name(
    record: ImageRecord,
    bands: Sequence[str],
    stencil: Stencil | None,
    width: int,
    height: int,
    suffix: str = ".fits",
    planes: str = "",
) -> str:
    """File name of any product, ASCII and without any separator of folders, at most `MAX_NAME` bytes.

    Parameters
    ----------
    record
        One of its images.
    bands
        Its bands, in the order they have in it: ``g``, ``r``, ``i`` become ``gri``.
    stencil
        Of the request; where there is none, the name is made of that of the image.
    width, height
        Its pixels.
    suffix
        ``.fits``, ``.png``, ``.jpg``.
    planes
        As above.
    """
    if stencil is None:
        parts = [source_stem(record)]
    else:
        parts = [record.survey.upper() + position_name(*centre_deg(stencil)), "".join(bands)]
    name = "_".join([part for part in parts if part] + [f"{width}x{height}"])
    return safe_name(name, _ending(planes, suffix))


def source_stem(record: ImageRecord) -> str:
    """Name of an image's file, and the number of its HDU where that is not the usual one."""
    name = _SUFFIX.sub("", record.file.name)
    return name if record.hdu == (1 if record.storage == "tiles" else 0) else f"{name}_hdu{record.hdu}"


def _ending(planes: str, suffix: str) -> str:
    return f"_{planes}{suffix}" if planes else suffix


def safe_name(name: str, suffix: str) -> str:
    """Make a file name of any text: ASCII, without any separator of folders, at most `MAX_NAME` bytes."""
    return _UNSAFE.sub("_", name)[: MAX_NAME - len(suffix)] + suffix
