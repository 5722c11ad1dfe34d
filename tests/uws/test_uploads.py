"""Files that come with a job: stored, shown, replaced, read by a worker, and gone with it (UWS-31)."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.support.databases import sqlite
from tests.support.toy import toy_settings
from tests.uws.conftest import HREF, NAMES, Client, House, id_of
from uws.settings import JobSettings
from uws.store.ledger import Ledger

LINES = b"M31 ok\nNGC1 refused\nM33 outside\n"
MOST = 100_000


@pytest.fixture
def settings() -> JobSettings:
    return toy_settings(
        results_reserve_bytes=0, max_upload_bytes=MOST, max_body_bytes=20_000, max_uploads_bytes=3 * MOST
    )


def send(client: Client, url: str = "", /, **parts: Any) -> TestResponse:
    """POST a form; a value of bytes, or of (bytes, name) or (bytes, name, media type), is a file."""
    data: dict[str, Any] = {}
    for name, value in parts.items():
        if isinstance(value, bytes):
            value = (value, f"{name}.txt")
        data[name] = (io.BytesIO(value[0]), *value[1:]) if isinstance(value, tuple) else value
    return client.send("POST", url, data=data, content_type="multipart/form-data")


def make(client: Client, **parts: Any) -> str:
    made = send(client, **{"UPLOAD": "lines,param:t", "t": LINES, **parts})
    assert made.status_code == 303, made.text
    return made.headers["Location"]


def stored(house: House) -> list[Path]:
    """List all files of the results store, those on their way too."""
    return sorted(path for path in (house.folder / "results").rglob("*") if path.is_file())


@pytest.fixture
def lists(house: House) -> Client:
    return house.client().at("/lists")


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[House]:
    """Give a house in which nothing is ever to be left."""
    folder = tmp_path_factory.mktemp("calm")
    with sqlite(folder) as engine:
        limits = toy_settings(results_reserve_bytes=0, max_upload_bytes=MOST, max_body_bytes=20_000)
        made = House(engine, folder, redis_url, limits)
        yield made
        made.close()


def test_uws_31_an_upload_is_a_parameter_by_reference(lists: Client, house: House) -> None:
    url = make(lists, t=(LINES, "my list.csv", "text/csv"))
    parameters = {
        found.get("id"): (found.get("byReference"), found.text)
        for found in lists.document(url).iterfind(".//uws:parameter", NAMES)
    }
    assert parameters == {"UPLOAD": (None, "lines,param:t"), "T": ("true", f"{url}/parameters/T")}
    for name in ("T", "t"):
        got = lists.get(f"{url}/parameters/{name}")
        assert (got.status_code, got.data, got.mimetype) == (200, LINES, "text/csv")
        assert got.headers["X-Content-Type-Options"] == "nosniff"
        assert got.headers["Content-Disposition"] == 'attachment; filename="my list.csv"'
    assert lists.get(f"{url}/parameters/t", headers={"Range": "bytes=4-5"}).data == b"ok"
    assert lists.get(f"{url}/parameters/UPLOAD").text == "lines,param:t"
    (upload,) = house.jobs.uploads(id_of(url))
    assert (upload.size, upload.sha256) == (len(LINES), hashlib.sha256(LINES).hexdigest())
    assert [path.parent.name for path in stored(house)] == [id_of(url)], "nothing stays on its way"


def test_nobody_else_reads_it(house: House) -> None:
    url = make(house.client("ann").at("/lists"))
    assert house.client("bob").get(f"{url}/parameters/t").status_code == 403
    assert house.client("ann").get(f"{url}/parameters/t").data == LINES


def test_the_split_reads_it(each_house: House) -> None:
    lists = each_house.client().at("/lists")
    url = make(lists, PHASE="RUN")
    assert each_house.job(id_of(url)).counts.total == 3, "the job type has seen the file already"
    each_house.work()
    assert lists.phase(url) == "COMPLETED"
    rows = Ledger(each_house.engine).page(id_of(url))
    assert [(row.label, row.verdict, row.attempts) for row in rows] == [
        ("M31", "ok", 1),
        ("NGC1", "refused", 0),
        ("M33", "no_overlap", 0),
    ]
    assert lists.get(f"{url}/parameters/t").data == LINES


def test_files_of_one_owner_are_kept_up_to_a_limit(lists: Client, house: House) -> None:
    lines = b"M31 ok\n" * (MOST // 8)
    *others, url = [make(lists, t=lines) for _ in range(3)]  # never run, and kept all the same
    for refused in (
        send(lists, UPLOAD="lines,param:t", t=lines),
        send(lists, f"{url}/parameters", t=lines),
    ):
        assert refused.status_code == 403
        assert f"those of the jobs of people who are not signed in {3 * len(lines)};" in refused.text
        assert f"the limit is {3 * MOST}" in refused.text
    assert len(stored(house)) == 3
    assert lists.send("DELETE", others[0]).status_code == 303
    make(lists, t=lines)


def test_uploads_of_a_pending_job_may_be_replaced(lists: Client, house: House) -> None:
    url = make(lists)
    (before,) = stored(house)
    assert send(lists, f"{url}/parameters", t=(b"M1 ok\n", "new.txt")).status_code == 303
    (after,) = stored(house)
    assert (after != before, lists.get(f"{url}/parameters/t").data) == (True, b"M1 ok\n")
    assert send(lists, f"{url}/parameters", UPLOAD="lines,param:u", u=b"M2 ok\n").status_code == 303
    assert lists.get(f"{url}/parameters/t").status_code == 404
    assert lists.get(f"{url}/parameters/u").data == b"M2 ok\n"
    assert len(stored(house)) == 1
    assert lists.post(f"{url}/parameters", DO="fail").status_code == 303, "the file stays"
    assert lists.get(f"{url}/parameters/u").data == b"M2 ok\n"
    lists.post(f"{url}/phase", PHASE="RUN")
    assert send(lists, f"{url}/parameters", u=b"M3 ok\n").status_code == 403
    assert lists.get(f"{url}/parameters/u").data == b"M2 ok\n"
    assert len(stored(house)) == 1
    house.work()
    assert lists.phase(url) == "COMPLETED"


@pytest.mark.parametrize(
    ("parts", "status", "sentence"),
    [
        ({"UPLOAD": "lines,param:t"}, 400, "UPLOAD names the part T, and no file was sent as that"),
        ({"UPLOAD": "lines,param:t", "u": b""}, 400, "the file sent as U is not named by UPLOAD"),
        ({"t": b"x"}, 400, "the file sent as T is not named by UPLOAD"),
        (
            {"UPLOAD": "lines", "t": b""},
            400,
            'UPLOAD is a name, a comma, and param:PART or a URL; got "lines"',
        ),
        ({"UPLOAD": "lines,param:", "t": b""}, 400, "UPLOAD is a name"),
        ({"UPLOAD": "li nes,param:t", "t": b""}, 400, "UPLOAD is a name"),
        ({"UPLOAD": "lines,ftp://host/x"}, 400, "UPLOAD is a name"),
        ({"UPLOAD": "lines,file:///etc/passwd"}, 400, "UPLOAD is a name"),
        ({"UPLOAD": "lines,param:t;lines,param:u", "t": b"", "u": b""}, 400, "have the same name"),
        ({"UPLOAD": "lines,param:t;more,param:T", "t": b""}, 400, "have the same part"),
        ({"UPLOAD": "lines,param:t", "t": b"x", "T": "y"}, 400, "T is sent as a file and as a value"),
        ({"UPLOAD": "lines,param:t", "t": b"x", "T": b"y"}, 400, "two files named T"),
        ({"UPLOAD": "lines,https://example.org/x"}, 403, "this service fetches files from no host"),
        ({"UPLOAD": "lines,http://example.org/x"}, 403, "this service fetches files from no host"),
        (
            {"UPLOAD": ";".join(f"t{n},param:t{n}" for n in range(11))},
            400,
            "UPLOAD is taken 10 times at most",
        ),
        ({"UPLOAD": "lines,param:t", "t": b"x" * (MOST + 1)}, 413, f"may have {MOST} bytes at most"),
        (
            {"UPLOAD": "lines,param:t;more,param:u", "t": b"x" * (MOST // 2), "u": b"x" * (MOST // 2 + 1)},
            413,
            f"may have {MOST} bytes at most",
        ),
        ({"UPLOAD": "lines,param:t", "t": b"x" * 4 * MOST}, 413, f"may have {MOST} bytes at most"),
    ],
)
def test_what_does_not_fit_is_refused(parts: dict[str, Any], status: int, sentence: str, calm: House) -> None:
    refused = send(calm.client().at("/lists"), **parts)
    assert (refused.status_code, refused.mimetype) == (status, "text/plain")
    assert sentence in refused.text
    assert stored(calm) == []
    assert calm.jobs.refs(None) == []


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"UPLOAD": "lines,param:u"}, "UPLOAD names the part U"),
        ({"u": b"x"}, "the file sent as U is not named by UPLOAD"),
        ({"UPLOAD": "lines", "t": b"x"}, "UPLOAD is a name"),
        ({"T": "x"}, "T is sent as a file and as a value"),
    ],
)
def test_what_does_not_fit_changes_nothing(
    parts: dict[str, Any], sentence: str, lists: Client, house: House
) -> None:
    url = make(lists)
    refused = send(lists, f"{url}/parameters", **parts)
    assert (refused.status_code, sentence in refused.text) == (400, True)
    assert lists.get(f"{url}/parameters/t").data == LINES
    assert len(stored(house)) == 1


def test_values_are_no_longer_than_without_files(calm: House) -> None:
    long = {f"P{n}": "x" * 19_000 for n in range(17)}
    refused = send(calm.client().at("/lists"), UPLOAD="lines,param:t", t=LINES, **long)
    assert (refused.status_code, "files aside" in refused.text) == (413, True)
    assert stored(calm) == []


def test_a_value_is_not_a_file(lists: Client) -> None:
    url = make(lists)
    refused = lists.send("PUT", f"{url}/parameters/t", data=b"M1 ok")
    assert (refused.status_code, "T is a file" in refused.text) == (400, True)
    assert lists.post(f"{url}/parameters", T="M1 ok").status_code == 400
    changed = lists.send("PUT", f"{url}/parameters/UPLOAD", data=b"lines,param:u")
    assert (changed.status_code, "no file was sent" in changed.text) == (400, True)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("a\u202eb.csv", "a_b.csv"),
        ("", "T"),
        ("x" * 500, "x" * 200),
    ],
)
def test_names_of_files_lead_nowhere(name: str, shown: str, lists: Client, house: House) -> None:
    url = make(lists, t=(LINES, name or "."))
    got = lists.get(f"{url}/parameters/t")
    if name:
        assert f'filename="{shown}"' in got.headers["Content-Disposition"]
    assert got.data == LINES
    assert [path.parent.name for path in stored(house)] == [id_of(url)]


def test_media_types_are_not_taken_on_trust(lists: Client) -> None:
    for said, shown in (("text/html", "text/html"), ("te xt<>/", "application/octet-stream")):
        url = make(lists, t=(LINES, "a", said))
        got = lists.get(f"{url}/parameters/t")
        assert (got.mimetype, got.headers["Content-Disposition"][:10]) == (shown, "attachment")


def test_files_go_with_their_job(lists: Client, house: House) -> None:
    url = make(lists)
    lists.send("DELETE", url)
    assert lists.get(f"{url}/parameters/t").status_code == 404
    house.results.remove_job(id_of(url))
    assert stored(house) == []
    house.upkeep.forget(id_of(url))
    assert house.jobs.uploads(id_of(url)) == []


def test_a_job_that_is_not_made_leaves_no_file(calm: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("uws.results._copy", fail)
    refused = send(calm.client().at("/lists"), UPLOAD="lines,param:t", t=LINES)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
    assert stored(calm) == []
    assert calm.jobs.refs(None) == []


def test_a_body_that_breaks_off_leaves_no_file(calm: House) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="t"; filename="a"\r\n\r\n'
    data = head + b"M31 ok"
    lists = calm.client().at("/lists")
    refused = lists.send("POST", data=data, content_type="multipart/form-data; boundary=x")
    assert refused.status_code == 400
    assert stored(calm) == []


def test_old_files_on_their_way_are_swept(calm: House) -> None:
    left = calm.results.incoming() / "part-left"
    left.write_bytes(b"half")
    calm.results.sweep_spool(3600)
    assert left.exists()
    os.utime(left, (0, 0))
    calm.results.sweep_spool(3600)
    assert not left.exists()


def test_several_files_come_with_one_job(lists: Client) -> None:
    url = make(lists, UPLOAD="lines,param:t;notes,param:n", n=b"nothing")
    assert lists.get(f"{url}/parameters/n").data == b"nothing"
    shown = lists.get(f"{url}/parameters").text
    assert shown.count('byReference="true"') == 2
    assert HREF not in shown


def test_a_text_is_taken_for_a_file(lists: Client, house: House) -> None:
    url = make(lists, t="M31 ok\r\nNGC1 no\r\n")
    assert lists.get(f"{url}/parameters/t").data == b"M31 ok\r\nNGC1 no\r\n"
    (upload,) = house.jobs.uploads(id_of(url))
    assert (upload.file_name, upload.media_type) == ("", "text/plain")
    # A form with both sends a file that nobody has chosen.
    long = "M31 ok\n" * 4000
    both = {"UPLOAD": "lines,param:t", "t": [(io.BytesIO(b""), ""), long]}
    made = lists.send("POST", "", data=both, content_type="multipart/form-data")
    assert lists.get(f"{made.headers['Location']}/parameters/t").text == long
    blank = {"UPLOAD": "lines,param:t", "t": [(io.BytesIO(LINES), "list.txt"), " \r\n"]}
    made = lists.send("POST", "", data=blank, content_type="multipart/form-data")
    assert lists.get(f"{made.headers['Location']}/parameters/t").data == LINES
    refused = send(lists, UPLOAD="lines,param:t", t="x" * (MOST + 1))
    assert refused.status_code == 413
