"""Cutouts in one process, against what a user of astropy would write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS
from numpy.typing import NDArray

from benchmarks.table import Row, paired_ms
from surveys.execute import execute
from surveys.fits.compressed import warm_up
from surveys.fits.source import Source
from surveys.image import ImageRecord
from surveys.plan import CutoutPlan
from surveys.sky.pixels import PixelBox
from tests.support.tiles import FileCatalog, plan_of

SIDE = 10000
SIZE = 256
POSITIONS = 64


def sky_header(cards: int = 155) -> fits.Header:
    """Return a header like that of a coadd, with so many cards."""
    header = fits.Header()
    header.update(
        CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CUNIT1="deg", CUNIT2="deg", CRPIX1=5000.5, CRPIX2=5000.5,
        CRVAL1=150.1, CRVAL2=2.2, CD1_1=-7.3e-5, CD1_2=0.0, CD2_1=0.0, CD2_2=7.3e-5, RADESYS="ICRS",
    )  # fmt: skip
    for i in range((cards - len(header)) // 3):
        header[f"EXP{i:05d}"] = (30.0 + i / 7, "exposure time of an input [s]")
        header[f"INP{i:05d}"] = (f"c4d_{i:06d}_ooi_g_v1.fits", "an input")
        header[f"SEE{i:05d}"] = (1.0 + i / 1000, "its seeing [arcsec]")
    return header


def sky_pixels() -> NDArray[np.float32]:
    """Return noise, the same in every run."""
    random = np.random.default_rng(1)
    pixels = np.empty((SIDE, SIDE), np.float32)
    for row in range(0, SIDE, 500):
        random.standard_normal(dtype=np.float32, out=pixels[row : row + 500])
    pixels *= 5.0
    return pixels


def make_tiles(folder: Path) -> dict[str, Path]:
    """Make the plain tile, the one with 3000 cards, and the Rice one; those that are there are kept."""
    paths = {name: folder / f"{name}.fits" for name in ("plain", "cards", "rice")}
    if all(path.exists() for path in paths.values()):
        return paths
    pixels = sky_pixels()
    fits.PrimaryHDU(pixels, sky_header()).writeto(paths["plain"], overwrite=True)
    fits.PrimaryHDU(pixels, sky_header(3000)).writeto(paths["cards"], overwrite=True)
    rice = fits.CompImageHDU(
        pixels,
        sky_header(),
        compression_type="RICE_1",
        tile_shape=(1, SIDE),
        quantize_method=1,
        dither_seed=1,
        quantize_level=16,
    )
    fits.HDUList([fits.PrimaryHDU(), rice]).writeto(paths["rice"], overwrite=True)
    return paths


def boxes(count: int, size: int) -> Iterator[PixelBox]:
    """Return random boxes inside the tile."""
    for x, y in np.random.default_rng(2).integers(0, SIDE - size, (count, 2)).tolist():
        yield PixelBox(x, x + size, y, y + size)


def plans_of(record: ImageRecord, size: int) -> list[CutoutPlan]:
    """Return ready plans at random positions."""
    return [plan_of(record, box, canonical="sync?ID=demo") for box in boxes(POSITIONS, size)]


def with_cutout2d(path: Path, size: int) -> Callable[[int], bytes]:
    """Return the peer: open, cut by position, write."""
    wcs = WCS(sky_header())
    centres = [wcs.pixel_to_world(b.x0 + size / 2, b.y0 + size / 2) for b in boxes(POSITIONS, size)]

    def cut(run: int) -> bytes:
        centre: SkyCoord = centres[run % POSITIONS]
        with fits.open(path) as hdus:
            header = hdus[0].header
            cutout = Cutout2D(hdus[0].data, centre, (size, size), WCS(header))
            header = header.copy()
            header.update(cutout.wcs.to_header())
            target = BytesIO()
            fits.PrimaryHDU(cutout.data, header).writeto(target)
        return target.getvalue()

    return cut


def with_section(path: Path, size: int) -> Callable[[int], bytes]:
    """Return the peer for compressed tiles: open, decode a section, write."""
    wanted = list(boxes(POSITIONS, size))

    def cut(run: int) -> bytes:
        box = wanted[run % POSITIONS]
        with fits.open(path) as hdus:
            header = hdus[1].header.copy()
            data = hdus[1].section[box.y0 : box.y1, box.x0 : box.x1]
            header.update(WCS(header)[box.y0 : box.y1, box.x0 : box.x1].to_header())
            target = BytesIO()
            fits.PrimaryHDU(data, header).writeto(target)
        return target.getvalue()

    return cut


def rows(folder: Path) -> Iterator[Row]:
    """Measure; the tiles are made in `folder` and stay there."""
    tiles = make_tiles(folder)
    catalog, source = FileCatalog(), Source()
    warm_up()
    for name, hdu, peer, goals, runs in (
        ("plain", 0, with_cutout2d, {64: 200.0, SIZE: 60.0, 1024: 10.0}, (600, 20)),
        ("cards", 0, with_cutout2d, {SIZE: 300.0}, (600, 12)),
        ("rice", 1, with_section, {SIZE: 5.0}, (60, 20)),
    ):
        record = catalog.add(tiles[name], hdu)
        for size, goal in goals.items():
            plans = plans_of(record, size)

            def ours(run: int, plans: list[CutoutPlan] = plans) -> int:
                return sum(map(len, execute(plans[run % POSITIONS], catalog, source).chunks()))

            took = paired_ms(ours, peer(tiles[name], size), *runs)
            label = {"plain": "float32", "cards": "float32, 3000 cards", "rice": "Rice, a row a tile"}[name]
            method = "Cutout2D" if peer is with_cutout2d else ".section"
            yield Row(f"{label}: execute {size}x{size}", *took, "ms", f"astropy {method}", "faster", goal)
