"""Connections that were handed over by the web server: one thread sends to all, and sees who has left."""

from __future__ import annotations

import os
import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from uws.streams.outbox import Outbox

#: What a client says that has nothing to say; one that says more is let go.
MOST_HEARD = 1 << 16
#: A client whose machine is gone without a word is missed after this time.
SILENCE_MS = 45_000


class Wire:
    """A connection.

    Parameters
    ----------
    line
        Its socket, after the head of the answer.
    outbox
        What is to be sent.
    is_chunked
        As the head has it.
    leave
        Called once, when it is closed.
    """

    def __init__(
        self, line: socket.socket, outbox: Outbox, leave: Callable[[], None], *, is_chunked: bool
    ) -> None:
        self.line = line
        self.heard = 0
        self._outbox = outbox
        self._leave = leave
        self._is_chunked = is_chunked
        self._left = memoryview(b"")
        self._has_last = False

    def send(self) -> bool | None:
        """Send as much as can be sent: whether something is left; None if the connection is at its end."""
        while True:
            if not self._left:
                if self._has_last:
                    return None
                taken = self._outbox.take()
                self._has_last = taken.is_last
                self._left = memoryview(self._framed(taken.data, is_last=taken.is_last))
                if not self._left:
                    return None if self._has_last else False
            try:
                self._left = self._left[self.line.send(self._left) :]
            except BlockingIOError:
                return True
            except OSError:
                return None

    def hear(self) -> bool:
        """Whether the client is still there."""
        try:
            said = self.line.recv(4096)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.heard += len(said)
        return bool(said) and self.heard <= MOST_HEARD

    def stir_by(self, stir: Callable[[], None]) -> None:
        """Have `stir` called when there is something to send."""
        self._outbox.on_change(stir)

    def close(self) -> None:
        """Close it."""
        with suppress(OSError):
            self.line.shutdown(socket.SHUT_WR)
        self.line.close()
        self._outbox.end()
        self._leave()

    def _framed(self, data: bytes, *, is_last: bool) -> bytes:
        if not self._is_chunked:
            return data
        framed = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        return framed + b"0\r\n\r\n" if is_last else framed


class Wires:
    """All of one process. The thread is there as long as there are connections."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._new: list[Wire] = []
        self._stirred: set[Wire] = set()
        self._bell = -1

    def add(self, wire: Wire) -> None:
        """Take a connection over."""
        wire.line.setblocking(False)
        if wire.line.family in (socket.AF_INET, socket.AF_INET6):
            wire.line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_MS)
        with self._lock:
            self._new.append(wire)
            if self._bell < 0:
                ear, self._bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
                threading.Thread(target=self._run, args=(ear,), name="wires", daemon=True).start()
        wire.stir_by(lambda: self._stir(wire))

    def _stir(self, wire: Wire) -> None:
        with self._lock:
            self._stirred.add(wire)
            self._ring()

    def _ring(self) -> None:
        if self._bell >= 0:
            with suppress(BlockingIOError):  # it rings already
                os.write(self._bell, b"\0")

    def _run(self, ear: int) -> None:
        wires: set[Wire] = set()
        with selectors.DefaultSelector() as selector:
            selector.register(ear, selectors.EVENT_READ)
            while self._is_wanted(wires):
                for key, mask in selector.select():
                    if key.data is None:
                        os.read(ear, 4096)
                    elif mask & selectors.EVENT_READ and not key.data.hear():
                        self._drop(key.data, wires, selector)
                    elif mask & selectors.EVENT_WRITE:
                        self._send(key.data, wires, selector)
                with self._lock:
                    new, self._new = self._new, []
                    stirred, self._stirred = self._stirred, set()
                for wire in new:
                    wires.add(wire)
                    selector.register(wire.line, selectors.EVENT_READ, wire)
                for wire in stirred:
                    if wire in wires:
                        self._send(wire, wires, selector)
        os.close(ear)

    def _is_wanted(self, wires: set[Wire]) -> bool:
        with self._lock:
            if wires or self._new:
                return True
            os.close(self._bell)
            self._bell = -1
            self._stirred.clear()
            return False

    def _send(self, wire: Wire, wires: set[Wire], selector: selectors.BaseSelector) -> None:
        is_left = wire.send()
        if is_left is None:
            self._drop(wire, wires, selector)
        else:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if is_left else 0)
            if selector.get_key(wire.line).events != wanted:
                selector.modify(wire.line, wanted, wire)

    def _drop(self, wire: Wire, wires: set[Wire], selector: selectors.BaseSelector) -> None:
        wires.discard(wire)
        selector.unregister(wire.line)
        wire.close()
