"""BAND, TIME and POL on the axes of cubes, through HTTP."""

from __future__ import annotations

import io
from urllib.parse import urlencode

import numpy as np
import pytest
from astropy.io import fits
from flask.testing import FlaskClient
from numpy.typing import NDArray
from werkzeug.test import TestResponse

from config.app import create_app
from tests.support.service import SCALE_DEG, did, index_all, settings_of, write_surveys

CUBES = """
title = "Cubes"
kind = "exposures"
root = "cubes"
pixel_scale = 1.0
[bands]
x = { em_min_m = 1e-9, em_max_m = 1.0 }
[layers.image]
path = "{name}_{band}.fits"
"""
C = 299_792_458.0
SHAPE = (4, 8, 20, 20)  # I Q U V; 100 to 107 GHz; 20 x 20 pixels
PIXELS: NDArray[np.float32] = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)


def header_of(third: str, **cards: object) -> fits.Header:
    header = fits.Header()
    for axis, ctype in ((1, "RA---TAN"), (2, "DEC--TAN"), (3, third), (4, "STOKES")):
        header[f"CTYPE{axis}"] = ctype
    for axis, value, step in ((1, 150.0, -SCALE_DEG), (2, 0.0, SCALE_DEG), (3, 100e9, 1e9), (4, 1.0, 1.0)):
        header[f"CRVAL{axis}"], header[f"CDELT{axis}"] = value, step
        header[f"CRPIX{axis}"] = 10.5 if axis < 3 else 1.0
    header.update(cards)
    return header


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    folder = tmp_path_factory.mktemp("cubes")
    settings = settings_of(folder)
    write_surveys(folder)
    (folder / "cubes").mkdir()
    (folder / "declarations" / "cubes.toml").write_text(CUBES)
    written = {
        "lines": header_of("FREQ", SPECSYS="BARYCENT"),
        "ground": header_of("FREQ", SPECSYS="TOPOCENT"),
        "speeds": header_of("VRAD"),
        "hours": header_of("TIME", CUNIT3="s", CRVAL3=0.0, CDELT3=3600.0, MJDREF=59000.0),
    }
    for name, header in written.items():
        fits.PrimaryHDU(PIXELS, header).writeto(folder / "cubes" / f"{name}_x.fits")
    index_all(settings)
    return create_app(settings).test_client()


def get(client: FlaskClient, name: str = "lines", *pol: str, **parameters: str) -> TestResponse:
    query = [("ID", did(f"cubes/x/{name}_x")), *parameters.items(), *(("POL", state) for state in pol)]
    return client.get("/sync", query_string=urlencode(query))


def pixels(answer: TestResponse) -> NDArray[np.float32]:
    assert answer.status_code == 200, answer.text
    with fits.open(io.BytesIO(answer.data)) as hdus:
        return np.array(hdus[0].data)


def metres(*gigahertz: float) -> str:
    return " ".join(repr(C / (value * 1e9)) for value in gigahertz)


@pytest.mark.parametrize(
    ("band", "channels"),
    [
        (metres(104.4, 101.6), slice(2, 5)),
        (metres(103.0, 103.0), slice(3, 4)),
        (metres(103.0), slice(3, 4)),
        (f"-Inf {metres(105.6)}", slice(6, 8)),
        (f"{metres(101.4)} +Inf", slice(0, 2)),
        ("-Inf +Inf", slice(0, 8)),
    ],
)
def test_soda_60_to_soda_63_bands(client: FlaskClient, band: str, channels: slice) -> None:
    np.testing.assert_array_equal(pixels(get(client, BAND=band)), PIXELS[:, channels])


def test_soda_64_a_band_that_runs_backwards_is_refused(client: FlaskClient) -> None:
    answer = get(client, BAND=metres(101.0, 104.0))
    assert answer.status_code == 400
    assert answer.text.startswith("UsageError: BAND")


@pytest.mark.parametrize(("low", "high", "hours"), [(2.6, 4.4, slice(3, 5)), (3.0, 3.0, slice(3, 4))])
def test_soda_66_times(client: FlaskClient, low: float, high: float, hours: slice) -> None:
    answer = get(client, "hours", TIME=f"{59000 + low / 24!r} {59000 + high / 24!r}")
    np.testing.assert_array_equal(pixels(answer), PIXELS[:, hours])


