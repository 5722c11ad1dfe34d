"""Each compiled loop does as its twin in numpy."""

from __future__ import annotations

import numpy as np
import pytest

from surveys.kernels import picture, png
from surveys.picture.curves import SCREEN, curve
from tests.surveys.picture.sky import noisy_sky, with_holes

NOTHING = np.array([64, 64, 64], np.uint8)


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize(("stretch", "parameter"), [("linear", 0.0), ("asinh", 1e-3), ("power", 3.0)])
def test_one_band(depth: int, stretch: str, parameter: float) -> None:
    values = with_holes(noisy_sky(61)[0][:37], 3)
    values[0, 0] = np.inf
    paint = np.random.default_rng(1).integers(0, 256, (256, depth)).astype(np.uint8)
    outs = [np.empty((37, 61, depth), np.uint8) for _ in range(2)]
    counts = [
        shade(values, -2.0, 50.0, *curve(stretch, parameter), paint, NOTHING[:depth], out)
        for shade, out in zip((picture.shade, picture.shade_plain), outs, strict=True)
    ]
    assert counts[0] == counts[1] > 0
    np.testing.assert_array_equal(*outs)


@pytest.mark.parametrize(("minimum", "ceiling"), [(0.0, 1e38), (0.8, 40.0)])
def test_lupton(minimum: float, ceiling: float) -> None:
    sky = noisy_sky(83)
    bands = (with_holes(sky[0], 1), with_holes(sky[1], 2), with_holes(sky[2], 3))
    black, scale = np.array([-1.0, 0.5, 0.0]), np.array([1.0, 2.0, 0.5])
    outs = [np.empty((83, 83, 3), np.uint8) for _ in range(2)]
    counts = [
        lupton(bands, black, scale, ceiling, minimum, 0.3, 1 / 7, NOTHING, out)
        for lupton, out in zip((picture.lupton, picture.lupton_plain), outs, strict=True)
    ]
    assert counts[0] == counts[1] > 0
    apart = np.abs(outs[0].astype(int) - outs[1])
    # float32, and an asinh of straight lines, against float64: a level more or less where it is on the edge
    assert apart.max() <= 1
    assert np.count_nonzero(apart) < 5


def test_the_asinh_of_lupton_is_right_over_its_whole_range() -> None:
    intensity = np.logspace(-9, 30, 4000).astype(np.float32).reshape(40, 100)
    out = np.empty((40, 100, 3), np.uint8)
    steepness = 3.0
    gain = 1.0 / np.arcsinh(steepness * 1e30)
    picture.lupton((intensity,) * 3, np.zeros(3), np.ones(3), 1e38, 0.0, steepness, gain, NOTHING, out)
    exact = 255 * gain * np.arcsinh(steepness * intensity.astype(float))
    grey = out[::-1, :, 0].astype(float)
    assert np.abs(grey - exact)[grey != 64].max() < 0.501


@pytest.mark.parametrize(("exponent", "saturation"), [(0.0, 1.0), (-0.4, 1.7), (0.5, 0.0)])
def test_stiff(exponent: float, saturation: float) -> None:
    sky = noisy_sky(83)
    bands = (with_holes(sky[0], 1), with_holes(sky[1], 2), with_holes(sky[2], 3))
    black, span = np.array([-1.0, 0.5, 0.0]), np.array([30.0, 20.0, 25.0])
    outs = [np.empty((83, 83, 3), np.uint8) for _ in range(2)]
    counts = [
        stiff(*bands, black, span, exponent, saturation, *curve("power", SCREEN), NOTHING, out)
        for stiff, out in zip((picture.stiff, picture.stiff_plain), outs, strict=True)
    ]
    assert counts[0] == counts[1] > 0
    apart = np.abs(outs[0].astype(int) - outs[1])
    assert apart.max() <= 1
    assert np.count_nonzero(apart) < 20


@pytest.mark.parametrize("depth", [1, 3])
def test_filters_of_png(depth: int) -> None:
    rng = np.random.default_rng(4)
    rows = np.vstack(
        [
            rng.integers(0, 256, (9, 60)),  # noise
            np.broadcast_to(np.arange(60) * 3, (5, 60)),  # equal to the row above
            np.add.outer(np.arange(9) * 7, np.arange(60) * 2 + 3),  # slopes
            np.zeros((3, 60)),
        ]
    ).astype(np.uint8)
    outs = [np.empty((len(rows), 61), np.uint8) for _ in range(2)]
    png.filter_rows(rows, depth, outs[0])
    png.filter_rows_plain(rows, depth, outs[1])
    np.testing.assert_array_equal(*outs)
    assert len(set(outs[0][:, 0])) >= 3
