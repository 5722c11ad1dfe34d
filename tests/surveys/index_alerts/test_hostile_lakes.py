"""Files and rows that are not what they should be: left out with the reason, the others are there."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.time import Time
from sqlalchemy import Engine

from surveys.errors import SurveyError, TooLarge, UnknownDataset
from surveys.index.alerts import catalog as alert_catalog
from surveys.index.alerts.ingest import index_lake
from surveys.index.alerts.scan import LakeScan, scan_file
from surveys.index.catalog import Catalog
from surveys.index.obscore import ObsConstraints
from surveys.index.processes import DIED, in_processes
from surveys.index.report import IndexReport
from surveys.parquet.files import LakeFiles, StoredFile
from surveys.request import Interval
from surveys.survey import Survey
from tests.support.alerts import MadeAlert, alerts_table, write_lake, ztf_survey
from tests.support.databases import sqlite

MADE = [MadeAlert(n) for n in range(6)]


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Engine]:
    """What a file says is the same for every database."""
    with sqlite(tmp_path) as made:
        yield made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    folder.mkdir()
    return folder


def table(**columns: Any) -> pa.Table:
    """Alerts of which some columns are others; those of the structure `candidate` by their own names."""
    made = alerts_table(MADE, stamps=False)
    for name, values in columns.items():
        array = values if isinstance(values, pa.Array) else pa.array(values)
        if name in made.column_names:
            made = made.set_column(made.column_names.index(name), name, array)
            continue
        candidate = made["candidate"].combine_chunks()
        fields = {field.name: candidate.field(field.name) for field in candidate.type} | {name: array}
        whole = pa.StructArray.from_arrays(list(fields.values()), list(fields))
        made = made.set_column(made.column_names.index("candidate"), "candidate", whole)
    return made


def reasons(report: IndexReport) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for refusal in report.refused:
        told.setdefault(refusal.name, []).append(refusal.reason)
    return told


def present(engine: Engine, survey: Survey) -> list[int]:
    """Numbers of the alerts that are in the index."""
    found = Catalog(engine, [survey]).alerts.search(survey, ObsConstraints())
    by_candid = {MadeAlert(n).candid: n for n in range(2000)}
    return sorted(by_candid[alert.candid] for alert in found)


@pytest.mark.parametrize(
    ("columns", "reason", "left"),
    [
        ({"ra": [1.0, math.nan, -0.1, 360.1, math.inf, None]}, "5 alerts: no position on the sky", [0]),
        ({"dec": [1.0, math.nan, -90.1, 90.1, -90.0, 90.0]}, "3 alerts: no position on the sky", [0, 4, 5]),
        ({"jd": [0.0, math.nan, math.inf, 1e300, None, 2458849.5]}, "5 alerts: no time", [5]),
        ({"candid": [MADE[0].candid, None, None, *(MADE[n].candid for n in (3, 4, 5))]},
         "2 alerts: no candidate number", [0, 3, 4, 5]),
        ({"objectId": ["a", "b" * 201, "c\0d", "e\nf", "g", "h"]},
         "3 alerts: the name of the object is too long, or has characters that names have not", [0, 4, 5]),
    ],
)  # fmt: skip
def test_rows_that_are_no_alerts_are_refused_by_number(
    lite: Engine, root: Path, columns: dict[str, Any], reason: str, left: list[int]
) -> None:
    pq.write_table(table(**columns), root / "odd.parquet")
    pq.write_table(alerts_table([MadeAlert(n) for n in range(10, 15)], stamps=False), root / "plain.parquet")
    survey = ztf_survey(root)
    assert reasons(index_lake(lite, survey)) == {"odd.parquet": [reason]}
    assert present(lite, survey) == [*left, *range(10, 15)]
    alerts = Catalog(lite, [survey]).alerts
    for number in left:
        assert alerts.alert(survey, MADE[number].candid).row == number
    assert alerts.holdings(survey).refused == 1
    # Told again by a run that reads nothing.
    assert reasons(index_lake(lite, survey)) == {"odd.parquet": [reason]}


def test_alerts_without_an_object_are_reached_by_their_number(lite: Engine, root: Path) -> None:
    objects = pa.array([MADE[0].object_id, None, "", MADE[3].object_id, None, None], pa.string())
    pq.write_table(table(objectId=objects), root / "text.parquet")
    survey = ztf_survey(root)
    assert index_lake(lite, survey).refused == ()
    alerts = Catalog(lite, [survey]).alerts
    assert [alerts.alert(survey, made.candid).object_id for made in MADE] == [
        *(MADE[0].object_id, "", "", MADE[0].object_id, "", "")
    ]
    assert [alert.row for alert in alerts.epochs(survey, MADE[0].object_id)] == [0, 3]
    with pytest.raises(UnknownDataset):
        alerts.epochs(survey, "")


def test_objects_may_be_numbers(engine: Engine, root: Path) -> None:
    objects = [2**63 - 1, 0, None, -7, 2**63 - 1, 5]
    pq.write_table(table(objectId=pa.array(objects, pa.int64())), root / "numbers.parquet")
    survey = ztf_survey(root)
    index_lake(engine, survey)
    alerts = Catalog(engine, [survey]).alerts
    assert [alerts.alert(survey, made.candid).object_id for made in MADE] == [
        *("9223372036854775807", "", "", "-7", "9223372036854775807", "5")
    ]
    assert [alert.row for alert in alerts.epochs(survey, str(2**63 - 1))] == [0, 4]
    found = alerts.by_object(survey, ["-7", "5", "0", "6"])
    assert {name: [alert.row for alert in epochs] for name, epochs in found.items()} == {"-7": [3], "5": [5]}


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"candid": ["a"] * 6}, "its column candid is not of whole numbers of 64 bits"),
        ({"candid": pa.array([2**64 - 1] * 6, pa.uint64())}, "its column candid is not of whole numbers"),
        ({"candid": [1.5e18] * 6}, "its column candid is not of whole numbers"),
        ({"ra": ["north"] * 6}, "its column candidate.ra is not of numbers"),
        ({"objectId": [1.5] * 6}, "its column objectId is neither of texts nor of whole numbers"),
        ({"objectId": pa.array([b"\xff\xfe"] * 6, pa.binary())}, "its column objectId is not UTF-8"),
        ({"candid": pa.array([[1, 2]] * 6, pa.list_(pa.int64()))}, "candid"),
    ],
)
def test_a_file_with_columns_of_another_kind_is_left_out(
    lite: Engine, root: Path, columns: dict[str, Any], reason: str
) -> None:
    pq.write_table(table(**columns), root / "odd.parquet")
    pq.write_table(alerts_table([MadeAlert(20)], stamps=False), root / "plain.parquet")
    survey = ztf_survey(root)
    told = reasons(index_lake(lite, survey))
    assert list(told) == ["odd.parquet"]
    assert reason in told["odd.parquet"][0]
    assert str(root) not in str(told)
    assert present(lite, survey) == [20]


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def without_columns(path: Path) -> None:
    pq.write_table(table().drop_columns(["candid"]), path)


def without_stamps(path: Path) -> None:
    kinds = ("Science", "Template", "Difference")
    pq.write_table(table().drop_columns([f"cutout{kind}" for kind in kinds]), path)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def other_bytes(path: Path) -> None:
    path.write_bytes(b"PAR1" + bytes(5000) + b"PAR1")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (cut_short, ""),
        (emptied, ""),
        (other_bytes, ""),
        (without_columns, "it has no column candid"),
        (without_stamps, "it has none of the columns of stamps"),
    ],
)
def test_a_broken_file_is_left_out_and_the_others_are_not(
    lite: Engine, root: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    files = write_lake(root, 30, files=3, stamps=False)
    spoil(files[1])
    survey = ztf_survey(root)
    told = reasons(index_lake(lite, survey))
    assert list(told) == [files[1].name]
    assert reason in told[files[1].name][0]
    assert str(root) not in str(told)
    assert present(lite, survey) == [*range(10), *range(20, 30)]


def test_every_way_to_cut_a_file_short_is_one_reason_more(tmp_path: Path, root: Path) -> None:
    (file,) = write_lake(root, 20, stamps=False)
    whole = file.read_bytes()
    survey = ztf_survey(root)
    rng = np.random.default_rng(3)
    for size in rng.integers(0, len(whole), 60):
        file.write_bytes(whole[:size])
        scan = scan_file(survey, StoredFile(file.name, int(size), str(file.stat().st_mtime_ns)))
        assert len(scan.alerts) == 0
        assert scan.refused[0][0] is None


def test_flipped_bytes_never_raise(root: Path) -> None:
    (file,) = write_lake(root, 20, stamps=False)
    whole = file.read_bytes()
    survey = ztf_survey(root)
    rng = np.random.default_rng(4)
    for place in rng.integers(0, len(whole), 150):
        changed = bytearray(whole)
        changed[place] ^= 1 << int(rng.integers(0, 8))
        file.write_bytes(changed)
        scan = scan_file(survey, StoredFile(file.name, len(whole), str(file.stat().st_mtime_ns)))
        assert len(scan.alerts) + sum(rows or 0 for rows, _ in scan.refused) in (0, 20)


def test_a_file_of_no_rows_is_no_fault(engine: Engine, root: Path) -> None:
    pq.write_table(table().slice(0, 0), root / "empty.parquet")
    pq.write_table(table(), root / "full.parquet")
    pq.write_table(table().slice(0, 0), root / "void.parquet")
    survey = ztf_survey(root)
    report = index_lake(engine, survey)
    assert (report.refused, report.files, report.alerts) == ((), 3, 6)
    assert present(engine, survey) == list(range(6))


def test_a_band_that_is_not_declared_has_no_label(lite: Engine, root: Path) -> None:
    pq.write_table(table(fid=pa.array([1, 4, None, 2, 1, -1], pa.int32())), root / "bands.parquet")
    survey = ztf_survey(root)
    assert index_lake(lite, survey).refused == ()
    alerts = Catalog(lite, [survey]).alerts
    assert [alerts.alert(survey, made.candid).band for made in MADE] == ["g", "", "", "r", "g", ""]
    assert alerts.holdings(survey).alerts == {"g": 2, "r": 1, "i": 0, "": 3}
    assert [a.row for a in alerts.epochs(survey, MADE[0].object_id, bands=["g"])] == [0, 4]


@pytest.mark.parametrize("words", [["1", "2", "3", "1", "2", "x"], [1.0, 2.0, 3.0, 1.0, 2.0, 9.5]])
def test_bands_may_be_words_or_floats(lite: Engine, root: Path, words: list[object]) -> None:
    pq.write_table(table(fid=words), root / "bands.parquet")
    survey = ztf_survey(root)
    index_lake(lite, survey)
    alerts = Catalog(lite, [survey]).alerts
    assert [alerts.alert(survey, made.candid).band for made in MADE] == ["g", "r", "i", "g", "r", ""]


@pytest.mark.parametrize(("form", "offset"), [("jd", 2400000.5), ("mjd", 0.0)])
@pytest.mark.parametrize("scale", ["utc", "tai"])
def test_times_become_utc(lite: Engine, root: Path, form: str, offset: float, scale: str) -> None:
    # Before and after the last leap second, and in a year of which nobody knows them.
    mjds = [50_000.25, 57_753.99999, 57_754.00001, 61_041.220815139, 70_000.0, 45_000.0]
    pq.write_table(table(jd=[mjd + offset for mjd in mjds]), root / "times.parquet")
    survey = ztf_survey(root, time_format=form, time_scale=scale)
    index_lake(lite, survey)
    alerts = Catalog(lite, [survey]).alerts
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = Time(mjds, format="mjd", scale=scale).utc.mjd
    for made, mjd in zip(MADE, expected, strict=True):
        assert alerts.alert(survey, made.candid).mjd == pytest.approx(mjd, abs=1.1e-9)


def test_ids_that_no_index_can_have_are_unknown(engine: Engine, root: Path) -> None:
    write_lake(root, 10, stamps=False)
    survey = ztf_survey(root)
    index_lake(engine, survey)
    alerts = Catalog(engine, [survey]).alerts
    for candid in (0, -1, 2**63, -(2**63) - 1, 10**40):
        with pytest.raises(UnknownDataset):
            alerts.alert(survey, candid)
        assert alerts.by_candid(survey, [candid, MADE[0].candid]).keys() == {MADE[0].candid}
        assert alerts.in_file(survey, "x", None, candid) == ()
    for name in ("", "x", "\udcff", "%", "ztf18aaaaaaa'", "\0", "ﬁ" * 10_000):
        with pytest.raises(UnknownDataset):
            alerts.epochs(survey, name)
        assert alerts.by_object(survey, [name]) == {}


def test_names_with_one_digest_are_told_apart(engine: Engine, root: Path) -> None:
    # Two names of one CRC-32.
    names = ["plumless", "buckeroo"]
    pq.write_table(table(objectId=[*names, "PlumLess", "a", "b", "c"]), root / "names.parquet")
    survey = ztf_survey(root)
    index_lake(engine, survey)
    alerts = Catalog(engine, [survey]).alerts
    # Case tells names apart only where it has to.
    assert [alert.row for alert in alerts.epochs(survey, "plumless")] == [0]
    assert [alert.row for alert in alerts.epochs(survey, "PlumLess")] == [2]
    with pytest.raises(UnknownDataset, match="differ by the case"):
        alerts.epochs(survey, "PLUMLESS")
    assert [alert.row for alert in alerts.epochs(survey, "BUCKEROO")] == [1]
    assert {name: len(found) for name, found in alerts.by_object(survey, names).items()} == {
        "plumless": 2,
        "buckeroo": 1,
    }


def test_epochs_are_picked_by_time_and_counted(lite: Engine, root: Path) -> None:
    write_lake(root, 10, stamps=False)
    survey = ztf_survey(root)
    index_lake(lite, survey)
    alerts = Catalog(lite, [survey]).alerts
    name = MADE[0].object_id
    mjds = [alert.mjd for alert in alerts.epochs(survey, name)]
    assert mjds == sorted(mjds)
    assert len(mjds) == 5
    picked = alerts.epochs(survey, name, time_mjd=Interval(mjds[1], mjds[3]))
    assert [alert.mjd for alert in picked] == mjds[1:4]
    assert alerts.epochs(survey, name, time_mjd=Interval(0.0, 1.0)) == ()
    assert len(alerts.epochs(survey, name, bands=["r", "i"], at_most=4)) == 3
    with pytest.raises(TooLarge, match="5 alerts"):
        alerts.epochs(survey, name, at_most=4)


def test_an_object_of_too_many_alerts_is_refused(
    lite: Engine, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lake(root, 100, epochs=100, stamps=False)
    survey = ztf_survey(root)
    index_lake(lite, survey)
    monkeypatch.setattr(alert_catalog, "MOST_EPOCHS", 99)
    with pytest.raises(TooLarge, match="more than 99 alerts"):
        Catalog(lite, [survey]).alerts.epochs(survey, MadeAlert(0, epochs=100).object_id)


@pytest.mark.faults
def test_several_processes_read_what_one_reads(tmp_path: Path, root: Path) -> None:
    write_lake(root, 60, files=6, stamps=False)
    survey = ztf_survey(root)
    lake = survey.lake
    assert lake is not None
    found = list(LakeFiles(lake).walk())
    todo = [*found[:3], replace(found[0], path="deadly"), *found[3:]]
    scans = list(in_processes(_Scan(survey), todo, 2, _died))
    assert [scan.found for scan in scans] == todo
    assert [len(scan.alerts) for scan in scans] == [10, 10, 10, 0, 10, 10, 10]
    assert scans[3].refused == ((None, DIED),)
    alone = [scan_file(survey, file) for file in found]
    assert [scan.pages for scan in alone] == [scan.pages for scan in scans if scan is not scans[3]]


class _Scan:
    """Scans files, in a process that does not survive one of them."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey

    def __call__(self, file: StoredFile) -> LakeScan:
        if file.path == "deadly":
            os._exit(1)
        return scan_file(self._survey, file)


def _died(file: StoredFile) -> LakeScan:
    return LakeScan(file, refused=((None, DIED),))


def test_links_out_of_the_lake_are_not_followed(lite: Engine, root: Path, tmp_path: Path) -> None:
    write_lake(tmp_path / "elsewhere", 10, stamps=False)
    write_lake(root, 5, stamps=False)
    (root / "link.parquet").symlink_to(next((tmp_path / "elsewhere").iterdir()))
    (root / "folder").symlink_to(tmp_path / "elsewhere")
    survey = ztf_survey(root)
    report = index_lake(lite, survey)
    assert report.files == 1
    assert present(lite, survey) == list(range(5))


def test_a_survey_of_images_has_no_lake(lite: Engine, root: Path) -> None:
    with pytest.raises(SurveyError, match="not one of alerts"):
        index_lake(lite, replace(ztf_survey(root), lake=None))
