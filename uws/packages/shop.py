"""Packages of jobs that have ended: built when they are first asked for, and kept for a while.

What stands before the files of an archive has to be known to the byte before the first of them is sent, and
a client that resumes must find the same. So the tables of a package are written to a folder once
(`uws.packages.folder`), and written again, the same to the byte, when they have been removed.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import closing
from hashlib import sha256
from pathlib import Path

from dali.errors import NotFound
from uws.job import Job, LedgerRow
from uws.packages.asked import Selection
from uws.packages.build import Built, build, load, root_of
from uws.packages.folder import PackageFolder
from uws.packages.package import Entry, Package, entries_of
from uws.packages.packs import Pack, Packed
from uws.phase import TERMINAL
from uws.results import ResultStore
from uws.store.ledger import Ledger

#: Of what is written: packages of other versions are written anew.
VERSION = 1

_DIGEST = "digest"

_EVERYTHING = Selection()


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
    """

    def __init__(
        self,
        ledger: Ledger,
        results: ResultStore,
        packages: Mapping[str, Package],
        folder: PackageFolder,
        packs: Mapping[str, Mapping[str, Pack]] = {},
    ) -> None:
        self._ledger = ledger
        self._results = results
        self._packages = packages
        self._packs = packs
        self._folder = folder

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
        return self._ledger.page(job.job_id, after, limit, selection.statuses, selection.labels, rows)

    def rows(
        self, job: Job, selection: Selection = _EVERYTHING, after: tuple[int, int] | None = None
    ) -> Iterator[LedgerRow]:
        """Read the rows of a job, in their order, a few at a time."""
        rows = self._numbers(job, selection)
        return self._ledger.stream(job.job_id, selection.statuses, selection.labels, rows, after)

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
