"""Who has had how much made: records of cutouts, summed up by user, survey or day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from sqlalchemy import Engine, case, func, select

from accounts.tables import ExecutionRow
from dali.clock import now_ms

By = Literal["day", "survey", "user"]
BYS: tuple[By, ...] = get_args(By)
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Used:
    """What was made.

    Parameters
    ----------
    key
        Day, survey, or account; "" is somebody unknown, or forgotten.
    cutouts, failed
        How many were made, and how many could not be.
    sync
        Of those made, the ones that were made at once.
    images, bytes
        Images that were read, and bytes of the cutouts.
    seconds, wait_s
        Of work, and until it began.
    """

    key: str
    cutouts: int = 0
    failed: int = 0
    sync: int = 0
    images: int = 0
    bytes: int = 0
    seconds: float = 0.0
    wait_s: float = 0.0


class Usage:
    """Records in the database.

    Parameters
    ----------
    engine
        Of the database.
    """

    def __init__(self, engine: Engine) -> None:
        self._reading = engine.execution_options(single_reads=True)

    def by(self, what: By, days: int, most: int, *, account: str = "", survey: str = "") -> Sequence[Used]:
        """Sum up the last days: today, which began at 0 h UTC, is one of them.

        Parameters
        ----------
        what
            Days come in their order, each of them; of others those with most cutouts come first.
        days
            So many.
        most
            Of others than days, so many are told.
        account, survey
            Only of these.
        """
        with self._reading.connect() as connection:
            today = now_ms(connection) // DAY_MS
            first = today - days + 1
            conditions = [ExecutionRow.at_ms >= first * DAY_MS]
            if account:
                conditions.append(ExecutionRow.account == account)
            if survey:
                conditions.append(ExecutionRow.survey == survey)
            key = _KEYS[what].label("key")
            statement = select(key, *_SUMS).where(*conditions).group_by(key)
            if what != "day":
                statement = statement.order_by(_SUMS[0].desc(), key).limit(most)
            rows = connection.execute(statement).all()
        if what != "day":
            return [_used(str(row[0]), row) for row in rows]
        found = {row[0]: row for row in rows}
        numbers = range(first, today + 1)
        return [
            _used(_day(number), found[number]) if number in found else Used(_day(number))
            for number in numbers
        ]


_KEYS: dict[By, Any] = {
    "day": ExecutionRow.at_ms // DAY_MS,
    "survey": ExecutionRow.survey,
    "user": ExecutionRow.account,
}
_SUMS = tuple(
    func.coalesce(func.sum(amount), 0)
    for amount in (
        ExecutionRow.cutouts,
        ExecutionRow.failed,
        case((ExecutionRow.how == "sync", ExecutionRow.cutouts), else_=0),
        ExecutionRow.images,
        ExecutionRow.bytes,
        ExecutionRow.seconds,
        ExecutionRow.wait_s,
    )
)


def _used(key: str, row: Sequence[Any]) -> Used:
    return Used(key, *(int(value) for value in row[1:6]), *(float(value) for value in row[6:8]))


def _day(number: int) -> str:
    return datetime.fromtimestamp(number * DAY_MS / 1000, UTC).date().isoformat()
