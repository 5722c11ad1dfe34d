# ruff: noqa: D101, D102, D103
"""Stand-in for `surveys.parquet` until that is there."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from surveys.errors import BrokenImage, ImageRefused
from surveys.lake import Lake


@dataclass(frozen=True, slots=True)
class StoredFile:
    path: str
    size: int
    version: str


class LakeFiles:
    def __init__(self, lake: Lake) -> None:
        self.root = lake.root
        self._path = lake.path
        self.hidden: list[tuple[str, str]] = []
        self.unreadable: list[str] = []

    def walk(self) -> Iterator[StoredFile]:
        found = []
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = os.path.relpath(os.path.join(folder, name), self.root)
                if fnmatch.fnmatch("/" + path, "/" + self._path.replace("**/", "*")):
                    found.append(path)
        for path in sorted(found):
            yield self.find(path)

    def find(self, path: str) -> StoredFile:
        try:
            facts = os.stat(os.path.join(self.root, path))
        except OSError:
            raise ImageRefused("it is no longer there") from None
        return StoredFile(path, facts.st_size, str(facts.st_mtime_ns))

    def open(self, path: str, size: int, version: str) -> str:
        return os.path.join(self.root, path)


class Footer:
    def __init__(self, file: pq.ParquetFile) -> None:
        self._file = file
        self.rows = file.metadata.num_rows
        self.leaves = [file.schema.column(n).path for n in range(len(file.schema))]

    def read(self, columns: Sequence[str]) -> dict[str, pa.Array]:
        table = self._file.read(columns=list(columns))
        found = {}
        for name in columns:
            first, *rest = name.split(".")
            array = table[first].combine_chunks()
            for part in rest:
                array = array.flatten()[array.type.get_field_index(part)]
            found[name] = array
        return found


def open_footer(reader: str) -> Footer:
    try:
        return Footer(pq.ParquetFile(reader))
    except (pa.ArrowException, OSError):
        raise BrokenImage("it is not a Parquet file") from None


class ColumnPages:
    def pack(self) -> bytes:
        return b""


def column_pages(reader: Any, footer: Footer, column: str) -> ColumnPages:
    return ColumnPages()
