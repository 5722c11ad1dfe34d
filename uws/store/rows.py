"""Between rows of tables and values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, text, update

from dali.clock import NowMs
from uws.job import Counts, Job, JobError, Parameter, Result, Row, RowStatus
from uws.phase import Phase
from uws.tables import EventRow, JobRow

#: As the index of such jobs has it, to the letter: SQLite takes it for no other spelling.
IS_RUNNABLE = text("job.phase IN ('QUEUED', 'EXECUTING')")


def job_of(found: Mapping[str, Any] | RowMapping) -> Job:
    """Job of a whole row."""
    return Job(
        job_id=found["job_id"],
        type=found["type"],
        owner=found["owner"],
        phase=Phase(found["phase"]),
        run_id=found["run_id"],
        lane=found["lane"],
        hidden=found["hidden"],
        created_ms=found["created_ms"],
        started_ms=found["started_ms"],
        ended_ms=found["ended_ms"],
        destruction_ms=found["destruction_ms"],
        quote_ms=found["quote_ms"],
        execution_duration_s=found["execution_duration_s"],
        parameters=parameters_of(found["parameters"]),
        fault=error_of(found["fault"]),
        error=error_of(found["error"]),
        counts=counts_of(found),
        bytes_out=found["bytes_out"],
        seconds=found["seconds"],
        event_seq=found["event_seq"],
        packaged=found["packaged"],
        parent_id=found["parent_id"],
        estimate=found["estimate"],
        queued_ms=found["queued_ms"],
        actor=found["actor"],
        rank=found["rank"],
        share=found["share"],
        parallel=found["parallel"],
        shared_with=tuple(found["shared_with"] or ()),
        sources=tuple(found["sources"] or ()),
        notify=found["notify"],
        link_sha256=found["link_sha256"] or "",
        link_until_ms=found["link_until_ms"],
    )


def counts_of(found: Mapping[str, Any] | RowMapping) -> Counts:
    """Read the counts of a row of jobs."""
    return Counts(found["total"], found["done"], found["empty"], found["failed"], found["poison"])


def result_of(found: RowMapping) -> Result:
    """Read a row of the ledger."""
    return Result(
        result_id=found["result_id"],
        row=found["row"],
        part=found["part"],
        status=RowStatus(found["status"]),
        message=found["message"],
        media_type=found["media_type"],
        file_name=found["file_name"],
        container=found["container"],
        offset=found["offset"],
        size=found["size"],
        crc32=found["crc32"],
        sha256=found["sha256"],
        visibility=found["visibility"],
        approval=found["approval"],
        hold_until_ms=found["hold_until_ms"],
    )


def written_parameters(parameters: Sequence[Parameter]) -> list[Any]:
    """Parameters as a column holds them."""
    return [[parameter.name, parameter.value, parameter.by_reference] for parameter in parameters]


def parameters_of(written: Sequence[Any]) -> tuple[Parameter, ...]:
    """Parameters of a column."""
    return tuple(Parameter(*values) for values in written)


def written_error(error: JobError | None) -> dict[str, Any] | None:
    """Error as a column holds it."""
    if error is None:
        return None
    return {"message": error.message, "detail": error.detail, "transient": error.transient}


def error_of(written: Mapping[str, Any] | None) -> JobError | None:
    """Error of a column."""
    return None if written is None else JobError(**written)


def written_rows(rows: Sequence[Row]) -> list[Any]:
    """Rows of a task as a column holds them."""
    return [[row.n, row.result_id, row.payload] for row in rows]


def rows_of(written: Sequence[Any]) -> tuple[Row, ...]:
    """Rows of a column."""
    return tuple(Row(*values) for values in written)


def tell(connection: Connection, job_id: str, seq: int, kind: str, data: Mapping[str, Any] | None) -> None:
    """Write an event whose number was taken in this transaction."""
    connection.execute(
        insert(EventRow).values(job_id=job_id, seq=seq, at_ms=NowMs(), kind=kind, data=data and dict(data))
    )


def take_number(connection: Connection, job_id: str) -> int | None:
    """Take the next number of an event of a job; None if there is no such job."""
    return connection.execute(
        update(JobRow)
        .where(JobRow.job_id == job_id)
        .values(event_seq=JobRow.event_seq + 1)
        .returning(JobRow.event_seq)
    ).scalar()
