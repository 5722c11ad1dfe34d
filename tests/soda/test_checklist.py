"""Lines of the checklist, one test each, through HTTP: number grammar, limits of values, filters, errors."""

from __future__ import annotations

import io
import re
from urllib.parse import urlencode

import numpy as np
import pytest
from astropy.io import fits
from flask.testing import FlaskClient
from numpy.typing import NDArray
from werkzeug.test import TestResponse

from tests.support.service import did, pixels_of

# Ten pixels of radius about the centre of tile `a`, which lies between four pixels.
CIRCLE = "150.0 0.0 0.0027"
INSIDE = (slice(90, 110), slice(90, 110))


def get(client: FlaskClient, **parameters: str) -> TestResponse:
    return client.get("/sync", query_string=urlencode({"ID": did("tiny/g/a"), **parameters}))


def pixels(answer: TestResponse) -> NDArray[np.float32]:
    assert answer.status_code == 200, answer.text
    with fits.open(io.BytesIO(answer.data)) as hdus:
        return np.array(hdus[0].data)


def refused(answer: TestResponse, *said: str) -> None:
    assert answer.status_code == 400
    assert answer.text.startswith("UsageError: ")
    for words in said:
        assert words in answer.text


def test_soda_01_sync_is_one_segment_beside_the_capabilities(client: FlaskClient) -> None:
    document = client.get("/capabilities").text
    assert "http://localhost/sync</accessURL>" in document
    assert get(client, CIRCLE=CIRCLE).status_code == 200


@pytest.mark.parametrize(
    ("wanted", "columns"),
    [
        ("149.9973 +Inf -0.0027 0.0027", slice(0, 110)),  # up to 360 degrees
        ("-Inf 150.0027 -0.0027 0.0027", slice(90, 200)),
        ("-inf inf -0.0027 0.0027", slice(0, 200)),
    ],
)
def test_soda_34_open_ends_in_right_ascension(client: FlaskClient, wanted: str, columns: slice) -> None:
    np.testing.assert_array_equal(pixels(get(client, POS=f"RANGE {wanted}")), pixels_of("a")[90:110, columns])


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [("-0.0027 +Inf", slice(90, 200)), ("-Inf 0.0027", slice(0, 110)), ("-INF +InF", slice(0, 200))],
)
def test_soda_34_open_ends_in_declination(client: FlaskClient, wanted: str, rows: slice) -> None:
    np.testing.assert_array_equal(
        pixels(get(client, POS=f"RANGE 149.9973 150.0027 {wanted}")), pixels_of("a")[rows, 90:110]
    )


def test_soda_34_an_open_polar_cap(client: FlaskClient) -> None:
    answer = get(client, ID=did("tiny/g"), POS="RANGE -Inf +Inf 89.9973 +Inf")
    np.testing.assert_array_equal(pixels(answer), pixels_of("pole")[90:110, 90:110])


def test_soda_36_a_range_upside_down(client: FlaskClient) -> None:
    refused(get(client, POS="RANGE 149 151 1 -1"), "POS RANGE: dec1 is above dec2", "149 151 1 -1")


@pytest.mark.parametrize("value", ["150 0", "150 0 1 1", "150", ""])
def test_soda_37_a_circle_has_three_numbers(client: FlaskClient, value: str) -> None:
    for name, text in (("CIRCLE", value), ("POS", f"CIRCLE {value}")):
        if text:
            refused(get(client, **{name: text}), "CIRCLE needs 3 numbers", "150.1 2.2 0.02")


@pytest.mark.parametrize("radius", ["0", "-1", "180.0001", "1e300", "-0"])
def test_soda_37_a_radius_is_above_0_and_at_most_180(client: FlaskClient, radius: str) -> None:
    refused(get(client, CIRCLE=f"150 0 {radius}"), "CIRCLE: the radius must be above 0 and at most 180")


def test_soda_37_the_smallest_and_the_largest_radius(client: FlaskClient) -> None:
    assert pixels(get(client, CIRCLE="150.00001 0.00001 5e-324")).shape == (1, 1)
    refused(get(client, CIRCLE="150 0 180"), "this cutout would be 200 x 200 px")


@pytest.mark.parametrize("value", ["150 0 151 0", "150 0 151 0 151", "150 0 151 0 151 1 150"])
def test_soda_38_a_polygon_has_an_even_count_of_six_or_more(client: FlaskClient, value: str) -> None:
    said = ("POLYGON needs an even count of at least 6 numbers", f"got {len(value.split())}")
    refused(get(client, POLYGON=value), *said)
    refused(get(client, POS=f"POLYGON {value}"), *said)


@pytest.mark.parametrize(
    "region",
    [
        {"CIRCLE": "150 90.1 1"},
        {"POLYGON": "150 0 151 0 151 -91"},
        {"POS": "RANGE 150 151 -90.5 0"},
        {"POS": "RANGE 150 151 0 90.5"},
        {"CENTER": "150 -90.01", "SIZE": "5px"},
    ],
)
def test_soda_43_latitudes_end_at_90(client: FlaskClient, region: dict[str, str]) -> None:
    refused(get(client, **region), "the latitude must be -90 to 90 degrees")


