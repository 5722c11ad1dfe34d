"""What decides the demo survey: groups of tiles, their places on the sky and the names of their files."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS

BANDS = ("g", "r", "i")


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbouring tiles about one point.

    Parameters
    ----------
    name
        Begins the names of its tiles.
    ra_deg, dec_deg
        Centre, ICRS.
    columns, rows
        Number of tiles from east to west and from south to north, 1 or 2 each.
    stars_per_arcmin2
        Down to r = 24.5.
    showpiece
        RA, Dec of a large spiral galaxy; a cluster of galaxies then lies at the centre.
    """

    name: str
    ra_deg: float
    dec_deg: float
    columns: int
    rows: int
    stars_per_arcmin2: float
    showpiece: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides the bytes of the demo survey; a change of the code raises `version`."""

    version: int
    tile_px: int
    pixel_scale_arcsec: float
    overlap: float
    groups: tuple[Group, ...]
    compressed: tuple[str, ...]

    def rng(self, *names: str) -> np.random.Generator:
        """Random numbers of their own for what these names mean, whoever draws them and whenever."""
        return np.random.default_rng([self.version, *(zlib.crc32(name.encode()) for name in names)])


@dataclass(frozen=True, slots=True)
class DemoCutout:
    """A circle worth looking at."""

    dataset: str
    ra_deg: float
    dec_deg: float
    radius_deg: float


DEMO = DemoCutout("demo/r", 150.1, 2.2, 0.018)
#: A supernova in the spiral galaxy there.
DEMO_OBJECT = "demo-alerts/object/FS26aaaaaaa"
RECIPE = Recipe(
    version=1,
    tile_px=2000,
    pixel_scale_arcsec=0.3,
    overlap=0.05,
    groups=(
        Group("field", 150.05, 2.15, 2, 2, 2.5, showpiece=(DEMO.ra_deg, DEMO.dec_deg)),
        Group("zero", 0.0, -0.6, 2, 1, 2.0),
        # The pole lies 87 arcsec inside the northern tile (which is upside down: north is up at its own
        # centre, beyond the pole), 57 arcsec outside the southern.
        Group("pole", 0.0, 89.98, 1, 2, 4.0),
    ),
    compressed=("field-sw", "zero-e", "pole-n", "pole-s"),
)


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile in one band. `east_px`, `north_px`: its centre, from the centre of its group."""

    group: Group
    name: str
    band: str
    east_px: float
    north_px: float
    compressed: bool

    @property
    def files(self) -> tuple[str, str]:
        """Names of the image and of its weight, below the survey's folder."""
        suffix = ".fits.fz" if self.compressed else ".fits"
        return f"images/{self.name}_{self.band}{suffix}", f"weights/{self.name}_{self.band}.fits.fz"


def tiles_of(recipe: Recipe) -> Iterator[Tile]:
    """Every tile of the recipe in every band."""
    step = recipe.tile_px * (1 - recipe.overlap)
    for group in recipe.groups:
        for row in range(group.rows):
            for column in range(group.columns):
                south_north = "sn"[row] if group.rows == 2 else ""
                east_west = "ew"[column] if group.columns == 2 else ""
                name = f"{group.name}-{south_north}{east_west}".removesuffix("-")
                east_px = step * ((group.columns - 1) / 2 - column)
                north_px = step * (row - (group.rows - 1) / 2)
                for band in BANDS:
                    yield Tile(group, name, band, east_px, north_px, name in recipe.compressed)


def tile_wcs(recipe: Recipe, tile: Tile, plane: WCS) -> WCS:
    """TAN at the tile's own centre, north up and east to the left there."""
    scale = recipe.pixel_scale_arcsec
    ra, dec = plane.all_pix2world(tile.east_px * scale, tile.north_px * scale, 0)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [round(float(ra), 7), round(float(dec), 7)]
    wcs.wcs.crpix = [(recipe.tile_px + 1) / 2] * 2
    wcs.wcs.cd = [[-scale / 3600, 0], [0, scale / 3600]]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.set()
    return wcs
