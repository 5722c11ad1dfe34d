"""Pictures of stamps: known pixels stand where they should, as large and as bright as asked."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from surveys.alerts.sheet import lay_out
from surveys.errors import RequestFault, TooLarge
from surveys.execute import CutoutResult
from surveys.lake import Orientation
from surveys.picture.colours import NO_DATA
from surveys.recipe import Recipe
from surveys.request import Cuts, PictureOptions
from surveys.sky.stencil import CenteredBox, Size
from tests.support.alerts import KINDS
from tests.surveys.alerts.shop import Shop, opened, packed, shop_of, write_alerts

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pyavm import AVM

PNG, JPEG, WEBP = "image/png", "image/jpeg", "image/webp"
NX, NY = 12, 9
#: Levels of a ramp whose pixels are the grey that they become.
EXACT: dict[str, Any] = {"stretch": "linear", "cuts": Cuts("values", 0.0, 255.0)}


def ramp(number: int, kind: str = "Science", shape: tuple[int, int] = (NY, NX)) -> NDArray[np.float32]:
    """Pixels from 100 that tell which stamp it is; the first is 10, the last of the first row 30."""
    values = 100.0 + 20 * number + 5 * KINDS.index(kind) + np.arange(math.prod(shape)) % 7
    values = values.reshape(shape).astype(np.float32)
    values[0, 0], values[0, -1] = 10, 30
    return values


def asked(media_type: str = PNG, **options: Any) -> dict[str, PictureOptions]:
    return {"picture": PictureOptions(media_type, **options)}


def shown(made: CutoutResult, mode: str = "L") -> NDArray[np.uint8]:
    """Pixels of a picture, the upper row first."""
    picture = Image.open(BytesIO(made.tobytes()))
    assert picture.get_format_mimetype() == made.media_type
    return np.asarray(picture.convert(mode))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Alerts 1 to 5 of one object: of 2 the template is missing; 3 is smaller; of 4 a pixel has no data."""
    folder: Path = tmp_path_factory.mktemp("pictures")
    alerts: list[dict[str, bytes | None]] = []
    for number in range(1, 6):
        shape = (NY - 2, NX) if number == 3 else (NY, NX)
        stamps = {kind: ramp(number, kind, shape) for kind in KINDS}
        if number == 4:
            stamps["Science"][2, 3] = np.nan
        alerts.append({kind: packed(pixels) for kind, pixels in stamps.items()})
    alerts[1]["Template"] = None
    survey = write_alerts(folder / "lake", alerts)
    assert survey.lake is not None
    survey = replace(survey, lake=replace(survey.lake, orientation="as-stored"))
    with shop_of(survey, folder / "index") as made:
        yield made


def test_a_stamp_is_shown_pixel_by_pixel_the_first_row_below(shop: Shop) -> None:
    made = shop.make("alert/1/Science", **asked(**EXACT))
    assert made.file_name == "ztf_ZTF18aaaaaaa_1_Science.png"
    assert np.array_equal(shown(made), ramp(1)[::-1])
    assert made.facts.covered == 1.0
    assert made.facts.recipe.startswith("auto: grey of g; stretch linear; cuts 0 to 255")


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        ("as-stored", lambda values: values),
        ("flip-y", lambda values: values[::-1]),
        ("flip-x", lambda values: values[:, ::-1]),
        ("rotate-180", lambda values: values[::-1, ::-1]),
    ],
)
def test_pictures_are_turned_and_nothing_else(tmp_path: Path, orientation: Orientation, turn: Any) -> None:
    survey = write_alerts(tmp_path / "lake", [{"Science": packed(ramp(1))}])
    assert survey.lake is not None
    survey = replace(survey, lake=replace(survey.lake, orientation=orientation))
    with shop_of(survey, tmp_path / "index") as shop:
        assert np.array_equal(shown(shop.make("alert/1/Science", **asked(**EXACT))), turn(ramp(1))[::-1])
        for detail in ("image", "full"):
            (hdu,) = opened(shop.make("alert/1/Science", detail=detail).tobytes())
            assert np.array_equal(hdu.data, ramp(1))
        assert np.array_equal(json.loads(shop.make("alert/1/Science", array=True).tobytes()), ramp(1))


def test_a_whole_number_of_times_larger_each_pixel_is_a_square(shop: Shop) -> None:
    larger = shown(shop.make("alert/1/Science", **asked(width=5 * NX, **EXACT)))
    assert np.array_equal(larger, np.kron(ramp(1)[::-1], np.ones((5, 5))))


