"""Settings of quotas: the section [quotas]. ``config/default.toml`` says what each key means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from accounts.quota.kinds import Kind

#: Those whom limits may be for, beside ``group:<name>`` and ``user:<account>``.
CLASSES = ("system", "internal", "priority", "user", "anonymous")


@dataclass(frozen=True, slots=True)
class QuotaSettings:
    """How much may be used; each entry is ``<class>=<number>`` or ``group:<name>=<number>``."""

    cutouts: tuple[str, ...]
    cpu_s: tuple[str, ...]
    bytes: tuple[str, ...]
    jobs: tuple[str, ...]
    rows: tuple[str, ...]
    rate: tuple[str, ...]
    burst_s: float
    unmetered: tuple[str, ...]

    def limits(self, kind: Kind) -> Mapping[str, int]:
        """Read the limits of a kind, by subject as `accounts.quota.limits` has it; 0 is none.

        Raises
        ------
        ValueError
            If an entry is not as it should be.
        """
        return dict(read_entry(entry) for entry in getattr(self, kind.value))


def read_entry(entry: str) -> tuple[str, int]:
    """Read ``user=1_000_000``; ValueError if it is not that."""
    subject, mark, number = entry.rpartition("=")
    prefix, colon, name = subject.partition(":")
    if not mark or not (subject in CLASSES or (colon and prefix in ("group", "user") and name.strip())):
        raise ValueError(f"{entry!r} is not CLASS=NUMBER, group:NAME=NUMBER or user:ACCOUNT=NUMBER")
    value = float(number)
    if not 0 <= value < 2**53 or value != int(value):
        raise ValueError(f"{entry!r}: a limit is a whole number, and 0 is none")
    return (subject if colon else f"role:{subject}"), int(value)


def problems(settings: QuotaSettings) -> Iterable[tuple[str, str]]:
    """Name the settings that are wrong, each with the entry."""
    for kind in Kind:
        for entry in getattr(settings, kind.value):
            try:
                read_entry(entry)
            except ValueError:
                yield kind.value, entry
