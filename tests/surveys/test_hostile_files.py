"""Files made to break an index: each is read rightly or left out with its reason, and stops no other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from surveys.declaration import parse_survey
from surveys.execute import execute
from surveys.fits.source import Source
from surveys.index.catalog import Catalog
from surveys.index.ingest import index_survey
from surveys.index.report import IndexReport
from surveys.planner import Limits, plan_cutout
from surveys.request import CutoutRequest
from surveys.sky.stencil import Circle
from surveys.survey import Survey
from tests.support.databases import sqlite
from tests.support.layouts import pixels, tan_cards, write
from tests.support.tiles import open_product


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with sqlite(tmp_path) as made:
        yield made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "files" / "fine.fits", ("", tan_cards(10, 20, 1), pixels()))
    return tmp_path / "files"


def survey_of(root: Path, **changes: Any) -> Survey:
    content = {
        "title": "Tiles",
        "kind": "exposures",
        "root": str(root),
        "bands": {"g": {"em_min_m": 4e-7, "em_max_m": 5e-7}},
        "layers": {"image": {"path": "**/*.fits"}},
    }
    return parse_survey(content | changes, "tiles.toml", "tiles", root)


def told(report: IndexReport) -> list[str]:
    return [str(refusal) for refusal in report.refused]


def write_card(path: Path, card: str, value: str) -> None:
    """Write an image with `card` as it is given, whatever astropy would say of it."""
    write(path, ("", tan_cards(10, 20, 1) | {card: 12345}, pixels(dtype="i2")))
    right = f"{card:<8}= {12345:>20}".encode()
    content = path.read_bytes()
    assert right in content
    path.write_bytes(content.replace(right, f"{card:<8}= {value:>20}".encode()))


def test_names_that_are_no_text(engine: Engine, root: Path) -> None:
    odd = os.fsencode(root)
    os.link(odd + b"/fine.fits", odd + b"/odd\xff.fits")
    os.mkdir(odd + b"/folder\xfe")
    os.link(odd + b"/fine.fits", odd + b"/folder\xfe/inner.fits")
    report = index_survey(engine, survey_of(root))
    assert told(report) == [f"{name}: its name is not UTF-8" for name in ("folder\\xfe", "odd\\xff.fits")]
    assert Catalog(engine, [survey_of(root)]).datasets("tiles", 1) == ["tiles/g/fine"]


def test_links_to_themselves(engine: Engine, root: Path) -> None:
    os.symlink("loop", root / "loop")
    os.symlink("circle.fits", root / "circle.fits")
    (reason,) = told(index_survey(engine, survey_of(root)))
    assert reason.startswith("circle.fits: it cannot be read: ")
    assert str(root) not in reason


def test_a_blank_larger_than_any_integer(engine: Engine, root: Path) -> None:
    write_card(root / "blank.fits", "BLANK", "1E30")
    assert told(index_survey(engine, survey_of(root))) == []
    assert Catalog(engine, [survey_of(root)]).record("tiles/g/blank", 1).blank is None


@pytest.mark.parametrize("card", ["CRPIX1A", "LTV2", "CNPIX1"])
@pytest.mark.parametrize("value", ["'text'", "1E400", "", "T", "1,5", "1 2"])
def test_what_a_cutout_has_to_shift_must_be_a_number(
    engine: Engine, root: Path, card: str, value: str
) -> None:
    write_card(root / "odd.fits", card, value)
    assert told(index_survey(engine, survey_of(root))) == [
        f"odd.fits[0]: its card {card} is no number, so that a cutout cannot carry it"
    ]


def test_fixed_scaling_is_that_of_record_and_product(engine: Engine, root: Path) -> None:
    write(root / "short.fits", ("", tan_cards(10, 20, 1), pixels(dtype="i2")))
    survey = survey_of(root, fix={"BSCALE": 2.0, "BZERO": 100.0, "BLANK": 619})
    assert told(index_survey(engine, survey)) == []
    catalog = Catalog(engine, [survey])
    record = catalog.record("tiles/g/short", 1)
    assert (record.bscale, record.bzero, record.blank) == (2.0, 100.0, 619)
    request = CutoutRequest("tiles/g/short", Circle(10.0, 20.0, 2.0 / 3600))
    product = execute(plan_cutout(request, catalog, Limits(10**6, 10**7)), catalog, Source()).tobytes()
    stored = open_product(product).data
    assert 619 in stored
    header = open_product(product).header
    assert (header["BSCALE"], header["BZERO"], header["BLANK"]) == (2.0, 100.0, 619)
    assert header["FRAC_OK"] == 1 - 1 / stored.size


def test_rows_of_the_unique_table_without_limits(engine: Engine, root: Path) -> None:
    for name in ("text", "gap", "nan", "twice"):
        os.link(root / "fine.fits", root / f"{name}.fits")
    lines = ["tile,a,b,c,d", "fine,9,11,19,21", "text,nine,11,19,21", "gap,,11,19,21", "nan,nan,11,19,21"]
    (root / "areas.csv").write_text("\n".join(lines))
    unique = {"table": "areas.csv", "key": "tile", "field": "tile"}
    unique |= {"ra_min": "a", "ra_max": "b", "dec_min": "c", "dec_max": "d"}
    survey = survey_of(root, layers={"image": {"path": "{tile}.fits"}}, unique=unique)
    assert told(index_survey(engine, survey)) == [
        f"{name}.fits[0]: the table of unique areas has no limits for its tile"
        for name in ("gap", "nan", "text", "twice")
    ]
    catalog = Catalog(engine, [survey])
    limits = {"ra_min": 9.0, "ra_max": 11.0, "dec_min": 19.0, "dec_max": 21.0}
    assert catalog.attributes(catalog.record("tiles/g/fine", 1)) == {"unique": limits}


Damage = Callable[[bytes], bytes]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content.replace(
            b"NAXIS1  =                   40", b"NAXIS1  = 9999999999999999999999"
        ),
        lambda content: content.replace(b"NAXIS   =                    2", b"NAXIS   =                  999"),
        lambda content: content.replace(b"BITPIX  =                  -32", b"BITPIX  =                   33"),
        lambda content: content.replace(b"CTYPE1  = 'RA---TAN'", b"CTYPE1  = 'RA---TAN "),
        lambda content: content.replace(b"CRVAL1  =", b"CRVAL1   "),
        lambda content: content[:2880] + b"\x00" * 100,
        lambda content: content[:80],
        lambda content: content.replace(b"END", b"ENE"),
        lambda content: b"\x1f\x8b" + content,
        lambda content: content.replace(b" ", b"\xff"),
    ],
)
def test_damaged_headers_stop_nothing(engine: Engine, root: Path, damage: Damage) -> None:
    content = (root / "fine.fits").read_bytes()
    (root / "bad.fits").write_bytes(damage(content))
    report = index_survey(engine, survey_of(root))
    assert all(str(root) not in line and ".py" not in line for line in told(report))
    assert "tiles/g/fine" in Catalog(engine, [survey_of(root)]).datasets("tiles", 1)
    assert report.files == 2
