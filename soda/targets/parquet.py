"""Parquet, by pyarrow, which is not needed for anything else: ``pip install 'sodafountain[parquet]'``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dali.errors import quoted
from soda.targets.source import Body, Field, Texts, Wanted, check_columns, too_many_rows
from soda.targets.table import TargetLimits, UploadRefused

_ROWS_AT_ONCE = 2000
#: Uncompressed bytes of one column of a row group: as much as pyarrow unpacks at a time.
_MOST_UNPACKED = 32 * 1024 * 1024


class ParquetSource:
    """A Parquet file."""

    has_names = True

    def __init__(self, path: Path, limits: TargetLimits) -> None:
        self._path = path
        self._limits = limits
        try:
            from pyarrow import parquet
        except ImportError:
            raise UploadRefused(
                "the file is Parquet, which this service cannot read: pyarrow is not installed",
                "Send it as CSV, VOTable or FITS.",
            ) from None
        try:
            self._file: Any = parquet.ParquetFile(
                path, memory_map=False, pre_buffer=False, thrift_string_size_limit=1 << 22
            )
            metadata, schema = self._file.metadata, self._file.schema_arrow
        except Exception as fault:
            raise _unreadable() from fault
        check_columns(metadata.num_columns, limits)
        if metadata.num_rows > limits.rows:
            raise too_many_rows(limits)
        self.fields = [_field(column) for column in schema]

    def read(self, wanted: Sequence[Wanted], most: int | None = None) -> Body:
        """Read the wanted columns, some rows at a time."""
        names = [self.fields[one.index].name for one in wanted]
        self._check_sizes(set(names))
        texts = Texts(wanted, self._limits, most, has_lines=False)
        try:
            for batch in self._file.iter_batches(most or _ROWS_AT_ONCE, columns=names, use_threads=False):
                columns = [_texts(batch.column(name)) for name in names]
                for _ in range(batch.num_rows):
                    texts.line(texts.rows + 1)
                texts.add(zip(*columns, strict=True))
                if texts.is_full:
                    break
        except UploadRefused:
            raise
        except Exception as fault:
            raise _unreadable() from fault
        return texts.body()

    def _check_sizes(self, names: set[str]) -> None:
        metadata = self._file.metadata
        for group in range(metadata.num_row_groups):
            for index in range(metadata.num_columns):
                column = metadata.row_group(group).column(index)
                if column.path_in_schema in names and column.total_uncompressed_size > _MOST_UNPACKED:
                    raise UploadRefused(
                        f"column {quoted(column.path_in_schema)} has {column.total_uncompressed_size} bytes "
                        f"unpacked in one row group; at most {_MOST_UNPACKED} are taken"
                    )


def _field(column: Any) -> Field:
    said = {
        key.decode("utf-8", "replace"): value.decode("utf-8", "replace")
        for key, value in (column.metadata or {}).items()
    }
    return Field(column.name, ucd=said.get("ucd", ""), unit=said.get("unit", ""))


def _texts(column: Any) -> list[str]:
    values = column.to_pylist()
    return ["" if value is None or value != value else _text(value) for value in values]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _unreadable() -> UploadRefused:
    return UploadRefused("the Parquet file cannot be read", "Send it as CSV, VOTable or FITS.")
