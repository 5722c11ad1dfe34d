"""What is inserted many rows at a time: tasks, and the uploads of a job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, column, func, insert, select, table

from uws.job import Row, Upload
from uws.jobtype import TaskPlan
from uws.splitting import WrittenTask
from uws.store.rows import written_rows
from uws.tables import JobRow, TaskRow, UploadRow

#: Rows of one statement: a long one keeps writers of SQLite waiting.
CHUNK = 2000

#: Columns as the database has them: JSON that is written already is taken as it is.
_PLAIN_TASK = table(
    TaskRow.__tablename__,
    *map(column, ("job_id", "owner", "lane", "n", "state", "rows", "row_count", "kind", "common")),
)

T = TypeVar("T")


def insert_tasks(
    connection: Connection, job_id: str, owner: str, lane: str, tasks: Iterable[TaskPlan]
) -> None:
    """Store tasks, to be claimed once this transaction is committed."""
    for some in _lots(task for task in tasks if task.rows):
        written = [
            {
                "job_id": job_id,
                "owner": owner,
                "lane": lane,
                "n": task.rows[0].n,
                "state": "queued",
                "rows": written_rows(task.rows),
                "row_count": task.row_count,
                "kind": task.kind,
                "common": dict(task.common) or None,
            }
            for task in some
        ]
        connection.execute(insert(TaskRow), written)


def insert_written_tasks(
    connection: Connection, job_id: str, owner: str, lane: str, tasks: Iterable[WrittenTask]
) -> None:
    """Store tasks as `insert_tasks` does, of which a split has written the JSON."""
    said = {"job_id": job_id, "owner": owner, "lane": lane, "state": "queued"}
    for some in _lots(tasks):
        connection.execute(insert(_PLAIN_TASK), [{**said, **asdict(task)} for task in some])


def insert_uploads(connection: Connection, job_id: str, uploads: Iterable[Upload]) -> None:
    """Store what a job has of uploads; their files are stored already."""
    if written := [{"job_id": job_id, **asdict(upload)} for upload in uploads]:
        connection.execute(insert(UploadRow), written)


def uploads_of(connection: Connection, job_id: str) -> list[Upload]:
    """Read the uploads of a job."""
    columns = [getattr(UploadRow, field.name) for field in fields(Upload)]
    found = connection.execute(select(*columns).where(UploadRow.job_id == job_id).order_by(UploadRow.name))
    return [Upload(*row) for row in found]


def upload_bytes(connection: Connection, owner: str) -> int:
    """Sum up the files that came with the jobs of an owner and are kept; those of unknown people together."""
    held = select(func.coalesce(func.sum(UploadRow.size), 0)).join(JobRow, JobRow.job_id == UploadRow.job_id)
    return int(connection.execute(held.where(JobRow.owner == owner, JobRow.gone_ms.is_(None))).scalar_one())


def insert_split(connection: Connection, job_id: str, owner: str, split: Mapping[str, Any]) -> None:
    """Store the task that makes the others; a row that stands for them is what fails, or crashes."""
    connection.execute(
        insert(TaskRow).values(
            job_id=job_id,
            owner=owner,
            lane="high",
            n=0,
            state="queued",
            rows=written_rows([Row(0, "split")]),
            row_count=0,
            kind="split",
            common=dict(split),
        )
    )


def chunks(items: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """Take items in lists of as many as a statement has."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


_Sized = TypeVar("_Sized", TaskPlan, WrittenTask)


def _lots(tasks: Iterable[_Sized]) -> Iterator[list[_Sized]]:
    """Take tasks in lists of some: one may have thousands of rows, and not too many are to be in memory."""
    lot: list[_Sized] = []
    rows = 0
    for task in tasks:
        lot.append(task)
        rows += task.row_count
        if len(lot) == CHUNK or rows >= 5 * CHUNK:
            yield lot
            lot, rows = [], 0
    if lot:
        yield lot
