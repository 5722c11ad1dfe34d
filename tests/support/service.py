"""A small service: a few surveys whose every pixel is known, indexed, behind the real application."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from astropy.io import fits
from flask import Flask
from numpy.typing import NDArray

from config.app import create_app, declared_surveys
from config.database import make_engine, prepare
from config.settings import Settings, load_settings
from surveys.index.ingest import index_survey

BASE = "ivo://example.org/fountain"
SIDE = 200
SCALE_DEG = 1 / 3600

#: Tiles of the survey `tiny`: name -> centre. The first two overlap by 20 pixels.
TILES = {"a": (150.0, 0.0), "b": (150.05, 0.0), "zero": (0.0, -10.0), "pole": (0.0, 90.0)}

TINY = """
title = "Tiny"
kind = "coadd"
root = "tiny"
pixel_scale = 1.0
dataset = "{tile}"
pol_states = ["I"]
[bands]
g = { em_min_m = 400e-9, em_max_m = 550e-9 }
r = { em_min_m = 560e-9, em_max_m = 700e-9 }
[layers.image]
path = "{tile}_{band}.fits"
"""

NIGHTS = """
title = "Nights"
kind = "exposures"
root = "nights"
dataset = "{night}"
[bands]
g = { em_min_m = 400e-9, em_max_m = 550e-9 }
[layers.image]
path = "{night}_{band}.fits"
"""

SECRET = """
title = "Secret"
kind = "coadd"
root = "secret"
pixel_scale = 1.0
dataset = "{tile}"
access = { groups = ["members"] }
[bands]
g = { em_min_m = 400e-9, em_max_m = 550e-9 }
[layers.image]
path = "{tile}_{band}.fits"
"""


def did(dataset: str) -> str:
    """Publisher DID of a dataset of the service."""
    return f"{BASE}?{dataset}"


def pixels_of(tile: str, band: str = "g") -> NDArray[np.float32]:
    """Pixels of a tile; every value occurs once in the whole survey."""
    number = 2 * list(TILES).index(tile) + "gr".index(band)
    return (np.arange(SIDE * SIDE, dtype=np.float32) + number * SIDE * SIDE).reshape(SIDE, SIDE)


def header_at(ra_deg: float, dec_deg: float, **cards: object) -> fits.Header:
    """North up, centred on a position."""
    header = fits.Header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CRVAL1"], header["CRVAL2"] = ra_deg, dec_deg
    header["CRPIX1"] = header["CRPIX2"] = (SIDE + 1) / 2
    header["CDELT1"], header["CDELT2"] = -SCALE_DEG, SCALE_DEG
    header["RADESYS"] = "ICRS"
    header.update(cards)
    return header


def write_surveys(folder: Path) -> None:
    """Write files and declarations of every survey."""
    for name in ("tiny", "nights", "secret", "declarations"):
        (folder / name).mkdir(parents=True)
    for tile, position in TILES.items():
        for band in "gr":
            hdu = fits.PrimaryHDU(pixels_of(tile, band), header_at(*position))
            hdu.writeto(folder / "tiny" / f"{tile}_{band}.fits")
    for night, mjd in (("first", 59000.0), ("second", 59001.0)):
        header = header_at(150.0, 0.0, **{"MJD-OBS": mjd, "EXPTIME": 864.0})
        fits.PrimaryHDU(pixels_of("a"), header).writeto(folder / "nights" / f"{night}_g.fits")
    fits.PrimaryHDU(pixels_of("a"), header_at(150.0, 0.0)).writeto(folder / "secret" / "a_g.fits")
    for name, declaration in (("tiny", TINY), ("nights", NIGHTS), ("secret", SECRET)):
        (folder / "declarations" / f"{name}.toml").write_text(declaration)


def environ_of(folder: Path, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment of a service whose data are in `folder`."""
    return {
        "FOUNTAIN_DATA__FOLDER": str(folder),
        "FOUNTAIN_SURVEYS__DECLARATIONS": str(folder / "declarations"),
        "FOUNTAIN_IDENTIFIERS__BASE": BASE,
        "FOUNTAIN_IDENTIFIERS__FORMER": "ivo://unregistered.invalid/soda-fountain",
        "FOUNTAIN_SYNC__MAX_PIXELS": "30000",
        **(environ or {}),
    }


def settings_of(folder: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings of a service whose data are in `folder`."""
    return load_settings(environ_of(folder, environ))


def index_all(settings: Settings) -> None:
    """Index every survey that has files."""
    engine = make_engine(settings.data.engine_url)
    prepare(engine)
    for survey in declared_surveys(settings):
        if all(root.is_dir() for root in survey.roots):
            index_survey(engine, survey)
    engine.dispose()


def make_service(folder: Path, environ: Mapping[str, str] | None = None) -> Flask:
    """Make everything, and the application."""
    settings = settings_of(folder, environ)
    if settings.data.engine_url == settings_of(folder).data.engine_url:
        shutil.copytree(_indexed(), folder, dirs_exist_ok=True)
    else:
        write_surveys(folder)
        index_all(settings)
    return create_app(settings)


@cache
def _indexed() -> Path:
    """Folder of the surveys and their index, to be copied: to make it takes much longer."""
    folder = tempfile.TemporaryDirectory(prefix="fountain-")
    atexit.register(folder.cleanup)
    path = Path(folder.name)
    write_surveys(path)
    index_all(settings_of(path))
    return path
