"""Unpacking what a page has stored, into as many bytes as it says, no more and no fewer."""

from __future__ import annotations

from typing import cast

from isal import isal_zlib

from surveys.parquet.arrow import pyarrow
from surveys.parquet.thrift import Malformed

#: Compressions that are unpacked here, as Parquet numbers them; pages of others are left to pyarrow.
UNCOMPRESSED, SNAPPY, GZIP, BROTLI, ZSTD, LZ4_RAW = 0, 1, 2, 4, 6, 7
CODECS = (UNCOMPRESSED, SNAPPY, GZIP, BROTLI, ZSTD, LZ4_RAW)
_NAMES = {SNAPPY: "snappy", BROTLI: "brotli", ZSTD: "zstd", LZ4_RAW: "lz4_raw"}
_GZIP_OR_ZLIB = 32 + 15
# isal declares its error as an object, not as a class.
_GzipError = cast(type[Exception], isal_zlib.error)


def unpack(codec: int, stored: memoryview, size: int) -> memoryview:
    """Unpack `stored`, which must come to exactly `size` bytes.

    Raises
    ------
    Malformed
        If it does not.
    """
    if codec == UNCOMPRESSED:
        unpacked = stored
    elif not size:
        unpacked = memoryview(b"")
    elif codec == GZIP:
        unpacked = _gunzip(stored, size)
    else:
        unpacked = _by_pyarrow(codec, stored, size)
    if len(unpacked) != size:
        raise Malformed
    return unpacked


def _gunzip(stored: memoryview, size: int) -> memoryview:
    inflater = isal_zlib.decompressobj(wbits=_GZIP_OR_ZLIB)
    try:
        unpacked = inflater.decompress(stored, max_length=size + 1)
    except _GzipError:
        raise Malformed from None
    if not inflater.eof:
        raise Malformed
    return memoryview(unpacked)


def _by_pyarrow(codec: int, stored: memoryview, size: int) -> memoryview:
    name = _NAMES[codec]
    if codec == SNAPPY and snappy_size(stored) != size:
        raise Malformed  # what is not filled would be whatever memory had
    try:
        if codec == BROTLI:
            with pyarrow().CompressedInputStream(pyarrow().BufferReader(stored), name) as stream:
                return memoryview(stream.read(size + 1))
        unpacker = pyarrow().Codec(name)
        unpacked = memoryview(unpacker.decompress(stored, size))
    except (OSError, ValueError):
        raise Malformed from None
    if codec == LZ4_RAW:
        _refuse_shorter(unpacker, stored, size)
    return unpacked


def snappy_size(stored: memoryview) -> int:
    """Bytes that a block of snappy says it has, as it begins."""
    number = 0
    for place, byte in enumerate(stored[:5]):
        number |= (byte & 0x7F) << 7 * place
        if not byte & 0x80:
            return number
    raise Malformed


def _refuse_shorter(unpacker: object, stored: memoryview, size: int) -> None:
    """Refuse a block of lz4, which does not say how many bytes it has, if one fewer were room enough."""
    try:
        unpacker.decompress(stored, size - 1)  # type: ignore[attr-defined]
    except (OSError, ValueError):
        return
    raise Malformed
