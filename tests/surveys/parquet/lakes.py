"""Lakes of the tests: a folder, its files, and values read from them by the way that the service takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from surveys.lake import Columns, Lake
from surveys.parquet.footer import open_footer
from surveys.parquet.pages import ColumnPages, column_pages
from surveys.parquet.source import LakeSource

COLUMNS = Columns(*[("x",)] * 6)


def lake_of(root: Path | str, path: str = "**/*.parquet", **more: object) -> Lake:
    return Lake(str(root), path, COLUMNS, (), **more)  # type: ignore[arg-type]


def pages_of(source: LakeSource, lake: Lake, path: str, column: str) -> ColumnPages:
    file = source.files(lake).find(path)
    reader = source.files(lake).open(path, file.size, file.version)
    return ColumnPages.unpack(column_pages(reader, open_footer(reader), column).pack())


def read_values(
    source: LakeSource, lake: Lake, path: str, column: str, rows: Sequence[int] | None = None
) -> list[bytes | None]:
    pages = pages_of(source, lake, path, column)
    file = source.files(lake).find(path)
    return source.values(
        lake, path, file.size, file.version, pages, range(pages.rows) if rows is None else rows
    )
