"""The settling of a task: what became of its rows is committed in one transaction, by the claim's fence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, column, func, insert, table, update

from dali.clock import NowMs, now_ms
from uws.job import Claim, Counts, JobError, RowReport, RowStatus, Settlement
from uws.jobtype import Ending
from uws.phase import Phase
from uws.splitting import WrittenEnd, read_ended, read_tasks, written_facts
from uws.store.inserts import chunks, insert_written_tasks
from uws.store.rows import counts_of, tell, written_error, written_rows
from uws.tables import JobRow, ResultRow, TaskRow

TEXT = "text/plain; charset=utf-8"

#: Columns as the database has them: their JSON is written already.
_PLAIN_RESULT = table(
    ResultRow.__tablename__,
    *map(
        column,
        (
            *("job_id", "task_id", "created_ms", "row", "part", "result_id", "status", "message", "label"),
            *("verdict", "facts", "attempts", "seconds", "media_type", "file_name", "container", "offset"),
            *("size", "crc32", "sha256"),
        ),
    ),
)


class LostClaim(Exception):
    """The task is no longer in this worker's hands, or its job has ended: nothing was written."""


def drop(writing: Engine, claim: Claim) -> None:
    """Do the work of `Claims.drop`."""
    with writing.begin() as connection:
        connection.execute(of_claim(claim).values(state="dropped", ended_ms=NowMs(), lease_until_ms=None))


def settle(
    connection: Connection, claim: Claim, settlement: Settlement, finish: Callable[[Counts], Ending]
) -> Phase:
    """Do the work of `Claims.settle` in a transaction that is there."""
    if (
        connection.execute(
            of_claim(claim)
            .values(state="done", ended_ms=NowMs(), lease_until_ms=None)
            .returning(TaskRow.task_id)
        ).scalar()
        is None
    ):
        raise LostClaim(f"task {claim.task_id} is in other hands")
    if claim.kind == "split" and settlement.reports:
        return _end_split(connection, claim, settlement.reports[0])
    after = _count(connection, claim, settlement)
    if settlement.split is not None:
        _write_ledger(connection, claim, _ends(read_ended(settlement.split)))
        insert_written_tasks(
            connection, claim.job_id, claim.owner, after["lane"], read_tasks(settlement.split)
        )
    _write_ledger(connection, claim, _reports(settlement.reports, claim.attempts))
    _insert_retries(connection, claim, settlement)
    counts = counts_of(after)
    tell(connection, claim.job_id, after["event_seq"], "rows", {"ended": counts.ended, "total": counts.total})
    has_split = claim.kind != "split" or settlement.split is not None
    if counts.ended < counts.total or not has_split:
        return Phase.EXECUTING
    ending, reports = finish(counts), settlement.reports
    if ending.as_row and reports and reports[-1].message:
        error = JobError(reports[-1].message, transient=reports[-1].transient)
        ending = Ending(ending.phase, error)
    return _end(connection, claim.job_id, ending)


def _count(connection: Connection, claim: Claim, settlement: Settlement) -> RowMapping:
    """Count the rows that ended, unless the job has; return its row."""
    reports, split = settlement.reports, settlement.split
    by_status = {status: sum(report.status is status for report in reports) for status in RowStatus}
    changes: dict[str, Any] = {}
    if split is not None:
        by_status = {status: split.ended.get(status.value, 0) for status in RowStatus}
        changes["total"] = split.total
        changes["sources"] = list(split.sources) or None
        if split.seconds is not None:
            changes["seconds"] = split.seconds
            changes["quote_ms"] = func.coalesce(JobRow.quote_ms, NowMs() + int(split.seconds * 1000))
    after = (
        connection.execute(
            update(JobRow)
            .where(
                JobRow.job_id == claim.job_id,
                JobRow.phase == Phase.EXECUTING.value,
                JobRow.gone_ms.is_(None),
            )
            .values(
                event_seq=JobRow.event_seq + 1,
                done=JobRow.done + by_status[RowStatus.DONE],
                empty=JobRow.empty + by_status[RowStatus.EMPTY],
                failed=JobRow.failed + by_status[RowStatus.FAILED],
                poison=JobRow.poison + by_status[RowStatus.POISON],
                bytes_out=JobRow.bytes_out + sum(file.size for report in reports for file in report.files),
                **changes,
            )
            .returning(
                JobRow.event_seq,
                JobRow.lane,
                JobRow.total,
                JobRow.done,
                JobRow.empty,
                JobRow.failed,
                JobRow.poison,
            )
        )
        .mappings()
        .one_or_none()
    )
    if after is None:
        raise LostClaim(f"job {claim.job_id} has ended")
    return after


