"""Rates of requests: how fast each client may go on, in memory that all processes of a host share.

Each client has one number, the moment at which it would have nothing left to wait for if it had asked evenly
(the generic cell rate algorithm). A request moves that by its cost; it is refused while the moment is further
ahead than the burst allows. What a request has cost beyond what it was taken for is charged later.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

#: Clients share a number if they hash to the same: with a thousand of them, one in sixty does.
SLOTS = 1 << 16
#: Where the numbers of so many clients are is kept in mind.
SLOTS_KEPT = 4096
_SALT_BYTES = 16
_SIZE = _SALT_BYTES + 8 * SLOTS
#: What is charged later makes nobody wait for longer than so many bursts.
MOST_DEBT = 2


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in a minute, weighted by cost; those of `burst_s` seconds may come at once."""

    per_minute: int
    burst_s: float

    @property
    def each_s(self) -> float:
        """Seconds that a request of cost 1 takes of the rate."""
        return 60.0 / self.per_minute


class Buckets:
    """Clients and their numbers.

    Parameters
    ----------
    path
        File of the memory, made where it is not there; None for memory of this process alone.
    clock
        Gives seconds, the same for all processes.
    """

    def __init__(self, path: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        memory = mmap.mmap(-1, _SIZE) if path is None else _shared(path)
        if path is None:
            memory[:_SALT_BYTES] = secrets.token_bytes(_SALT_BYTES)
        # Whoever could choose two names of one slot would slow others down.
        self._salt = bytes(memory[:_SALT_BYTES])
        # Two processes that write at the same time lose one request of the two, which does no harm.
        self._moments = memoryview(memory)[_SALT_BYTES:].cast("d")
        self._slot = lru_cache(maxsize=SLOTS_KEPT)(self._find_slot)

    def take(self, client: str, rate: Rate, cost: float = 1.0) -> float:
        """Let a request pass; return 0, or the seconds after which it would, and nothing is charged then."""
        slot, now, cost_s = self._slot(client), self._clock(), cost * rate.each_s
        # A burst is one request at least.
        ahead_s = max(rate.burst_s, cost_s)
        after = self._moment(slot, rate, now) + cost_s
        if (wait_s := after - ahead_s - now) > 1e-9:
            return wait_s
        self._moments[slot] = after
        return 0.0

    def charge(self, client: str, rate: Rate, cost: float) -> None:
        """Charge for what has been done."""
        slot, now = self._slot(client), self._clock()
        most = now + MOST_DEBT * max(rate.burst_s, rate.each_s)
        self._moments[slot] = min(self._moment(slot, rate, now) + cost * rate.each_s, most)

    def _moment(self, slot: int, rate: Rate, now: float) -> float:
        moment = self._moments[slot]
        # Further ahead than it can be: it is of the time before the machine was started, or of another rate.
        if moment > now + (MOST_DEBT + 1) * max(rate.burst_s, rate.each_s) or not math.isfinite(moment):
            return now
        return max(moment, now)

    def _find_slot(self, client: str) -> int:
        digest = blake2b(client.encode(errors="replace"), digest_size=8, key=self._salt).digest()
        return int.from_bytes(digest, "little") % SLOTS


def _shared(path: Path) -> mmap.mmap:
    """Map a file that all processes of the host map; whoever makes it does so as a whole."""
    if path.exists() and path.stat().st_size != _SIZE:
        path.unlink(missing_ok=True)  # of another version; its processes keep theirs
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        part.write_bytes(secrets.token_bytes(_SALT_BYTES) + bytes(8 * SLOTS))
        part.chmod(0o600)
        # The first one stays.
        with contextlib.suppress(FileExistsError):
            os.link(part, path)
        part.unlink()
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), _SIZE)
