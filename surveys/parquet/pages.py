"""Where the values of a column of bytes lie in a file: found once, when it is indexed, and kept small."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surveys.errors import ImageRefused
from surveys.parquet.chunk import Chunk, FoundPage, broken, walk_pages
from surveys.parquet.codecs import CODECS
from surveys.parquet.footer import BYTE_ARRAY, FIXED_BYTES, Footer, Leaf
from surveys.parquet.reader import LakeReader, read_ahead
from surveys.parquet.thrift import DATA_PAGE, DATA_PAGE_V2, DICTIONARY_PAGE, PageHeader
from surveys.parquet.values import PLAIN, PLAIN_DICTIONARY, RLE, RLE_DICTIONARY

Numbers = NDArray[np.int64]

_VERSION = 1
_HEAD = struct.Struct("<BBHII")
_MOST_PACKED = 1 << 28


@dataclass(frozen=True, slots=True, eq=False)
class ColumnPages:
    """Data pages of a column of bytes, of all row groups.

    Parameters
    ----------
    column
        Its name.
    level
        Definition level of a value that is not null; 0 where none can be.
    firsts
        First row of each page, and behind the last the number of rows.
    offsets, lengths
        Where each page with its header lies. A length of 0 stands for all pages of a row group, which cannot
        be read one by one.
    groups
        Row group of each page.
    codecs
        Compression in each row group, as Parquet numbers them.
    dictionaries, dictionary_lengths
        Where the dictionary of each row group lies; a length of 0 where it has none.
    """

    column: str
    level: int
    firsts: Numbers
    offsets: Numbers
    lengths: Numbers
    groups: Numbers
    codecs: Numbers
    dictionaries: Numbers
    dictionary_lengths: Numbers

    @property
    def rows(self) -> int:
        """Rows of the file."""
        return int(self.firsts[-1])

    def page_of(self, row: int) -> int:
        """Give the page that a row of the file is in."""
        return int(self.firsts.searchsorted(row, "right")) - 1

    def pack(self) -> bytes:
        """Write it as few bytes."""
        column = self.column.encode()
        gaps = np.diff(self.offsets, prepend=0)
        gaps[1:] -= self.lengths[:-1]
        steps = (np.diff(self.firsts), np.diff(self.groups, prepend=0))
        places = (self.codecs, self.dictionaries, self.dictionary_lengths)
        numbers = np.concatenate([gaps, self.lengths, *steps, *places])
        # The highest bytes of all numbers are the same, and so side by side.
        shuffled = numbers.astype("<i8").view(np.uint8).reshape(-1, 8).T.tobytes()
        head = _HEAD.pack(_VERSION, self.level, len(column), len(self.offsets), len(self.codecs))
        return head + column + zlib.compress(shuffled, 9, wbits=-15)

    @classmethod
    def unpack(cls, data: bytes) -> ColumnPages:
        """Read what `pack` wrote.

        Raises
        ------
        ValueError
            If it did not.
        """
        try:
            version, level, name, pages, groups = _HEAD.unpack_from(data)
            column = data[_HEAD.size : _HEAD.size + name].decode()
            size = 8 * (4 * pages + 3 * groups)
            if version != _VERSION or size > _MOST_PACKED:
                raise ValueError
            shuffled = zlib.decompressobj(wbits=-15).decompress(data[_HEAD.size + name :], size + 1)
            numbers = np.frombuffer(shuffled, np.uint8).reshape(8, size // 8).T.copy().view("<i8")[:, 0]
        except (struct.error, zlib.error, ValueError) as error:
            raise ValueError("these are no pages of a column") from error
        gaps, lengths, rows, steps = numbers[: 4 * pages].reshape(4, pages)
        codecs, dictionaries, dictionary_lengths = numbers[4 * pages :].reshape(3, groups)
        firsts = np.zeros(pages + 1, np.int64)
        rows.cumsum(out=firsts[1:])
        gaps[1:] += lengths[:-1]
        return cls(
            column=column,
            level=level,
            firsts=firsts,
            offsets=gaps.cumsum(),
            lengths=lengths,
            groups=steps.cumsum(),
            codecs=codecs,
            dictionaries=dictionaries,
            dictionary_lengths=dictionary_lengths,
        )


def column_pages(reader: LakeReader, footer: Footer, column: str) -> ColumnPages:
    """Find the pages of a column by their headers; nothing of their values is read.

    Raises
    ------
    ImageRefused
        If there is no such column, or not one of bytes.
    BrokenImage
        If the pages are not what the footer says.
    """
    leaf = footer.leaves.get(column)
    if leaf is None:
        raise ImageRefused(f"it has no column {column}")
    if leaf.kind not in (BYTE_ARRAY, FIXED_BYTES) or leaf.is_list:
        raise ImageRefused(f"its column {column} is not one of bytes")
    reader = read_ahead(reader)
    pages: list[tuple[int, int, int, int]] = []
    groups: list[tuple[int, int, int]] = []
    for group in range(footer.row_groups):
        chunk = footer.chunk(column, group)
        if chunk.values != chunk.rows:
            raise broken(reader, "a column has another number of values than rows")
        found, dictionary = _group_pages(list(walk_pages(reader, chunk)), chunk, leaf)
        pages += found
        groups.append(dictionary)
    rows, offsets, lengths, numbers = _columns(pages, 4)
    codecs, dictionaries, dictionary_lengths = _columns(groups, 3)
    firsts = np.concatenate([[0], np.cumsum(rows)])
    return ColumnPages(
        column, leaf.levels, firsts, offsets, lengths, numbers, codecs, dictionaries, dictionary_lengths
    )


def _group_pages(
    found: list[FoundPage], chunk: Chunk, leaf: Leaf
) -> tuple[list[tuple[int, int, int, int]], tuple[int, int, int]]:
    """Pages of a row group: rows, offset, length and group of each; and codec and dictionary of the group."""
    if not chunk.rows:
        return [], (0, 0, 0)
    dictionary = next((page for page in found if page.header.kind == DICTIONARY_PAGE), None)
    data = [page for page in found if page.header.kind in (DATA_PAGE, DATA_PAGE_V2) and page.header.values]
    plain = leaf.kind == BYTE_ARRAY and chunk.codec in CODECS
    if not plain or not all(_is_readable(page.header, dictionary is not None) for page in data):
        return [(chunk.rows, chunk.offset, 0, chunk.group)], (0, 0, 0)
    pages = [(page.header.values, page.offset, page.length, chunk.group) for page in data]
    place = (0, 0) if dictionary is None else (dictionary.offset, dictionary.length)
    return pages, (chunk.codec, *place)


def _is_readable(header: PageHeader, has_dictionary: bool) -> bool:
    """Whether `surveys.parquet.values` can read a data page."""
    by_place = header.encoding in (PLAIN_DICTIONARY, RLE_DICTIONARY) and has_dictionary
    return (by_place or header.encoding == PLAIN) and header.level_encoding == RLE and not header.repeat_bytes


def _columns(rows: list[Any], count: int) -> Numbers:
    return np.array(rows, np.int64).reshape(len(rows), count).T
