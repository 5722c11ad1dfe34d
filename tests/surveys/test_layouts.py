"""The example declarations index files with the names and cards of the real surveys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lsst.sphgeom import Angle, Circle, LonLat, UnitVector3d

from config import database
from surveys.declaration import read_survey, read_surveys
from surveys.identifiers import safe_segment
from surveys.index.catalog import Catalog
from surveys.index.ingest import index_survey
from tests.support.alert_service import LAKES
from tests.support.databases import sqlite
from tests.support.layouts import MAKERS

EXAMPLES = Path(database.__file__).parent / "surveys" / "examples"

#: What each layout gives: images, the layers each has, its zero point, its unique area (of the first image).
EXPECTED: dict[str, dict[str, Any]] = {
    "des-dr2": {
        "images": [
            "des-dr2/g/DES0000_0209_r4966p01",
            "des-dr2/g/DES0347-5540_r10000p01",
            "des-dr2/g/DES0347-5540_r4966p01",
            "des-dr2/r/DES0000_0209_r4966p01",
            "des-dr2/r/DES0347-5540_r10000p01",
            "des-dr2/r/DES0347-5540_r4966p01",
        ],
        "layers": {"weight": ("WGT", 3), "mask": ("MSK", 2)},
        "zeropoint": 30.0,
        "unique": {"ra_min": 359.6, "ra_max": 0.4, "dec_min": 1.8, "dec_max": 2.5},
    },
    "legacy-bricks": {
        "images": ["legacy-bricks/g/0959p805", "legacy-bricks/z/0959p805"],
        "layers": {"weight": ("", 1), "mask": ("", 1)},
        "zeropoint": 22.5,
        "unique": {"ra_min": 95.2, "ra_max": 96.7, "dec_min": 80.375, "dec_max": 80.625},
    },
    "panstarrs-stacks": {
        "images": ["panstarrs-stacks/r/skycell.1866.056"],
        "layers": {"weight": ("", 1), "mask": ("", 1)},
        "zeropoint": 30.0,
        "unique": {"border_px": 240},
    },
    "hsc-coadds": {
        "images": ["hsc-coadds/r/9813-4_4"],
        "layers": {"weight": ("VARIANCE", 3), "mask": ("MASK", 2)},
        "zeropoint": 27.0,
        "unique": {"border_px": 100},
    },
    "rubin-coadds": {
        "images": ["rubin-coadds/r/5063-14"],
        "layers": {"weight": ("VARIANCE", 3), "mask": ("MASK", 2)},
        "zeropoint": 31.4,
        "unique": {"border_px": 200},
    },
    "unwise": {
        "images": ["unwise/W1/1866p257"],
        "layers": {"weight": ("", 0)},
        "zeropoint": 22.5,
        "unique": {"border_px": 60},
    },
    "twomass": {
        "images": ["twomass/K/990502s1350080", "twomass/K/990502s1350092"],
        "layers": {},
        "zeropoint": 19.9,
        "unique": None,
    },
    "ztf-references": {
        "images": ["ztf-references/g/000245_c15_q4"],
        "layers": {"weight": ("", 0)},
        "zeropoint": 26.275,
        "unique": None,
    },
}


def test_every_example_is_tried() -> None:
    declared = read_surveys(EXAMPLES, Path("data"))
    # Those of alerts are tried on the real lakes.
    lakes = {survey.name for survey in declared if survey.lake is not None}
    assert lakes == {example for example, _ in LAKES.values()}
    assert {survey.name for survey in declared} - lakes == set(EXPECTED) == set(MAKERS)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_indexes_its_layout(name: str, tmp_path: Path) -> None:
    survey = read_survey(EXAMPLES / f"{name}.toml", tmp_path)
    (root,) = survey.roots
    MAKERS[name](root)
    with sqlite(tmp_path) as engine:
        report = index_survey(engine, survey)
        assert report.refused == ()
        catalog = Catalog(engine, [survey])
        generation = catalog.generation(name)
        expected = EXPECTED[name]
        assert sorted(catalog.datasets(name, generation)) == expected["images"]
        assert all(safe_segment(part) == part for key in expected["images"] for part in key.split("/"))

        record = catalog.record(expected["images"][0], generation)
        companions = catalog.companions(record, generation)
        assert {role: (layer.extname, layer.hdu) for role, layer in companions.items()} == expected["layers"]
        assert all(layer.shape == record.shape for layer in companions.values())
        attributes = catalog.attributes(record)
        assert attributes["zeropoint_mag"] == pytest.approx(expected["zeropoint"])
        assert attributes.get("unique") == expected["unique"]


def test_a_fix_is_in_the_header_and_in_the_wcs(tmp_path: Path) -> None:
    survey = read_survey(EXAMPLES / "unwise.toml", tmp_path)
    MAKERS["unwise"](survey.roots[0])
    with sqlite(tmp_path) as engine:
        index_survey(engine, survey)
        catalog = Catalog(engine, [survey])
        record = catalog.record("unwise/w1/1866p257", catalog.generation("unwise"))
        assert "RADESYS = 'ICRS    '" in catalog.header_text(record)
        assert "RADESYS = 'ICRS    '" in record.wcs_text
        assert (record.t_min_mjd, record.t_max_mjd) == (55203.5, 59000.25)


def test_of_two_reprocessings_the_newest_is_found_and_both_are_known(tmp_path: Path) -> None:
    survey = read_survey(EXAMPLES / "des-dr2.toml", tmp_path)
    MAKERS["des-dr2"](survey.roots[0])
    with sqlite(tmp_path) as engine:
        index_survey(engine, survey)
        catalog = Catalog(engine, [survey])
        generation = catalog.generation("des-dr2")
        old = catalog.record("des-dr2/g/DES0347-5540_r4966p01", generation)
        found = catalog.search("des-dr2", ["g"], _around(56.8, -55.7), generation)
        # r10000 is newer than r4966: numbers in a name sort by their size.
        assert [candidate.dataset for candidate in found] == ["des-dr2/g/DES0347-5540_r10000p01"]
        assert old.file.name == "DES0347-5540_r4966p01_g.fits.fz"


def _around(ra: float, dec: float) -> Circle:
    return Circle(UnitVector3d(LonLat.fromDegrees(ra, dec)), Angle.fromDegrees(1e-3))
