"""From parameters to a request."""

from __future__ import annotations

import math
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dali.errors import MultiValuedParamNotSupported, NotFound, UsageError
from dali.parameters import Parameters
from soda.params import SodaRequest, parse_request
from soda.table import POL_STATES
from surveys.identifiers import Identifiers
from surveys.request import Interval
from surveys.sky.stencil import CenteredBox, Circle, Polygon, Range, Size

IDENTIFIERS = Identifiers("ivo://example.org/fountain", ("ivo://old.example.org/x",))
ID = ("ID", "ivo://example.org/fountain?tiny/g")


def parse(*pairs: tuple[str, str]) -> SodaRequest:
    return parse_request(Parameters.from_pairs(pairs), IDENTIFIERS)


def again(request: SodaRequest) -> SodaRequest:
    return parse(*parse_qsl(request.cutout.canonical.removeprefix("sync?")))


def test_soda_04_id_alone_is_the_whole() -> None:
    request = parse(ID)
    assert request.cutout.dataset == "tiny/g"
    assert request.cutout.stencil is None
    assert request.media_type == "application/fits"
    assert request.cutout.canonical == "sync?ID=ivo://example.org/fountain?tiny/g"


@pytest.mark.parametrize(
    "did",
    [
        "IVO://EXAMPLE.org/fountain?tiny/g",
        "ivo://example.org/FOUNTAIN?tiny/g",
        "ivo://old.example.org/x?tiny/g",
    ],
)
def test_soda_08_base_in_any_case_and_former_bases(did: str) -> None:
    assert parse(("ID", did)).cutout.dataset == "tiny/g"


@pytest.mark.parametrize("text", ["10 0.5 0.1", " 10  .5 1e-1 ", "370 +0.5 0.1", "-350 0.5 .1"])
@pytest.mark.parametrize("name", ["CIRCLE", "circle", "POS"])
def test_soda_30_soda_44_circle_in_every_spelling(name: str, text: str) -> None:
    request = parse(ID, (name, f"circle {text}" if name == "POS" else text))
    assert request.cutout.stencil == Circle(10.0, 0.5, 0.1)
    assert request.cutout.canonical.endswith("tiny/g&CIRCLE=10+0.5+0.1")


def test_soda_30_polygon_in_both_spellings() -> None:
    text = "10 0 11 0 11 1"
    stencil = Polygon(((10.0, 0.0), (11.0, 0.0), (11.0, 1.0)))
    first, second = parse(ID, ("POLYGON", text)), parse(ID, ("POS", f"POLYGON {text}"))
    assert first == second
    assert first.cutout.stencil == stencil


def test_soda_20_soda_35_range() -> None:
    request = parse(ID, ("POS", "RANGE 359 1 -1 1"))
    assert request.cutout.stencil == Range(359.0, 361.0, -1.0, 1.0)
    assert request.cutout.canonical.endswith("&POS=RANGE+359+1+-1+1")


def test_center_and_size() -> None:
    assert parse(ID, ("CENTER", "10 -0.5"), ("SIZE", "36arcsec 64arcsec")).cutout.stencil == CenteredBox(
        10.0, -0.5, Size(0.01, 64 / 3600, in_pixels=False)
    )
    assert parse(ID, ("CENTER", "10 -0.5"), ("SIZE", "256px")).cutout.stencil == CenteredBox(
        10.0, -0.5, Size(256.0, 256.0, in_pixels=True)
    )


@pytest.mark.parametrize("given", [("CENTER", "10 1"), ("SIZE", "256px")])
def test_center_and_size_go_together(given: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match="go together"):
        parse(ID, given)


def test_soda_61_to_66_intervals() -> None:
    cutout = parse(ID, ("BAND", "-Inf 5e-7"), ("TIME", "59000 59000")).cutout
    assert cutout.band_m == Interval(-math.inf, 5e-7)
    assert cutout.time_mjd == Interval(59000.0, 59000.0)
    assert cutout.canonical.endswith("&BAND=-Inf+5e-07&TIME=59000+59000")


def test_soda_15_soda_68_pol_is_one_filter() -> None:
    assert parse(ID, ("POL", "V"), ("pol", "I"), ("POL", "V")).cutout.pol == ("I", "V")
    for state in POL_STATES:
        assert parse(ID, ("POL", state)).cutout.pol == (state,)
    for text in ("i", "i ", "Q U", "IQ", "0"):
        with pytest.raises(UsageError, match="POL is one of"):
            parse(ID, ("POL", text))


def test_filter_is_one_filter() -> None:
    assert parse(ID, ("FILTER", "r"), ("FILTER", "g"), ("filter", "r")).cutout.filters == ("g", "r")


