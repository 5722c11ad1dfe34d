"""A declaration of alerts becomes a survey with a lake, or an error that names what is wrong with it."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from surveys.declaration import parse_survey
from surveys.errors import DeclarationError
from surveys.lake import Lake, StampKind
from surveys.survey import Survey

GOOD: dict[str, Any] = {
    "title": "Alerts",
    "kind": "alerts",
    "root": "ztf-alerts",
    "path": "**/*.parquet",
    "pixel_scale": 1.01,
    "stamp_radius": 32.0,
    "orientation": "flip-y",
    "known_as": ["hdfs://broker:8020/user/fink/"],
    "bands": {"g": {"em_min_m": 3.7e-7, "em_max_m": 5.6e-7, "word": "1"}},
    "columns": {
        "object": "objectId",
        "candidate": ["candid", "diaSourceId"],
        "ra": "candidate.ra",
        "dec": "candidate.dec",
        "time": {"column": "candidate.jd", "format": "jd", "scale": "utc"},
        "band": "{filter}",
    },
    "stamps": {"Science": ["cutoutScience.stampData", "cutoutScience"], "Template": "cutoutTemplate"},
    "fix": {"CTYPE1": "RA---TAN"},
    "publisher": {"name": "A broker"},
}


def parse(changes: dict[str, Any]) -> Survey:
    """The good declaration with keys (``a.b``) set, or taken out where the value is `...`."""
    content = deepcopy(GOOD)
    for place, value in changes.items():
        *tables, key = place.split(".")
        table = content
        for name in tables:
            table = table.setdefault(name, {})
        if value is ...:
            del table[key]
        else:
            table[key] = value
    return parse_survey(content, "good.toml", "good", Path("/data"))


def lake(changes: dict[str, Any]) -> Lake:
    found = parse(changes).lake
    assert found is not None
    return found


def test_a_declaration_of_alerts_becomes_a_survey_with_a_lake() -> None:
    survey = parse({})
    assert (survey.kind, survey.layers, survey.roots) == ("alerts", (), (Path("/data/ztf-alerts"),))
    assert (survey.pixel_scale_arcsec, survey.calib_level) == (1.01, 2)
    assert (survey.obs_collection, survey.publisher.name) == ("Alerts", "A broker")
    assert survey.fix == {"CTYPE1": "RA---TAN"}
    assert survey.band("G").words == ("1",)
    assert survey.is_public
    found = lake({})
    assert (found.root, found.path, found.orientation) == ("/data/ztf-alerts", "**/*.parquet", "flip-y")
    assert found.known_as == ("hdfs://broker:8020/user/fink",)
    assert found.stamp_radius_deg == pytest.approx(32 / 3600)
    assert found.columns.candidate == ("candid", "diaSourceId")
    assert (found.columns.time, found.time_format, found.time_scale) == (("candidate.jd",), "jd", "utc")
    assert found.columns.band == ("{filter}",)
    assert found.stamp("SCIENCE") == StampKind("Science", ("cutoutScience.stampData", "cutoutScience"))
    assert [kind.name for kind in found.stamps] == ["Science", "Template"]


def test_a_lake_may_be_at_a_url() -> None:
    changes = {"root": "s3://bucket/alerts/", "storage": {"client_kwargs": {"region_name": "eu"}}}
    assert parse(changes).roots == ()
    found = lake(changes)
    assert (found.root, found.is_remote) == ("s3://bucket/alerts", True)
    assert found.storage_options == {"client_kwargs": {"region_name": "eu"}}
    assert "eu" not in repr(found), "options may be secret"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"root": ...}, "root: expected a value: this key is required"),
        ({"root": ["a", "b"]}, "root: expected a text"),
        ({"root": "file:///data"}, "root: expected a folder, or a URL such as s3://"),
        ({"root": "simplecache::s3://bucket"}, "root: expected a folder, or a URL such as s3://"),
        ({"root": "s3://bucket/../other"}, "root: expected a folder, or a URL such as s3://"),
        ({"root": "s3://"}, "root: expected a folder, or a URL such as s3://"),
        ({"access": {"datasets": [{"match": "object/*"}]}}, 'match: expected "alert/<number>"'),
        ({"path": ...}, "path: expected a value: this key is required"),
        ({"path": "../*.parquet"}, "path: expected a path relative to the root"),
        ({"stamp_radius": ...}, "stamp_radius: expected a value: this key is required"),
        ({"stamp_radius": 0}, "stamp_radius: expected a number above 0"),
        ({"orientation": "up"}, "orientation: expected one of as-stored, flip-x, flip-y, rotate-180"),
        ({"known_as": ["hdfs://a/../b"]}, "known_as: expected folders or URLs of folders"),
        ({"columns": ...}, "columns: expected a value: this key is required"),
        ({"columns.ra": ...}, "columns.ra: expected a value: this key is required"),
        ({"columns.ra": "candidate..ra"}, "columns.ra: expected columns, such as candidate.ra"),
        ({"columns.band": "{x}{y}"}, "columns.band: expected columns, such as candidate.ra"),
        ({"columns.colour": "x"}, "columns.colour: unknown key"),
        ({"columns.time": "jd"}, "columns.time: expected a table"),
        ({"columns.time.format": "unix"}, "columns.time.format: expected one of jd, mjd"),
        ({"columns.time.scale": "tdb"}, "columns.time.scale: expected one of utc, tai"),
        ({"columns.time.zone": "x"}, "columns.time.zone: unknown key"),
        ({"stamps": {}}, "stamps: expected a table"),
        ({"stamps.All": "x"}, "stamps.All: expected a kind named by letters"),
        ({"stamps.a b": "x"}, "stamps.a b: expected a kind named by letters"),
        ({"stamps.science": "x"}, "the stamps Science and science differ by case alone"),
        ({"stamps.Science": []}, "stamps.Science: expected at least one text"),
        ({"layers": {"image": {"path": "x"}}}, "layers: unknown key"),
        ({"zeropoint": 25.0}, "zeropoint: unknown key"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DeclarationError) as error:
        parse(changes)
    assert str(error.value).startswith("good.toml: ")
    assert sentence in str(error.value)
