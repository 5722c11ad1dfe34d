"""Combinations of the values of a job: their number, order and names (SODA-101, -107)."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

import pytest

from dali.errors import MultiValuedParamNotSupported, UsageError
from dali.parameters import Parameters
from soda.combinations import Combination, combinations
from soda.params import ManyCutouts, parse_many, parse_request
from surveys.identifiers import Identifiers
from surveys.sky.stencil import CenteredBox, Circle, Polygon, Range
from tests.support.service import BASE, did

IDENTIFIERS = Identifiers(BASE)


def many(*pairs: tuple[str, str]) -> ManyCutouts:
    return parse_many(Parameters.from_pairs([("ID", did("tiny/g/a")), *pairs]), IDENTIFIERS)


def combined(*pairs: tuple[str, str]) -> list[Combination]:
    asked = many(*pairs)
    found = list(combinations(asked, IDENTIFIERS))
    assert len(found) == asked.count
    return found


def circles(*declinations: int) -> list[tuple[str, str]]:
    return [("CIRCLE", f"150 {dec} 1") for dec in declinations]


def test_soda_101_soda_107_all_combinations_the_last_parameter_fastest() -> None:
    found = combined(
        ("ID", did("tiny/r/a")),
        *circles(1, 2),
        ("BAND", "1e-7 2e-7"),
        ("BAND", "3e-7 4e-7"),
        ("TIME", "1 2"),
        ("TIME", "3 4"),
    )
    assert [c.name for c in found] == [
        f"id{i}-circle{c}-band{b}-time{t}" for i in (1, 2) for c in (1, 2) for b in (1, 2) for t in (1, 2)
    ]
    last = found[-1].request
    assert last.dataset == "tiny/r/a"
    assert last.stencil == Circle(150.0, 2.0, 1.0)
    assert last.band_m is not None
    assert last.band_m.lower == 3e-7
    assert last.time_mjd is not None
    assert last.time_mjd.lower == 3.0


def test_soda_101_regions_of_every_kind_stand_beside_each_other() -> None:
    found = combined(
        ("CENTER", "150 0"),
        ("POLYGON", "1 1 2 1 2 2"),
        ("POS", "RANGE 1 2 3 4"),
        ("CIRCLE", "150 0 1"),
        ("POS", "CIRCLE 150 0 1"),
        ("SIZE", "10px"),
        ("CENTER", "151 0"),
    )
    assert [c.name for c in found] == ["pos1", "pos2", "circle1", "polygon1", "center1", "center2"]
    kinds = [type(c.request.stencil) for c in found]
    assert kinds == [Range, Circle, Circle, Polygon, CenteredBox, CenteredBox]


def test_soda_101_pol_and_filter_never_multiply() -> None:
    (only,) = combined(("POL", "I"), ("POL", "Q"), ("FILTER", "g"), ("FILTER", "r"), ("CIRCLE", "1 1 1"))
    assert only.name == ""
    assert only.request.pol == ("I", "Q")
    assert only.request.filters == ("g", "r")


def test_soda_107_only_parameters_with_several_values_are_named() -> None:
    assert [c.name for c in combined(*circles(1, 2), ("BAND", "1e-7 2e-7"))] == ["circle1", "circle2"]


def test_soda_107_names_sort_as_the_values_were_sent() -> None:
    names = [c.name for c in combined(*circles(*range(12)))]
    assert names == sorted(names)
    assert names[0] == "circle01"
    assert len(set(names)) == 12
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in names)


def test_the_same_value_twice_gives_two_results() -> None:
    assert [c.name for c in combined(*circles(1, 1))] == ["circle1", "circle2"]


def test_soda_100_a_combination_is_the_request_that_sync_would_read() -> None:
    for combination in combined(*circles(1, 2), ("MASK", "true"), ("POL", "I"), ("BAND", "3e-7 +Inf")):
        query = combination.request.canonical.removeprefix("sync?")
        read = parse_request(Parameters.from_pairs(parse_qsl(query)), IDENTIFIERS)
        assert read.cutout == combination.request


@pytest.mark.parametrize("name", ["SIZE", "MASK", "CHECKSUM", "RESPONSEFORMAT"])
def test_soda_104_what_multiplies_nothing_is_taken_once(name: str) -> None:
    value = {"SIZE": "10px", "RESPONSEFORMAT": "fits"}.get(name, "true")
    with pytest.raises(MultiValuedParamNotSupported, match=name):
        many(("CENTER", "150 0"), ("SIZE", "10px"), (name, value), (name, value))


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([("CIRCLE", "150 0 1"), ("CIRCLE", "150 0 -1")], "CIRCLE"),
        ([("BAND", "5 1"), ("BAND", "1 2")], "BAND"),
        ([("CENTER", "150 0")], "CENTER and SIZE"),
        ([("SIZE", "10px"), ("CIRCLE", "150 0 1")], "CENTER and SIZE"),
        ([("CIRCEL", "150 0 1")], "CIRCEL"),
        ([("ID", "ivo://elsewhere?tiny")], "elsewhere"),
    ],
)
def test_soda_100_every_value_is_judged_in_the_words_of_sync(
    pairs: list[tuple[str, str]], words: str
) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        many(*pairs)
    wrong = [pair for pair in pairs if pair not in (("CIRCLE", "150 0 1"), ("BAND", "1 2"))]
    own_id = [] if wrong[0][0] == "ID" else [("ID", did("tiny/g/a"))]
    with pytest.raises(UsageError) as by_sync:
        parse_request(Parameters.from_pairs([*own_id, *wrong]), IDENTIFIERS)
    assert refused.value.sentence == by_sync.value.sentence


def test_each_triplet_of_bands_gives_a_picture_of_its_own() -> None:
    asked = parse_many(
        Parameters.from_pairs(
            [
                ("ID", did("tiny")),
                *circles(1, 2),
                ("RESPONSEFORMAT", "png"),
                ("RGB", "i,r,g"),
                ("RGB", "z,i,r"),
            ]
        ),
        IDENTIFIERS,
    )
    found = list(combinations(asked, IDENTIFIERS))
    assert len(found) == asked.count == 4
    assert [c.name for c in found] == ["circle1-rgb1", "circle1-rgb2", "circle2-rgb1", "circle2-rgb2"]
    pictures = [c.request.picture for c in found]
    assert [p.bands for p in pictures if p] == [("i", "r", "g"), ("z", "i", "r")] * 2
    assert found[1].request.canonical.endswith("&RESPONSEFORMAT=image/png&RGB=z,i,r")
