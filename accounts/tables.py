"""Tables of accounts. Moments are whole milliseconds since 1970 by the database's own clock."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import ForeignKey, Index, false, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from dali.sql import COLUMN_TYPES, NUMBERED, named_constraints


class Base(DeclarativeBase):
    """All tables of accounts; constraints have names, as migrations need them."""

    metadata = named_constraints()
    type_annotation_map: ClassVar = COLUMN_TYPES


class AccountRow(Base):
    """Somebody known: a person or a service. Its name is ``<provider>:<subject>``, and never used again."""

    __tablename__ = "account"

    name: Mapped[str] = mapped_column(primary_key=True)
    provider: Mapped[str]
    subject: Mapped[str]
    #: `person` or `service`.
    kind: Mapped[str] = mapped_column(server_default="person")
    title: Mapped[str] = mapped_column(server_default="")
    email: Mapped[str] = mapped_column(server_default="")
    #: `user` or `admin`; members of the groups named in the settings are administrators too.
    role: Mapped[str] = mapped_column(server_default="user")
    #: As the provider told them at the last login.
    groups: Mapped[list[Any]]
    disabled: Mapped[bool] = mapped_column(server_default=false())
    #: Whether this service may act for others.
    may_act: Mapped[bool] = mapped_column(server_default=false())
    #: What this account wants to be told of, and how.
    wishes: Mapped[dict[str, Any] | None]
    created_ms: Mapped[int]
    seen_ms: Mapped[int]


class MemberRow(Base):
    """An account is in a group of this service's own."""

    __tablename__ = "member"

    group: Mapped[str] = mapped_column("group_name", primary_key=True)
    account: Mapped[str] = mapped_column(ForeignKey("account.name", ondelete="CASCADE"), primary_key=True)
    until_ms: Mapped[int | None]

    __table_args__ = (Index("ix_member_account", "account"),)


class TokenRow(Base):
    """A token of an account; only its SHA-256 is kept."""

    __tablename__ = "token"

    token_id: Mapped[str] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(ForeignKey("account.name", ondelete="CASCADE"))
    title: Mapped[str]
    sha256: Mapped[str] = mapped_column(unique=True)
    scopes: Mapped[list[Any]]
    created_ms: Mapped[int]
    expires_ms: Mapped[int]
    used_ms: Mapped[int | None]
    revoked_ms: Mapped[int | None]

    __table_args__ = (Index("ix_token_account", "account"),)


class SessionRow(Base):
    """Somebody is signed in with a browser; the key is the SHA-256 of what the cookie holds."""

    __tablename__ = "session"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    #: "" before it is known who it is: during a login.
    account: Mapped[str]
    created_ms: Mapped[int]
    seen_ms: Mapped[int]
    #: When the password, or the provider, was asked last.
    proved_ms: Mapped[int | None]
    #: Of a login that has begun: state, nonce, verifier, where to go then.
    data: Mapped[dict[str, Any] | None]

    __table_args__ = (Index("ix_session_account", "account"), Index("ix_session_seen", "seen_ms"))


class FailureRow(Base):
    """Logins that failed, by who tried."""

    __tablename__ = "failure"

    key: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]
    first_ms: Mapped[int]
    until_ms: Mapped[int | None]


class AuditRow(Base):
    """Somebody did something that others may ask about later."""

    __tablename__ = "audit"

    audit_id: Mapped[int] = mapped_column(NUMBERED, primary_key=True)
    at_ms: Mapped[int]
    account: Mapped[str]
    actor: Mapped[str] = mapped_column(server_default="")
    act: Mapped[str]
    object: Mapped[str]
    reason: Mapped[str] = mapped_column(server_default="")
    data: Mapped[dict[str, Any] | None]

    __table_args__ = (Index("ix_audit_at", "at_ms"), {"sqlite_autoincrement": True})


class LimitRow(Base):
    """A limit that ``user:…``, ``group:…`` or ``role:…``, its `subject`, has instead of the usual one."""

    __tablename__ = "quota_limit"

    subject: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int]
    until_ms: Mapped[int | None]
    reason: Mapped[str] = mapped_column(server_default="")
    account: Mapped[str] = mapped_column(server_default="")


class UseRow(Base):
    """How much of a quota is used and reserved; `window` is the day, "" for what is not counted by days."""

    __tablename__ = "quota_use"

    subject: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    window: Mapped[str] = mapped_column("day", primary_key=True)
    used: Mapped[int] = mapped_column(server_default=text("0"))
    reserved: Mapped[int] = mapped_column(server_default=text("0"))


class ReservationRow(Base):
    """What a job has reserved, and what it holds once it has ended."""

    __tablename__ = "reservation"

    job_id: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    window: Mapped[str] = mapped_column("day")
    amount: Mapped[int]
    #: `reserved`, or `used` when the job has ended and still holds it.
    state: Mapped[str]

    __table_args__ = (Index("ix_reservation_subject", "subject", "state"),)


class ExecutionRow(Base):
    """Cutouts that were made: by one task of a job, or at once within a second. Who asked is forgotten."""

    __tablename__ = "execution"

    execution_id: Mapped[int] = mapped_column(NUMBERED, primary_key=True)
    at_ms: Mapped[int]
    account: Mapped[str]
    actor: Mapped[str] = mapped_column(server_default="")
    #: `sync` or `async`.
    how: Mapped[str]
    survey: Mapped[str]
    job_id: Mapped[str] = mapped_column(server_default="")
    cutouts: Mapped[int]
    failed: Mapped[int] = mapped_column(server_default=text("0"))
    images: Mapped[int] = mapped_column(server_default=text("0"))
    bytes: Mapped[int]
    seconds: Mapped[float]
    wait_s: Mapped[float] = mapped_column(server_default=text("0"))

    __table_args__ = (Index("ix_execution_at", "at_ms"), {"sqlite_autoincrement": True})


class AnnouncementRow(Base):
    """Something that all users are told."""

    __tablename__ = "announcement"

    announcement_id: Mapped[int] = mapped_column(NUMBERED, primary_key=True)
    text: Mapped[str]
    #: `note` or `warning`.
    level: Mapped[str] = mapped_column(server_default="note")
    from_ms: Mapped[int]
    until_ms: Mapped[int | None]
    account: Mapped[str]

    __table_args__ = ({"sqlite_autoincrement": True},)
