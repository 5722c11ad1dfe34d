"""Surveys of which some images are closed: never part of a cutout, and never left out silently."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from surveys.access import EVERYBODY, OPERATOR, Reader
from surveys.bulk.planning import plan_many
from surveys.declaration import parse_survey
from surveys.errors import AccessDenied, RequestFault, SeveralImages
from surveys.index.catalog import Catalog
from surveys.index.ingest import index_survey
from surveys.plan import CutoutPlan
from surveys.planner import plan_cutout
from surveys.request import CutoutRequest, MosaicOptions
from surveys.sky.stencil import Size, Stencil
from tests.support.databases import sqlite
from tests.surveys.planning.skies import LIMITS, PX, STEP, N, bands, box, circle, on_grid, own, write_tiles
from tests.surveys.planning.test_bulk import strewn

CLOSED = f"t{STEP}x{STEP}"
BOTH = (EVERYBODY, OPERATOR)
RULES = {"public": True, "datasets": [{"match": f"g/{CLOSED}", "groups": ["few"]}]}
DECLARED: dict[str, dict[str, Any]] = {
    "grid": {"kind": "coadd", "pixel_scale": 1.0, "access": RULES},
    "nights": {
        "kind": "exposures",
        "access": {"public": True, "datasets": [{"match": "g/second", "until": date(9999, 1, 1)}]},
    },
    "shut": {"kind": "coadd", "pixel_scale": 1.0, "access": {}},
}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    root = tmp_path_factory.mktemp("closed")
    tiles = {f"t{column}x{row}": on_grid(column, row) for row in (0, STEP) for column in (0, STEP)}
    for name in DECLARED:
        (root / name).mkdir()
    write_tiles(root / "grid", tiles)
    write_tiles(root / "shut", tiles)
    write_tiles(root / "nights", {name: own(100.0, 5.0) for name in ("first", "second")})
    with sqlite(root) as engine:
        surveys = []
        for name, declared in DECLARED.items():
            content = {"title": name, "root": name, "bands": bands("g"), "dataset": "{tile}"} | declared
            content["layers"] = {"image": {"path": "{tile}_{band}.fits"}}
            surveys.append(parse_survey(content, f"{name}.toml", name, root))
            index_survey(engine, surveys[-1])
        yield Catalog(engine, surveys)


def plan(
    catalog: Catalog,
    dataset: str,
    stencil: Stencil | None = None,
    reader: Reader = EVERYBODY,
    **mosaic: Any,
) -> CutoutPlan:
    request = CutoutRequest(dataset, stencil, mosaic=MosaicOptions(**mosaic))
    return plan_cutout(request, catalog, LIMITS, reader)


def place(x: float, y: float) -> tuple[float, float]:
    """Position of a pixel of the common grid, near enough."""
    return 10.0 - (x - 69.5) * PX / math.cos(math.radians(20.0)), 20.0 + (y - 69.5) * PX


@pytest.mark.parametrize("dataset", ["shut", "shut/g", f"shut/g/{CLOSED}", "shut/g/none", "shut/none"])
def test_of_a_survey_that_is_closed_nothing_is_told(catalog: Catalog, dataset: str) -> None:
    with pytest.raises(AccessDenied, match="the survey shut is not open to you"):
        plan(catalog, dataset, circle(*place(20, 20), 5))


def test_a_closed_image_is_not_had_by_its_name(catalog: Catalog) -> None:
    for dataset in (f"grid/g/{CLOSED}", f"GRID/g/{CLOSED.upper()}", f"grid/g/{CLOSED}/weight"):
        with pytest.raises(AccessDenied, match="is not open to you"):
            plan(catalog, dataset)
    assert plan(catalog, f"grid/g/{CLOSED}", reader=OPERATOR).pieces


@pytest.mark.parametrize(("x", "y", "size"), [(120, 120, 9), (N, N, 60), (70, 70, 100)])
def test_a_region_that_needs_it_is_refused(catalog: Catalog, x: float, y: float, size: int) -> None:
    where = box(*place(x, y), size, size)
    with pytest.raises(AccessDenied) as caught:
        plan(catalog, "grid/g", where)
    assert CLOSED not in str(caught.value)
    assert any(CLOSED in piece.dataset for piece in plan(catalog, "grid/g", where, OPERATOR).pieces)


def test_a_region_that_others_have_is_cut_of_them(catalog: Catalog) -> None:
    where = box(*place(STEP + 4, 20), 9, 9)
    assert plan(catalog, "grid/g", where) == plan(catalog, "grid/g", where, OPERATOR)


def test_many_positions_have_what_each_has_alone(catalog: Catalog) -> None:
    where = strewn(300, 10.0, 20.0, 110 * PX)
    many = plan_many(CutoutRequest("grid/g"), Size(9, 9, in_pixels=True), *where, catalog, LIMITS)
    kinds = {"closed": 0, "copied": 0, "other": 0}
    for row in range(len(many)):
        try:
            expected: CutoutPlan | RequestFault = plan_cutout(many.request(row), catalog, LIMITS)
        except RequestFault as fault:
            expected = fault
        if isinstance(expected, AccessDenied):
            kinds["closed"] += 1
            assert str(many.faults[row]) == str(expected)
            assert isinstance(many.faults[row], AccessDenied)
        else:
            kinds["copied" if many.artifact[row] >= 0 else "other"] += 1
            assert row not in many.faults
            assert many.plan(row) == expected
    assert min(kinds.values()) > 0
    assert set(many.datasets) == {f"grid/g/t{STEP}x0", f"grid/g/t0x{STEP}", "grid/g/t0x0"}


def test_exposures_are_chosen_among_those_that_are_open(catalog: Catalog) -> None:
    assert [piece.dataset for piece in plan(catalog, "nights/g/first").pieces] == ["nights/g/first"]
    only = plan(catalog, "nights/g", circle(100.0, 5.0, 5))
    assert [piece.dataset for piece in only.pieces] == ["nights/g/first"]
    with pytest.raises(SeveralImages):
        plan(catalog, "nights/g", circle(100.0, 5.0, 5), OPERATOR)
    size = Size(9 * PX, 9 * PX, False)
    many = plan_many(CutoutRequest("nights/g"), size, [100.0], [5.0], catalog, LIMITS)
    assert many.plan(0).pieces[0].dataset == "nights/g/first"
    # All of them made into one are another image without it; one that covers the others is enough.
    with pytest.raises(AccessDenied):
        plan(catalog, "nights/g", circle(100.0, 5.0, 5), combine="mean")
    alike = [plan(catalog, "nights/g", circle(100.0, 5.0, 5), who, combine="mosaic") for who in BOTH]
    assert alike[0] == alike[1]
