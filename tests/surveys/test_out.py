"""Where products are put together: memory and files hold the same, and a file leaves nothing."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import pytest

from surveys.errors import NoRoom
from surveys.fits.hdus import header_of
from surveys.fits.header import card
from surveys.fits.out import FileOut, MemoryOut, Out, open_out


@pytest.mark.parametrize("in_memory", [10_000, 0])
def test_bytes_come_in_any_order(tmp_path: Path, in_memory: int) -> None:
    out: Out = open_out(5000, in_memory, tmp_path)
    assert isinstance(out, MemoryOut if in_memory else FileOut)
    pixels = np.arange(600, dtype="<f4").reshape(20, 30)
    written = out.put(2000, pixels, np.dtype(">f4"))
    assert written.tobytes() == pixels.astype(">f4").tobytes()
    out.write(10, b"head")
    expected = bytearray(5000)
    expected[2000:4400] = pixels.astype(">f4").tobytes()
    expected[10:14] = b"head"
    for size in (5000, 999):
        chunks = list(out.chunks(size))
        assert b"".join(chunks) == bytes(expected)
        assert max(map(len, chunks)) <= (5000 if in_memory else size)


@pytest.mark.parametrize("in_memory", [10_000, 0])
def test_pixels_may_be_made_where_they_are_put(tmp_path: Path, in_memory: int) -> None:
    out: Out = open_out(5000, in_memory, tmp_path)
    room = out.room(2000, (20, 30), np.dtype(">f4"))
    assert (room is None) == (not in_memory)
    pixels = np.empty((20, 30), np.float32) if room is None else room
    pixels[:] = np.arange(600).reshape(20, 30)
    expected = pixels.astype(">f4").tobytes()
    assert out.put(2000, pixels, np.dtype(">f4")).tobytes() == expected
    assert b"".join(out.chunks(5000))[2000:4400] == expected


def test_a_file_cannot_be_seen_and_is_closed(tmp_path: Path) -> None:
    gc.collect()  # what other tests left open is closed now, not below
    before = len(os.listdir("/proc/self/fd"))
    out = FileOut(5000, tmp_path / "new" / "spool")
    assert list((tmp_path / "new" / "spool").iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) == before + 1
    del out
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_has_no_room_is_known_before_it_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NoRoom, match="no room for a temporary file of 5000 bytes"):
        FileOut(5000, tmp_path / "file" / "spool")
    with pytest.raises(NoRoom, match=r"bytes: \w+"):
        FileOut(1 << 62, tmp_path)


def test_a_long_extname_of_the_source_is_kept_whole() -> None:
    long = "x" * 100
    text = card("SIMPLE", True) + card("BITPIX", 8) + card("NAXIS", 0) + card("EXTNAME", long) + card("A", 1)
    cards = header_of(text).as_extension("g").cards
    words = [str(one)[:8].rstrip() for one in cards]
    assert words == [
        "XTENSION", "BITPIX", "NAXIS", "PCOUNT", "GCOUNT", "EXTNAME", "O_EXTNM", "CONTINUE", "A"
    ]  # fmt: skip
    assert header_of(text).extended().extended().cards == header_of(text).extended().cards
