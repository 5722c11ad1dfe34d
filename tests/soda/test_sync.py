"""SODA sync through HTTP: the pixels are known, so every answer has one truth."""

from __future__ import annotations

import io
from urllib.parse import urlencode

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from flask.testing import FlaskClient
from numpy.typing import NDArray
from werkzeug.test import TestResponse

from tests.support.service import BASE, SIDE, did, pixels_of

Pairs = dict[str, str | list[str]]

# Ten pixels of radius about the centre of tile `a`, which lies between four pixels.
CIRCLE = "150.0 0.0 0.0027"
INSIDE = (slice(90, 110), slice(90, 110))


def get(client: FlaskClient, **parameters: str | list[str]) -> TestResponse:
    return client.get("/sync", query_string=urlencode(parameters, doseq=True))


def pixels(answer: TestResponse) -> NDArray[np.float32]:
    assert answer.status_code == 200, answer.text
    with fits.open(io.BytesIO(answer.data)) as hdus:
        return np.array(hdus[0].data)


def test_soda_02_soda_10_the_pixels_that_overlap(client: FlaskClient) -> None:
    answer = get(client, ID=did("tiny/g/a"), CIRCLE=CIRCLE)
    assert answer.headers["Content-Type"] == "application/fits"
    np.testing.assert_array_equal(pixels(answer), pixels_of("a")[INSIDE])


def test_soda_04_the_whole_image_is_refused_where_it_is_too_large(client: FlaskClient) -> None:
    answer = get(client, ID=did("tiny/g/a"))
    assert answer.status_code == 400
    assert "200 x 200" in answer.text


def test_soda_09_a_region_larger_than_the_data(client: FlaskClient) -> None:
    answer = get(client, ID=did("tiny/g/a"), POS="RANGE 149.99 150.01 -90 90")
    np.testing.assert_array_equal(pixels(answer), pixels_of("a")[:, 64:136])
    assert answer.headers["X-Cutout-Clipped"] == "true"


@pytest.mark.parametrize("dataset", ["tiny/g/a", "tiny/g", "TINY/G/A", "Tiny/g"])
def test_soda_08_image_and_band_and_case(client: FlaskClient, dataset: str) -> None:
    np.testing.assert_array_equal(pixels(get(client, ID=did(dataset), CIRCLE=CIRCLE)), pixels_of("a")[INSIDE])


@pytest.mark.parametrize("choice", [{"FILTER": "r"}, {"BAND": "600e-9"}, {"BAND": "5.7e-7 +Inf"}])
def test_survey_id_with_a_band_chosen(client: FlaskClient, choice: dict[str, str]) -> None:
    answer = get(client, ID=did("tiny"), CIRCLE=CIRCLE, **choice)
    np.testing.assert_array_equal(pixels(answer), pixels_of("a", "r")[INSIDE])


@pytest.mark.parametrize(
    "same",
    [
        {"POS": f"CIRCLE {CIRCLE}"},
        {"pos": f"circle {CIRCLE}"},
        {"Circle": "  150   0 .0027"},
        {"CIRCLE": "-210 0 .0027"},
    ],
)
def test_soda_30_http_01_same_question_same_bytes(client: FlaskClient, same: dict[str, str]) -> None:
    one, other = get(client, ID=did("tiny/g/a"), CIRCLE=CIRCLE), get(client, ID=did("tiny/g/a"), **same)
    assert one.data == other.data
    assert one.headers["ETag"] == other.headers["ETag"]


@pytest.mark.parametrize("winding", [1, -1])
def test_soda_39_soda_40_polygon(client: FlaskClient, winding: int) -> None:
    corners = [(150.0027, -0.0027), (149.9973, -0.0027), (149.9973, 0.0027), (150.0027, 0.0027)][::winding]
    text = " ".join(f"{ra} {dec}" for ra, dec in corners)
    for parameters in ({"POLYGON": text}, {"POS": f"POLYGON {text}"}):
        np.testing.assert_array_equal(
            pixels(get(client, ID=did("tiny/g"), **parameters)), pixels_of("a")[INSIDE]
        )


def test_soda_32_range(client: FlaskClient) -> None:
    answer = get(client, ID=did("tiny/g/a"), POS="RANGE 149.9973 150.0027 -0.0027 0.0027")
    np.testing.assert_array_equal(pixels(answer), pixels_of("a")[INSIDE])


