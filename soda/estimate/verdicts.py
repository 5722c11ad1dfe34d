"""What a dry run says of each row: whether there are data at its place, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from dali.errors import AuthorizationError, NotFound, ProtocolError
from soda.refusals import NoSuchAlert
from soda.rows import PlannedRow


class Verdict(IntEnum):
    """What a dry run says of a row; told by its name in lower case."""

    COVERED = 0  # the whole region has data
    PARTIAL = 1  # a part of it has
    OUTSIDE = 2  # there are no data at that place, or filters leave nothing of them
    NO_RIGHTS = 3  # the data are not open to the caller
    BAND_MISSING = 4  # there is no such survey or band
    REJECTED = 5  # it cannot be read, or be made, and the fault says why
    UNKNOWN = 6  # it is looked up when it is made: of a list of very many different settings

    @property
    def word(self) -> str:
        """How it is told."""
        return self.name.lower()


#: Rows that give a file, those whose answer is not all that was asked for, and those that give none.
OK, WARNED = (Verdict.COVERED, Verdict.UNKNOWN), (Verdict.PARTIAL, Verdict.OUTSIDE)
MADE = (Verdict.COVERED, Verdict.PARTIAL, Verdict.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a row: its number from 1, the line of the file where it came in one, and why."""

    row: int
    line: int | None
    reason: str
    is_warning: bool = False

    def written(self) -> dict[str, Any]:
        """As JSON has it."""
        kind = "warning" if self.is_warning else "error"
        return {"row": self.row, "line": self.line, "kind": kind, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Found:
    """What a dry run found: of each row its verdict, of all of them what they come to.

    Parameters
    ----------
    verdicts, fractions
        Of each row; the fraction is the share of its region that has data, None where that is not known.
    faults
        In the order of rows.
    images
        How many images are touched.
    size
        Bytes of all products.
    numbers
        Of the rows in the file they came in; empty where they are numbered from 1.
    ids
        What the client calls them; empty where they have no names.
    products
        What each is of its target; empty where targets have one product.
    targets
        Rows of the table that was sent; None where none was.
    ra_deg, dec_deg
        Of each row, where they come from a table; NaN where it has none.
    """

    verdicts: Sequence[int]
    fractions: Sequence[float | None]
    faults: Sequence[Fault]
    images: int
    size: int
    numbers: Sequence[int] = ()
    ids: Sequence[str] = ()
    products: Sequence[str] = ()
    targets: int | None = None
    ra_deg: Sequence[float] = ()
    dec_deg: Sequence[float] = ()

    @property
    def cutouts(self) -> int:
        """How many rows give a file."""
        return sum(verdict in MADE for verdict in self.verdicts)

    def counts(self) -> Mapping[str, int]:
        """Rows by verdict."""
        counted = Counter(self.verdicts)
        return {verdict.word: counted.get(verdict, 0) for verdict in Verdict}

    def sums(self) -> Mapping[str, int]:
        """Rows that are as they should be, that are to be looked at, and that give nothing."""
        warned = {fault.row for fault in self.faults if fault.is_warning}
        total = len(self.verdicts)
        numbers: Sequence[int] = self.numbers or range(1, total + 1)
        fine = sum(
            verdict in OK and number not in warned
            for verdict, number in zip(self.verdicts, numbers, strict=True)
        )
        rejected = sum(verdict not in (*OK, *WARNED) for verdict in self.verdicts)
        sums = {"total": total, "ok": fine, "warned": total - fine - rejected, "rejected": rejected}
        return sums if self.targets is None else {**sums, "targets": self.targets}


def found_of(rows: Sequence[PlannedRow]) -> Found:
    """Judge the rows of a job that are planned already."""
    return Found(
        verdicts=[_verdict(row) for row in rows],
        fractions=[row.fraction if row.plan is not None else 0.0 for row in rows],
        faults=list(_faults(rows)),
        images=len(images_of(rows)),
        size=sum(row.size for row in rows),
    )


def images_of(rows: Iterable[PlannedRow]) -> set[str]:
    """Images, or alerts, that are read."""
    return {dataset for row in rows if row.plan is not None for dataset in row.plan.datasets}


def _verdict(row: PlannedRow) -> Verdict:
    if row.fault is not None:
        return Verdict.REJECTED
    if row.plan is None:
        return Verdict.OUTSIDE
    return Verdict.PARTIAL if row.plan.clipped else Verdict.COVERED


def _faults(rows: Sequence[PlannedRow]) -> Iterator[Fault]:
    for number, row in enumerate(rows, start=1):
        if row.fault is not None:
            yield Fault(number, None, spoken(row.fault))


def verdict_of(fault: ProtocolError) -> Verdict:
    """Say what a fault means for its row."""
    if isinstance(fault, AuthorizationError):
        return Verdict.NO_RIGHTS
    is_missing = isinstance(fault, NotFound) and not isinstance(fault, NoSuchAlert)
    return Verdict.BAND_MISSING if is_missing else Verdict.REJECTED


def spoken(error: ProtocolError) -> str:
    """Say what is wrong, and how to mend it."""
    return f"{error.sentence} {error.fix}".rstrip()
