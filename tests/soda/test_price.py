"""What a plan costs decides where it is made, and how tasks are filled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from dali.parameters import Parameters
from soda.heavier import Heavier
from soda.price import seconds_of
from surveys.execute import record_of
from surveys.plan import CutoutPlan
from surveys.planner import Limits
from tests.support.field import MIDDLE, Field
from tests.support.service import did


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    made = Field(tmp_path_factory.mktemp("field"))
    yield made
    made.close()


def plan(field: Field, **parameters: str) -> CutoutPlan:
    asked = {"ID": did("field/r"), **MIDDLE, **parameters}
    return field.parts.sync.ask(Parameters.from_pairs(list(asked.items()))).plan


def seconds(field: Field, **parameters: str) -> float:
    made = plan(field, **parameters)
    records = [record_of(piece, made.generation, field.parts.catalog) for piece in made.pieces]
    return seconds_of(made, records)


def test_more_work_costs_more(field: Field) -> None:
    pasted, resampled = seconds(field), seconds(field, GRID="tan")
    assert 0.0 < seconds(field, ID=did("field/r/west")) < pasted < resampled
    assert seconds(field, GRID="tan", RESAMPLE="bilinear") < resampled
    assert resampled < seconds(field, GRID="tan", RESAMPLE="exact")
    assert pasted < seconds(field, ID=did("field"))
    assert pasted < seconds(field, RESPONSEFORMAT="png")
    assert pasted < seconds(field, BACKGROUND="match")


def test_what_is_read_counts_as_what_is_made(field: Field) -> None:
    made = plan(field)
    limits = Limits(10**6, 10**7)
    heavier = Heavier(cast(Any, None), cast(Any, None), limits, 10_000, 1.0)
    for pixels_in, pixels_out, taken in ((10_000, 10_000, False), (10_001, 1, True), (1, 10_001, True)):
        cost = replace(made.cost, pixels_in=pixels_in, pixels_out=pixels_out)
        assert heavier.takes(replace(made, cost=cost)) is taken


@pytest.mark.parametrize(("resample", "taken"), [("lanczos3", False), ("interp", True), ("exact", True)])
def test_slow_algorithms_are_for_workers(field: Field, resample: str, taken: bool) -> None:
    heavier = Heavier(cast(Any, None), cast(Any, None), Limits(10**6, 10**7), 20_000, 1.0)
    assert heavier.takes(plan(field, GRID="tan", RESAMPLE=resample)) is taken
    assert not heavier.takes(plan(field, RESAMPLE=resample))  # pasted


def test_options_that_change_the_bytes_change_the_etag(field: Field) -> None:
    etags = set()
    options: list[dict[str, str]] = [
        {},
        {"GRID": "tan"},
        {"GRID": "tan", "RESAMPLE": "bilinear"},
        {"GRID": "tan", "PIXSCALE": "0.5arcsec"},
        {"COMBINE": "mean"},
        {"BACKGROUND": "match"},
        {"PHOTSCALE": "none"},
        {"ID": did("field")},
        {"ID": did("field"), "LAYOUT": "cube"},
        {"RESPONSEFORMAT": "png"},
        {"RESPONSEFORMAT": "jpeg"},
        {"RESPONSEFORMAT": "png", "ORIENT": "north"},
    ]
    for changes in options:
        asked = {"ID": did("field/r"), **MIDDLE, **changes}
        found = field.parts.sync.ask(Parameters.from_pairs(list(asked.items())))
        again = field.parts.sync.ask(Parameters.from_pairs(list(asked.items())))
        assert found.etag == again.etag
        etags.add(found.etag)
    assert len(etags) == len(options)