def test_soda_67_no_calendar(client: FlaskClient) -> None:
    answer = get(client, "hours", TIME="2020-05-31T00:00:00 2020-05-31T01:00:00")
    assert answer.status_code == 400
    assert answer.text.startswith("UsageError: TIME")


def test_soda_68_states_are_written_as_they_are(client: FlaskClient) -> None:
    assert get(client, "lines", "i").status_code == 400


@pytest.mark.parametrize(
    ("states", "planes"),
    [(("V",), slice(3, 4)), (("I", "V"), slice(0, 4, 3)), (("V", "RR", "Q"), slice(1, 4, 2))],
)
def test_soda_15_soda_69_states_are_one_filter(
    client: FlaskClient, states: tuple[str, ...], planes: slice
) -> None:
    np.testing.assert_array_equal(pixels(get(client, "lines", *states)), PIXELS[planes])


def test_soda_69_states_that_come_along_are_named(client: FlaskClient) -> None:
    answer = get(client, "lines", "I", "Q", "V")
    np.testing.assert_array_equal(pixels(answer), PIXELS)
    assert answer.headers["X-Cutout-Remark"] == (
        "POL: U came along, as the planes of an axis are evenly spaced"
    )


@pytest.mark.parametrize(
    ("name", "states", "parameters"),
    [
        ("lines", (), {"BAND": metres(201.0, 200.0)}),
        ("lines", ("XX", "POLI"), {}),
        ("hours", (), {"TIME": "60000 60001"}),
        ("lines", ("XX",), {"BAND": metres(103.0)}),
    ],
)
def test_soda_03_nothing_left(
    client: FlaskClient, name: str, states: tuple[str, ...], parameters: dict[str, str]
) -> None:
    answer = get(client, name, *states, **parameters)
    assert answer.status_code == 204
    assert answer.data == b""


def test_soda_11_everything_together(client: FlaskClient) -> None:
    answer = get(client, "lines", "Q", "U", BAND=metres(103.2, 102.8), CENTER="150 0", SIZE="4px")
    np.testing.assert_array_equal(pixels(answer), PIXELS[1:3, 3:4, 8:12, 8:12])
    assert "_ch4_pol2-3.fits" in answer.headers["Content-Disposition"]
    query = {"ID": did("cubes/x/lines_x"), "POL": ["Q", "U"], "BAND": metres(103.2, 102.8)}
    place = {"CENTER": "150 0", "SIZE": "4px"}
    head = client.head("/sync", query_string=urlencode(query | place, doseq=True))
    assert int(head.headers["Content-Length"]) == len(answer.data)


def test_frames_that_are_not_converted_are_said_so(client: FlaskClient) -> None:
    said = "BAND: the spectral axis is TOPOCENT, not converted to barycentric"
    answer = get(client, "ground", BAND=metres(103.0))
    assert answer.headers["X-Cutout-Remark"] == said
    with fits.open(io.BytesIO(answer.data)) as hdus:
        assert said in "".join(str(line).ljust(72) for line in hdus[0].header["HISTORY"])
    assert "X-Cutout-Remark" not in get(client, "lines", BAND=metres(103.0)).headers


def test_a_velocity_without_a_rest_frequency_is_a_usage_error(client: FlaskClient) -> None:
    answer = get(client, "speeds", BAND="1e-3 2e-3")
    assert answer.status_code == 400
    assert answer.text.startswith("UsageError: BAND cannot be applied to cubes/x/speeds_x")
    assert "neither RESTFRQ nor RESTWAV" in answer.text
    assert get(client, "speeds").status_code == 200


def test_each_channel_has_an_etag_of_its_own(client: FlaskClient) -> None:
    again = get(client, "lines", BAND=metres(103.0))
    assert again.headers["ETag"] == get(client, "lines", BAND=metres(103.0)).headers["ETag"]
    assert again.headers["ETag"] != get(client, "lines", BAND=metres(104.0)).headers["ETag"]


def test_limits_of_links_are_those_of_the_channels(client: FlaskClient) -> None:
    answer = client.get("/links", query_string=urlencode({"ID": did("cubes/x/lines_x")}))
    low, high = C / 107.5e9, C / 99.5e9
    assert f'value="{low!r}"' in answer.text
    assert f'value="{high!r}"' in answer.text