def test_any_other_size_is_made_by_area(shop: Shop) -> None:
    """The mean stays; a picture of another shape has the stamp in its middle, and nothing beside it."""
    made = shop.make("alert/1/Science", **asked(width=30, **EXACT))
    pixels = shown(made).astype(float)
    assert pixels.shape == (round(NY * 30 / NX), 30)
    assert pixels.mean() == pytest.approx(ramp(1).mean(), abs=0.5)
    smaller = shown(shop.make("alert/1/Science", **asked(width=4, **EXACT))).astype(float)
    expected = ramp(1)[::-1].reshape(3, 3, 4, 3).mean(axis=(1, 3))
    assert np.abs(smaller - expected).max() <= 0.5
    wide = shown(shop.make("alert/1/Science", **asked(width=50, height=2 * NY, **EXACT)), "RGBA")
    assert wide.shape == (2 * NY, 50, 4)
    assert (wide[:, :13, 3] == 0).all()
    assert (wide[:, 13 + 2 * NX :, 3] == 0).all()
    assert np.array_equal(wide[:, 13 : 13 + 2 * NX, 0], np.kron(ramp(1)[::-1], np.ones((2, 2))))


def test_a_pixel_without_data_is_transparent_or_neutral(shop: Shop) -> None:
    pixels = shown(shop.make("alert/4/Science", **asked(**EXACT)), "RGBA")
    assert np.argwhere(pixels[..., 3] == 0).tolist() == [[NY - 1 - 2, 3]]
    made = shop.make("alert/4/Science", **asked(JPEG, quality=95, width=10 * NX, **EXACT))
    assert made.file_name.endswith(".jpg")
    assert abs(int(shown(made)[65, 35]) - NO_DATA[0]) < 8
    assert made.facts.covered == 1 - 1 / (NX * NY)


def test_measured_levels_show_sky_and_source(ztf: Shop) -> None:
    """The sky is dark but not black, the middle is bright; of a difference it is between, for what fades."""
    for candid, _, _ in ztf.rows[:20]:
        for kind, least, most in (("Science", 15, 110), ("Difference", 25, 150)):
            pixels = shown(ztf.make(f"alert/{candid}/{kind}", **asked()), "LA")
            known = pixels[..., 0][pixels[..., 1] > 0]
            assert least <= np.median(known) <= most
            assert pixels[29:34, 29:34, 0].max() > np.median(known) + 40


def test_a_recipe_of_the_survey_is_the_usual_one(tmp_path: Path) -> None:
    recipe = Recipe("flat", 3, "grey", unit="pixel", stretch="linear", cuts=Cuts("values", 0.0, 255.0))
    survey = write_alerts(tmp_path / "lake", [{"Science": packed(ramp(1))}])
    with shop_of(replace(survey, recipes=(recipe,)), tmp_path / "index") as shop:
        made = shop.make("alert/1/Science", **asked())
        assert np.array_equal(shown(made), ramp(1))  # ZTF's rows begin in the north
        assert made.facts.recipe.startswith("flat/3: grey of g")
        assert shop.make("alert/1/Science", **asked(recipe="FLAT")).tobytes() == made.tobytes()
        measured = shop.make("alert/1/Science", **asked(recipe="auto"))
        assert not np.array_equal(shown(measured), ramp(1))
        inverted = shop.make("alert/1/Science", **asked(invert=True))
        assert np.array_equal(shown(inverted), 255 - ramp(1))
        coloured = shown(shop.make("alert/1/Science", **asked(colormap="viridis")), "RGB")
        assert (coloured[..., 0] != coloured[..., 2]).any()


def test_a_recipe_is_for_the_bands_that_it_names(tmp_path: Path) -> None:
    """The first alert is of g, the second of r: one picture may have stamps by a recipe and without."""
    recipe = Recipe("red", 1, "grey", ("r",), unit="pixel", stretch="linear", cuts=Cuts("values", 0.0, 255.0))
    survey = write_alerts(tmp_path / "lake", [{"Science": packed(ramp(1))}, {"Science": packed(ramp(2))}])
    with shop_of(replace(survey, recipes=(recipe,)), tmp_path / "index") as shop:
        assert np.array_equal(shown(shop.make("alert/2/Science", **asked(recipe="red"))), ramp(2))
        with pytest.raises(RequestFault, match="RECIPE=red has levels for r, not for g"):
            shop.make("alert/1/Science", **asked(recipe="red"))
        told = shop.make("object/ZTF18aaaaaaa/Science", **asked()).facts.recipe
        assert told.startswith("auto: grey of g")
        assert told.endswith("1 further stamps likewise, with levels of their own")
        only = shop.make("object/ZTF18aaaaaaa/Science", filters=("r",), **asked(recipe="red"))
        assert only.facts.recipe.startswith("red/1: grey of r")


