"""Service descriptors against the table of SODA, the footprints of images, and the service itself."""

from __future__ import annotations

import math
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from flask.testing import FlaskClient

from config.app import Parts, assemble
from dali.parameters import Parameters
from dali.votable import Param, ServiceDescriptor, Values
from soda.descriptor import ASYNC, SYNC, Descriptors
from soda.table import IMAGE_TYPES, PARAMETERS
from surveys.errors import UnknownDataset
from surveys.identifiers import Identifiers
from tests.support.service import BASE, did, index_all, settings_of, write_surveys

URL = "https://example.org/soda"
#: Checklist, section 11: UCD, unit, datatype, arraysize, xtype.
STANDARD = {
    "ID": ("meta.id;meta.dataset", "", "char", "*", ""),
    "POS": ("pos.outline;obs", "", "char", "*", ""),
    "CIRCLE": ("pos.outline;obs", "deg", "double", "3", "circle"),
    "POLYGON": ("pos.outline;obs", "deg", "double", "*", "polygon"),
    "BAND": ("em.wl;stat.interval", "m", "double", "2", "interval"),
    "TIME": ("time.interval;obs.exposure", "d", "double", "2", "interval"),
    "POL": ("meta.code;phys.polarization", "", "char", "*", ""),
}
EXTENSIONS = [parameter.name for parameter in PARAMETERS if parameter.extension]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("descriptor")
    write_surveys(folder)
    index_all(settings_of(folder))
    return folder


@pytest.fixture(scope="module")
def parts(folder: Path) -> Parts:
    return assemble(settings_of(folder))


def describe(parts: Parts, dataset: str) -> ServiceDescriptor:
    found, _ = parts.descriptors.of_dataset(parts.catalog.describe(dataset), did(dataset), URL)
    return found


def inputs(descriptor: ServiceDescriptor) -> dict[str, Param]:
    return {param.name: param for param in descriptor.inputs}


def limits(descriptor: ServiceDescriptor, name: str) -> Values | None:
    return inputs(descriptor)[name].values


def test_sd_06_names_ucds_units_and_types(parts: Parts) -> None:
    found, _ = parts.descriptors.of_column("ID", URL)
    told = {
        param.name: (param.ucd, param.unit, param.datatype, param.arraysize, param.xtype)
        for param in found.inputs
    }
    assert {name: told[name] for name in STANDARD} == STANDARD
    assert list(told) == [*STANDARD, *EXTENSIONS, "RESPONSEFORMAT"]


def test_sd_02_sd_08_sd_09_what_the_service_is(parts: Parts) -> None:
    found = describe(parts, "tiny/g/a")
    params = {param.name: param.value for param in found.params}
    assert params.pop("exampleURL")
    assert params == {
        "standardID": "ivo://ivoa.net/std/SODA#sync-1.0",
        "accessURL": f"{URL}/sync",
        "resourceIdentifier": BASE,
        "contentType": "application/fits",
    }
    assert found.utype == "adhoc:service"
    assert "async" not in found.id


def test_sd_04_sd_05_one_dataset(parts: Parts) -> None:
    found = inputs(describe(parts, "tiny/g/a"))
    assert (found["ID"].value, found["ID"].ref) == (did("tiny/g/a"), "")
    assert {param.value for name, param in found.items() if name != "ID"} == {None}


def test_sd_04_a_column_of_datasets_has_no_limits(parts: Parts) -> None:
    found, _ = parts.descriptors.of_column("dids", URL)
    assert (inputs(found)["ID"].value, inputs(found)["ID"].ref) == (None, "dids")
    assert {param.values for param in found.inputs} == {None}


def test_sd_10_sync_and_async_are_described_apart(parts: Parts) -> None:
    both = Descriptors((SYNC, ASYNC), Identifiers(BASE))
    facts = parts.catalog.describe("tiny/g/a")
    for found in (both.of_dataset(facts, did("tiny/g/a"), URL), both.of_column("ID", URL)):
        assert [descriptor.id for descriptor in found] == ["soda", "soda_async"]
        common = len(found[0].inputs)
        assert found[1].inputs[:common] == found[0].inputs
        assert [param.name for param in found[1].inputs[common:]] == ["UPLOAD", "COLUMNS", "ONBAD", "RADIUS"]
        params = {param.name: param.value for param in found[1].params}
        assert params["standardID"] == "ivo://ivoa.net/std/SODA#async-1.0"
        assert params["accessURL"] == f"{URL}/async"
        assert params["contentType"] == "application/xml"
        # A URL is asked by GET, and a job is made by POST: there is no URL to show.
        assert params.keys().isdisjoint({"resourceIdentifier", "exampleURL"})


@pytest.mark.parametrize("tile", ["a", "zero", "pole"])
def test_sd_07_soda_41_the_outline_is_that_of_the_image(parts: Parts, folder: Path, tile: str) -> None:
    found = describe(parts, f"tiny/g/{tile}")
    circle, polygon = limits(found, "CIRCLE"), limits(found, "POLYGON")
    assert circle is not None
    assert polygon is not None
    vertices = np.reshape(polygon.maximum, (-1, 2))
    wcs = WCS(fits.getheader(folder / "tiny" / f"{tile}_g.fits"))
    x, y = wcs.all_world2pix(vertices, 0).T
    # the corners of the image, in degrees of seven decimals
    np.testing.assert_allclose(sorted(x), [-0.5, -0.5, 199.5, 199.5], atol=1e-3)
    np.testing.assert_allclose(sorted(y), [-0.5, -0.5, 199.5, 199.5], atol=1e-3)
    # seen from inside, x runs against the right ascension: clockwise in pixels with north up and east left
    area = np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2
    assert area == pytest.approx(200 * 200, rel=1e-4)
    assert isinstance(circle.maximum, tuple)
    ra, dec, radius = circle.maximum
    separation = [angle(ra, dec, *vertex) for vertex in vertices]
    assert max(separation) <= radius < 1.01 * max(separation)


