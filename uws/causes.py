"""Failures, grouped by their cause: messages that differ in names and numbers alone are one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from uws.store.failures import Failure

#: So many of a group are shown.
SAMPLES = 3
#: And so many of their messages.
MESSAGES = 5
_QUOTED = re.compile(r'"[^"]*"|“[^”]*”|(?<!\w)\'[^\']*\'(?!\w)')
_DATASET = re.compile(r"ivo://\S+|(?<![\w/])[\w.+-]+(?:/[\w.+-]+)+")
_CODE = re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,}\b", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])[+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Said:
    """A message, and how many failures have it."""

    message: str
    failures: int


@dataclass(frozen=True, slots=True)
class Cause:
    """Failures of one cause.

    Parameters
    ----------
    key
        Names the cause: the same one tomorrow.
    kind
        As that of its failures.
    text
        What they say, without what differs.
    failures, jobs, owners
        How many rows or jobs failed so, in how many jobs, of how many owners; those nobody knows are one.
    messages
        What they say in full, and how many say so: the most frequent ones.
    samples
        The last ones.
    """

    key: str
    kind: str
    text: str
    failures: int
    jobs: int
    owners: int
    first_ms: int
    last_ms: int
    messages: tuple[Said, ...]
    samples: tuple[Failure, ...]


def cause_of(message: str) -> str:
    """Take out of a message what differs from one failure of a cause to the next."""
    line = message.partition("\n")[0].strip()
    for pattern, sign in ((_QUOTED, "“…”"), (_DATASET, "…"), (_CODE, "…"), (_NUMBER, "#")):
        line = pattern.sub(sign, line)
    return line


def grouped(failures: Iterable[Failure]) -> list[Cause]:
    """Group failures, the largest group first; within each the last one is first."""
    groups: dict[tuple[str, str], list[Failure]] = {}
    for failure in failures:
        groups.setdefault((failure.kind, cause_of(failure.message)), []).append(failure)
    causes = [_cause(kind, text, found) for (kind, text), found in groups.items()]
    return sorted(causes, key=lambda cause: (-cause.failures, -cause.last_ms, cause.text))


def _cause(kind: str, text: str, found: list[Failure]) -> Cause:
    found = sorted(found, key=lambda failure: failure.at_ms, reverse=True)
    messages = Counter(failure.message.partition("\n")[0] for failure in found)
    return Cause(
        sha256(f"{kind} {text}".encode()).hexdigest()[:12],
        kind,
        text,
        len(found),
        len({failure.job_id for failure in found}),
        len({failure.owner for failure in found}),
        found[-1].at_ms,
        found[0].at_ms,
        tuple(Said(*said) for said in messages.most_common(MESSAGES)),
        tuple(found[:SAMPLES]),
    )
