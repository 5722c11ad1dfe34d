"""Uploads by URL: fetched from listed hosts alone, and by nobody but a worker."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dali.errors import ProtocolError, ServiceUnavailable, UsageError
from tests.support.certificates import make_certificate
from tests.support.toy import toy_settings
from tests.uws.conftest import House, id_of
from uws.fetch import check_url, fetch
from uws.jobtype import JobRefused
from uws.sites import is_public, site_of
from uws.store.ledger import Ledger

FILE = b"M31 ok\nM33 outside\n"
MOST = 1000


class _Handler(BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        port = self.server.server_address[1]
        moved = {
            "/moved": "/list.txt",
            "/round": "/round",
            "/elsewhere": "http://example.org/list.txt",
            "/inside": f"http://localhost:{port}/list.txt",
            "/local": "file:///etc/passwd",
            "/broken": "http://[::1/list.txt",
        }.get(self.path)
        if moved is not None:
            self._begin(302, Location=moved)
        elif self.path in ("/list.txt", "/list.txt?a=b"):
            self._begin(
                200, **{"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(FILE))}
            )
            self.wfile.write(FILE)
        elif self.path == "/large":
            self._begin(200, **{"Content-Length": str(MOST + 1)})
        elif self.path == "/endless":
            self._begin(200)
            self.wfile.write(b"x" * (MOST + 1))
        elif self.path == "/half":
            self._begin(200, **{"Content-Length": str(MOST)})
            self.wfile.write(b"half")
        elif self.path in ("/drip-head", "/drip"):
            if self.path == "/drip":
                self._begin(200)
            with suppress(ConnectionError):
                for _ in range(1000):  # ten seconds, if nobody cuts it
                    self.wfile.write(b"x")
                    time.sleep(0.01)
        elif self.path == "/packed":
            self._begin(200, **{"Content-Encoding": "gzip"})
        else:
            self._begin(int(self.path[1:]))

    def _begin(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    handler = type("Handler", (_Handler,), {"asked": []})
    made = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_address[1]}"
    made.shutdown()
    made.server_close()


@pytest.mark.parametrize("path", ["/list.txt", "/moved", "/list.txt?a=b#c"])
def test_a_file_is_fetched(path: str, server: str, tmp_path: Path) -> None:
    got = fetch(server + path, [server], tmp_path / "it", MOST)
    assert got.path.read_bytes() == FILE
    assert (got.file_name, got.media_type, got.size) == ("list.txt", "text/plain", len(FILE))


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """Port of a server of https, as localhost, and the certificate that it shows."""
    certificate, key = make_certificate(tmp_path_factory.mktemp("https"))
    made = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"asked": []}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    made.socket = context.wrap_socket(made.socket, server_side=True)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made.server_address[1], certificate
    made.shutdown()
    made.server_close()


def test_https_is_for_hosts_whose_certificate_is_right(
    secure: tuple[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address is looked at before, and the name is the one that the certificate must have."""
    port, certificate = secure
    hosts = [f"localhost:{port}", f"127.0.0.1:{port}", "::1"]
    url = f"https://localhost:{port}/moved"
    with pytest.raises(ServiceUnavailable, match="cannot be fetched"):
        fetch(url, hosts, tmp_path / "it", MOST)  # nobody vouches for it
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert fetch(url, hosts, tmp_path / "it", MOST).path.read_bytes() == FILE
    with pytest.raises(ServiceUnavailable, match="cannot be fetched"):
        fetch(f"https://127.0.0.1:{port}/list.txt", hosts, tmp_path / "other", MOST)  # it is of localhost
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("path", "kind", "sentence"),
    [
        ("/elsewhere", JobRefused, "UPLOAD is not fetched from http://example.org:80"),
        ("/inside", JobRefused, "UPLOAD is not fetched from http://localhost"),
        ("/local", JobRefused, "which is no https URL"),
        ("/broken", JobRefused, "which is no https URL"),
        ("/round", UsageError, "redirected again and again"),
        ("/large", UsageError, "larger than the limit of 1000 bytes"),
        ("/endless", UsageError, "larger than the limit of 1000 bytes"),
        ("/half", ServiceUnavailable, "cannot be fetched"),
        ("/packed", UsageError, "sent compressed"),
        ("/404", UsageError, "answers 404"),
        ("/401", UsageError, "answers 401"),
        ("/503", ServiceUnavailable, "cannot be fetched"),
    ],
)
def test_what_is_wrong_is_said(
    path: str, kind: type[ProtocolError], sentence: str, server: str, tmp_path: Path
) -> None:
    with pytest.raises(kind) as caught:
        fetch(server + path, [server], tmp_path / "it", MOST)
    assert sentence in caught.value.sentence


