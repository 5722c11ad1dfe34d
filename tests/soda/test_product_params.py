"""What is to become of the pixels: mosaics, files, pictures. From parameters to a request, and back."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args, get_type_hints
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dali.errors import MultiValuedParamNotSupported, UsageError
from dali.parameters import Parameters
from soda.params import SodaRequest, parse_many, parse_request
from soda.table import BY_NAME, PARAMETERS
from surveys.identifiers import Identifiers
from surveys.plan import Cost, CutoutPlan
from surveys.request import AS_DECLARED, CutoutRequest, Cuts, MosaicOptions, PictureOptions
from surveys.sky.stencil import CenteredBox

IDENTIFIERS = Identifiers("ivo://example.org/fountain")
IMAGE, SURVEY = (("ID", f"ivo://example.org/fountain?{dataset}") for dataset in ("tiny/g/a", "tiny"))
PNG, JPEG = ("RESPONSEFORMAT", "image/png"), ("RESPONSEFORMAT", "image/jpeg")


def parse(*pairs: tuple[str, str]) -> SodaRequest:
    return parse_request(Parameters.from_pairs(pairs), IDENTIFIERS)


def picture(*pairs: tuple[str, str]) -> PictureOptions:
    found = parse(SURVEY, PNG, *pairs).cutout.picture
    assert found is not None
    return found


def refusal(*pairs: tuple[str, str]) -> UsageError:
    with pytest.raises(UsageError) as caught:
        parse(*pairs)
    return caught.value


@pytest.mark.parametrize("kind", [MosaicOptions, PictureOptions, CutoutRequest])
def test_the_table_has_the_words_that_the_engine_knows(kind: type[Any]) -> None:
    names = {"colormap": "CMAP", "media_type": "RESPONSEFORMAT", "bands": "RGB"}
    hints = get_type_hints(kind)
    checked = 0
    for field in fields(kind):
        name = names.get(field.name, field.name.upper())
        words = tuple(word for word in get_args(hints[field.name]) if word)
        if name in BY_NAME and words and all(isinstance(word, str) for word in words):
            assert BY_NAME[name].options == words
            checked += 1
    assert checked == {MosaicOptions: 6, PictureOptions: 4, CutoutRequest: 3}[kind]


def test_nothing_said_is_what_the_survey_declares() -> None:
    cutout = parse(IMAGE).cutout
    assert cutout.mosaic == AS_DECLARED
    assert (cutout.edge, cutout.detail, cutout.layout, cutout.picture) == ("auto", "image", "mef", None)


@pytest.mark.parametrize(
    "name", ["COMBINE", "RESAMPLE", "PHOTSCALE", "BACKGROUND", "FLUX", "GRID", "EDGE", "DETAIL", "LAYOUT"]
)
def test_every_word_in_any_case(name: str) -> None:
    for word in BY_NAME[name].options:
        for text in (word, word.upper(), f" {word.title()} "):
            cutout = parse(SURVEY, (name.lower(), text)).cutout
            assert getattr(cutout, name.lower(), None) == word or getattr(cutout.mosaic, name.lower()) == word
            is_default = word == BY_NAME[name].options[0]
            assert cutout.canonical.endswith("tiny" if is_default else f"tiny&{name}={word}")


@pytest.mark.parametrize(
    ("text", "arcsec"),
    [("0.3arcsec", 0.3), ('0.3"', 0.3), ("0.3 arcsec", 0.3), ("0.005'", 0.3), ("1deg", 3600)],
)
def test_pixel_scale_with_a_unit(text: str, arcsec: float) -> None:
    mosaic = parse(SURVEY, ("GRID", "tan"), ("PIXSCALE", text)).cutout.mosaic
    assert mosaic.pixscale_deg == pytest.approx(arcsec / 3600, rel=1e-14)


def test_pixel_scale_tells_its_range_and_the_way_out() -> None:
    fault = refusal(SURVEY, ("GRID", "tan"), ("PIXSCALE", "0arcsec"))
    assert fault.sentence == 'PIXSCALE is an angle from 0.001arcsec to 1deg; got "0arcsec".'
    assert fault.fix == "Write PIXSCALE=number unit, such as PIXSCALE=0.3arcsec."


@pytest.mark.parametrize("more", [(), (PNG,)])
def test_pixels_are_those_of_the_grid_that_is_asked_for(more: tuple[tuple[str, str], ...]) -> None:
    grid = (("GRID", "tan"), ("PIXSCALE", "0.3arcsec"))
    box = parse(SURVEY, ("CENTER", "150 0"), ("SIZE", "255 301px"), *grid, *more).cutout.stencil
    assert isinstance(box, CenteredBox)
    assert not box.size.in_pixels
    assert (box.size.width * 3600 / 0.3, box.size.height * 3600 / 0.3) == pytest.approx((255, 301), rel=1e-12)


@pytest.mark.parametrize(
    ("text", "cuts"),
    [
        ("zscale", Cuts("zscale")),
        ("ZScale", Cuts("zscale")),
        ("1% 99.5%", Cuts("percent", 1.0, 99.5)),
        ("0%,100%", Cuts("percent", 0.0, 100.0)),
        ("-0.5 20", Cuts("values", -0.5, 20.0)),
        ("-1e-9, 2e-9", Cuts("values", -1e-9, 2e-9)),
    ],
)
def test_cuts(text: str, cuts: Cuts) -> None:
    assert picture(("CUTS", text)).cuts == cuts


@pytest.mark.parametrize("text", ["i,r,g", "i, r, g", "i r g", " i,r,g "])
def test_rgb_is_obeyed_in_its_order(text: str) -> None:
    assert picture(("RGB", text)).bands == ("i", "r", "g")


def test_marks_are_one_set_however_they_are_sent() -> None:
    one = picture(("DRAW", "compass,scalebar"), ("DRAW", "GRID"))
    assert one.draw == ("scalebar", "compass", "grid")
    assert one == picture(("DRAW", "grid scalebar compass"))


def test_recipes_are_named_as_the_survey_has_them_and_auto_in_any_case() -> None:
    assert picture(("RECIPE", "Deep-2")).recipe == "Deep-2"
    assert picture(("RECIPE", "AUTO")).recipe == "auto"


def test_media_type_and_picture_go_together() -> None:
    for pair in (PNG, JPEG):
        request = parse(SURVEY, pair)
        assert request.cutout.picture is not None
        assert request.media_type == request.cutout.picture.media_type == pair[1]
        assert request.cutout.canonical.endswith(f"tiny&RESPONSEFORMAT={pair[1]}")


def test_parameters_of_fits_with_pictures() -> None:
    harmless = (("CHECKSUM", "false"), ("DETAIL", "Image"), ("LAYOUT", "mef"))
    assert parse(SURVEY, PNG, *harmless).cutout == parse(SURVEY, PNG).cutout
    assert "DETAIL is for FITS" in refusal(SURVEY, PNG, ("DETAIL", "full")).sentence


def test_parameters_of_pictures_without_one_are_told_together() -> None:
    fault = refusal(IMAGE, ("STRETCH", "log"), ("WIDTH", "100"))
    assert fault.sentence == "WIDTH, STRETCH are for pictures, and RESPONSEFORMAT is application/fits."
    assert fault.fix == "Add RESPONSEFORMAT=image/png, or leave them out."


def test_several_triplets_are_for_jobs() -> None:
    pairs = [SURVEY, PNG, ("RGB", "r,g,r"), ("RGB", "g,g,r")]
    with pytest.raises(MultiValuedParamNotSupported, match="RGB is taken once"):
        parse(*pairs)
    many = parse_many(Parameters.from_pairs(pairs), IDENTIFIERS)
    assert many.triplets == (("r", "g", "r"), ("g", "g", "r"))
    assert many.count == 2


@pytest.mark.parametrize("name", [p.name for p in PARAMETERS if not (p.many or p.product)])
def test_soda_13_one_value_each(name: str) -> None:
    with pytest.raises(MultiValuedParamNotSupported, match=f"{name} is taken once"):
        parse(SURVEY, *[PNG][: BY_NAME[name].of_pictures], (name, "1"), (name.lower(), "1"))


words = {name: st.sampled_from(BY_NAME[name].options) for name in BY_NAME if BY_NAME[name].options}
positive = st.floats(1e-300, 1e300)
small = st.floats(1e-6, 10)
names = st.text("abcXYZ019._-", min_size=1, max_size=20)
labels = st.text("griz019_", min_size=1, max_size=8)
finite = st.floats(allow_nan=False, allow_infinity=False)
two = st.tuples(finite, finite).filter(lambda v: v[0] < v[1])
cuts = st.one_of(
    st.just("zscale"),
    two.map(lambda v: f"{v[0]!r} {v[1]!r}"),
    st.tuples(st.floats(0, 100), st.floats(0, 100))
    .filter(lambda v: v[0] < v[1])
    .map(lambda v: f"{v[0]!r}% {v[1]!r}%"),
)
mosaics = {name: words[name] for name in ("COMBINE", "RESAMPLE", "PHOTSCALE", "BACKGROUND", "FLUX", "EDGE")}
files = {name: words[name] for name in ("CHECKSUM", "DETAIL", "LAYOUT")}
any_picture = {
    "RECIPE": names,
    "ORIENT": words["ORIENT"],
    "WIDTH": st.integers(1, 8192).map(str),
    "HEIGHT": st.integers(1, 8192).map(str),
    "DRAW": st.lists(words["DRAW"], min_size=1).map(",".join),
    "LABEL": st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=120),
    "CUTS": cuts,
    "SOFTENING": positive.map(repr),
}
grey = {"INVERT": words["INVERT"], "CMAP": names}
grey_power = {"STRETCH": st.just("power"), "POWER": small.map(repr)}
triplet = {"RGB": st.lists(labels, min_size=3, max_size=3).map(",".join)}
lupton = {
    "ALGORITHM": st.just("Lupton"),
    "VARIANT": st.just("ASTROPY"),
    "Q": small.map(repr),
    "MINIMUM": st.one_of(
        finite.map(repr), st.tuples(finite, finite, finite).map(lambda v: "{},{},{}".format(*v))
    ),
}
stiff = {"ALGORITHM": st.just("stiff"), "CONTRAST": small.map(repr), "SATURATION": st.floats(0, 10).map(repr)}
jpeg = {"QUALITY": st.integers(1, 95).map(str)}

Strategy = dict[str, st.SearchStrategy[str]]


def some(*of: Strategy) -> st.SearchStrategy[dict[str, str]]:
    together: Strategy = {name: values for group in of for name, values in group.items()}
    return st.fixed_dictionaries({}, optional=together)


tan = st.one_of(
    st.fixed_dictionaries({"GRID": words["GRID"]}),
    st.floats(1e-3, 3600).map(lambda v: {"GRID": "tan", "PIXSCALE": f"{v!r}arcsec"}),
)
products = st.one_of(
    st.tuples(some(mosaics, files), tan).map(lambda v: v[0] | v[1]),
    st.tuples(
        st.sampled_from(["png", "image/jpeg"]),
        some(mosaics, any_picture),
        st.one_of(some(grey), st.fixed_dictionaries(grey_power), some(triplet, lupton), some(triplet, stiff)),
    ).map(lambda v: {"RESPONSEFORMAT": v[0], **v[1], **v[2]}),
    some(jpeg, triplet).map(lambda v: {"RESPONSEFORMAT": "jpg", **v}),
)


@given(products)
def test_the_canonical_spelling_asks_the_same(pairs: dict[str, str]) -> None:
    request = parse(SURVEY, *pairs.items())
    again = parse(*parse_qsl(request.cutout.canonical.removeprefix("sync?")))
    assert again == request
    plan = CutoutPlan(request.cutout, 1, (), Cost(0, 0, 0))
    assert CutoutPlan.from_json(plan.to_json()) == plan
