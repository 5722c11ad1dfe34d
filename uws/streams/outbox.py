"""What is to be sent to a client: written by one thread, taken by another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

#: A client that lets so much wait has to come again.
MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Taken:
    """What is to be sent next; with `is_last` nothing follows."""

    data: bytes
    is_last: bool


class Outbox:
    """Holds what waits to be sent."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._pieces: list[bytes] = []
        self._size = 0
        self._is_over = False
        self._stir: Callable[[], None] = lambda: None

    @property
    def size(self) -> int:
        """How many bytes wait."""
        return self._size

    @property
    def is_over(self) -> bool:
        """Whether nothing more is taken."""
        return self._is_over

    def on_change(self, stir: Callable[[], None]) -> None:
        """Have `stir` called whenever there is something to do, from now on."""
        self._stir = stir
        stir()

    def put(self, data: bytes) -> None:
        """Have something sent; a client that does not keep up is let go."""
        with self._changed:
            if self._is_over:
                return
            if self._size + len(data) > MOST_BYTES:
                self._pieces.clear()
                self._size, self._is_over = 0, True
            else:
                self._pieces.append(data)
                self._size += len(data)
            self._changed.notify_all()
        self._stir()

    def end(self) -> None:
        """Let the client go when it has everything."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        self._stir()

    def take(self, wait_s: float = 0.0) -> Taken:
        """Take everything that waits; wait for it so long, if nothing does."""
        with self._changed:
            if wait_s:
                self._changed.wait_for(lambda: self._pieces or self._is_over, wait_s)
            taken = Taken(b"".join(self._pieces), self._is_over)
            self._pieces.clear()
            self._size = 0
            return taken
