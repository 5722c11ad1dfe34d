"""Files that are replaced under the index, and alerts that are broken: the service tells, and goes on."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config.app import create_app, declared_surveys
from config.database import make_engine
from surveys.index.lock import index_lock
from tests.support.alert_service import EXAMPLES, LARGER
from tests.support.alerts import KINDS, MadeAlert, alerts_table, write_lake
from tests.support.service import did, index_all, settings_of
from tests.surveys.alerts.shop import packed, write_alerts


def service_of(folder: Path, lake: Path, more: str = "") -> Flask:
    """Make a service of one lake as ZTF's, called `lake`, of which `more` is declared."""
    (folder / "declarations").mkdir()
    said = (EXAMPLES / "ztf-alerts.toml").read_text(encoding="utf-8")
    said = said.replace('root = "ztf-alerts"', f'root = "{lake}"')
    (folder / "declarations" / "lake.toml").write_text(more + said, encoding="utf-8")
    settings = settings_of(folder, LARGER)
    index_all(settings)
    return create_app(settings)


def get(client: FlaskClient, dataset: str, **more: str) -> TestResponse:
    return client.get("/sync", query_string={"ID": did(f"lake/{dataset}"), **more})


def test_a_file_that_is_replaced_is_indexed_again_on_the_spot(tmp_path: Path) -> None:
    (path,) = write_lake(tmp_path / "lake", 3)
    app = service_of(tmp_path, tmp_path / "lake")
    client = app.test_client()
    old, new = MadeAlert(0), MadeAlert(7)
    before = get(client, f"alert/{old.candid}/Science")
    assert before.data == gzip.decompress(old.stamp("Science"))
    # The same alert in another row, behind others, one of them gone.
    other = tmp_path / "other.parquet"
    pq.write_table(alerts_table([new, MadeAlert(1), old]), other)
    shutil.move(other, path)
    after = get(client, f"alert/{old.candid}/Science")
    assert after.status_code == 200, after.text
    assert after.data == before.data
    assert after.headers["ETag"] != before.headers["ETag"]
    assert get(client, f"alert/{new.candid}/Template").data == gzip.decompress(new.stamp("Template"))
    assert get(client, f"alert/{MadeAlert(2).candid}/Science").status_code == 404


def test_an_alert_that_its_file_has_no_longer_is_gone(tmp_path: Path) -> None:
    (path,) = write_lake(tmp_path / "lake", 2)
    client = service_of(tmp_path, tmp_path / "lake").test_client()
    pq.write_table(alerts_table([MadeAlert(5)]), path)
    for dataset in (f"alert/{MadeAlert(0).candid}", f"object/{MadeAlert(0).object_id}"):
        assert get(client, dataset).status_code == 404


def test_a_file_that_cannot_be_indexed_now_is_to_be_asked_for_later(tmp_path: Path) -> None:
    (path,) = write_lake(tmp_path / "lake", 2)
    app = service_of(tmp_path, tmp_path / "lake")
    client = app.test_client()
    pq.write_table(alerts_table([MadeAlert(0)]), path)
    settings = settings_of(tmp_path)
    (survey,) = (one for one in declared_surveys(settings) if one.name == "lake")
    engine = make_engine(settings.data.engine_url)
    with index_lock(engine, survey.name):
        answer = get(client, f"alert/{MadeAlert(0).candid}/Science")
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert "indexed again" in answer.text
        assert str(tmp_path) not in answer.text
    engine.dispose()
    assert get(client, f"alert/{MadeAlert(0).candid}/Science").status_code == 200


def test_alerts_of_a_file_that_is_being_written_are_to_be_asked_for_later(tmp_path: Path) -> None:
    (path,) = write_lake(tmp_path / "lake", 2)
    client = service_of(tmp_path, tmp_path / "lake").test_client()
    whole = path.read_bytes()
    for written in (0, 4, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:written])
        assert get(client, f"alert/{MadeAlert(0).candid}/Science").status_code == 503
    path.write_bytes(whole)
    for number in (0, 1):
        answer = get(client, f"alert/{MadeAlert(number).candid}/Science")
        assert answer.data == gzip.decompress(MadeAlert(number).stamp("Science"))


