"""Bands and recipe of a picture, or a sentence that says what is wrong and what to ask for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from surveys.errors import RequestFault
from surveys.picture.look import Look, choose_look
from surveys.recipe import Recipe
from surveys.request import Cuts, PictureOptions
from tests.surveys.picture.sky import PNG, survey

GRI = Recipe("gri", 1, "lupton", ("i", "r", "g"), softening=0.1)
GRZ = Recipe(
    "wide", 2, "lupton", ("z", "r", "g"), softening=0.1, scale={"g": 6.0, "r": 3.4, "i": 3.0, "z": 2.2}
)
SOFT = Recipe("soft", 1, "stiff", ("i", "r", "g"), cuts=Cuts("values", 0.0, 1.0))
FALSE = Recipe("false", 1, "lupton", ("g", "i", "r"), softening=0.1)
GREY = Recipe("grey", 3, "grey", stretch="asinh", softening=0.1, cuts=Cuts("values", 0.0, 1.0))
BLUE = Recipe("blue", 1, "grey", ("g",), stretch="sqrt", cuts=Cuts("values", 0.0, 1.0))
SKY = survey(GRI, GRZ, SOFT, FALSE, BLUE, GREY, bands="griz")


def look(bands: str, /, **options: Any) -> Look:
    return choose_look(replace(PNG, **options), SKY, tuple(bands))


@pytest.mark.parametrize(
    ("bands", "options", "recipe", "triplet"),
    [
        ("r", {}, "grey/3", "r"),
        ("g", {}, "blue/1", "g"),  # the first that suits
        ("g", {"recipe": "GREY"}, "grey/3", "g"),
        ("gri", {}, "gri/1", "irg"),
        ("rgi", {}, "gri/1", "irg"),
        ("grz", {}, "wide/2", "zrg"),
        ("griz", {}, "gri/1", "irg"),  # no triplet said: that of the first recipe
        ("griz", {"recipe": "wide"}, "wide/2", "zrg"),
        ("riz", {}, "wide/2", "zir"),  # of its scale, longest wavelength first
        ("gri", {"bands": ("r", "g", "i")}, "gri/1", "rgi"),
        ("griz", {"bands": ("I", "Z", "G")}, "wide/2", "izg"),
        ("griz", {"bands": ("r", "r", "g")}, "gri/1", "rrg"),
        ("gri", {"algorithm": "stiff"}, "soft/1", "irg"),
        ("gri", {"recipe": "false"}, "false/1", "gir"),  # as the recipe says
        ("gri", {"recipe": "auto"}, "auto", "irg"),
        ("gri", {"recipe": "auto", "algorithm": "stiff"}, "auto", "irg"),
        ("r", {"recipe": "auto"}, "auto", "r"),
        ("riz", {"algorithm": "stiff"}, "auto", "zir"),  # no recipe of STIFF has z
    ],
)
def test_bands_and_recipe(bands: str, options: dict[str, Any], recipe: str, triplet: str) -> None:
    chosen = look(bands, **options)
    assert chosen.recipe.label == recipe
    assert chosen.bands == tuple(triplet)
    assert chosen.measured == (recipe == "auto")
    assert chosen.is_colour == (len(triplet) == 3)


def test_a_survey_without_recipes_has_its_levels_measured() -> None:
    for zeropoint, unit in ((30.0, "nanomaggy"), (None, "pixel")):
        plain = survey(zeropoint=zeropoint)
        assert choose_look(PNG, plain, ("g", "r", "i")) == Look(
            ("i", "r", "g"), Recipe("auto", 0, "lupton", unit=unit), True
        )
        assert choose_look(PNG, plain, ("g",)).recipe.algorithm == "grey"


def test_options_take_the_place_of_what_the_recipe_says() -> None:
    chosen = look("gri", q=4.0, softening=2.0, minimum=(0.5,), variant="astropy")
    assert chosen.recipe == replace(GRI, q=4.0, softening=2.0, minimum=0.5, variant="astropy")
    assert set(chosen.changed) == {"Q", "SOFTENING", "MINIMUM", "VARIANT"}
    assert look("gri", minimum=(1.0, -2.0, 3.0)).recipe.black == {"i": 1.0, "r": -2.0, "g": 3.0}
    assert look("gri", algorithm="stiff", saturation=0.0, contrast=2.0).recipe == replace(
        SOFT, saturation=0.0, contrast=2.0
    )
    cuts = Cuts("zscale")
    assert look("r", stretch="power", power=0.5, cuts=cuts, colormap="magma", invert=True).recipe == replace(
        GREY, stretch="power", power=0.5, cuts=cuts, colormap="magma", invert=True
    )


@pytest.mark.parametrize(
    ("bands", "options", "words"),
    [
        ("griz", {"recipe": "sdss"}, "RECIPE=sdss is no recipe of sky; it has gri, wide, soft, false, "),
        ("r", {"recipe": "gri"}, "RECIPE=gri makes colour of i, r, g, but ID and FILTER leave r alone"),
        ("r", {"algorithm": "lupton"}, "ALGORITHM=lupton makes colour of three bands, but ID and FILTER"),
        ("r", {"bands": ("i", "r", "g")}, "RGB=i,r,g needs the band i, but ID and FILTER leave r"),
        ("gri", {"recipe": "grey"}, "RECIPE=grey is for one band, the request has g, r, i; choose one"),
        ("r", {"recipe": "blue"}, "RECIPE=blue has levels for g, not for r"),
        ("griz", {"recipe": "gri", "bands": ("z", "r", "g")}, "RECIPE=gri has levels for i, r, g, not for"),
        ("gri", {"recipe": "gri", "algorithm": "stiff"}, "RECIPE=gri is lupton's, but ALGORITHM=stiff"),
        ("r", {"recipe": "grey", "algorithm": "stiff"}, "RECIPE=grey is for one band, but ALGORITHM=stiff"),
        ("gri", {"bands": ("i", "r", "u")}, "RGB: sky has no band 'u'; it has g, r, i, z"),
        ("gri", {"bands": ("i", "r")}, "RGB takes three bands, red, green and blue, got 2"),
        ("gr", {}, "a colour picture is of three bands, and g, r are two; name three by RGB=red,green,blue"),
        ("gri", {"stretch": "log"}, "STRETCH is for pictures of one band"),
        ("gri", {"colormap": "magma"}, "CMAP is for pictures of one band"),
        ("gri", {"invert": True}, "INVERT is for pictures of one band"),
        ("gri", {"contrast": 2.0}, "CONTRAST belongs to ALGORITHM=stiff; this picture is of ALGORITHM="),
        ("gri", {"saturation": 0.0}, "SATURATION belongs to ALGORITHM=stiff"),
        ("gri", {"cuts": Cuts("zscale")}, "CUTS belongs to one band or ALGORITHM=stiff"),
        ("gri", {"algorithm": "stiff", "q": 3.0}, "Q belongs to ALGORITHM=lupton"),
        ("r", {"minimum": (0.0,)}, "MINIMUM belongs to ALGORITHM=lupton; this picture is of one band"),
        ("gri", {"q": 0.0}, "Q=0: expected a number above 0"),
        ("gri", {"softening": -1.0}, "SOFTENING=-1: expected a number above 0"),
        ("gri", {"softening": float("nan")}, "SOFTENING=nan: expected a number above 0"),
        ("r", {"stretch": "log", "softening": 3.0}, "SOFTENING=3 is the scale of STRETCH=asinh, and this"),
        ("r", {"power": 0.0}, "POWER=0: expected a number above 0"),
        ("gri", {"algorithm": "stiff", "contrast": 0.0}, "CONTRAST=0: expected a number above 0"),
        ("gri", {"algorithm": "stiff", "saturation": -1.0}, "SATURATION=-1: expected 0"),
        ("gri", {"minimum": (1.0, 2.0)}, "MINIMUM=1,2: expected one value, or three"),
        ("gri", {"minimum": (-1.0,)}, "MINIMUM=-1: expected 0 or more"),
        ("r", {"cuts": Cuts("values", 2.0, 2.0)}, "CUTS=2,2: expected black before white"),
        ("r", {"cuts": Cuts("percent", 1.0, 101.0)}, "CUTS=1,101: expected percentages from 0 to 100"),
        ("r", {"quality": 96}, "QUALITY=96: expected a whole number from 1 to 95"),
        ("r", {"draw": ("grid", "arrow")}, "DRAW=arrow: expected one of scalebar, compass, center, grid"),
        ("r", {"colormap": "virids"}, "CMAP=virids: no colour map of matplotlib; the nearest is viridis"),
        ("r", {"media_type": "image/gif"}, "RESPONSEFORMAT=image/gif: expected image/png or image/jpeg"),
        ("r", {"stretch": "cubic"}, "STRETCH=cubic: expected one of linear, sqrt, log, asinh, power"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_the_way_out(bands: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestFault) as refused:
        look(bands, **options)
    assert str(refused.value).startswith(words)


def test_more_than_three_bands_need_a_recipe_or_a_triplet() -> None:
    with pytest.raises(RequestFault, match="are more than three; name three by RGB"):
        choose_look(PNG, survey(bands="griz"), tuple("griz"))
    assert choose_look(
        PictureOptions("image/jpeg", bands=("z", "i", "g")), survey(bands="griz"), tuple("griz")
    ).bands == ("z", "i", "g")
