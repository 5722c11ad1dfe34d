"""Values of the columns of a lake, each read from its page; what was read last is kept unpacked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from surveys.errors import StaleImage
from surveys.lake import Lake
from surveys.lru import Lru
from surveys.parquet.chunk import broken
from surveys.parquet.files import LakeFiles
from surveys.parquet.footer import Footer, open_footer
from surveys.parquet.pages import ColumnPages
from surveys.parquet.peek import can_peek, peek_place, peek_row
from surveys.parquet.reader import LakeReader
from surveys.parquet.thrift import Malformed, PageHeader, read_page_header
from surveys.parquet.values import Page, open_page

_PAGES_BYTES = 64 << 20
_FOOTERS_BYTES = 64 << 20
#: So many values are looked for in a large page, each time through half of it, before all is unpacked.
_PEEKS = 2
_PAGES_PEEKED = 4096
#: Bytes of a page, as it is stored, below which it is read at once; and what its header is looked for in.
_LARGE_BYTES = 256 << 10
_HEADER_BYTES = 12 << 10

_FileKey = tuple[str, str, int, str]


class LakeSource:
    """Files and pages of lakes that were used last; all threads share it.

    Parameters
    ----------
    is_mapped
        Whether files of this machine are mapped, which wants them not to be cut short where they lie.
    """

    def __init__(self, *, is_mapped: bool = False) -> None:
        self._is_mapped = is_mapped
        self._lakes: dict[tuple[str, str], tuple[Lake, LakeFiles]] = {}
        self.pages: Lru[tuple[_FileKey, int], Page] = Lru(_PAGES_BYTES, weigh=lambda page: page.size)
        self.groups: Lru[tuple[_FileKey, str, int], Any] = Lru(_PAGES_BYTES, weigh=lambda group: group.nbytes)
        self.peeked: Lru[tuple[_FileKey, int], list[int]] = Lru(_PAGES_PEEKED)
        # As Python has them, footers take several times what they take in a file.
        self._footers: Lru[_FileKey, Footer] = Lru(_FOOTERS_BYTES, weigh=lambda footer: 16 * footer.size)

    def files(self, lake: Lake) -> LakeFiles:
        """Files of a lake."""
        known = self._lakes.get((lake.root, lake.path))
        if known is None or (known[0] is not lake and known[0] != lake):
            known = self._lakes[lake.root, lake.path] = (
                lake,
                LakeFiles(lake, is_mapped=self._is_mapped),
            )
        return known[1]

    def value(
        self, lake: Lake, path: str, size: int, version: str, pages: ColumnPages, row: int
    ) -> bytes | None:
        """Read one value as it is stored; see `values`."""
        return self.values(lake, path, size, version, pages, [row])[0]

    def values(
        self, lake: Lake, path: str, size: int, version: str, pages: ColumnPages, rows: Sequence[int]
    ) -> list[bytes | None]:
        """Read some values as they are stored; None for what is null.

        Parameters
        ----------
        path, size, version
            The file, as it was indexed.
        pages
            Of the column.
        rows
            Of the file, sorted: then each page is read once.

        Raises
        ------
        StaleImage
            If the file is another by now.
        BrokenImage
            If it cannot be read.
        """
        reader = self.files(lake).open(path, size, version)
        if len(rows) and not 0 <= min(rows) <= max(rows) < pages.rows:
            raise StaleImage(f"{reader.name} has no such row: it changed since it was indexed.")
        column = _Column(self, reader, (lake.root, path, size, version), pages, rows)
        return [column.value(row) for row in rows]

    def footer(self, reader: LakeReader, key: _FileKey) -> Footer:
        """Footer of a file, as it was read before."""
        return self._footers.get(key, lambda: open_footer(reader))


class _Column:
    """A column of a file while some of its values are read: what they have in common is held meanwhile."""

    def __init__(
        self, source: LakeSource, reader: LakeReader, key: _FileKey, pages: ColumnPages, rows: Sequence[int]
    ) -> None:
        self._source = source
        self._reader = reader
        self._key = key
        self._pages = pages
        self._held: dict[int, Page] = {}
        numbers = [pages.page_of(row) for row in rows] if len(rows) > _PEEKS else []
        #: How many values are wanted of each page, and of each row group, where there may be many.
        self._of_pages = Counter(numbers)
        self._of_groups = Counter(int(pages.groups[number]) for number in numbers)

    def value(self, row: int) -> bytes | None:
        pages = self._pages
        number = pages.page_of(row)
        row -= int(pages.firsts[number])
        group, length, level = int(pages.groups[number]), int(pages.lengths[number]), pages.level
        if not length:
            return self._of_group(group, row)
        offset, codec = int(pages.offsets[number]), int(pages.codecs[group])
        try:
            if (header := self._header(offset, length, codec, self._of_pages[number])) is not None:
                try:
                    return peek_row(self._reader, offset + header.length, header, codec, level, row)
                except Malformed:
                    pass  # then it is for the whole page to tell
            page = self._page(offset, length, codec, level)
            if page.rows != pages.firsts[number + 1] - pages.firsts[number]:
                raise broken(self._reader, "a page has another number of rows than when it was indexed")
            if (place := page.place(row)) is None:
                return None
            return self._of_dictionary(group, place) if page.by_place else page.value(place)
        except Malformed:
            raise broken(self._reader, "a page is not what it says") from None

    def _of_dictionary(self, group: int, place: int) -> bytes:
        offset = int(self._pages.dictionaries[group])
        length = int(self._pages.dictionary_lengths[group])
        codec = int(self._pages.codecs[group])
        header = self._header(offset, length, codec, self._of_groups[group])
        if header is not None and place < header.values:
            try:
                return peek_place(self._reader, offset + header.length, header, codec, place)
            except Malformed:
                pass
        if not length:
            raise Malformed
        return self._page(offset, length, codec, 0).value(place)

    def _of_group(self, group: int, row: int) -> bytes | None:
        """Read a value of a row group, the column of which pyarrow reads as a whole."""

        def make() -> Any:
            return self._source.footer(self._reader, self._key).read_group(self._pages.column, group)

        value = self._source.groups.get((self._key, self._pages.column, group), make)[row].as_py()
        return value.encode() if isinstance(value, str) else value

    def _header(self, offset: int, length: int, codec: int, wanted: int) -> PageHeader | None:
        """Header of a page of which single values are to be looked for; None where all is to be unpacked."""
        key = (self._key, offset)
        if length < _LARGE_BYTES or wanted > _PEEKS or self._reader.is_remote:
            return None
        if offset in self._held or self._source.pages.held(key) is not None:
            return None
        times = self._source.peeked.get(key, lambda: [0])
        times[0] += 1
        if times[0] > _PEEKS:
            return None
        header = read_page_header(self._reader.read(offset, _HEADER_BYTES))
        return header if header is not None and can_peek(header, codec) else None

    def _page(self, offset: int, length: int, codec: int, level: int) -> Page:
        """Give a page, the one that was read last by hand: some are too large to be kept."""
        if offset not in self._held:
            page = self._source.pages.get(
                (self._key, offset), lambda: _read_page(self._reader, offset, length, codec, level)
            )
            if len(self._held) > 1:  # a page and a dictionary
                self._held.clear()
            self._held[offset] = page
        return self._held[offset]


def _read_page(reader: LakeReader, offset: int, length: int, codec: int, level: int) -> Page:
    data = reader.read(offset, length)
    header = read_page_header(data)
    if header is None or header.length + header.stored != length:
        raise Malformed
    return open_page(data, header, codec, level)
