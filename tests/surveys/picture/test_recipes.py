"""The table ``recipes`` of a survey's declaration: every key is read, and whatever is wrong is named."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from surveys.declaration import read_survey
from surveys.errors import DeclarationError
from surveys.recipe import Recipe, read_recipes
from surveys.request import Cuts
from surveys.toml_keys import Keys

FOLDER = Path(__file__).resolve().parents[3] / "config" / "surveys"

GOOD = """
[gri]
version = 2
algorithm = "lupton"
bands = ["i", "r", "g"]
q = 7
softening = 0.1
black = { g = -0.01, i = 0.02 }
scale = { g = 1.45, r = 1, i = 0.8, z = 0.7 }
ceiling = 40
sky = "subtract"

[soft]
version = 1
algorithm = "stiff"
bands = ["i", "r", "g"]
cuts = { i = [0, 2], r = [0, 1.5], g = { percent = [1, 99] } }
saturation = 1.5
contrast = 1.2

[map]
version = 1
algorithm = "grey"
bands = "g"
stretch = "power"
power = 0.5
cuts = "zscale"
colormap = "viridis"
invert = true
unit = "pixel"
"""


def read(text: str, zeropoints: bool = True) -> tuple[Recipe, ...]:
    return read_recipes(Keys(tomllib.loads(text), "sky.toml", "recipes."), ("g", "r", "i", "z"), zeropoints)


def test_recipes_are_read() -> None:
    assert read(GOOD) == (
        Recipe(
            "gri",
            2,
            "lupton",
            ("i", "r", "g"),
            q=7.0,
            softening=0.1,
            black={"g": -0.01, "i": 0.02},
            scale={"g": 1.45, "r": 1.0, "i": 0.8, "z": 0.7},
            ceiling=40.0,
            sky="subtract",
        ),
        Recipe(
            "soft",
            1,
            "stiff",
            ("i", "r", "g"),
            band_cuts={
                "g": Cuts("percent", 1.0, 99.0),
                "r": Cuts("values", 0.0, 1.5),
                "i": Cuts("values", 0.0, 2.0),
            },
            saturation=1.5,
            contrast=1.2,
        ),
        Recipe(
            "map",
            1,
            "grey",
            ("g",),
            stretch="power",
            power=0.5,
            cuts=Cuts("zscale"),
            colormap="viridis",
            invert=True,
            unit="pixel",
        ),
    )


def test_levels_are_pixel_values_where_a_band_has_no_zero_point() -> None:
    (recipe,) = read('[grey]\nversion = 1\nalgorithm = "grey"', zeropoints=False)
    assert recipe.unit == "pixel"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("version = 2", "", "recipes.gri.version: expected a value"),
        ("version = 2", "version = 0", "recipes.gri.version: expected a whole number from 1"),
        ('algorithm = "lupton"', 'algorithm = "hubble"', "recipes.gri.algorithm: expected one of grey"),
        ('"i", "r", "g"]\nq', '"i", "r"]\nq', "recipes.gri.bands: expected three bands"),
        ('"i", "r", "g"]\nq', '"i", "r", "u"]\nq', "recipes.gri.bands: expected bands of the survey"),
        ("softening = 0.1", "", "recipes.gri.softening: expected a number above 0"),
        ("softening = 0.1", "softening = 0", "recipes.gri.softening: expected a number above 0"),
        ("q = 7", "q = true", "recipes.gri.q: expected a number"),
        ("q = 7", "minimum = -1", "recipes.gri.minimum: expected 0 or more"),
        ("q = 7", "quality = 7", "recipes.gri.quality: unknown key; the nearest known one is"),
        ("q = 7", "contrast = 7", "recipes.gri.contrast: unknown key"),
        ("g = -0.01", "u = -0.01", "recipes.gri.black.u: unknown key"),
        ("z = 0.7", "z = -0.7", "recipes.gri.scale: expected numbers above 0"),
        ("g = 1.45, ", "", "recipes.gri.scale: expected a number for each band"),
        ('sky = "subtract"', 'sky = "none"', "recipes.gri.sky: expected one of keep, subtract"),
        ("i = [0, 2]", "i = [2, 0]", "recipes.soft.cuts.i: expected [black, white]"),
        ("i = [0, 2], ", "", "recipes.soft.cuts: expected black and white of each band"),
        ("percent = [1, 99]", "percent = [1, 101]", "recipes.soft.cuts.g: expected [black, white]"),
        ('cuts = "zscale"', "cuts = 3", "recipes.map.cuts: expected [black, white]"),
        ('stretch = "power"', 'stretch = "cubic"', "recipes.map.stretch: expected one of linear"),
        ('colormap = "viridis"', 'colormap = "green"', "recipes.map.colormap: expected the name of a"),
        ('unit = "pixel"', 'unit = "jansky"', "recipes.map.unit: expected one of nanomaggy, pixel"),
        ("[map]", "[auto]", "recipes.auto: expected a name"),
        ("[map]", "[Soft]", "recipes.Soft: expected recipes whose names differ by more than case"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(old: str, new: str, words: str) -> None:
    assert old in GOOD
    with pytest.raises(DeclarationError) as refused:
        read(GOOD.replace(old, new, 1))
    assert str(refused.value).startswith(f"sky.toml: {words}")


def test_nanomaggies_need_zero_points() -> None:
    with pytest.raises(DeclarationError, match=r'recipes.grey.unit: expected "pixel", because'):
        read('[grey]\nversion = 1\nalgorithm = "grey"\nunit = "nanomaggy"', zeropoints=False)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("**/*.toml")), ids=lambda path: path.stem)
def test_every_declared_example_has_recipes_for_one_band_and_for_colour(path: Path) -> None:
    survey = read_survey(path, Path("/data"))
    if survey.kind == "alerts":  # stamps have one band, and levels of their own
        assert all(recipe.algorithm == "grey" for recipe in survey.recipes)
        return
    assert any(recipe.algorithm == "grey" for recipe in survey.recipes)
    assert any(recipe.algorithm != "grey" for recipe in survey.recipes)
