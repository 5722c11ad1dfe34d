"""Webhooks, to a real server of this host."""

from __future__ import annotations

import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dali.errors import UsageError
from tests.uws.notices.conftest import JOBS_URL, SECRET, Bureau
from uws.store.notices import NoticeCounts, NoticeStore


@dataclass
class Receiver:
    """A program that wants to be told.

    Parameters
    ----------
    answers
        Status of the next answers; 204 when there are none left.
    """

    url: str = ""
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.got.append((self.path, dict(self.headers.items()), body))
            self.send_response(receiver.answers.pop(0) if receiver.answers else 204)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield receiver
    server.shutdown()
    server.server_close()


@pytest.fixture
def hooked(bureau: Bureau, receiver: Receiver) -> Bureau:
    bureau.settings = replace(bureau.settings, webhook_hosts=(receiver.url,))
    return bureau


def test_an_event_is_sent_signed(hooked: Bureau, receiver: Receiver) -> None:
    job = hooked.submit(f"{receiver.url}/hook?a=b", DO="ok,fail", ROWS=2, run_id="M31")
    hooked.house.work()
    for _ in range(2):
        hooked.tell()
    ((path, headers, body),) = receiver.got
    assert path == "/hook?a=b"
    told = json.loads(body)
    assert told["id"] == headers["X-Fountain-Delivery"] == f"{job.job_id}:done:webhook"
    assert (told["event"], told["job_id"], told["run_id"]) == ("done", job.job_id, "M31")
    assert told["url"] == f"{JOBS_URL}/{job.job_id}"
    assert told["rows"] == {"total": 2, "done": 1, "empty": 0, "failed": 1, "poison": 0}
    assert headers["X-Fountain-Event"] == "done"
    signed = f"{headers['X-Fountain-Timestamp']}.".encode() + body
    expected = hmac.digest(SECRET.encode(), signed, sha256).hex()
    assert headers["X-Fountain-Signature"] == f"sha256={expected}"
    assert b"ada" not in body


def test_it_is_sent_again_until_it_is_taken(hooked: Bureau, receiver: Receiver) -> None:
    receiver.answers = [500, 302, 200]
    hooked.submit(receiver.url)
    hooked.house.work()
    hooked.tell()
    for pause_s in (31, 61, 121, 241):
        hooked.pass_by(pause_s)
        hooked.tell()
    assert [path for path, _, _ in receiver.got] == ["/"] * 3, "where it is sent on to is not asked"
    assert len({headers["X-Fountain-Delivery"] for _, headers, _ in receiver.got}) == 1
    assert NoticeStore(hooked.house.engine).counts() == NoticeCounts(0, 1, 0)


def test_a_receiver_that_wants_no_more_is_left_alone(hooked: Bureau, receiver: Receiver) -> None:
    receiver.answers = [410]
    hooked.submit(receiver.url)
    hooked.house.work()
    hooked.tell()
    hooked.pass_by(3600)
    hooked.tell()
    assert len(receiver.got) == 1
    assert hooked.notices("note") == [("the host wants no more (410)",)]


def test_both_ways_at_once_and_every_event(hooked: Bureau, receiver: Receiver) -> None:
    job = hooked.submit("mail", receiver.url)
    hooked.house.work()
    hooked.tell()
    hooked.set_destruction(job, -1)
    assert hooked.house.upkeep.destroy_due()
    hooked.tell()
    assert [json.loads(body)["event"] for _, _, body in receiver.got] == ["done", "expired"]
    assert len(hooked.box.messages) == 2


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/", "https://example.org/", "http://10.0.0.1/", "http://[::ffff:127.0.0.1]/"],
)
def test_hosts_that_are_not_listed_are_not_told(url: str, hooked: Bureau) -> None:
    with pytest.raises(UsageError, match="this service does not tell") as refused:
        hooked.submit(url)
    assert refused.value.status == 403


def test_no_host_is_told_unless_the_settings_say_so(bureau: Bureau, receiver: Receiver) -> None:
    with pytest.raises(UsageError, match="this service does not tell") as refused:
        bureau.submit(receiver.url)
    assert refused.value.fix == "It tells no host."


def test_a_listed_name_that_leads_inside_is_not_told(hooked: Bureau, receiver: Receiver) -> None:
    port = receiver.url.rpartition(":")[2]
    hooked.settings = replace(hooked.settings, webhook_hosts=(f"http://localhost:{port}",))
    hooked.submit(f"http://localhost:{port}/")
    hooked.house.work()
    hooked.tell()
    assert receiver.got == []
    assert hooked.notices("note") == [("the host is not one that may be told",)]


def test_a_host_that_is_no_longer_listed_is_not_told(hooked: Bureau, receiver: Receiver) -> None:
    hooked.submit(receiver.url)
    hooked.house.work()
    hooked.settings = replace(hooked.settings, webhook_hosts=())
    hooked.tell()
    assert receiver.got == []
    assert NoticeStore(hooked.house.engine).counts() == NoticeCounts(0, 0, 1)
