"""What the page of a job shows, gathered from wherever it is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dali.caller import Caller
from dali.errors import NotFound, ProtocolError, UsageError
from portal.job import commands
from portal.job.asked import PER_PAGE, Asked
from portal.job.story import Told, story
from portal.job.tiles import BAD, EMPTY, GOOD, Tile, again_of, tile_of_result, tile_of_row
from uws.causes import Cause
from uws.documents.teller import JobTeller
from uws.job import Job
from uws.moment import format_moment
from uws.packages.package import Package
from uws.packages.shop import PackageShop
from uws.packages.views import RESULTS
from uws.phase import ACTIVE, TERMINAL
from uws.service import JobService
from uws.store.everybody import Everybody

#: Results of a job without a ledger that are shown, and failures that are grouped for the page.
MOST_RESULTS, MOST_FAILURES = 500, 2000
WEEK_MS = 7 * 86_400_000
#: Columns of ledgers that say the same of all rows, or nothing that anybody would sort by.
_NOT_SORTED = frozenset(
    (
        "path",
        "sha256",
        "access_url",
        "access_format",
        "access_estsize",
        "s_ra",
        "s_dec",
        "result_id",
        "release",
    )
)
_WORDS = (*GOOD, *EMPTY, *BAD)


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows that are shown, and what they are some of.

    Parameters
    ----------
    matched
        How many there are, on all pages.
    statuses
        How many of all rows there are, by what became of them.
    columns, sent
        By which rows can be sorted: of the ledger, of the table that was sent.
    """

    tiles: Sequence[Tile] = ()
    matched: int = 0
    statuses: Mapping[str, int] = field(default_factory=dict)
    columns: Sequence[str] = ()
    sent: Sequence[str] = ()
    problem: ProtocolError | None = None


@dataclass(frozen=True, slots=True)
class JobShown:
    """A job, and what the page tells of it."""

    job: Job
    told: Mapping[str, Any]
    rows: Rows
    causes: Sequence[Cause]
    more_failures: int
    story: Sequence[Told]
    as_json: str
    as_curl: str
    later: str
    failed_rows: int
    now_ms: int

    @property
    def can_retry(self) -> bool:
        """Whether something is missing that may be tried again."""
        return self.job.phase in TERMINAL and (self.job.phase != "COMPLETED" or self.failed_rows > 0)

    @property
    def is_active(self) -> bool:
        """Whether something may become of it yet."""
        return self.job.phase in ACTIVE

    @property
    def again(self) -> str:
        """Query of the explorer that shows the only cutout that was asked for; "" where that is not known."""
        return again_of(self.job.parameters)

    @property
    def single(self) -> Tile | None:
        """Give the only thing that has come of it, if it is a picture or can be made one."""
        tiles, job = self.rows.tiles, self.job
        is_one = job.counts.total == 1 and len(tiles) == 1
        return tiles[0] if is_one and tiles[0].is_drawn else None


class JobShow:
    """Gathers it.

    Parameters
    ----------
    service, teller
        Know the jobs.
    shop
        Has ledgers and packages.
    everybody
        Has what happened to them.
    """

    def __init__(
        self, service: JobService, teller: JobTeller, shop: PackageShop, everybody: Everybody
    ) -> None:
        self._service = service
        self._teller = teller
        self._shop = shop
        self._everybody = everybody

    def look(self, job: Job, asked: Asked, caller: Caller, list_url: str) -> JobShown:
        """Gather what is shown of a job that the caller may look at."""
        job_url = f"{list_url}/{job.job_id}"
        refs = (RESULTS if job.phase in TERMINAL else ()) if job.packaged else self._service.result_refs(job)
        told = self._teller.whole(job, refs, caller, list_url)
        may_have = bool(told["may"]["results"])
        rows = self._rows(job, asked) if may_have else Rows()
        causes: Sequence[Cause] = ()
        failures = job.counts.failed + job.counts.poison
        if job.packaged and failures and may_have:
            causes = self._shop.causes(job, MOST_FAILURES).causes
        now_ms = self._service.now_ms()
        return JobShown(
            job,
            told,
            rows,
            causes,
            max(0, failures - MOST_FAILURES),
            story(self._everybody.events(job.job_id)),
            commands.as_json(job, list_url),
            commands.as_curl(job, list_url, job_url),
            format_moment(max(job.destruction_ms, now_ms) + WEEK_MS),
            self._service.failed_rows(job),
            now_ms,
        )

    def _rows(self, job: Job, asked: Asked) -> Rows:
        if not job.packaged:
            results = self._service.results(job)[:MOST_RESULTS] if job.counts.ended else []
            tiles = [tile_of_result(result) for result in results]
            return Rows(tiles, len(tiles), {})
        package = self._shop.package_of(job)
        found = Rows(
            statuses=in_order(self._shop.tally(job)),
            columns=_sortable(package),
            sent=self._shop.sent_columns(job),
            problem=asked.problem,
        )
        try:
            return self._page(job, asked, found)
        except (UsageError, NotFound) as problem:
            return self._page(job, Asked(link=asked.link), replace(found, problem=problem))

    def _page(self, job: Job, asked: Asked, found: Rows) -> Rows:
        order = self._shop.order(job, asked.selection, asked.sorting)
        stop = min(asked.offset + PER_PAGE, len(order))
        rows = self._shop.ordered(job, order, asked.offset, stop)
        values = [None] * PER_PAGE if order.values is None else order.values[asked.offset : stop]
        tiles = [tile_of_row(row, value) for row, value in zip(rows, values, strict=False)]
        return replace(found, tiles=tiles, matched=len(order))


def in_order(statuses: Mapping[str, int]) -> dict[str, int]:
    """Give counts of rows with those that are good first."""
    known = {word: statuses[word] for word in _WORDS if word in statuses}
    return {**known, **{word: number for word, number in statuses.items() if word not in known}}


def _sortable(package: Package) -> list[str]:
    return [column.name for column in package.columns if column.name not in _NOT_SORTED]
