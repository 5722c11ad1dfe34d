"""Notices in the database: one for each job, event and channel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, delete, exists, func, insert, or_, select, text, update
from sqlalchemy.exc import IntegrityError

from dali.clock import NowMs, now_ms
from uws.notices.event import EVENTS, Event, Facts, Notice
from uws.phase import TERMINAL
from uws.store.rows import counts_of
from uws.tables import JobRow, NoticeRow

#: Jobs of which something is to be told, that are dealt with at a time.
BATCH = 200

#: As the indexes have them, to the letter: SQLite takes them for no other spelling.
_HAS_WISHES = text("job.notify IS NOT NULL")
_IS_OPEN = text("notice.sent_ms IS NULL AND notice.given_up_ms IS NULL")


@dataclass(frozen=True, slots=True)
class NoticeCounts:
    """How many notices wait, were sent, and were given up."""

    waiting: int
    sent: int
    given_up: int


class NoticeStore:
    """Notices in the database.

    Parameters
    ----------
    engine
        Database of the jobs.
    """

    def __init__(self, engine: Engine) -> None:
        self._reading = engine.execution_options(single_reads=True)
        self._writing = engine.execution_options(writes=True)

    def now_ms(self) -> int:
        """Ask for the time."""
        with self._reading.connect() as connection:
            return now_ms(connection)

    def collect(self, expiring_s: int) -> int:
        """Write down what is to be told by now, and was not before; return of how many jobs.

        Parameters
        ----------
        expiring_s
            So long before its destruction it is told of a job.
        """
        count = 0
        for event, condition in _due(expiring_s):
            statement = (
                select(*JobRow.__table__.columns)
                .where(_HAS_WISHES, condition, ~_was_told(event))
                .order_by(JobRow.ended_ms)
                .limit(BATCH)
            )
            with self._reading.connect() as connection:
                found = connection.execute(statement).mappings().all()
            count += sum(self._write(job, event) for job in found)
        return count

    def take(self, lease_s: float) -> Notice | None:
        """Take the next notice that is to be sent; nobody else has it for so many seconds."""
        due = select(NoticeRow.notice_id).where(_IS_OPEN, NoticeRow.not_before_ms <= NowMs())
        with self._reading.connect() as connection:
            found = connection.execute(due.order_by(NoticeRow.not_before_ms).limit(BATCH)).scalars().all()
        for notice_id in found:
            with self._writing.begin() as connection:
                taken = (
                    connection.execute(
                        update(NoticeRow)
                        .where(NoticeRow.notice_id == notice_id, _IS_OPEN, NoticeRow.not_before_ms <= NowMs())
                        .values(not_before_ms=NowMs() + int(lease_s * 1000), attempts=NoticeRow.attempts + 1)
                        .returning(*NoticeRow.__table__.columns)
                    )
                    .mappings()
                    .one_or_none()
                )
            if taken is not None:
                return _notice(taken)
        return None

    def handing(self, notice: Notice) -> None:
        """Write down that a notice may have arrived from now on."""
        self._set(notice, handed_ms=NowMs())

    def sent(self, notice: Notice) -> None:
        """Write down that a notice was sent."""
        self._set(notice, sent_ms=NowMs(), note="")

    def again(self, notice: Notice, pause_s: float, within_s: int, note: str) -> bool:
        """Have a notice sent later; False if that is too late: `within_s` from when it was made."""
        next_ms = NowMs() + int(pause_s * 1000)
        return self._set(
            notice,
            NoticeRow.created_ms + within_s * 1000 >= next_ms,
            not_before_ms=next_ms,
            handed_ms=None,
            note=note,
        )

    def give_up(self, notice: Notice, note: str) -> None:
        """Write down that a notice is not sent."""
        self._set(notice, given_up_ms=NowMs(), note=note)

    def forget(self, kept_s: float) -> None:
        """Remove notices that are over, and whose job is no longer there."""
        over = or_(NoticeRow.sent_ms.is_not(None), NoticeRow.given_up_ms.is_not(None))
        old = NoticeRow.created_ms < NowMs() - int(kept_s * 1000)
        gone = ~exists().where(JobRow.job_id == NoticeRow.job_id)
        with self._writing.begin() as connection:
            connection.execute(delete(NoticeRow).where(over, old, gone))

    def counts(self) -> NoticeCounts:
        """Count notices."""
        statement = select(
            func.count().filter(_IS_OPEN), func.count(NoticeRow.sent_ms), func.count(NoticeRow.given_up_ms)
        ).select_from(NoticeRow)
        with self._reading.connect() as connection:
            return NoticeCounts(*connection.execute(statement).one())

    def _set(self, notice: Notice, *conditions: ColumnElement[bool], **values: Any) -> bool:
        with self._writing.begin() as connection:
            changed = connection.execute(
                update(NoticeRow)
                .where(NoticeRow.notice_id == notice.notice_id, _IS_OPEN, *conditions)
                .values(**values)
            )
            return changed.rowcount > 0

    def _write(self, job: Any, event: Event) -> bool:
        """Write down what is to be told of a job; False if somebody else has done so."""
        rows = [_row(job, event, channel, url) for channel, url in _channels(job["notify"], event)]
        # It is looked for by its event: what nobody wants is written down as told.
        rows = rows or [{**_row(job, event, "none", ""), "sent_ms": NowMs()}]
        try:
            with self._writing.begin() as connection:
                for row in rows:
                    connection.execute(insert(NoticeRow).values(**row))
        except IntegrityError:
            return False
        return True


def _due(expiring_s: int) -> Iterator[tuple[Event, ColumnElement[bool]]]:
    """Say when it is time to tell something."""
    expiring_ms = expiring_s * 1000
    here = JobRow.gone_ms.is_(None)
    # Whoever aborts a job knows.
    failed = or_(JobRow.phase == "ERROR", and_(JobRow.phase == "ABORTED", JobRow.error.is_not(None)))
    yield "done", and_(here, JobRow.phase == "COMPLETED")
    yield "failed", and_(here, failed)
    if expiring_ms:
        soon = JobRow.destruction_ms - expiring_ms
        # Of what is kept for a short time anyway, that was said when it was done.
        yield "expiring", and_(here, JobRow.phase.in_(_ENDED), soon <= NowMs(), JobRow.ended_ms < soon)
    yield (
        "expired",
        and_(
            JobRow.gone_ms >= JobRow.destruction_ms,
            JobRow.phase.in_(_ENDED),
            # One that runs until then is aborted by that.
            JobRow.ended_ms < JobRow.gone_ms,
        ),
    )


_ENDED = [phase.value for phase in TERMINAL]


def _was_told(event: Event) -> Any:
    return exists().where(NoticeRow.job_id == JobRow.job_id, NoticeRow.event == event)


def _channels(notify: Any, event: Event) -> Iterator[tuple[str, str]]:
    if event in notify.get("mail", ()):
        yield "mail", ""
    if url := notify.get("webhook", ""):
        yield "webhook", url


def _row(job: Any, event: Event, channel: str, url: str) -> dict[str, Any]:
    error = job["error"] or {}
    facts = Facts(
        job["run_id"],
        job["phase"],
        counts_of(job),
        job["bytes_out"],
        error.get("message", ""),
        job["ended_ms"] or 0,
        job["destruction_ms"],
    )
    return {
        "job_id": job["job_id"],
        "event": event,
        "channel": channel,
        "dedupe": f"{job['job_id']}:{event}:{channel}",
        "payload": {"owner": job["owner"], "url": url, "facts": facts.to_json()},
        "created_ms": NowMs(),
        "not_before_ms": NowMs(),
    }


def _notice(found: Any) -> Notice:
    payload = found["payload"]
    event = next(event for event in EVENTS if event == found["event"])
    return Notice(
        found["notice_id"],
        found["job_id"],
        event,
        "mail" if found["channel"] == "mail" else "webhook",
        found["dedupe"],
        payload["owner"],
        payload["url"],
        Facts.from_json(payload["facts"]),
        found["created_ms"],
        found["attempts"] - 1,
        found["handed_ms"] is not None,
    )
