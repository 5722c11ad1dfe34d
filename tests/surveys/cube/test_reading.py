"""Parts of cubes of any order of axes, out of any kind of file: the pixels and the WCS of the parent."""

from __future__ import annotations

import itertools
import os
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from surveys import execute as engine
from surveys.execute import execute
from surveys.fits.source import Source
from surveys.image import ImageRecord
from surveys.plan import CutoutPlan, Ranges
from surveys.sky.pixels import PixelBox
from tests.support.tiles import FileCatalog, gzip_members, ramp, write_compressed, write_plain
from tests.surveys.cube.cubes import (
    DEC,
    FREQ,
    RA,
    STOKES,
    Axis,
    cards_of,
    facts_of,
    part_of,
    plain_cube,
    plan_with,
)

AXES: dict[str, tuple[Axis, int]] = {"RA": (RA, 7), "DEC": (DEC, 6), "FREQ": (FREQ, 9), "STOKES": (STOKES, 4)}
ORDERS = list(itertools.permutations(AXES))
STORAGES = ("mmap", "pread", "gzip", "rice", "gzip tiles")


def stored(
    catalog: FileCatalog, folder: Path, order: tuple[str, ...], storage: str, dtype: str
) -> ImageRecord:
    """Store a cube whose axes have this order, in FITS order."""
    cards = cards_of(*(AXES[name][0] for name in order), SPECSYS="BARYCENT")
    pixels = ramp([AXES[name][1] for name in reversed(order)], dtype)
    path = folder / f"{'-'.join(order)}-{len(catalog.records)}.fits"
    facts = facts_of(cards)
    if "tiles" in storage or storage == "rice":
        method = "RICE_1" if storage == "rice" else "GZIP_1"
        tile = tuple(max(1, n // 2) for n in pixels.shape)
        write_compressed(path, pixels, cards, compression_type=method, tile_shape=tile)
        return catalog.add(path, 1, **facts)
    write_plain(path, pixels, cards)
    return catalog.add(gzip_members(path, 3) if storage == "gzip" else path, **facts)


def ranges_of(order: tuple[str, ...], **limits: tuple[int, int, int]) -> Ranges:
    return tuple(sorted((order.index(name), *limit) for name, limit in limits.items()))


def check(plan: CutoutPlan, record: ImageRecord, catalog: FileCatalog, source: Source, dtype: str) -> None:
    """Compare a cutout with its parent: every pixel, and where every pixel lies on every axis."""
    content = execute(plan, catalog, source).tobytes()
    (piece,), grid = plan.pieces, plan.grid
    assert grid is not None
    whole = ramp(record.shape, dtype)
    with fits.open(BytesIO(content)) as hdus:
        hdus.verify("exception")
        data, header = hdus[0].data, hdus[0].header
        if grid == piece.box:
            assert np.array_equal(data, part_of(whole, record, piece.ranges, piece.box))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ours, theirs = WCS(header), WCS(fits.Header.fromstring(record.wcs_text))
    index = np.indices(data.shape).reshape(data.ndim, -1).T[:, ::-1].astype(float)
    parent = index.copy()
    parent[:, record.x_axis] += grid.x0
    parent[:, record.y_axis] += grid.y0
    for axis, first, _, step in piece.ranges:
        parent[:, axis] = first + step * index[:, axis]
        assert header[f"LTV{axis + 1}"] == 1 - (first + 1) / step
        assert header[f"LTM{axis + 1}_{axis + 1}"] == 1 / step
    np.testing.assert_allclose(ours.wcs_pix2world(index, 0), theirs.wcs_pix2world(parent, 0), rtol=1e-13)


CUTS: dict[str, dict[str, tuple[int, int, int]]] = {
    "channels": {"FREQ": (2, 6, 1)},
    "one channel": {"FREQ": (8, 9, 1)},
    "one state": {"STOKES": (2, 3, 1)},
    "states apart": {"STOKES": (0, 4, 3)},
    "channels and states": {"FREQ": (3, 8, 1), "STOKES": (1, 4, 2)},
}


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("cut", CUTS)
def test_soda_65_parts_of_cubes_of_every_order(tmp_path: Path, storage: str, cut: str) -> None:
    dtype = "i4" if "tiles" in storage or storage == "rice" else "f4"
    source = Source(read="pread") if storage == "pread" else Source()
    # RA before DEC: the other half of the orders is the same, for what is read
    for number, order in enumerate(order for order in ORDERS if order.index("RA") < order.index("DEC")):
        catalog = FileCatalog()
        record = stored(catalog, tmp_path, order, storage, dtype)
        box = PixelBox(2, min(5, record.nx), 1, 4) if number % 2 else None
        check(plan_with(record, ranges_of(order, **CUTS[cut]), box), record, catalog, source, dtype)


@pytest.mark.parametrize("storage", STORAGES)
def test_parts_of_cubes_in_small_strips(
    tmp_path: Path, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As large products are made: plane by plane, some rows at a time."""
    monkeypatch.setattr(engine, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(engine, "STRIP_BYTES", 60)
    source = Source(read="pread") if storage == "pread" else Source()
    for order in ORDERS[::5]:
        catalog = FileCatalog()
        record = stored(catalog, tmp_path, order, storage, "i4")
        ranges = ranges_of(order, FREQ=(3, 8, 1), STOKES=(0, 4, 3))
        check(plan_with(record, ranges, PixelBox(1, 5, 2, 6)), record, catalog, source, "i4")


@pytest.mark.parametrize("storage", STORAGES)
def test_parts_of_cubes_that_stick_out_are_padded(tmp_path: Path, storage: str) -> None:
    for order in ORDERS[::5]:
        catalog = FileCatalog()
        record = stored(catalog, tmp_path, order, storage, "i4")
        ranges = ranges_of(order, FREQ=(3, 5, 1))
        box = PixelBox(-2, record.nx + 1, -1, 4)
        plan = plan_with(record, ranges, box)
        check(plan, record, catalog, Source(), "i4")
        with fits.open(BytesIO(execute(plan, catalog, Source()).tobytes())) as hdus:
            y, x = 3 - record.y_axis, 3 - record.x_axis
            inside = np.take(np.take(hdus[0].data, range(1, 5), axis=y), range(2, 2 + record.nx), axis=x)
            expected = part_of(ramp(record.shape, "i4"), record, ranges, PixelBox(0, record.nx, 0, 4))
            assert np.array_equal(inside, expected)
            assert np.isnan(hdus[0].data).sum() == hdus[0].data.size - inside.size


@pytest.fixture
def read_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of each read of a file."""
    counts: list[int] = []
    real = os.preadv

    def counted(fd: int, buffers: list[Any], offset: int, *flags: int) -> int:
        if not flags:
            counts.append(sum(len(memoryview(buffer).cast("B")) for buffer in buffers))
        return real(fd, buffers, offset, *flags)

    monkeypatch.setattr(os, "preadv", counted)
    return counts


@pytest.mark.parametrize(
    ("order", "lengths"),
    [
        ((RA, DEC, FREQ), (50, 40, 300)),
        ((RA, FREQ, DEC), (50, 300, 40)),
        ((FREQ, RA, DEC), (300, 50, 40)),
        ((FREQ, RA, DEC), (20_000, 8, 6)),
    ],
)
def test_only_what_is_wanted_is_read(
    tmp_path: Path, read_bytes: list[int], order: tuple[Axis, ...], lengths: tuple[int, ...]
) -> None:
    catalog = FileCatalog()
    record = plain_cube(catalog, tmp_path / "cube.fits", lengths, *order)
    axis = order.index(FREQ)
    ranges = ((axis, 100, 103, 1),)
    content = execute(plan_with(record, ranges), catalog, Source(read="pread")).tobytes()
    with fits.open(BytesIO(content)) as hdus:
        assert hdus[0].data.shape[-1 - axis] == 3
    whole, wanted = 4 * np.prod(lengths), 4 * np.prod(lengths) * 3 / lengths[axis]
    # Channels that vary fastest lie closer together than what a disk gives at a time.
    fastest = axis == 0 and lengths[0] * 4 < 4096
    assert sum(read_bytes) <= (whole if fastest else 2 * wanted)
    assert len(read_bytes) <= 400


def test_few_large_reads_where_wanted_pixels_lie_together(tmp_path: Path, read_bytes: list[int]) -> None:
    catalog = FileCatalog()
    record = plain_cube(catalog, tmp_path / "cube.fits", (50, 40, 300), RA, DEC, FREQ)
    execute(plan_with(record, ((2, 100, 120, 1),)), catalog, Source(read="pread")).tobytes()
    assert read_bytes == [4 * 50 * 40 * 20]
    read_bytes.clear()
    execute(plan_with(record, ((2, 100, 120, 1),), PixelBox(10, 14, 5, 9)), catalog, Source(read="pread"))
    assert len(read_bytes) == 20, "a read for each channel"


def test_whole_cubes_are_as_they_were(tmp_path: Path) -> None:
    """Without ranges nothing but the pixels of the sky is touched: cards of other axes stay as they stand."""
    catalog = FileCatalog()
    record = plain_cube(catalog, tmp_path / "cube.fits", (7, 6, 5), RA, DEC, FREQ, ALTRPIX=2.0)
    header = fits.Header.fromstring(execute(plan_with(record, ()), catalog, Source()).tobytes()[:5760])
    assert str(header.cards["CRPIX3"]) == str(fits.Header.fromstring(record.wcs_text).cards["CRPIX3"])
    assert "LTV3" not in header
    assert "EXTEND" not in header