def test_a_file_that_is_gone_breaks_its_alerts_alone(tmp_path: Path) -> None:
    first, second = write_lake(tmp_path / "lake", 4, files=2)
    client = service_of(tmp_path, tmp_path / "lake").test_client()
    first.unlink()
    answer = get(client, f"alert/{MadeAlert(0).candid}/Science")
    assert answer.status_code == 500
    assert f"the alert lake/alert/{MadeAlert(0).candid} cannot be read" in answer.text
    assert str(tmp_path) not in answer.text
    assert get(client, f"alert/{MadeAlert(2).candid}/Science").status_code == 200
    assert second.is_file()


def of_pixels(pixels: int) -> bytes:
    """Make a stamp that inflates to more than so many bytes, and takes few itself."""
    return packed(np.zeros((2048, pixels // 2048), np.float32))


BROKEN = {
    "no gzip": (b"\x1f\x8bnonsense", "gzip"),
    "no FITS": (gzip.compress(b"nothing of the kind" * 100), "FITS"),
    "empty": (b"", ""),
    "cut short": (packed(np.ones((63, 63), np.float32))[:-100], "cut short"),
    "too large": (of_pixels(5 << 20), "16"),
    "null": (None, "is not there"),
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """Service of an alert of each fault, and of a good one, the last."""
    folder = tmp_path_factory.mktemp("broken")
    good = packed(np.ones((63, 63), np.float32))
    stamps = [{kind: value if kind == "Science" else good for kind in KINDS} for value, _ in BROKEN.values()]
    objects = [f"ZTF18{name.replace(' ', '')}" for name in BROKEN]
    write_alerts(folder / "lake", [*stamps, dict.fromkeys(KINDS, good)], [*objects, "ZTF18good"])
    return service_of(folder, folder / "lake")


@pytest.mark.parametrize(("number", "name"), list(enumerate(BROKEN, start=1)))
def test_a_broken_stamp_fails_with_its_reason_and_nothing_else_does(
    broken: Flask, number: int, name: str
) -> None:
    client = broken.test_client()
    answer = get(client, f"alert/{number}/Science")
    assert answer.status_code == 500
    assert f"lake/alert/{number}" in answer.text
    assert BROKEN[name][1] in answer.text
    assert "Traceback" not in answer.text
    assert "parquet" not in answer.text
    assert get(client, f"alert/{number}/Template").status_code == 200
    assert get(client, f"alert/{len(BROKEN) + 1}/Science").status_code == 200


def test_the_brokers_call_says_the_same_in_json(broken: Flask) -> None:
    asked = {"candid": 1, "kind": "Science"}
    answer = broken.test_client().get("/api/v1/cutouts", query_string=asked)
    assert (answer.status_code, answer.content_type) == (500, "application/json")
    assert "lake/alert/1 is damaged" in answer.json["faults"][0]["message"]


def test_not_a_number_is_null_in_arrays(tmp_path: Path) -> None:
    pixels = np.arange(9, dtype=np.float32).reshape(3, 3)
    pixels[1, 1], pixels[2, 2] = np.nan, np.inf
    write_alerts(tmp_path / "lake", [dict.fromkeys(KINDS, packed(pixels))])
    client = service_of(tmp_path, tmp_path / "lake").test_client()
    (array,) = json.loads(
        client.get("/api/v1/cutouts", query_string={"candid": "1", "kind": "Science"}).data,
        parse_constant=lambda word: pytest.fail(word),
    )
    assert array == [[0.0, 1.0, 2.0], [3.0, None, 5.0], [6.0, 7.0, None]]
