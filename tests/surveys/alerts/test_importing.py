"""Avro files become Parquet of the lake: every stamp as it was sent, every alert once, broken files named."""

from __future__ import annotations

import errno
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pyarrow.parquet as pq
import pytest
from astropy.time import Time

from surveys.alerts import importing
from surveys.alerts.avro import read_avro
from surveys.alerts.importing import import_avro
from surveys.errors import ImageRefused, SurveyError
from surveys.parquet.source import LakeSource
from surveys.survey import Survey
from tests.support.alerts import KINDS, ztf_survey
from tests.surveys.parquet.lakes import pages_of, read_values

DATA = Path(__file__).parents[3].parent / "shared" / "data"
REAL = DATA / "alerts_ztf_avro"
FIELDS = [
    {"name": "objectId", "type": "string"},
    {"name": "candid", "type": "long"},
    {
        "name": "candidate",
        "type": {
            "type": "record",
            "name": "candidate",
            "fields": [{"name": name, "type": "double"} for name in ("jd", "ra", "dec")]
            + [{"name": "fid", "type": "int"}, {"name": "rb", "type": ["null", "float"], "default": None}],
        },
    },
    {
        "name": "cutoutScience",
        "type": [
            {
                "type": "record",
                "name": "cutout",
                "fields": [{"name": "fileName", "type": "string"}, {"name": "stampData", "type": "bytes"}],
            },
            "null",
        ],
    },
    {"name": "cutoutTemplate", "type": ["cutout", "null"]},
]
SCHEMA = {"type": "record", "name": "alert", "fields": FIELDS}
NIGHT = 2458849.5  # 2020-01-01 0 h UTC


def alert(number: int, jd: float = NIGHT + 0.3) -> dict[str, Any]:
    stamp = {"fileName": "x", "stampData": random.Random(number).randbytes(9000)}
    return {
        "objectId": f"ZTF{number % 7}",
        "candid": 10**18 + number,
        "candidate": {"jd": jd, "ra": 1.0, "dec": 2.0, "fid": 1, "rb": None},
        "cutoutScience": stamp,
        "cutoutTemplate": None if number % 3 == 0 else stamp,
    }


def write_avro(path: Path, alerts: list[dict[str, Any]], schema: Any = SCHEMA, codec: str = "null") -> Path:
    with path.open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(schema), alerts, codec=codec)
    return path


@pytest.fixture
def survey(tmp_path: Path) -> Survey:
    return ztf_survey(tmp_path / "lake")


def rows_of(tmp_path: Path, path: str) -> list[dict[str, Any]]:
    return pq.read_table(tmp_path / "lake" / path, partitioning=None).to_pylist()  # type: ignore[no-any-return]


@pytest.mark.skipif(not DATA.is_dir(), reason="the real images are not here")
def test_every_real_stamp_is_read_from_the_lake_as_it_was_sent(tmp_path: Path, survey: Survey) -> None:
    sent = {}
    for path in REAL.iterdir():
        with path.open("rb") as file:
            sent |= {record["candid"]: record for record in fastavro.reader(file)}
    done: list[tuple[int, int]] = []
    report = import_avro(survey, [REAL], progress=lambda *so_far: done.append(so_far))
    assert (report.files, report.added, report.known, report.refused) == (10, 10, 0, ())
    assert done == [(number, 10) for number in range(1, 11)]
    source, found = LakeSource(), {}
    assert survey.lake is not None
    for file in source.files(survey.lake).walk():
        rows = rows_of(tmp_path, file.path)
        (night,) = {
            Time(row["candidate"]["jd"], format="jd").strftime("year=%Y/month=%m/day=%d") for row in rows
        }
        assert file.path.startswith(f"{night}/alerts-")
        for kind in KINDS:
            column = f"cutout{kind}.stampData"
            stamps = read_values(source, survey.lake, file.path, column)
            assert stamps == [sent[row["candid"]][f"cutout{kind}"]["stampData"] for row in rows]
            pages = pages_of(source, survey.lake, file.path, column)
            assert len(pages.lengths) >= len(rows) / 4, "few stamps are in a page"
            assert pages.codecs.tolist() == [0]
        found |= {row["candid"]: row for row in rows}
    assert found == sent


def test_an_import_again_adds_nothing(tmp_path: Path, survey: Survey) -> None:
    first = write_avro(tmp_path / "a.avro", [alert(number) for number in range(10)])
    assert import_avro(survey, [first]).added == 10
    again = import_avro(survey, [first, first])
    assert (again.added, again.known, again.written) == (0, 20, ())
    more = write_avro(tmp_path / "b.avro", [alert(number) for number in (8, 9, 10, 11, 11)])
    report = import_avro(survey, [more])
    assert (report.added, report.known) == (2, 3)
    assert [row["candid"] - 10**18 for row in rows_of(tmp_path, report.written[0])] == [10, 11]


