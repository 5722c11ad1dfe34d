"""``/status``: how the service is, part by part, also while what it needs is away.

What was found last stays in memory, and in a file of the data folder for processes that start: the page
tells how old it is, and waits for nothing that may hang.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from os import replace
from pathlib import Path
from typing import Any, Literal

import structlog
from flask import Blueprint, Response

from dali.responses import JSON
from portal.pages import Pages, Told, is_for_people
from portal.words import gettext as _
from portal.words import marked

State = Literal["ok", "limited", "down", "off"]
Piece = tuple[str, Mapping[str, str | int]]
#: Parts of the service in their order.
Name = Literal["web", "sync", "jobs", "storage", "sign-in", "mail"]

#: What was found holds so long for the page itself, and for the mark that all pages have.
KEPT_S, MARK_KEPT_S = 10.0, 60.0
#: The page waits so long for what is found anew.
PATIENCE_S = 2.0
_RANKS: Mapping[str, int] = {"off": 0, "ok": 0, "limited": 1, "down": 2}
#: Without these the service is limited, and no more.
_BESIDES = frozenset(("mail", "sign-in"))
#: How a state is marked, and what it is called.
MARKS: Mapping[str, str] = {"ok": "ok", "limited": "warn", "down": "bad", "off": "off", "unknown": "off"}
_TITLES: Mapping[str, str] = {
    "web": marked("Web pages"),
    "sync": marked("Cutouts at once"),
    "jobs": marked("Jobs"),
    "storage": marked("Files of surveys and results"),
    "sign-in": marked("Signing in"),
    "mail": marked("Mail"),
}
_WORDS: Mapping[str, str] = {
    "ok": marked("works"),
    "limited": marked("limited"),
    "down": marked("does not work"),
    "off": marked("not set up"),
    "unknown": marked("not known yet"),
}
_HEADLINES: Mapping[str, str] = {
    "ok": marked("Everything works."),
    "limited": marked("The service works, with limits."),
    "down": marked("Something does not work."),
    "unknown": marked("How the service is, is not known yet."),
}


@dataclass(frozen=True, slots=True)
class Found:
    """How a part of the service was found to be.

    Parameters
    ----------
    state
        In a word.
    note
        What is to be said of it.
    told
        The same in pieces, where it has any: words to be translated, and the values that are filled in.
    """

    state: State
    note: str = ""
    told: tuple[Piece, ...] = ()

    @classmethod
    def saying(cls, state: State, *told: Piece) -> Found:
        """Find it so, and say something in which there are values."""
        return cls(state, "; ".join(words.format(**values) for words, values in told), told)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the service: how it is, since when, and what is to be said of it."""

    name: str
    state: State
    since_ms: int
    note: str = ""
    told: Sequence[Piece] = ()

    @property
    def translated(self) -> str:
        """The note, in the language of the reader."""
        return "; ".join(_(words).format(**values) for words, values in self.told) or _(self.note)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All parts at one moment."""

    at_ms: int
    parts: tuple[Part, ...]

    @property
    def state(self) -> State:
        """Of the service as a whole."""
        ranks = [min(_RANKS[one.state], 1 if one.name in _BESIDES else 2) for one in self.parts]
        states: tuple[State, ...] = ("ok", "limited", "down")
        return states[max(ranks, default=0)]

    @property
    def age_s(self) -> float:
        """How old it is."""
        return max(0.0, _now_ms() - self.at_ms) / 1000

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """Read what `written` gave.

        Raises
        ------
        ValueError, KeyError, TypeError
            If it is something else.
        """
        told = json.loads(text)
        parts = (Part(**part | {"told": tuple(map(tuple, part.get("told", ())))}) for part in told["parts"])
        return cls(int(told["at_ms"]), tuple(parts))

    def written(self) -> str:
        """Write it down, for processes that start."""
        return json.dumps({"at_ms": self.at_ms, "parts": [asdict(part) for part in self.parts]})


class StatusKeeper:
    """Knows how the service was found to be last, and looks again when that is old.

    Parameters
    ----------
    look
        Finds out how each part is; it may take its time, and hang.
    file
        Keeps what was found for processes that start.
    """

    def __init__(self, look: Callable[[], Mapping[Name, Found]], file: Path) -> None:
        self._look = look
        self._file = file
        self._lock = threading.Lock()
        self._run: Future[None] = Future()
        self._run.set_result(None)
        self._last = self._kept()
        self._looked_at = float("-inf")

    def last(self) -> Snapshot | None:
        """Give what was found last, without waiting; None where nothing was ever found."""
        self._begin(MARK_KEPT_S)
        return self._last

    def now(self, patience_s: float = PATIENCE_S) -> Snapshot | None:
        """Give how the service is now; what was found last if that is not known in time."""
        with suppress(TimeoutError):
            self._begin(KEPT_S).result(patience_s)
        return self._last

    def _begin(self, kept_s: float) -> Future[None]:
        """Begin to look where it was long ago, unless the last look has not come to an end."""
        with self._lock:
            if self._run.done() and time.monotonic() - self._looked_at >= kept_s:
                self._run = Future()
                # A daemon: a process ends although a server does not answer.
                threading.Thread(target=self._fill, args=(self._run,), name="status", daemon=True).start()
            return self._run

    def _fill(self, run: Future[None]) -> None:
        try:
            at_ms, found = _now_ms(), self._look()
            before = {part.name: part for part in (self._last.parts if self._last else ())}
            parts = tuple(_since(name, one, before.get(name), at_ms) for name, one in found.items())
            self._last = Snapshot(at_ms, parts)
            self._looked_at = time.monotonic()
            self._keep(self._last)
        except Exception as error:  # the next look may do better; the age of the last one is told
            structlog.get_logger().error("how the service is cannot be found out", exc_info=error)
        finally:
            run.set_result(None)

    def _keep(self, snapshot: Snapshot) -> None:
        fresh = self._file.with_name(f".{self._file.name}.{threading.get_native_id()}")
        try:
            fresh.write_text(snapshot.written(), encoding="utf-8")
            replace(fresh, self._file)
        except OSError as error:  # the disk is full, or away: that is told by the parts themselves
            structlog.get_logger().warning("how the service is cannot be kept", exc_info=error)

    def _kept(self) -> Snapshot | None:
        try:
            return Snapshot.parse(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _since(name: str, found: Found, before: Part | None, at_ms: int) -> Part:
    is_same = before is not None and before.state == found.state
    return Part(name, found.state, before.since_ms if is_same and before else at_ms, found.note, found.told)


def _now_ms() -> int:
    return round(time.time() * 1000)


def make_blueprint(
    pages: Pages,
    keeper: StatusKeeper,
    announcements: Callable[[], Iterable[Told]],
    base_url: Callable[[], str],
    version: str,
) -> Blueprint:
    """Make the resource.

    Parameters
    ----------
    pages
        Renders.
    keeper
        Knows how the service is.
    announcements
        Gives those of this moment.
    base_url
        Gives the public URL of the service.
    version
        Of the program.
    """
    blueprint = Blueprint("status", __name__)

    @blueprint.get("/status")
    def show() -> Response:
        snapshot = keeper.now()
        if not is_for_people():
            answer = Response(json.dumps(_told(snapshot, announcements(), version)), content_type=JSON)
            answer.headers["Cache-Control"] = "no-store"
            answer.headers["Vary"] = "Accept"
            return answer
        state = snapshot.state if snapshot else "unknown"
        return pages.render(
            "status.html",
            snapshot=snapshot,
            state=state,
            headline=_HEADLINES[state],
            titles=_TITLES,
            states=_WORDS,
            marks=MARKS,
            url=f"{base_url()}/status",
        )

    return blueprint


def headline_of(snapshot: Snapshot | None) -> tuple[str, str]:
    """Give how the service is: the class of a mark, and a sentence that is translated where it is shown."""
    state = snapshot.state if snapshot else "unknown"
    return MARKS[state], _HEADLINES[state]


def mark_of(snapshot: Snapshot | None) -> tuple[str, str]:
    """Give how the service is marked beside the navigation, and what that says."""
    mark, headline = headline_of(snapshot)
    return mark, _(headline)


def _told(snapshot: Snapshot | None, announcements: Iterable[Told], version: str) -> dict[str, Any]:
    return {
        "state": snapshot.state if snapshot else "unknown",
        "checked": _iso(snapshot.at_ms) if snapshot else None,
        "age_s": round(snapshot.age_s, 1) if snapshot else None,
        "version": version,
        "parts": [
            {
                "name": part.name,
                "title": _TITLES.get(part.name, part.name),
                "state": part.state,
                "since": _iso(part.since_ms),
                "note": part.note,
            }
            for part in (snapshot.parts if snapshot else ())
        ],
        "announcements": [{"level": one.level, "text": one.text} for one in announcements],
    }


def _iso(milliseconds: int) -> str:
    return (
        datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    )