def _end_split(connection: Connection, claim: Claim, report: RowReport) -> Phase:
    """End a job that cannot be split, unless it has ended."""
    error = JobError(report.message, report.detail, report.transient)
    return _end(connection, claim.job_id, Ending(Phase.ERROR, error))


def _end(connection: Connection, job_id: str, ending: Ending) -> Phase:
    seq = connection.execute(
        update(JobRow)
        .where(JobRow.job_id == job_id, JobRow.phase == Phase.EXECUTING.value, JobRow.gone_ms.is_(None))
        .values(
            phase=ending.phase.value,
            ended_ms=NowMs(),
            error=written_error(ending.error),
            event_seq=JobRow.event_seq + 1,
        )
        .returning(JobRow.event_seq)
    ).scalar()
    if seq is None:
        raise LostClaim(f"job {job_id} has ended")
    tell(connection, job_id, seq, "phase", {"phase": ending.phase.value})
    return ending.phase


def _write_ledger(connection: Connection, claim: Claim, rows: Iterable[dict[str, Any]]) -> None:
    said = {"job_id": claim.job_id, "task_id": claim.task_id, "created_ms": now_ms(connection)}
    for some in chunks(rows):
        connection.execute(insert(_PLAIN_RESULT), [{**said, **row} for row in some])


def _reports(reports: Iterable[RowReport], attempts: int) -> Iterator[dict[str, Any]]:
    """Rows of the ledger of what a task came to: one for each file, or the sentence in their place."""
    for report in reports:
        common = {
            "row": report.n,
            "status": report.status.value,
            "message": report.message,
            "label": report.label,
            "verdict": report.verdict or report.status.value,
            "facts": written_facts(report.facts),
            "attempts": attempts,
            "seconds": report.seconds,
        }
        if not report.files:
            yield common | _sentence(report.result_id, report.message)
        for part, file in enumerate(report.files):
            yield common | {
                "part": part,
                "result_id": file.result_id,
                "media_type": file.media_type,
                "file_name": file.file_name,
                "container": file.container,
                "offset": file.offset,
                "size": file.size,
                "crc32": file.crc32,
                "sha256": file.sha256,
            }


def _ends(ends: Iterable[WrittenEnd]) -> Iterator[dict[str, Any]]:
    """Rows of the ledger that ended in a split: they were tried by no task."""
    for end in ends:
        yield {
            "row": end.n,
            "status": end.status,
            "message": end.message,
            "label": end.label,
            "verdict": end.verdict or end.status,
            "facts": end.facts,
            "attempts": 0,
            "seconds": 0.0,
            **_sentence(end.result_id, end.message),
        }


def _sentence(result_id: str, message: str) -> dict[str, Any]:
    return {
        "part": 0,
        "result_id": result_id,
        "media_type": TEXT,
        "file_name": f"{result_id}.txt",
        "container": "",
        "offset": 0,
        "size": len(message.encode()),
        "crc32": 0,
        "sha256": "",
    }


def _insert_retries(connection: Connection, claim: Claim, settlement: Settlement) -> None:
    for retry in settlement.retries:
        if not retry.rows:
            continue
        connection.execute(
            insert(TaskRow).values(
                job_id=claim.job_id,
                owner=claim.owner,
                lane=claim.lane,
                n=retry.rows[0].n,
                state="queued",
                rows=written_rows(retry.rows),
                row_count=len(retry.rows),
                kind=claim.kind,
                common=dict(claim.common) or None,
                attempts=retry.attempts,
                kills=retry.kills,
                not_before_ms=NowMs() + math.ceil(retry.delay_s * 1000),
                note=retry.note,
            )
        )


def of_claim(claim: Claim) -> Any:
    """Update of the task, if it is still this claim's."""
    return update(TaskRow).where(
        TaskRow.task_id == claim.task_id, TaskRow.state == "running", TaskRow.fence == claim.fence
    )
