"""A sky of three bands on one pixel grid, cut in two tiles: every pixel of every cutout of it is known."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from flask.testing import FlaskClient
from numpy.typing import NDArray
from werkzeug.test import TestResponse

from config.app import Parts, assemble, create_app
from dali.caller import ANONYMOUS
from dali.parameters import Parameters
from soda.jobtype import JobLimits, SodaJobs
from surveys.planner import Limits
from tests.support.service import SCALE_DEG, did, index_all, settings_of
from uws.jobtype import Outcome, Work

WIDTH, HEIGHT = 300, 200
#: Tiles -> columns of the sky they hold.
TILES = {"west": (0, 150), "east": (150, 300)}
BANDS = "gri"

FIELD = """
title = "Field"
kind = "coadd"
root = "field"
pixel_scale = 1.0
dataset = "{tile}"
[bands]
g = { em_min_m = 400e-9, em_max_m = 550e-9 }
r = { em_min_m = 560e-9, em_max_m = 700e-9 }
i = { em_min_m = 710e-9, em_max_m = 850e-9 }
[layers.image]
path = "{tile}_{band}.fits"
"""


def cards() -> dict[str, object]:
    """WCS of the whole sky: gnomonic about 150, 0, north up."""
    return {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 0.0,
        "CRPIX1": (WIDTH + 1) / 2, "CRPIX2": (HEIGHT + 1) / 2,
        "CDELT1": -SCALE_DEG, "CDELT2": SCALE_DEG, "RADESYS": "ICRS",
    }  # fmt: skip


def sky(band: str) -> NDArray[np.float32]:
    """Pixels of all of the sky, all different and above 0. A red lamp shines in the upper right."""
    pixels = np.arange(1, WIDTH * HEIGHT + 1, dtype=np.float32).reshape(HEIGHT, WIDTH) / (WIDTH * HEIGHT)
    pixels += BANDS.index(band)
    pixels[120:130, 170:180] += 100.0 * (BANDS.index(band) + 1)
    return pixels


def centre_of(x: float, y: float) -> str:
    """Place of a pixel (0-based), as CENTER has it."""
    ra, dec = WCS(fits.Header(cards())).all_pix2world(x, y, 0)
    return f"{float(ra)!r} {float(dec)!r}"


#: Between four pixels, two of either tile: the box of 40 px is of columns 130 to 169, rows 80 to 119.
MIDDLE = {"CENTER": centre_of(149.5, 99.5), "SIZE": "40px"}
BOX = (slice(80, 120), slice(130, 170))
#: Of all three bands there.
PICTURE = {"ID": did("field"), **MIDDLE, "RESPONSEFORMAT": "png", "RGB": "i,r,g"}


class Field:
    """A service of this sky; 30000 px may be asked for at once.

    Parameters
    ----------
    folder
        For tiles, declaration and index; made here.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "field").mkdir(parents=True)
        (folder / "declarations").mkdir()
        (folder / "declarations" / "field.toml").write_text(FIELD)
        for tile, (first, end) in TILES.items():
            for band in BANDS:
                header = fits.Header(cards())
                header["CRPIX1"] -= first
                pixels = sky(band)[:, first:end]
                fits.PrimaryHDU(pixels, header).writeto(folder / "field" / f"{tile}_{band}.fits")
        self.settings = settings_of(folder)
        index_all(self.settings)
        self.client: FlaskClient = create_app(self.settings).test_client()
        self.parts: Parts = assemble(self.settings)

    def get(self, path: str = "/sync", **parameters: str) -> TestResponse:
        """Ask for something."""
        return self.client.get(path, query_string=urlencode(parameters))

    def head(self, **parameters: str) -> TestResponse:
        """Ask what would be answered."""
        return self.client.head("/sync", query_string=urlencode(parameters))

    def run(self, *pairs: tuple[str, str]) -> list[Outcome]:
        """Make the cutouts of a job."""
        limits = JobLimits(Limits(10**6, 10**7), 100, 10, 10**6)
        parts = self.parts
        kind = SodaJobs(parts.soda, limits)
        plan = kind.plan(kind.parse(Parameters.from_pairs(pairs), ANONYMOUS))
        rows = tuple(row for task in plan.tasks for row in task)
        return list(kind.run(Work("job", "owner", rows)))

    def close(self) -> None:
        """Let go of the database."""
        self.parts.engine.dispose()


def said(answer: TestResponse) -> dict[str, str]:
    """What headers say of a cutout: their names without what all begin with."""
    prefix = "X-Cutout-"
    return {name[len(prefix) :]: value for name, value in answer.headers if name.startswith(prefix)}
