"""What the capabilities say of the ways to be known, and how pyvo uses them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import pyvo
import requests
from flask import Flask
from lxml import etree
from pyvo.auth import AuthSession
from pyvo.dal import SIA2Service
from pyvo.dal.adhoc import DatalinkResults, SodaQuery

from accounts.challenges import BASIC, TOKEN
from tests.support.accounts import Somebody, somebody
from tests.support.listening import listening
from tests.support.outside import Validate
from tests.support.service import did, make_service

SSO = """
kind = "jwt"
label = "sso"
title = "Single sign-on"
issuer = "https://sso.example.org"
audience = "https://cutouts.example.org"
jwks_file = "{file}"
"""
OPEN = {"ivo://ivoa.net/std/VOSI#capabilities", "ivo://ivoa.net/std/VOSI#availability"}
ALL_OPEN = OPEN | {"ivo://ivoa.net/std/VOSI#tables-1.1", "ivo://ivoa.net/std/DALI#examples"}


def make(folder: Path, anonymous: bool) -> Flask:
    (folder / "sso.json").write_text('{"keys": []}')
    (folder / "sso.toml").write_text(SSO.format(file=folder / "sso.json"))
    environ = {
        "FOUNTAIN_ACCOUNTS__PROVIDERS": str(folder / "sso.toml"),
        "FOUNTAIN_ACCOUNTS__ANONYMOUS": str(anonymous),
    }
    return make_service(folder / "service", environ)


@pytest.fixture(scope="module")
def open_app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """A service that lets everybody in, and knows some."""
    return make(tmp_path_factory.mktemp("open"), True)


@pytest.fixture(scope="module")
def closed_app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """A service for those alone whom it knows."""
    return make(tmp_path_factory.mktemp("closed"), False)


def ways(document: bytes) -> dict[str, list[str | None]]:
    """Ways of each interface, in their order, by standard."""
    told: dict[str, list[str | None]] = {}
    for capability in etree.fromstring(document).findall("capability"):
        for interface in capability.findall("interface"):
            found = [method.get("standardID") for method in interface.findall("securityMethod")]
            assert len(found) <= 1
            told.setdefault(str(capability.get("standardID")), []).append(found[0] if found else None)
    return told


def test_cap_09_to_11_each_way_is_an_interface(open_app: Flask, validate: Validate) -> None:
    document = open_app.test_client().get("/capabilities").data
    assert validate(document) == []
    for standard, found in ways(document).items():
        assert found == ([None] if standard in ALL_OPEN else [None, BASIC, TOKEN]), standard


def test_cap_10_without_anybody_unknown(closed_app: Flask, validate: Validate) -> None:
    client = closed_app.test_client()
    document = client.get("/capabilities").data
    assert validate(document) == []
    for standard, found in ways(document).items():
        assert found == ([None] if standard in OPEN else [BASIC, TOKEN]), standard
    record = client.get("/record", headers=somebody(closed_app, "ada").headers)
    assert record.status_code == 200
    assert b"securityMethod" in record.data


def test_the_record_is_valid(open_app: Flask, validate_record: Validate) -> None:
    assert validate_record(open_app.test_client().get("/record").data) == []


@pytest.fixture
def told(closed_app: Flask) -> Iterator[tuple[str, Somebody]]:
    with listening(closed_app) as url:
        yield url, somebody(closed_app, "ada")


def test_pyvo_shows_a_token_as_a_password(told: tuple[str, Somebody]) -> None:
    url, ada = told
    session = AuthSession()
    session.credentials.set_password("x-oauth-basic", ada.text)
    _expect_images(url, session)


def test_pyvo_shows_a_token_in_a_session(told: tuple[str, Somebody]) -> None:
    url, ada = told
    with requests.Session() as plain:
        plain.headers["Authorization"] = f"Bearer {ada.text}"
        session = AuthSession()
        session.credentials.set(TOKEN, plain)
        _expect_images(url, session)


def _expect_images(url: str, session: AuthSession) -> None:
    service = SIA2Service(url, session=session)
    session.update_from_capabilities(service.capabilities)
    found = service.search(pos=(150.0, 0.0, 0.001), maxrec=5)
    assert len(found) > 0
    assert session._auth_urls.allowed_auth_methods(f"{url}/sync?ID=x") == {BASIC, TOKEN}
    assert session._auth_urls.allowed_auth_methods(f"{url}/capabilities") == {"anonymous"}
    links = DatalinkResults.from_result_url(f"{url}/links?ID={did('tiny/g/a')}", session=session)
    soda = links.get_adhocservice_by_ivoid("ivo://ivoa.net/std/SODA#sync-1.0")
    query = SodaQuery.from_resource(links, soda, session=session)
    query.circle = (150.0, 0.0, 0.002)
    stream = query.execute_stream()
    assert stream.read().startswith(b"SIMPLE")
    stream.close()


def test_pyvo_without_anything_is_refused(told: tuple[str, Somebody]) -> None:
    url, _ = told
    with pytest.raises(pyvo.dal.DALServiceError, match="AuthenticationError"):
        SIA2Service(url).search(pos=(150.0, 0.0, 0.001))
