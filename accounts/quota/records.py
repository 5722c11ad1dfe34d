"""Records of what was made, for whom: they feed the pages of use, and forget who asked after a time."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, Engine, insert, or_, update

from accounts.quota.outcomes import Execution
from accounts.tables import ExecutionRow
from dali.clock import NowMs, now_ms


def insert_executions(connection: Connection, executions: Iterable[Execution]) -> None:
    """Write records down."""
    now = now_ms(connection)
    rows = [
        {
            "at_ms": now if one.at_ms is None else one.at_ms,
            "account": one.account,
            "actor": one.actor,
            "how": one.how,
            "survey": one.survey,
            "job_id": one.job_id,
            "cutouts": one.cutouts,
            "failed": one.failed,
            "images": one.images,
            "bytes": one.bytes,
            "seconds": one.seconds,
            "wait_s": one.wait_s,
        }
        for one in executions
    ]
    if rows:
        connection.execute(insert(ExecutionRow), rows)


def forget_people(engine: Engine, days: int) -> int:
    """Take names and jobs out of records that are older than so many days; return of how many."""
    old = ExecutionRow.at_ms < NowMs() - days * 86_400_000
    has_name = or_(ExecutionRow.account != "", ExecutionRow.actor != "", ExecutionRow.job_id != "")
    with engine.execution_options(writes=True).begin() as connection:
        forgotten = connection.execute(
            update(ExecutionRow).where(old, has_name).values(account="", actor="", job_id="")
        )
        return forgotten.rowcount
