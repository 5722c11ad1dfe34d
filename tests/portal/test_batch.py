"""The page of many targets: what it offers, and what its form makes without a script."""

from __future__ import annotations

import io
import json
import re
from html import unescape
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from accounts.people import LOCAL, Identity
from tests.portal.conftest import browser_of, serve
from tests.support.accounts import MAKER, parts_of, sign_in
from tests.support.service import did, make_service

TABLE = "id,ra,dec\r\nin,150,0\r\n<b>out</b>,10,10\r\n"


@pytest.fixture(scope="module")
def open_app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return make_service(tmp_path_factory.mktemp("batch"))


@pytest.fixture
def browser(open_app: Flask) -> FlaskClient:
    return browser_of(open_app)


def fields(page: str) -> list[tuple[str, str]]:
    """What the form sends as it is shown, but for its table."""
    form = page[page.index('<form id="batch"') : page.index("</form>", page.index('<form id="batch"'))]
    found = []
    for tag in re.findall(r"<input [^>]*>", form):
        is_sent = 'type="checkbox"' not in tag or " checked" in tag
        name = re.search(r'\bname="([^"]*)"', tag)
        value = re.search(r'\bvalue="([^"]*)"', tag)
        if is_sent and name and 'type="file"' not in tag:
            found.append((name[1], unescape(value[1]) if value else ""))
    found += [(name, "") for name in re.findall(r'<select [^>]*name="([^"]*)"', form)]
    return found


def send(browser: FlaskClient, rows: str = "", file: bytes = b"", name: str = "") -> str:
    """Send the form as a browser does; give the path of the job."""
    page = browser.get("/batch")
    assert page.status_code == 200
    data: dict[str, list[object]] = {}
    for field, value in fields(page.text):
        data.setdefault(field, []).append(value)
    data["t"] = [(io.BytesIO(file), name), rows]
    answer = browser.post("/async", data=data, content_type="multipart/form-data")
    assert answer.status_code == 303, answer.text
    return str(answer.headers["Location"]).partition("localhost")[2]


def parameters(browser: FlaskClient, job: str) -> dict[str, list[str]]:
    told = browser.get(job, headers={"Accept": "application/json", "Sec-Fetch-Mode": "cors"}).get_json()
    found: dict[str, list[str]] = {}
    for one in told["parameters"]:
        found.setdefault(one["name"], []).append(one["value"])
    return found


def test_rows_that_are_typed_become_a_job(browser: FlaskClient) -> None:
    job = send(browser, rows=TABLE)
    kept = parameters(browser, job)
    assert {name: kept[name] for name in ("ID", "SIZE", "RESPONSEFORMAT", "UPLOAD")} == {
        "ID": [value for name, value in fields(browser.get("/batch").text) if name == "ID"],
        "SIZE": ["30arcsec"],
        "RESPONSEFORMAT": ["fits"],
        "UPLOAD": ["targets,param:t"],
    }
    assert browser.get(f"{job}/parameters/t").data == TABLE.encode()
    assert browser.get(job).headers["Location"].endswith(job.replace("/async/", "/jobs/"))


def test_a_file_that_is_chosen_becomes_a_job(browser: FlaskClient) -> None:
    job = send(browser, file=TABLE.encode(), name="my list.csv")
    kept = browser.get(f"{job}/parameters/t")
    assert (kept.data, kept.headers["Content-Disposition"]) == (
        TABLE.encode(),
        'attachment; filename="my list.csv"',
    )


def test_a_form_without_targets_is_told_so(browser: FlaskClient) -> None:
    data = {"UPLOAD": "targets,param:t", "PHASE": "RUN", "t": [(io.BytesIO(b""), ""), ""]}
    answer = browser.post("/async", data=data, content_type="multipart/form-data")
    assert (answer.status_code, answer.mimetype) == (403, "text/html")
    assert "the file is empty" in answer.text


def test_the_page_offers_what_its_visitor_may_cut(browser: FlaskClient, open_app: Flask) -> None:
    page = browser.get("/batch").text
    known = json.loads(re.search(r'id="batch-known">(.*?)</script>', page)[1])  # type: ignore[index]
    offered = {survey["name"] for survey in known["surveys"]}
    assert "tiny" in offered
    assert "secret" not in offered
    assert known["isKnown"] is False
    assert {"ra", "dec", "id", "size", "survey"} <= set(known["columns"])
    assert 'value="' + did("tiny/g") in page
    assert 'name="NOTIFY"' not in page
    assert re.search(r'<a href="/batch" aria-current="page">Batch</a>', page)
    # It runs its own scripts, and asks this service alone.
    policy = browser.get("/batch").headers["Content-Security-Policy"]
    assert "connect-src 'self';" in policy
    assert "unsafe" not in policy


def test_mail_is_offered_to_who_can_have_some(tmp_path: Path) -> None:
    mail = {"FOUNTAIN_NOTICES__SMTP_URL": "smtp://127.0.0.1:25", "FOUNTAIN_NOTICES__SENDER": "a@example.org"}
    app = serve(tmp_path, **mail)
    browser, people = browser_of(app), parts_of(app).people
    assert 'name="NOTIFY"' not in browser.get("/batch").text
    for name, email in (("ada", "ada@example.org"), ("bob", "")):
        identity = Identity(LOCAL, name, email=email)
        people.add(identity, by=MAKER)
        sign_in(browser, app, identity.name)
        page = browser.get("/batch").text
        known = json.loads(re.search(r'id="batch-known">(.*?)</script>', page)[1])  # type: ignore[index]
        assert known["isKnown"] is True
        assert ('name="NOTIFY" value="mail"' in page) == bool(email)
