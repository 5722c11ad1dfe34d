"""Of alerts that single rules close nothing is told: neither who they are, nor how many, where or when."""

from __future__ import annotations

import pytest
from flask import Flask

from config.app import create_app
from tests.support.accounts import somebody
from tests.support.alert_service import EXAMPLES, LARGER
from tests.support.alerts import MadeAlert, write_lake
from tests.support.service import did, index_all, settings_of

ALERTS = [MadeAlert(number) for number in range(10)]
#: The first and the last one of an object, and each of another.
CLOSED = [ALERTS[number] for number in (0, 4, 5, 6, 7, 8, 9)]
OPEN = [alert for alert in ALERTS if alert not in CLOSED]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    folder = tmp_path_factory.mktemp("closed")
    write_lake(folder / "lake", len(ALERTS), 2)
    said = (EXAMPLES / "ztf-alerts.toml").read_text(encoding="utf-8")
    said = said.replace('root = "ztf-alerts"', f'root = "{folder}/lake"') + "\n[access]\npublic = true\n"
    for alert in CLOSED:
        said += f'[[access.datasets]]\nmatch = "alert/{alert.candid}"\ngroups = ["members"]\n'
    (folder / "declarations").mkdir()
    (folder / "declarations" / "lake.toml").write_text(said, encoding="utf-8")
    settings = settings_of(folder, LARGER)
    index_all(settings)
    return create_app(settings)


def traces(alert: MadeAlert) -> tuple[str, ...]:
    """What an answer that tells of an alert has in it."""
    return str(alert.candid), f'"{alert.jd - 2400000.5}"', f"{alert.dec_deg:.7f}"


def test_links_of_an_object_tell_of_the_open_alerts_alone(app: Flask) -> None:
    asked = {"ID": did(f"lake/object/{ALERTS[0].object_id}")}
    told = app.test_client().get("/links", query_string=asked).text
    assert f"by time: {len(OPEN)} alerts of {ALERTS[0].object_id}" in told
    assert all(str(alert.candid) in told for alert in OPEN)
    assert f'<MIN value="{OPEN[0].jd - 2400000.5}"/>' in told
    assert f'<MAX value="{OPEN[-1].jd - 2400000.5}"/>' in told
    assert [trace for alert in CLOSED for trace in traces(alert) if trace in told] == []
    headers = somebody(app, "member", groups=("members",)).headers
    told = app.test_client().get("/links", query_string=asked, headers=headers).text
    assert f"by time: 5 alerts of {ALERTS[0].object_id}" in told
    assert all(str(alert.candid) in told for alert in ALERTS[:5])


def test_links_of_an_object_whose_alerts_are_all_closed_tell_of_none(app: Flask) -> None:
    asked = {"ID": did(f"lake/object/{ALERTS[5].object_id}")}
    told = app.test_client().get("/links", query_string=asked).text
    assert "DefaultFault: lake has alerts among these that are not open to you." in told
    assert [trace for alert in CLOSED for trace in traces(alert) if trace in told] == []
    assert "<MAX" not in told


@pytest.mark.parametrize("path", ["/sync", "/preview"])
def test_what_holds_a_closed_alert_is_refused(app: Flask, path: str) -> None:
    client = app.test_client()
    for dataset in (
        f"lake/object/{ALERTS[0].object_id}",
        f"lake/object/{ALERTS[5].object_id}/Science",
        f"LAKE/Alert/{CLOSED[0].candid}",
        f"lake/alert/0{CLOSED[0].candid}"[:30],
        f"lake/alert/{CLOSED[0].candid}/science",
    ):
        answer = client.get(path, query_string={"ID": did(dataset)})
        assert answer.status_code in (401, 404), dataset
    assert client.get(path, query_string={"ID": did(f"lake/alert/{OPEN[0].candid}")}).status_code == 200


def test_the_brokers_call_and_searches_pass_them_over(app: Flask) -> None:
    client = app.test_client()
    for asked in ({"objectId": ALERTS[0].object_id}, {"objectId": ALERTS[5].object_id}):
        answer = client.get("/api/v1/cutouts", query_string={**asked, "kind": "All"})
        assert answer.status_code in (400, 404)
        assert [alert.candid for alert in CLOSED if str(alert.candid) in answer.text] == []
    (path,) = {f"part-{0:05d}.snappy.parquet"}
    asked = {"objectId": ALERTS[0].object_id, "hdfsPath": path, "kind": "Science", "return_type": "FITS"}
    latest = client.get("/api/v1/cutouts", query_string=asked)
    by_sync = client.get("/sync", query_string={"ID": did(f"lake/alert/{OPEN[-1].candid}/Science")})
    assert latest.data == by_sync.data
    found = client.get("/query", query_string={"COLLECTION": "lake", "TARGET": ALERTS[0].object_id}).text
    assert [alert.candid for alert in CLOSED if str(alert.candid) in found] == []