def test_what_the_index_knows_is_not_added(tmp_path: Path, survey: Survey) -> None:
    file = write_avro(tmp_path / "a.avro", [alert(number) for number in range(4)])
    report = import_avro(survey, [file], known=lambda candids: {candids[1], candids[2]})
    assert (report.added, report.known) == (2, 2)
    rows = rows_of(tmp_path, report.written[0])
    assert [row["candid"] for row in rows] == [10**18, 10**18 + 3]
    assert [row["cutoutScience"]["stampData"] for row in rows] == [
        alert(number)["cutoutScience"]["stampData"] for number in (0, 3)
    ]


@pytest.mark.parametrize(
    ("jd", "night"),
    [
        (NIGHT + 0.1, date(2020, 1, 1)),
        (NIGHT + 0.55, date(2020, 1, 1)),
        (NIGHT + 19.9 / 24, date(2020, 1, 1)),
        (NIGHT + 20.1 / 24, date(2020, 1, 2)),
        (NIGHT + 366 - 1 / 24, date(2021, 1, 1)),
    ],
)
def test_a_night_is_called_by_its_morning(tmp_path: Path, survey: Survey, jd: float, night: date) -> None:
    report = import_avro(survey, [write_avro(tmp_path / "a.avro", [alert(1, jd)])])
    folder = f"year={night.year}/month={night.month:02}/day={night.day:02}/"
    assert [path.startswith(folder) for path in report.written] == [True]


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_a_file_may_have_alerts_of_several_nights_compressed(
    tmp_path: Path, survey: Survey, codec: str
) -> None:
    alerts = [alert(number, NIGHT + number % 3) for number in range(30)]
    report = import_avro(survey, [write_avro(tmp_path / "a.avro", alerts, codec=codec)])
    assert (report.added, len(report.written)) == (30, 3)
    rows = [row for path in report.written for row in rows_of(tmp_path, path)]
    assert sorted(rows, key=lambda row: row["candid"]) == alerts


def test_files_of_other_schemas_are_written_apart(tmp_path: Path, survey: Survey) -> None:
    more = {**SCHEMA, "fields": [*FIELDS, {"name": "ssnr", "type": ["null", "double"], "default": None}]}
    one = write_avro(tmp_path / "a.avro", [alert(1)])
    two = write_avro(tmp_path / "b.avro", [{**alert(2), "ssnr": 3.5}], more)
    report = import_avro(survey, [one, two])
    assert (report.added, len(report.written)) == (2, 2)
    assert {row.get("ssnr") for path in report.written for row in rows_of(tmp_path, path)} == {None, 3.5}


def test_what_is_held_is_written_where_it_becomes_much(
    tmp_path: Path, survey: Survey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "_HELD_BYTES", 100_000)
    files = [write_avro(tmp_path / f"{n}.avro", [alert(n * 4 + i) for i in range(4)]) for n in range(10)]
    report = import_avro(survey, files)
    assert report.added == 40
    assert len(report.written) == 5, "two files of more than 50 kB at a time"


def broken_files() -> dict[str, tuple[Callable[[bytes], bytes], str]]:
    return {
        "empty": (lambda whole: b"", "it is not an Avro file"),
        "other": (lambda whole: b"SIMPLE  =  T", "it is not an Avro file"),
        "short": (lambda whole: whole[:-100], "it is not Avro that can be read, or cut short"),
        "header": (lambda whole: whole[:500], "it is not Avro that can be read, or cut short"),
        "sync": (lambda whole: whole[:-1] + b"\0", "it is not Avro that can be read, or cut short"),
        "codec": (lambda whole: whole.replace(b"\x08null", b"\x08nope"), "compressed in another way"),
        "schema": (lambda whole: whole.replace(b'"double"', b'"doubly"'), "it is not Avro that can be read"),
    }


def test_broken_files_are_named_and_the_others_go_on(tmp_path: Path, survey: Survey) -> None:
    whole = write_avro(tmp_path / "whole.avro", [alert(1)]).read_bytes()
    told = broken_files()
    for name, (spoil, _) in told.items():
        (tmp_path / f"{name}.avro").write_bytes(spoil(whole))
    (tmp_path / "pipe.avro").mkdir()
    report = import_avro(survey, [tmp_path])
    assert (report.files, report.added) == (len(told) + 1, 1)
    assert [name for name, _ in report.refused] == sorted(f"{name}.avro" for name in told)
    for name, reason in report.refused:
        assert told[name.removesuffix(".avro")][1] in reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"candid": "text"}, "an alert has no number in candid"),
        ({"candidate.jd": float("nan")}, "an alert has no time in candidate.jd"),
        ({"candidate.jd": 58849.5}, "an alert has no time in candidate.jd"),
        ({"cutouts": None}, "it has none of the columns of stamps"),
    ],
)
def test_alerts_without_what_the_survey_needs_are_refused(
    tmp_path: Path, survey: Survey, change: dict[str, Any], reason: str
) -> None:
    made, fields = alert(1), FIELDS
    if "candid" in change:
        made["candid"] = change["candid"]
        fields = [{"name": "candid", "type": "string"} if f["name"] == "candid" else f for f in FIELDS]
    elif "cutouts" in change:
        fields = [field for field in FIELDS if not str(field["name"]).startswith("cutout")]
    else:
        made["candidate"]["jd"] = change["candidate.jd"]
    write_avro(tmp_path / "a.avro", [made], {**SCHEMA, "fields": fields})
    report = import_avro(survey, [tmp_path / "a.avro"])
    assert report.refused == (("a.avro", reason),)
    assert report.written == ()


