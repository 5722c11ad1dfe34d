"""Settings of accounts: the section [accounts]. ``config/default.toml`` says what each key means."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """Who may be known, how, and for how long."""

    anonymous: bool
    providers: tuple[str, ...]
    admin_groups: tuple[str, ...]
    secret: str = field(repr=False)
    secret_file: str
    session_idle_s: int
    session_s: int
    proof_s: int
    token_days: int
    max_token_days: int
    max_tokens: int
    kept_s: float
    personal_days: int
