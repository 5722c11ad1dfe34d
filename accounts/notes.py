"""Small notes to the database that nobody waits for: when a token was used, when a session was."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog
from sqlalchemy.exc import SQLAlchemyError


class Notes:
    """Writes in a thread of its own, so that a request waits neither for a disk nor for another writer."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="notes")
        self._lock = threading.Lock()
        self._waiting: set[str] = set()

    def write(self, about: str, write: Callable[[], object]) -> None:
        """Have something written soon; not again while a note about the same waits."""
        with self._lock:
            if about in self._waiting:
                return
            self._waiting.add(about)
        self._thread.submit(self._write, about, write)

    def finish(self) -> None:
        """Wait until everything is written that was to be."""
        self._thread.submit(lambda: None).result()

    def _write(self, about: str, write: Callable[[], object]) -> None:
        try:
            write()
        except SQLAlchemyError as error:  # a database that only reads still knows who asks
            structlog.get_logger().warning("something was not noted", exc_info=error)
        finally:
            with self._lock:
                self._waiting.discard(about)
