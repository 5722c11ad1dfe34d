"""What reading an uploaded table comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dali.errors import UsageError

#: What the rows of a table name: places, or alerts and objects, or some of them these and some those.
Subject = Literal["places", "alerts", "both"]


@dataclass(frozen=True, slots=True)
class SeenColumn:
    """A column of an uploaded table, as it is shown to who sent it.

    Parameters
    ----------
    name, unit, ucd
        As the file has them.
    used_as
        Our name of what it is taken for; "" where it is ignored.
    found_by
        What showed that: ``ucd``, ``name``, ``mapping`` or ``position``.
    values
        Those of the first rows.
    """

    name: str
    unit: str
    ucd: str
    used_as: str
    found_by: str
    values: Sequence[str]


class UploadRefused(UsageError):
    """The whole file is of no use: unreadable, or beyond a limit (413 where it is that of bytes).

    Parameters
    ----------
    reason
        What is wrong with it.
    line
        1-based line of the file it is found on, None where there is no such line.
    seen
        Columns of the file, where it is known so far.
    """

    status = 403
    seen: Sequence[SeenColumn] = ()

    def __init__(
        self, reason: str, fix: str = "", *, line: int | None = None, status: int | None = None
    ) -> None:
        where = "targets" if line is None else f"targets, line {line}"
        super().__init__(f"{where}: {reason}", fix, status=status)
        self.reason = reason
        self.line = line


@dataclass(frozen=True, slots=True)
class TargetLimits:
    """Most that is read: rows, bytes of the file, columns of it, characters of a line."""

    rows: int = 100_000
    bytes: int = 64 * 1024 * 1024
    columns: int = 1000
    line: int = 65_536


@dataclass(frozen=True, slots=True)
class RowFault:
    """What is wrong with a row, or, where it `is_warning`, worth knowing.

    A row with a fault is rejected; one with a warning is not. `number` and `line` are 0 for a warning about
    the table as a whole.
    """

    number: int
    line: int
    sentence: str
    is_warning: bool = False


@dataclass(frozen=True, slots=True)
class TargetTable:
    """Columns that were understood, of n rows.

    Parameters
    ----------
    numbers, lines
        1-based number of the row in the table, and its line in the file; the number again where a format has
        no lines.
    ids
        The client's names, verbatim; "" where there is none.
    ra_deg, dec_deg
        ICRS; NaN where the row is rejected, or names an alert or an object and no place.
    objects, alerts
        Identifiers of objects and of alerts as they were written, "" where there is none; () where the table
        has no such column.
    settings
        Per-row values by our name (``survey``, ``band``, ``size`` …), as read; "" where nothing is said. A
        bare number whose column has a unit is followed by it: ``30arcsec``.
    faults
        By row.
    columns, found_by
        Our name -> the file's column; and how that was found: ``ucd``, ``name``, ``mapping`` or ``position``.
    seen
        All columns of the file with the values of its first rows, where they were asked for.
    """

    numbers: NDArray[np.int64]
    lines: NDArray[np.int64]
    ids: Sequence[str]
    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    settings: Mapping[str, Sequence[str]]
    faults: Sequence[RowFault]
    columns: Mapping[str, str]
    found_by: Mapping[str, str]
    seen: Sequence[SeenColumn] = ()
    objects: Sequence[str] = ()
    alerts: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def rejected(self) -> int:
        """Number of rows that are rejected."""
        return len({fault.number for fault in self.faults if not fault.is_warning})
