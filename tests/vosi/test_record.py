"""The registry record: valid, complete, and true to the surveys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from astropy import constants
from astropy import units as u
from click.testing import CliRunner
from flask.testing import FlaskClient
from lsst.sphgeom import HealpixPixelization, LonLat, Region, UnitVector3d
from lxml import etree
from sqlalchemy import select

from config.cli import main
from config.database import make_engine
from config.settings import SettingsError
from soda.table import PARAMETERS
from surveys.index.extent import MOC_ORDER, moc_text, read_extent
from surveys.index.tables import DatasetRow
from tests.support.outside import Validate
from tests.support.service import BASE, TILES, index_all, make_service, settings_of, write_surveys
from vosi.capabilities import VOSI_CAPABILITIES
from vosi.record import Coverage, Record, wavebands, write_record

XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
SPARSE = Record(
    identifier="ivo://example.org/x",
    title="A & <B>",
    short_name="",
    description="d",
    subjects=("sky-surveys",),
    reference_url="https://example.org",
    publisher="P",
    contact="C",
    email="",
    rights="",
    rights_url="",
    created=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    updated=datetime(2026, 2, 3, tzinfo=UTC),
)


def cells_of(text: str) -> set[int]:
    """Cells of the deepest order of an ASCII MOC."""
    cells: set[int] = set()
    order = 0
    for part in text.split():
        head, mark, rest = part.partition("/")
        if mark:
            order, part = int(head), rest
        if part:
            first, _, last = part.partition("-")
            shift = 2 * (MOC_ORDER - order)
            cells |= set(range(int(first) << shift, (int(last or first) + 1) << shift))
    return cells


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("record")
    write_surveys(folder)
    index_all(settings_of(folder))
    return folder


@pytest.fixture
def record(client: FlaskClient) -> etree._Element:
    return etree.fromstring(client.get("/record", base_url="https://here").data)


def test_record_is_valid(client: FlaskClient, validate_record: Validate) -> None:
    answer = client.get("/record")
    assert answer.headers["Content-Type"] == "text/xml"
    assert validate_record(answer.data) == []


@pytest.mark.parametrize(
    "coverage", [Coverage(), Coverage("6/1-3", (59000.0, 60000.0), ((4e-7, 5e-7), (1e-6, 2e-6)))]
)
def test_a_record_of_little_is_valid(validate_record: Validate, coverage: Coverage) -> None:
    written = write_record(replace(SPARSE, coverage=coverage), VOSI_CAPABILITIES, (), "https://example.org")
    assert validate_record(written) == []


def test_record_names_the_service(record: etree._Element) -> None:
    assert record.tag == "{http://www.ivoa.net/xml/RegistryInterface/v1.0}Resource"
    assert record.get(XSI_TYPE) == "vs:CatalogService"
    assert record.get("status") == "active"
    assert record.findtext("identifier") == BASE
    assert record.findtext("content/referenceURL") == "https://here/examples"
    assert "Tiny" in str(record.findtext("content/description"))


def test_record_has_the_capabilities_of_the_service(record: etree._Element, client: FlaskClient) -> None:
    document = etree.fromstring(client.get("/capabilities", base_url="https://here").data)
    own, told = (
        [
            (capability.get("standardID"), capability.findtext("interface/accessURL"))
            for capability in root.iter("capability")
        ]
        for root in (record, document)
    )
    assert own == told
    assert len(own) > 4


def test_cap_14_record_has_the_parameters(record: etree._Element) -> None:
    params = {
        str(capability.get("standardID")).partition("/std/")[2]: {
            str(param.findtext("name")): param for param in capability.iter("param")
        }
        for capability in record.iter("capability")
    }
    sync = params["SODA#sync-1.0"]
    assert [name for name, param in sync.items() if param.get("use") == "required"] == ["ID"]
    extensions = [name for name, param in sync.items() if param.get("std") == "false"]
    assert extensions == [parameter.name for parameter in PARAMETERS if parameter.extension]
    assert {"ID", "MAXREC", "RESPONSEFORMAT"} <= params["DataLink#links-1.1"].keys()
    assert {"POS", "BAND", "TIME"} <= params["SIA#query-2.0"].keys()


def test_record_coverage_holds_every_image(record: etree._Element) -> None:
    cells = cells_of(str(record.findtext("coverage/spatial")))
    healpix = HealpixPixelization(MOC_ORDER)
    for ra, dec in TILES.values():
        for step_ra, step_dec in ((0.0, 0.0), (0.02, -0.02), (-0.02, -0.02)):
            place = UnitVector3d(LonLat.fromDegrees(ra + step_ra, dec + step_dec))
            assert healpix.index(place) in cells
    # four places, each with its neighbourhood of a degree or two
    assert len(cells) < 200
    assert record.findtext("coverage/temporal") == "59000 59001.01"
    assert [found.text for found in record.iterfind("coverage/waveband")] == ["Optical"]


def test_record_spectral_coverage_is_energy(record: etree._Element) -> None:
    found = [list(map(float, str(e.text).split())) for e in record.iterfind("coverage/spectral")]
    expected = [
        (u.Quantity([upper, lower] * u.m)).to_value(u.J, u.spectral())
        for lower, upper in ((400e-9, 550e-9), (560e-9, 700e-9))
    ]
    for pair, energies in zip(found, expected, strict=True):
        assert pair == pytest.approx(list(energies), rel=1e-12)
    assert float(constants.h.si.value) == 6.62607015e-34


def test_extent_holds_every_cell_of_every_image(folder: Path) -> None:
    engine = make_engine(settings_of(folder).data.engine_url)
    extent = read_extent(engine, "tiny")
    cells = {cell for first, end in extent.cells for cell in range(first, end)}
    healpix = HealpixPixelization(MOC_ORDER)
    with engine.connect() as connection:
        covers = list(connection.execute(select(DatasetRow.cover)).scalars())
    engine.dispose()
    assert len(covers) > 8
    for cover in covers:
        touched = healpix.envelope(Region.decode(cover))
        assert {cell for first, end in touched for cell in range(first, end)} <= cells
    assert read_extent(engine, "nothing").cells == ()


def ranges(cells: set[int]) -> Iterator[tuple[int, int]]:
    return ((cell, cell + 1) for cell in cells)


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        (set(), ""),
        ({0, 1, 2, 3}, "5/0 6/"),
        ({0, 1, 2, 4}, "6/0-2 4"),
        (set(range(49152)), "0/0-11 6/"),
        (set(range(4096, 8192)) | {1, 49151}, "0/1 6/1 49151"),
    ],
)
def test_moc_text(cells: set[int], text: str) -> None:
    assert moc_text(ranges(cells)) == text
    assert cells_of(text) == cells


@pytest.mark.parametrize(
    ("bands", "names"),
    [
        ([(400e-9, 550e-9)], ["Optical"]),
        ([(1.1e-6, 1.4e-6)], ["Infrared"]),
        ([(150e-9, 350e-9)], ["UV", "Optical"]),
        ([(0.2, 0.3), (1e-3, 2e-3), (1e-12, 2e-12)], ["Gamma-ray", "Millimeter", "Radio"]),
        ([], []),
    ],
)
def test_wavebands(bands: list[tuple[float, float]], names: list[str]) -> None:
    assert wavebands(bands) == names


def test_record_says_what_the_settings_say(tmp_path: Path, validate_record: Validate) -> None:
    environ = {
        "FOUNTAIN_PUBLISHER__NAME": "Institute & Co",
        "FOUNTAIN_PUBLISHER__CONTACT": "Data desk",
        "FOUNTAIN_PUBLISHER__EMAIL": "data@example.org",
        "FOUNTAIN_RECORD__TITLE": "Our surveys",
        "FOUNTAIN_RECORD__SHORT_NAME": "Ours",
        "FOUNTAIN_RECORD__DESCRIPTION": "What we have",
        "FOUNTAIN_RECORD__SUBJECTS": "sky-surveys, galaxies",
        "FOUNTAIN_RECORD__REFERENCE_URL": "https://example.org/about",
        "FOUNTAIN_RECORD__RIGHTS": "CC BY 4.0",
        "FOUNTAIN_RECORD__RIGHTS_URL": "https://creativecommons.org/licenses/by/4.0/",
        "FOUNTAIN_RECORD__CREATED": "2026-01-31",
        "FOUNTAIN_SERVER__BASE_URL": "https://example.org/soda",
    }
    answer = make_service(tmp_path / "told", environ).test_client().get("/record")
    assert validate_record(answer.data) == []
    root = etree.fromstring(answer.data)
    assert root.get("created") == "2026-01-31T00:00:00Z"
    told = {
        "title": "Our surveys",
        "shortName": "Ours",
        "curation/publisher": "Institute & Co",
        "curation/contact/name": "Data desk",
        "curation/contact/email": "data@example.org",
        "content/description": "What we have",
        "content/referenceURL": "https://example.org/about",
        "rights": "CC BY 4.0",
    }
    assert {path: root.findtext(path) for path in told} == told
    assert [found.text for found in root.iterfind("content/subject")] == ["sky-surveys", "galaxies"]
    urls = [str(found.text) for found in root.iter("accessURL")]
    assert all(url.startswith("https://example.org/soda/") for url in urls)


@pytest.mark.parametrize(
    ("name", "value"), [("TITLE", " "), ("SHORT_NAME", "x" * 17), ("SUBJECTS", "[]"), ("CREATED", "soon")]
)
def test_wrong_settings(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"record.{name.lower()}"):
        settings_of(tmp_path, {f"FOUNTAIN_RECORD__{name}": value})


def test_http_11_purx_asks_whether_it_changed(client: FlaskClient) -> None:
    answer = client.get("/record")
    root = etree.fromstring(answer.data)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", str(root.get("updated")))
    again = client.get("/record", headers={"If-Modified-Since": answer.headers["Last-Modified"]})
    assert again.status_code == 304


def test_fountain_record_writes_the_same(folder: Path, validate_record: Validate) -> None:
    environ = {
        "FOUNTAIN_DATA__FOLDER": str(folder),
        "FOUNTAIN_SURVEYS__DECLARATIONS": str(folder / "declarations"),
    }
    run = CliRunner().invoke(main, ["record", "--url", "https://example.org/soda/"], env=environ)
    assert run.exit_code == 0, run.output
    assert validate_record(run.stdout.encode()) == []
    assert "https://example.org/soda/capabilities" in run.stdout
    for missing in ("identifiers.base", "publisher.name", "publisher.email", "record.rights"):
        assert missing in run.stderr


def test_fountain_record_needs_an_address(folder: Path) -> None:
    run = CliRunner().invoke(main, ["record"], env={"FOUNTAIN_DATA__FOLDER": str(folder)})
    assert run.exit_code != 0
    assert "--url" in run.stderr
