"""Server-sent events, as the HTML standard writes them."""

from __future__ import annotations

import json
from typing import Any

MEDIA_TYPE = "text/event-stream"
#: After a connection that broke off browsers come back in so many milliseconds.
RETRY_MS = 2000
#: Nobody hears it; but a connection that is gone is noticed.
HEARTBEAT = b":\n\n"


def event(name: str, data: Any, position: str | int | None = None) -> bytes:
    """Write an event; `position` is what a client says that comes back."""
    # JSON has no line ends outside of texts, and in texts they are escaped.
    written = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    told = "" if position is None else f"id: {position}\n"
    return f"event: {name}\n{told}data: {written}\n\n".encode("utf-8", "replace")


def hello(position: str | int | None = None) -> bytes:
    """Write what a stream begins with: it gives a position, and is no event."""
    told = "" if position is None else f"id: {position}\n"
    return f"retry: {RETRY_MS}\n{told}\n".encode()
