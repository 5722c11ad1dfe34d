"""Where a stream of jobs is: what of their changes it has told, so that it goes on there in any process.

Changes come to light some time after the moment they bear, so a moment alone does not tell. Beside it stands
what was told of the last half minute, by the numbers of events.
"""

from __future__ import annotations

import struct
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as NoBase64
from zlib import crc32

from uws.store.changes import Changed

#: A change comes to light so long after its moment, as a position has it; and as a stream that lasts has it.
OVERLAP_MS = 30_000
MEMORY_MS = 600_000
#: A position names so many jobs at most; of further ones the present state may come twice.
MOST = 256
_ENTRY = struct.Struct(">II")


class Position:
    """What a stream has told.

    Parameters
    ----------
    now_ms
        What is older by `OVERLAP_MS` is taken for told.
    """

    def __init__(self, now_ms: int) -> None:
        #: What is older is told, where nothing else is known of it: for whoever comes back, and here.
        self.floor_ms = now_ms - OVERLAP_MS
        self._own_floor_ms = self.floor_ms
        #: Hash of a job -> number of the event, its moment.
        self._told: dict[int, tuple[int, int]] = {}

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read a position that was given to a client.

        Raises
        ------
        ValueError
            If it is none.
        """
        moment, _, entries = text.partition("-")
        if not (moment.isascii() and moment.isdigit() and len(moment) < 16):
            raise ValueError("no position")
        try:
            packed = b64decode(entries.encode("ascii", "replace"), b"-_", validate=True)
            told = dict(_ENTRY.iter_unpack(packed))
        except (NoBase64, struct.error) as fault:
            raise ValueError("no position") from fault
        found = cls(int(moment) + OVERLAP_MS)
        # When that was is not told; it was not later.
        found._told = {key: (seq, int(moment) + OVERLAP_MS) for key, seq in told.items()}
        return found

    def __str__(self) -> str:
        entries = [(key, seq) for key, (seq, at_ms) in self._told.items() if at_ms >= self.floor_ms]
        packed = b"".join(_ENTRY.pack(key, seq & 0xFFFFFFFF) for key, seq in entries[-MOST:])
        return f"{self.floor_ms}-{urlsafe_b64encode(packed).decode()}"

    def has(self, changed: Changed) -> bool:
        """Whether the state of a job was told, or a later one."""
        told = self._told.get(_key(changed))
        if told is None:
            return changed.changed_ms < self._own_floor_ms
        return told[0] >= changed.job.event_seq

    def take(self, changed: Changed) -> None:
        """Take a state as told."""
        key = _key(changed)
        # At the end: a position names the last ones.
        self._told.pop(key, None)
        self._told[key] = changed.job.event_seq, changed.changed_ms

    def advance(self, now_ms: int) -> None:
        """Have everything told that changed until this moment, as far as it has come to light."""
        self.floor_ms = max(self.floor_ms, now_ms - OVERLAP_MS)
        self._own_floor_ms = max(self._own_floor_ms, now_ms - MEMORY_MS)
        if len(self._told) > MOST:
            kept = self._told.items()
            self._told = {key: told for key, told in kept if told[1] >= self._own_floor_ms}


def _key(changed: Changed) -> int:
    # Another job with this hash in the same half minute, with a number as high, is not to be expected.
    return crc32(changed.job.job_id.encode())
