"""Small pictures that were looked at once, and have to stay as they are, pixel by pixel.

``python -m tests.surveys.picture.test_golden`` draws them anew: look at each of them before it is committed.
"""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from surveys import kernels
from surveys.picture.look import Look
from surveys.picture.render import render, warm_up
from surveys.recipe import Recipe
from surveys.request import Cuts
from tests.surveys.picture.sky import PNG, Image

FOLDER = Path(__file__).parent / "golden"

LUPTON = Recipe(
    "gri",
    1,
    "lupton",
    ("i", "r", "g"),
    softening=8.0,
    scale={"i": 0.8, "r": 1.0, "g": 1.5},
    black=dict.fromkeys("irg", -0.5),
)
GREY = Recipe("grey", 1, "grey", stretch="asinh", cuts=Cuts("values", -1.0, 80.0), softening=4.0)
RECIPES = {
    "lupton": LUPTON,
    "astropy": replace(LUPTON, variant="astropy", ceiling=60.0),
    "minimum": replace(LUPTON, minimum=1.0, black={}),
    "stiff": Recipe("stiff", 1, "stiff", ("i", "r", "g"), cuts=Cuts("values", -0.5, 40.0)),
    "vivid": Recipe(
        "stiff", 1, "stiff", ("i", "r", "g"), cuts=Cuts("percent", 2.0, 99.8), saturation=2.0, contrast=1.5
    ),
    "grey": GREY,
    "inverted": replace(GREY, invert=True, stretch="log"),
    "map": replace(GREY, colormap="viridis", stretch="sqrt"),
    "zscale": replace(GREY, stretch="linear", cuts=Cuts("zscale")),
}


def scene() -> tuple[Image, Image, Image]:
    """A red star low at the left, a galaxy that leans to the right, a blue star high up; holes."""
    rng = np.random.default_rng(20)
    y, x = np.mgrid[:48, :64].astype(float)

    def blob(x0: float, y0: float, flux: float, long: float, wide: float, angle: float) -> Image:
        turn = np.radians(angle)
        u = (x - x0) * np.cos(turn) + (y - y0) * np.sin(turn)
        v = (y - y0) * np.cos(turn) - (x - x0) * np.sin(turn)
        return (flux * np.exp(-((u / long) ** 2 + (v / wide) ** 2) / 2)).astype(np.float32)

    red, middle, blue = (
        blob(10, 8, 300, 1.5, 1.5, 0),
        blob(34, 24, 40, 9, 3, 60),
        blob(52, 40, 200, 1.3, 1.3, 0),
    )
    noise = rng.normal(0, 0.5, (3, 48, 64)).astype(np.float32)
    i, r, g = (
        share[0] * red + share[1] * middle + share[2] * blue + one
        for share, one in zip(((1, 1, 0.3), (0.5, 0.7, 0.6), (0.2, 0.4, 1)), noise, strict=True)
    )
    i[20:30, :8] = r[20:30, :8] = g[20:30, :8] = np.nan
    i[30:34, :8] = g[28:36, 60:] = np.nan
    return i, r, g


def draw(name: str) -> bytes:
    recipe = RECIPES[name]
    bands = recipe.bands or ("i",)
    look = Look(bands, recipe, False)
    return render(scene()[: len(bands)], look, None, PNG, zeropoints=(22.5,) * len(bands)).content


@pytest.mark.parametrize("name", RECIPES)
def test_pictures_are_those_that_were_looked_at(name: str) -> None:
    ours = Pillow.open(BytesIO(draw(name)))
    golden = Pillow.open(FOLDER / f"{name}.png")
    assert ours.mode == golden.mode
    assert ours.info.get("transparency") == golden.info.get("transparency")
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(golden))


def test_no_kernel_is_compiled_while_a_picture_is_made() -> None:
    warm_up()
    modules = (kernels.picture, kernels.png, kernels.huffman)
    compiled = [one for module in modules for one in vars(module).values() if hasattr(one, "signatures")]
    before = [len(one.signatures) for one in compiled]
    assert sum(before) >= 6
    for name in RECIPES:
        draw(name)
    assert [len(one.signatures) for one in compiled] == before


if __name__ == "__main__":
    for one in RECIPES:
        (FOLDER / f"{one}.png").write_bytes(draw(one))
