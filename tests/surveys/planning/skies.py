"""Small surveys whose tiles lie in every awkward way, indexed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from surveys.image import ImageRecord
from surveys.plan import CutoutPlan, Part
from surveys.planner import Limits, plan_cutout
from surveys.request import CutoutRequest, MosaicOptions, PictureOptions
from surveys.sky.stencil import CenteredBox, Circle, Size, Stencil
from tests.support.layouts import Cards, tan_cards, write

PX = 1 / 3600
N = 80
#: Tiles overlap by so many pixels.
OVERLAP = 20
STEP = N - OVERLAP
LIMITS = Limits(max_pixels=10**6, max_bytes=10**8, max_inputs=50)
EM = {"u": (3e-7, 4e-7), "g": (4e-7, 5.5e-7), "r": (5.5e-7, 7e-7), "i": (7e-7, 8.5e-7)}


def bands(labels: str, **photometry: Any) -> dict[str, Any]:
    return {label: {"em_min_m": EM[label][0], "em_max_m": EM[label][1], **photometry} for label in labels}


def sky(ra: Any, dec: Any) -> NDArray[np.float64]:
    """A smooth sky without a seam: a function of the direction."""
    ra, dec = np.radians(ra), np.radians(dec)
    x, y, z = np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)
    return np.asarray(100 + 40 * np.sin(4000 * x + 1) * np.cos(3000 * y) + 30 * np.sin(3500 * z))


def sampled(cards: Cards, nx: int = N, ny: int = N) -> NDArray[np.float32]:
    """The sky at the pixel centres of an image."""
    x, y = np.meshgrid(np.arange(nx), np.arange(ny))
    return sky(*WCS(fits.Header(cards)).all_pix2world(x, y, 0)).astype("f4")


def own(ra: float, dec: float, angle: float = 0.0, scale: float = 1.0, n: int = N) -> dict[str, Any]:
    """Cards of a tile about its own tangent point, turned by `angle` degrees."""
    step, a = scale * PX, math.radians(angle)
    turned = {
        "CD1_1": -step * math.cos(a),
        "CD1_2": step * math.sin(a),
        "CD2_1": step * math.sin(a),
        "CD2_2": step * math.cos(a),
    }
    return tan_cards(ra % 360, dec, scale, n, n) | turned


def on_grid(column: int, row: int) -> dict[str, Any]:
    """Cards of a tile whose first pixel is that of one grid about 10 +20."""
    return tan_cards(10.0, 20.0, 1.0, N, N) | {"CRPIX1": 70.5 - column, "CRPIX2": 70.5 - row}


SIP = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 2e-4, "B_0_2": -2e-4, "A_1_1": 1e-4}


def with_sip(cards: Cards) -> dict[str, Any]:
    return dict(cards) | SIP | {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"}


def car(ra: float, first: int) -> dict[str, Any]:
    """Cards of a plate carree about RA 180, whose first column lies at so many pixels from it."""
    kinds = {"CTYPE1": "RA---CAR", "CTYPE2": "DEC--CAR", "CRVAL1": ra, "CRVAL2": 0.0}
    return tan_cards(0, 0, 3600.0, N, N) | kinds | {"CRPIX1": 0.5 - first, "CRPIX2": 40.5}


def written() -> dict[str, dict[str, Cards]]:
    """Cards of the tiles of each survey."""
    corners = [(column, row) for row in (0, STEP) for column in (0, STEP)]
    near = [(i, j) for j in (-1, 0, 1) for i in (-1, 0, 1)]
    wide = STEP * PX
    return {
        "grid": {f"t{c}x{r}": on_grid(c, r) for c, r in corners},
        "own": {f"t{i + 1}{j + 1}": own(30 + i * wide, j * wide, 3.0 * i + 2.0 * j) for i, j in near},
        "wrap": {"west": own(wide / 2, -40, 1.0), "east": own(-wide / 2, -40, -1.0)},
        "pole": {f"q{k}": own(90.0 * k, 90 - 0.4 * N * PX) for k in range(4)},
        "south": {f"q{k}": own(120.0 * k, -90 + 0.3 * N * PX, 10.0 * k) for k in range(3)},
        "sip": {"bent": with_sip(own(60, 10)), "flat": own(60 + wide, 10, 1.0)},
        "mixed": {"fine": own(70, 0, scale=0.5), "coarse": own(70 - 1.5 * wide, 0, scale=2.0)},
        "gap": {"left": own(80 + 1.23 * N * PX, 0), "right": own(80, 0)},
        "map": {"before": car(180.0, -180), "after": car(180.0, 100)},
    }


def header_of(record: ImageRecord) -> fits.Header:
    return fits.Header.fromstring(record.wcs_text)


def wcs_of_part(part: Part, record: ImageRecord) -> WCS:
    """WCS of the output of a part as astropy has it, `record` being its first image."""
    if part.grid.wcs_text:
        return WCS(fits.Header.fromstring(part.grid.wcs_text))
    header = header_of(record)
    header["CRPIX1"] -= part.grid.box.x0
    header["CRPIX2"] -= part.grid.box.y0
    return WCS(header)


def asked(catalog: Any, dataset: str, stencil: Stencil | None = None, **options: Any) -> CutoutPlan:
    """Plan; options of mosaics are given beside those of the request."""
    limits = options.pop("limits", LIMITS)
    names = MosaicOptions.__dataclass_fields__.keys() & options.keys()
    mosaic = MosaicOptions(**{name: options.pop(name) for name in names})
    return plan_cutout(CutoutRequest(dataset, stencil, mosaic=mosaic, **options), catalog, limits)


def png(**options: Any) -> PictureOptions:
    return PictureOptions("image/png", **options)


def circle(ra: float, dec: float, radius_px: float) -> Circle:
    return Circle(ra % 360, dec, radius_px * PX)


def box(ra: float, dec: float, width: int, height: int) -> CenteredBox:
    return CenteredBox(ra % 360, dec, Size(width, height, in_pixels=True))


def names(part: Part) -> list[str]:
    return [piece.dataset.rpartition("/")[2] for piece in part.pieces]


def write_tiles(folder: Path, tiles: Mapping[str, Cards], labels: str = "g") -> None:
    for name, cards in tiles.items():
        for label in labels:
            write(folder / f"{name}_{label}.fits", ("", cards, sampled(cards)))
