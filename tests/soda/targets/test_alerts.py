"""Tables that name objects and alerts, and need no places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from soda.targets import UploadRefused, parse_mapping, read_targets
from soda.targets.table import Subject, TargetTable
from tests.soda.targets.support import SMALL, rows, votable

CANDID = "1549473362115015004"


def read(
    folder: Path, content: bytes | str, subject: Subject = "alerts", columns: str = "", name: str = "t.csv"
) -> TargetTable:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_targets(path, path.name, "", parse_mapping([columns]), SMALL, subject=subject)


@pytest.mark.parametrize(
    "name",
    [
        "objectId",
        "object_id",
        "diaObjectId",
        "object",
        "id",
        "name",
        "oid",
        "i:objectId",
        "diaObject.object_id",
    ],
)
def test_objects_are_found_by_name_and_no_place_is_needed(tmp_path: Path, name: str) -> None:
    table = read(tmp_path, f"{name},other\nZTF18aaaaaaa,1\nZTF18aaaaaab,2\n")
    assert list(table.objects) == list(table.ids) == ["ZTF18aaaaaaa", "ZTF18aaaaaab"]
    assert (list(table.alerts), table.rejected) == ([], 0)
    assert np.isnan(table.ra_deg).all()
    assert table.columns["object"] == name


@pytest.mark.parametrize(
    "name", ["candid", "diaSourceId", "alert", "alert_id", "i:candid", "candidate.candid"]
)
def test_alerts_are_found_by_name(tmp_path: Path, name: str) -> None:
    table = read(tmp_path, f"{name}\n{CANDID}\n")
    assert (list(table.alerts), list(table.ids), list(table.objects)) == ([CANDID], [CANDID], [])


def test_an_export_of_a_broker_names_both_and_its_places_do_not_count(tmp_path: Path) -> None:
    table = read(tmp_path, f"i:objectId,i:candid,i:ra,i:dec,i:size\nZTF18aaaaaaa,{CANDID},none,95,3\n")
    assert (table.objects[0], table.alerts[0], table.ids[0]) == ("ZTF18aaaaaaa", CANDID, CANDID)
    assert table.rejected == 0
    assert {"ra", "dec", "size"}.isdisjoint(table.columns)


def test_columns_says_which_is_which(tmp_path: Path) -> None:
    text = f"who,what,stamp_of\nm31,{CANDID},Science\n"
    table = read(tmp_path, text, columns="alert:what,id:who,kind:stamp_of")
    assert (table.alerts[0], table.ids[0], table.settings["kind"][0]) == (CANDID, "m31", "Science")
    only_objects = read(tmp_path, f"objectId,candid\nZTF18a,{CANDID}\n", columns="alert:")
    assert (list(only_objects.objects), list(only_objects.alerts)) == (["ZTF18a"], [])


@pytest.mark.parametrize("first", ["ZTF18abcdefg", CANDID, "AT2019abc", "169298433216610349"])
def test_a_list_of_identifiers_needs_no_line_of_names(tmp_path: Path, first: str) -> None:
    table = read(tmp_path, f"{first}\nZTF20aaaaaaa\n\nZTF21aaaaaaa\n", name="ids.txt")
    assert list(table.objects) == [first, "ZTF20aaaaaaa", "ZTF21aaaaaaa"]
    assert table.lines.tolist() == [1, 2, 4]
    alerts = read(tmp_path, f"{CANDID}\n", columns="alert:col1", name="ids.txt")
    assert (list(alerts.alerts), list(alerts.objects)) == ([CANDID], [])


def test_a_list_of_dids_says_all(tmp_path: Path) -> None:
    dids = [f"ivo://example.org/soda?ztf/alert/{CANDID}", "ivo://example.org/soda?ztf/object/ZTF18a"]
    table = read(tmp_path, "\n".join(dids), subject="places", name="dids.txt")
    assert list(table.settings["obs_publisher_did"]) == dids
    assert table.rejected == 0


def test_identifiers_are_found_by_ucd_and_keep_all_digits(tmp_path: Path) -> None:
    fields = '<FIELD name="who" datatype="long" ucd="meta.id;meta.main"/><FIELD name="n" datatype="int"/>'
    table = read(tmp_path, votable(rows((CANDID, 1)), fields), name="t.vot")
    assert list(table.objects) == [CANDID]
    path = tmp_path / "t.fits"
    Table({"candid": np.array([int(CANDID)], np.int64)}).write(path)
    assert list(read(tmp_path, path.read_bytes(), name="t.fits").alerts) == [CANDID]


def test_a_number_that_has_lost_digits_is_a_fault_of_its_row(tmp_path: Path) -> None:
    path = tmp_path / "t.fits"
    Table({"candid": np.array([float(CANDID), 12.0])}).write(path)
    table = read(tmp_path, path.read_bytes(), name="t.fits")
    (fault,) = [fault for fault in table.faults if not fault.is_warning]
    assert fault.number == 1
    assert "floating-point" in fault.sentence
    assert table.alerts[1] == "12"


def test_rows_of_images_and_rows_of_alerts_stand_in_one_table(tmp_path: Path) -> None:
    text = "survey,ra,dec,objectId\nps1,10,20,\nztf,,,ZTF18a\nps1,x,20,\nztf,,20,ZTF18b\n"
    table = read(tmp_path, text, subject="places")
    assert table.ra_deg[0] == 10.0
    assert np.isnan(table.ra_deg[1:]).all()
    assert list(table.objects) == ["", "ZTF18a", "", "ZTF18b"]
    assert [fault.number for fault in table.faults] == [3, 4]  # half a place is wrong whoever has it


def test_a_table_of_places_is_read_as_ever(tmp_path: Path) -> None:
    table = read(tmp_path, "objectId,ra,dec,kind,size\nZTF18a,10,20,star,30\n", subject="places")
    assert (list(table.ids), list(table.objects)) == (["ZTF18a"], [])
    assert "kind" not in table.settings
    assert table.settings["size"] == ["30"]


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("ra,dec\n1,2\n", "alerts"),
        ("1 2\n3 4\n", "alerts"),
        ("objectId\nZTF18a\n", "places"),
        ("a,b\nx,y\n", "alerts"),
    ],
)
def test_a_table_that_names_nothing_of_use_is_refused(tmp_path: Path, text: str, subject: Subject) -> None:
    with pytest.raises(
        UploadRefused, match=r"no column names objects or alerts|right ascension and declination"
    ):
        read(tmp_path, text, subject=subject)


def test_where_both_are_asked_for_places_are_read_too(tmp_path: Path) -> None:
    table = read(tmp_path, "objectId,ra,dec,size\nZTF18a,10,20,30arcsec\n", subject="both")
    assert (table.objects[0], table.ids[0], table.ra_deg[0]) == ("ZTF18a", "ZTF18a", 10.0)
    assert table.settings["size"] == ["30arcsec"]