@pytest.mark.parametrize(
    "region",
    [
        {"CIRCLE": "0 -10 0.0027"},
        {"CIRCLE": "360 -10 0.0027"},
        {"POS": "RANGE 359.9973 0.0027 -10.0027 -9.9973"},
        {"POLYGON": "0.0027 -10.0027 359.9973 -10.0027 359.9973 -9.9973 0.0027 -9.9973"},
    ],
)
def test_soda_45_across_ra_0(client: FlaskClient, region: dict[str, str]) -> None:
    found = pixels(get(client, ID=did("tiny/g"), **region))
    np.testing.assert_array_equal(found, pixels_of("zero")[90:110, 90:110])


@pytest.mark.parametrize("region", [{"CIRCLE": "123 90 0.0027"}, {"POS": "RANGE 0 360 89.9973 90"}])
def test_soda_33_soda_45_over_the_pole(client: FlaskClient, region: dict[str, str]) -> None:
    found = pixels(get(client, ID=did("tiny/g"), **region))
    np.testing.assert_array_equal(found, pixels_of("pole")[90:110, 90:110])


@pytest.mark.parametrize("size", ["21px", "21", "21arcsec"])
def test_center_and_size(client: FlaskClient, size: str) -> None:
    answer = get(client, ID=did("tiny/g/a"), CENTER="150 0", SIZE=size)
    assert pixels(answer).shape == (21, 21)
    assert answer.headers["X-Cutout-Padded"] == "false"


def test_center_and_size_beyond_the_edge_is_padded(client: FlaskClient) -> None:
    answer = get(client, ID=did("tiny/g/zero"), CENTER=f"0 {-10 - SIDE / 7200}", SIZE="21px")
    found = pixels(answer)
    assert found.shape == (21, 21)
    assert np.isnan(found).any()
    assert answer.headers["X-Cutout-Padded"] == "true"


def test_mask_blanks_what_is_outside(client: FlaskClient) -> None:
    found = pixels(get(client, ID=did("tiny/g/a"), CIRCLE=CIRCLE, MASK="true"))
    assert np.isnan(found[0, 0])
    assert found[10, 10] == pixels_of("a")[100, 100]


def test_soda_09_clipped(client: FlaskClient) -> None:
    answer = get(client, ID=did("tiny/g/a"), CIRCLE="150.0277 0 0.0027")
    assert answer.headers["X-Cutout-Clipped"] == "true"
    assert pixels(answer).shape[1] < 20
    assert get(client, ID=did("tiny/g/a"), CIRCLE=CIRCLE).headers["X-Cutout-Clipped"] == "false"


@pytest.mark.parametrize(
    "parameters",
    [
        {"CIRCLE": "10 10 0.1"},
        {"POS": "CIRCLE 10 10 0.1"},
        {"POS": "RANGE 10 11 10 11"},
        {"POLYGON": "10 10 11 10 11 11"},
        {"CENTER": "151 0", "SIZE": "5px"},
        {"CIRCLE": CIRCLE, "BAND": "1e-6 2e-6"},
        {"CIRCLE": CIRCLE, "BAND": "500 600"},
        {"CIRCLE": CIRCLE, "POL": "V"},
        {"CIRCLE": CIRCLE, "POL": ["Q", "U"]},
        {"CIRCLE": CIRCLE, "FILTER": "r"},
    ],
)
@pytest.mark.parametrize("dataset", ["tiny/g/a", "tiny/g"])
def test_soda_03_no_overlap_is_204(client: FlaskClient, dataset: str, parameters: Pairs) -> None:
    answer = get(client, ID=did(dataset), **parameters)
    assert answer.status_code == 204
    assert answer.data == b""
    assert answer.headers["X-Cutout-Status"] == "no-overlap"
    assert "Content-Type" not in answer.headers
    assert "Content-Length" not in answer.headers


@pytest.mark.parametrize(
    ("time", "status"),
    [("59000.005", 200), ("58000 58999", 204), ("59000.01 +Inf", 200), ("59000.0101 59000.9", 204)],
)
def test_soda_03_soda_66_time(client: FlaskClient, time: str, status: int) -> None:
    assert get(client, ID=did("nights/g/first"), CIRCLE=CIRCLE, TIME=time).status_code == status