def test_the_kinds_of_an_alert_stand_side_by_side(shop: Shop) -> None:
    made = shop.make("alert/1", **asked(**EXACT))
    pixels = shown(made)
    zoom = 10  # the longer side of a stamp is then at least 120
    sheet = lay_out((NX, NY), 3, 1, PictureOptions(PNG))
    assert (sheet.zoom, pixels.shape) == (zoom, (sheet.height, sheet.width))
    for column, kind in enumerate(KINDS):
        left, top = sheet.corner(column, 0)
        panel = pixels[top : top + zoom * NY, left : left + zoom * NX]
        assert np.array_equal(panel, np.kron(ramp(1, kind)[::-1], np.ones((zoom, zoom))))
        # Its name stands above it.
        assert pixels[:top, left : left + zoom * NX].max() > 150
    assert made.facts.remarks == ()


def test_a_strip_has_a_column_an_epoch_and_a_row_a_kind(shop: Shop) -> None:
    made = shop.make("object/ZTF18aaaaaaa", **asked(**EXACT))
    pixels = shown(made)
    sheet = lay_out((NX, NY), 5, 3, PictureOptions(PNG), row_names=True)
    assert pixels.shape == (sheet.height, sheet.width)
    for column in range(5):
        for row, kind in enumerate(KINDS):
            left, top = sheet.corner(column, row)
            panel = pixels[top : top + sheet.panel_height, left : left + sheet.panel_width]
            number = column + 1
            small = panel[::10, ::10][::-1]
            if (number, kind) == (2, "Template"):
                assert (panel == NO_DATA[0]).all()
            elif number == 3:
                assert np.array_equal(small[1:-1], ramp(3, kind, (NY - 2, NX)))
                assert (small[[0, -1]] == NO_DATA[0]).all()
            else:
                expected = ramp(number, kind)
                if (number, kind) == (4, "Science"):
                    expected[2, 3] = NO_DATA[0]
                assert np.array_equal(small, expected)
    assert set(made.facts.remarks) == {
        "There is no Template stamp of ztf/alert/2",
        "Stamps of different sizes are in the middle of panels of the largest",
    }
    one = shop.make("object/ZTF18aaaaaaa/difference", **asked(**EXACT))
    assert shown(one).shape[0] < pixels.shape[0] / 2


def test_a_strip_too_wide_goes_on_below(shop: Shop) -> None:
    sheet = lay_out((NX, NY), 5, 3, PictureOptions(PNG, width=400), row_names=True)
    assert sheet.per_line == 3
    pixels = shown(shop.make("object/ZTF18aaaaaaa", **asked(width=400, **EXACT)))
    assert pixels.shape == (sheet.height, 400)
    left, top = sheet.corner(3, 0)
    assert (left, top > sheet.corner(0, 2)[1]) == (sheet.corner(0, 0)[0], True)
    panel = pixels[top : top + sheet.panel_height, left : left + sheet.panel_width]
    assert panel[-1, 0] == 10
    assert panel[-1, -1] == 30


def test_a_picture_of_several_has_the_size_asked_for(shop: Shop) -> None:
    for width, height in ((1000, None), (None, 700), (1500, 900), (170, None)):
        made = shown(shop.make("object/ZTF18aaaaaaa", **asked(width=width, height=height)))
        assert width is None or made.shape[1] == width
        assert height is None or made.shape[0] == height
    with pytest.raises(RequestFault, match=r"leave no room .* ask for \d+ x \d+ at least"):
        shop.make("object/ZTF18aaaaaaa", **asked(width=40, height=40))
    with pytest.raises(TooLarge, match="px; the limit is"):
        shop.make("object/ZTF18aaaaaaa", **asked(width=9000, height=9000))
    with pytest.raises(TooLarge, match="px; the limit is"):
        shop.make("alert/1/Science", **asked(width=9000, height=9000))


