"""Jobs of alerts and objects: the bytes of sync, in whatever formats, and what they would come to."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from flask import Flask
from flask.testing import FlaskClient

from config.app import assemble
from dali.caller import Caller
from dali.errors import AuthorizationError, NotFound
from dali.parameters import Parameters
from soda.jobtype import SodaJobs
from tests.soda.alerts.test_broken_lakes import service_of
from tests.soda.test_jobtype import JobLimits, Limits, content, plan, run
from tests.support.alert_service import RealAlert
from tests.support.alerts import MadeAlert, alerts_table, write_lake
from tests.support.service import did, settings_of
from uws.job import RowStatus

Alerts = dict[str, list[RealAlert]]
LIMITS = JobLimits(Limits(3_000_000, 1 << 26), max_rows=24, high_rows=4, high_pixels=200_000)


@pytest.fixture
def kind(app: Flask, folder: Path) -> Iterator[SodaJobs]:
    parts = assemble(settings_of(folder, {"FOUNTAIN_SYNC__MAX_PIXELS": "3000000"}))
    yield SodaJobs(parts.soda, LIMITS)
    parts.engine.dispose()


def of_sync(client: FlaskClient, **asked: str) -> bytes:
    return client.get("/sync", query_string=asked).data


@pytest.mark.parametrize("form", ["fits", "json", "png", "webp"])
def test_each_id_is_a_row_with_the_bytes_of_sync(
    client: FlaskClient, kind: SodaJobs, alerts: Alerts, form: str
) -> None:
    ztf, rubin = alerts["ztf-alerts"], alerts["rubin-alerts"][0]
    name = Counter(alert.object_id for alert in ztf).most_common(1)[0][0]
    datasets = [f"ztf-alerts/object/{name}"]
    if form != "webp":
        datasets += [f"{ztf[0].dataset}/Science", rubin.dataset]
    made = plan(kind, *(("ID", did(dataset)) for dataset in datasets), ("RESPONSEFORMAT", form))
    assert made.lane == "high"
    outcomes = run(kind, made)
    assert len(outcomes) == len(datasets)
    for dataset, outcome in zip(datasets, outcomes, strict=True):
        assert content(outcome) == of_sync(client, ID=did(dataset), RESPONSEFORMAT=form)
        (file,) = outcome.files
        assert (
            file.media_type
            == client.get("/sync", query_string={"ID": did(dataset), "RESPONSEFORMAT": form}).content_type
        )
    of_object = {alert.dataset for alert in ztf if alert.object_id == name}
    assert set(outcomes[0].facts["source_datasets"].split()) == of_object


def test_filters_may_leave_a_row_empty(kind: SodaJobs, alerts: Alerts) -> None:
    dataset = alerts["ztf-alerts"][0].dataset
    (empty,) = run(kind, plan(kind, ("ID", did(dataset)), ("TIME", "0 1")))
    assert empty.status is RowStatus.EMPTY


def test_what_there_is_not_and_what_is_closed_make_no_job(kind: SodaJobs, alerts: Alerts) -> None:
    with pytest.raises(NotFound):
        plan(kind, ("ID", did("ztf-alerts/alert/1")))
    with pytest.raises(AuthorizationError):
        plan(kind, ("ID", did(f"closed-alerts/alert/{alerts['open-alerts'][0].candid}")))


def test_rights_are_looked_at_when_a_row_is_made(kind: SodaJobs, alerts: Alerts) -> None:
    asked = Parameters.from_pairs([("ID", did(f"closed-alerts/alert/{alerts['open-alerts'][0].candid}"))])
    member = Caller("local:member", groups=frozenset(("members",)))
    made = kind.plan(kind.parse(asked, member))
    assert made.sources == (f"closed-alerts/alert/{alerts['open-alerts'][0].candid}",)
    (outcome,) = run(kind, made)  # for somebody of whom nothing is known
    assert outcome.status is RowStatus.FAILED
    assert outcome.message.startswith("AuthorizationError")


def test_a_file_that_is_replaced_before_its_job_runs_is_read_as_it_is(tmp_path: Path) -> None:
    (path,) = write_lake(tmp_path / "lake", 3)
    app = service_of(tmp_path, tmp_path / "lake")
    parts = assemble(settings_of(tmp_path))
    kind = SodaJobs(parts.soda, LIMITS)
    made = plan(kind, *(("ID", did(f"lake/alert/{MadeAlert(n).candid}/Science")) for n in (0, 1)))
    other = tmp_path / "other.parquet"
    pq.write_table(alerts_table([MadeAlert(5), MadeAlert(0)]), other)
    shutil.move(other, path)
    found, gone = run(kind, made)
    assert content(found) == of_sync(app.test_client(), ID=did(f"lake/alert/{MadeAlert(0).candid}/Science"))
    assert gone.status is RowStatus.FAILED
    assert "there is no alert" in gone.message
    parts.engine.dispose()


def test_what_it_would_come_to_is_told(client: FlaskClient, alerts: Alerts) -> None:
    name, count = Counter(alert.object_id for alert in alerts["ztf-alerts"]).most_common(1)[0]
    asked = {"ID": did(f"ztf-alerts/object/{name}")}
    told = client.get("/estimate", query_string=asked).json
    assert told["rows"] == {"total": 1, "ok": 1, "warned": 0, "rejected": 0}
    assert told["images"] == count
    size = len(of_sync(client, **asked))
    assert 0.5 * size < told["bytes"] < 2 * size  # their true sizes stand in their files alone
    assert 0 < told["seconds"]["p50"] < 1
    assert client.get(told["sync"]).status_code == 200


def test_a_region_without_a_pixel_of_the_stamp_is_a_row_without_data(kind: SodaJobs, alerts: Alerts) -> None:
    alert = alerts["rubin-alerts"][0]
    region = f"{alert.ra_deg} {-alert.dec_deg} 0.0003"
    (outcome,) = run(kind, plan(kind, ("ID", did(f"{alert.dataset}/Science")), ("CIRCLE", region)))
    assert (outcome.status, outcome.files) == (RowStatus.EMPTY, ())
    assert "no overlap: no pixel of the data is selected by" in outcome.message
