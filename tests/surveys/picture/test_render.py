"""Formulas by hand, no data, bands that are missing, units, levels measured on the picture."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from astropy.visualization import make_lupton_rgb
from numpy.typing import NDArray
from PIL import Image as Pillow

from surveys.picture.colours import NO_DATA
from surveys.picture.look import Look, choose_look
from surveys.picture.render import colour_pixels, render
from surveys.recipe import Recipe
from surveys.request import Cuts, PictureOptions
from tests.surveys.picture.sky import PNG, Image, noisy_sky, survey

LUPTON = Recipe("gri", 1, "lupton", ("i", "r", "g"), q=8.0, softening=30.0)
STIFF = Recipe("soft", 1, "stiff", ("i", "r", "g"), cuts=Cuts("values", -1.0, 9.0))
GREY = Recipe("plain", 1, "grey", stretch="linear", cuts=Cuts("values", 0.0, 255.0))


def plane(*values: float) -> Image:
    return np.array([values], np.float32)


def colours(
    recipe: Recipe, *images: Image | None, zeropoints: tuple[float | None, ...] = (22.5, 22.5, 22.5)
) -> NDArray[np.uint8]:
    bands = recipe.bands or ("r",)
    pixels, _, _ = colour_pixels(images, Look(bands, recipe, False), zeropoints[: len(bands)])
    return pixels


def test_lupton_by_hand() -> None:
    # I = (6 + 3 + 0) / 3; f = asinh(8 (3 - 1) / 30) / 8; R = 6 f / I …
    f = np.arcsinh(8 * 2 / 30) / 8
    expected = [round(255 * 6 * f / 3), round(255 * 3 * f / 3), 0]
    recipe = replace(LUPTON, minimum=1.0)
    assert colours(recipe, plane(6), plane(3), plane(0))[0, 0].tolist() == expected


def test_lupton_divides_by_the_largest_where_it_is_above_white() -> None:
    assert colours(LUPTON, plane(4e6), plane(1.6e6), plane(1e6))[0, 0].tolist() == [255, 102, 64]


def test_lupton_is_black_where_the_intensity_is_the_minimum_or_less() -> None:
    recipe = replace(LUPTON, minimum=2.0)
    assert colours(recipe, plane(6, 9), plane(0, -9), plane(0, -9))[0].tolist() == [[0, 0, 0], [0, 0, 0]]


def test_negative_bands_are_black_in_their_colour_only() -> None:
    red, green, blue = colours(LUPTON, plane(30), plane(-3), plane(30))[0, 0]
    assert green == 0
    assert red == blue > 0


def test_black_and_scale_come_before_the_formula() -> None:
    recipe = replace(LUPTON, black={"i": 1.0, "r": -2.0, "g": 0.5}, scale={"i": 2.0, "r": 0.5, "g": 4.0})
    scaled = colours(recipe, plane(4), plane(10), plane(2))
    np.testing.assert_array_equal(scaled, colours(LUPTON, plane(6), plane(6), plane(6)))


def test_stars_above_the_ceiling_in_all_bands_are_white() -> None:
    recipe = replace(LUPTON, ceiling=100.0)
    assert len(set(colours(recipe, plane(900), plane(200), plane(400))[0, 0].tolist())) == 1


@pytest.mark.parametrize("minimum", [0.0, -1.5, (-1.0, 0.3, 0.0)])
@pytest.mark.parametrize(("q", "stretch"), [(8.0, 5.0), (3.0, 40.0), (20.0, 12.0)])
def test_the_variant_astropy_is_make_lupton_rgb(
    minimum: float | tuple[float, ...], q: float, stretch: float
) -> None:
    bands = noisy_sky(300)
    black = dict(zip("irg", minimum, strict=True)) if isinstance(minimum, tuple) else {}
    recipe = replace(
        LUPTON,
        variant="astropy",
        q=q,
        softening=stretch,
        minimum=0.0 if isinstance(minimum, tuple) else minimum,
        black=black,
    )
    ours = colours(recipe, *bands)
    theirs = make_lupton_rgb(*bands, minimum=minimum, stretch=stretch, Q=q)[::-1]
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_astropy_is_brighter_than_the_formula_by_9_percent_at_q_8() -> None:
    sky = tuple(np.full((1, 1), 8.0, np.float32) for _ in range(3))
    exact, variant = (colours(replace(LUPTON, variant=name), *sky)[0, 0, 0] for name in ("", "astropy"))  # type: ignore[arg-type]
    assert variant / exact == pytest.approx(0.8 / np.arcsinh(0.8), abs=0.02)


def test_stiff_by_hand() -> None:
    # c = (v + 1) / 10 = 0.7, 0.4, 0.1; Y = 0.4; out = [Y + 2 (c - 0.4)] Y^(1/2 - 1), to the power 1/2.2
    recipe = replace(STIFF, contrast=2.0, saturation=2.0)
    shares = np.clip((0.4 + 2 * np.array([0.3, 0.0, -0.3])) * 0.4**-0.5, 0, 1)
    expected = np.rint(255 * shares ** (1 / 2.2))
    assert colours(recipe, plane(6), plane(3), plane(0))[0, 0].tolist() == expected.tolist()


def test_stiff_counts_only_what_is_above_black_as_light() -> None:
    # c = 0.6, -0.3, 0: Y = 0.2, mean c = 0.1, out = 0.2 + (c - 0.1)
    shares = np.clip(0.2 + np.array([0.6, -0.3, 0.0]) - 0.1, 0, 1)
    expected = np.rint(255 * shares ** (1 / 2.2))
    assert colours(STIFF, plane(5), plane(-4), plane(-1))[0, 0].tolist() == expected.tolist()


def test_stiff_measures_each_band_where_cuts_are_percentages() -> None:
    bands = noisy_sky(80)
    recipe = replace(STIFF, cuts=Cuts("percent", 5.0, 99.0))
    limits = [np.percentile(band.astype(float), (5, 99)) for band in bands]
    by_value = {label: Cuts("values", *cuts) for label, cuts in zip("irg", limits, strict=True)}
    np.testing.assert_array_equal(
        colours(recipe, *bands), colours(replace(STIFF, cuts=None, band_cuts=by_value), *bands)
    )


def test_one_band_by_hand() -> None:
    assert colours(GREY, plane(-5, 0, 63, 65, 255, 999))[0, :, 0].tolist() == [0, 0, 63, 65, 255, 255]
    inverted = replace(GREY, invert=True)
    assert colours(inverted, plane(0, 55, 255))[0, :, 0].tolist() == [255, 200, 0]


def test_the_softening_of_one_band_is_in_units_of_its_levels() -> None:
    recipe = replace(GREY, stretch="asinh", softening=20.0)
    expected = np.rint(255 * np.arcsinh(50 / 20) / np.arcsinh(255 / 20))
    assert colours(recipe, plane(50))[0, 0, 0] == expected
    # two magnitudes and a half fainter: a pixel value is a tenth of a nanomaggy
    assert colours(recipe, plane(500), zeropoints=(25.0,))[0, 0, 0] == expected


def test_levels_are_nanomaggies_whatever_the_zero_points() -> None:
    sky = noisy_sky(50)
    scaled = (sky[0] * 10, sky[1] * 100, sky[2])
    for recipe in (LUPTON, STIFF):
        expected = colours(recipe, *sky).astype(int)
        got = colours(recipe, *scaled, zeropoints=(25.0, 27.5, 22.5))
        assert np.abs(got - expected).max() <= 1  # a float32 has been multiplied by ten


def test_a_recipe_of_pixel_values_needs_no_zero_point() -> None:
    sky = noisy_sky(50)
    recipe = replace(LUPTON, unit="pixel")
    expected = colours(LUPTON, *sky)
    np.testing.assert_array_equal(colours(recipe, *sky, zeropoints=(None, None, 30.0)), expected)


def test_without_a_zero_point_levels_are_measured_and_that_is_said() -> None:
    picture = render(
        noisy_sky(50), Look(("i", "r", "g"), LUPTON, False), None, PNG, zeropoints=(25.0, None, 25.0)
    )
    assert picture.recipe.startswith("auto: lupton of i,r,g")
    assert picture.recipe.endswith("levels in pixel values")


def test_pixels_without_data_have_one_colour_which_no_other_pixel_has() -> None:
    # levels 0 to 255 of grey, and colours around that of no data
    values = plane(*range(256), np.nan, np.inf)
    assert (colours(GREY, values)[0, :, 0] == NO_DATA[0]).nonzero()[0].tolist() == [256, 257]
    white = 64.2 / 255 * 8
    steps = np.linspace(0, 2 * 30 * np.sinh(white) / 8, 4000)
    grey = plane(*steps, np.nan)
    painted = colours(LUPTON, grey, grey, grey)[0]
    assert ((painted == NO_DATA).all(axis=1)).nonzero()[0].tolist() == [4000]
    assert [64, 64, 65] in painted.tolist()


def test_a_pixel_without_data_in_a_band_has_the_mean_of_the_others_there() -> None:
    for recipe in (LUPTON, STIFF):
        lacking = colours(recipe, plane(8, 8, np.nan), plane(np.nan, 2, np.nan), plane(4, np.nan, 5))
        given = colours(recipe, plane(8, 8, 5), plane(6, 2, 5), plane(4, 5, 5))
        np.testing.assert_array_equal(lacking, given)


def test_a_band_without_any_image_is_the_mean_of_the_others_and_is_named() -> None:
    red, _, blue = noisy_sky(40)
    look = Look(("i", "r", "g"), LUPTON, False)
    without = render([red, None, blue], look, None, PNG, zeropoints=(22.5, None, 22.5))
    mean = render([red, (red + blue) / 2, blue], look, None, PNG, zeropoints=(22.5,) * 3)
    assert without.missing == ("r",)
    assert mean.missing == ()
    assert without.content == mean.content


def test_the_part_with_data_is_told_and_the_rest_of_a_png_transparent() -> None:
    image = noisy_sky(40)[0]
    image[:10] = np.nan
    look = Look(("r",), GREY, False)
    picture = render([image], look, None, PNG)
    assert picture.covered == 0.75
    opened = Pillow.open(BytesIO(picture.content))
    assert opened.mode == "L"
    alpha = np.asarray(opened.convert("RGBA"))[..., 3]
    assert (alpha[30:] == 0).all()  # the first rows of the image are the lowest of the picture
    assert (alpha[:30] == 255).all()
    jpeg = Pillow.open(BytesIO(render([image], look, None, replace(PNG, media_type="image/jpeg")).content))
    assert abs(float(np.asarray(jpeg)[33:].mean()) - NO_DATA[0]) < 2


def test_an_asymmetric_source_is_the_right_way_up() -> None:
    image = np.zeros((30, 40), np.float32)
    image[2, 5:35] = 255  # a bar low in the image, and a dot at its right end higher up
    image[20, 33] = 255
    pixels = colours(GREY, image)[..., 0]
    assert pixels.shape == (30, 40)
    assert (pixels[27, 5:35] == 255).all()
    assert pixels[9, 33] == 255
    assert np.count_nonzero(pixels) == 31


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg"])
def test_the_same_request_gives_the_same_bytes(media_type: str) -> None:
    options = PictureOptions(media_type, label="twice", draw=("center",))
    look = choose_look(options, survey(LUPTON), ("g", "r", "i"))
    first, second = (render(noisy_sky(60), look, None, options, zeropoints=(22.5,) * 3) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("algorithm", ["grey", "lupton", "stiff"])
def test_measured_levels_do_not_depend_on_the_unit(algorithm: str) -> None:
    sky = noisy_sky(100)
    count = 1 if algorithm == "grey" else 3
    look = Look(("i", "r", "g")[:count], Recipe("auto", 0, algorithm, unit="pixel"), True)  # type: ignore[arg-type]
    pixels, _, _ = colour_pixels(sky[:count], look)
    brighter, _, _ = colour_pixels([(image + 700) * 64 for image in sky[:count]], look)
    assert np.abs(pixels.astype(int) - brighter).max() <= 2
    # the sky is dark but not black, and something is bright
    assert 8 < np.median(pixels) < 90
    assert pixels.max() > 200
    assert np.count_nonzero(pixels == 0) < 0.4 * pixels.size


@pytest.mark.parametrize("algorithm", ["grey", "lupton", "stiff"])
@pytest.mark.parametrize("value", [0.0, 5.0, np.nan])
def test_measured_levels_of_nothing_and_of_equal_pixels(algorithm: str, value: float) -> None:
    count = 1 if algorithm == "grey" else 3
    look = Look(("i", "r", "g")[:count], Recipe("auto", 0, algorithm, unit="pixel"), True)  # type: ignore[arg-type]
    picture = render([np.full((9, 9), value, np.float32)] * count, look, None, PNG)
    assert picture.covered == (0.0 if np.isnan(value) else 1.0)
    assert Pillow.open(BytesIO(picture.content)).size == (9, 9)


def test_the_sky_of_images_that_hold_it_can_be_subtracted() -> None:
    sky = noisy_sky(100)
    recipe = replace(LUPTON, sky="subtract")
    lifted = (sky[0] + 640, sky[1] + 150, sky[2] + 480)
    expected = colours(recipe, *sky).astype(int)
    assert np.abs(colours(recipe, *lifted) - expected).max() <= 1


def test_a_picture_tells_its_recipe_with_all_numbers() -> None:
    options = replace(PNG, q=5.0)
    look = choose_look(options, survey(replace(LUPTON, black={"i": -0.1, "r": 0.0, "g": 0.0})), "gri")
    picture = render(noisy_sky(20), look, None, options, zeropoints=(22.5,) * 3)
    assert picture.recipe == (
        "gri/1 changed by Q: lupton of i,r,g; Q 5; S 30; m 0; black -0.1/0/0; levels in nanomaggies"
    )
    assert picture.recipe.encode() in picture.content
