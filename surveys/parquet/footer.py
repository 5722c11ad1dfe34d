"""The footer of a Parquet file: its columns, its row groups, and where the pages of each begin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from surveys.errors import BrokenImage, ImageRefused, SurveyError
from surveys.parquet.arrow import pyarrow
from surveys.parquet.chunk import Chunk, broken, walk_pages
from surveys.parquet.reader import LakeReader, read_ahead
from surveys.parquet.thrift import Malformed, Wanted, read_struct

#: Bytes of a footer, and rows of a file, beyond which it is not read.
MOST_FOOTER = 64 << 20
MOST_ROWS = 1 << 24
#: Bytes of a column in one row group, unpacked, beyond which pyarrow is not asked to read it.
MOST_CHUNK = 1 << 30

_MAGIC = b"PAR1"
_ENCRYPTED = b"PARE"
_FIRST_LOOK = 1 << 16
_TAIL = 8
_MOST_DEPTH = 32

#: Types of bytes, as Parquet numbers them.
BYTE_ARRAY, FIXED_BYTES = 6, 7

_REQUIRED, _REPEATED = 0, 2
#: What is read of the footer. Of an element of the schema: type, repetition, name, number of branches; of a
#: column of a row group: another file that it is in, compression, values, size, first page, dictionary.
_ELEMENT: Wanted = {1: int, 3: int, 4: bytes, 5: int}
_COLUMN: Wanted = {1: bytes, 3: dict.fromkeys((4, 5, 7, 9, 11), int)}
_FILE: Wanted = {2: [_ELEMENT], 3: int, 4: [{1: [_COLUMN], 3: int}]}


@dataclass(frozen=True, slots=True)
class Leaf:
    """A column of values, which may lie within structures.

    Parameters
    ----------
    name
        Its path, the parts joined by dots.
    number
        Among the leaves of the file, from 0.
    kind
        Its type, as Parquet numbers them.
    levels
        How many of the parts of its path may be null: a value that is there has this definition level.
    is_list
        Whether a row may have several of its values.
    """

    name: str
    number: int
    kind: int
    levels: int
    is_list: bool


class Footer:
    """The footer of a file; see `open_footer`.

    Attributes
    ----------
    rows
        Their number.
    leaves
        Columns by their names.
    size
        Bytes of it.
    """

    def __init__(self, reader: LakeReader, content: bytes) -> None:
        self._reader = reader
        self._content = content
        self.size = len(content) + _TAIL
        # Not by pyarrow, which ends the process where some of what it is asked of a footer cannot be.
        try:
            told, _ = read_struct(content, 0, _FILE)
            self.rows: int = told[3]
            self._groups: list[dict[int, Any]] = told[4]
            self.leaves: Mapping[str, Leaf] = {leaf.name: leaf for leaf in _leaves(told[2])}
            rows = [self.group_rows(group) for group in range(self.row_groups)]
        except (Malformed, IndexError, KeyError) as error:
            raise broken(reader, "its footer cannot be read") from error
        if not 0 <= self.rows <= MOST_ROWS:
            raise broken(reader, f"it says that it has {self.rows} rows; up to {MOST_ROWS} are read")
        if min(rows, default=0) < 0 or sum(rows) != self.rows:
            raise broken(reader, "its row groups have another number of rows than it says")

    @property
    def row_groups(self) -> int:
        """Their number."""
        return len(self._groups)

    def find(self, names: Sequence[str]) -> Leaf | None:
        """Give the first of some columns that the file has; None if it has none of them."""
        return next((self.leaves[name] for name in names if name in self.leaves), None)

    def group_rows(self, group: int) -> int:
        """Rows of a row group."""
        rows: int = self._groups[group][3]
        return rows

    def chunk(self, column: str, group: int) -> Chunk:
        """Tell where the pages of a column are in a row group.

        Raises
        ------
        ImageRefused
            If there is no such column.
        BrokenImage
            If they are not in the file.
        """
        number = self._leaf(column).number
        try:
            told = self._groups[group][1][number]
            if 1 in told:
                raise broken(self._reader, "its columns are in other files")
            size, start, dictionary = told[3][7], told[3][9], told[3].get(11, 0)
            chunk = Chunk(
                group=group,
                offset=dictionary if 0 < dictionary < start else start,
                size=size,
                rows=self.group_rows(group),
                values=told[3][5],
                codec=told[3][4],
            )
        except (IndexError, KeyError) as error:
            raise broken(self._reader, "its footer does not say where a column is") from error
        end = self._reader.size - self.size
        if chunk.values and not len(_MAGIC) <= chunk.offset < chunk.offset + chunk.size <= end:
            raise broken(self._reader, "a column is not within the file")
        return chunk

    def read(self, columns: Sequence[str]) -> dict[str, Any]:
        """Read some columns of all rows.

        Parameters
        ----------
        columns
            Names of leaves that are no lists.

        Returns
        -------
        dict
            An array of pyarrow for each: null where it, or a structure that it lies in, is.

        Raises
        ------
        ImageRefused
            If there is no such column, or it is one of lists.
        BrokenImage
            If it cannot be read.
        """
        return self._read(columns, range(self.row_groups))

    def read_group(self, column: str, group: int) -> Any:
        """Read a column of one row group, as `read` does."""
        return self._read([column], [group])[column]

    def _read(self, columns: Sequence[str], groups: Sequence[int]) -> dict[str, Any]:
        if not columns:
            return {}
        reader = read_ahead(self._reader)
        for column in columns:
            if self._leaf(column).is_list:
                raise ImageRefused(f"its column {column} is one of lists")
            for group in groups:
                self._check_sizes(reader, column, group)
        try:
            return self._read_checked(reader, columns, groups)
        except SurveyError:
            raise
        except MemoryError as error:
            raise broken(self._reader, "reading it takes more memory than there is") from error
        except Exception as error:  # those of pyarrow have many names, and may have addresses
            raise broken(self._reader, "it is not Parquet that can be read") from error

    def _read_checked(
        self, reader: LakeReader, columns: Sequence[str], groups: Sequence[int]
    ) -> dict[str, Any]:
        pa = pyarrow()
        source = pa.PythonFile(_Stream(reader), mode="r")
        file = pa.parquet.ParquetFile(source, metadata=self._metadata, pre_buffer=False)
        table = file.read_row_groups(list(groups), columns=list(dict.fromkeys(columns)), use_threads=False)
        found = {column: _leaf_of(table, column) for column in columns}
        rows = sum(self.group_rows(group) for group in groups)
        if any(len(values) != rows for values in found.values()):
            raise broken(self._reader, "a column has another number of rows than the file")
        return found

    def _check_sizes(self, reader: LakeReader, column: str, group: int) -> None:
        """Check what the pages say of themselves, which pyarrow would take memory for unseen."""
        chunk = self.chunk(column, group)
        unpacked = sum(page.header.unpacked for page in walk_pages(reader, chunk))
        if unpacked > MOST_CHUNK:
            raise broken(self._reader, f"a row group has more than {MOST_CHUNK >> 20} MB of one column")
        if chunk.values != chunk.rows:
            raise broken(self._reader, "a column has another number of values than rows")

    def _leaf(self, column: str) -> Leaf:
        if column not in self.leaves:
            raise ImageRefused(f"it has no column {column}")
        return self.leaves[column]

    @cached_property
    def _metadata(self) -> Any:
        """The footer as pyarrow has it: never asked, but handed on."""
        size = len(self._content).to_bytes(4, "little")
        pa = pyarrow()
        return pa.parquet.read_metadata(pa.BufferReader(_MAGIC + self._content + size + _MAGIC))


def open_footer(reader: LakeReader) -> Footer:
    """Read the footer of a file.

    Raises
    ------
    BrokenImage
        If it is none of a Parquet file, or one of more than 64 MB.
    """
    if reader.size < len(_MAGIC) + _TAIL:
        raise BrokenImage(f"{reader.name} is too short to be Parquet.")
    tail = reader.read(max(0, reader.size - _FIRST_LOOK), min(reader.size, _FIRST_LOOK))
    if tail[-4:] == _ENCRYPTED:
        raise BrokenImage(f"{reader.name} is encrypted.")
    if tail[-4:] != _MAGIC:
        raise BrokenImage(f"{reader.name} is not Parquet, or cut short.")
    size = int.from_bytes(tail[-8:-4], "little")
    if size > min(MOST_FOOTER, reader.size - len(_MAGIC) - _TAIL):
        raise broken(reader, f"its footer has {size} bytes")
    if size + _TAIL > len(tail):
        tail = reader.read(reader.size - size - _TAIL, size + _TAIL)
    return Footer(reader, tail[len(tail) - size - _TAIL : len(tail) - _TAIL])


def _leaves(elements: Sequence[Mapping[int, Any]]) -> Iterator[Leaf]:
    """Leaves of a schema, which is a tree written as a list: before its branches, each has their number."""
    number = 0
    # How many branches are to come at each height, and what stands above them: path, levels, whether a list.
    above: list[tuple[int, tuple[str, ...], int, bool]] = [(elements[0].get(5, 0), (), 0, False)]
    for element in elements[1:]:
        while above and not above[-1][0]:
            above.pop()
        if not above or len(above) > _MOST_DEPTH:
            raise Malformed
        left, path, levels, is_list = above.pop()
        above.append((left - 1, path, levels, is_list))
        path = (*path, element[4].decode("utf-8", "replace"))
        repetition = element.get(3, _REQUIRED)
        levels, is_list = levels + (repetition != _REQUIRED), is_list or repetition == _REPEATED
        if branches := element.get(5, 0):
            above.append((branches, path, levels, is_list))
        else:
            yield Leaf(".".join(path), number, element.get(1, -1), levels, is_list)
            number += 1


def _leaf_of(table: Any, column: str) -> Any:
    """Values of a leaf, by its path from the columns of the table."""
    for name in table.column_names:
        if column == name or column.startswith(f"{name}."):
            parts = column[len(name) + 1 :].split(".") if column != name else []
            values = table.column(name)
            for part in parts:
                if (field := values.type.get_field_index(part)) < 0:
                    raise KeyError(column)
                values = values.flatten()[field]  # null where the structure is
            return values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)
    raise KeyError(column)


class _Stream:
    """A reader of a lake as pyarrow reads files."""

    closed = False

    def __init__(self, reader: LakeReader) -> None:
        self._reader = reader
        self._at = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._reader.size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def size(self) -> int:
        return self._reader.size

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._reader.size - self._at)
        data = self._reader.read(self._at, left if size < 0 else min(size, left)) if left else b""
        self._at += len(data)
        return data

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False
