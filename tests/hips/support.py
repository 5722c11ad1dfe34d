"""A survey of large pixels with stars at known places, so that a HiPS of it has few tiles."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from config.hips import build_hips
from config.settings import Settings
from config.terminal import database
from surveys.hips.build import HipsReport
from surveys.index.ingest import index_survey
from surveys.survey import Survey
from tests.support.service import settings_of

SIDE, SCALE_DEG, FWHM_PX = 200, 20 / 3600, 4.0
#: Centres of the images, which overlap by a tenth; RA 0 lies between the first two.
IMAGES = {"east": (0.5, 10.0), "west": (359.5, 10.0), "north": (0.5, 11.0)}
#: Centres where HEALPix is at its worst: the pole, where base cells meet, where the projection has a kink.
HARD = {"pole": (77.0, 89.9), "seam": (90.0, 60.0), "kink": (30.0, 41.81)}
PLACES = IMAGES | HARD
#: RA, Dec, flux (pixel values) and the image it is in.
STARS = (
    (0.35, 9.85, 4000.0, "east"),
    (0.71, 10.21, 9000.0, "east"),
    (359.61, 10.07, 6000.0, "west"),
    (0.55, 11.13, 8000.0, "north"),
    *((ra, dec + 0.001, 5000.0, name) for name, (ra, dec) in HARD.items()),
)
SKY = 5.0

DECLARATION = """
title = "Stars"
description = "A few stars."
credit = "Nobody observed them"
kind = "coadd"
root = "stars"
pixel_scale = 20.0
dataset = "{tile}"
pixel_value = "flux"
zeropoint = { card = "MAGZERO" }
[publisher]
name = "Institute"
licence = "CC0-1.0"
[bands]
g = { em_min_m = 400e-9, em_max_m = 550e-9 }
r = { em_min_m = 560e-9, em_max_m = 700e-9 }
i = { em_min_m = 700e-9, em_max_m = 850e-9 }
[recipes.rgb]
version = 1
algorithm = "lupton"
bands = ["i", "r", "g"]
unit = "pixel"
softening = 20.0
[layers.image]
path = "{tile}_{band}.fits"
"""


def image_wcs(name: str) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    wcs.wcs.crval, wcs.wcs.crpix = PLACES[name], [(SIDE + 1) / 2] * 2
    wcs.wcs.cdelt = [-SCALE_DEG, SCALE_DEG]
    wcs.wcs.radesys = "ICRS"
    return wcs


def image_pixels(name: str) -> NDArray[np.float32]:
    """Stars on an even sky, whichever of them the image sees."""
    wcs, pixels = image_wcs(name), np.full((SIDE, SIDE), SKY)
    y, x = np.mgrid[:SIDE, :SIDE]
    sigma = FWHM_PX / 2.3548
    for ra, dec, flux, _ in STARS:
        cx, cy = wcs.world_to_pixel(SkyCoord(ra, dec, unit="deg"))
        if np.isfinite(cx) and -20 < cx < SIDE + 20 and -20 < cy < SIDE + 20:
            distance = (x - cx) ** 2 + (y - cy) ** 2
            pixels += flux / (2 * np.pi * sigma**2) * np.exp(-distance / (2 * sigma**2))
    return pixels.astype(np.float32)


def write_image(folder: Path, name: str, band: str, magzero: float = 25.0) -> Path:
    """Write one image; pixels are those of zero point 25, brought to another."""
    header = image_wcs(name).to_header()
    header["MAGZERO"] = magzero
    pixels = image_pixels(name) * np.float32(10 ** (0.4 * (magzero - 25.0)))
    path = folder / "stars" / f"{name}_{band}.fits"
    fits.PrimaryHDU(pixels, header).writeto(path, overwrite=True)
    return path


def write_stars(folder: Path, bands: str = "g", names: Iterable[str] = IMAGES) -> Settings:
    """Write the survey and its declaration, and index it."""
    (folder / "stars").mkdir(parents=True)
    (folder / "declarations").mkdir()
    (folder / "declarations" / "stars.toml").write_text(DECLARATION)
    for band in bands:
        for name in names:
            write_image(folder, name, band)
    settings = settings_of(folder)
    index_stars(settings)
    return settings


def index_stars(settings: Settings) -> None:
    with database(settings) as engine:
        index_survey(engine, stars_of(settings))


def stars_of(settings: Settings) -> Survey:
    from config.app import declared_surveys

    return next(survey for survey in declared_surveys(settings) if survey.name == "stars")


def build(
    settings: Settings,
    band: str | None = "g",
    recipe: str | None = None,
    order: int | None = None,
    **options: object,
) -> HipsReport:
    progress = options.get("progress", lambda done, total: None)
    photscale = str(options.get("photscale", "auto"))
    return build_hips(settings, stars_of(settings), band, recipe, order, photscale, 1, progress)  # type: ignore[arg-type]
