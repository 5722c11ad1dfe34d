"""Pixels of plain and gzip images are those of the slice, whatever the type and the order of the axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surveys.errors import BrokenImage
from surveys.fits.cut import Frame, Strip, strips
from surveys.fits.source import Source
from surveys.sky.pixels import PixelBox
from tests.support.tiles import FileCatalog, cut, gzip_members, ramp, same_bits, sky, write_plain

BOXES = (
    None,
    PixelBox(10, 30, 20, 50),
    PixelBox(0, 120, 7, 8),
    PixelBox(119, 120, 99, 100),
    PixelBox(3, 4, 0, 100),
)
DTYPES = ("u1", "i2", "i4", "i8", "f4", "f8")


def expected(pixels: np.ndarray[Any, Any], box: PixelBox | None) -> np.ndarray[Any, Any]:
    return pixels if box is None else pixels[..., box.y0 : box.y1, box.x0 : box.x1]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("read", ["mmap", "pread"])
def test_plain_pixels_are_the_slice(tmp_path: Path, dtype: str, read: Literal["mmap", "pread"]) -> None:
    pixels, catalog = ramp((100, 120), dtype), FileCatalog()
    record = catalog.add(write_plain(tmp_path / "tile.fits", pixels))
    for box in BOXES:
        assert same_bits(cut(catalog, record, box, Source(read)).data, expected(pixels, box))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("members", [1, 3])
def test_gzip_pixels_are_the_slice(tmp_path: Path, dtype: str, members: int) -> None:
    pixels, catalog = ramp((3, 100, 120), dtype), FileCatalog()
    record = catalog.add(gzip_members(write_plain(tmp_path / "tile.fits", pixels), members))
    assert record.storage == "gzip"
    for box in BOXES:
        assert same_bits(cut(catalog, record, box).data, expected(pixels, box))


@pytest.mark.parametrize("shape", [(5, 6, 7, 8), (1, 6, 1, 8), (2, 3, 4, 5, 6)])
@pytest.mark.parametrize("axes", [(0, 1), (0, 2), (1, 2), (1, 3), (0, 3), (2, 3)])
@pytest.mark.parametrize("packed", [False, True])
def test_other_axes_are_carried_whole(
    tmp_path: Path, shape: tuple[int, ...], axes: tuple[int, int], packed: bool
) -> None:
    pixels, catalog = ramp(shape), FileCatalog()
    path = write_plain(tmp_path / "cube.fits", pixels, ())
    record = catalog.add(gzip_members(path) if packed else path, x_axis=axes[0], y_axis=axes[1])
    x, y = len(shape) - 1 - axes[0], len(shape) - 1 - axes[1]
    box = PixelBox(shape[x] // 2, shape[x], 0, (shape[y] + 1) // 2)
    wanted = np.take(np.take(pixels, range(box.x0, box.x1), x), range(box.y0, box.y1), y)
    hdu = cut(catalog, record, box)
    assert same_bits(hdu.data, wanted)
    assert [hdu.header[f"NAXIS{i + 1}"] for i in range(len(shape))] == list(reversed(wanted.shape))


def test_a_gzip_file_is_read_no_further_than_the_last_wanted_row(tmp_path: Path) -> None:
    pixels, catalog = sky((2000, 1000)), FileCatalog()
    packed = gzip_members(write_plain(tmp_path / "tile.fits", pixels))
    record, content = catalog.add(packed), packed.read_bytes()
    packed.write_bytes(content[: len(content) // 2])
    record = catalog.accept(record)
    box = PixelBox(100, 200, 0, 100)
    assert same_bits(cut(catalog, record, box).data, expected(pixels, box))
    with pytest.raises(
        BrokenImage, match=r"^tile\.fits\.gz cannot be inflated: it is cut short or corrupt\.$"
    ):
        cut(catalog, record, PixelBox(100, 200, 1900, 2000))


def test_a_plain_file_cut_short_is_broken(tmp_path: Path) -> None:
    catalog, path = FileCatalog(), write_plain(tmp_path / "tile.fits", sky((200, 100)))
    record = catalog.add(path)
    path.write_bytes(path.read_bytes()[:-50_000])
    record = catalog.accept(record)
    assert cut(catalog, record, PixelBox(0, 10, 0, 10)).shape == (10, 10)
    with pytest.raises(BrokenImage, match=r"^tile\.fits is shorter than its header says"):
        cut(catalog, record, PixelBox(0, 10, 190, 200))


@settings(max_examples=300, deadline=None)
@given(
    frame=st.builds(Frame, *[st.integers(1, 5)] * 5),
    y0=st.integers(-7, 7),
    height=st.integers(1, 40),
    width=st.integers(1, 9),
    limit=st.integers(1, 4000),
    step=st.integers(1, 9),
)
def test_strips_are_in_order_complete_and_bounded(
    frame: Frame, y0: int, height: int, width: int, limit: int, step: int
) -> None:
    box = PixelBox(0, width, y0, y0 + height)
    found = list(strips(frame, box, 4, limit, step))
    rows = [
        (p, y)
        for strip in found
        for p in range(strip.plane0, strip.plane1)
        for y in range(strip.y0, strip.y1)
    ]
    assert rows == [(p, y) for p in range(frame.planes) for y in range(box.y0, box.y1)]
    row_bytes = frame.between * width * frame.within * 4
    for strip in found:
        count = (strip.plane1 - strip.plane0) * (strip.y1 - strip.y0)
        assert count * row_bytes <= max(limit, step * row_bytes)
        assert strip.y1 % step == 0 or strip.y1 == box.y1


def test_a_strip_of_few_planes_holds_them_whole() -> None:
    assert list(strips(Frame(5, 10, 1, 10, 1), PixelBox(0, 10, 0, 10), 1, 250)) == [
        Strip(0, 2, 0, 10),
        Strip(2, 4, 0, 10),
        Strip(4, 5, 0, 10),
    ]
