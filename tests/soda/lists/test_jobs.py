"""Lists over HTTP, with a real worker: the curl line, pyvo, and what stands in ledger and package."""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
import pytest
from astropy.coordinates import Angle, SkyCoord
from astropy.io import fits
from astropy.io.votable import parse_single_table
from astropy.table import Row, Table
from astropy.wcs import WCS
from flask.testing import FlaskClient
from lxml import etree
from numpy.typing import NDArray
from PIL import Image
from pyvo.dal.tap import AsyncTAPJob
from werkzeug.serving import make_server

from tests.conftest import real_data_folder
from tests.soda.lists.jobs import UWS, Done, by_sync, done, run
from tests.soda.lists.lists import csv_of, pixels_in
from tests.support.outside import stilts
from tests.support.redis import own_redis
from tests.support.service import did, pixels_of
from tests.support.soda_jobs import JobbingService, jobbing

HREF = "{http://www.w3.org/1999/xlink}href"
HERE: dict[str, Any] = {"ra": 150.0, "dec": 0.0}
NOWHERE: dict[str, Any] = {"ra": 10.0, "dec": 0.0}
INSIDE = (slice(90, 110), slice(90, 110))
ID = did("tiny/g/a")


#: Surveys of the folder with real files, as far as it is here.
REAL = {
    "twomass": """tiles_2mass_m17"
title = "2MASS"
kind = "coadd"
pixel_scale = 1.0
dataset = "{scan}"
zeropoint = { card = "MAGZP" }
nodata = "nan"
bands = { K = { em_min_m = 1.95e-6, em_max_m = 2.36e-6 } }
[layers.image]
path = "a{band}_asky_{scan}.fits.gz"
""",
    "des": """bands_des_coadd"
title = "DES"
kind = "coadd"
pixel_scale = 0.263
dataset = "{tile}"
zeropoint = 30.0
[bands]
g = { em_min_m = 398e-9, em_max_m = 548e-9 }
r = { em_min_m = 568e-9, em_max_m = 716e-9 }
i = { em_min_m = 710e-9, em_max_m = 857e-9 }
[layers.image]
path = "{tile}_{band}.fits"
hdu = "SCI"
""",
    "legacy": """compressed_legacysurvey"
title = "Legacy Surveys"
kind = "coadd"
pixel_scale = 0.262
dataset = "{brick}"
zeropoint = { card = "MAGZERO" }
bands = { z = { em_min_m = 850e-9, em_max_m = 1002e-9 } }
[layers.image]
path = "legacysurvey-{brick}-image-{band}.fits.fz"
""",
}


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A web server of somebody else: its URL, and the folder that it serves."""
    folder = tmp_path_factory.mktemp("elsewhere")
    made = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=folder))
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}", folder
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, elsewhere: tuple[str, Path]
) -> Iterator[JobbingService]:
    folder, real = tmp_path_factory.mktemp("jobs"), tmp_path_factory.mktemp("real")
    for name, declaration in REAL.items():
        (real / f"{name}.toml").write_text(f'root = "{real_data_folder()}/{declaration.lstrip()}')
    environ = {
        "FOUNTAIN_CUTOUT_JOBS__MAX_TARGETS": "50",
        "FOUNTAIN_JOBS__UPLOAD_HOSTS": elsewhere[0],
        "FOUNTAIN_SURVEYS__DECLARATIONS": f"{folder / 'declarations'},{real}",
    }
    with own_redis() as redis, jobbing(folder, redis.url, environ) as made:
        yield made


@pytest.fixture
def client(service: JobbingService) -> FlaskClient:
    return service.app.test_client()


TARGETS = [
    {"id": "a/1", **HERE},
    {"id": "=2+3", **NOWHERE},
    {"id": "bad", "ra": "x", "dec": 0},
    {"id": "other", **HERE, "band": "r", "size": "10px"},
]


@pytest.fixture(scope="module")
def four(service: JobbingService) -> Done:
    """A list of which something different becomes of each target."""
    return run(service.app.test_client(), csv_of(TARGETS), ID=did("tiny/g"))


def test_a_votable_of_astropy(client: FlaskClient) -> None:
    stream = io.BytesIO()
    table = Table({"ra": [150.0, 150.001], "dec": [0.0, 0.0], "id": ["one", "two"]})
    table["ra"].unit = table["dec"].unit = "deg"
    table.write(stream, format="votable")
    made = run(client, stream.getvalue(), "list.vot", ID=ID, SIZE="30arcsec")
    assert made.phase == "COMPLETED", etree.tostring(made.document)
    assert [row["status"] for row in made.rows()] == ["ok", "ok"]
    assert made.get("results/r1") == by_sync(client, ID=ID, CENTER="150 0", SIZE="30arcsec")
    assert made.get("results/r2") == by_sync(client, ID=ID, CENTER="150.001 0", SIZE="30arcsec")


@pytest.mark.parametrize("name", ["list.vot", "list.fits"])
def test_tables_of_stilts_give_what_csv_gives(
    four: Done, client: FlaskClient, name: str, tmp_path: Path
) -> None:
    """STILTS writes as TOPCAT saves: VOTable in BINARY2, FITS with metadata in its primary HDU."""
    right = [target for target in TARGETS if target["id"] != "bad"]
    (tmp_path / "in.csv").write_text(csv_of(right))
    words = {"in": str(tmp_path / "in.csv"), "ifmt": "csv", "out": str(tmp_path / name)}
    form = {"list.vot": "votable(format=BINARY2)", "list.fits": "fits-plus"}[name]
    assert stilts("tpipe", **words, ofmt=form) == []
    table = (tmp_path / name).read_bytes()
    assert (b"BINARY2" if name == "list.vot" else b"XTENSION= 'BINTABLE'") in table
    made = run(client, table, name, ID=did("tiny/g"))
    assert made.phase == "COMPLETED", etree.tostring(made.document)
    kept = ("id", "status", "error_message", "path", "sha256", "x_target")
    assert [[row[column] for column in kept] for row in made.rows()] == [
        [row[column] for column in kept] for row in four.rows() if row["id"] != "bad"
    ]


def test_stilts_is_content_with_the_manifest(four: Done, tmp_path: Path) -> None:
    (tmp_path / "result.vot").write_bytes(four.get("results/result"))
    assert stilts("votlint", votable=str(tmp_path / "result.vot")) == []


@pytest.mark.parametrize("form", ["manifest.csv", "failed", "ledger?FORMAT=csv", "ledger?FORMAT=votable"])
def test_tables_of_ours_that_are_sent_again_have_the_same_ids(client: FlaskClient, form: str) -> None:
    """Whatever their apostrophes were: those that keep spreadsheets from calculating are ours."""
    ids = ["=2+3", "'=2+3", "-x", "'tis", "''@", "plain"]
    first = run(client, csv_of([{"id": name, **HERE, "size": "90000px"} for name in ids]), ID=ID)
    assert [row["status"] for row in first.rows()] == ["failed"] * len(ids)
    shown = ["'=2+3", "''=2+3", "'-x", "'tis", "'''@", "plain"]
    assert [row["id"] for row in first.rows()] == shown
    sent = first.get(form if "?" in form else f"results/{form}")
    again = run(client, sent, "again.vot" if "votable" in form else "again.csv", ID=ID)
    assert [row["id"] for row in again.rows()] == shown


def test_uws_31_the_upload_is_a_parameter_by_reference(four: Done) -> None:
    told = {p.get("id"): (p.get("byReference"), p.text) for p in four.document.iter(f"{UWS}parameter")}
    assert told["UPLOAD"] == (None, "targets,param:t") or told["UPLOAD"] == ("false", "targets,param:t")
    reference, url = next(value for name, value in told.items() if str(name).upper() == "T")
    assert reference == "true"
    assert four.client.get(urlsplit(str(url)).path).data.decode() == csv_of(TARGETS)


def test_what_became_of_each_target(four: Done, client: FlaskClient) -> None:
    assert four.phase == "COMPLETED"
    rows = four.rows()
    assert [row["status"] for row in rows] == ["ok", "no_overlap", "failed", "ok"]
    assert [row["row"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["id"] for row in rows] == ["a/1", "'=2+3", "bad", "other"], (
        "no spreadsheet takes it for a formula"
    )
    assert rows[1]["error_code"] == "UsageError"
    assert "no overlap" in rows[1]["error_message"]
    assert [row["name"] != "" for row in rows] == [True, False, False, True], "names are those of files"
    assert rows[3]["band"] == "r"
    assert (rows[3]["naxis1"], rows[3]["x_target"]) == ("10", "5.5")
    assert [row["path"] for row in rows] == [
        "fits/tiny/g/TINYJ100000.00+000000.0_g_20x20.fits",
        "",
        "",
        "fits/tiny/r/TINYJ100000.00+000000.0_r_10x10.fits",
    ]
    np.testing.assert_array_equal(pixels_in(four.get("results/r1")), pixels_of("a")[INSIDE])
    assert [row["row"] for row in four.rows("ROWS=2-3")] == ["2", "3"]
    assert [row["row"] for row in four.rows("STATUS=failed")] == ["3"]


def test_results_are_exactly_a_package(four: Done) -> None:
    results = {str(r.get("id")): str(r.get(HREF)) for r in four.document.iter(f"{UWS}result")}
    assert list(results) == ["result", "manifest.csv", "archive", "failed"]
    table = parse_single_table(io.BytesIO(four.get("results/result"))).to_table()
    assert list(table["status"]) == ["ok", "no_overlap", "failed", "ok"]
    assert str(table["obs_publisher_did"][0]) == did("tiny/g")
    assert float(table["s_ra"][0]) == pytest.approx(150.0, abs=1e-6)
    with zipfile.ZipFile(io.BytesIO(four.get("results/archive"))) as archive:
        assert archive.testzip() is None
        names = {name.partition("/")[2]: name for name in archive.namelist()}
        assert {"manifest.csv", "manifest.vot", "README.txt", "request.json", "regions.reg"} <= names.keys()
        asked = json.loads(archive.read(names["request.json"]))
        assert asked["parameters"] == {
            "UPLOAD": ["targets,param:t"],
            "SIZE": ["20px"],
            "ID": [did("tiny/g")],
        }
        assert asked["files"] == {"t": "list.csv"}
        regions = archive.read(names["regions.reg"]).decode().splitlines()
        assert regions[3].startswith("box(150,")
        assert regions[3].endswith("# text={a/1}")
        data = archive.read(names["fits/tiny/g/TINYJ100000.00+000000.0_g_20x20.fits"])
    assert data == four.get("results/r1")
    assert hashlib.sha256(data).hexdigest() == four.rows()[0]["sha256"]


@pytest.fixture(scope="module")
def port(service: JobbingService) -> Iterator[int]:
    """Serve on a port, for programs that know no other way."""
    server = make_server("127.0.0.1", 0, service.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.port
    server.shutdown()
    thread.join()
    server.server_close()


def test_pyvo_finds_the_files(four: Done, port: int) -> None:
    found = AsyncTAPJob(f"http://127.0.0.1:{port}{four.path}").fetch_result()
    assert found[0]["status"] == "ok"
    data = found[0].getdataset().read()
    np.testing.assert_array_equal(pixels_in(data), pixels_of("a")[INSIDE])


def test_the_curl_line(port: int, client: FlaskClient, tmp_path: Path) -> None:
    """curl -F UPLOAD=targets,param:t -F t=@list.vot -F ID=… -F SIZE=30arcsec -F PHASE=RUN …/async ."""
    (tmp_path / "list.csv").write_text(csv_of([HERE, HERE]))
    fields = ("UPLOAD=targets,param:t", "t=@list.csv", f"ID={ID}", "SIZE=30arcsec", "PHASE=RUN")
    options = [part for field in fields for part in ("-F", field)]
    line = ["curl", "-sS", "-o", "out", "-w", "%{redirect_url}", *options, f"http://127.0.0.1:{port}/async"]
    url = subprocess.run(line, check=True, capture_output=True, text=True, cwd=tmp_path).stdout
    made = done(client, urlsplit(url).path)
    assert [row["status"] for row in made.rows()] == ["ok", "ok"]
    # README.txt has the lines that ask for the same.
    url = f"http://127.0.0.1:{port}{made.path}"
    with zipfile.ZipFile(io.BytesIO(urlopen(f"{url}/results/archive").read())) as archive:
        (readme,) = (archive.read(name).decode() for name in archive.namelist() if "README" in name)
    lines = [line.strip() for line in readme.splitlines() if line.startswith("  curl")]
    assert len(lines) == 2
    for line in lines:
        command = [*shlex.split(line), "-sS", "-w", "%{redirect_url}"]
        url = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path).stdout
    again = done(client, urlsplit(url).path)
    assert [row["sha256"] for row in again.rows()] == [row["sha256"] for row in made.rows()]


def test_a_table_that_a_worker_fetches(four: Done, client: FlaskClient, elsewhere: tuple[str, Path]) -> None:
    url, folder = elsewhere
    (folder / "a list.csv").write_text(csv_of(TARGETS))
    sent = {"ID": did("tiny/g"), "SIZE": "20px", "PHASE": "RUN"}
    answer = client.post("/async", data={**sent, "UPLOAD": f"targets,{url}/a%20list.csv"})
    assert answer.status_code == 303, answer.text
    made = done(client, urlsplit(answer.headers["Location"]).path)
    assert made.phase == "COMPLETED"
    kept = ("row", "id", "status", "error_message", "path", "sha256", "x_target")
    assert [[row[name] for name in kept] for row in made.rows()] == [
        [row[name] for name in kept] for row in four.rows()
    ]
    told = {p.get("id"): p.text for p in made.document.iter(f"{UWS}parameter")}
    assert told["UPLOAD"] == f"targets,{url}/a%20list.csv"
    for path, reason in (("gone.csv", "404"), ("", "web page")):
        answer = client.post("/async", data={**sent, "UPLOAD": f"targets,{url}/{path}"})
        assert answer.status_code == 303, answer.text
        ended = done(client, urlsplit(answer.headers["Location"]).path)
        assert ended.phase == "ERROR"
        assert reason in ended.get("error").decode()
    answer = client.post(
        "/async", data={**sent, "UPLOAD": f"targets,{url.replace('127.0.0.1', 'localhost')}"}
    )
    assert answer.status_code == 403, "no other host is asked, whatever its address"


def test_a_list_that_cannot_be_read_makes_no_job(client: FlaskClient) -> None:
    sent = {"UPLOAD": "targets,param:t", "ID": ID, "SIZE": "20px"}
    for table, status in (("name,colour\nx,red\n", 403), ("ra,dec\n" + "150,0\n" * 51, 403)):
        answer = client.post("/async", data={**sent, "t": (io.BytesIO(table.encode()), "t.csv")})
        assert answer.status_code == status, answer.text
        assert answer.text.startswith("UsageError")


def test_a_wrong_word_waits_in_the_job(client: FlaskClient) -> None:
    sent = {"UPLOAD": "targets,param:t", "ID": ID, "SIZE": "20 furlongs", "PHASE": "RUN"}
    answer = client.post("/async", data={**sent, "t": (io.BytesIO(b"ra,dec\n150,0\n"), "t.csv")})
    assert answer.status_code == 303, answer.text
    ended = done(client, urlsplit(answer.headers["Location"]).path)
    assert ended.phase == "ERROR"
    assert b"SIZE" in ended.get("error")


def test_sync_takes_no_uploads(client: FlaskClient) -> None:
    sent = {"UPLOAD": "targets,param:t", "ID": ID, "SIZE": "20px"}
    answer = client.post("/sync", data={**sent, "t": (io.BytesIO(b"ra,dec\n150,0\n"), "t.csv")})
    assert answer.status_code == 400
    assert answer.text.startswith("UsageError: UPLOAD is not supported here")


def test_what_failed_is_retried_alone(service: JobbingService, client: FlaskClient) -> None:
    place = {"ra": 0.0, "dec": -10.0}
    picture = {"format": "png", "stretch": "log", "cuts": "-1,7"}
    table = csv_of([{**place, "band": "g"}, {**place, "band": "r"}, {**place, "band": "r", **picture}])
    tile = service.folder / "tiny" / "zero_r.fits"
    kept = tile.rename(tile.with_suffix(".kept"))
    first = run(client, table, ID=did("tiny"))
    kept.rename(tile)
    assert first.phase == "COMPLETED"
    assert [row["status"] for row in first.rows()] == ["ok", "failed", "failed"]
    answer = client.post(first.path, data={"ACTION": "RETRY"})
    assert answer.status_code == 303, answer.text
    second = done(client, urlsplit(answer.headers["Location"]).path)
    assert second.phase == "COMPLETED"
    before, after = first.rows(), second.rows()
    assert [row["status"] for row in after] == ["ok", "ok", "ok"]
    assert after[0]["sha256"] == before[0]["sha256"]
    made = by_sync(client, ID=did("tiny/r"), CENTER="0 -10", SIZE="20px")
    assert second.get("results/r2") == made
    assert after[1]["path"] == "fits/tiny/r/TINYJ000000.00-100000.0_r_20x20.fits"
    # Or the table of what failed is sent again: it has all that its rows said themselves.
    third = run(client, first.get("results/failed"), "failed.csv", ID=did("tiny"))
    assert [row["sha256"] for row in third.rows()] == [row["sha256"] for row in after[1:]]
    assert b"bands" not in first.get("results/failed"), "no column is there for nothing"


REAL_TARGETS = [
    ("one tile", 275.06, -16.32, "twomass", "K", "fits", "40px"),
    ("over an edge", 275.123, -16.17, "twomass", "K", "fits", "1.2arcmin"),
    ("Rice, over the edge", 96.0, 80.63, "legacy", "z", "fits", "50px"),
    ("flux", 59.0899, -52.811, "des", "r", "fits", "20arcsec"),
    ("colours", 59.0899, -52.811, "des", "irg", "png", "20arcsec"),
    ("nowhere", 10.0, 10.0, "des", "r", "fits", "20arcsec"),
]


@pytest.mark.usefixtures("real_data")
def test_a_list_over_real_surveys(client: FlaskClient, tmp_path: Path) -> None:
    """What the manifest says is true of the files beside it."""
    names = ("id", "ra", "dec", "survey", "band", "format", "size")
    stream = io.BytesIO()
    Table(rows=REAL_TARGETS, names=names).write(stream, format="votable", tabledata_format="binary2")
    made = run(client, stream.getvalue(), "list.vot", SIZE="9px")
    assert made.phase == "COMPLETED", etree.tostring(made.document)
    with zipfile.ZipFile(io.BytesIO(made.get("results/archive"))) as archive:
        archive.extractall(tmp_path)
    (folder,) = tmp_path.iterdir()
    checked = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], capture_output=True, cwd=folder, check=False)
    assert checked.returncode == 0, checked.stderr
    rows = list(Table.read(folder / "manifest.vot"))
    assert [str(row["id"]) for row in rows] == [target[0] for target in REAL_TARGETS]
    assert [row["status"] for row in rows] == ["ok", "ok", "clipped", "ok", "ok", "no_overlap"]
    for row in rows[:4]:
        with fits.open(folder / row["path"]) as hdus:
            check_facts(row, hdus[0].header, hdus[0].data)
    assert [bool(row["resampled"]) for row in rows[:5]] == [False, True, False, False, False]
    assert [len(row["source_datasets"].split()) for row in rows[:5]] == [1, 2, 1, 1, 3]
    with Image.open(folder / rows[4]["path"]) as picture:
        assert picture.size == (rows[4]["naxis1"], rows[4]["naxis2"]) == (76, 76)
    for name in ("x_target", "y_target", "centre_ra", "centre_dec", "pixel_scale", "orientation"):
        assert rows[4][name] == rows[3][name], "the picture is of the same pixels"
    assert np.ma.is_masked(rows[5]["x_target"])


def check_facts(row: Row, header: fits.Header, data: NDArray[np.floating[Any]]) -> None:
    """Compare a row of a manifest with its file, as astropy understands it."""
    wcs, place = WCS(header), SkyCoord(row["ra"], row["dec"], unit="deg")
    x, y = (float(value) for value in wcs.world_to_pixel(place))
    assert (row["x_target"], row["y_target"]) == pytest.approx((x + 1, y + 1), abs=2e-3)
    assert (row["naxis1"], row["naxis2"]) == (header["NAXIS1"], header["NAXIS2"])
    middle = wcs.pixel_to_world((header["NAXIS1"] - 1) / 2, (header["NAXIS2"] - 1) / 2)
    assert middle.separation(SkyCoord(row["centre_ra"], row["centre_dec"], unit="deg")).arcsec < 1e-3
    low, high = (wcs.pixel_to_world(x, y + half).icrs for half in (-0.5, 0.5))
    assert row["pixel_scale"] == pytest.approx(low.separation(high).arcsec, rel=1e-3)
    angle = Angle(low.position_angle(high)).wrap_at("180d").deg
    assert row["orientation"] == pytest.approx(angle, abs=1e-3)
    assert row["frac_valid"] == pytest.approx(np.isfinite(data).mean(), abs=1e-6)
    assert bool(row["clipped"]) == (not np.isfinite(data).all())
    assert str(row["bunit"] or "") == header.get("BUNIT", "").strip()
    assert row["zeropoint"] == header.get("MAGZP", header.get("MAGZERO"))


SORTED = "id,ra,dec,mag,name\na,150,0,21.5,zeta\nb,10,0,9.25,Alpha\nc,x,0,,beta\nd,150.001,0,100,\n"


def test_rows_are_sorted_by_columns_of_the_table_that_was_sent(client: FlaskClient) -> None:
    made = run(client, SORTED, ID=ID)

    def sorted_by(text: str) -> list[str]:
        told = json.loads(made.get(f"ledger?FORMAT=json&COLUMNS=id&SORT={text}"))
        return [row["id"] for row in told["rows"]]

    assert sorted_by("mag") == ["b", "a", "d", "c"]
    assert sorted_by("mag,desc") == ["d", "a", "b", "c"]
    # The ledger has a name too, that of the file.
    assert sorted_by("sent:name") == ["b", "c", "a", "d"]
    refused = client.get(f"{made.path}/ledger?SORT=nothing")
    assert refused.status_code == 400
    assert "mag" in refused.text


def test_results_are_looked_at_without_fetching_them(four: Done, client: FlaskClient) -> None:
    look = f"{four.path}/results/r1"
    drawn = client.get(f"{look}/thumbnail?SIZE=16")
    assert (drawn.status_code, drawn.content_type) == (200, "image/png")
    assert Image.open(io.BytesIO(drawn.data)).size == (16, 16)
    assert "max-age" in drawn.headers["Cache-Control"]
    assert client.get(f"{look}/thumbnail?SIZE=17").headers["ETag"] != drawn.headers["ETag"]
    again = client.get(f"{look}/thumbnail?SIZE=16", headers={"If-None-Match": drawn.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    (hdu,) = client.get(f"{look}/header").json["hdus"]
    cards = {card["keyword"]: card["value"] for card in hdu["cards"]}
    assert (cards["NAXIS1"], cards["ORIG_ID"]) == (20, did("tiny/g/a"))
    for query in ("SIZE=0", "SIZE=x", "STRETCH=none", "STERTCH=log"):
        assert client.get(f"{look}/thumbnail?{query}").status_code == 400
    none = client.get(f"{four.path}/results/r2/thumbnail")
    assert (none.status_code, "sentence" in none.text) == (404, True)
    picture = run(client, csv_of(TARGETS[:1]), ID=ID, RESPONSEFORMAT="png")
    assert client.get(f"{picture.path}/results/r1/thumbnail?SIZE=16").data.startswith(b"\x89PNG")
    assert client.get(f"{picture.path}/results/r1/header").status_code == 404
