"""One column in one row group: where its pages are, by their headers alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from surveys.errors import BrokenImage
from surveys.parquet.reader import LakeReader, read_ahead
from surveys.parquet.thrift import DICTIONARY_PAGE, INDEX_PAGE, Malformed, PageHeader, read_page_header

#: Bytes of a page, unpacked, beyond which it is not looked into.
MOST_UNPACKED = 128 << 20

_FIRST_LOOK = 256
_MOST_HEADER = 1 << 22
#: Pages of a chunk that may have no values: its dictionary, and what writers leave empty.
_MOST_IDLE = 64


class Chunk(NamedTuple):
    """A column of a row group, as the footer has it.

    Parameters
    ----------
    group
        Number of the row group, from 0.
    offset, size
        Where its pages are, as they are stored.
    rows
        Of the group.
    values
        Number of values, those that are null among them; of a column of lists there may be more than rows.
    codec
        Its compression, as Parquet numbers them.
    """

    group: int
    offset: int
    size: int
    rows: int
    values: int
    codec: int


class FoundPage(NamedTuple):
    """A page: where its header begins, and what that says."""

    offset: int
    header: PageHeader

    @property
    def length(self) -> int:
        """Bytes of the header and of the page."""
        return self.header.length + self.header.stored


def walk_pages(reader: LakeReader, chunk: Chunk) -> Iterator[FoundPage]:
    """Find the pages of a chunk one after the other, until all its values are there.

    Raises
    ------
    BrokenImage
        If they are not, or a page says of itself what cannot be.
    """
    reader = read_ahead(reader)
    at, end, values, idle = chunk.offset, chunk.offset + chunk.size, 0, 0
    while values < chunk.values:
        header = _header(reader, at, end)
        page = FoundPage(at, header)
        if at + page.length > end:
            raise broken(reader, "a page reaches beyond its column")
        if header.unpacked > MOST_UNPACKED:
            raise broken(reader, f"a page has more than {MOST_UNPACKED >> 20} MB")
        at += page.length
        idle += header.kind in (INDEX_PAGE, DICTIONARY_PAGE) or not header.values
        if idle > _MOST_IDLE:
            raise broken(reader, "its pages have no values")
        if header.kind != DICTIONARY_PAGE:
            values += header.values
        yield page
    if values != chunk.values:
        raise broken(reader, "its pages have more values than its column")


def broken(reader: LakeReader, reason: str) -> BrokenImage:
    """Make the error that says what is wrong with a file of a lake."""
    return BrokenImage(f"{reader.name} is corrupt: {reason}.")


def _header(reader: LakeReader, at: int, end: int) -> PageHeader:
    look = _FIRST_LOOK
    while at < end:
        some = reader.read(at, min(look, end - at))
        try:
            header = read_page_header(some)
        except Malformed:
            break
        if header is not None:
            return header
        if len(some) < look or look >= _MOST_HEADER:
            break
        look *= 16
    raise broken(reader, "there is no page where one should be")
