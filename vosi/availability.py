"""Whether the service can do its work now (VOSI 1.1, section 3.2), found out by trying."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lxml import etree

from dali.trial import Trial

VOSI = "http://www.ivoa.net/xml/VOSIAvailability/v1.0"

#: Of all checks together; one that takes longer has failed.
WITHIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Check:
    """Looks at one thing the service works with.

    Parameters
    ----------
    look
        Gives a sentence, without any path, if it fails, else None.
    what
        The thing, in a word or two.
    is_vital
        Whether the service is not available without it; else the sentence is a note and no more.
    """

    look: Callable[[], str | None]
    what: str = "a check"
    is_vital: bool = True


@dataclass(frozen=True, slots=True)
class Availability:
    """What was found: `notes` say what fails, or that nothing does; `parts` is each check's outcome.

    `faults` are the sentences of those that fail, by what they look at.
    """

    available: bool
    up_since: datetime | None
    notes: tuple[str, ...]
    parts: Mapping[str, bool] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)


class Monitor:
    """Runs the checks, at most once in `keep_s` seconds however often it is asked.

    Parameters
    ----------
    checks
        Run at the same time; their sentences are told in this order. One that raises counts as failed.
    keep_s
        How long an answer holds.
    """

    def __init__(self, checks: Sequence[Check], keep_s: float) -> None:
        self._trials = tuple((check, Trial(check.look)) for check in checks)
        self._keep_s = keep_s
        self._lock = threading.Lock()
        self._answer: Availability | None = None
        self._until = 0.0
        self._up_since = datetime.now(UTC)
        self._draining = False

    def drain(self) -> None:
        """Say from now on that the service is shutting down."""
        # No lock: this is called from a signal handler, which may have interrupted the holder.
        self._draining = True

    def look(self) -> Availability:
        """Give the state of the service, not older than `keep_s`."""
        if self._draining:
            return Availability(False, None, ("the service is shutting down",))
        with self._lock:
            if self._answer is None or time.monotonic() >= self._until:
                self._answer = self._try()
                self._until = time.monotonic() + self._keep_s
            return self._answer

    def _try(self) -> Availability:
        until = time.monotonic() + WITHIN_S
        for _, trial in self._trials:
            trial.begin()
        found = [(check, _outcome(check, trial, until)) for check, trial in self._trials]
        faults = {check.what: sentence for check, sentence in found if sentence is not None}
        notes = tuple(sentence for _, sentence in found if sentence is not None)
        parts = {check.what: sentence is None for check, sentence in found}
        if any(check.is_vital for check, sentence in found if sentence is not None):
            self._up_since = datetime.now(UTC)
            return Availability(False, None, notes, parts, faults)
        return Availability(True, self._up_since, ("accepting requests", *notes), parts, faults)


def _outcome(check: Check, trial: Trial[str | None], until: float) -> str | None:
    try:
        return trial.result(max(0.0, until - time.monotonic()))
    except TimeoutError:
        return f"no answer in time: {check.what}"
    except Exception as error:  # whatever it is, the answer to "are you available" is no
        return f"a check failed ({type(error).__name__})"


def write_availability(availability: Availability) -> bytes:
    """Write the document, its children in the order of the schema."""
    root = etree.Element(f"{{{VOSI}}}availability", nsmap={"vosi": VOSI})
    _add(root, "available", "true" if availability.available else "false")
    if availability.up_since is not None:
        _add(root, "upSince", availability.up_since.strftime("%Y-%m-%dT%H:%M:%SZ"))
    for note in availability.notes:
        _add(root, "note", note)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _add(root: etree._Element, tag: str, text: str) -> None:
    etree.SubElement(root, f"{{{VOSI}}}{tag}").text = text
