"""Quotas and rates over HTTP: who is refused, in which words, and what is counted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, select
from werkzeug.test import TestResponse

from accounts.quota.buckets import Buckets
from accounts.tables import ExecutionRow
from config.app import assemble
from config.database import make_engine
from config.logs import RequestLog
from config.metering import Metering
from config.quotas import make_quotas
from config.settings import SettingsError
from dali.parameters import Parameters
from tests.support.accounts import Somebody, somebody
from tests.support.redis import own_redis
from tests.support.service import did, environ_of, make_service, settings_of
from tests.support.soda_jobs import jobbing, until

SMALL = {"ID": did("tiny/g/a"), "CIRCLE": "150 0 0.0027"}
LIMITS = {
    "FOUNTAIN_QUOTAS__CUTOUTS": "user=5,user:local:one=1",
    "FOUNTAIN_QUOTAS__RATE": "anonymous=6,user=12",
    "FOUNTAIN_QUOTAS__ROWS": "user=2",
    "FOUNTAIN_QUOTAS__JOBS": "user=1",
    "FOUNTAIN_QUOTAS__BURST_S": "40",
    "FOUNTAIN_SERVER__TRUSTED_PROXIES": "10.0.0.0/8",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def app(folder: Path) -> Flask:
    return make_service(folder, LIMITS)


@pytest.fixture
def engine(app: Flask, folder: Path) -> Iterator[Engine]:
    made = make_engine(settings_of(folder, LIMITS).data.engine_url)
    yield made
    made.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def get(client: FlaskClient, who: Somebody | None = None, path: str = "/sync", **more: Any) -> TestResponse:
    headers = {**(who.headers if who else {}), **more.pop("headers", {})}
    answer = client.get(path, query_string=more.pop("query", SMALL), headers=headers, **more)
    answer.get_data()
    answer.close()  # counted by now
    return answer


def from_address(client: FlaskClient, address: str, forwarded: str = "", path: str = "/sync") -> int:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    return get(client, path=path, headers=headers, environ_overrides={"REMOTE_ADDR": address}).status_code


def quota_of(client: FlaskClient, who: Somebody | None = None) -> dict[str, Any]:
    told: dict[str, Any] = client.get("/quota", headers=who.headers if who else {}).get_json()
    return told


def kind_of(told: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in told["quotas"] if one["kind"] == kind)
    return found


def test_too_many_requests_of_one_address_wait(client: FlaskClient) -> None:
    codes = [from_address(client, "192.0.2.1") for _ in range(6)]
    assert codes == [200] * 4 + [429] * 2
    assert from_address(client, "192.0.2.2") == 200
    refused = get(client, environ_overrides={"REMOTE_ADDR": "192.0.2.1"})
    assert 1 <= int(refused.headers["Retry-After"]) <= 10
    assert refused.text.startswith("Error: your address may send 6 requests a minute; these are more.\nGo on")
    assert refused.headers["Access-Control-Allow-Origin"] == "*"
    assert refused.headers["X-Content-Type-Options"] == "nosniff"
    # Whoever says that it is another one is not believed, nor is another spelling of the path another one.
    assert from_address(client, "192.0.2.1", "198.51.100.7") == 429
    assert from_address(client, "192.0.2.1", path="/sync/") == 429
    assert from_address(client, "192.0.2.1", path="/cutout") == 429


def test_logins_are_metered(client: FlaskClient) -> None:
    """Each that begins is kept for a while."""
    codes = [from_address(client, "192.0.2.77", path="/login/none") for _ in range(6)]
    assert codes == [404] * 4 + [429] * 2
    assert from_address(client, "192.0.2.77", path="/login") == 200


@pytest.mark.parametrize("path", ["/explore", "/surveys", "/position"])
def test_what_plans_or_searches_for_pages_is_metered(client: FlaskClient, path: str) -> None:
    for _ in range(4):
        from_address(client, f"203.0.113.{len(path)}")
    assert from_address(client, f"203.0.113.{len(path)}", path=path) == 429


def test_what_is_not_metered_goes_on(client: FlaskClient) -> None:
    for _ in range(5):
        from_address(client, "192.0.2.9")
    there = {"REMOTE_ADDR": "192.0.2.9"}
    for path in ("/async/none/phase", "/async", "/async/none?WAIT=1", "/availability", "/quota"):
        assert client.get(path, environ_overrides=there).status_code in (200, 404)
    assert client.options("/sync", environ_overrides=there).status_code == 204
    assert client.post("/async", environ_overrides=there).status_code == 429
    assert client.post("/async/none/phase", environ_overrides=there).status_code == 404


def test_proxies_that_are_trusted_say_who_asks(client: FlaskClient) -> None:
    codes = [from_address(client, "10.0.0.1", f"198.51.100.1, 203.0.113.{n}") for n in range(6)]
    assert codes == [200] * 6
    # The first in the list was written by the client; another proxy of ours stands behind it.
    codes = [from_address(client, "10.0.0.1", f"192.0.2.{n}, 203.0.113.200, 10.0.0.2") for n in range(6)]
    assert codes == [200] * 4 + [429] * 2


def test_an_address_of_ipv6_is_that_of_its_network(client: FlaskClient) -> None:
    codes = [from_address(client, f"2001:db8:0:1::{n}") for n in range(6)]
    assert codes == [200] * 4 + [429] * 2
    assert from_address(client, "2001:db8:0:2::1") == 200


def test_programs_of_this_machine_have_no_rate(client: FlaskClient) -> None:
    assert {get(client).status_code for _ in range(10)} == {200}


def test_an_account_has_its_own_rate_wherever_it_is(app: Flask, client: FlaskClient) -> None:
    ada = somebody(app, "ada-rates")
    codes = [
        get(client, ada, path="/links", query={"ID": did("tiny/g/a")}).status_code
        for address in ("127.0.0.1", "192.0.2.77") * 5
    ]
    assert codes == [200] * 8 + [429] * 2


def test_a_cutout_costs_as_much_as_it_reads(tmp_path: Path) -> None:
    environ = {"FOUNTAIN_QUOTAS__RATE": "anonymous=1", "FOUNTAIN_QUOTAS__BURST_S": "600"}
    settings = settings_of(tmp_path, environ)
    app = make_service(tmp_path, environ)
    quotas = make_quotas(settings, make_engine(settings.data.engine_url))
    metering = Metering(app.wsgi_app, quotas, Buckets(), pixels=2500)
    app.wsgi_app = RequestLog(metering, metering.answered)  # type: ignore[method-assign]
    client = app.test_client()
    whole = {"ID": did("tiny/g/a"), "CENTER": "150 0", "SIZE": "100px"}
    codes = [get(client, query=whole).status_code for _ in range(4)]
    # Each costs five, and ten may be sent at once.
    assert codes == [200, 200, 429, 429]
    quotas.meter.close()


def test_cutouts_are_counted_once_whichever_way_they_are_answered(
    app: Flask, client: FlaskClient, engine: Engine
) -> None:
    ada = somebody(app, "ada-counts")
    assert get(client, ada).status_code == 200  # without Flask
    assert get(client, ada, headers={"Origin": "https://example.org"}).status_code == 200  # by Flask
    etag = get(client, ada).headers["ETag"]
    assert get(client, ada, headers={"If-None-Match": etag}).status_code == 304
    assert client.head("/sync", query_string=SMALL, headers=ada.headers).status_code == 200
    assert get(client, ada, query=SMALL | {"CIRCLE": "10 10 0.1"}).status_code == 204
    assert get(client, ada, query=SMALL | {"CIRCLE": "x"}).status_code == 400
    told = quota_of(client, ada)
    assert kind_of(told, "cutouts") | {"resets": ""} == {
        "subject": f"user:{ada.name}",
        "kind": "cutouts",
        "used": 3,
        "reserved": 0,
        "limit": 5,
        "left": 2,
        "resets": "",
    }
    assert 0 < kind_of(told, "cpu_s")["used"] < 30
    with engine.connect() as connection:
        records = (
            connection.execute(
                select(*ExecutionRow.__table__.columns).where(ExecutionRow.account == ada.name)
            )
            .mappings()
            .all()
        )
    assert sum(record["cutouts"] for record in records) == sum(record["images"] for record in records) == 3
    assert {(record["how"], record["survey"]) for record in records} == {("sync", "tiny")}
    assert sum(record["bytes"] for record in records) > 3 * 2880


def test_threads_that_put_a_mosaic_together_count_as_work(app: Flask, folder: Path) -> None:
    parts = assemble(settings_of(folder, LIMITS))
    turns = []
    for dataset, circle in (("tiny/g/a", "150 0 0.0027"), ("tiny/g", "150.025 0 0.01")):
        asked = parts.sync.ask(Parameters.from_pairs([("ID", did(dataset)), ("CIRCLE", circle)]))
        sent = parts.sync.cut(asked)
        assert sum(map(len, sent.chunks or ())) == sent.size
        turns.append(sent.turns.seconds)
    parts.engine.dispose()
    # The small one has taken no turn.
    assert turns[0] == 0 < turns[1]


def test_who_has_had_a_days_cutouts_is_told_when_there_are_more(app: Flask, client: FlaskClient) -> None:
    one = somebody(app, "one")
    assert get(client, one).status_code == 200
    quota_of(client, one)
    refused = get(client, one)
    assert refused.status_code == 403
    first, second, *_ = refused.text.splitlines()
    assert first == ("AuthorizationError: your quota of cutouts a day does not suffice: 1 of 1 used.")
    reset = kind_of(quota_of(client, one), "cutouts")["resets"]
    assert second == f"It begins anew at {reset}. /quota tells how it stands."
    assert get(client, one, path="/links", query={"ID": did("tiny/g/a")}).status_code == 200


def test_a_job_over_a_quota_is_not_made(app: Flask, client: FlaskClient) -> None:
    ada = somebody(app, "ada-jobs")
    asked = {**SMALL, "PHASE": "RUN"}
    too_many = {**asked, "ID": [did(f"tiny/{band}/{tile}") for band in "gr" for tile in "ab"]}
    refused = client.post("/async", data=too_many, headers=ada.headers)
    assert refused.status_code == 403
    assert "asks for 4 cutouts; one job of yours has at most 2" in refused.text
    made = client.post("/async", data=asked, headers=ada.headers)
    assert made.status_code == 303
    again = client.post("/async", data=asked, headers=ada.headers)
    assert again.status_code == 403
    assert "0 of 1 used, 1 reserved by jobs, 1 needed" in again.text
    assert client.get("/async", headers=ada.headers).text.count("<uws:jobref") == 1
    told = quota_of(client, ada)
    assert kind_of(told, "jobs")["reserved"] == 1
    url = made.headers["Location"].removeprefix("http://localhost")
    assert client.post(f"{url}/phase", data={"PHASE": "ABORT"}, headers=ada.headers).status_code == 303
    assert client.post("/async", data=asked, headers=ada.headers).status_code == 303


def test_an_estimate_tells_what_would_be_left(app: Flask, client: FlaskClient) -> None:
    ada = somebody(app, "ada-estimates")
    told = client.get("/estimate", query_string=SMALL, headers=ada.headers).get_json()
    cutouts = next(one for one in told["quota"] if one["kind"] == "cutouts")
    assert cutouts == {
        "subject": f"user:{ada.name}",
        "kind": "cutouts",
        "limit": 5,
        "needed": 1,
        "left": 5,
        "left_after": 4,
    }
    assert told["refused"] is None
    client.post("/async", data={**SMALL, "PHASE": "RUN"}, headers=ada.headers)
    told = client.get("/estimate", query_string=SMALL, headers=ada.headers).get_json()
    assert "quota of active jobs" in told["refused"]["sentence"]
    assert told["async"] is None
    assert next(one for one in told["quota"] if one["kind"] == "cutouts")["left_after"] == 3


def test_quotas_are_told_as_text_too(app: Flask, client: FlaskClient) -> None:
    ada = somebody(app, "ada-text")
    answer = client.get("/quota", headers={**ada.headers, "Accept": "text/plain"})
    assert answer.content_type == "text/plain; charset=utf-8"
    lines = answer.text.splitlines()
    assert lines[0] == f"Quotas of {ada.name} (class user)"
    assert lines[1].startswith("your cutouts a day: 0 used of 5; anew at ")
    assert lines[-2:] == ["rows of one job: 2", "requests a minute: 12"]
    told = quota_of(client, ada)
    assert told["rate"] == {"limit": 12, "seconds": 60, "at_once": 8}
    assert told["rows_of_a_job"] == {"limit": 2}
    everybody = quota_of(client)
    assert (everybody["account"], everybody["class"]) == ("", "anonymous")
    assert {one["subject"] for one in everybody["quotas"]} == {"role:anonymous"}


@pytest.mark.deployment
def test_a_cutout_that_a_worker_makes_is_counted_with_its_job(tmp_path: Path) -> None:
    environ = {"FOUNTAIN_SYNC__INLINE_PIXELS": "100", "FOUNTAIN_QUOTAS__CUTOUTS": "user=1"}
    with own_redis() as redis, jobbing(tmp_path, redis.url, environ) as service:
        ada, client = somebody(service.app, "ada"), service.app.test_client()
        assert get(client, ada).status_code == 200
        told = quota_of(client, ada)
        assert (kind_of(told, "cutouts")["used"], kind_of(told, "cutouts")["reserved"]) == (1, 0)
        assert (kind_of(told, "bytes")["used"], kind_of(told, "jobs")["reserved"]) == (0, 0)
        with service.parts.engine.connect() as connection:
            (record,) = connection.execute(select(*ExecutionRow.__table__.columns)).mappings()
        facts = {name: record[name] for name in ("account", "how", "survey", "job_id", "cutouts", "images")}
        assert facts == {
            "account": ada.name,
            "how": "sync",
            "survey": "tiny",
            "job_id": "",
            "cutouts": 1,
            "images": 1,
        }
        assert record["seconds"] > 0
        refused = get(client, ada)
        assert refused.status_code == 403
        assert "1 of 1 used" in refused.text
        # Jobs are asked for in the same words; the reconciler settles what nobody asks for.
        eve = somebody(service.app, "eve")
        made = client.post("/async", data={**SMALL, "PHASE": "RUN"}, headers=eve.headers)
        assert made.status_code == 303
        url = made.headers["Location"].removeprefix("http://localhost")
        until(lambda: client.get(f"{url}/phase", headers=eve.headers).text == "COMPLETED", service.told)
        ended = subprocess.run(
            [sys.executable, "-c", "from config.cli import main; main()", "reconcile", "--once"],
            env={**os.environ, **environ_of(tmp_path, service.environ)},
            timeout=100,
            check=False,
        )
        assert ended.returncode == 0
        with service.parts.engine.connect() as connection:
            records = connection.execute(select(ExecutionRow.account, ExecutionRow.how)).all()
        assert {tuple(one) for one in records} == {(ada.name, "sync"), (eve.name, "async")}
        assert kind_of(quota_of(client, eve), "bytes")["used"] > 2880


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cutouts", "everybody=5"),
        ("cutouts", "user"),
        ("bytes", "user=-1"),
        ("jobs", "user=1.5"),
        ("rate", "group:=5"),
        ("cpu_s", "user=nan"),
        ("rows", "user=inf"),
        ("unmetered", "localhost"),
        ("burst_s", "-1"),
    ],
)
def test_wrong_limits_are_named(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"quotas.{key} must be "):
        settings_of(tmp_path, {f"FOUNTAIN_QUOTAS__{key.upper()}": value})
