"""Levels of curves are those of their formulas; cuts are those of astropy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from astropy.visualization import AsymmetricPercentileInterval, ZScaleInterval

from surveys.kernels.picture import shade
from surveys.picture.colours import paint_of
from surveys.picture.curves import curve, limits_of, zscale
from surveys.request import Cuts
from tests.surveys.picture.sky import noisy_sky, with_holes

FORMULAS: dict[tuple[str, float], Callable[[np.ndarray], np.ndarray]] = {
    ("linear", 0.0): lambda x: x,
    ("sqrt", 0.0): np.sqrt,
    ("log", 0.0): lambda x: np.log(1000 * x + 1) / np.log(1001),
    ("asinh", 0.1): lambda x: np.arcsinh(x / 0.1) / np.arcsinh(10),
    ("asinh", 1e-4): lambda x: np.arcsinh(x / 1e-4) / np.arcsinh(1e4),
    ("asinh", 30.0): lambda x: np.arcsinh(x / 30) / np.arcsinh(1 / 30),
    ("power", 2.0): lambda x: x**2,
    ("power", 0.3): lambda x: x**0.3,
}


@pytest.mark.parametrize(("stretch", "parameter"), FORMULAS)
def test_a_pixel_has_the_level_nearest_to_the_curve(stretch: str, parameter: float) -> None:
    x = np.append(np.linspace(-0.2, 1.2, 3000), np.logspace(-12, 0, 1000)).astype(np.float32).reshape(40, 100)
    out = np.empty((40, 100, 1), np.uint8)
    paint = np.arange(256, dtype=np.uint8)[:, None]
    shade(x, 0.0, 1.0, *curve(stretch, parameter), paint, np.zeros(1, np.uint8), out)
    exact = 255 * FORMULAS[stretch, parameter](np.clip(x.astype(float), 0, 1))
    assert np.abs(out[::-1, :, 0] - exact).max() <= 0.5 + 1e-9


def test_an_asinh_of_nearly_no_softening_is_finite() -> None:
    limits, _ = curve("asinh", 1e-300)
    assert np.isfinite(limits[:-1]).all()
    assert (np.diff(limits) > 0).all()


@pytest.mark.parametrize("shape", [(200, 200), (31, 17), (2, 3), (1, 1)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_zscale_is_that_of_astropy(shape: tuple[int, int], seed: int) -> None:
    values = with_holes(noisy_sky(200, seed=seed)[0][: shape[0], : shape[1]], 4, 0.1)
    values[0, 0] = 3.0
    known = values[np.isfinite(values)]
    np.testing.assert_allclose(zscale(known), ZScaleInterval().get_limits(known), rtol=1e-6)
    np.testing.assert_allclose(limits_of(values, Cuts("zscale"))[0], ZScaleInterval().get_limits(known)[0])


def test_zscale_of_a_slope_and_of_nothing_but_outliers() -> None:
    slope = np.arange(5000, dtype=np.float32) ** 1.5
    np.testing.assert_allclose(zscale(slope), ZScaleInterval().get_limits(slope))
    wild = np.random.default_rng(5).standard_cauchy(5000).astype(np.float32)
    np.testing.assert_allclose(zscale(wild), ZScaleInterval().get_limits(wild), rtol=1e-6)


@pytest.mark.parametrize("limits", [(1.0, 99.0), (0.0, 100.0), (0.25, 99.75)])
def test_percentiles_are_those_of_astropy(limits: tuple[float, float]) -> None:
    values = with_holes(noisy_sky(90)[0], 4)
    expected = AsymmetricPercentileInterval(*limits).get_limits(values[np.isfinite(values)].astype(float))
    np.testing.assert_allclose(limits_of(values, Cuts("percent", *limits)), expected, rtol=1e-12)


@pytest.mark.parametrize("kind", ["percent", "zscale"])
@pytest.mark.parametrize("value", [0.0, -3.0, np.nan])
def test_cuts_of_equal_pixels_and_of_none_are_apart(kind: str, value: float) -> None:
    values = np.full((20, 20), value, np.float32)
    black, white = limits_of(values, Cuts(kind, 1.0, 99.0))  # type: ignore[arg-type]
    assert black < white


def test_a_colour_map_is_that_of_matplotlib() -> None:
    import matplotlib as mpl

    paint = paint_of("viridis", False)
    np.testing.assert_array_equal(paint, mpl.colormaps["viridis"](np.arange(256), bytes=True)[:, :3])
    np.testing.assert_array_equal(paint_of("viridis", True), paint[::-1])


def test_no_level_has_the_colour_of_no_data() -> None:
    assert paint_of("", False)[[63, 64, 65], 0].tolist() == [63, 65, 65]
    assert paint_of("", True)[[190, 191, 192], 0].tolist() == [65, 65, 63]
    assert paint_of("gray", False)[64].tolist() == [64, 64, 65]