def test_soda_18_no_metadata_no_restriction(client: FlaskClient) -> None:
    answer = get(client, ID=did("tiny/g/a"), CIRCLE=CIRCLE, TIME="1 2")
    assert answer.status_code == 200


@pytest.mark.parametrize(("pol", "status"), [(["I"], 200), (["I", "V"], 200), (["V"], 204)])
def test_soda_69_pol_is_a_union(client: FlaskClient, pol: list[str], status: int) -> None:
    assert get(client, ID=did("tiny/g/a"), CIRCLE=CIRCLE, POL=pol).status_code == status


def test_soda_11_filters_combine_with_and(client: FlaskClient) -> None:
    assert get(client, ID=did("tiny/g/a"), CIRCLE=CIRCLE, BAND="5e-7", POL="I").status_code == 200
    assert get(client, ID=did("tiny/g/a"), CIRCLE=CIRCLE, BAND="5e-7", POL="V").status_code == 204


def test_exposures_want_one_image(client: FlaskClient) -> None:
    answer = get(client, ID=did("nights/g"), CIRCLE=CIRCLE)
    assert answer.status_code == 400
    assert did("nights/g/first") in answer.text
    assert did("nights/g/second") in answer.text
    assert get(client, ID=did("nights/g"), CIRCLE=CIRCLE, TIME="59001.005").status_code == 200


@pytest.mark.parametrize("dataset", ["tiny", "tiny/g"])
def test_a_survey_has_no_whole(client: FlaskClient, dataset: str) -> None:
    answer = get(client, ID=did(dataset))
    assert answer.status_code == 400
    assert "no whole" in answer.text


def test_http_14_a_survey_that_is_not_open(client: FlaskClient) -> None:
    answer = get(client, ID=did("secret/g/a"), CIRCLE=CIRCLE)
    assert answer.status_code == 401
    assert answer.text.startswith("AuthenticationError: ")
    assert answer.headers["WWW-Authenticate"].startswith("ivoa_bearer ")


def test_too_large_names_what_is_allowed(client: FlaskClient) -> None:
    answer = get(client, ID=did("tiny/g/a"), CENTER="150 0", SIZE="1000px")
    assert answer.status_code == 400
    assert "30000 px" in answer.text
    assert "SIZE=173px 173px" in answer.text


PARAMETERS = {"ID": did("tiny/g/a"), "CIRCLE": CIRCLE, "BAND": "3e-7 5e-7"}