@pytest.mark.parametrize(
    ("band", "status"),
    [
        ("4e-7 5.5e-7", 200),
        ("1e-7 4e-7", 200),  # limits belong to the interval
        ("5.5e-7 1", 200),
        ("5.500001e-7 1", 204),
        ("1e-7 3.99999e-7", 204),
        ("400 550", 204),  # nanometres
    ],
)
def test_soda_60_band_is_wavelength_in_metres(client: FlaskClient, band: str, status: int) -> None:
    assert get(client, CIRCLE=CIRCLE, BAND=band).status_code == status


@pytest.mark.parametrize(
    ("band", "status"), [("5e-7 5e-7", 200), ("5e-7", 200), ("6e-7 6e-7", 204), ("6e-7", 204)]
)
def test_soda_62_soda_63_one_wavelength(client: FlaskClient, band: str, status: int) -> None:
    assert get(client, CIRCLE=CIRCLE, BAND=band).status_code == status


def test_soda_63_one_value_and_the_pair_are_the_same_question(client: FlaskClient) -> None:
    one, pair = (get(client, CIRCLE=CIRCLE, BAND=band) for band in ("5e-7", "5e-7 5e-7"))
    assert one.data == pair.data
    assert one.headers["ETag"] == pair.headers["ETag"]


@pytest.mark.parametrize("name", ["BAND", "TIME"])
def test_soda_64_intervals_run_upwards(client: FlaskClient, name: str) -> None:
    refused(get(client, **{name: "2 1"}), f"{name}: the lower limit is above the upper one", '"2 1"')


@pytest.mark.parametrize("time", ["2020-01-01", "2020-01-01T00:00:00 2020-01-02T00:00:00", "59000Z"])
def test_soda_67_times_are_mjd(client: FlaskClient, time: str) -> None:
    refused(get(client, TIME=time), "TIME", "MJD")


def test_soda_86_http_06_sync_answers_at_once(client: FlaskClient) -> None:
    answers = [get(client, CIRCLE=CIRCLE), get(client, CIRCLE="10 10 1"), get(client), client.get("/sync/")]
    assert not any(300 <= answer.status_code < 400 or "Location" in answer.headers for answer in answers)


def test_soda_87_moc_is_not_a_parameter_of_soda_1_0(client: FlaskClient) -> None:
    refused(get(client, MOC="4/30-33"), "MOC is not a parameter of this resource")


def test_dali_15_errors_are_4xx_in_plain_text(client: FlaskClient) -> None:
    for answer, status in (
        (get(client, CIRCLE="1"), 400),
        (get(client, ID="x"), 404),
        (client.put("/sync"), 405),
    ):
        assert answer.status_code == status
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    "region",
    [
        {"CIRCLE": "150 0 0.05"},
        {"CIRCLE": "150 0 180"},
        {"POLYGON": "149.95 -0.05 150.05 -0.05 150 0.05"},
        {"POS": "RANGE 149 151 -1 1"},
        {"CENTER": "150 0", "SIZE": "1000px"},
        {"CENTER": "150 0", "SIZE": "100deg 0.0003deg"},
        {"CENTER": "150 0", "SIZE": "5deg 0.2deg"},
        {},
    ],
)
def test_the_nearest_size_that_is_named_is_accepted(client: FlaskClient, region: dict[str, str]) -> None:
    answer = get(client, **region)
    refused(answer, "this cutout would be ", "the limit is 30000 px (0.1 MB)")
    said = answer.text.splitlines()[0]
    if radius := re.search(r"radius of at most (\S+) deg", said):
        nearest = {"CIRCLE": f"150 0 {radius[1]}"}
    elif size := re.search(r"ask for SIZE=(\d+px \d+px) at most", said):
        nearest = region | {"SIZE": size[1]}
    else:
        box = re.search(r"CENTER=(\S+ \S+) with SIZE=(\d+px \d+px)", said)
        assert box, said
        nearest = {"CENTER": box[1], "SIZE": box[2]}
    assert 25_000 < pixels(get(client, **nearest)).size <= 30_000


@pytest.mark.parametrize(
    ("dataset", "region", "names"),
    [
        ("nights", {"CIRCLE": CIRCLE}, ["nights/g/first", "nights/g/second"]),
        ("nights/g", {"CIRCLE": CIRCLE, "TIME": "58000 60000"}, ["nights/g/first", "nights/g/second"]),
    ],
)
def test_where_several_are_needed_each_is_named_and_can_be_asked(
    client: FlaskClient, dataset: str, region: dict[str, str], names: list[str]
) -> None:
    answer = get(client, ID=did(dataset), **region)
    refused(answer, *map(did, names))
    found = re.search(r"^IDs: (.+)$", answer.text, re.MULTILINE)
    assert found, answer.text
    assert found[1].split(", ") == [did(name) for name in names]
    for name in names:
        assert get(client, **region | {"ID": did(name)}).status_code == 200
