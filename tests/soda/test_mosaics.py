"""Mosaics through HTTP: every pixel is known, and headers say what became of it."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray
from werkzeug.test import TestResponse

from tests.support.field import BOX, HEIGHT, MIDDLE, Field, said, sky
from tests.support.service import did
from uws.job import RowStatus


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    made = Field(tmp_path_factory.mktemp("field"))
    yield made
    made.close()


def image(answer: TestResponse) -> tuple[NDArray[np.float32], fits.Header]:
    assert answer.status_code == 200, answer.text
    with fits.open(io.BytesIO(answer.data)) as hdus:
        return np.array(hdus[0].data), hdus[0].header.copy()


def test_tiles_of_one_grid_are_pasted(field: Field) -> None:
    answer = field.get(ID=did("field/r"), **MIDDLE)
    pixels, header = image(answer)
    np.testing.assert_array_equal(pixels, sky("r")[BOX])
    told = {"Clipped": "false", "Padded": "false", "Resampled": "false", "Inputs": "2", "Covered": "1"}
    assert said(answer) == told
    assert header["RESAMPLD"] is False
    assert header["NINPUT"] == 2
    ra, dec = WCS(header).all_pix2world(19.5, 19.5, 0)
    assert f"{ra:.9f} {dec:.9f}" == "{:.9f} {:.9f}".format(*map(float, MIDDLE["CENTER"].split()))


def test_a_shape_over_both_tiles_and_beyond_is_clipped_or_padded_or_refused(field: Field) -> None:
    shape = {"ID": did("field/g"), "POS": "RANGE 149.99 150.01 0.02 0.04"}  # the sky ends at 0.0278
    clipped = field.get(**shape)
    pixels, _ = image(clipped)
    assert said(clipped)["Clipped"] == "true"
    assert said(clipped)["Padded"] == "false"
    np.testing.assert_array_equal(pixels, sky("g")[-pixels.shape[0] :, 114:186])
    padded = field.get(**shape, EDGE="pad")
    pixels, _ = image(padded)
    assert said(padded)["Padded"] == "true"
    assert pixels.shape[1] == 72
    known = np.isfinite(pixels)
    assert float(said(padded)["Covered"]) == pytest.approx(known.mean(), abs=1e-5)
    np.testing.assert_array_equal(pixels[known], sky("g")[HEIGHT - known.sum() // 72 :, 114:186].ravel())
    refused = field.get(**shape, EDGE="error")
    assert refused.status_code == 400
    assert "EDGE=error" in refused.text


def test_another_grid_is_resampled_and_says_so(field: Field) -> None:
    answer = field.get(ID=did("field/r"), **MIDDLE, GRID="tan", PIXSCALE="0.5arcsec")
    pixels, header = image(answer)
    assert pixels.shape == (40, 40)  # pixels of SIZE are those of the grid asked for
    assert abs(WCS(header).proj_plane_pixel_scales()[0].to_value("arcsec") - 0.5) < 1e-9
    assert said(answer)["Resampled"] == "true"
    assert header["RESAMPLD"] is True


def test_several_bands_are_extensions(field: Field) -> None:
    answer = field.get(ID=did("field"), **MIDDLE, FILTER="r")
    np.testing.assert_array_equal(image(answer)[0], sky("r")[BOX])
    answer = field.get(ID=did("field"), **MIDDLE)
    with fits.open(io.BytesIO(answer.data)) as hdus:
        assert [hdu.header["EXTNAME"] for hdu in hdus[1:4]] == ["g", "r", "i"]
        for hdu, band in zip(hdus[1:4], "gri", strict=True):
            np.testing.assert_array_equal(hdu.data, sky(band)[BOX])
    assert said(answer)["Inputs"] == "6"
    cube, _ = image(field.get(ID=did("field"), **MIDDLE, LAYOUT="cube"))
    np.testing.assert_array_equal(cube, [sky(band)[BOX] for band in "gri"])


@pytest.mark.parametrize("extra", [{}, {"GRID": "tan"}, {"EDGE": "clip"}])
def test_http_15_head_and_304(field: Field, extra: dict[str, str]) -> None:
    asked = {"ID": did("field/r"), **MIDDLE, **extra}
    answer = field.get(**asked)
    head = field.head(**asked)
    assert head.data == b""
    for name in (
        "ETag",
        "Content-Type",
        "Content-Disposition",
        "Link",
        "X-Cutout-Inputs",
        "X-Cutout-Resampled",
    ):
        assert head.headers[name] == answer.headers[name]
    assert "X-Cutout-Covered" not in head.headers
    assert head.headers["Content-Length"] == str(len(answer.data))
    again = field.client.get(
        "/sync", query_string=urlencode(asked), headers={"If-None-Match": answer.headers["ETag"]}
    )
    assert (again.status_code, again.data) == (304, b"")
    assert field.get(**asked).data == answer.data


def test_jobs_make_the_mosaics_of_sync(field: Field) -> None:
    (outcome,) = field.run(("ID", did("field/g")), *MIDDLE.items())
    assert outcome.status is RowStatus.DONE
    (file,) = outcome.files
    pixels, _ = image(field.get(ID=did("field/g"), **MIDDLE))
    with fits.open(io.BytesIO(b"".join(file.chunks))) as hdus:
        np.testing.assert_array_equal(hdus[0].data, pixels)


def test_a_tile_that_breaks_is_named_and_leaves_no_hole(tmp_path: Path) -> None:
    field = Field(tmp_path)
    asked = {"ID": did("field/g"), **MIDDLE}
    path = tmp_path / "field" / "east_g.fits"
    os.truncate(path, path.stat().st_size // 2)
    answer = field.get(**asked)
    assert answer.status_code == 500
    assert answer.text.startswith("Error: the image field/g/east cannot be read at the moment.")
    for outcome in field.run(*asked.items()):
        assert outcome.status is RowStatus.FAILED
        assert "field/g/east" in outcome.message
    field.close()
