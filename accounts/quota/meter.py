"""Cutouts that are made at once: counted in memory, and written down each second.

No request waits for the database. So a quota is overshot by what comes within a second, in each process.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import Engine

from accounts.quota.kinds import DAILY, Kind, in_ledger, subject_of
from accounts.quota.ledger import Ledger
from accounts.quota.limits import Limits
from accounts.quota.outcomes import Execution
from accounts.quota.records import insert_executions
from accounts.quota.standing import exceeded
from dali.caller import Caller
from dali.errors import QuotaExceeded

FLUSH_S = 1.0
#: Account, who acts for it, survey.
_Key: TypeAlias = tuple[str, str, str]

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Sum:
    """What a caller has had made of a survey since the last flush."""

    caller: Caller
    cutouts: int = 0
    images: int = 0
    bytes: int = 0
    cpu_s: float = 0.0
    seconds: float = 0.0


class Meter:
    """Counts what is made at once.

    Parameters
    ----------
    engine
        Database of the records.
    ledger, limits
        Where it is written down, and who may have how much.
    """

    def __init__(self, engine: Engine, ledger: Ledger, limits: Limits) -> None:
        self._writing = engine.execution_options(writes=True)
        self._ledger = ledger
        self._limits = limits
        self._lock = threading.Lock()
        self._sums: dict[_Key, _Sum] = {}
        self._over: Mapping[str, tuple[Caller, QuotaExceeded]] = {}
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._fails = False

    def refuse(self, caller: Caller) -> None:
        """Let nobody pass whose quota is used up, as far as it was known a second ago.

        Raises
        ------
        QuotaExceeded
            If it is.
        """
        if self._over and (found := self._over.get(subject_of(caller))) is not None:
            raise QuotaExceeded(found[1].sentence, found[1].fix)

    def count(
        self, caller: Caller, survey: str, images: int, size: int, cpu_s: float, seconds: float
    ) -> None:
        """Count a cutout; `size` are its bytes, `seconds` from the request to the answer."""
        key = (caller.name, caller.actor, survey)
        with self._lock:
            if (found := self._sums.get(key)) is None:
                found = self._sums[key] = _Sum(caller)
            found.cutouts += 1
            found.images += images
            found.bytes += size
            found.cpu_s += cpu_s
            found.seconds += seconds
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="meter", daemon=True)
                self._thread.start()

    def flush(self) -> None:
        """Write down what was counted, and learn whose quota is used up; nothing is lost if that fails."""
        with self._lock:
            sums, self._sums = self._sums, {}
        try:
            if sums:
                self._write(sums)
        except BaseException:
            self._give_back(sums)
            raise
        self._look([found.caller for found in sums.values()])

    def close(self) -> None:
        """Write down what is left."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._try()

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_S):
            self._try()

    def _try(self) -> None:
        try:
            self.flush()
            self._fails = False
        except Exception:
            if not self._fails:
                _log.exception("what was made cannot be written down; it is tried again each second")
            self._fails = True

    def _write(self, sums: Mapping[_Key, _Sum]) -> None:
        counts: dict[tuple[str, Kind], int] = {}
        for found in sums.values():
            groups = self._limits.of_groups(found.caller)
            for subject in (subject_of(found.caller), *(f"group:{group}" for group in groups)):
                for kind, amount in ((Kind.CUTOUTS, found.cutouts), (Kind.CPU, found.cpu_s)):
                    counts[subject, kind] = counts.get((subject, kind), 0) + in_ledger(kind, amount)
        with self._writing.begin() as connection:
            self._ledger.add(connection, counts)
            insert_executions(connection, [_record(key[2], found) for key, found in sums.items()])

    def _give_back(self, sums: Mapping[_Key, _Sum]) -> None:
        with self._lock:
            for key, found in sums.items():
                now = self._sums.setdefault(key, _Sum(found.caller))
                now.cutouts += found.cutouts
                now.images += found.images
                now.bytes += found.bytes
                now.cpu_s += found.cpu_s
                now.seconds += found.seconds

    def _look(self, callers: Iterable[Caller]) -> None:
        """See whose quota is used up: of those who came since the last time, or were refused."""
        over: dict[str, tuple[Caller, QuotaExceeded]] = {}
        for caller in {
            subject_of(one): one for one in (*(one for one, _ in self._over.values()), *callers)
        }.values():
            for one in self._ledger.standings(caller):
                if one.kind in DAILY and one.limit and one.used + one.reserved >= one.limit:
                    over.setdefault(subject_of(caller), (caller, exceeded(one)))
        self._over = over


def _record(survey: str, found: _Sum) -> Execution:
    return Execution(
        found.caller.name,
        "sync",
        survey,
        found.cutouts,
        images=found.images,
        bytes=found.bytes,
        seconds=found.cpu_s,
        wait_s=max(0.0, found.seconds - found.cpu_s),
        actor=found.caller.actor,
    )
