"""Looks after a task while the child does it."""

from __future__ import annotations

import time

from uws.job import Claim
from uws.pen import Tools
from uws.runner import Child
from uws.store.claims import Hold
from uws.trouble import DatabaseAway
from uws.verdict import Halt

#: How often it is asked whether the task in hand is still wanted.
LOOK_S = 1.0


class Watch:
    """Looks after one task.

    Parameters
    ----------
    tools
        Of the worker.
    claim
        The task.
    child
        That does it.
    """

    def __init__(self, tools: Tools, claim: Claim, child: Child) -> None:
        self.hold = Hold.HELD
        self._tools = tools
        self._claim = claim
        self._child = child
        self._looked = time.monotonic()
        self._drained: float | None = None

    def __call__(self) -> Halt | None:
        """Say whether the child is to be killed, and why."""
        now = time.monotonic()
        self._tools.go_on()
        if self._tools.stop.is_set():
            if self._drained is None:
                self._drained = now
                self._child.drain()
            if now - self._drained > self._tools.settings.drain_s:
                return Halt.DRAIN
        if now - self._looked > LOOK_S:
            self._looked = now
            self._look()
        return None if self.hold is Hold.HELD else Halt.CLAIM

    def _look(self) -> None:
        try:
            self.hold = self._tools.claims.look(self._claim)
            self._tools.database.over()
        except DatabaseAway as fault:
            # The work may be in vain, or not.
            self._tools.database.say(fault)
