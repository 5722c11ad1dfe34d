"""PNG files hold the very pixels, are no larger than others write them, and are the same every time."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from surveys.picture.colours import NO_DATA
from surveys.picture.encode import encode_jpeg, encode_png
from surveys.picture.look import Look
from surveys.picture.render import colour_pixels
from surveys.recipe import Recipe
from tests.surveys.picture.sky import noisy_sky

#: Of Pillow's PNG of the same pixels.
LARGEST = 1.10


def patterns() -> list[tuple[str, NDArray[np.uint8]]]:
    rng = np.random.default_rng(2)
    slope = np.add.outer(np.arange(200), np.arange(300)).astype(np.uint8)
    return [
        ("noise", rng.integers(0, 256, (90, 70, 3)).astype(np.uint8)),
        ("grey noise", rng.integers(0, 256, (90, 70, 1)).astype(np.uint8)),
        ("slope", slope[..., None]),
        ("colour slope", np.stack([slope, slope // 2, 255 - slope], axis=-1)),
        ("black", np.zeros((300, 200, 3), np.uint8)),
        ("a row", rng.integers(0, 256, (1, 500, 3)).astype(np.uint8)),
        ("a pixel", np.full((1, 1, 1), 7, np.uint8)),
    ]


@pytest.mark.parametrize(("name", "pixels"), patterns())
def test_a_png_holds_the_very_pixels(name: str, pixels: NDArray[np.uint8]) -> None:
    opened: Any = Image.open(BytesIO(encode_png(pixels, b"<x/>")))
    opened.load()  # checks the sums of all chunks
    assert opened.mode == ("L" if pixels.shape[2] == 1 else "RGB")
    assert opened.info["XML:com.adobe.xmp"] == "<x/>"
    np.testing.assert_array_equal(np.asarray(opened).reshape(pixels.shape), pixels)
    assert encode_png(pixels, b"<x/>") == encode_png(pixels.copy(), b"<x/>")


@pytest.mark.parametrize("depth", [1, 3])
def test_no_data_is_transparent_and_nothing_else(depth: int) -> None:
    pixels = np.random.default_rng(6).integers(60, 68, (50, 40, depth)).astype(np.uint8)
    opened = Image.open(BytesIO(encode_png(pixels, transparent=True)))
    alpha = np.asarray(opened.convert("RGBA"))[..., 3]
    np.testing.assert_array_equal(alpha == 0, (pixels == NO_DATA[:depth]).all(axis=2))


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("quality", [50, 90])
def test_a_jpeg_is_near_the_pixels(depth: int, quality: int) -> None:
    y, x = np.mgrid[:64, :96]
    pixels = np.stack([128 + 100 * np.sin(x / 15 + c) * np.cos(y / 11) for c in range(depth)], axis=-1)
    content = encode_jpeg(pixels.astype(np.uint8), b"<x/>", quality)
    opened = Image.open(BytesIO(content))
    assert opened.mode == ("L" if depth == 1 else "RGB")
    assert opened.info["xmp"] == b"<x/>"
    assert np.abs(np.asarray(opened).reshape(pixels.shape) - pixels).mean() < (4 if quality == 50 else 2)
    assert encode_jpeg(pixels.astype(np.uint8), b"<x/>", quality) == content


def skies() -> list[tuple[str, NDArray[np.uint8]]]:
    found = []
    for softening, noise, black in (
        (30.0, 1.0, 0.0),  # half the sky black
        (30.0, 1.0, -3.0),
        (3.0, 1.0, -3.0),  # noise over many levels
        (300.0, 1.0, -3.0),  # noise within a few
        (30.0, 1e-3, -3.0),  # hardly any noise
        (30.0, 1.0, 5.0),  # nearly all black
    ):
        recipe = Recipe(
            "", 1, "lupton", tuple("irg"), "pixel", softening=softening, black=dict.fromkeys("irg", black)
        )
        sky = noisy_sky(400, noise=noise)
        for count in (1, 3):
            pixels, _, _ = colour_pixels(sky, Look(tuple("irg"), recipe, False))
            found.append(
                (f"S {softening}, noise {noise}, black {black}, {count}", pixels[..., :count].copy())
            )
    return found


@pytest.mark.parametrize(("name", "pixels"), skies())
def test_skies_are_no_larger_than_those_of_pillow(name: str, pixels: NDArray[np.uint8]) -> None:
    theirs = BytesIO()
    Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0]).save(theirs, "PNG")
    assert len(encode_png(pixels)) <= LARGEST * len(theirs.getvalue())


@pytest.mark.parametrize("depth", [1, 3])
def test_noise_makes_a_jpeg_larger_than_its_pixels(depth: int) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (600, 500, depth)).astype(np.uint8)
    content = encode_jpeg(noise, b"<x/>", 95)
    with Image.open(BytesIO(content)) as image:
        assert image.size == (500, 600)
        assert np.abs(np.asarray(image, float).reshape(600, 500, depth) - noise).mean() < 5
    assert encode_jpeg(noise, b"<x/>", 95) == content
