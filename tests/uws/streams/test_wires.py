"""Connections that were handed over: sent to by one thread, whatever their clients do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.support.soda_jobs import until
from uws.streams.outbox import MOST_BYTES, Outbox
from uws.streams.wires import MOST_HEARD, Wire, Wires


class Client:
    """A client and the outbox of its stream."""

    def __init__(self, wires: Wires, *, is_chunked: bool = False) -> None:
        self.line, theirs = socket.socketpair()
        self.line.settimeout(30)
        self.outbox = Outbox()
        self.left = threading.Event()
        wires.add(Wire(theirs, self.outbox, self.left.set, is_chunked=is_chunked))

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size and (piece := self.line.recv(size - len(data))):
            data += piece
        return data


@pytest.fixture
def wires() -> Iterator[Wires]:
    yield Wires()
    until(lambda: not threads())


@pytest.fixture
def connect(wires: Wires) -> Iterator[Callable[..., Client]]:
    clients: list[Client] = []

    def connect(*, is_chunked: bool = False) -> Client:
        clients.append(Client(wires, is_chunked=is_chunked))
        return clients[-1]

    yield connect
    for client in clients:
        client.line.close()


Connect = Callable[..., Client]


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "wires"]


def test_what_is_written_arrives_and_the_end_too(connect: Connect) -> None:
    client = connect()
    client.outbox.put(b"one ")
    assert client.read(4) == b"one "
    client.outbox.put(b"two")
    client.outbox.end()
    assert client.read(100) == b"two"
    assert client.left.wait(30)


def test_pieces_are_framed_where_the_head_said_so(connect: Connect) -> None:
    client = connect(is_chunked=True)
    client.outbox.put(b"0123456789abcdef")
    assert client.read(4 + 16 + 2) == b"10\r\n0123456789abcdef\r\n"
    client.outbox.end()
    assert client.read(100) == b"0\r\n\r\n"


def test_a_client_that_leaves_is_noticed_at_once(connect: Connect) -> None:
    client, other = connect(), connect()
    client.line.close()
    assert client.left.wait(30)
    assert client.outbox.is_over
    other.outbox.put(b"still here")
    assert other.read(10) == b"still here"


def test_a_slow_client_gets_everything_and_keeps_nobody_waiting(connect: Connect) -> None:
    slow, quick = connect(), connect()
    data = bytes(range(256)) * 3000
    slow.outbox.put(data)
    slow.outbox.end()
    quick.outbox.put(b"now")
    assert quick.read(3) == b"now"
    assert slow.read(len(data) + 1) == data


def test_a_client_that_does_not_read_is_let_go(connect: Connect) -> None:
    client = connect()
    piece = b"x" * 65536
    for _ in range(10 * MOST_BYTES // len(piece)):
        client.outbox.put(piece)
        if client.outbox.is_over:
            break
    assert client.outbox.is_over
    assert client.outbox.size == 0
    assert len(client.read(10 * MOST_BYTES)) < 10 * MOST_BYTES
    assert client.left.wait(30)


def test_a_client_that_talks_is_let_go(connect: Connect) -> None:
    client = connect()
    client.line.setblocking(False)

    def says_much() -> bool:
        with suppress(BlockingIOError, BrokenPipeError):
            client.line.send(b"x" * MOST_HEARD)
        return client.left.is_set()

    until(says_much)


def test_many_come_and_go_by_one_thread(wires: Wires, connect: Connect) -> None:
    clients = [connect(is_chunked=bool(number % 2)) for number in range(200)]
    for client in clients:
        client.outbox.put(b"news")
    assert all(b"news" in client.read(4 if not number % 2 else 9) for number, client in enumerate(clients))
    assert len(threads()) == 1
    for client in clients:
        client.line.close()
    assert all(client.left.wait(30) for client in clients)
    until(lambda: not threads())
    later = connect()
    later.outbox.put(b"again")
    assert later.read(5) == b"again"
