"""Values of the columns of a lake, each read from its page; what was read last is kept unpacked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from surveys.errors import StaleImage
from surveys.lake import Lake
from surveys.lru import Lru
from surveys.parquet.chunk import broken
from surveys.parquet.files import LakeFiles
from surveys.parquet.footer import Footer, open_footer
from surveys.parquet.pages import ColumnPages
from surveys.parquet.reader import LakeReader
from surveys.parquet.thrift import Malformed, read_page_header
from surveys.parquet.values import Page, open_page

_PAGES_BYTES = 64 << 20
_FOOTERS_BYTES = 64 << 20

_FileKey = tuple[str, str, int, str]


class LakeSource:
    """Files and pages of lakes that were used last; all threads share it."""

    def __init__(self) -> None:
        self._lakes: dict[tuple[str, str], tuple[Lake, LakeFiles]] = {}
        self._pages: Lru[tuple[_FileKey, int], Page] = Lru(_PAGES_BYTES, weigh=lambda page: page.size)
        self._groups: Lru[tuple[_FileKey, str, int], Any] = Lru(
            _PAGES_BYTES, weigh=lambda group: group.nbytes
        )
        self._footers: Lru[_FileKey, Footer] = Lru(_FOOTERS_BYTES, weigh=lambda footer: 16 * footer.size)

    def files(self, lake: Lake) -> LakeFiles:
        """Files of a lake."""
        known = self._lakes.get((lake.root, lake.path))
        if known is None or known[0] != lake:
            known = self._lakes[lake.root, lake.path] = (lake, LakeFiles(lake))
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
        key = (lake.root, path, size, version)
        values: list[bytes | None] = []
        at, first, page = -1, 0, None
        for row in rows:
            if not 0 <= row < pages.rows:
                raise StaleImage(f"{reader.name} has no row {row}: it changed since it was indexed.")
            if (number := pages.page_of(row)) != at or page is None:
                at, first, page = number, int(pages.firsts[number]), self._page(reader, key, pages, number)
            try:
                values.append(page.value(row - first))
            except Malformed:
                raise broken(reader, "a value is not in its page") from None
        return values

    def _page(self, reader: LakeReader, key: _FileKey, pages: ColumnPages, number: int) -> Page | _Group:
        group, length = int(pages.groups[number]), int(pages.lengths[number])
        if not length:
            return _Group(
                self._groups.get((key, pages.column, group), lambda: self._group(reader, key, pages, group))
            )
        offset, codec = int(pages.offsets[number]), int(pages.codecs[group])

        def make() -> Page:
            dictionary = self._dictionary(reader, key, pages, group)
            page = _read_page(reader, offset, length, codec, pages.level, dictionary)
            if page.rows != pages.firsts[number + 1] - pages.firsts[number]:
                raise broken(reader, "a page has another number of rows than when it was indexed")
            return page

        return self._pages.get((key, offset), make)

    def _dictionary(self, reader: LakeReader, key: _FileKey, pages: ColumnPages, group: int) -> Page | None:
        if not (length := int(pages.dictionary_lengths[group])):
            return None
        offset, codec = int(pages.dictionaries[group]), int(pages.codecs[group])
        return self._pages.get((key, offset), lambda: _read_page(reader, offset, length, codec, 0, None))

    def _group(self, reader: LakeReader, key: _FileKey, pages: ColumnPages, group: int) -> Any:
        footer = self._footers.get(key, lambda: open_footer(reader))
        return footer.read_group(pages.column, group)


class _Group:
    """A column of a row group that pyarrow has read."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def value(self, row: int) -> bytes | None:
        value = self._values[row].as_py()
        return value.encode() if isinstance(value, str) else value


def _read_page(
    reader: LakeReader, offset: int, length: int, codec: int, level: int, dictionary: Page | None
) -> Page:
    data = reader.read(offset, length)
    try:
        header = read_page_header(data)
        if header is None or header.length + header.stored != length:
            raise Malformed
        return open_page(data, header, codec, level, dictionary)
    except Malformed:
        raise broken(reader, "a page is not what it says") from None
