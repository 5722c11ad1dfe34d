"""Settings of accounts: the section [accounts]. ``config/default.toml`` says what each key means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

_MORE_THAN_0 = (
    "session_idle_s",
    "session_s",
    "proof_s",
    "login_failures",
    "login_wait_s",
    "token_days",
    "max_token_days",
    "max_tokens",
)


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
    login_failures: int
    login_wait_s: int
    token_days: int
    max_token_days: int
    max_tokens: int
    kept_s: float
    personal_days: int

    @property
    def is_told(self) -> bool:
        """Whether everybody is told that one can be known here."""
        return bool(self.providers) or not self.anonymous


def wrong_settings(settings: AccountSettings) -> Iterator[tuple[str, str, object]]:
    """Name the settings that are wrong, each with what is expected and what was got."""
    for name in _MORE_THAN_0:
        if (number := getattr(settings, name)) <= 0:
            yield name, "more than 0", number
    if not 0 <= settings.kept_s <= 60:
        yield "kept_s", "0 to 60", settings.kept_s
    if settings.personal_days < 0:
        yield "personal_days", "0 or more", settings.personal_days
    for name, most in (("session_idle_s", "session_s"), ("token_days", "max_token_days")):
        few, many = getattr(settings, name), getattr(settings, most)
        if few > many:
            yield name, f"at most accounts.{most} ({many})", few
