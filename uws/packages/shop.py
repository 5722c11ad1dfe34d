"""Packages of jobs that have ended: built when they are first asked for, and kept for a while.

What stands before the files of an archive has to be known to the byte before the first of them is sent, and
a client that resumes must find the same. So the tables of a package are written to a folder once
(`uws.packages.folder`), and written again, the same to the byte, when they have been removed.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from dali.errors import NotFound
from uws.causes import Cause, grouped
from uws.job import Job, LedgerRow
from uws.packages.asked import Selection, Sorting
from uws.packages.build import Built, build, load, root_of
from uws.packages.folder import PackageFolder
from uws.packages.orders import Key, Order
from uws.packages.package import Entry, Package, entries_of
from uws.packages.packs import Pack, Packed
from uws.packages.sorting import Sorter
from uws.phase import TERMINAL
from uws.results import ResultStore
from uws.store.ledger import Ledger

#: Of what is written: packages of other versions are written anew.
VERSION = 1

_DIGEST = "digest"

_EVERYTHING = Selection()
_ROWS_AT_ONCE = 1000
#: So many failures of a job are looked at, the last ones.
MOST_FAILURES = 20_000


@dataclass(frozen=True, slots=True)
class Causes:
    """Why rows of a job failed.

    Parameters
    ----------
    statuses
        How many rows there are of each word for what became of them.
    looked_at
        How many failures are grouped: the last ones.
    causes
        The groups, the largest first.
    """

    statuses: Mapping[str, int]
    looked_at: int
    causes: tuple[Cause, ...]


class PackageShop:
    """Ledgers and packages of jobs.

    Parameters
    ----------
    ledger
        The rows of jobs.
    results
        Their files.
    packages
        How the rows of each job type are told; types without one have neither ledger nor packages.
    folder
        Where packages are written.
    packs
        Kinds of packs of each job type, by name.
    sorter
        Puts rows in other orders than their own; without it, by columns of the ledger alone.
    """

    def __init__(
        self,
        ledger: Ledger,
        results: ResultStore,
        packages: Mapping[str, Package],
        folder: PackageFolder,
        packs: Mapping[str, Mapping[str, Pack]] = {},
        sorter: Sorter | None = None,
    ) -> None:
        self._ledger = ledger
        self._results = results
        self._packages = packages
        self._packs = packs
        self._folder = folder
        self._sorter = sorter or Sorter(ledger, results, {}, lambda _: ())

    def package_of(self, job: Job) -> Package:
        """Say how the rows of a job are told.

        Raises
        ------
        NotFound
            If it has results only.
        """
        package = self._packages.get(job.type)
        if package is None or not job.packaged:
            raise NotFound("this job has no ledger", "Its /results lists what it has.")
        return package

    def page(
        self, job: Job, selection: Selection, after: tuple[int, int] | None, limit: int
    ) -> list[LedgerRow]:
        """Read some rows of a job, in their order."""
        rows = self._numbers(job, selection)
        chosen = selection.statuses, selection.labels, rows, selection.words
        return self._ledger.page(job.job_id, after, limit, *chosen)

    def order(
        self, job: Job, selection: Selection, sorting: Sorting | None, having: Key | None = None
    ) -> Order:
        """Put some rows of a job in an order, as `Sorter.order` does."""
        numbers = self._numbers(job, selection)
        return self._sorter.order(job, self.package_of(job), selection, numbers, sorting, having)

    def ordered(self, job: Job, order: Order, start: int, stop: int) -> Iterator[LedgerRow]:
        """Read rows of a job by their places in an order, a few at a time."""
        for first in range(start, min(stop, len(order)), _ROWS_AT_ONCE):
            yield from self._ledger.some(job.job_id, order.keys(first, min(first + _ROWS_AT_ONCE, stop)))

    def sent_columns(self, job: Job) -> Sequence[str]:
        """Name the columns of the table that a job was sent as, by which its rows can be sorted."""
        return self._sorter.sent_columns(job)

    def tally(self, job: Job) -> Mapping[str, int]:
        """Count the rows of a job by the word for what became of them."""
        return self._ledger.tally(job.job_id)

    def causes(self, job: Job, most: int = MOST_FAILURES) -> Causes:
        """Group the rows of a job that failed, the last ones of them, `most`, by why they did."""
        self.package_of(job)
        failures = self._ledger.failures(job.job_id, job.owner, most)
        return Causes(self.tally(job), len(failures), tuple(grouped(failures)))

    def rows(
        self, job: Job, selection: Selection = _EVERYTHING, after: tuple[int, int] | None = None
    ) -> Iterator[LedgerRow]:
        """Read the rows of a job, in their order, a few at a time."""
        rows = self._numbers(job, selection)
        return self._ledger.stream(
            job.job_id, selection.statuses, selection.labels, rows, after, selection.words
        )

    def built(self, job: Job, job_url: str, selection: Selection = _EVERYTHING) -> Built:
        """Give the package of a job that has ended, or of some of its rows.

        Raises
        ------
        NotFound
            If it has not ended.
        ServiceUnavailable
            If there is no room to write it.
        """
        package = self._ended(job)

        def write(folder: Path) -> None:
            build(folder, package, job, job_url, self.rows(job, selection))

        return self._folder.kept(job.job_id, _identity(job, job_url, selection), write, load)

    def packs_of(self, job: Job) -> Mapping[str, Pack]:
        """Kinds of packs there are of a job."""
        return self._packs.get(job.type, {})

    def packed(self, job: Job, job_url: str, selection: Selection, kind: str) -> Packed:
        """Give a pack of a job that has ended, or of some of its rows; raises what `built` raises.

        Raises
        ------
        UsageError
            If the files do not fit into such a pack.
        """
        package, pack = self._ended(job), self.packs_of(job)[kind]

        def entries() -> Iterator[Entry]:
            return entries_of(package, job_url, self.rows(job, selection))

        def write(folder: Path) -> None:
            with closing(self._results.ranges()) as ranges:
                digest = pack.build(folder, package.columns, entries, ranges)
            (folder / _DIGEST).write_text(digest)

        def read(folder: Path) -> Packed:
            told = f"{kind} {(folder / _DIGEST).read_text()}"
            return Packed(pack.load(folder), root_of(job), sha256(told.encode()).hexdigest())

        return self._folder.kept(job.job_id, (kind, *_identity(job, job_url, selection)), write, read)

    def _ended(self, job: Job) -> Package:
        package = self.package_of(job)
        if job.phase not in TERMINAL:
            raise NotFound(
                f"there is no package of a job before it has ended; this one is {job.phase}",
                "Its /ledger tells of rows that are done, and their files can be had.",
            )
        return package

    def _numbers(self, job: Job, selection: Selection) -> range | None:
        """Find the rows of the ledger that some rows of the user's table came to."""
        if selection.rows is None:
            return None
        package, total = self.package_of(job), job.counts.total
        first, last = selection.rows

        def table_row(number: int) -> int:
            """Row of the table of the first row from `number` on that has ended."""
            found = self._ledger.page(job.job_id, limit=1, rows=range(number, total))
            return package.table_row(found[0]) if found else sys.maxsize

        start, stop = (bisect_left(range(total), row, key=table_row) for row in (first, last + 1))
        return range(start, stop)


def _identity(job: Job, job_url: str, selection: Selection) -> tuple[object, ...]:
    """Tell one package of a job from its others, and from those of other versions of this program."""
    chosen = sorted(selection.statuses), sorted(selection.labels), selection.rows
    return VERSION, job.phase, job.ended_ms, job_url, *chosen
