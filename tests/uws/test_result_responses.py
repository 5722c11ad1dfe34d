"""Results over HTTP: what real clients send, from files, from a bucket, and by redirect."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from array import array
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from werkzeug.test import Client, TestResponse
from werkzeug.wrappers import Request, Response

from dali.errors import ProtocolError
from dali.responses import error_response
from tests.support.s3 import ObjectStore, object_store
from tests.uws.test_results import claim, published, sentence
from uws.job import Result
from uws.responses import result_response
from uws.results import ResultStore, disposition

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CONTENT = bytes(range(256)) * 9000  # 2.3 MB, so it is sent in several pieces
SERVED_BYTES = 32 << 20  # more than the sockets of a connection hold


@pytest.fixture(scope="module")
def s3() -> Iterator[ObjectStore]:
    with object_store() as store:
        yield store


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ResultStore:
    if request.param == "folder":
        return ResultStore(str(tmp_path / "results"), tmp_path / "unused")
    s3: ObjectStore = request.getfixturevalue("s3")
    return ResultStore(f"{s3.url}/{tmp_path.name}", tmp_path / "spool", s3.options)


@pytest.fixture
def result(store: ResultStore) -> Result:
    return published(store, claim(), [b"before", CONTENT, b"after"])[1]


def app_of(store: ResultStore, result: Result) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        request = Request(environ)
        response: Response
        try:
            response = result_response(result, store, request)
        except ProtocolError as error:
            response = error_response(error, request)
        return response(environ, start_response)

    return app


def ask(store: ResultStore, result: Result, method: str = "GET", **headers: str) -> TestResponse:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Client(app_of(store, result)).open("/result", method=method, headers=sent, buffered=True)


def test_uws_98_a_result_is_sent_with_its_type(store: ResultStore, result: Result) -> None:
    told = ask(store, result)
    assert (told.status_code, told.data) == (200, CONTENT)
    headers = told.headers
    assert headers["Content-Type"] == "application/fits"
    assert headers["Content-Length"] == str(len(CONTENT))
    assert headers["ETag"] == f'"{result.sha256}"'
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["Cache-Control"] == "private, no-cache"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Disposition"] == disposition(result) == 'attachment; filename="cut out 1.fits"'


@pytest.mark.parametrize("media_type", ["text/plain", "text/csv;header=present", "application/x-votable+xml"])
def test_uws_98_the_type_is_exactly_the_stored_one(
    store: ResultStore, result: Result, media_type: str
) -> None:
    assert ask(store, replace(result, media_type=media_type)).headers["Content-Type"] == media_type


def test_uws_98_head_says_the_same_without_content(store: ResultStore, result: Result) -> None:
    told, head = ask(store, result), ask(store, result, "HEAD", Range="bytes=0-9")
    assert (head.status_code, head.data) == (200, b"")
    assert dict(head.headers) == dict(told.headers)


N = len(CONTENT)
RANGES = [
    ("bytes=0-0", 0, 1),
    ("bytes=1000-1999", 1000, 2000),
    ("bytes=300000-2000000", 300_000, 2_000_001),
    (f"bytes={N - 1}-", N - 1, N),
    (f"bytes=100-{N * 2}", 100, N),
    ("bytes=-100", N - 100, N),
    (f"bytes=-{N + 5}", 0, N),
    ("Bytes= 5-9", 5, 10),
]


@pytest.mark.parametrize(("asked", "start", "stop"), RANGES)
def test_a_range(store: ResultStore, result: Result, asked: str, start: int, stop: int) -> None:
    told = ask(store, result, Range=asked)
    assert (told.status_code, told.data) == (206, CONTENT[start:stop])
    assert told.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{N}"
    assert told.headers["Content-Length"] == str(stop - start)
    assert told.headers["ETag"] == f'"{result.sha256}"'


@pytest.mark.parametrize("asked", [f"bytes={N}-", f"bytes={N}-{N + 10}", "bytes=-0", f"bytes={10**17}-"])
def test_a_range_outside_is_refused_in_text(store: ResultStore, result: Result, asked: str) -> None:
    told = ask(store, result, Range=asked)
    assert told.status_code == 416
    assert told.headers["Content-Range"] == f"bytes */{N}"
    assert told.text.startswith(f'UsageError: no byte of this result is in the range "{asked}".\n')


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=9-5",
        "bytes=0-1,5-6",
        "lines=0-5",
        "bytes=٠-٥",
        "bytes=" + "9" * 5000,
    ],
)
def test_a_range_that_is_none_is_ignored(store: ResultStore, result: Result, asked: str) -> None:
    told = Client(app_of(store, result)).open("/r", environ_overrides={"HTTP_RANGE": asked}, buffered=True)
    assert (told.status_code, told.data) == (200, CONTENT)


def test_a_range_holds_only_for_the_same_content(store: ResultStore, result: Result) -> None:
    same, other = f'"{result.sha256}"', f'W/"{result.sha256}"'
    assert ask(store, result, Range="bytes=0-9", If_Range=same).status_code == 206
    assert ask(store, result, Range="bytes=0-9", If_Range=other).status_code == 200
    assert ask(store, result, Range="bytes=0-9", If_Range='"x"').data == CONTENT
    assert ask(store, result, Range="bytes=0-9", If_Range="Sat, 29 Oct 1994 19:43:31 GMT").status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_the_client_has_is_not_sent_again(store: ResultStore, result: Result, method: str) -> None:
    for known in (f'"{result.sha256}"', f'W/"{result.sha256}"', f'"x", "{result.sha256}"', "*"):
        told = ask(store, result, method, If_None_Match=known, Range="bytes=0-9")
        assert (told.status_code, told.data) == (304, b"")
        assert told.headers["ETag"] == f'"{result.sha256}"'
        assert "Content-Type" not in told.headers
    assert ask(store, result, If_None_Match='"x"').status_code == 200


def test_if_match_wants_just_this_content(store: ResultStore, result: Result) -> None:
    assert ask(store, result, If_Match=f'"{result.sha256}"').status_code == 200
    assert ask(store, result, If_Match='"x"').status_code == 412


def test_soda_102_a_sentence_is_shown_as_text(store: ResultStore) -> None:
    said = sentence("UsageError: no overlap with größe")
    told = ask(store, said)
    assert (told.status_code, told.text) == (200, "UsageError: no overlap with größe")
    assert told.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert told.headers["Content-Disposition"] == 'inline; filename="r9.txt"'
    assert told.headers["Content-Length"] == "35"
    assert ask(store, said, If_None_Match=told.headers["ETag"]).status_code == 304
    assert ask(store, said, Range="bytes=0-9").data == b"UsageError"
    assert ask(store, sentence("other")).headers["ETag"] != told.headers["ETag"]


def test_a_file_without_content(store: ResultStore) -> None:
    [empty] = published(store, claim(), [b""])
    told = ask(store, empty)
    assert (told.status_code, told.data, told.headers["Content-Length"]) == (200, b"", "0")
    assert ask(store, empty, Range="bytes=0-").status_code == 416


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_uws_94_a_file_that_is_gone_is_not_found(store: ResultStore, result: Result, method: str) -> None:
    store.remove_job(claim().job_id)
    told = ask(store, result, method)
    assert told.status_code == 404
    assert told.headers["Cache-Control"] == "no-store"
    if method == "GET":
        assert told.text.startswith("UsageError: the file of this result is no longer stored.\n")
        assert claim().job_id not in told.text


def test_a_forged_container_is_not_found(store: ResultStore, result: Result) -> None:
    assert ask(store, replace(result, container="../../etc/passwd", size=10)).status_code == 404


def test_a_damaged_container_is_not_begun(store: ResultStore, result: Result) -> None:
    told = ask(store, replace(result, size=50_000_000), Range="bytes=40000000-")
    assert told.status_code == 503
    assert told.headers["Retry-After"] == "10"
    assert told.text.startswith("ServiceUnavailable: the result cannot be read now.\n")


def test_a_store_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    store = ResultStore(str(tmp_path / "results"), tmp_path / "unused")
    [result] = published(store, claim(), [b"content"])
    (tmp_path / "results").rename(tmp_path / "elsewhere")
    assert ask(store, result).status_code == 503


def test_a_client_is_sent_to_the_bucket(s3: ObjectStore, tmp_path: Path) -> None:
    store = ResultStore(f"{s3.url}/redirected", tmp_path, s3.options, redirect=True)
    [_, result] = published(store, claim(), [b"before", CONTENT])
    result = replace(result, file_name="größe 50%.fits", media_type="image/fits;x=y")
    told = ask(store, result)
    assert (told.status_code, told.data) == (307, b"")
    assert told.headers["Cache-Control"] == "no-store"
    url = told.headers["Location"]
    assert url.startswith(f"{s3.endpoint}/results/fountain/redirected/{result.container}?")
    for headers, status, content in (({}, 200, CONTENT), ({"Range": "bytes=5-9"}, 206, CONTENT[5:10])):
        found = requests.get(url, headers=headers, timeout=30)
        assert (found.status_code, found.content) == (status, content)
        assert found.headers["Content-Type"] == "image/fits;x=y"
        assert found.headers["Content-Disposition"] == disposition(result)
    head = ask(store, result, "HEAD")
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(N))
    assert ask(store, result, If_None_Match=head.headers["ETag"]).status_code == 304


def test_a_container_stored_before_redirects_is_sent_from_here(s3: ObjectStore, tmp_path: Path) -> None:
    before = ResultStore(f"{s3.url}/before", tmp_path, s3.options)
    [result] = published(before, claim(), [CONTENT])
    after = ResultStore(f"{s3.url}/before", tmp_path, s3.options, redirect=True)
    assert ask(after, result).data == CONTENT


def numbered(size: int) -> bytes:
    """Give content whose every part occurs once."""
    return array("I", range(size // 4)).tobytes()


def served(folder: str, size: int) -> WSGIApplication:
    """Make the application that gunicorn runs below: a result of `size` bytes that lies in `folder`."""
    store = ResultStore(folder, Path(folder))
    return app_of(store, published(store, claim(), [b"before", numbered(size), b"after"])[1])


@pytest.fixture(params=[["--no-sendfile"], []], ids=["read", "sendfile"])
def gunicorn(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the URL of a real server; its listener is there already, so nobody waits for its start."""
    listener = socket.create_server(("127.0.0.1", 0))
    command = [
        *(sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--threads", "4"),
        *("--log-level", "warning", "--no-control-socket", "--bind", f"fd://{listener.fileno()}"),
        *request.param,
        f"tests.uws.test_result_responses:served({str(tmp_path)!r}, {SERVED_BYTES})",
    ]
    process = subprocess.Popen(command, pass_fds=[listener.fileno()])
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        listener.close()


def test_gunicorn_sends_just_the_part(gunicorn: str) -> None:
    n, content = SERVED_BYTES, numbered(SERVED_BYTES)
    parts = {
        "bytes=100-299": content[100:300],
        f"bytes={n - 7}-": content[-7:],
        f"bytes=1001-{n - 2}": content[1001:-1],
        "": content,
        "bytes=3-3": content[3:4],
    }
    with requests.Session() as session:
        for asked, part in parts.items():
            assert session.get(gunicorn, headers={"Range": asked}, timeout=60).content == part


@pytest.mark.deployment
def test_f64_an_open_download_finishes_although_the_job_is_destroyed(gunicorn: str, tmp_path: Path) -> None:
    with requests.get(gunicorn, stream=True, timeout=60) as download:
        pieces = download.iter_content(1 << 20)
        received = [next(pieces)]
        ResultStore(str(tmp_path), tmp_path).remove_job(claim().job_id)
        assert requests.get(gunicorn, timeout=60).status_code == 404
        received += pieces
    assert b"".join(received) == numbered(SERVED_BYTES)
    assert list(tmp_path.iterdir()) == []