def test_http_03_get_and_post_in_both_encodings(client: FlaskClient) -> None:
    expected = get(client, **PARAMETERS)
    form = client.post("/sync", data=PARAMETERS)
    assert form.request.content_type == "application/x-www-form-urlencoded"
    multipart = client.post("/sync", data=PARAMETERS, content_type="multipart/form-data")
    chunked = client.post(
        "/sync",
        input_stream=io.BytesIO(urlencode(PARAMETERS).encode()),
        content_type="application/x-www-form-urlencoded; charset=UTF-8",
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    for answer in (form, multipart, chunked):
        assert answer.status_code == 200
        assert answer.data == expected.data
        assert answer.headers["ETag"] == expected.headers["ETag"]


def test_http_05_query_and_body_are_merged(client: FlaskClient) -> None:
    answer = client.post("/sync", query_string={"ID": did("tiny/g/a")}, data={"CIRCLE": CIRCLE})
    np.testing.assert_array_equal(pixels(answer), pixels_of("a")[INSIDE])
    twice = client.post("/sync", query_string=PARAMETERS, data={"ID": did("tiny/g/a")})
    assert twice.text.startswith("MultiValuedParamNotSupported: ID")


def test_http_08_a_slash_more_is_no_other_resource(client: FlaskClient) -> None:
    expected = get(client, **PARAMETERS).data
    assert client.get("/sync/", query_string=PARAMETERS).data == expected
    assert client.post("/sync/", data=PARAMETERS).data == expected


@pytest.mark.parametrize("path", ["/sync/capabilities", "/sync/availability", "/nothing", "/sync/a/b"])
def test_http_09_http_10_what_is_not_there(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"])
def test_http_10_other_methods(client: FlaskClient, method: str) -> None:
    answer = client.open("/sync", method=method)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    assert answer.text.startswith("UsageError: ")


def test_http_11_headers(client: FlaskClient) -> None:
    answer = get(client, **PARAMETERS)
    headers = answer.headers
    assert int(headers["Content-Length"]) == len(answer.data)
    assert headers["Content-Disposition"].startswith('attachment; filename="')
    assert headers["Content-Disposition"].endswith('.fits"')
    assert headers["Last-Modified"].endswith("GMT")
    assert headers["Cache-Control"] == "public, no-cache"
    assert headers["Link"] == (
        f'<http://localhost/sync?ID={BASE}?tiny/g/a&CIRCLE=150+0+0.0027&BAND=3e-07+5e-07>; rel="canonical"'
    )
    canonical = headers["Link"][1:].partition(">")[0]
    assert client.get(canonical).data == answer.data


def test_http_12_scripts_of_other_sites(client: FlaskClient) -> None:
    for answer in (
        get(client, **PARAMETERS),
        get(client),
        client.get("/nothing"),
        get(client, ID=did("tiny")),
    ):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    seen = client.get("/sync", query_string=PARAMETERS, headers={"Origin": "https://elsewhere.example"})
    assert "X-Cutout-Clipped" in seen.headers["Access-Control-Expose-Headers"]
    asked = client.options("/sync", headers={"Origin": "https://elsewhere.example"})
    assert asked.status_code == 204
    assert asked.headers["Allow"] == asked.headers["Access-Control-Allow-Methods"]
    assert {"GET", "HEAD", "OPTIONS", "POST"} == set(asked.headers["Allow"].replace(" ", "").split(","))


def test_http_15_head(client: FlaskClient) -> None:
    expected = get(client, **PARAMETERS)
    answer = client.head("/sync", query_string=PARAMETERS)
    assert answer.status_code == 200
    assert answer.data == b""
    for name in ("Content-Type", "Content-Length", "ETag", "Last-Modified", "Content-Disposition", "Link"):
        assert answer.headers[name] == expected.headers[name]


@pytest.mark.parametrize("media_type", ["application/fits", "image/fits"])
def test_http_16_soda_84_media_type_is_echoed(client: FlaskClient, media_type: str) -> None:
    answer = get(client, **PARAMETERS, RESPONSEFORMAT=media_type)
    assert answer.headers["Content-Type"] == media_type


def test_the_etag_holds_and_tells_apart(client: FlaskClient) -> None:
    first = get(client, **PARAMETERS)
    etag = first.headers["ETag"]
    for value in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        answer = client.get("/sync", query_string=PARAMETERS, headers={"If-None-Match": value})
        assert answer.status_code == 304
        assert answer.data == b""
        assert answer.headers["ETag"] == etag
    changed = client.get("/sync", query_string=PARAMETERS, headers={"If-None-Match": '"other"'})
    assert changed.status_code == 200
    changes = (
        {"CIRCLE": "150.0 0.0 0.0028"},
        {"ID": did("tiny/r/a"), "BAND": "6e-7"},
        {"MASK": "true"},
        {"CHECKSUM": "1"},
    )
    others = [PARAMETERS | change for change in changes]
    etags = [get(client, **other).headers["ETag"] for other in others]
    assert len({etag, *etags}) == 5


def test_the_same_request_gives_the_same_bytes(client: FlaskClient) -> None:
    assert get(client, **PARAMETERS).data == get(client, **PARAMETERS).data


def test_the_sky_of_the_cutout_is_that_of_the_image(client: FlaskClient) -> None:
    with fits.open(io.BytesIO(get(client, **PARAMETERS).data)) as hdus:
        ra, dec = WCS(hdus[0].header).all_pix2world(9.5, 9.5, 0)
    assert (float(ra), float(dec)) == pytest.approx((150.0, 0.0), abs=1e-10)


def test_checksum(client: FlaskClient) -> None:
    answer = get(client, **PARAMETERS, CHECKSUM="true")
    with fits.open(io.BytesIO(answer.data), checksum=True) as hdus:
        assert hdus[0].header["CHECKSUM"]
        assert hdus[0].verify_checksum() == 1
