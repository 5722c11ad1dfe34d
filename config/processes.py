"""What processes of this program that start others have in common."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

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
    """Give an event that SIGTERM and SIGINT set; call it before other threads are started."""
    told = threading.Event()
    ending = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)

    def wait() -> None:
        # A thread, and no handler: that might interrupt who holds the lock of the event.
        signal.sigwait(ending)
        told.set()

    threading.Thread(target=wait, name="signals", daemon=True).start()
    return told
