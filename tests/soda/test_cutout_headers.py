"""What the headers of an answer say of its pixels."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from astropy.io import fits
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config.app import create_app
from tests.support.service import did, header_at, index_all, settings_of, write_surveys

CUBES = """
title = "Cubes"
kind = "exposures"
root = "cubes"
dataset = "{cube}"
[bands]
radio = { em_min_m = 0.2, em_max_m = 0.22 }
[layers.image]
path = "{cube}_{band}.fits"
"""
HERE = {"CIRCLE": "150 0 0.0027"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    folder = tmp_path_factory.mktemp("headers")
    write_surveys(folder)
    write_cubes(folder)
    settings = settings_of(folder)
    index_all(settings)
    return create_app(settings).test_client()


def write_cubes(folder: Path) -> None:
    """Ten channels of 1 MHz from 1400 MHz on, in two frames."""
    (folder / "cubes").mkdir()
    (folder / "declarations" / "cubes.toml").write_text(CUBES)
    for name, frame in (("earth", "TOPOCENT"), ("sun", "BARYCENT")):
        header = header_at(150.0, 0.0)
        header.update({"CTYPE3": "FREQ", "CUNIT3": "Hz", "CRPIX3": 1.0, "CRVAL3": 1.4e9, "CDELT3": 1e6})
        header["SPECSYS"] = frame
        pixels = np.ones((10, 200, 200), np.float32)
        fits.PrimaryHDU(pixels, header).writeto(folder / "cubes" / f"{name}_radio.fits")


def get(client: FlaskClient, dataset: str, **parameters: str) -> TestResponse:
    answer = client.get("/sync", query_string=urlencode({"ID": did(dataset), **HERE, **parameters}))
    assert answer.status_code == 200, answer.text
    return answer


def said(answer: TestResponse) -> dict[str, str]:
    prefix = "X-Cutout-"
    return {name[len(prefix) :]: value for name, value in answer.headers if name.startswith(prefix)}


def test_an_image_that_holds_all(client: FlaskClient) -> None:
    answer = get(client, "tiny/g/a")
    told = {"Clipped": "false", "Padded": "false", "Resampled": "false", "Inputs": "1"}
    assert {name: said(answer)[name] for name in told} == told
    assert "Remark" not in said(answer)
    assert answer.headers["Content-Disposition"].startswith(
        'attachment; filename="TINYJ100000.00+000000.0_g_'
    )


def test_what_is_to_be_known_of_a_frame_is_said(client: FlaskClient) -> None:
    channels = {"BAND": "0.2136 0.2138"}
    (remark,) = get(client, "cubes/radio/earth", **channels).headers.getlist("X-Cutout-Remark")
    assert "TOPOCENT" in remark
    assert "Remark" not in said(get(client, "cubes/radio/sun", **channels))
    head = client.head("/sync", query_string={"ID": did("cubes/radio/earth"), **HERE, **channels})
    assert head.headers["X-Cutout-Remark"] == remark
