"""Pictures through HTTP: of the pixels asked for, in the colours asked for, shown by a browser."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from werkzeug.test import TestResponse

from tests.support.field import MIDDLE, PICTURE, Field, centre_of, said
from tests.support.service import did


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    made = Field(tmp_path_factory.mktemp("field"))
    yield made
    made.close()


def picture(answer: TestResponse) -> Image.Image:
    assert answer.status_code == 200, answer.text
    found = Image.open(io.BytesIO(answer.data))
    found.load()
    return found


@pytest.mark.parametrize(
    ("format_", "media_type", "suffix"),
    [("png", "image/png", ".png"), ("image/jpeg", "image/jpeg", ".jpg"), ("jpg", "image/jpeg", ".jpg")],
)
def test_pictures_are_shown_in_the_browser(field: Field, format_: str, media_type: str, suffix: str) -> None:
    answer = field.get(**PICTURE | {"RESPONSEFORMAT": format_})
    assert answer.headers["Content-Type"] == media_type
    shown, _, name = answer.headers["Content-Disposition"].partition('; filename="')
    assert shown == "inline"
    assert name.startswith("FIELDJ100000.")
    assert name.endswith(f'_40x40{suffix}"')
    found = picture(answer)
    assert (found.size, found.mode, found.format) == ((40, 40), "RGB", media_type.partition("/")[2].upper())
    assert said(answer)["Inputs"] == "6"


def test_the_first_row_is_the_lowest(field: Field) -> None:
    # The lamp is above and to the right of the middle of the box.
    asked = {"ID": did("field/r"), "CENTER": centre_of(149.5, 99.5), "SIZE": "80px", "RESPONSEFORMAT": "png"}
    grey = np.asarray(picture(field.get(**asked, CUTS="0 50")).convert("L")).astype(int)
    bright = np.argwhere(grey > 200)
    assert bright.min(axis=0).tolist() == [80 - (130 - 60), 170 - 110]
    assert bright.max(axis=0).tolist() == [80 - 1 - (120 - 60), 179 - 110]


def test_colours_are_the_bands_asked_for(field: Field) -> None:
    asked = PICTURE | {"SIZE": "80px"}
    one, other = (picture(field.get(**asked | {"RGB": rgb})) for rgb in ("i,r,g", "g,r,i"))
    first, second = np.asarray(one), np.asarray(other)
    np.testing.assert_array_equal(first, second[:, :, ::-1])
    assert (first != second).any()
    unlabelled = picture(field.get(**{k: v for k, v in asked.items() if k != "RGB"}))
    np.testing.assert_array_equal(np.asarray(unlabelled), first)  # the longest wavelength is red


def test_pictures_of_another_size(field: Field) -> None:
    for changes, size in (
        ({"WIDTH": "20"}, (20, 20)),
        ({"WIDTH": "80", "HEIGHT": "60"}, (80, 60)),
        ({"SIZE": "40 20px"}, (40, 20)),
        ({"ORIENT": "north", "SIZE": "30arcsec"}, (30, 30)),
        ({"GRID": "tan", "PIXSCALE": "2arcsec", "SIZE": "25px"}, (25, 25)),
    ):
        answer = field.get(**PICTURE | changes)
        assert picture(answer).size == size
        assert f'_{size[0]}x{size[1]}.png"' in answer.headers["Content-Disposition"]


def test_every_option_is_part_of_the_etag(field: Field) -> None:
    jpeg, stiff = {"RESPONSEFORMAT": "jpeg"}, {"ALGORITHM": "stiff"}
    changes: list[dict[str, str]] = [
        {}, {"RGB": "r,i,g"}, {"Q": "3"}, {"SOFTENING": "2"}, {"MINIMUM": "0.1"}, {"WIDTH": "39"},
        {"HEIGHT": "39"}, {"ORIENT": "north"}, {"DRAW": "grid"}, {"DRAW": "center"}, {"LABEL": "x"}, jpeg,
        jpeg | {"QUALITY": "30"}, stiff, stiff | {"CONTRAST": "2"}, stiff | {"SATURATION": "2"},
        stiff | {"CUTS": "0 3"}, {"BACKGROUND": "keep"},
    ]  # fmt: skip
    etags = set()
    for change in changes:
        answer = field.head(**PICTURE | change)
        assert answer.status_code == 200, change
        etags.add(answer.headers["ETag"])
    assert len(etags) == len(changes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"RECIPE": "nowhere"}, "RECIPE=nowhere is no recipe of field"),
        ({"RGB": "i,r,u"}, "'u'"),
        ({"RGB": "i,r,g", "FILTER": "r"}, "RGB"),
        ({"CMAP": "nosuchmap", "RGB": "", "ID": did("field/r")}, "CMAP"),
        ({"WIDTH": "8192", "HEIGHT": "8192"}, "8192 x 8192"),
        ({"RGB": "", "FILTER": "r", "ALGORITHM": "lupton"}, "FILTER leaves one"),
    ],
)
def test_pictures_that_cannot_be_made_are_refused_before_anything_is(
    field: Field, change: dict[str, str], said: str
) -> None:
    asked = {name: text for name, text in (PICTURE | change).items() if text}
    for answer in (field.get(**asked), field.head(**asked)):
        assert answer.status_code == 400
    assert said in field.get(**asked).text


def test_one_url_one_picture(field: Field) -> None:
    ra, dec = MIDDLE["CENTER"].split()
    words = {"ra": ra, "dec": dec, "survey": "field", "size": "40", "rgb": "i,r,g"}
    answer = field.get("/cutout", **words)
    assert answer.data == field.get(**PICTURE).data
    assert answer.headers["Link"].endswith('&RESPONSEFORMAT=image/png&RGB=i,r,g>; rel="canonical"')
    grey = field.get("/cutout", **{k: v for k, v in words.items() if k != "rgb"}, bands="r")
    assert picture(grey).size == (40, 40)
    wide = field.get("/cutout", **words, pixscale="2", format="jpg")
    assert picture(wide).size == (40, 40)
    assert said(wide)["Resampled"] == "true"


def test_soda_107_each_triplet_is_a_picture_of_its_own_in_a_job(field: Field) -> None:
    triplets = ("i,r,g", "g,r,i")
    asked = {name: text for name, text in PICTURE.items() if name != "RGB"}
    outcomes = field.run(*asked.items(), *(("RGB", triplet) for triplet in triplets))
    files = [file for outcome in outcomes for file in outcome.files]
    assert [file.result_id for file in files] == ["rgb1", "rgb2"]
    assert [file.media_type for file in files] == ["image/png"] * 2
    assert files[0].file_name.endswith("_rgb1.png")
    for file, triplet in zip(files, triplets, strict=True):
        assert b"".join(file.chunks) == field.get(**PICTURE | {"RGB": triplet}).data
