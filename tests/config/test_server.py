"""The real server, in processes of its own."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
from astropy.io import fits
from click.testing import CliRunner

from config.accounts import make_accounts
from config.cli import main
from config.server import PortTaken, open_socket, url_of
from tests.support.accounts import somebody
from tests.support.databases import sqlite
from tests.support.server import Served, serve
from tests.support.service import BASE, SIDE, header_at, index_all, pixels_of, settings_of, write_surveys
from tests.support.soda_jobs import until

pytestmark = pytest.mark.deployment

TIMEOUT_S = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "service"
    write_surveys(folder)
    # What the self-check asks for: a file of the demo survey's name where the demo survey is declared.
    images = folder / "demo" / "images"
    images.mkdir(parents=True)
    fits.PrimaryHDU(pixels_of("a"), header_at(150.1, 2.2)).writeto(images / "tile_r.fits")
    index_all(settings_of(folder))
    return folder


def environ_of(folder: Path) -> dict[str, str]:
    return {
        "FOUNTAIN_DATA__FOLDER": str(folder),
        "FOUNTAIN_SURVEYS__DECLARATIONS": str(folder / "declarations"),
        "FOUNTAIN_SERVER__WORKERS": "2",
        "FOUNTAIN_SERVER__PORT": str(free_port()),
    }


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    with serve(folder, environ_of(folder), "--self-check") as served:
        yield served


def test_the_self_check_says_and_saves(served: Served, folder: Path) -> None:
    assert served.process.stdout is not None
    first, asked, saved = (served.process.stdout.readline() for _ in range(3))
    assert first.startswith("Self-check: a cutout of ")
    assert (
        requests.get(asked.strip(), timeout=TIMEOUT_S).content == (folder / "first-cutout.fits").read_bytes()
    )
    assert str(folder / "first-cutout.fits") in saved
    assert fits.getdata(folder / "first-cutout.fits").shape <= (SIDE, SIDE)


def test_cutout_from_a_url(served: Served, tmp_path: Path) -> None:
    written = tmp_path / "cut.fits"
    runner = CliRunner(env={"FOUNTAIN_DATA__FOLDER": str(tmp_path)})
    command = ["cutout", "tiny/g/a", "--circle", "150 0 0.0027", "--url", served.url, "-o", str(written)]
    made = runner.invoke(main, command)
    assert made.exit_code == 0, made.output
    assert fits.getdata(written).shape == (20, 20)
    failed = runner.invoke(main, [*command, "--band", "2 1"])
    assert failed.exit_code == 1
    assert "BAND: the lower limit is above the upper one" in failed.output
    nothing = runner.invoke(main, [*command, "--band", "1"])
    assert nothing.exit_code == 3


def test_many_at_once_get_what_they_asked_for(served: Served) -> None:
    url = f"{served.url}/sync"
    answers: list[tuple[int, bytes]] = []

    def ask(number: int) -> None:
        parameters = {"ID": "ivo://unregistered.invalid/soda-fountain?tiny/g/a"}
        parameters |= {"CENTER": "150 0", "SIZE": f"{10 + number}px"}
        answers.append((number, requests.get(url, parameters, timeout=TIMEOUT_S).content))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 40
    for number, content in answers:
        assert fits.Header.fromstring(content)["NAXIS1"] == 10 + number


def test_the_log_is_json_lines_and_warns_while_unregistered(served: Served) -> None:
    requests.get(f"{served.url}/healthz", timeout=TIMEOUT_S)

    def logged() -> list[dict[str, str]]:
        return [json.loads(line) for line in served.log.read_text().splitlines()]

    # It is written when the answer has been sent.
    until(lambda: any(line["event"] == "request" for line in logged()), served.log.read_text)
    assert any("not registered" in line["event"] and line["level"] == "warning" for line in logged())


def test_a_log_of_everything_has_no_links_that_are_for_one_alone(folder: Path) -> None:
    environ = {**environ_of(folder), "FOUNTAIN_LOG__LEVEL": "debug"}
    with serve(folder, environ) as served:
        assert requests.get(f"{served.url}/unsubscribe/canary", timeout=30).status_code == 404
        served.stop()
        log = served.log.read_text()
    assert "/unsubscribe/" in log
    assert "canary" not in log


def test_metrics_are_those_of_all_processes(served: Served) -> None:
    asked = 'fountain_requests_total{endpoint="/examples",method="GET",status="2xx"}'

    def counted() -> float:
        told = requests.get(f"{served.url}/metrics", timeout=TIMEOUT_S).text.splitlines()
        return next((float(line.rpartition(" ")[2]) for line in told if line.startswith(asked)), 0.0)

    before = counted()
    for _ in range(20):  # on connections of their own, so that both processes have some
        assert requests.get(f"{served.url}/examples", timeout=TIMEOUT_S).status_code == 200
    deadline = time.monotonic() + TIMEOUT_S
    while (now := counted()) < before + 20:  # the last one is counted when it has been sent
        assert time.monotonic() < deadline
    assert now == before + 20


def test_http_07_nobody_is_believed_unasked(served: Served) -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example", "Forwarded": "proto=https"}
    answer = requests.get(f"{served.url}/capabilities", headers=headers, timeout=TIMEOUT_S)
    assert f"{served.url}/sync" in answer.text
    assert "evil" not in answer.text


def test_two_authorization_headers_are_refused(served: Served, folder: Path) -> None:
    with sqlite(folder) as engine:
        ada = somebody(make_accounts(settings_of(folder), engine), "ada")
    host, _, port = served.url.removeprefix("http://").partition(":")
    line = f"Authorization: Bearer {ada.text}\r\n"
    for lines, status in ((line, b"200"), (2 * line, b"401"), (f"{line}Authorization: \r\n", b"401")):
        with socket.create_connection((host, int(port)), TIMEOUT_S) as connection:
            connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
            with connection.makefile("rb") as answer:
                assert answer.readline().split()[1] == status


FORM = "Host: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"


@pytest.mark.parametrize(
    ("framing", "body", "said"),
    [
        ("Content-Length: 500", "ID=a&PHASE=RUN", b"cannot be read"),
        ("Transfer-Encoding: chunked", "zz\r\n", b"not valid HTTP"),
        ("Transfer-Encoding: chunked", "5\r\nID=abc", b"not valid HTTP"),
        ("Transfer-Encoding: chunked", "5\r\nID=a", b"cannot be read"),
    ],
)
@pytest.mark.parametrize("request_line", ["POST /async", "POST /sync"])
def test_a_body_that_breaks_off_is_not_taken_for_a_whole_one(
    served: Served, request_line: str, framing: str, body: str, said: bytes
) -> None:
    host, _, port = served.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), TIMEOUT_S) as broken:
        broken.sendall(f"{request_line} HTTP/1.1\r\n{FORM}{framing}\r\n\r\n{body}".encode())
        broken.shutdown(socket.SHUT_WR)
        with broken.makefile("rb") as answer:
            assert answer.readline().startswith(b"HTTP/1.1 400 ")
            told = answer.read()
            assert said in told
            assert b"\r\nX-Content-Type-Options: nosniff\r\n" in told
            assert b"frame-ancestors 'none'" in told


def test_a_stop_lets_requests_finish(folder: Path) -> None:
    with serve(folder, environ_of(folder)) as served:
        host, _, port = served.url.removeprefix("http://").partition(":")
        body = f"ID={BASE}%3Ftiny/g/a&CIRCLE=150+0+0.0027".replace(
            BASE, "ivo://unregistered.invalid/soda-fountain"
        )
        requests.get(f"{served.url}/healthz", timeout=TIMEOUT_S)
        with socket.create_connection((host, int(port)), TIMEOUT_S) as slow:
            head = "POST /sync HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            head += f"Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
            slow.sendall(head.encode())
            # The server asks for the body: the request is in its hands.
            assert slow.recv(1000).startswith(b"HTTP/1.1 100")
            served.process.send_signal(signal.SIGTERM)
            slow.sendall(body.encode())
            assert slow.recv(1000).startswith(b"HTTP/1.1 200")
        assert served.process.wait(TIMEOUT_S) == 0


def test_uws_82_a_stop_does_not_wait_for_those_who_wait(folder: Path) -> None:
    with serve(folder, environ_of(folder)) as served:
        made = requests.post(f"{served.url}/async", timeout=TIMEOUT_S, allow_redirects=False)
        job = made.headers["Location"]
        host, _, port = served.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), TIMEOUT_S) as waiter:
            path = job.removeprefix(served.url)
            waiter.sendall(f"GET {path}?WAIT=60 HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            deadline = time.monotonic() + TIMEOUT_S
            while (
                "\nfountain_waiting 1.0\n"
                not in requests.get(f"{served.url}/metrics", timeout=TIMEOUT_S).text
            ):
                assert time.monotonic() < deadline
            served.process.send_signal(signal.SIGTERM)
            with waiter.makefile("rb") as answer:
                assert answer.readline() == b"HTTP/1.1 200 OK\r\n"
                assert b"<uws:phase>PENDING</uws:phase>" in answer.read()
        assert served.process.wait(TIMEOUT_S) == 0


def test_the_next_free_port_but_not_where_one_was_asked_for(folder: Path) -> None:
    with open_socket("127.0.0.1", 0, or_next=False) as taken:
        port = taken.getsockname()[1]
        assert url_of(taken) == f"http://127.0.0.1:{port}"
        with open_socket("127.0.0.1", port, or_next=True) as other:
            assert other.getsockname()[1] > port
        with pytest.raises(PortTaken, match=f"port {port} of 127.0.0.1 is taken"):
            open_socket("127.0.0.1", port, or_next=False)
        command = [sys.executable, "-c", "from config.cli import main; main()", "serve", "--port", str(port)]
        refused = subprocess.run(command, env=environ_of(folder), capture_output=True, text=True, check=False)
        assert refused.returncode == 1
        assert f"Error: cannot listen: port {port} of 127.0.0.1 is taken" in refused.stderr


def test_clients_that_keep_a_closed_connection_hold_up_nobody(served: Served) -> None:
    """Each would cost the thread that takes connections two seconds: these, ten minutes."""
    host, _, port = served.url.removeprefix("http://").partition(":")
    with ExitStack() as stack:
        for number in range(300):
            client = stack.enter_context(socket.create_connection((host, int(port)), TIMEOUT_S))
            broken = b"GET nothing HTTP/1.1\r\nHost: x\r\n\r\n"
            last = b"GET /healthz HTTP/1.0\r\nHost: x\r\n\r\n"
            client.sendall(broken if number % 2 else last)
        assert requests.get(f"{served.url}/healthz", timeout=TIMEOUT_S).text == "ok\n"
