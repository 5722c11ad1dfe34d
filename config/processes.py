"""What processes of this program that start others have in common."""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

_PR_SET_PDEATHSIG = 1
# Looked up here: between fork and exec as little as possible is done.
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def start_as_child(parent: int, last_signal: int) -> None:
    """Make this new process one that its parent alone looks after: the first thing it does after the fork.

    Signals of the terminal no longer reach it, the parent's mask of signals is undone, and it gets
    `last_signal` when its parent is gone, however that died.

    Parameters
    ----------
    parent
        Process id of the parent.
    last_signal
        Sent by the kernel, where that is Linux.
    """
    os.setpgid(0, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, last_signal, 0, 0, 0)
    if os.getppid() != parent:  # it died before that was asked for
        os._exit(0)


def stop_on_signals() -> threading.Event:
    """Give an event that SIGTERM and SIGINT set; call it from the main thread."""
    # Handlers, and no `sigwait`: a thread that some library made need not have the signals blocked, and one
    # such thread is enough for a signal to end the process.
    stop = threading.Event()
    told: queue.SimpleQueue[int] = queue.SimpleQueue()

    def tell(number: int, frame: FrameType | None) -> None:
        # It may interrupt whoever holds the lock of the event; this queue may be put to at any time.
        told.put(number)

    def wait() -> None:
        told.get()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, tell)
    threading.Thread(target=wait, name="signals", daemon=True).start()
    return stop


def each(seconds: float, do: Callable[[], object]) -> Callable[[], object]:
    """Do something so often at most, however often that is asked for."""
    not_before = 0.0

    def do_now() -> None:
        nonlocal not_before
        if time.monotonic() >= not_before:
            do()
            not_before = time.monotonic() + seconds

    return do_now
