"""What a HiPS has beside its tiles: the sky at a glance, its coverage, and where to look first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from surveys.hips.geometry import ALLSKY_ORDER, TILE, Integers, pixel_scale_deg, tile_path, wcs_text
from surveys.hips.properties import Centre
from surveys.hips.tiles import Image, fits_key, mean_of_blocks, read_fits
from surveys.sky.sphere import Floats, normalized, ra_dec_deg, separation_deg
from surveys.sky.wcs import CelestialWcs

if TYPE_CHECKING:
    from mocpy import MOC

#: In the picture of the whole sky, pixels of a side of a tile, and tiles of a row (HiPS 1.0, section 4.3.2).
SMALL = 64
ACROSS = 27
_DOWN = -(-12 * 4**ALLSKY_ORDER // ACROSS)


def allsky_pixels(folder: Path, tiles: Integers) -> Image:
    """Put the tiles of the order of the whole sky side by side, made small, from the upper left, row by row.

    As in every FITS array, its first row is the lowest.
    """
    pixels = np.full((_DOWN * SMALL, ACROSS * SMALL), np.nan, np.float32)
    for tile in tiles:
        path = folder / tile_path(ALLSKY_ORDER, int(tile), "fits")
        if fits_key(path) is None:
            continue
        row, column = divmod(int(tile), ACROSS)
        y, x = (_DOWN - 1 - row) * SMALL, column * SMALL
        pixels[y : y + SMALL, x : x + SMALL] = mean_of_blocks(read_fits(path), TILE // SMALL)
    return pixels


def moc_of(tiles: Integers, order: int) -> MOC:
    """Coverage of the tiles of an order."""
    from mocpy import MOC

    depth = np.full(len(tiles), order, dtype=np.uint8)
    return MOC.from_healpix_cells(tiles.astype(np.uint64), depth, max_depth=order)


def centre_of(tiles: Integers, order: int) -> Centre:
    """Where a viewer sees most at once: the middle of the deepest tiles in one of some degrees."""
    large, counts = np.unique(tiles >> 2 * (order - ALLSKY_ORDER), return_counts=True)
    most = large[np.argmax(counts)]
    inside = tiles[tiles >> 2 * (order - ALLSKY_ORDER) == most]
    # A few hundred tell where they are.
    vectors = np.array([_middle(order, int(tile)) for tile in inside[:: max(1, len(inside) // 256)]])
    centre = normalized(vectors.mean(axis=0))
    reach = float(np.max(separation_deg(vectors, centre)))
    ra, dec = (float(value) for value in ra_dec_deg(centre))
    return Centre(ra, dec, min(2.0 * reach + 1.5 * TILE * pixel_scale_deg(order), 180.0))


def size_of(folder: Path) -> tuple[int, int]:
    """Tiles below a folder, and bytes of all its files."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sum(path.name.startswith("Npix") for path in files), sum(path.stat().st_size for path in files)


def _middle(order: int, tile: int) -> Floats:
    wcs = CelestialWcs.from_text(wcs_text(order, tile), 0, 1, TILE, TILE)
    return wcs.to_sky((TILE - 1) / 2, (TILE - 1) / 2)
