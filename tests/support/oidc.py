"""An OpenID provider of one's own for a test: npm's oidc-provider, and somebody who signs in there.

``npm install --prefix FOLDER oidc-provider@9`` gets it; FOUNTAIN_TEST_OIDC names the folder.
"""

from __future__ import annotations

import html
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import pytest
import requests

PROGRAM = Path(__file__).with_name("oidc_provider.mjs")
CLIENT, CLIENT_SECRET = "fountain", "s3cret"
RESOURCE = "https://cutouts.example.org"


@dataclass(frozen=True)
class OidcServer:
    """A provider that runs.

    Parameters
    ----------
    issuer
        Its URL.
    callback
        The one URL it sends people back to.
    """

    issuer: str
    callback: str

    def sign_in(self, url: str, login: str) -> str:
        """Follow `url` as a browser does, sign in and agree; give the URL that the provider sends it to."""
        browser = requests.Session()
        answer = _until_page(browser, url, self.callback)
        for _ in range(4):
            if isinstance(answer, str):
                return answer
            answer = _until_page(browser, *_form(answer, login=login, password="any"), stop=self.callback)
        raise AssertionError("the provider asks on and on")

    def refuse(self, url: str) -> str:
        """Follow `url` as a browser does, and leave; give the URL that the provider sends it to."""
        browser = requests.Session()
        answer = _until_page(browser, url, self.callback)
        assert isinstance(answer, requests.Response)
        link = re.search(r'href="([^"]+/abort)"', answer.text)
        assert link is not None
        went = _until_page(browser, urljoin(answer.url, html.unescape(link[1])), self.callback)
        assert isinstance(went, str)
        return went


def _form(page: requests.Response, **answers: str) -> tuple[str, dict[str, str]]:
    action = re.search(r'<form[^>]*action="([^"]+)"', page.text)
    assert action is not None, page.text
    data = {}
    for tag in re.findall(r"<input[^>]*>", page.text):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        if name:
            data[name[1]] = answers.get(name[1], html.unescape(value[1]) if value else "")
    return urljoin(page.url, html.unescape(action[1])), data


def _until_page(
    browser: requests.Session, url: str, data: dict[str, str] | str | None = None, *, stop: str = ""
) -> requests.Response | str:
    """Follow redirections to a page, or to the URL `stop`, which is not asked."""
    if isinstance(data, str):
        stop, data = data, None
    method = "GET" if data is None else "POST"
    for _ in range(10):
        answer = browser.request(method, url, data=data, timeout=10, allow_redirects=False)
        if not answer.is_redirect:
            return answer
        url, method, data = urljoin(url, answer.headers["Location"]), "GET", None
        if url.startswith(stop):
            return url
    raise AssertionError("redirected on and on")


@contextmanager
def oidc(callback: str) -> Iterator[OidcServer]:
    """Give a provider that knows whoever signs in, with any password."""
    folder = os.environ.get("FOUNTAIN_TEST_OIDC", str(Path.home() / ".cache" / "fountain-test-oidc"))
    node = shutil.which("node")
    if node is None or not (Path(folder) / "node_modules" / "oidc-provider").is_dir():
        pytest.skip("there is no node with oidc-provider to test with (FOUNTAIN_TEST_OIDC names its folder)")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    issuer = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [node, str(PROGRAM), str(port), issuer, callback, RESOURCE, folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    drain = None
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if line.strip() == "ready":
                break
        else:
            raise AssertionError("".join(said))
        # What it says must go somewhere, or it waits.
        drain = threading.Thread(target=process.stdout.read, daemon=True)
        drain.start()
        yield OidcServer(issuer, callback)
    finally:
        process.terminate()
        process.wait(10)
        if drain is not None:
            drain.join(10)
        process.stdout.close()


def declaration(server: OidcServer, label: str = "sso", **changes: str) -> str:
    """Give the TOML of a provider that is this one; `changes` are lines of it by their keys."""
    keys = {
        "issuer": f'"{server.issuer}"',
        "client_id": f'"{CLIENT}"',
        "client_secret_env": '"OIDC_SECRET"',
        "scopes": '["openid", "profile", "email", "groups"]',
        "groups.names": '{"/surveys/x" = "survey-x"}',
    } | changes
    lines = [f"{key} = {value}" for key, value in keys.items() if value]
    return "\n".join([f'kind = "oidc"\nlabel = "{label}"\ntitle = "Single sign-on"', *lines, ""])
