"""nginx.conf in the real nginx, before the real service."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from urllib.parse import urlencode

import pytest
from astropy.io import fits

from config.database import make_engine
from config.settings import load_settings
from tests.containers.support import (
    CONTAINERS,
    PUBLIC_NAME,
    Outside,
    make_secrets,
    nginx,
    program,
    user_of_nginx,
)
from tests.support.server import serve
from tests.support.service import BASE, index_all, settings_of, write_surveys
from tests.support.soda_jobs import until
from tests.support.streams import Reader
from uws.job import NewJob
from uws.store.jobs import Jobs

pytestmark = pytest.mark.deployment

CUTOUT = {"ID": f"{BASE}?tiny/g/a", "CIRCLE": "150 0 0.0027"}
#: So few that requests which hold one are noticed.
THREADS = 4
SLOW_S = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("proxied")
    write_surveys(folder / "service")
    index_all(settings_of(folder / "service"))
    return folder


@pytest.fixture(scope="module")
def outside(folder: Path) -> Iterator[Outside]:
    """The service as clients see it."""
    secrets = make_secrets(folder / "secrets")
    environ = {
        "FOUNTAIN_DATA__FOLDER": str(folder / "service"),
        "FOUNTAIN_SURVEYS__DECLARATIONS": str(folder / "service" / "declarations"),
        "FOUNTAIN_IDENTIFIERS__BASE": BASE,
        "FOUNTAIN_SERVER__WORKERS": "1",
        "FOUNTAIN_SERVER__THREADS": str(THREADS),
        "FOUNTAIN_JOBS__MAX_WAITERS": str(THREADS - 1),
        "FOUNTAIN_SERVER__TRUSTED_PROXIES": "127.0.0.1",
    }
    with serve(folder, environ, "--port", "0") as served:
        port = int(served.url.rpartition(":")[2])
        # The second one is not there: the first answers for both.
        with nginx(folder, secrets, [port, 9]) as (plain, secure):
            yield Outside(plain, secure, secrets / "tls.crt")


def test_the_file_is_valid(tmp_path: Path) -> None:
    secrets = make_secrets(tmp_path / "secrets")
    text = re.sub(r"web-[12]:8080", "127.0.0.1:9", (CONTAINERS / "nginx.conf").read_text())
    (tmp_path / "nginx.conf").write_text(text.replace("/run/secrets", str(secrets)))
    command = [program("nginx"), "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    told = subprocess.run(
        [*command, "-g", user_of_nginx() or "daemon off;"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    assert "warn" not in told.stderr


def test_a_cutout_through_tls(outside: Outside) -> None:
    answer = outside.get("/sync", CUTOUT)
    assert answer.status == 200
    assert fits.getdata(BytesIO(answer.data)).shape == (20, 20)
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-Id"])
    assert "max-age" in answer.headers["Strict-Transport-Security"]


@pytest.mark.parametrize("path", ["/sync", "/nothing", "/metrics", "/examples"])
def test_answers_have_security_headers_once(outside: Outside, path: str) -> None:
    headers = outside.get(path).headers
    for name, value in (
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Content-Security-Policy", "frame-ancestors 'none'"),
        ("Strict-Transport-Security", "max-age=31536000"),
    ):
        (told,) = headers.get_all(name) or [""]
        assert value in told


def test_http_07_urls_are_those_of_the_public_name(outside: Outside) -> None:
    told = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "/evil", "X-Forwarded-Proto": "http"}
    for headers in ({}, told, {"Forwarded": "host=evil.example;proto=http"}):
        text = outside.get("/capabilities", headers=headers).data.decode()
        urls = set(re.findall(r">(https?://[^<]+/sync)<", text))
        assert urls == {f"https://{PUBLIC_NAME}:{outside.secure}/sync"}


def test_plain_http_is_sent_to_tls(outside: Outside) -> None:
    for method, status in (("GET", 301), ("HEAD", 301), ("POST", 308)):
        answer = outside.plainly(method, "/sync?ID=a%20b&POS=c")
        assert answer.status == status
        assert answer.headers["Location"] == f"https://{PUBLIC_NAME}/sync?ID=a%20b&POS=c"


def test_part_of_an_answer_can_be_asked_for(outside: Outside) -> None:
    whole = outside.get("/sync", CUTOUT)
    part = outside.get("/sync", CUTOUT, headers={"Range": "bytes=2880-2899"})
    if whole.headers.get("Accept-Ranges") == "bytes":
        assert (part.status, part.data) == (206, whole.data[2880:2900])
    same = outside.get("/sync", CUTOUT, headers={"If-None-Match": whole.headers["ETag"]})
    assert same.status == 304


@pytest.mark.parametrize(("path", "most"), [("/sync", 512 << 10), ("/async", 70 << 20), ("/query", 64 << 10)])
def test_a_body_that_is_too_large(outside: Outside, path: str, most: int) -> None:
    answer = outside.post(path, b"x" * (most + 1))
    assert answer.status == 413
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.data.startswith(b"UsageError: ")


def test_bodies_that_the_service_takes_come_to_it() -> None:
    text = (CONTAINERS / "nginx.conf").read_text()
    found = re.findall(r"location (/\w+) \{\s+client_max_body_size (\d+)([km]);", text)
    allowed = {path: int(number) << {"k": 10, "m": 20}[unit] for path, number, unit in found}
    settings = load_settings({})
    assert allowed["/sync"] > settings.sync.max_body_bytes
    assert allowed["/async"] > settings.jobs.max_upload_bytes + settings.jobs.max_body_bytes
    assert allowed["/links"] > settings.links.max_body_bytes


def test_nginx_waits_longer_than_any_wait() -> None:
    text = (CONTAINERS / "nginx.conf").read_text()
    (seconds,) = re.findall(r"proxy_read_timeout (\d+)s;", text)
    assert int(seconds) > load_settings({}).jobs.max_wait_s


@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "/%6detrics", "/x/../metrics", "/soda/metrics"])
def test_measurements_are_not_for_the_world(outside: Outside, path: str) -> None:
    answer = outside.get(path)
    assert (answer.status, answer.data) == (404, b"UsageError: there is no such resource.\n")


def test_a_long_url_is_refused_by_the_service_in_its_own_words(outside: Outside) -> None:
    answer = outside.get("/sync", {"ID": "x" * 9000})
    assert answer.status == 414
    assert b"Send the parameters by POST" in answer.data


def test_f54_slow_bodies_hold_no_thread(outside: Outside) -> None:
    head = f"POST /sync HTTP/1.1\r\nHost: {PUBLIC_NAME}\r\nContent-Length: 1000\r\n"
    head += "Content-Type: application/x-www-form-urlencoded\r\n\r\nID="
    lines = [outside.line() for _ in range(3 * THREADS)]
    try:
        for line in lines:
            line.sendall(head.encode())
        assert outside.get("/sync", CUTOUT).status == 200
    finally:
        for line in lines:
            line.close()


def test_f53_slow_headers_hold_no_thread_and_are_cut_off(outside: Outside) -> None:
    lines = [socket.create_connection(("127.0.0.1", outside.secure), SLOW_S) for _ in range(300)]
    slow = outside.line()
    try:
        slow.sendall(b"GET /sync HTTP/1.1\r\nHost: ")
        assert outside.get("/sync", CUTOUT).status == 200
        slow.settimeout(SLOW_S)
        with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError):  # cut off as well
            assert slow.recv(1) == b""
    finally:
        for line in (slow, *lines):
            line.close()


def test_uws_82_a_wait_passes(outside: Outside) -> None:
    created = outside.post("/async", urlencode(CUTOUT).encode())
    assert created.status == 303
    url = created.headers["Location"]
    base = f"https://{PUBLIC_NAME}:{outside.secure}"
    assert url.startswith(f"{base}/async/")
    waited = outside.get(url.removeprefix(base), {"WAIT": "6"})
    assert waited.status == 200
    assert b"PENDING" in waited.data


def test_news_pass_at_once_and_hold_no_thread(outside: Outside, folder: Path) -> None:
    """More connections than the service has threads."""
    engine = make_engine(settings_of(folder / "service").data.engine_url)
    jobs = Jobs(engine)
    job_id = jobs.create(NewJob("e" * 32, "soda", "", "", (), 60, 600)).job_id
    paths = (f"/async/{job_id}/events", f"/events?JOB={job_id}&LINK=secret-key")
    with contextlib.ExitStack() as stack:
        streams = []
        for number in range(2 * THREADS):
            answer = outside.stream(paths[number % 2], {"Accept": "text/event-stream"})
            stack.callback(answer.close)
            assert answer.status == 200
            streams.append(Reader(answer.stream()))
            streams[-1].hello() if number % 2 else streams[-1].next("job")
        assert outside.get("/sync", CUTOUT).status == 200
        jobs.tell(job_id, "download", {"result": "x"})
        for stream in streams:
            assert stream.next("event", "job").data["seq"] == 1
    engine.dispose()


def test_keys_of_links_are_not_in_the_lines_of_requests(outside: Outside, folder: Path) -> None:
    assert outside.get("/async/none?WAIT=1&LINK=secret-key&x=y").status == 404

    def lines() -> list[str]:
        # Its lines of errors are as nginx has them.
        said = (folder / "nginx.log").read_text().splitlines()
        return [line for line in said if line.startswith("{") and "/async/none?" in line]

    until(lines)
    assert '"uri":"/async/none?WAIT=1&LINK=-&x=y"' in lines()[0]
    assert "secret-key" not in (folder / "log.jsonl").read_text()


def test_a_service_that_is_away_is_said_to_be(folder: Path, tmp_path: Path) -> None:
    secrets = make_secrets(tmp_path / "secrets")
    with nginx(tmp_path, secrets, [9, 9]) as (plain, secure):
        away = Outside(plain, secure, secrets / "tls.crt").get("/sync", CUTOUT)
    assert away.status == 503
    assert int(away.headers["Retry-After"]) > 0
    assert away.data.startswith(b"ServiceUnavailable: ")
    assert away.headers["X-Content-Type-Options"] == "nosniff"
    assert away.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_too_many_requests_at_a_time_are_refused_but_those_of_jobs_are_not(outside: Outside) -> None:
    # The last of this file: the address is held back for some seconds afterwards.
    statuses = outside.at_once("/healthz/none", 250, until=429)
    assert statuses[429] > 0
    assert set(statuses) <= {404, 429}
    assert outside.at_once("/async/none/phase", 250) == {404: 250}