def angle(ra1: float, dec1: float, ra2: float, dec2: float) -> float:
    a, b = ([math.cos(d) * math.cos(r), math.cos(d) * math.sin(r), math.sin(d)] for r, d in
            ((math.radians(ra1), math.radians(dec1)), (math.radians(ra2), math.radians(dec2))))  # fmt: skip
    return math.degrees(2 * math.asin(math.dist(a, b) / 2))


def test_sd_07_intervals_and_options(parts: Parts) -> None:
    found = describe(parts, "tiny/r/a")
    assert limits(found, "BAND") == Values(560e-9, 700e-9)
    assert limits(found, "POL") == Values(options=("I",))
    assert limits(found, "FILTER") == Values(options=("r",))
    night = describe(parts, "nights/g/first")
    assert limits(night, "TIME") == Values(59000.0, 59000.01)


def test_soda_19_what_restricts_nothing_is_not_offered(parts: Parts) -> None:
    assert "TIME" not in inputs(describe(parts, "tiny/g/a"))
    assert "POL" not in inputs(describe(parts, "nights/g/first"))


@pytest.mark.parametrize(
    ("dataset", "labels"), [("tiny", ("g", "r")), ("tiny/g", ("g",)), ("TINY/G", ("g",))]
)
def test_surveys_and_bands_have_no_outline(parts: Parts, dataset: str, labels: tuple[str, ...]) -> None:
    found = describe(parts, dataset)
    assert limits(found, "CIRCLE") is limits(found, "POLYGON") is limits(found, "TIME") is None
    assert limits(found, "FILTER") == Values(options=labels)
    band = limits(found, "BAND")
    assert band is not None
    assert (band.minimum, band.maximum) == (400e-9, 550e-9 if labels == ("g",) else 700e-9)


@pytest.mark.parametrize(
    "dataset", ["tiny/g/a", "tiny/r/zero", "tiny/g/pole", "tiny/g", "tiny", "nights/g/first", "TINY/G/B"]
)
def test_sd_02_examples_give_data(parts: Parts, client: FlaskClient, dataset: str) -> None:
    params = {param.name: str(param.value) for param in describe(parts, dataset).params}
    url = urlsplit(params["exampleURL"])
    answer = client.get(f"/sync?{url.query}")
    assert answer.status_code == 200, answer.text
    assert len(answer.data) < 100_000


def test_what_has_few_values_says_which(parts: Parts) -> None:
    for parameter in PARAMETERS:
        if parameter.options and parameter.name != "POL":
            told = limits(describe(parts, "tiny"), parameter.name)
            assert told is not None
            # Some formats are of stamps of alerts alone.
            options = tuple(IMAGE_TYPES) if parameter.name == "RESPONSEFORMAT" else parameter.options
            assert told.options == options
    told_of = inputs(describe(parts, "tiny"))
    assert told_of["QUALITY"].description == "Quality of JPEG, 1 to 95"
    assert told_of["POWER"].description.endswith(", a number above 0 and at most 10")


def test_what_nobody_has_filled_in_is_not_null(parts: Parts) -> None:
    """pyvo sends no empty text and no empty array, and fails at an empty number."""
    for param in inputs(describe(parts, "tiny")).values():
        assert param.datatype == "char" or param.arraysize is not None


def test_colour_pictures_are_offered_of_surveys_alone(parts: Parts) -> None:
    of_colour = {parameter.name for parameter in PARAMETERS if parameter.of_colour}
    assert {"RGB", "Q", "ALGORITHM"} < of_colour <= inputs(describe(parts, "tiny")).keys()
    for dataset in ("tiny/g", "tiny/g/a"):
        assert of_colour.isdisjoint(inputs(describe(parts, dataset)))
        assert "STRETCH" in inputs(describe(parts, dataset))


def test_exposures_together_have_no_example(parts: Parts) -> None:
    assert "exampleURL" not in {param.name for param in describe(parts, "nights/g").params}


@pytest.mark.parametrize("dataset", ["tiny/z", "nowhere", "tiny/g/", "tiny/g/a/b", "demo", "demo/r", "/", ""])
def test_what_is_not_there_is_not_described(parts: Parts, dataset: str) -> None:
    with pytest.raises(UnknownDataset):
        parts.catalog.describe(dataset)


@pytest.mark.parametrize(("name", "value"), [("CIRCLE", None), ("POLYGON", None), ("BAND", 0), ("BAND", 1)])
def test_sd_07_limits_give_data(parts: Parts, folder: Path, name: str, value: int | None) -> None:
    """The largest region, and either end of the interval, select pixels."""
    found = limits(describe(parts, "tiny/g/a"), name)
    assert found is not None
    if value is None:
        assert isinstance(found.maximum, tuple)
        text = " ".join(map(str, found.maximum))
    else:
        text = str((found.minimum, found.maximum)[value])
    large = settings_of(folder, {"FOUNTAIN_SYNC__MAX_PIXELS": "50000"})
    parameters = {"ID": did("tiny/g/a"), name: text}
    asked = assemble(large).sync.ask(Parameters.from_pairs(parameters.items()))
    assert asked.plan.grid is not None
    assert asked.plan.grid.pixels == 200 * 200