@pytest.mark.parametrize(
    ("text", "media_type"),
    [
        ("fits", "application/fits"),
        ("FITS", "application/fits"),
        ("application/fits", "application/fits"),
        ("image/fits", "image/fits"),
        ("Image/FITS; x=y", "image/fits"),
        ("png", "image/png"),
        ("image/png", "image/png"),
        ("JPG", "image/jpeg"),
        ("jpeg", "image/jpeg"),
        ("image/jpeg", "image/jpeg"),
    ],
)
def test_soda_84_dali_03_format(text: str, media_type: str) -> None:
    assert parse(ID, ("RESPONSEFORMAT", text)).media_type == media_type


@pytest.mark.parametrize("text", ["gif", "image/jpg", "votable", "text/html", "application/fits2"])
def test_soda_84_dali_04_format_not_offered(text: str) -> None:
    with pytest.raises(UsageError, match="RESPONSEFORMAT is fits, application/fits, image/fits, png"):
        parse(ID, ("RESPONSEFORMAT", text))


def test_dali_08_run_id_and_dali_10_request_version_maxrec() -> None:
    request = parse(ID, ("RUNID", "mine"), ("REQUEST", "x"), ("VERSION", "1"), ("MAXREC", "0"))
    assert request.run_id == "mine"
    assert request.cutout == parse(ID).cutout


@pytest.mark.parametrize(
    "name",
    ["ID", "POS", "CIRCLE", "POLYGON", "BAND", "TIME", "CENTER", "SIZE", "MASK", "CHECKSUM", "RESPONSEFORMAT",
     "RUNID", "MAXREC", "REQUEST", "VERSION"],
)  # fmt: skip
def test_soda_12_soda_13_dali_01_one_value_each(name: str) -> None:
    with pytest.raises(MultiValuedParamNotSupported, match=f"^{name} is taken once"):
        parse(*[ID][: name != "ID"], (name, "1"), (name.lower(), "1"))


@pytest.mark.parametrize("other", [("POS", "CIRCLE 1 2 3"), ("POLYGON", "1 2 3 4 5 4"), ("CENTER", "1 2")])
def test_soda_14_one_region(other: tuple[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse(ID, ("CIRCLE", "1 2 3"), other, *[("SIZE", "5px")][: other[0] == "CENTER"])
    assert "are each a region; only one is taken" in str(caught.value)


def test_soda_05_nothing_and_no_id() -> None:
    with pytest.raises(UsageError) as caught:
        parse()
    assert "ID, POS, CIRCLE, POLYGON, BAND, TIME, POL" in caught.value.fix
    with pytest.raises(UsageError, match="ID is missing"):
        parse(("CIRCLE", "1 2 3"))


def test_soda_06_unknown_id() -> None:
    for did in ("tiny/g", "ivo://elsewhere/x?tiny/g", "ivo://example.org/fountain", "../../etc/passwd"):
        with pytest.raises(NotFound):
            parse(("ID", did))


def test_soda_82_all_faults_are_named() -> None:
    with pytest.raises(MultiValuedParamNotSupported) as caught:
        parse(
            ("ID", "nowhere"), ("CIRCLE", "1"), ("BAND", "2 1"), ("TIME", "1"), ("TIME", "2"), ("BANDD", "1")
        )
    said = " ".join((str(caught.value), *(str(other) for other in caught.value.also)))
    for name in ("TIME", "nowhere", "CIRCLE", "BAND:", "BANDD"):
        assert name in said


coordinates = st.tuples(st.floats(-360, 720), st.floats(-90, 90))
numbers = st.floats(allow_nan=False, allow_infinity=False)


def text_of(*values: float) -> str:
    return " ".join(repr(value) for value in values)


spatial = st.one_of(
    st.tuples(coordinates, st.floats(1e-6, 180)).map(lambda v: ("CIRCLE", text_of(*v[0], v[1]))),
    st.tuples(coordinates, st.integers(1, 10**9 - 1)).map(lambda v: ("CENTER", text_of(*v[0]), f"{v[1]}px")),
    st.tuples(coordinates, st.floats(1e-6, 180)).map(lambda v: ("CENTER", text_of(*v[0]), f"{v[1]!r}deg")),
    st.tuples(st.floats(-360, 720), st.floats(-360, 720), st.floats(-90, 0), st.floats(0, 90)).map(
        lambda v: ("POS", f"RANGE {text_of(*v)}")
    ),
)


@given(spatial, st.tuples(numbers, numbers), st.booleans())
def test_the_canonical_spelling_asks_the_same(
    region: tuple[str, ...], band: tuple[float, float], mask: bool
) -> None:
    name, value, *size = region
    pairs = [ID, (name, value), ("BAND", text_of(*sorted(band))), ("MASK", str(mask).lower()), ("POL", "I")]
    request = parse(*pairs, *(("SIZE", text) for text in size))
    assert again(request) == request
