"""A service whose people sign in: with a real directory, and with a real OpenID provider."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.oidc import CLIENT_SECRET, OidcServer, oidc
from tests.support.oidc import declaration as oidc_declaration
from tests.support.service import make_service
from tests.support.slapd import ADMIN_PASSWORD, Slapd, slapd
from tests.support.slapd import declaration as ldap_declaration

#: Over TLS, as browsers know it: cookies of sessions are sent over nothing else.
BASE = "https://localhost"


@pytest.fixture(scope="session")
def directory() -> Iterator[Slapd]:
    with slapd() as server:
        yield server


@pytest.fixture(scope="session")
def provider() -> Iterator[OidcServer]:
    with oidc(f"{BASE}/login/sso/callback") as server:
        yield server


@pytest.fixture(scope="session")
def app(directory: Slapd, provider: OidcServer, tmp_path_factory: pytest.TempPathFactory) -> Flask:
    folder = tmp_path_factory.mktemp("portal")
    return serve(folder, oidc_declaration(provider), ldap_declaration(directory))


def serve(folder: Path, *declarations: str, **settings: str) -> Flask:
    """Make a service with these providers."""
    files = []
    secrets = {"bind_password": ADMIN_PASSWORD, "client_secret": CLIENT_SECRET}
    for number, text in enumerate(declarations):
        for key, secret in secrets.items():
            (folder / key).write_text(secret)
            text = re.sub(rf"{key}_env = .*", f'{key}_file = "{folder / key}"', text)
        files.append(folder / f"{number}.toml")
        files[-1].write_text(text, encoding="utf-8")
    app = make_service(
        folder / "service", {"FOUNTAIN_ACCOUNTS__PROVIDERS": ",".join(map(str, files)), **settings}
    )
    app.config["PREFERRED_URL_SCHEME"] = "https"
    return app


@pytest.fixture
def browser(app: Flask) -> FlaskClient:
    """A browser that has never been here."""
    return browser_of(app)


def browser_of(app: Flask) -> FlaskClient:
    client = app.test_client()
    client.environ_base.update(
        {
            "HTTP_ACCEPT": "text/html,application/xhtml+xml,*/*;q=0.8",
            "HTTP_SEC_FETCH_SITE": "same-origin",
            "HTTP_SEC_FETCH_MODE": "navigate",
        }
    )
    return client