@pytest.mark.parametrize("quality", [None, 90])
def test_an_animation_has_a_frame_an_epoch(shop: Shop, quality: int | None) -> None:
    made = shop.make("object/ZTF18aaaaaaa", **asked(WEBP, quality=quality, **EXACT))
    assert (made.media_type, made.file_name) == (WEBP, "ztf_ZTF18aaaaaaa.webp")
    sheet = lay_out((NX, NY), 3, 1, PictureOptions(WEBP), title=True, frames=5)
    with Image.open(BytesIO(made.tobytes())) as film:
        assert (film.format, film.n_frames, film.info["loop"]) == ("WEBP", 5, 0)
        assert film.size == (sheet.width, sheet.height)
        for number in (1, 4, 5):
            film.seek(number - 1)
            left, top = sheet.corner(2, 0)
            frame = np.asarray(film.convert("L")).astype(float)
            assert 250 <= film.info["duration"] <= 500
            rows, columns = slice(top + 5, top + 10 * NY, 10), slice(left + 5, left + 10 * NX, 10)
            panel = frame[rows, columns][::-1]
            assert np.abs(panel - ramp(number, "Difference"))[3:].max() <= (0 if quality is None else 12)
            assert frame[: sheet.corner(0, 0)[1] // 2].max() > 150  # the date


def test_a_region_of_a_stamp_is_shown_too(rubin: Shop) -> None:
    candid = rubin.rows[2][0]
    alert = rubin.catalog.alerts.alert(rubin.survey, candid)
    region = CenteredBox(alert.ra_deg, alert.dec_deg, Size(11, 7, True))
    (hdu, *_) = opened(rubin.make(f"alert/{candid}/Science", stencil=region).tobytes())
    options = asked(cuts=Cuts("values", float(hdu.data.min()), float(hdu.data.max())), stretch="linear")
    pixels = shown(rubin.make(f"alert/{candid}/Science", stencil=region, **options))
    share = (hdu.data - hdu.data.min()) / np.ptp(hdu.data)
    assert np.abs(pixels[::-1] - 255 * share).max() <= 1.51  # 64 is 65


@pytest.mark.parametrize("orientation", ["as-stored", "flip-y", "flip-x", "rotate-180"])
def test_coordinates_in_a_picture_are_those_of_its_pixels(tmp_path: Path, orientation: Orientation) -> None:
    """As AVM tells them, of a stamp that is turned, enlarged and beside nothing."""
    ra, dec, scale = 150.0, 2.0, 1.0 / 3600
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": ra, "CRVAL2": dec, "CRPIX1": 3.0}
    cards |= {"CRPIX2": 2.0, "CD1_1": -scale, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": scale}
    stamp = np.zeros((NY, NX), np.float32)
    stamp[6, 9] = 255.0
    survey = write_alerts(tmp_path / "lake", [{"Science": packed(stamp, **cards)}])
    assert survey.lake is not None
    survey = replace(survey, lake=replace(survey.lake, orientation=orientation))
    with shop_of(survey, tmp_path / "index") as shop:
        made = shop.make("alert/1/Science", **asked(width=200, height=4 * NY, **EXACT))
    (tmp_path / "made.png").write_bytes(made.tobytes())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wcs = AVM.from_image(str(tmp_path / "made.png")).to_wcs()
    rows, columns = np.nonzero(shown(made) == 255)
    x, y = columns.mean(), shown(made).shape[0] - 1 - rows.mean()
    east, north = wcs.wcs_pix2world([[x, y]], 0)[0] - (ra, dec)
    assert east * math.cos(math.radians(dec)) == pytest.approx(-7 * scale, abs=0.02 * scale)
    assert north == pytest.approx(5 * scale, abs=0.02 * scale)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"bands": ("g", "r", "i")}, "RGB"),
        ({"algorithm": "lupton"}, "ALGORITHM"),
        ({"variant": "astropy"}, "VARIANT"),
        ({"q": 8.0}, "Q"),
        ({"minimum": (0.0,)}, "MINIMUM"),
        ({"contrast": 1.0}, "CONTRAST"),
        ({"saturation": 1.0}, "SATURATION"),
        ({"orient": "north"}, "ORIENT"),
        ({"recipe": "none"}, "RECIPE"),
        ({"colormap": "grays"}, "CMAP"),
        ({"stretch": "linear", "softening": 2.0}, "SOFTENING"),
        ({"quality": 99}, "QUALITY"),
    ],
)
def test_what_has_no_meaning_is_refused_by_its_name(shop: Shop, options: dict[str, Any], word: str) -> None:
    for dataset in ("alert/1/Science", "alert/1", "object/ZTF18aaaaaaa"):
        with pytest.raises(RequestFault, match=rf"^{word}\b"):
            shop.make(dataset, **asked(**options))


def test_marks_need_one_stamp_and_a_place_on_the_sky(shop: Shop, rubin: Shop) -> None:
    for dataset in ("alert/1", "object/ZTF18aaaaaaa"):
        with pytest.raises(RequestFault, match=r"^DRAW"):
            shop.make(dataset, **asked(draw=("center",)))
    with pytest.raises(RequestFault, match=r"^DRAW=compass needs a picture that has a place on the sky"):
        shop.make("alert/1/Science", **asked(draw=("compass",)))
    bare = shown(shop.make("alert/1/Science", **asked(width=240)), "RGB")
    marked = shown(shop.make("alert/1/Science", **asked(width=240, draw=("center",), label="M 1")), "RGB")
    assert (bare != marked).any()
    candid = rubin.rows[0][0]
    options = asked(width=300, draw=("compass", "scalebar"))
    drawn = shown(rubin.make(f"alert/{candid}/Science", **options), "RGB")
    assert drawn.shape == (300, 300, 3)


def test_an_animation_is_of_an_object(shop: Shop) -> None:
    for dataset in ("alert/1", "alert/1/Science"):
        with pytest.raises(RequestFault, match=r"^RESPONSEFORMAT=image/webp"):
            shop.make(dataset, **asked(WEBP))
