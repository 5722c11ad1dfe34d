"""Results of a job whose files come as a package: exactly four, and each is what it says."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
import shutil
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from pyvo.dal import AsyncTAPJob
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from tests.support.packed import BASE, ToyPackage, Toys, file_of, toys
from tests.support.s3 import object_store
from tests.uws.packages.conftest import WORDS
from uws.packages.names import Names
from uws.results import ResultStore

TOLD = [
    "manifest.csv",
    "manifest.vot",
    "README.txt",
    "request.json",
    "regions.reg",
    "errors.csv",
    "SHA256SUMS",
]
MADE = [n for n, word in enumerate(WORDS) if word in ("ok", "dull")]
PATHS = {f"bin/{('red', 'blue')[n % 2]}/r{n + 1}.bin": file_of(n) for n in MADE}
XLINK = "{http://www.w3.org/1999/xlink}href"


def get(served: Toys, url: str, **headers: str) -> TestResponse:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return served.client.get(url.removeprefix(BASE), headers=sent, buffered=True)


def unpacked(data: bytes) -> dict[str, bytes]:
    """Files of an archive, without the folder that all are in, in their order."""
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
            found = {name: archive.read(name) for name in archive.namelist()}
    else:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            found = {entry.name: archive.extractfile(entry).read() for entry in archive}  # type: ignore[union-attr]
    roots = {name.partition("/")[0] for name in found}
    assert len(roots) == 1
    return {name.partition("/")[2]: content for name, content in found.items()}


def test_exactly_four_results_are_listed(served: Toys, job: str) -> None:
    document = etree.fromstring(get(served, f"{job}/results").data)
    assert [(result.get("id"), result.get("mime-type"), result.get("size")) for result in document] == [
        ("result", "application/x-votable+xml", None),
        ("manifest.csv", "text/csv", None),
        ("archive", "application/zip", None),
        ("failed", "text/csv", None),
    ]
    for result in document:
        assert get(served, result.attrib[XLINK]).content_type.split(";")[0] == result.get("mime-type")


def test_manifests_are_the_ledger(served: Toys, job: str) -> None:
    manifest = get(served, f"{job}/results/manifest.csv")
    assert manifest.data == get(served, f"{job}/ledger?FORMAT=csv").data
    assert manifest.headers["Content-Disposition"].endswith('_manifest.csv"')
    document, expected = (
        get(served, f"{job}/results/result").data,
        get(served, f"{job}/ledger?FORMAT=votable").data,
    )
    cells = "{http://www.ivoa.net/xml/VOTable/v1.3}TD"
    assert [cell.text for cell in etree.fromstring(document).iter(cells)] == [
        cell.text for cell in etree.fromstring(expected).iter(cells)
    ]


def test_rows_that_failed_can_be_sent_again(served: Toys, job: str) -> None:
    header, *rows = csv.reader(io.StringIO(get(served, f"{job}/results/failed").text))
    assert header == ["id", "ra", "dec", "colour"]  # and no smell: no row says something of it
    assert len(rows) == sum(word in ("failed", "poison") for word in WORDS)
    fine = f"/async/{served.make(['ok', 'empty'])}"
    assert get(served, f"{fine}/results/failed").text == "id,ra,dec\r\n"
    assert "errors.csv" not in unpacked(get(served, f"{fine}/results/archive").data)


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_an_archive_has_everything(served: Toys, job: str, form: str) -> None:
    told = get(served, f"{job}/results/archive?FORMAT={form}")
    assert told.content_type == {"zip": "application/zip", "tar": "application/x-tar"}[form]
    assert told.headers["Content-Length"] == str(len(told.data))
    assert told.headers["Content-Disposition"] == f'attachment; filename="blue_sky_{job[-32:][:8]}.{form}"'
    found = unpacked(told.data)
    assert list(found) == [*TOLD, *sorted(PATHS)]
    assert {name: found[name] for name in PATHS} == PATHS
    assert found["manifest.csv"] == get(served, f"{job}/results/manifest.csv").data
    assert found["manifest.vot"] == get(served, f"{job}/results/result").data
    assert json.loads(found["request.json"]) == {"job": job[-32:]}
    assert b"'ok': 17" in found["README.txt"]
    assert found["regions.reg"].decode().startswith(ToyPackage.region_head + "\npoint(0.0,0.0)\n")
    sums = dict(reversed(line.split("  ")) for line in found["SHA256SUMS"].decode().splitlines())
    assert sums == {
        name: hashlib.sha256(content).hexdigest() for name, content in found.items() if name != "SHA256SUMS"
    }
    errors = list(csv.DictReader(io.StringIO(found["errors.csv"].decode())))
    assert {row["error_message"] for row in errors} == {"it is failed", "it is poison"}


def test_programs_of_others_unpack_it(served: Toys, job: str, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(get(served, f"{job}/results/archive").data)
    (tmp_path / "a.tar").write_bytes(get(served, f"{job}/results/archive?FORMAT=tar").data)
    for command in (["unzip", "-q", "a.zip", "-d", "unzipped"], ["tar", "xf", "a.tar"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    unzipped = next((tmp_path / "unzipped").iterdir())
    for folder in (unzipped, tmp_path / unzipped.name):
        subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder, check=True)


def test_head_says_the_same_without_content(served: Toys, job: str) -> None:
    for name in ("archive", "archive?FORMAT=tar", "result", "failed"):
        told, head = get(served, f"{job}/results/{name}"), served.client.head(f"{job}/results/{name}")
        assert (head.status_code, head.data) == (200, b"")
        assert dict(head.headers) == dict(told.headers)


@pytest.fixture(scope="module", params=["zip", "tar"])
def archive(served: Toys, job: str, request: pytest.FixtureRequest) -> tuple[str, bytes, str]:
    url = f"{job}/results/archive?FORMAT={request.param}"
    told = get(served, url)
    return url, told.data, told.headers["ETag"]


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_whoever_resumes_gets_the_same_bytes(
    data: st.DataObject, served: Toys, archive: tuple[str, bytes, str]
) -> None:
    url, expected, etag = archive
    cuts = sorted(data.draw(st.sets(st.integers(1, len(expected) - 1), max_size=5)))
    got = b""
    for stop in [*cuts, len(expected)]:
        if data.draw(st.booleans()) and len(cuts) < 2:
            shutil.rmtree(served.folder / "packages", ignore_errors=True)
        part = get(served, url, Range=f"bytes={len(got)}-{stop - 1}", If_Range=etag)
        assert (part.status_code, part.headers["ETag"]) == (206, etag)
        assert part.headers["Content-Range"] == f"bytes {len(got)}-{stop - 1}/{len(expected)}"
        got += part.data
    assert got == expected


def test_conditions_of_an_archive(served: Toys, archive: tuple[str, bytes, str]) -> None:
    url, data, etag = archive
    assert get(served, url, If_None_Match=etag).status_code == 304
    assert get(served, url, If_Match='"other"').status_code == 412
    assert get(served, url, Range="bytes=5-9", If_Range='"other"').data == data
    refused = get(served, url, Range=f"bytes={len(data)}-")
    assert (refused.status_code, refused.headers["Content-Range"]) == (416, f"bytes */{len(data)}")


def test_a_subset_tells_of_its_own_rows_alone(served: Toys, job: str) -> None:
    found = unpacked(get(served, f"{job}/results/archive?STATUS=dull&ROWS=1-20").data)
    expected = [f"r{n + 1}" for n, word in enumerate(WORDS[:20]) if word == "dull"]
    manifest = list(csv.DictReader(io.StringIO(found["manifest.csv"].decode())))
    assert [row["result_id"] for row in manifest] == expected
    assert sorted(name.rpartition("/")[2] for name in found if name.startswith("bin/")) == sorted(
        f"{name}.bin" for name in expected
    )


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_parts_together_hold_all(served: Toys, form: str) -> None:
    made = f"/async/{served.make(['ok'] * 10, size=300_000)}"
    url = f"{made}/results/archive?FORMAT={form}&PARTSIZE=1M"
    listed: list[dict[str, Any]] = get(served, url).json["parts"]
    assert len(listed) == 4
    found: dict[str, bytes] = {}
    following: str | None = listed[0]["url"]
    for part in listed:
        assert following == part["url"]
        told = get(served, part["url"])
        assert len(told.data) == part["bytes"] <= 1 << 20
        assert told.headers["Content-Disposition"] == f'attachment; filename="{part["name"]}"'
        files = unpacked(told.data)
        assert len(files) == part["files"]
        assert not files.keys() & found.keys()
        found |= files
        assert ('rel="next"' in told.headers["Link"]) is (part is not listed[-1])
        links = dict(reversed(link.split("; ")) for link in told.headers["Link"].split(", "))
        following = links.get('rel="next"', "").strip("<>")
    assert found == unpacked(get(served, f"{made}/results/archive?FORMAT={form}").data)
    assert get(served, f"{url}&PART=5").status_code == 404


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("FORMAT=rar", "FORMAT is one of zip, tar"),
        ("PARTSIZE=1", "PARTSIZE is a number of bytes"),
        ("PARTSIZE=2Q", "PARTSIZE is a number of bytes"),
        ("PART=1", "PARTSIZE divides"),
        ("PARTSIZE=2G&PART=0", "PART is a whole number from 1"),
        ("STATUS=x", "STATUS is one or several of"),
        ("LIMIT=5", "LIMIT is not a parameter"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_sentence(served: Toys, job: str, query: str, says: str) -> None:
    refused = get(served, f"{job}/results/archive?{query}")
    assert refused.status_code == 400
    assert says in refused.text


def test_manifests_take_no_parameters(served: Toys, job: str) -> None:
    assert get(served, f"{job}/results/manifest.csv?STATUS=ok").status_code == 400


def test_a_container_that_is_gone_is_said_before_anything_is_sent(served: Toys) -> None:
    made = served.make(["ok"] * 3)
    shutil.rmtree(served.folder / "results" / made)
    assert get(served, f"/async/{made}/results/manifest.csv").status_code == 200
    told = get(served, f"/async/{made}/results/archive", Range="bytes=4000-")
    assert told.status_code == 404
    assert "no longer stored" in told.text


def test_packages_keep_to_their_room(tmp_path: Path) -> None:
    with toys(tmp_path, packages_bytes=20_000) as small:
        for _ in range(4):
            assert get(small, f"/async/{small.make(['ok'] * 10)}/results/manifest.csv").status_code == 200
        kept = [path for path in (tmp_path / "packages").iterdir() if path.is_dir()]
        assert 1 <= len(kept) < 4


def test_no_room_for_a_package_is_said(tmp_path: Path) -> None:
    with toys(tmp_path) as full:
        made = full.make(["ok"])
        (tmp_path / "packages").write_text("no folder")
        assert get(full, f"/async/{made}/results/archive").status_code == 503


def test_names_that_lead_elsewhere_or_are_taken() -> None:
    names = Names()
    assert names.take("../../etc/passwd", "r1") == "etc/passwd"
    assert names.take("a/B.fits", "r2") == "a/B.fits"
    assert names.take("a/b.fits", "r3") == "a/b_r3.fits"
    assert names.take("a/é\n.fits", "r4") == "a/_.fits"
    assert names.take("", "r5") == "_"
    assert names.take("a.b/c", "r6") == "a.b/c"
    assert names.take("a.b/C", "r7") == "a.b/C_r7"
    assert names.take("a/b_r9.fits", "r8") == "a/b_r9.fits"
    assert names.take("A/b.fits", "r9") == "A/b_r9_2.fits", "somebody calls theirs so"


def test_from_an_object_store(tmp_path: Path) -> None:
    with object_store() as s3:
        store = ResultStore(f"{s3.url}/packed", tmp_path / "spool", s3.options)
        with toys(tmp_path, store) as remote:
            made = f"/async/{remote.make(WORDS)}/results/archive"
            told = get(remote, made)
            assert {name: found for name, found in unpacked(told.data).items() if name in PATHS} == PATHS
            half = len(told.data) // 2
            assert get(remote, made, Range=f"bytes={half}-").data == told.data[half:]


@pytest.fixture(scope="module")
def port(served: Toys) -> Iterator[int]:
    """Serve on a port, for programs that know no other way."""
    server = make_server("127.0.0.1", 0, served.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.port
    server.shutdown()
    thread.join()
    server.server_close()


def test_curl_resumes(served: Toys, port: int, tmp_path: Path) -> None:
    made = f"/async/{served.make(['ok'] * 20, size=50_000)}"
    url = f"http://127.0.0.1:{port}{made}/results/archive"
    whole = subprocess.run(["curl", "-sSf", url], check=True, capture_output=True).stdout
    path = tmp_path / "archive.zip"
    path.write_bytes(whole[: random.Random(3).randrange(len(whole))])
    subprocess.run(["curl", "-sSf", "-C", "-", "-o", str(path), url], check=True)
    assert path.read_bytes() == whole


def test_pyvo_gets_the_first_file(served: Toys, port: int) -> None:
    made = f"http://127.0.0.1:{port}/async/{served.make(['ok', 'failed', 'ok'])}"
    results = AsyncTAPJob(made).fetch_result()
    assert list(results["status"]) == ["ok", "failed", "ok"]
    assert results[0].getdataset().read() == file_of(0)
    assert results[2]["access_url"] == f"{made}/results/r3"
