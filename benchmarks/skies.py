"""A sky of stars cut into tiles with planes of their own, and the service of a survey made of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from config.app import Parts, assemble
from config.database import prepare
from config.settings import load_settings
from dali.parameters import Parameters
from surveys.index.ingest import index_survey

RA_DEG, DEC_DEG = 150.1, 2.2
SCALE_DEG = 0.262 / 3600
#: Half the side, in pixels, of the square about a star in which it is drawn.
REACH = 16
ID_PREFIX = "ivo://unregistered.invalid/soda-fountain?"

DECLARATION = """
title = "Stars"
kind = "coadd"
root = "{folder}"
pixel_scale = {arcsec}
[bands]
g = {{ em_min_m = 4.0e-7, em_max_m = 5.5e-7 }}
r = {{ em_min_m = 5.5e-7, em_max_m = 7.0e-7 }}
z = {{ em_min_m = 8.5e-7, em_max_m = 1.0e-6 }}
[layers.image]
path = "{{tile}}-{{band}}.fits"
"""


@dataclass(frozen=True, slots=True)
class Stars:
    """Round Gaussian stars.

    Parameters
    ----------
    ra_deg, dec_deg, flux
        One number a star.
    fwhm_arcsec
        Of them all.
    """

    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    flux: NDArray[np.float64]
    fwhm_arcsec: float

    def draw(self, wcs: WCS, pixels: NDArray[np.float32]) -> None:
        """Add the stars to an image of square pixels: values at pixel centres times the pixel's area."""
        height, width = pixels.shape
        scale_arcsec = 3600 * math.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix)))
        sigma = self.fwhm_arcsec / scale_arcsec / math.sqrt(8 * math.log(2))
        x, y = wcs.all_world2pix(self.ra_deg, self.dec_deg, 0)
        near = (x > -REACH) & (x < width + REACH) & (y > -REACH) & (y < height + REACH)
        for xc, yc, flux in zip(x[near], y[near], self.flux[near], strict=True):
            x0, x1 = max(0, round(xc) - REACH), min(width, round(xc) + REACH + 1)
            y0, y1 = max(0, round(yc) - REACH), min(height, round(yc) + REACH + 1)
            if x0 < x1 and y0 < y1:
                along = np.exp(-((np.arange(x0, x1) - xc) ** 2) / (2 * sigma**2))
                across = np.exp(-((np.arange(y0, y1) - yc) ** 2) / (2 * sigma**2))
                pixels[y0:y1, x0:x1] += flux / (2 * math.pi * sigma**2) * np.outer(across, along)


def some_stars(count: int, radius_deg: float, fwhm_arcsec: float, seed: int = 3) -> Stars:
    """Return stars all over a square about the middle of the sky, as many faint ones as real fields have."""
    random = np.random.default_rng(seed)
    dec = DEC_DEG + random.uniform(-radius_deg, radius_deg, count)
    ra = RA_DEG + random.uniform(-radius_deg, radius_deg, count) / np.cos(np.radians(dec))
    return Stars(ra, dec, 300.0 * random.pareto(1.2, count).clip(0.3, 300), fwhm_arcsec)


def tan_header(ra_deg: float, dec_deg: float, side: int, scale_deg: float) -> fits.Header:
    """Return the WCS of a square tile whose tangent point is its centre, north up."""
    header = fits.Header()
    header.update(
        CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CUNIT1="deg", CUNIT2="deg", RADESYS="ICRS",
        CRPIX1=(side + 1) / 2, CRPIX2=(side + 1) / 2, CRVAL1=ra_deg, CRVAL2=dec_deg,
        CD1_1=-scale_deg, CD1_2=0.0, CD2_1=0.0, CD2_2=scale_deg,
    )  # fmt: skip
    return header


def centres_about(columns: int, step_deg: float) -> Iterator[tuple[float, float]]:
    """Return the centres of a square of tiles, in degrees."""
    offsets = (np.arange(columns) - (columns - 1) / 2) * step_deg
    for dec in DEC_DEG + offsets:
        for ra in offsets:
            yield RA_DEG + ra / math.cos(math.radians(dec)), float(dec)


def write_tiles(
    folder: Path,
    stars: Stars,
    columns: int,
    side: int,
    overlap: int,
    noise: float,
    bands: Sequence[str] = "r",
    scale_deg: float = SCALE_DEG,
) -> list[Path]:
    """Cut the sky into `columns` x `columns` float32 tiles, each with noise of its own."""
    paths = []
    random = np.random.default_rng(4)
    folder.mkdir(exist_ok=True)
    for number, (ra, dec) in enumerate(centres_about(columns, (side - overlap) * scale_deg)):
        header = tan_header(ra, dec, side, scale_deg)
        for band in bands:
            pixels = noise * random.standard_normal((side, side), np.float32)
            stars.draw(WCS(header), pixels)
            paths.append(folder / f"t{number:03d}-{band}.fits")
            fits.PrimaryHDU(pixels, header).writeto(paths[-1])
    return paths


@contextmanager
def survey_of(folder: Path, data: Path, scale_deg: float = SCALE_DEG) -> Iterator[Parts]:
    """Index the tiles in `folder` as the survey ``stars``, in a service whose files are in `data`."""
    data.mkdir(exist_ok=True)
    (data / "stars.toml").write_text(DECLARATION.format(folder=folder, arcsec=3600 * scale_deg))
    environ = {"FOUNTAIN_DATA__FOLDER": str(data), "FOUNTAIN_SURVEYS__DECLARATIONS": str(data)}
    parts = assemble(load_settings(environ))
    prepare(parts.engine)
    index_survey(parts.engine, next(survey for survey in parts.surveys if survey.name == "stars"))
    try:
        yield parts
    finally:
        parts.engine.dispose()


def ask(parts: Parts, dataset: str = "stars/r", **values: str) -> bytes:
    """Answer a sync request: parse, plan, execute."""
    asked = parts.sync.ask(Parameters.from_pairs({"ID": ID_PREFIX + dataset, **values}.items()))
    return b"".join(parts.sync.cut(asked).chunks or ())
