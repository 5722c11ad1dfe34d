"""Lists of alerts over HTTP, with a real worker: ledger, package, packs, and what is tried again."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import zarr
from astropy.io import fits
from astropy.io.votable import parse_single_table
from astropy.table import Table
from click.testing import CliRunner
from flask.testing import FlaskClient
from werkzeug.serving import make_server
from zarr.storage import ZipStore

from config.batch.command import batch
from surveys.index.ingest import index_survey
from tests.conftest import real_data_folder
from tests.soda.lists.jobs import Done, by_sync, done, run
from tests.soda.lists.lakes import BROKEN, EPOCHS, stored, write_alerts, write_lakes
from tests.support.alert_service import declare_alerts, real_alerts
from tests.support.alerts import KINDS, MadeAlert
from tests.support.redis import own_redis
from tests.support.service import did
from tests.support.soda_jobs import JobbingService, jobbing, until

NUMBERS = (31, 2, 58, 17)
ID = did("ztf/Science")


def alert(number: int) -> MadeAlert:
    return MadeAlert(number, EPOCHS)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobbingService]:
    folder, lakes = tmp_path_factory.mktemp("jobs"), tmp_path_factory.mktemp("lakes")
    write_lakes(lakes)
    if real_data_folder().is_dir():
        declare_alerts(lakes, real_data_folder())
    declared = f"{folder / 'declarations'},{lakes / 'declarations'}"
    with (
        own_redis() as redis,
        jobbing(folder, redis.url, {"FOUNTAIN_SURVEYS__DECLARATIONS": declared}) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def client(service: JobbingService) -> FlaskClient:
    return service.app.test_client()


@pytest.fixture(scope="module")
def some(client: FlaskClient) -> Done:
    """Stamps of some alerts, one of which is broken, and one unknown."""
    candids = [*(alert(n).candid for n in NUMBERS), BROKEN.candid, 12]
    return run(client, "candid\n" + "\n".join(map(str, candids)), ID=ID, SIZE=[])


def test_what_became_of_each_alert(some: Done, client: FlaskClient) -> None:
    rows = some.rows()
    assert some.phase == "COMPLETED"
    assert [row["status"] for row in rows] == ["ok"] * len(NUMBERS) + ["failed", "failed"]
    assert "gzip" in rows[-2]["error_message"]
    assert "ztf has no alert 12" in rows[-1]["error_message"]
    for number, row in enumerate(NUMBERS, start=1):
        told, made = rows[number - 1], alert(row)
        assert some.get(f"results/r{number}") == stored(row, "Science")
        assert some.get(f"results/r{number}") == by_sync(client, ID=did(f"ztf/alert/{made.candid}/Science"))
        assert (told["id"], told["band"]) == (str(made.candid), "gri"[made.fid - 1])
        assert (float(told["ra"]), float(told["dec"])) == pytest.approx((made.ra_deg, made.dec_deg), abs=1e-9)
        assert float(told["mjd"]) == pytest.approx(made.jd - 2400000.5, abs=1e-8)
        assert (told["s_ra"], told["path"]) == (told["ra"], f"fits/ztf/{told['band']}/{told['name']}")
    assert len({row["name"].lower() for row in rows if row["name"]}) == len(NUMBERS)


def test_manifest_and_package(some: Done) -> None:
    table = parse_single_table(io.BytesIO(some.get("results/result"))).to_table()
    assert str(table["obs_publisher_did"][0]) == did(f"ztf/alert/{alert(NUMBERS[0]).candid}/Science")
    with zipfile.ZipFile(io.BytesIO(some.get("results/archive"))) as archive:
        assert archive.testzip() is None
        files = [name for name in archive.namelist() if name.endswith(".fits")]
        assert sorted(map(archive.read, files)) == sorted(stored(number, "Science") for number in NUMBERS)
        (regions,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith(".reg"))
    assert str(alert(NUMBERS[0]).candid) in regions


def test_stamps_in_one_fits_file(some: Done) -> None:
    with fits.open(io.BytesIO(some.get("results/archive?PACK=mef"))) as hdus:
        hdus.verify("exception")
        rows = Table.read(hdus["ROWS"])
        assert list(rows["id"]) == [str(alert(number).candid) for number in NUMBERS]
        for number, row in zip(NUMBERS, rows, strict=True):
            np.testing.assert_array_equal(hdus[int(row["ext"])].data, alert(number).pixels("Science"))


def test_stamps_in_one_table(some: Done) -> None:
    with fits.open(io.BytesIO(some.get("results/archive?PACK=table"))) as hdus:
        hdus.verify("exception")
        rows = hdus["STAMPS"].data
        for number, row in zip(NUMBERS, rows, strict=True):
            np.testing.assert_array_equal(row["STAMP"], alert(number).pixels("Science"))
            assert row["ra"] == pytest.approx(alert(number).ra_deg, abs=1e-9)


def test_stamps_in_one_array(client: FlaskClient, tmp_path: Path) -> None:
    """One of each row and band, as of images: epochs of an object are rows of their own."""
    numbers = [n for n in NUMBERS if alert(n).fid == alert(NUMBERS[0]).fid]
    made = run(client, "candid\n" + "\n".join(str(alert(n).candid) for n in numbers), ID=ID, SIZE=[])
    path = tmp_path / "pack.zarr.zip"
    path.write_bytes(made.get("results/archive?PACK=zarr"))
    with ZipStore(path, mode="r") as store:
        group = zarr.open_group(store, mode="r", zarr_format=2)
        for index, number in enumerate(numbers):
            np.testing.assert_array_equal(group["image"][index, 0], alert(number).pixels("Science"))


@pytest.mark.parametrize("survey", ["ztf-alerts", "rubin-alerts"])
def test_packs_of_real_stamps(client: FlaskClient, real_data: Path, tmp_path: Path, survey: str) -> None:
    """Their cards are not all as they should be, and those of Rubin have two more HDUs."""
    alerts = real_alerts(real_data, survey)
    images = {}
    for one in alerts:
        with fits.open(io.BytesIO(one.fits("Science"))) as hdus:
            images[str(one.candid)] = np.array(hdus[0].data), len(hdus)
    first, shape = alerts[0], images[str(alerts[0].candid)][0].shape
    alike = [one for one in alerts if one.band == first.band and images[str(one.candid)][0].shape == shape][
        :5
    ]
    table = "candid\n" + "".join(f"{one.candid}\n" for one in alike)
    made = run(client, table, ID=did(f"{survey}/Science"), SIZE=[])
    with fits.open(io.BytesIO(made.get("results/archive?PACK=mef"))) as hdus:
        for row in Table.read(hdus["ROWS"]):
            np.testing.assert_array_equal(hdus[int(row["ext"])].data, images[row["id"]][0])
        assert len(hdus) == 2 + sum(images[str(one.candid)][1] for one in alike)
    with fits.open(io.BytesIO(made.get("results/archive?PACK=table"))) as hdus:
        for row in hdus["STAMPS"].data:
            np.testing.assert_array_equal(row["STAMP"], images[row["id"]][0])
    path = tmp_path / "pack.zarr.zip"
    path.write_bytes(made.get("results/archive?PACK=zarr"))
    with zipfile.ZipFile(path) as members:
        assert members.testzip() is None
    with ZipStore(path, mode="r") as store:
        group = zarr.open_group(store, mode="r", zarr_format=2)
        for index, one in enumerate(alike):
            np.testing.assert_array_equal(group["image"][index, 0], images[str(one.candid)][0])


def test_files_of_objects_are_packed_whole(client: FlaskClient) -> None:
    made = run(client, f"objectId\n{alert(6).object_id}\n", ID=did("ztf"), SIZE=[])
    with fits.open(io.BytesIO(made.get("results/archive?PACK=mef"))) as hdus:
        hdus.verify("exception")
        for version in range(1, EPOCHS + 1):
            for kind in KINDS:
                pixels = alert(5 + version).pixels(kind)
                np.testing.assert_array_equal(hdus[kind.upper(), version].data, pixels)


def test_results_are_looked_at(some: Done, client: FlaskClient) -> None:
    look = f"{some.path}/results/r1"
    assert client.get(f"{look}/thumbnail?SIZE=32").data.startswith(b"\x89PNG")
    (hdu,) = client.get(f"{look}/header").json["hdus"]
    assert {"NAXIS1": 63, "NAXIS2": 63}.items() <= {
        card["keyword"]: card["value"] for card in hdu["cards"]
    }.items()


def test_what_failed_is_tried_again_alone(service: JobbingService, client: FlaskClient) -> None:
    mine = [MadeAlert(1000 + n) for n in range(2)]
    lake = service.parts.catalog.survey("ztf").lake
    assert lake is not None
    path = Path(lake.root) / "late.parquet"
    asked = {"ID": did(f"ztf/alert/{mine[0].candid}/Science")}
    write_alerts(path, mine, {"Science": b"broken"})
    _index(service)
    # The service looks for a new index four times a second.
    until(lambda: client.get("/sync", query_string=asked).status_code == 500)
    first = run(client, "candid\n" + "\n".join(str(one.candid) for one in (*mine, alert(5))), ID=ID, SIZE=[])
    assert [row["status"] for row in first.rows()] == ["failed", "failed", "ok"]
    write_alerts(path, mine)
    _index(service)
    until(lambda: client.get("/sync", query_string=asked).status_code == 200)
    answer = client.post(first.path, data={"ACTION": "RETRY"})
    assert answer.status_code == 303, answer.text
    second = done(client, urlsplit(answer.headers["Location"]).path)
    assert [row["status"] for row in second.rows()] == ["ok", "ok", "ok"]
    assert second.rows()[2]["sha256"] == first.rows()[2]["sha256"]
    assert second.get("results/r1") == by_sync(client, ID=did(f"ztf/alert/{mine[0].candid}/Science"))
    # Or the table of what failed is sent again.
    third = run(client, first.get("results/failed"), "failed.csv", ID=[], SIZE=[])
    assert [row["sha256"] for row in third.rows()] == [row["sha256"] for row in second.rows()[:2]]


def _index(service: JobbingService) -> None:
    index_survey(service.parts.engine, service.parts.catalog.survey("ztf"))


def test_an_estimate_of_a_list(client: FlaskClient) -> None:
    table = "candid\n" + "\n".join(map(str, [alert(1).candid, 12, alert(2).candid]))
    sent = {"UPLOAD": "targets,param:t", "ID": ID, "VERDICTS": "true"}
    told = json.loads(
        client.post("/estimate", data={**sent, "t": (io.BytesIO(table.encode()), "list.csv")}).data
    )
    assert told["rows"] == {"total": 3, "ok": 2, "warned": 0, "rejected": 1, "targets": 3}
    assert "ztf has no alert 12" in told["faults"][0]["reason"]
    (column,) = told["columns"]
    assert (column["as"], column["found_by"]) == ("alert", "name")
    assert told["row_verdicts"]["ra"][0] == pytest.approx(alert(1).ra_deg)
    assert told["row_verdicts"]["ra"][1] is None


def test_the_page_offers_stamps(client: FlaskClient) -> None:
    page = client.get("/batch").text
    for kind in KINDS:
        assert f'value="{did(f"ztf/{kind}")}"' in page
    assert f'value="{did("ztf/g")}"' not in page
    told = client.get("/surveys", headers={"Accept": "application/json"}).get_json()
    (ztf,) = [survey for survey in told["surveys"] if survey["name"] == "ztf"]
    assert [stamp["did"] for stamp in ztf["stamps"]] == [did(f"ztf/{kind}") for kind in KINDS]


def test_the_command_makes_a_list_of_objects(
    service: JobbingService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "objects.txt").write_text(f"{alert(0).object_id}\n{alert(9).object_id}\n")
    server = make_server("127.0.0.1", 0, service.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.chdir(tmp_path)
    try:
        options = ["objects.txt", "--survey", "ztf", "--kind", "Science", "-y", "-o", "made"]
        ran = CliRunner().invoke(batch, [*options, "--url", f"http://127.0.0.1:{server.port}"])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert ran.exit_code == 0, ran.output
    assert "2 cutouts" in ran.output or "2 rows" in ran.output, ran.output
    made = list((tmp_path / "made").rglob("*.fits"))
    assert len(made) == 2
    for path in made:
        with fits.open(path) as hdus:
            assert len(hdus["EPOCHS"].data) == EPOCHS
