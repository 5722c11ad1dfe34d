"""Help tells of all there is, and each thing can be pointed at."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from dali.errors import ProtocolError
from portal.help import errors
from soda.lists.manifest import VERDICTS
from soda.table import JOB_PARAMETERS
from tests.portal.conftest import browser_of
from tests.support.accounts import somebody
from tests.support.service import did, make_service


@pytest.fixture(scope="module")
def helping(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return make_service(tmp_path_factory.mktemp("help"))


@pytest.fixture
def client(helping: Flask) -> FlaskClient:
    return browser_of(helping)


def kinds(kind: type[ProtocolError]) -> set[type[ProtocolError]]:
    return {kind, *(found for narrower in kind.__subclasses__() for found in kinds(narrower))}


def test_every_parameter_label_and_status_has_its_anchor(client: FlaskClient) -> None:
    page = client.get("/help").text
    anchors = Counter(re.findall(r'\bid="([^"]+)"', page))
    wanted = {parameter.name for parameter in JOB_PARAMETERS}
    wanted |= {kind.label for kind in kinds(ProtocolError)} | set(VERDICTS)
    assert wanted <= anchors.keys()
    assert [name for name, count in anchors.items() if count > 1] == []
    assert set(re.findall(r'href="#([^"]+)"', page)) <= anchors.keys()


def test_labels_are_told_with_all_their_states(client: FlaskClient) -> None:
    told = {label: statuses for label, statuses, *_ in errors()}
    assert told["UsageError"].startswith("400, ")
    assert told["AuthenticationError"] == "401"
    assert told["Error"] == "429, 500"


def test_a_page_of_an_error_leads_to_what_it_means(client: FlaskClient) -> None:
    asked = {"ID": did("tiny/g"), "CIRCLE": ["150 0 0.01", "150 0 0.02"]}
    page = client.get("/sync", query_string=asked)
    assert page.status_code == 400
    assert 'href="/help#MultiValuedParamNotSupported"' in page.text


def test_limits_are_those_of_the_settings(client: FlaskClient) -> None:
    assert "30\u202f000" in client.get("/help").text


def test_a_closed_service_tells_strangers_of_no_survey(tmp_path: Path) -> None:
    app = make_service(tmp_path, {"FOUNTAIN_ACCOUNTS__ANONYMOUS": "false"})
    page = browser_of(app).get("/help")
    assert page.status_code == 200
    assert "Recipes of the surveys" not in page.text
    ada = somebody(app, "ada")
    assert "Recipes of the surveys" in app.test_client().get("/help", headers=ada.headers).text


def test_all_that_is_wrong_is_told_on_the_page_of_an_error(client: FlaskClient) -> None:
    page = client.get("/cutout?ra=150&size=<script>")
    assert page.status_code == 400
    assert page.text.count('class="box error"') > 1
    assert "<script>" not in page.text.replace('<script type="', "")
    gone = client.get("/nothing/<b>")
    assert "<title>There is nothing here" in gone.text
    assert "<b>" not in gone.text
