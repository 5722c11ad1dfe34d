"""Tables of jobs. Moments are whole milliseconds since 1970 by the database's own clock (`dali.clock`).

Rows are locked in the order task, job, result, event: whoever changes a job and its tasks keeps to it.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import (
    ForeignKey,
    Index,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from dali.sql import COLUMN_TYPES, NUMBERED, named_constraints


class Base(DeclarativeBase):
    """All tables of jobs; constraints have names, as migrations need them."""

    metadata = named_constraints()
    type_annotation_map: ClassVar = COLUMN_TYPES


class JobRow(Base):
    """A job. `gone_ms` is set when it is destroyed: nobody sees it any more, its files wait for the end."""

    __tablename__ = "job"

    job_id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    owner: Mapped[str]
    phase: Mapped[str]
    run_id: Mapped[str]
    lane: Mapped[str]
    hidden: Mapped[bool]
    #: 0 goes first, then 1, and so on; what owners are entitled to decides among equals.
    rank: Mapped[int] = mapped_column(server_default=text("0"))
    share: Mapped[float] = mapped_column(server_default=text("1"))
    created_ms: Mapped[int]
    queued_ms: Mapped[int | None]
    #: When a task of it was claimed last, give or take some seconds; before the first, when it was queued.
    turn_ms: Mapped[int | None]
    started_ms: Mapped[int | None]
    ended_ms: Mapped[int | None]
    destruction_ms: Mapped[int]
    gone_ms: Mapped[int | None]
    quote_ms: Mapped[int | None]
    execution_duration_s: Mapped[int]
    parameters: Mapped[list[Any]]
    fault: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    total: Mapped[int] = mapped_column(server_default=text("0"))
    done: Mapped[int] = mapped_column(server_default=text("0"))
    empty: Mapped[int] = mapped_column(server_default=text("0"))
    failed: Mapped[int] = mapped_column(server_default=text("0"))
    poison: Mapped[int] = mapped_column(server_default=text("0"))
    bytes_out: Mapped[int] = mapped_column(server_default=text("0"))
    seconds: Mapped[float | None]
    event_seq: Mapped[int] = mapped_column(server_default=text("0"))
    #: Its results are a package, and not one for each row.
    packaged: Mapped[bool] = mapped_column(server_default=false())
    #: The job it was retried from; that one may be gone.
    parent_id: Mapped[str] = mapped_column(server_default="")
    estimate: Mapped[dict[str, Any] | None]
    #: The service that made it for its owner; "" where the owner did.
    actor: Mapped[str] = mapped_column(server_default="")
    #: So many of its tasks run at a time at most; 0 is no limit.
    parallel: Mapped[int] = mapped_column(server_default=text("0"))
    #: Groups that may see it beside its owner.
    shared_with: Mapped[list[Any] | None]
    #: What its pixels are of, in the words of its type: who may not read that may not have the results.
    sources: Mapped[list[Any] | None]
    #: Who is to be told what becomes of it, and how.
    notify: Mapped[dict[str, Any] | None]
    #: Hash of the key by which it may be seen, and until when.
    link_sha256: Mapped[str | None]
    link_until_ms: Mapped[int | None]

    __table_args__ = (
        Index("ix_job_owner_created", "owner", "created_ms", "job_id"),
        Index("ix_job_created", "created_ms", "job_id"),
        Index(
            "ix_job_runnable",
            "job_id",
            sqlite_where=text("phase IN ('QUEUED', 'EXECUTING')"),
            postgresql_where=text("phase IN ('QUEUED', 'EXECUTING')"),
        ),
        Index("ix_job_destruction", "destruction_ms"),
        # Of those that are gone alone: SQLite would look all others up by it.
        Index(
            "ix_job_gone",
            "gone_ms",
            sqlite_where=text("gone_ms IS NOT NULL"),
            postgresql_where=text("gone_ms IS NOT NULL"),
        ),
        Index(
            "ix_job_notify",
            "ended_ms",
            sqlite_where=text("notify IS NOT NULL"),
            postgresql_where=text("notify IS NOT NULL"),
        ),
    )


class TaskRow(Base):
    """A part of a job that is claimed, done and committed as one: queued, running, done, or dropped."""

    __tablename__ = "task"

    #: It names containers, so none is used again.
    task_id: Mapped[int] = mapped_column(NUMBERED, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("job.job_id", ondelete="CASCADE"))
    lane: Mapped[str]
    owner: Mapped[str]
    #: Tasks are claimed in this order: that in which a split has made them, or that of their first rows.
    n: Mapped[int]
    state: Mapped[str]
    rows: Mapped[list[Any]]
    row_count: Mapped[int]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    kills: Mapped[int] = mapped_column(server_default=text("0"))
    not_before_ms: Mapped[int] = mapped_column(server_default=text("0"))
    fence: Mapped[int] = mapped_column(server_default=text("0"))
    worker_id: Mapped[str] = mapped_column(server_default="")
    lease_until_ms: Mapped[int | None]
    started_ms: Mapped[int | None]
    ended_ms: Mapped[int | None]
    #: Why it waits, for those who look after the service.
    note: Mapped[str] = mapped_column(server_default="")
    #: `split` makes the other tasks of its job; `light` needs less memory than `heavy`.
    kind: Mapped[str] = mapped_column(server_default="heavy")
    #: What its rows share.
    common: Mapped[dict[str, Any] | None]

    __table_args__ = (
        Index(
            "ix_task_queued",
            "job_id",
            "lane",
            "n",
            sqlite_where=text("state = 'queued'"),
            postgresql_where=text("state = 'queued'"),
        ),
        Index(
            "ix_task_running",
            "owner",
            sqlite_where=text("state = 'running'"),
            postgresql_where=text("state = 'running'"),
        ),
        Index("ix_task_job", "job_id", "n"),
        {"sqlite_autoincrement": True},
    )


class ResultRow(Base):
    """The ledger: a file, or the sentence in its place. A container that no row names does not exist."""

    __tablename__ = "result"

    job_id: Mapped[str] = mapped_column(ForeignKey("job.job_id", ondelete="CASCADE"), primary_key=True)
    row: Mapped[int] = mapped_column(primary_key=True)
    part: Mapped[int] = mapped_column(primary_key=True)
    result_id: Mapped[str]
    task_id: Mapped[int]
    status: Mapped[str]
    message: Mapped[str]
    media_type: Mapped[str]
    file_name: Mapped[str]
    container: Mapped[str]
    offset: Mapped[int]
    size: Mapped[int]
    crc32: Mapped[int]
    sha256: Mapped[str]
    created_ms: Mapped[int]
    #: What publication needs: who may see it, whether that was approved, until when it is held back.
    visibility: Mapped[str] = mapped_column(server_default="owner")
    approval: Mapped[str] = mapped_column(server_default="")
    hold_until_ms: Mapped[int | None]
    #: The user's name of the row, the job type's word for what became of it, and what it tells of it.
    label: Mapped[str] = mapped_column(server_default="")
    verdict: Mapped[str] = mapped_column(server_default="")
    facts: Mapped[dict[str, Any] | None]
    #: 0 for a row of which something became before there was a task of it.
    attempts: Mapped[int] = mapped_column(server_default=text("1"))
    seconds: Mapped[float] = mapped_column(server_default=text("0"))

    __table_args__ = (
        UniqueConstraint("job_id", "result_id"),
        Index("ix_result_verdict", "job_id", "verdict", "row", "part"),
        Index("ix_result_label", "job_id", "label"),
        Index(
            "ix_result_failed",
            "created_ms",
            sqlite_where=text("status IN ('failed', 'poison')"),
            postgresql_where=text("status IN ('failed', 'poison')"),
        ),
    )


class UploadRow(Base):
    """A file that came with a job; `stored` may be an object of the job it was retried from."""

    __tablename__ = "upload"

    job_id: Mapped[str] = mapped_column(ForeignKey("job.job_id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    file_name: Mapped[str]
    media_type: Mapped[str]
    size: Mapped[int]
    sha256: Mapped[str]
    stored: Mapped[str]


class KeptRow(Base):
    """The files of a job are kept as long as another one, its holder, is there: it refers to them."""

    __tablename__ = "kept"

    job_id: Mapped[str] = mapped_column(ForeignKey("job.job_id", ondelete="CASCADE"), primary_key=True)
    holder_id: Mapped[str] = mapped_column(ForeignKey("job.job_id", ondelete="CASCADE"), primary_key=True)

    __table_args__ = (Index("ix_kept_holder", "holder_id"),)


class EventRow(Base):
    """What happened to a job, numbered without a gap in the transaction that made it happen."""

    __tablename__ = "event"

    job_id: Mapped[str] = mapped_column(ForeignKey("job.job_id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    at_ms: Mapped[int]
    kind: Mapped[str]
    data: Mapped[dict[str, Any] | None]

    #: By it changes are found. On the job itself an index of that kind would have to follow each of them.
    __table_args__ = (Index("ix_event_at", "at_ms"),)


class NoticeRow(Base):
    """Somebody is to be told of something: mail and webhooks are sent from here, once for each `dedupe`."""

    __tablename__ = "notice"

    notice_id: Mapped[int] = mapped_column(NUMBERED, primary_key=True)
    job_id: Mapped[str]
    channel: Mapped[str]
    dedupe: Mapped[str] = mapped_column(unique=True)
    payload: Mapped[dict[str, Any]]
    created_ms: Mapped[int]
    not_before_ms: Mapped[int]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    sent_ms: Mapped[int | None]
    #: What happened: done, failed, expiring, expired.
    event: Mapped[str] = mapped_column(server_default="")
    #: Since then it may have arrived, whatever is known of it.
    handed_ms: Mapped[int | None]
    given_up_ms: Mapped[int | None]
    #: Why it was not taken the last time.
    note: Mapped[str] = mapped_column(server_default="")

    __table_args__ = (
        Index(
            "ix_notice_open",
            "not_before_ms",
            sqlite_where=text("sent_ms IS NULL AND given_up_ms IS NULL"),
            postgresql_where=text("sent_ms IS NULL AND given_up_ms IS NULL"),
        ),
        Index("ix_notice_job", "job_id", "event"),
        {"sqlite_autoincrement": True},
    )


class WorkerRow(Base):
    """A worker, and when it was last heard of."""

    __tablename__ = "worker"

    worker_id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    lanes: Mapped[str]
    started_ms: Mapped[int]
    seen_ms: Mapped[int]
    #: Memory of it and of the process that works on pixels, and the task in hand.
    memory_bytes: Mapped[int | None]
    task_id: Mapped[int | None]
    #: `drain` or `stop`: what it was told to do.
    wanted: Mapped[str] = mapped_column(server_default="")


class LaneRow(Base):
    """A queue that is paused: nothing is claimed in it."""

    __tablename__ = "lane"

    lane: Mapped[str] = mapped_column(primary_key=True)
    paused_ms: Mapped[int | None]
    account: Mapped[str] = mapped_column(server_default="")
    reason: Mapped[str] = mapped_column(server_default="")


class PaceRow(Base):
    """How long work took, compared with what was predicted, by kind of work (`uws.pace`)."""

    __tablename__ = "pace"

    key: Mapped[str] = mapped_column(primary_key=True)
    runs: Mapped[int]
    #: Bin -> what counts still of the runs in it.
    weights: Mapped[dict[str, Any]]
    at_ms: Mapped[int]


class TallyRow(Base):
    """What all workers have counted since the database was made (`uws.tally`)."""

    __tablename__ = "tally"

    name: Mapped[str] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int]
