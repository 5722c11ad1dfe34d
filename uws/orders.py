"""What a worker was told: by signals, and by those who look after the service."""

from __future__ import annotations

import logging
import queue
import signal
import threading
from types import FrameType

_log = logging.getLogger(__name__)


class Orders:
    """What there is to obey. Both events may be waited for, and are set by the threads of one process."""

    def __init__(self) -> None:
        #: Finish the row in hand, and end.
        self.stop = threading.Event()
        #: Take no task: set while the worker is drained, and with `stop`.
        self.rest = threading.Event()
        self._lock = threading.Lock()

    def end(self, reason: str) -> None:
        """Be told to end, which is not taken back."""
        with self._lock:
            if not self.stop.is_set():
                _log.info("told to stop", extra={"signal": reason})
            self.stop.set()
            self.rest.set()

    def obey(self, wanted: str) -> None:
        """Be told to `drain` or to `stop` by the database; "" is to take tasks again."""
        if wanted == "stop":
            self.end("order")
            return
        with self._lock:
            if self.stop.is_set() or (wanted == "drain") == self.rest.is_set():
                return
            if wanted == "drain":
                _log.info("told to take no further task")
                self.rest.set()
            else:
                _log.info("told to take tasks again")
                self.rest.clear()

    def obey_signals(self) -> None:
        """End at SIGTERM and SIGINT, however often; call it from the main thread."""
        told: queue.SimpleQueue[int] = queue.SimpleQueue()

        def tell(number: int, frame: FrameType | None) -> None:
            # The handler may interrupt whoever holds a lock; this queue may be put to at any time.
            told.put(number)

        def wait() -> None:
            self.end(signal.Signals(told.get()).name)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, tell)
        threading.Thread(target=wait, name="signals", daemon=True).start()
