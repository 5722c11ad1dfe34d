"""What every format is read as: fields first, then the wanted ones of all rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dali.errors import quoted
from dali.xtypes import format_number
from soda.targets.table import TargetLimits, UploadRefused

#: Longest text of a cell that is used.
MAX_CELL = 255

Column = Sequence[str] | NDArray[Any]


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the file. `frame`: "" for ICRS, else the name of another system of coordinates."""

    name: str
    ucd: str = ""
    unit: str = ""
    frame: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A column that is to be read: its place among the fields, its name, whether its values are settings."""

    index: int
    name: str
    is_setting: bool


@dataclass(frozen=True, slots=True)
class Body:
    """Wanted columns of all rows, texts or numbers; lines where the format has any; faults by row, from 0."""

    columns: Sequence[Column]
    rows: int
    lines: NDArray[np.int64] | None = None
    faults: Mapping[int, str] = field(default_factory=dict)


class Source(Protocol):
    """An opened file: its fields are known, its rows not yet."""

    @property
    def fields(self) -> Sequence[Field]:
        """Columns of the file; `has_names` if those names are the file's own."""

    @property
    def has_names(self) -> bool:
        """Whether the file names its columns."""

    def read(self, wanted: Sequence[Wanted], most: int | None = None) -> Body:
        """Read rows: all of them, or `most` from the first on.

        Raises
        ------
        UploadRefused
            With the line; as soon as there is one row too many.
        """


class Texts:
    """Gathers texts of wanted columns, in bounded memory whatever the cells are."""

    def __init__(
        self,
        wanted: Sequence[Wanted],
        limits: TargetLimits,
        most: int | None = None,
        *,
        has_lines: bool = True,
    ) -> None:
        self._wanted = wanted
        self._limits = limits
        self._most = most
        self._has_lines = has_lines
        self._columns: list[list[str]] = [[] for _ in wanted]
        self._shared: dict[str, str] = {}
        self._lines: list[int] = []
        self.faults: dict[int, str] = {}
        self.rows = 0

    @property
    def is_full(self) -> bool:
        """Whether there are as many rows as are to be read."""
        return self._most is not None and self.rows >= self._most

    def line(self, line: int) -> None:
        """Count a row, which begins on this line."""
        if self.rows == self._limits.rows:
            raise too_many_rows(self._limits, line if self._has_lines else None)
        self.rows += 1
        self._lines.append(line)

    def add(self, rows: Iterable[Sequence[str]]) -> None:
        """Keep the wanted cells of some rows."""
        for column, one, cells in zip(self._columns, self._wanted, zip(*rows, strict=True), strict=False):
            kept = [cell.strip() for cell in cells]  # the very text where there is nothing to take away
            for place, cell in enumerate(kept):
                if len(cell) > MAX_CELL or (one.is_setting and not cell.isascii()):
                    self.faults.setdefault(len(column) + place, what_is_wrong(cell, one.name))
                    kept[place] = ""
            if one.is_setting:
                kept = [self._shared.setdefault(cell, cell) for cell in kept]
            column += kept

    def body(self) -> Body:
        """Everything there was."""
        lines = np.array(self._lines, dtype=np.int64) if self._has_lines else None
        return Body(self._columns, self.rows, lines, self.faults)


def what_is_wrong(cell: str, name: str) -> str:
    """Tell why a text is not used: it is too long, or a setting with other characters than there are."""
    if len(cell) > MAX_CELL:
        return f"{name} has {len(cell)} characters; at most {MAX_CELL} are taken"
    return f"{name} is printable ASCII characters; got {quoted(cell)}"


def too_many_rows(limits: TargetLimits, line: int | None = None) -> UploadRefused:
    """Tell that there is one row more than is taken."""
    return UploadRefused(
        f"the table has more than {limits.rows} rows, which is the limit",
        "Send it in several jobs.",
        line=line,
    )


def check_columns(count: int, limits: TargetLimits, line: int | None = None) -> None:
    """Refuse a table of too many columns."""
    if count > limits.columns:
        raise UploadRefused(
            f"the table has {count} columns; at most {limits.columns} are taken",
            "Leave out what is not needed.",
            line=line,
        )


def as_texts(column: Column) -> list[str]:
    """Values as texts: whole numbers with all their digits, "" where there is none."""
    if not isinstance(column, np.ndarray):
        return list(column)
    if column.dtype.kind == "b":
        return ["true" if value else "false" for value in column.tolist()]
    if column.dtype.kind == "f":
        if column.dtype.itemsize < 8:  # 0.1 in single precision is 0.1, and not 0.10000000149011612
            column = np.array([float(str(value)) for value in column])
        return ["" if value != value else format_number(value) for value in column.tolist()]
    return [str(value) for value in column.tolist()]
