"""Many positions planned at once: each has what it has alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from surveys.bulk.planning import plan_many
from surveys.bulk.plans import ManyPlans, Verdict
from surveys.declaration import parse_survey
from surveys.errors import RequestFault, SeveralImages, TooLarge, UnknownDataset
from surveys.index.catalog import Catalog
from surveys.index.ingest import index_survey
from surveys.plan import CutoutPlan
from surveys.planner import Limits, plan_cutout
from surveys.request import CutoutRequest, Interval, MosaicOptions
from surveys.sky.sphere import ra_dec_deg
from surveys.sky.stencil import Size
from surveys.sky.wcs import wcs_of
from surveys.survey import Survey
from tests.support.databases import sqlite
from tests.support.layouts import pixels, tan_cards, write
from tests.surveys.planning.skies import LIMITS, PX, bands, on_grid, own, png, sampled
from tests.surveys.test_real_index import DECLARED

Floats = NDArray[np.float64]

#: So many rows of several images are planned: that takes longer.
MOST_LEFT = 3
#: Exposures that are told apart; fewer than usual, since each is a file.
MOST = 6

#: Where the tiles of each survey lie, and how far about it positions are strewn (degrees).
PLACES: dict[str, tuple[float, float, float]] = {
    "grid": (10.0, 20.0, 110 * PX),
    "own": (30.0, 0.0, 130 * PX),
    "wrap": (0.0, -40.0, 90 * PX),
    "pole": (0.0, 90.0, 90 * PX),
    "south": (0.0, -90.0, 80 * PX),
    "sip": (60.008, 10.0, 90 * PX),
    "mixed": (70.0, 0.0, 140 * PX),
    "gap": (80.014, 0.0, 100 * PX),
    "map": (0.0, 0.0, 89.0),
    "bordered": (10.0, 20.0, 110 * PX),
    "nights": (100.0, 5.0, 60 * PX),
    "weighed": (10.0, 20.0, 110 * PX),
    "cubes": (10.0, 20.0, 110 * PX),
    "shifted": (10.0, 20.0, 110 * PX),
}


def strewn(count: int, ra: float, dec: float, reach: float, seed: int = 1) -> tuple[Floats, Floats]:
    """Positions about a place, over the poles too; some right at the place."""
    rng = np.random.default_rng(seed)
    angle, distance = rng.uniform(0, 2 * np.pi, count), np.radians(reach) * np.sqrt(rng.uniform(0, 1, count))
    distance[:2] = 0.0
    sin_dec = np.sin(np.radians(dec)) * np.cos(distance)
    sin_dec += np.cos(np.radians(dec)) * np.sin(distance) * np.cos(angle)
    along = np.sin(angle) * np.sin(distance) * np.cos(np.radians(dec))
    turn = np.arctan2(along, np.cos(distance) - np.sin(np.radians(dec)) * sin_dec)
    return (ra + np.degrees(turn)) % 360.0, np.degrees(np.arcsin(np.clip(sin_dec, -1.0, 1.0)))


def alone(catalog: Catalog, many: ManyPlans, row: int) -> CutoutPlan | RequestFault:
    try:
        return plan_cutout(many.request(row), catalog, many.planner.limits)
    except RequestFault as fault:
        return fault


def is_left(many: ManyPlans, row: int) -> bool:
    return bool(many.artifact[row] < 0 and many.images[row]) and row not in many.faults


def check(catalog: Catalog, many: ManyPlans) -> dict[str, int]:
    """Compare every row with itself asked for alone; how many there are of each kind."""
    kinds = dict.fromkeys(("copied", "outside", "refused", "left"), 0)
    for row in range(len(many)):
        if kinds["left"] > MOST_LEFT and is_left(many, row):
            continue
        expected = alone(catalog, many, row)
        if row in many.faults:
            kinds["refused"] += 1
            fault = many.faults[row]
            assert (type(fault), str(fault)) == (type(expected), str(expected))
            assert many.verdict[row] == Verdict.FAILED
            if isinstance(fault, SeveralImages) and isinstance(expected, SeveralImages):
                assert fault.datasets == expected.datasets
        elif many.artifact[row] >= 0:
            kinds["copied"] += 1
            assert many.plan(row) == expected
            assert isinstance(expected, CutoutPlan)
            check_copy(many, row, expected)
        elif many.verdict[row] == Verdict.OUTSIDE:
            kinds["outside"] += 1
            assert many.plan(row) == expected
            assert many.images[row] == many.fraction[row] == 0
        else:
            kinds["left"] += 1
            assert many.images[row] >= 1
            assert isinstance(expected, RequestFault) or expected.parts
    return kinds


def check_copy(many: ManyPlans, row: int, plan: CutoutPlan) -> None:
    (piece,) = plan.pieces
    assert many.record(row).artifact_id == many.artifact[row] == piece.artifact_id
    assert many.box(row) == plan.grid
    assert plan.cost.pixels_in == many.pixels_in[row]
    assert plan.cost.pixels_out == many.pixels_out[row]
    assert plan.cost.bytes_out == many.bytes_out[row]
    assert plan.clipped == (many.verdict[row] == Verdict.PARTIAL)
    asked = many.planner.size.width * many.planner.size.height
    if many.planner.size.in_pixels:
        assert many.fraction[row] == piece.box.pixels / asked
    assert (many.fraction[row] < 1) == plan.clipped


def planned(
    catalog: Catalog, dataset: str, where: tuple[Floats, Floats], size: Size, **asked: Any
) -> ManyPlans:
    limits = asked.pop("limits", LIMITS)
    return plan_many(CutoutRequest(dataset, **asked), size, *where, catalog, limits)


@pytest.mark.parametrize("name", PLACES)
def test_each_position_has_what_it_has_alone(catalog: Catalog, name: str) -> None:
    where = strewn(100, *PLACES[name])
    size = Size(9 * PX, 14 * PX, False) if name == "nights" else Size(9, 14, in_pixels=True)
    kinds = check(catalog, planned(catalog, f"{name}/g", where, size))
    assert kinds["copied"] or kinds["refused"] > 10
    check(catalog, planned(catalog, name, strewn(20, *PLACES[name], seed=2), Size(25 * PX, 20 * PX, False)))


@pytest.mark.parametrize(
    "options",
    [
        {"edge": "clip"},
        {"edge": "pad", "checksum": True},
        {"edge": "error"},
        {"mosaic": MosaicOptions(combine="mean")},
        {"mosaic": MosaicOptions(combine="first")},
        {"mosaic": MosaicOptions(grid="tan")},
        {"mask": True, "canonical": "sync?ID=ivo://example/long&" + "x" * 300},
        {"detail": "full"},
        {"filters": ("g",)},
        {"filters": ("g", "r")},
        {"picture": png()},
        {"limits": Limits(max_pixels=120, max_bytes=10**8)},
        {"limits": Limits(max_pixels=10**6, max_bytes=10**8, max_inputs=1)},
    ],
    ids=repr,
)
def test_whatever_else_is_asked(catalog: Catalog, options: dict[str, Any]) -> None:
    for name, seed in (("grid", 3), ("weighed", 4)):
        if "filters" not in options or name == "grid":
            many = planned(
                catalog, name, strewn(40, *PLACES[name], seed=seed), Size(13, 11, in_pixels=True), **options
            )
            check(catalog, many)


def test_one_image_by_name(catalog: Catalog) -> None:
    where = strewn(200, *PLACES["grid"], seed=5)
    kinds = check(catalog, planned(catalog, "grid/g/t0x0", where, Size(30, 30, in_pixels=True)))
    assert min(kinds["copied"], kinds["outside"]) > 20
    check(
        catalog, planned(catalog, "nights/g/one", strewn(50, *PLACES["nights"]), Size(20 * PX, 9 * PX, False))
    )
    check(catalog, planned(catalog, "weighed/g/a/weight", where, Size(9, 9, in_pixels=True)))


def test_more_kinds_of_exposures(catalog: Catalog) -> None:
    where = strewn(100, *PLACES["nights"], seed=6)
    kinds = check(catalog, planned(catalog, "nights", where, Size(8 * PX, 8 * PX, False)))
    assert kinds["refused"] > 50
    one = Interval(59000.0, 59000.5)
    kinds = check(catalog, planned(catalog, "nights", where, Size(8 * PX, 8 * PX, False), time_mjd=one))
    assert kinds["copied"] > 50
    mosaic = MosaicOptions(combine="mosaic")
    kinds = check(catalog, planned(catalog, "nights", where, Size(8 * PX, 8 * PX, False), mosaic=mosaic))
    assert kinds["copied"] > 50


def test_centres_between_pixels_belong_where_they_do_alone(catalog: Catalog) -> None:
    record = catalog.record("grid/g/t0x0", catalog.generation("grid"))
    rng = np.random.default_rng(7)
    # On whole and half pixels, and where the last digit that counts is just lost.
    offsets = rng.choice([0.0, 0.5, 0.5 + 5e-7, 5e-7, 0.5 - 5e-7], (2, 100))
    x, y = rng.integers(0, record.nx, (2, 100)) + offsets
    ra, dec = ra_dec_deg(wcs_of(record).to_sky(x, y))
    for size in (Size(8, 8, in_pixels=True), Size(9, 8, in_pixels=True)):
        assert check(catalog, planned(catalog, "grid/g", (ra, dec), size))["copied"] > 70


def test_what_is_wrong_wherever_it_is_asked_is_raised(catalog: Catalog) -> None:
    where, size = strewn(5, *PLACES["grid"]), Size(9, 9, in_pixels=True)
    with pytest.raises(UnknownDataset, match="no survey"):
        planned(catalog, "nowhere", where, size)
    with pytest.raises(UnknownDataset, match="no band"):
        planned(catalog, "grid/K", where, size)
    with pytest.raises(RequestFault, match="FILTER 'K' is no band"):
        planned(catalog, "grid", where, size, filters=("K",))
    with pytest.raises(RequestFault, match="declares no pixel scale"):
        planned(catalog, "nights", where, size)
    with pytest.raises(ValueError, match="right ascension and a declination"):
        planned(catalog, "grid", (np.array([np.nan]), np.array([0.0])), size)


def test_no_positions_and_no_bands(catalog: Catalog) -> None:
    none = np.empty(0)
    assert len(planned(catalog, "grid/g", (none, none), Size(9, 9, in_pixels=True))) == 0
    nothing = planned(
        catalog, "grid", strewn(5, *PLACES["grid"]), Size(9, 9, True), band_m=Interval(1.0, 2.0)
    )
    assert check(catalog, nothing)["outside"] == 5


def test_bands_that_are_missing_are_named(catalog: Catalog) -> None:
    many = planned(catalog, "grid", strewn(50, *PLACES["grid"]), Size(9, 9, in_pixels=True))
    assert many.bands == ("g", "r", "i")
    everywhere = many.images > 0
    assert many.found[everywhere].all()
    assert not many.found[~everywhere].any()
    assert many.missing(int(np.flatnonzero(~everywhere)[0])) == ("g", "r", "i")


def test_the_share_that_is_covered(catalog: Catalog) -> None:
    # Left of the gap, right of it, over it, and far off.
    ra = np.array([80.0 + 1.23 * 80 * PX, 80.0, 80.0 + 1.23 * 40 * PX, 85.0])
    many = planned(catalog, "gap/g", (ra, np.zeros(4)), Size(60, 10, in_pixels=True))
    assert many.verdict.tolist() == [Verdict.COVERED, Verdict.COVERED, Verdict.PARTIAL, Verdict.OUTSIDE]
    # The gap is 18.4 px wide.
    assert many.fraction[:2].tolist() == [1.0, 1.0]
    assert many.fraction[2] == pytest.approx(1 - 18.4 / 60, abs=0.1)
    assert many.images.tolist() == [1, 1, 2, 0]
    assert many.artifact[2] == -1
    assert many.nearest[2] in many.artifact[:2]
    assert many.pixels_out[2] == 600
    assert many.pixels_in[2] == pytest.approx(600 - 184, abs=20)


@pytest.fixture(scope="module")
def special(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """Reprocessings, many exposures, pixels of another scale than is said, and integers without BLANK."""
    root = tmp_path_factory.mktemp("special")
    images = {"image": {"path": "{tile}_{band}.fits"}}
    declared: dict[str, dict[str, Any]] = {
        "runs": {
            "kind": "coadd", "pixel_scale": 1.0, "bands": bands("g"), "dataset": "{tile}_{run}",
            "prefer": {"field": "run", "order": "highest"},
            "layers": {"image": {"path": "{tile}_{run}_{band}.fits"}},
        },
        "crowd": {"kind": "exposures", "pixel_scale": 1.0, "bands": bands("g"), "layers": images},
        "off": {"kind": "coadd", "pixel_scale": 1.0, "bands": bands("g"), "layers": images},
        "whole": {"kind": "coadd", "pixel_scale": 1.0, "bands": bands("g"), "layers": images},
    }  # fmt: skip
    for tile, column in (("a", 0), ("b", 60)):
        for run in ("r1", "r2"):
            cards = on_grid(column, 0 if run == "r2" else 30)
            write(root / "runs" / f"{tile}_{run}_g.fits", ("", cards, sampled(cards)))
    for number in range(MOST + 2):
        cards = tan_cards(10.0, 20.0, 1.0, 8, 8) | {"MJD-OBS": 59000.0 + number, "EXPTIME": 1.0}
        write(root / "crowd" / f"n{number:03d}_g.fits", ("", cards, pixels(8, 8)))
    for name, offset in (("near", 0.0), ("far", 50.0)):
        cards = own(10 + offset * PX, 20, scale=3.0)
        write(root / "off" / f"{name}_g.fits", ("", cards, sampled(cards)))
    # Integers without BLANK, which become floating-point values where they are padded.
    for name, column in (("a", 0), ("b", 60)):
        write(root / "whole" / f"{name}_g.fits", ("", on_grid(column, 0), pixels(80, 80, "i2")))
    surveys: list[Survey] = []
    with sqlite(root) as engine:
        for name, content in declared.items():
            content = {"title": name, "root": name, "dataset": "{tile}"} | content
            surveys.append(parse_survey(content, f"{name}.toml", name, root))
            assert index_survey(engine, surveys[-1]).refused == ()
        yield Catalog(engine, surveys)


@pytest.mark.parametrize("name", ["runs", "crowd", "off", "whole"])
@pytest.mark.parametrize("by_place", [False, True], ids=["kept", "by place"])
def test_unusual_surveys(
    special: Catalog, name: str, by_place: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("surveys.planning.tiles", "surveys.bulk.decisions"):
        monkeypatch.setattr(f"{module}.MOST_IMAGES", MOST)
    if by_place:
        # As in a survey of a million images, of which only those about the positions are read.
        monkeypatch.setattr("surveys.bulk.footprints.KEPT_IMAGES", 0)
        monkeypatch.setattr("surveys.bulk.footprints._kept", {})
    reach = {"crowd": 12 * PX, "off": 300 * PX}.get(name, 110 * PX)
    where = strewn(150, 10.0, 20.0, reach, seed=8)
    kinds = check(special, planned(special, f"{name}/g", where, Size(21, 13, in_pixels=True)))
    assert kinds["refused" if name == "crowd" else "copied"] > 20
    assert kinds["outside"]


def test_a_size_that_no_limit_allows_is_refused_for_all(special: Catalog) -> None:
    where = strewn(100, 10.0, 20.0, 40 * PX)
    many = planned(special, "whole/g", where, Size(60, 60, True), limits=Limits(3000, 10**8))
    assert check(special, many)["refused"] > 3
    assert isinstance(next(iter(many.faults.values())), TooLarge)
    assert len({id(fault) for fault in many.faults.values()}) < 5


@pytest.mark.parametrize("folder", ["compressed_legacysurvey", "bands_des_coadd", "sky_edges"])
def test_real_images(real_data: Path, folder: str, tmp_path: Path) -> None:
    content = {"title": folder, "kind": "exposures", "root": folder} | DECLARED[folder]
    survey = parse_survey(content, f"{folder}.toml", folder, real_data)
    with sqlite(tmp_path) as engine:
        index_survey(engine, survey)
        catalog = Catalog(engine, [survey])
        generation = catalog.generation(folder)
        for number, dataset in enumerate(catalog.datasets(folder, generation)[::4]):
            record = catalog.record(dataset, generation)
            middle = wcs_of(record).to_sky((record.nx - 1) / 2, (record.ny - 1) / 2)
            if not np.isfinite(middle).all():
                continue
            ra, dec = (float(value) for value in ra_dec_deg(middle))
            reach = min(0.6 * max(record.nx, record.ny) * record.pixel_scale_deg, 80.0)
            where = strewn(20, ra, dec, reach, number)
            size = Size(15 * record.pixel_scale_deg, 12 * record.pixel_scale_deg, in_pixels=False)
            for asked in (dataset, dataset.rpartition("/")[0]):
                check(catalog, planned(catalog, asked, where, size))
