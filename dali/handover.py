"""An answer whose connection is handed over: whoever takes it goes on with it, and no thread waits."""

from __future__ import annotations

import errno


class HandedOver(OSError):
    """Raised by the body of an answer, after its first piece: the rest is sent by others.

    The server takes it for a client that went away: it writes no more, and lets go of the request.
    """

    def __init__(self) -> None:
        super().__init__(errno.EPIPE, "the connection is in other hands")
