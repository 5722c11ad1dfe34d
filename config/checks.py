"""What settings must be: checked once, when they have been read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import date
from ipaddress import ip_network
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from accounts.quota.settings import problems as quota_problems
from accounts.secret import SecretError, is_sample, read_secret
from accounts.settings import wrong_settings
from accounts.tiers import problems
from uws.packages.destination import Destination

if TYPE_CHECKING:
    from config.settings import RecordSettings, Settings
    from uws.notices.settings import NoticeSettings

_MORE_THAN_0 = (
    "lease_s",
    "reconcile_s",
    "row_limit_s",
    "split_limit_s",
    "child_tasks",
    "max_attempts",
    "max_rows",
    "max_body_bytes",
    "max_upload_bytes",
    "max_uploads_bytes",
    "packages_bytes",
    "destruction_s",
)
#: Addresses that nobody else reaches.
_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")
#: An execution is told as an xs:int of seconds; a destruction a hundred years from now still is a date.
_LONGEST_S = {"execution_duration_s": 2**31 - 1, "destruction_s": 3_155_760_000}


#: Fewer characters of a secret can be guessed.
LEAST_SECRET = 32


class SettingsError(Exception):
    """A setting is wrong; the message names it, where it stands, and what is expected."""


def check(settings: Settings) -> None:
    """Look at all of them.

    Raises
    ------
    SettingsError
        If a value is not one that its key takes, or two do not fit together.
    """
    server, sync = settings.server, settings.sync
    if not settings.data.engine_url.startswith(("sqlite:", "postgresql:")):
        raise SettingsError("data.database_url must begin with sqlite: or postgresql:")
    if settings.data.database_url and not _is_database_url(settings.data.database_url):
        raise SettingsError("data.database_url must be a URL such as postgresql://user@host:5432/name")
    _require("server.port", 0 <= server.port <= 65535, "0 to 65535", server.port)
    for name, number in (
        ("server.threads", server.threads),
        ("sync.inline_pixels", sync.inline_pixels),
        ("sync.max_pixels", sync.max_pixels),
        ("sync.max_bytes", sync.max_bytes),
        ("sync.max_inputs", sync.max_inputs),
        ("sync.max_pixels_in", sync.max_pixels_in),
        ("sync.max_body_bytes", sync.max_body_bytes),
        ("sia.default_rows", settings.sia.default_rows),
        ("sia.max_rows", settings.sia.max_rows),
        ("links.max_ids", settings.links.max_ids),
        ("links.max_body_bytes", settings.links.max_body_bytes),
        ("cutout_jobs.max_targets", settings.cutout_jobs.max_targets),
        ("cutout_jobs.max_list_rows", settings.cutout_jobs.max_list_rows),
    ):
        _require(name, number >= 1, "at least 1", number)
    few, most = settings.sia.default_rows, settings.sia.max_rows
    _require("sia.default_rows", few <= most, f"at most sia.max_rows ({most})", few)
    for name in ("max_pixels", "max_bytes", "max_inputs", "max_pixels_in"):
        # Larger cutouts of sync are made by jobs.
        least, limit = getattr(sync, name), getattr(settings.cutout_jobs, name)
        _require(f"cutout_jobs.{name}", limit >= least, f"at least sync.{name} ({least})", limit)
    for name, seconds in (
        ("server.graceful_stop_s", server.graceful_stop_s),
        ("sync.wait_s", sync.wait_s),
        ("sync.job_wait_s", sync.job_wait_s),
        ("sync.max_seconds", sync.max_seconds),
        ("cutout_jobs.high_pixels", settings.cutout_jobs.high_pixels),
    ):
        _require(name, seconds >= 0, "0 or more", seconds)
    for name, number in (("server.workers", server.workers), ("server.cores", server.cores)):
        _require(name, number >= 0, "0 or more", number)
    url = urlsplit(server.base_url)
    plain = url.scheme in ("http", "https") and url.netloc and not (url.query or url.fragment)
    _require("server.base_url", not server.base_url or plain, "an http or https URL", server.base_url)
    _check_record(settings.record)
    _check_jobs(settings)
    for name, entry in problems(settings.priority):
        more = "=NUMBER" if name == "shares" else ""
        _require(f"priority.{name}", False, f"group:NAME{more} or user:ACCOUNT{more}", entry)
    check_secret(settings, server.host)
    for key, expected, got in wrong_settings(settings.accounts):
        _require(f"accounts.{key}", False, expected, got)
    _check_notices(settings.notices)
    for folder in settings.delivery.folders:
        _require("delivery.folders", _is_destination(folder), "NAME:UID:GID:/PATH, not of root", folder)
    for network in server.trusted_proxies:
        _require("server.trusted_proxies", _is_network(network), "IP addresses or networks", network)
    for kind, entry in quota_problems(settings.quotas):
        _require(f"quotas.{kind}", False, "CLASS=NUMBER, group:NAME=NUMBER or user:ACCOUNT=NUMBER", entry)
    _require("quotas.burst_s", settings.quotas.burst_s >= 0, "0 or more", settings.quotas.burst_s)
    for network in settings.quotas.unmetered:
        _require("quotas.unmetered", _is_network(network), "IP addresses or networks", network)
    for base in (settings.identifiers.base, *settings.identifiers.former):
        is_ivoid = base.startswith("ivo://") and "?" not in base and "#" not in base
        _require("identifiers.base and .former", is_ivoid, "ivo://authority/resource", base)


def _check_jobs(settings: Settings) -> None:
    jobs, threads = settings.jobs, settings.server.threads
    values = {item.name: getattr(jobs, item.name) for item in fields(jobs)}
    for name, number in values.items():
        if isinstance(number, int | float) and not isinstance(number, bool):
            _require(f"jobs.{name}", number >= 0, "0 or more", number)
    for name in _MORE_THAN_0:
        _require(f"jobs.{name}", values[name] > 0, "more than 0", values[name])
    _require("jobs.renew_s", 0 < jobs.renew_s <= jobs.lease_s / 2, "at most half of lease_s", jobs.renew_s)
    _require(
        "jobs.max_waiters",
        jobs.max_waiters < threads,
        f"less than server.threads ({threads})",
        jobs.max_waiters,
    )
    for name, longest in _LONGEST_S.items():
        few, most = values[name], values[f"max_{name}"]
        _require(f"jobs.max_{name}", most <= longest, f"at most {longest}", most)
        # 0 is no limit of an execution.
        fits = few <= most if name == "destruction_s" else not most or 0 < few <= most
        _require(f"jobs.{name}", fits, f"at most jobs.max_{name} ({most})", few or "0, no limit")
    wait_s, kept_s = settings.sync.job_wait_s, jobs.hidden_destruction_s
    _require("jobs.hidden_destruction_s", kept_s > wait_s, f"more than sync.job_wait_s ({wait_s})", kept_s)
    if jobs.memory_bytes:
        light, heavy = jobs.light_memory_bytes, jobs.memory_bytes
        _require("jobs.light_memory_bytes", light <= heavy, f"at most jobs.memory_bytes ({heavy})", light)
    for entry in jobs.upload_hosts:
        _require("jobs.upload_hosts", _is_host(entry), "hosts such as archive.example.org", entry)
    _check_redis_url(jobs.redis_url)


def check_secret(settings: Settings, host: str) -> None:
    """Look at the secret that the settings have or name, of a service that listens at `host`.

    Raises
    ------
    SettingsError
        If it is too short, cannot be read, or is one that everybody knows and others can reach the service.
    """
    accounts = settings.accounts
    if not (accounts.secret or accounts.secret_file):
        return
    try:
        read_secret(accounts, settings.data.path)
        is_known = is_sample(accounts)
    except SecretError as error:
        raise SettingsError(str(error)) from error
    if is_known and (settings.server.base_url or host not in _THIS_MACHINE):
        raise SettingsError(
            "accounts.secret is the sample, which everybody knows: it is for demonstrations on one machine;"
            " set a secret of your own"
        )


def _check_notices(notices: NoticeSettings) -> None:
    from uws.notices.mail import MailServer, address_of

    # It may hold a password, so it is not repeated.
    if notices.smtp_url and not _can(MailServer.parse, notices.smtp_url):
        raise SettingsError(
            "notices.smtp_url must be a URL such as smtp+starttls://user:password@host:587, smtps://host or,"
            " without a password, smtp://host"
        )
    has_sender = not notices.smtp_url or _can(address_of, notices.sender)
    _require("notices.sender", has_sender, "an address such as cutouts@example.org", notices.sender)
    for entry in notices.webhook_hosts:
        _require("notices.webhook_hosts", _is_host(entry), "hosts such as hub.example.org", entry)
    if notices.webhook_hosts and len(notices.webhook_secret) < LEAST_SECRET:
        raise SettingsError(f"notices.webhook_secret must have {LEAST_SECRET} characters at least")
    for name, seconds in (("expiring_s", notices.expiring_s), ("retry_s", notices.retry_s)):
        _require(f"notices.{name}", seconds >= 0, "0 or more", seconds)


def _can(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


def _check_redis_url(url: str) -> None:
    """Have Redis' own client read it. It may hold a password, so it is not repeated."""
    schemes = ("redis://", "rediss://", "unix://")
    if not url:
        return
    if not url.startswith(schemes):
        raise SettingsError(f"jobs.redis_url must be a URL that begins with one of {', '.join(schemes)}")
    from redis.connection import parse_url

    try:
        read = parse_url(url)  # type: ignore[no-untyped-call]
    except ValueError:
        read = None
    if read is None or (url.startswith("unix:") and not read.get("path")):
        raise SettingsError(
            "jobs.redis_url must be a URL such as redis://:password@host:6379/0 or unix:///path/redis.sock"
        )


def _is_destination(text: str) -> bool:
    try:
        return bool(Destination.parse(text).name)
    except ValueError:
        return False


def _is_host(entry: str) -> bool:
    from uws.sites import site_of

    try:
        site_of(entry)
    except ValueError:
        return False
    return True


def _is_database_url(text: str) -> bool:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        make_url(text)
    except (ArgumentError, ValueError):
        return False
    return True


def _check_record(record: RecordSettings) -> None:
    _require("record.title", record.title.strip(), "a text", record.title)
    # VOResource 1.1, section 2.2.1
    _require("record.short_name", len(record.short_name) <= 16, "16 characters at most", record.short_name)
    _require("record.subjects", record.subjects, "one subject at least", list(record.subjects))
    try:
        date.fromisoformat(record.created or "2026-01-01")
    except ValueError as error:
        raise SettingsError(
            f"record.created must be a date such as 2026-01-31; got {record.created!r}"
        ) from error


def _require(name: str, holds: object, expected: str, got: object) -> None:
    if not holds:
        raise SettingsError(f"{name} must be {expected}; got {got!r}")


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True
