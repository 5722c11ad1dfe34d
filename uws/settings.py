"""Settings of jobs: the section [jobs]. ``config/default.toml`` says what each key means."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class JobSettings:
    """How jobs are run, and what they may ask for."""

    redis_url: str = field(repr=False)  # it may hold a password
    workers: int
    high_workers: int
    results_url: str
    results_options: str = field(repr=False)  # they may hold a secret
    results_redirect: bool
    results_reserve_bytes: int
    execution_duration_s: int
    max_execution_duration_s: int
    destruction_s: int
    max_destruction_s: int
    hidden_destruction_s: int
    grace_s: int
    orphan_scan_s: int
    max_wait_s: float
    max_waiters: int
    max_streams: int
    lease_s: float
    renew_s: float
    reconcile_s: float
    row_limit_s: float
    split_limit_s: float
    memory_bytes: int
    light_memory_bytes: int
    child_tasks: int
    drain_s: float
    max_attempts: int
    back_off_s: float
    max_rows: int
    max_body_bytes: int
    max_upload_bytes: int
    max_uploads_bytes: int
    upload_hosts: tuple[str, ...]
    packages_bytes: int
    high_rows: int
    max_parallel: int
