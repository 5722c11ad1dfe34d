"""Which image a pixel is taken from, what several become, and the layers beside the image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from surveys.errors import RequestFault
from surveys.request import CutoutRequest, MosaicOptions, PictureOptions
from surveys.sky.pixels import PixelBox
from surveys.sky.stencil import Circle
from surveys.survey import Band, Layer, Nodata, WeightMeaning
from surveys.template import PathTemplate
from tests.support.tiles import sky
from tests.surveys.mosaic.skies import (
    SCALE,
    SkyCatalog,
    composed,
    moved,
    survey_of,
    tan,
    text_of,
    wcs_of_cards,
)

SIZE = (100, 80)
BOX = PixelBox(0, 160, 0, 80)


@pytest.fixture
def catalog(tmp_path: Path) -> SkyCatalog:
    return SkyCatalog(root=tmp_path)


def declare(catalog: SkyCatalog, meaning: WeightMeaning = "invvar", **band: Any) -> None:
    """Let the survey have weights and masks."""
    layers = (
        Layer("image", PathTemplate("{x}.fits")),
        Layer("weight", PathTemplate("{x}-weight.fits"), weight=meaning),
        Layer("mask", PathTemplate("{x}-mask.fits"), bits={"SAT": 0, "NO_DATA": 5}),
    )
    catalog.declared = survey_of(Band("g", 4e-7, 5.5e-7, ("g",), **band), layers=layers)


def two_tiles(catalog: SkyCatalog, **second: Any) -> None:
    """A tile of ones, and one of twos, on one grid; they share the columns 60 to 99."""
    cards = tan(size=SIZE)
    catalog.tile(np.full((80, 100), 1.0, "f4"), cards)
    catalog.tile(np.full((80, 100), 2.0, "f4"), moved(cards, 60, 0), **second)


METHODS = pytest.mark.parametrize("method", ["paste", "resample"])


@METHODS
def test_the_nearest_centre_wins(catalog: SkyCatalog, method: Any) -> None:
    two_tiles(catalog)
    made = composed(catalog, BOX, method)
    assert (made.image[:, :79] == 1.0).all()
    assert (made.image[:, 81:] == 2.0).all()


@METHODS
def test_the_nearest_centre_wins_whatever_the_size_of_the_tiles(catalog: SkyCatalog, method: Any) -> None:
    """The centre of the wide tile is at column 49.5, that of the narrow one at 109.5: between them 79.5."""
    cards = tan(size=SIZE)
    catalog.tile(np.full((80, 100), 1.0, "f4"), cards)
    catalog.tile(np.full((80, 78), 2.0, "f4"), moved(cards, 71, 0))
    made = composed(catalog, PixelBox(0, 149, 0, 80), method)
    assert (made.image[:, :79] == 1.0).all()
    assert (made.image[:, 81:] == 2.0).all()


@METHODS
def test_the_first_with_data_wins_on_request(catalog: SkyCatalog, method: Any) -> None:
    two_tiles(catalog)
    made = composed(catalog, BOX, method, combine="first")
    inner = 97 if method == "resample" else 100  # neighbours beyond the edge of an image do not count
    assert (made.image[:, :inner] == 1.0)[5:75].all()
    assert (made.image[:, 100:] == 2.0).all()


@METHODS
def test_a_border_is_not_the_tile_s_own(catalog: SkyCatalog, method: Any) -> None:
    # the first has nothing beyond column 69, the second nothing before its column 10
    cards = tan(size=SIZE)
    catalog.tile(np.full((80, 100), 1.0, "f4"), cards, unique=(30.0,))
    catalog.tile(np.full((80, 100), 2.0, "f4"), moved(cards, 60, 0), unique=(10.0,))
    made = composed(catalog, BOX, method)
    np.testing.assert_array_equal(made.image[40, 10:150], np.where(np.arange(10, 150) < 70, 1.0, 2.0))


@METHODS
@pytest.mark.parametrize("shape", ["limits", "polygon"])
@pytest.mark.parametrize("ra", [150.0, 0.0])
def test_limits_on_the_sky_part_tiles(catalog: SkyCatalog, method: Any, shape: str, ra: float) -> None:
    cards = tan(ra, 0.0, SIZE)
    edge = float(wcs_of_cards(cards).all_pix2world(86.3, 40, 0)[0])

    def area(east: float, west: float) -> tuple[float, ...]:
        if shape == "limits":
            return (west % 360, east % 360, -0.1, 0.1)
        return (east, -0.1, east, 0.1, west, 0.1, west, -0.1)

    catalog.tile(np.full((80, 100), 1.0, "f4"), cards, unique=area(edge + 0.02, edge))
    catalog.tile(np.full((80, 100), 2.0, "f4"), moved(cards, 60, 0), unique=area(edge, edge - 0.02))
    made = composed(catalog, BOX, method)
    np.testing.assert_array_equal(made.image[40], np.where(np.arange(160) <= 86, 1.0, 2.0))


@METHODS
def test_scales_bring_images_to_one_zero_point(catalog: SkyCatalog, method: Any) -> None:
    two_tiles(catalog, scale=0.5)
    made = composed(catalog, BOX, method)
    np.testing.assert_allclose(made.image, 1.0, rtol=1e-6)
    assert [one.scale for one in made.inputs] == [1.0, 0.5]


@METHODS
def test_the_mean_of_all(catalog: SkyCatalog, method: Any) -> None:
    two_tiles(catalog)
    made = composed(catalog, BOX, method, combine="mean")
    np.testing.assert_allclose(made.image[:, :60], 1.0, rtol=1e-6)
    np.testing.assert_allclose(made.image[:, 60:100], 1.5, rtol=1e-6)
    np.testing.assert_allclose(made.image[:, 100:], 2.0, rtol=1e-6)
    assert [one.fraction for one in made.inputs] == pytest.approx([100 / 160, 100 / 160])


@METHODS
@pytest.mark.parametrize(
    ("meaning", "first", "second"),
    [("invvar", 3.0, 1.0), ("relative", 3.0, 1.0), ("variance", 1.0, 3.0), ("stddev", 1.0, 3**0.5)],
)
def test_the_weighted_mean(
    catalog: SkyCatalog, method: Any, meaning: WeightMeaning, first: float, second: float
) -> None:
    declare(catalog, meaning)
    cards = tan(size=SIZE)
    for i, weight in enumerate((first, second)):
        layers = {"weight": np.full((80, 100), weight, "f4")}
        catalog.tile(np.full((80, 100), i + 1.0, "f4"), moved(cards, 60 * i, 0), layers)
    made = composed(catalog, BOX, method, combine="weighted", layers=("image", "weight"))
    np.testing.assert_allclose(made.image[:, 60:100], (3.0 * 1.0 + 1.0 * 2.0) / 4.0, rtol=1e-5)
    np.testing.assert_allclose(made.image[:, :60], 1.0, rtol=1e-5)
    assert made.weight is not None
    # inverse variances add up
    expected = {"variance": 0.75, "stddev": 0.75**0.5}.get(meaning, 4.0)
    if meaning in ("variance", "stddev"):
        expected = {"variance": 1 / (1 / first + 1 / second), "stddev": (1 / (1 + 1 / 3)) ** 0.5}[meaning]
    np.testing.assert_allclose(made.weight[40, 60:100], expected, rtol=1e-4)


def test_without_weights_there_is_no_weighted_mean(catalog: SkyCatalog) -> None:
    two_tiles(catalog)
    with pytest.raises(RequestFault, match="COMBINE=weighted"):
        composed(catalog, BOX, "paste", combine="weighted")


@METHODS
@pytest.mark.parametrize("rule", ["value", "weight", "mask", "blank"])
def test_declared_pixels_without_data_never_win(catalog: SkyCatalog, method: Any, rule: str) -> None:
    nodata = {"value": Nodata(value=0.0), "weight": Nodata(weight_zero=True), "mask": Nodata(mask_bits=4)}
    declare(catalog, nodata=nodata.get(rule))
    cards = tan(size=SIZE) | ({"BLANK": -1} if rule == "blank" else {})
    gone = np.zeros((80, 100), bool)
    gone[30:50, 65:76] = True  # nearer to the first tile
    for i in range(2):
        here = gone if i == 0 else np.zeros_like(gone)
        pixels = np.full((80, 100), i + 1.0, "f4" if rule != "blank" else "i2")
        if rule == "value":
            pixels[here] = 0.0
        if rule == "blank":
            pixels[here] = -1
        layers = {
            "weight": np.where(here, 0.0, 1.0).astype("f4"),
            "mask": np.where(here, 4 | 1, 1).astype("i2"),
        }
        own = moved(cards, 60 * i, 0)
        own.pop("BLANK", None)
        catalog.tile(pixels, moved(cards, 60 * i, 0), layers)
    made = composed(catalog, BOX, method)
    assert (made.image[31:49, 66:75] == 2).all()
    assert (made.image[:, 50:60] == 1).all()
    assert made.covered == BOX.pixels


def test_weights_and_masks_are_pasted_with_the_image(catalog: SkyCatalog) -> None:
    declare(catalog)
    cards, rng = tan(size=SIZE), np.random.default_rng(5)
    image, weight = sky((80, 160)), rng.uniform(1, 2, (80, 160)).astype("f4")
    mask = rng.integers(0, 16, (80, 160)).astype("i4")
    for x in (0, 60):
        own = slice(x, x + 100)
        catalog.tile(
            image[:, own], moved(cards, x, 0), {"weight": weight[:, own], "mask": mask[:, own]},
            scale=1.0 if x == 0 else 2.0,
        )  # fmt: skip
    made = composed(catalog, PixelBox(0, 170, 0, 80), "paste", layers=("image", "weight", "mask"))
    assert made.weight is not None
    assert made.mask is not None
    second = np.arange(160) >= 80
    np.testing.assert_allclose(made.image[:, :160], image * np.where(second, 2.0, 1.0), rtol=1e-6)
    np.testing.assert_allclose(made.weight[:, :160], weight / np.where(second, 4.0, 1.0), rtol=1e-6)
    np.testing.assert_array_equal(made.mask[:, :160], mask)
    # beyond the data: no weight, and the bit whose name says so
    assert (made.weight[:, 160:] == 0.0).all()
    assert (made.mask[:, 160:] == 1 << 5).all()


@pytest.mark.parametrize("kernel", ["bilinear", "lanczos3"])
def test_variance_is_carried_through_the_kernel(catalog: SkyCatalog, kernel: str) -> None:
    """The noise of many resampled fields scatters by what the weight says."""
    declare(catalog, "variance")
    cards = tan(size=SIZE, angle=20.0)
    sigma = 1.0 + np.linspace(0, 2, 100) * np.ones((80, 1))
    rng = np.random.default_rng(6)
    values = []
    target = tan(size=(40, 30))
    box = PixelBox(0, 40, 0, 30)
    for _ in range(60):
        catalog.pieces.clear()
        noise = rng.normal(0, sigma).astype("f4")
        catalog.tile(noise, cards, {"weight": (sigma**2).astype("f4")})
        made = composed(
            catalog, box, wcs_text=text_of(target), resample=kernel, layers=("image", "weight"), flux="flux"
        )
        values.append(made.image)
    assert made.weight is not None
    ratio = np.std(values, axis=0) ** 2 / made.weight
    assert np.median(ratio) == pytest.approx(1.0, abs=0.05)
    assert (made.weight < sigma.max() ** 2).all()


def test_masks_grow_by_the_kernel_and_are_not_interpolated(catalog: SkyCatalog) -> None:
    declare(catalog)
    mask = np.zeros((80, 100), "i2")
    mask[40, 50], mask[20, 30] = 2, 8
    catalog.tile(sky((80, 100)), tan(size=SIZE), {"mask": mask})
    target = tan(150.0 + 0.4 * SCALE, 2.0 + 0.4 * SCALE, SIZE)
    for kernel, side in (("bilinear", 2), ("lanczos3", 6)):
        made = composed(
            catalog,
            PixelBox(0, 100, 0, 80),
            wcs_text=text_of(target),
            resample=kernel,
            layers=("image", "mask"),
        )
        assert made.mask is not None
        assert made.mask.dtype == np.int16
        inner = made.mask[5:-5, 5:-5]
        assert (inner == 2).sum() == side**2
        assert (inner == 8).sum() == side**2
        assert set(np.unique(inner)) == {0, 2, 8}


def test_asinh_scales_are_made_linear(catalog: SkyCatalog) -> None:
    catalog.declared = survey_of(linearise="asinh")
    flux = np.linspace(-5.0, 500.0, 8000).reshape(80, 100)
    cards = tan(size=SIZE) | {"BSOFTEN": 2.5, "BOFFSET": 0.75, "BSCALE": 5e-4, "BZERO": 3.0}
    stored = np.round((2.5 / np.log(10) * np.arcsinh((flux - 0.75) / (2 * 2.5)) - 3.0) / 5e-4).astype("i2")
    catalog.tile(stored, cards)
    made = composed(catalog, PixelBox(0, 100, 0, 80), "paste")
    np.testing.assert_allclose(made.image, flux, rtol=1e-3, atol=0.01)
    assert made.promoted is not None
    assert "linear" in made.promoted


@METHODS
def test_pixels_outside_of_the_region_are_blanked_on_request(catalog: SkyCatalog, method: Any) -> None:
    two_tiles(catalog)
    ra, dec = wcs_of_cards(tan(size=SIZE)).all_pix2world(80, 40, 0)
    stencil = Circle(float(ra), float(dec), 30 * SCALE)
    made = composed(catalog, BOX, method, request=CutoutRequest("demo/g", stencil, mask=True))
    y, x = np.mgrid[:80, :160]
    inside = np.hypot(x - 80, y - 40) <= 30
    np.testing.assert_array_equal(np.isfinite(made.image), inside)
    assert made.covered == inside.sum()
    assert sum(one.fraction for one in made.inputs) == pytest.approx(inside.mean(), rel=1e-12)
    options = MosaicOptions(combine="mean")
    mean = composed(catalog, BOX, method, request=CutoutRequest("demo/g", stencil, mask=True, mosaic=options))
    np.testing.assert_array_equal(np.isfinite(mean.image), inside)
    shares = [(inside & (x < 100)).mean(), (inside & (x >= 60)).mean()]
    assert [one.fraction for one in mean.inputs] == pytest.approx(shares, abs=0.01)


def levels(catalog: SkyCatalog, offsets: tuple[float, ...]) -> np.ndarray:
    """Tiles of one starry field in a row, each with a sky level of its own."""
    field = sky((80, 100 + 60 * len(offsets)))
    field[::9, ::7] += 5000.0
    cards = tan(size=SIZE)
    for i, offset in enumerate(offsets):
        own = field[:, 60 * i : 60 * i + 100] + np.random.default_rng(i).normal(0, 5, (80, 100)) + offset
        catalog.tile(own.astype("f4"), moved(cards, 60 * i, 0))
    return field


def test_backgrounds_are_matched_to_the_first_image(catalog: SkyCatalog) -> None:
    levels(catalog, (0.0, 13.0, -40.0))
    made = composed(catalog, PixelBox(0, 220, 0, 80), "paste", background="match")
    assert [one.offset for one in made.inputs] == pytest.approx([0.0, -13.0, 40.0], abs=1.0)
    kept = composed(catalog, PixelBox(0, 220, 0, 80), "paste")
    assert [one.offset for one in kept.inputs] == [0.0, 0.0, 0.0]


def test_pictures_have_matched_backgrounds_unless_they_are_subtracted(catalog: SkyCatalog) -> None:
    levels(catalog, (0.0, 13.0))
    request = CutoutRequest("demo/g", picture=PictureOptions("image/png"))
    made = composed(catalog, BOX, "paste", request=request)
    assert made.inputs[1].offset == pytest.approx(-13.0, abs=1.0)
    kept = composed(catalog, BOX, "paste", request=replace(request, mosaic=MosaicOptions(background="keep")))
    assert kept.inputs[1].offset == 0.0
    declare(catalog, background="subtracted")
    assert composed(catalog, BOX, "paste", request=request).inputs[1].offset == 0.0


def test_images_that_touch_no_other_keep_their_level(catalog: SkyCatalog) -> None:
    levels(catalog, (5.0, 13.0))
    catalog.tile(sky((80, 100)) + 400.0, moved(tan(size=SIZE), 300, 0))
    made = composed(catalog, PixelBox(0, 400, 0, 80), "paste", background="match")
    assert made.inputs[2].offset == 0.0
    assert made.inputs[1].offset == pytest.approx(-8.0, abs=1.0)


def test_a_part_of_a_weighted_pair_without_data(catalog: SkyCatalog) -> None:
    declare(catalog)
    cards = tan(size=SIZE)
    hole = np.full((80, 100), 1.0, "f4")
    hole[:, 70:] = np.nan
    catalog.tile(hole, cards, {"weight": np.ones((80, 100), "f4")})
    catalog.tile(np.full((80, 100), 2.0, "f4"), moved(cards, 60, 0), {"weight": np.ones((80, 100), "f4")})
    made = composed(catalog, BOX, "paste", combine="weighted", layers=("image", "weight"))
    np.testing.assert_array_equal(made.image[0], np.repeat([1.0, 1.5, 2.0], [60, 10, 90]))
    assert made.weight is not None
    np.testing.assert_allclose(made.weight[0], np.repeat([1.0, 2.0, 1.0], [60, 10, 90]))


@pytest.mark.parametrize("algorithm", ["interp", "exact"])
def test_reproject_goes_with_layers_threads_and_flux(catalog: SkyCatalog, algorithm: str) -> None:
    declare(catalog, "variance")
    cards = tan(size=SIZE, angle=5.0)
    for x in (0, 60):
        layers = {"weight": np.full((80, 100), 4.0, "f4"), "mask": np.full((80, 100), 2, "u1")}
        catalog.tile(np.full((80, 100), 3.0, "f4"), moved(cards, x, 0), layers, unique=(10.0,))
    target = text_of(tan(149.998, 2.0, size=(70, 40), scale=1.1 * SCALE))
    made = composed(
        catalog, PixelBox(0, 70, 0, 40), wcs_text=target, resample=algorithm, threads=2, flux="flux",
        layers=("image", "weight", "mask"),
    )  # fmt: skip
    assert made.weight is not None
    assert made.mask is not None
    np.testing.assert_allclose(made.image, 3.0 * 1.21, rtol=1e-3)
    assert (made.mask == 2).all()
    # the sum of k² of the bilinear kernel lies between a quarter and one
    assert ((made.weight > 4.0 * 1.21**2 * 0.1) & (made.weight <= 4.0 * 1.21**2 * 1.001)).all()
    assert all(0.3 < one.fraction < 0.7 for one in made.inputs)
