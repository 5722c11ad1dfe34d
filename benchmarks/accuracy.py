"""How right resampled pixels are: fluxes, positions and peaks of stars whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray
from reproject import reproject_exact

from benchmarks.skies import DEC_DEG, RA_DEG, SCALE_DEG, Stars, ask, survey_of, write_tiles
from benchmarks.table import Row
from config.kernels import load_kernels

SIDE = 700
#: Stars stand this far apart, in pixels of the tile, each somewhere within its pixel.
APART = 40
FWHM_PX = 2.5
#: Half the side of the square about a star in which it is looked at, in pixels of the output.
APERTURE = 12
#: The output's pixels, in those of the tile, for fluxes and positions; for peaks they are as large.
COARSER = 1.25


@dataclass(frozen=True, slots=True)
class _Image:
    pixels: NDArray[np.float64]
    wcs: WCS


def rows(folder: Path) -> Iterator[Row]:
    """Measure on a tile without noise, put on a grid of other pixels by Lanczos-3."""
    stars = _stars()
    sky = folder / "one"
    if not sky.exists():
        write_tiles(sky, stars, 1, SIDE, 0, 0.0)
    load_kernels()
    with survey_of(sky, folder / "one-data") as parts:
        where = {"CENTER": f"{RA_DEG} {DEC_DEG}", "SIZE": f"{0.8 * SIDE * SCALE_DEG:.6f}deg", "GRID": "tan"}

        def made(pixels: float, flux: str) -> _Image:
            content = ask(parts, **where, PIXSCALE=f"{pixels * SCALE_DEG * 3600}arcsec", FLUX=flux)
            with fits.open(BytesIO(content)) as hdus:
                return _Image(hdus[0].data.astype(float), WCS(hdus[0].header))

        coarse, same = made(COARSER, "flux"), made(1.0, "sb")
    (tile,) = sky.iterdir()
    with fits.open(tile) as hdus:
        exact, _ = reproject_exact(hdus[0], coarse.wcs.to_header(), shape_out=coarse.pixels.shape)
    judge = _Image(exact * COARSER**2, coarse.wcs)
    yield Row(
        "Lanczos-3: largest error of a star's flux against reproject_exact times the area ratio",
        max(abs(a / b - 1) for a, b in zip(_fluxes(coarse, stars), _fluxes(judge, stars), strict=True)),
        None, "", "", "below", 1e-3,
    )  # fmt: skip
    yield Row(
        "Lanczos-3: largest error of a star's position",
        max(_offsets(coarse, stars)), None, "px", "", "below", 0.01,
    )  # fmt: skip
    yield Row(
        f"Lanczos-3: largest error of a star's peak, FWHM {FWHM_PX:g} px",
        max(_peak_errors(same, stars)), None, "", "", "below", 0.01,
    )  # fmt: skip


def _stars() -> Stars:
    """Stars of equal flux in rows and columns, each at another place within its pixel."""
    random = np.random.default_rng(7)
    count = int(0.6 * SIDE / APART)
    steps = (np.arange(count) - (count - 1) / 2) * APART
    along, up = (grid.ravel() + random.uniform(-0.5, 0.5, count**2) for grid in np.meshgrid(steps, steps))
    dec = DEC_DEG + up * SCALE_DEG
    ra = RA_DEG + along * SCALE_DEG / math.cos(math.radians(DEC_DEG))
    return Stars(ra, dec, np.full(count**2, 1e4), FWHM_PX * SCALE_DEG * 3600)


def _near(image: _Image, stars: Stars) -> Iterator[tuple[float, float, slice, slice]]:
    """Position of each star, and the rows and columns about it."""
    for x, y in zip(*image.wcs.all_world2pix(stars.ra_deg, stars.dec_deg, 0), strict=True):
        i, j = round(float(x)), round(float(y))
        yield (
            float(x) - i + APERTURE,
            float(y) - j + APERTURE,
            slice(j - APERTURE, j + APERTURE + 1),
            slice(i - APERTURE, i + APERTURE + 1),
        )


def _fluxes(image: _Image, stars: Stars) -> list[float]:
    return [float(image.pixels[rows, columns].sum()) for _, _, rows, columns in _near(image, stars)]


def _offsets(image: _Image, stars: Stars) -> Iterator[float]:
    """Distances of the centres of light from where the stars are."""
    along = np.arange(2 * APERTURE + 1)
    for x, y, rows, columns in _near(image, stars):
        light = image.pixels[rows, columns]
        total = light.sum()
        yield math.hypot((light.sum(axis=0) @ along) / total - x, (light.sum(axis=1) @ along) / total - y)


def _peak_errors(image: _Image, stars: Stars) -> Iterator[float]:
    """Compare the brightest pixel of each star with what a pixel at its place would have."""
    truth = np.zeros(image.pixels.shape, np.float32)
    stars.draw(image.wcs, truth)
    for _, _, rows, columns in _near(image, stars):
        yield abs(float(image.pixels[rows, columns].max() / truth[rows, columns].max()) - 1)
