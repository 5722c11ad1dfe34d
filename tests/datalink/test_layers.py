"""Weights, masks and psfs: linked from their image, and datasets of their own."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from flask import Flask
from flask.testing import FlaskClient
from numpy.typing import NDArray

from config.app import create_app
from tests.datalink.test_links import ask, rows, services
from tests.support.outside import Validate, stilts
from tests.support.service import SIDE, did, header_at, index_all, pixels_of, settings_of, write_surveys

LAYERED = """
title = "Layered"
kind = "coadd"
root = "layered"
pixel_scale = 1.0
dataset = "{tile}"
[bands]
g = { em_min_m = 400e-9, em_max_m = 550e-9 }
r = { em_min_m = 560e-9, em_max_m = 700e-9 }
[layers.image]
path = "{tile}_{band}.fits"
[layers.weight]
path = "{tile}_{band}.weight.fits"
meaning = "MEANING"
[layers.mask]
path = "{tile}.mask.fits"
[layers.psf]
path = "{tile}_{band}.psf.fits"
"""
PSF = np.arange(25 * 25, dtype=np.float32).reshape(25, 25)
MASK = (np.arange(SIDE * SIDE) % 7).astype(np.int16).reshape(SIDE, SIDE)
IMAGE = did("layered/g/t")
CIRCLE = "150.0 0.0 0.0027"


def weight_of(band: str) -> NDArray[np.float32]:
    return pixels_of("b", band) + np.float32(0.5)


def make_layered(folder: Path, meaning: str) -> Flask:
    write_surveys(folder)
    layered = folder / "layered"
    layered.mkdir()
    (folder / "declarations" / "layered.toml").write_text(LAYERED.replace("MEANING", meaning))
    for band in "gr":
        fits.writeto(layered / f"t_{band}.fits", pixels_of("a", band), header_at(150.0, 0.0))
        fits.writeto(layered / f"t_{band}.weight.fits", weight_of(band), header_at(150.0, 0.0))
    fits.writeto(layered / "t_g.psf.fits", PSF)
    # without a WCS: it lies on the grid of the images
    fits.writeto(layered / "t.mask.fits", MASK)
    settings = settings_of(folder, {"FOUNTAIN_SYNC__MAX_PIXELS": "40000"})
    index_all(settings)
    return create_app(settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("layers")


@pytest.fixture(scope="module")
def client(folder: Path) -> FlaskClient:
    return make_layered(folder, "invvar").test_client()


def pixels(content: bytes) -> NDArray[np.float64]:
    with fits.open(io.BytesIO(content)) as hdus:
        return np.array(hdus[0].data)


def test_dl_14_layers_are_linked(client: FlaskClient, validate: Validate, tmp_path: Path) -> None:
    answer = ask(client, IMAGE)
    assert validate(answer.data) == []
    found = rows(answer)
    assert {row["ID"] for row in found} == {IMAGE}
    assert [row["semantics"] for row in found[:3]] == ["#this", "#cutout", "#cutout"]
    told = {str(row["description"]).split(",")[0]: row["semantics"] for row in found[3:]}
    assert told == {
        "The whole weight": "#weight",
        "The whole mask": "#auxiliary",
        "The whole psf": "#auxiliary",
        "A small picture of the whole image": "#preview",
    }
    document = tmp_path / "links.xml"
    document.write_bytes(answer.data)
    assert stilts("datalinklint", votable=str(document)) == []


@pytest.mark.parametrize(
    ("role", "expected"),
    [("weight", weight_of("g")), ("mask", MASK), ("psf", PSF), ("WEIGHT", weight_of("g"))],
)
def test_dl_17_every_layer_is_had_whole(
    client: FlaskClient, role: str, expected: NDArray[np.float32]
) -> None:
    this = rows(ask(client, f"{IMAGE}/{role}"))[0]
    linked = {row["access_url"]: row["content_length"] for row in rows(ask(client, IMAGE))}
    assert this["access_url"] in linked
    answer = client.get(str(this["access_url"]))
    np.testing.assert_array_equal(pixels(answer.data), expected)
    assert str(len(answer.data)) == this["content_length"] == linked[this["access_url"]]
    with fits.open(io.BytesIO(answer.data)) as hdus:
        assert hdus[0].header["ORIG_ID"] == f"{IMAGE}/{role.lower()}"


@pytest.mark.parametrize("band", ["g", "r"])
def test_layers_are_cut_as_images_are(client: FlaskClient, band: str) -> None:
    for role, expected in (("weight", weight_of(band)), ("mask", MASK)):
        name = did(f"layered/{band}/t/{role}")
        answer = client.get("/sync", query_string={"ID": name, "CIRCLE": CIRCLE})
        np.testing.assert_array_equal(pixels(answer.data), expected[90:110, 90:110])
        with fits.open(io.BytesIO(answer.data)) as hdus:
            # one mask is that of both bands: each request is told the dataset it named
            assert hdus[0].header["ORIG_ID"] == name
        head = client.head("/sync", query_string={"ID": name, "CIRCLE": CIRCLE})
        assert head.headers["Content-Length"] == str(len(answer.data))
        assert head.headers["ETag"] == answer.headers["ETag"]
    nothing = client.get("/sync", query_string={"ID": did("layered/g/t/weight"), "FILTER": "r"})
    assert nothing.status_code == 204


def test_sd_07_a_layer_is_described(client: FlaskClient) -> None:
    answer = ask(client, f"{IMAGE}/weight")
    assert [row["semantics"] for row in rows(answer)] == ["#this", "#cutout", "#cutout"]
    service, job = services(answer)
    params = {param.name: param.value for param in service.params}
    cut = client.get(str(params["exampleURL"]))
    assert cut.status_code == 200
    assert {param.name for param in service.groups[0].entries} >= {"CIRCLE", "POLYGON", "BAND"}
    assert "exampleURL" not in {param.name for param in job.params}


def test_a_layer_that_is_not_on_the_sky(client: FlaskClient, folder: Path) -> None:
    (this,) = rows(ask(client, f"{IMAGE}/psf"))
    assert this["semantics"] == "#this"
    refused = client.get("/sync", query_string={"ID": f"{IMAGE}/psf", "CIRCLE": CIRCLE})
    assert refused.status_code == 400
    assert refused.text.startswith("UsageError: layered/g/t/psf has no place on the sky")
    small = {"FOUNTAIN_SYNC__MAX_PIXELS": "600"}
    few = create_app(settings_of(folder, small)).test_client()
    too_large = few.get("/sync", query_string={"ID": f"{IMAGE}/psf"})
    assert too_large.status_code == 400
    assert "no part of it can be asked for" in too_large.text


@pytest.mark.parametrize(
    "name",
    [
        "layered/r/t/psf",
        "layered/g/t/image",
        "layered/g/t/weight/weight",
        "layered/g/x/weight",
        "layered/g/t/",
    ],
)
def test_dl_09_layers_that_are_not_there(client: FlaskClient, name: str) -> None:
    (row,) = rows(ask(client, did(name)))
    assert str(row["error_message"]).startswith("NotFoundFault: there is no image")
    assert client.get("/sync", query_string={"ID": did(name), "CIRCLE": CIRCLE}).status_code == 404


@pytest.mark.parametrize(("meaning", "term"), [("variance", "#error"), ("relative", "#weight")])
def test_dl_14_what_a_weight_means(tmp_path: Path, meaning: str, term: str) -> None:
    client = make_layered(tmp_path / "s", meaning).test_client()
    found = [str(row["semantics"]) for row in rows(ask(client, did("layered/r/t")))]
    assert sorted(found) == sorted(["#this", "#cutout", "#cutout", "#preview", term, "#auxiliary"])