@pytest.mark.parametrize("path", ["/drip-head", "/drip"])
def test_who_sends_a_byte_now_and_then_is_cut_off(path: str, server: str, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(ServiceUnavailable, match="cannot be fetched"):
        fetch(server + path, [server], tmp_path / "it", MOST * MOST, longest_s=0.2)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("64:ff9b::808:808", True),
        *((text, False) for text in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0")),
        *((text, False) for text in ("::1", "fe80::1%eth0", "fc00::1", "fec0::1", "::ffff:10.0.0.1")),
        *((text, False) for text in ("64:ff9b::7f00:1", "2002:7f00:1::", "::7f00:1", "224.0.0.1", "ff02::1")),
    ],
)
def test_addresses_of_the_public_internet(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_another_listed_host_is_no_place_to_redirect_to(server: str, tmp_path: Path) -> None:
    port = server.rpartition(":")[2]
    with pytest.raises(JobRefused, match="redirected to another host"):
        fetch(f"{server}/inside", [server, f"http://localhost:{port}"], tmp_path / "it", MOST)


def test_an_address_inside_must_be_listed_itself(server: str, tmp_path: Path) -> None:
    port = server.rpartition(":")[2]
    url, hosts = f"http://localhost:{port}/list.txt", [f"http://localhost:{port}"]
    with pytest.raises(JobRefused, match="not of the public internet"):
        fetch(url, hosts, tmp_path / "it", MOST)
    assert not (tmp_path / "it").exists()
    assert fetch(url, [*hosts, "127.0.0.1", "::1"], tmp_path / "it", MOST).size == len(FILE)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org.evil.net/x",
        "https://evil.net/example.org",
        "https://example.org@evil.net/x",
        "https://user:pass@example.org/x",
        "http://example.org/x",
        "https://example.org:8443/x",
        "https://example.org:x/",
        "https:///x",
        "https://exa mple.org/x",
        "https://example.org/\u202e",
        "ftp://example.org/x",
        "https://" + "a" * 3000,
        "https://[::1/x",
    ],
)
def test_only_listed_hosts_are_asked(url: str) -> None:
    with pytest.raises(JobRefused):
        check_url(url, ["example.org"])
    check_url("https://example.org/a?b=c", ["example.org"])
    check_url("https://EXAMPLE.org./a", ["example.org"])


def test_entries_of_the_settings() -> None:
    assert site_of("example.org") == site_of("https://example.org:443/")
    assert site_of("http://example.org") != site_of("example.org")
    for wrong in ("", "ftp://x", "example.org/path", "http://u@x", "x:y"):
        with pytest.raises(ValueError, match=r"."):
            site_of(wrong)


def test_the_split_fetches_it(house: House, server: str) -> None:
    object.__setattr__(house, "settings", toy_settings(results_reserve_bytes=0, upload_hosts=(server,)))
    lists = house.client().at("/lists")
    url = lists.make(UPLOAD=f"lines,{server}/list.txt", PHASE="RUN")
    house.work()
    assert lists.phase(url) == "COMPLETED"
    assert [row.label for row in Ledger(house.engine).page(id_of(url))] == ["M31", "M33"]
    assert not list((house.folder / "results").rglob("*.work")), "nothing is left of it"
    url = lists.make(UPLOAD=f"lines,{server}/404", PHASE="RUN")
    house.work()
    assert lists.phase(url) == "ERROR"
    assert "answers 404" in lists.get(f"{url}/error").text
    refused = lists.post(UPLOAD="lines,https://example.org/list.txt", PHASE="RUN")
    assert (refused.status_code, "Files are fetched from" in refused.text) == (403, True)