def schema_of(kind: Any) -> dict[str, Any]:
    return {"type": "record", "name": "r", "fields": [{"name": "x", "type": kind}]}


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (schema_of(["null", "r"]), "its schema has a type within itself"),
        (schema_of(["int", "string"]), "its schema has a choice of several types"),
        (schema_of({"type": "array", "items": "null"}), "its schema has arrays of nothing"),
        (schema_of({"type": "array", "items": {"type": "record", "name": "e", "fields": []}}), "of nothing"),
        ({"type": "array", "items": "int"}, "its schema is not one of records"),
    ],
)
def test_schemas_that_no_table_can_have_are_refused(tmp_path: Path, schema: Any, reason: str) -> None:
    with (tmp_path / "a.avro").open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(schema), [])
    with pytest.raises(ImageRefused, match=reason):
        read_avro(tmp_path / "a.avro")


def test_what_inflates_beyond_measure_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("surveys.alerts.avro.MOST_BYTES", 1 << 20)
    large = {**alert(1), "cutoutScience": {"fileName": "x", "stampData": bytes(2 << 20)}}
    write_avro(tmp_path / "a.avro", [large], codec="deflate")
    with pytest.raises(ImageRefused):
        read_avro(tmp_path / "a.avro")
    write_avro(tmp_path / "a.avro", [large])
    with pytest.raises(ImageRefused, match=r"^it has more than 1 MB$"):
        read_avro(tmp_path / "a.avro")


def test_changed_bits_are_read_as_fastavro_reads_them_or_refused(tmp_path: Path) -> None:
    whole = write_avro(tmp_path / "a.avro", [alert(number) for number in range(3)]).read_bytes()
    chosen, refused = random.Random(3), 0
    for _ in range(150):
        data = bytearray(whole)
        data[chosen.randrange(1500)] ^= 1 << chosen.randrange(8)
        (tmp_path / "b.avro").write_bytes(data)
        try:
            records = read_avro(tmp_path / "b.avro").records
        except ImageRefused:
            refused += 1
            continue
        with suppress(UnicodeDecodeError):  # of what is not asked here
            assert repr(records) == repr(list(fastavro.reader(BytesIO(data))))
    assert 20 < refused < 150


def test_where_nothing_can_be_imported_the_reason_is_told(tmp_path: Path) -> None:
    file = write_avro(tmp_path / "a.avro", [alert(1)])
    images = replace(ztf_survey(tmp_path / "lake"), lake=None)
    with pytest.raises(SurveyError, match=r"^ztf is a survey of images: alerts go into one of kind alerts$"):
        import_avro(images, [file])
    with pytest.raises(SurveyError, match="is at a URL"):
        import_avro(ztf_survey("s3://bucket/lake"), [file])
    with pytest.raises(SurveyError, match=r"^nights/\*\.parquet, where the survey looks for files, does not"):
        import_avro(ztf_survey(tmp_path / "other", path="nights/*.parquet"), [file])


def test_an_import_that_cannot_write_leaves_nothing(
    tmp_path: Path, survey: Survey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    file = write_avro(tmp_path / "a.avro", [alert(1)])
    with monkeypatch.context() as patched:
        patched.setattr(importing.os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            import_avro(survey, [file])
    assert [path for path in (tmp_path / "lake").rglob("*") if path.suffix == ".parquet"] == []
    assert import_avro(survey, [file]).added == 1


def test_two_imports_at_once_are_not_both_let_in(tmp_path: Path, survey: Survey) -> None:
    file = write_avro(tmp_path / "a.avro", [alert(1)])

    def meanwhile(*_: int) -> None:
        with pytest.raises(SurveyError, match="another process imports alerts into this lake"):
            import_avro(survey, [file])

    assert import_avro(survey, [file], progress=meanwhile).added == 1


def test_what_a_killed_import_left_is_removed(tmp_path: Path, survey: Survey) -> None:
    report = import_avro(survey, [write_avro(tmp_path / "a.avro", [alert(1)])])
    place = tmp_path / "lake" / report.written[0]
    shutil.copy(place, rest := place.with_name(".import-x.parquet"))
    assert survey.lake is not None
    assert len(list(LakeSource().files(survey.lake).walk())) == 1
    import_avro(survey, [write_avro(tmp_path / "a.avro", [alert(2)])])
    assert not rest.exists()
    assert len(list(place.parent.iterdir())) == 2
