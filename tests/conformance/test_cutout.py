"""`/cutout`, asked from outside: one URL, one picture."""

from __future__ import annotations

import io

import pytest
import requests
from astropy.io import fits
from PIL import Image

from tests.conformance.conftest import Target

TIMEOUT_S = 60
TEXT = "text/plain; charset=utf-8"


def get(target: Target, **words: str) -> requests.Response:
    place = {"ra": str(target.ra_deg), "dec": str(target.dec_deg), "survey": target.id, "size": "32px"}
    return requests.get(f"{target.url}/cutout", params=place | words, timeout=TIMEOUT_S)


def test_a_file_is_that_of_sync(target: Target) -> None:
    answer = get(target, format="fits")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Disposition"].startswith("attachment; ")
    with fits.open(io.BytesIO(answer.content)) as hdus:
        assert hdus[0].data.shape[-2:] == (32, 32)
    same = requests.get(answer.links["canonical"]["url"], timeout=TIMEOUT_S)
    assert same.url.startswith(f"{target.url}/sync?")
    assert same.content == answer.content


@pytest.mark.parametrize(("words", "kind"), [({}, "PNG"), ({"format": "jpg"}, "JPEG")])
def test_a_picture_is_shown(target: Target, words: dict[str, str], kind: str) -> None:
    answer = get(target, **words)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == f"image/{kind.lower()}"
    assert answer.headers["Content-Disposition"].startswith("inline; ")
    picture = Image.open(io.BytesIO(answer.content))
    assert (picture.format, picture.size) == (kind, (32, 32))
    again = requests.get(answer.url, headers={"If-None-Match": answer.headers["ETag"]}, timeout=TIMEOUT_S)
    assert (again.status_code, again.content) == (304, b"")


def test_sexagesimal_and_decimal_are_one_question(target: Target) -> None:
    hours = target.ra_deg / 15
    minutes = (hours - int(hours)) * 60
    ra = f"{int(hours)}h{int(minutes)}m{(minutes - int(minutes)) * 60:.9f}s"
    one, other = get(target, format="fits"), get(target, format="fits", ra=ra)
    with fits.open(io.BytesIO(one.content)) as first, fits.open(io.BytesIO(other.content)) as second:
        assert first[0].header["CRPIX1"] == second[0].header["CRPIX1"]
        assert (first[0].data == second[0].data).all()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ({"survey": "no-such-survey"}, 404, "no-such-survey"),
        ({"size": "1.5"}, 400, "SIZE"),
        ({"siez": "10"}, 400, "SIZE"),
        ({"pixscale": "0"}, 400, "PIXSCALE"),
        ({"format": "gif"}, 400, "FORMAT"),
    ],
)
def test_what_is_wrong_is_said(target: Target, words: dict[str, str], status: int, said: str) -> None:
    answer = get(target, **words)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, TEXT)
    assert answer.text.startswith("UsageError: ")
    assert said in answer.text
