"""A server of one file, which breaks connections off, changes its mind, or is out of order for a while."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Breaking:
    """What is served at any path.

    Parameters
    ----------
    content
        The file.
    most
        Bytes after which a connection is broken off; None never.
    unavailable
        So many requests are answered 503 first.
    takes_ranges
        Whether a part may be asked for.
    asked
        The ranges that were asked for, "" for everything.
    """

    content: bytes
    most: int | None = None
    unavailable: int = 0
    takes_ranges: bool = True
    asked: list[str] = field(default_factory=list)
    url: str = ""

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.content).hexdigest()}"'


@contextmanager
def breaking(told: Breaking) -> Iterator[Breaking]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            told.asked.append(wanted)
            if told.unavailable:
                told.unavailable -= 1
                self.send_error(503)
                return
            size, start = len(told.content), 0
            found = re.fullmatch(r"bytes=(\d+)-", wanted)
            if found and told.takes_ranges and self.headers.get("If-Range", told.etag) == told.etag:
                start = int(found[1])
                if start >= size:
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{size}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(size - start))
            self.send_header("ETag", told.etag)
            self.end_headers()
            self.wfile.write(told.content[start : None if told.most is None else start + told.most])
            self.close_connection = True

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
