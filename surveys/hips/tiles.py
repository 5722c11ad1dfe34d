"""Tiles as files: FITS and PNG, each with a key that tells what it was made of."""

from __future__ import annotations

import hashlib
import math
import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from surveys.fits.header import BLOCK, CARD, card
from surveys.hips.geometry import TILE, quarter_of, wcs_text

Image = NDArray[np.float32]

#: Card of a tile, and keyword of the text in a PNG file, that hold its key.
KEY = "TILEKEY"
_DIGEST_BYTES = 16
_DATA_BYTES = TILE * TILE * 4
_PNG_HEAD = 33  # signature and IHDR
_PNG_END = b"IEND\xaeB`\x82"


def key_for(*facts: object) -> str:
    """Key of what is made of some facts, which `repr` writes in full."""
    return hashlib.blake2b(repr(facts).encode(), digest_size=_DIGEST_BYTES).hexdigest()


def encode_fits(pixels: Image, order: int, tile: int, key: str, extra: str = "") -> bytes:
    """Write a tile, shape (512, 512), first row at the bottom; NaN where it has no data.

    Parameters
    ----------
    extra
        Further cards.
    """
    known = pixels[np.isfinite(pixels)]
    header = "".join(
        (
            _structure(TILE, TILE),
            card("ORDER", order, "order of the tile"),
            card("NPIX", tile, "number of the tile (NESTED)"),
            card(KEY, key, "what it was made of"),
            card("DATAMIN", float(known.min()), "least pixel") if known.size else "",
            card("DATAMAX", float(known.max()), "greatest pixel") if known.size else "",
            wcs_text(order, tile),
            extra,
        )
    )
    return _whole(header, pixels)


def encode_allsky(pixels: Image, order: int) -> bytes:
    """Write the tiles of an order side by side."""
    return _whole(_structure(pixels.shape[1], pixels.shape[0]) + card("ORDER", order), pixels)


def _structure(width: int, height: int) -> str:
    return "".join(
        (
            card("SIMPLE", True, "FITS 4.0"),
            card("BITPIX", -32),
            card("NAXIS", 2),
            card("NAXIS1", width),
            card("NAXIS2", height),
        )
    )


def _whole(header: str, pixels: Image) -> bytes:
    text = header + "END".ljust(CARD)
    text = text.ljust(-(-len(text) // BLOCK) * BLOCK)
    data = pixels.astype(">f4").tobytes()
    return text.encode("ascii") + data + bytes(-len(data) % BLOCK)


def read_fits(path: Path) -> Image:
    """Read the pixels of a tile of ours."""
    content = path.read_bytes()
    start = len(content) - _padded(_DATA_BYTES)
    pixels = np.frombuffer(content, ">f4", TILE * TILE, start).reshape(TILE, TILE)
    return pixels.astype(np.float32)


def fits_facts(path: Path) -> Mapping[str, str] | None:
    """Cards of a tile of ours, values as written; None if there is no whole tile."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            header = file.read(size - _padded(_DATA_BYTES)) if size > _padded(_DATA_BYTES) else b""
    except FileNotFoundError:
        return None
    if not header or len(header) % BLOCK:
        return None
    cards = (header[at : at + CARD].decode("ascii", "replace") for at in range(0, len(header), CARD))
    found = {line[:8].rstrip(): line[10:].partition(" / ")[0].strip() for line in cards if line[8:9] == "="}
    return found if KEY in found else None


def fits_key(path: Path) -> str | None:
    """Key of a tile; None if there is no whole tile."""
    facts = fits_facts(path)
    return None if facts is None else facts[KEY].strip("' ")


def data_range(facts: Mapping[str, str]) -> tuple[float, float]:
    """Least and greatest pixel of a tile; NaN where it has none."""
    return float(facts.get("DATAMIN", "nan")), float(facts.get("DATAMAX", "nan"))


def averaged(children: Mapping[int, Image]) -> Image:
    """Tile of four, some of which may be missing: each pixel the mean of the four it holds that have data."""
    parent = np.full((TILE, TILE), np.nan, np.float32)
    for child, pixels in children.items():
        parent[quarter_of(child)] = mean_of_blocks(pixels, 2)
    return parent


def mean_of_blocks(pixels: Image, side: int) -> Image:
    """Means of blocks of pixels, of those with data; NaN where none has."""
    height, width = pixels.shape
    blocks = pixels.reshape(height // side, side, width // side, side)
    known = np.isfinite(blocks)
    count = known.sum(axis=(1, 3))
    total = np.where(known, blocks, 0.0).sum(axis=(1, 3), dtype=np.float64)
    means = np.full(count.shape, np.nan, np.float32)
    np.divide(total, count, out=means, where=count > 0, casting="same_kind")
    return means


def with_key(png: bytes, key: str) -> bytes:
    """Put a key into a PNG file, as its first text."""
    content = b"tEXt" + KEY.encode() + b"\x00" + key.encode()
    chunk = (len(content) - 4).to_bytes(4, "big") + content + zlib.crc32(content).to_bytes(4, "big")
    return png[:_PNG_HEAD] + chunk + png[_PNG_HEAD:]


def png_key(path: Path) -> str | None:
    """Key of a picture; None if there is no whole picture with one."""
    mark = b"tEXt" + KEY.encode() + b"\x00"
    try:
        with path.open("rb") as file:
            head = file.read(_PNG_HEAD + 4 + len(mark) + 2 * _DIGEST_BYTES)
            if file.seek(0, os.SEEK_END) < len(head) + len(_PNG_END):
                return None
            file.seek(-len(_PNG_END), os.SEEK_END)
            whole = file.read() == _PNG_END
    except FileNotFoundError:
        return None
    _, found, key = head.partition(mark)
    return key.decode("ascii", "replace") if whole and found else None


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_bytes(content)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def joined_range(ranges: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Least and greatest of some ranges; NaN of none."""
    low, high = math.nan, math.nan
    for least, greatest in ranges:
        low, high = np.fmin(low, least), np.fmax(high, greatest)
    return float(low), float(high)


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
