"""Settings of notices: the section [notices]. ``config/default.toml`` says what each key means."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class NoticeSettings:
    """Whether and how people and programs are told what becomes of jobs."""

    smtp_url: str = field(repr=False)  # it may hold a password
    sender: str
    webhook_hosts: tuple[str, ...]
    webhook_secret: str = field(repr=False)
    expiring_s: int
    retry_s: int
