"""Readers of server-sent events, over sockets that the service has taken over, or over HTTP."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import requests
from flask.testing import FlaskClient

from dali.handover import HandedOver
from uws.streams.frames import MEDIA_TYPE
from uws.streams.hub import Hub

PATIENCE_S = 30.0


class Told(NamedTuple):
    """An event, as a browser reads it; `position` is what it would say when it comes back."""

    name: str
    data: Any
    position: str


class Ended(Exception):
    """Nothing more comes."""


class Reader:
    """Reads events from pieces of bytes."""

    def __init__(self, pieces: Iterator[bytes], first: bytes = b"") -> None:
        self._pieces = pieces
        self._read = first
        self.position = ""

    def next(self, *names: str) -> Told:
        """Return the next event, of one of these names if some are given; raises Ended at the end."""
        while True:
            found = self._one()
            if found is not None and (not names or found.name in names):
                return found

    def rest(self) -> list[Told]:
        """Return all events up to the end."""
        found = []
        while True:
            try:
                found.append(self.next())
            except Ended:
                return found

    def hello(self) -> str:
        """Read until there is a position, which is returned."""
        while not self.position:
            self._one()
        return self.position

    def _one(self) -> Told | None:
        while b"\n\n" not in self._read:
            piece = next(self._pieces, b"")
            if not piece:
                raise Ended
            self._read += piece
        block, self._read = self._read.split(b"\n\n", 1)
        fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if ": " in line)
        self.position = fields.get("id", self.position)
        if "data" not in fields:
            return None
        return Told(fields.get("event", "message"), json.loads(fields["data"]), self.position)


class Followed(Reader):
    """A stream on a socket of its own."""

    def __init__(self, line: socket.socket, first: bytes) -> None:
        self.line = line
        line.settimeout(PATIENCE_S)
        super().__init__(iter(lambda: line.recv(65536), b""), first)

    def close(self) -> None:
        """Go away."""
        self.line.close()


def open_stream(client: FlaskClient, hub: Hub, url: str, headers: dict[str, str]) -> Followed:
    """Open a stream as the web server does, which hands its connection over."""
    ours, theirs = socket.socketpair()
    hub.adopts = True
    answer = client.get(
        url,
        headers={"Accept": MEDIA_TYPE, **headers},
        environ_overrides={"gunicorn.socket": theirs, "SERVER_PROTOCOL": "HTTP/1.0"},
    )
    if answer.status_code != 200:
        theirs.close()
        ours.close()
        raise AssertionError(f"{answer.status_code}: {answer.text}")
    assert answer.mimetype == MEDIA_TYPE
    first = b""
    try:
        for piece in answer.response:
            first += piece if isinstance(piece, bytes) else piece.encode()
    except HandedOver:
        pass
    answer.close()
    assert hub.adopt(theirs)
    return Followed(ours, first)


@contextmanager
def http_stream(url: str, headers: dict[str, str] | None = None) -> Iterator[Reader]:
    """Open a stream over HTTP."""
    told = {"Accept": MEDIA_TYPE, **(headers or {})}
    with requests.get(url, headers=told, stream=True, timeout=PATIENCE_S) as answer:
        assert answer.status_code == 200, answer.text
        yield Reader(answer.iter_content(None))
