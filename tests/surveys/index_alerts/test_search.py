"""Alerts by constraints of ObsCore: those and only those that satisfy all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from sqlalchemy import Engine

from surveys.index.alerts import search
from surveys.index.alerts.ingest import index_lake
from surveys.index.catalog import Catalog
from surveys.index.obscore import ObsConstraints
from surveys.request import Interval
from surveys.sky.stencil import Circle, Polygon, Range
from surveys.survey import Survey
from tests.support.alerts import MadeAlert, alerts_table, ztf_survey
from tests.support.databases import sqlite

RADIUS_DEG = 32 / 3600
COUNT = 3000


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Catalog, Survey]]:
    """An index of alerts all over the sky, in some files."""
    folder = tmp_path_factory.mktemp("search")
    for first in range(0, COUNT, 500):
        table = alerts_table([MadeAlert(n, epochs=2) for n in range(first, first + 500)], stamps=False)
        pq.write_table(table, folder / f"{first}.parquet")
    survey = ztf_survey(folder)
    with sqlite(folder) as engine:
        index_lake(engine, survey)
        yield Catalog(engine, [survey]), survey


def chosen(found: tuple[Catalog, Survey], **wanted: object) -> list[int]:
    catalog, survey = found
    candids = [alert.candid for alert in catalog.alerts.search(survey, ObsConstraints(**wanted))]  # type: ignore[arg-type]
    by_candid = {MadeAlert(n).candid: n for n in range(COUNT)}
    assert len(set(candids)) == len(candids)
    return sorted(by_candid[candid] for candid in candids)


ALL = [MadeAlert(n, epochs=2) for n in range(COUNT)]
PLACES = SkyCoord([a.ra_deg for a in ALL], [a.dec_deg for a in ALL], unit="deg")


@pytest.mark.parametrize(
    ("ra", "dec", "radius"),
    [(0.0, 0.0, 5.0), (359.99, 10.0, 8.0), (10.0, 89.9, 12.0), (200.0, -80.0, 20.0), (77.0, 30.0, 60.0)],
)
def test_a_cone_finds_what_astropy_finds(
    found: tuple[Catalog, Survey], ra: float, dec: float, radius: float
) -> None:
    separations = PLACES.separation(SkyCoord(ra, dec, unit="deg")).deg
    expected = np.flatnonzero(separations <= radius + RADIUS_DEG).tolist()
    assert chosen(found, shapes=(Circle(ra, dec, radius),)) == expected
    assert expected


def test_a_stamp_meets_a_shape_by_its_edge(found: tuple[Catalog, Survey]) -> None:
    target = ALL[100]
    for beyond, is_met in ((-0.05, True), (0.05, False)):
        offset = (32.0 + 10.0 + beyond) / 3600
        shapes = (Circle(target.ra_deg, target.dec_deg - offset, 10 / 3600),)
        assert (100 in chosen(found, shapes=shapes)) is is_met
        edge = Range(
            (target.ra_deg - 1) % 360,
            (target.ra_deg - 1) % 360 + 2,
            -90.0,
            target.dec_deg - offset + 10 / 3600,
        )
        assert (100 in chosen(found, shapes=(edge,))) is is_met


@pytest.mark.parametrize(
    "shape",
    [
        Range(350.0, 370.0, -10.0, 15.0),
        Range(0.0, 360.0, 80.0, 90.0),
        Range(10.0, 200.0, -40.0, -35.0),
        Polygon(((10.0, 10.0), (40.0, 12.0), (25.0, 40.0))),
        Polygon(((0.0, 80.0), (120.0, 80.0), (240.0, 80.0))),
        Polygon(((10.0, 0.0), (60.0, 0.0), (60.0, 40.0), (35.0, 5.0), (10.0, 40.0))),
    ],
)
def test_every_shape_finds_those_whose_circle_it_meets(
    found: tuple[Catalog, Survey], shape: Range | Polygon
) -> None:
    # Points of the circle about each alert: one of them, or the alert itself, lies in a shape that is met.
    angles = np.arange(0, 360, 3.0)
    inside = np.zeros(COUNT, dtype=bool)
    xyz = PLACES.cartesian.xyz.value.T
    inside |= shape.contains(xyz)
    for angle in angles:
        rim = PLACES.directional_offset_by(angle * u.deg, RADIUS_DEG * u.deg)
        inside |= shape.contains(rim.cartesian.xyz.value.T)
    assert chosen(found, shapes=(shape,)) == np.flatnonzero(inside).tolist()


def test_shapes_are_alternatives_and_an_alert_in_two_is_found_once(found: tuple[Catalog, Survey]) -> None:
    one, other = Circle(10.0, 0.0, 15.0), Circle(20.0, 5.0, 15.0)
    both = chosen(found, shapes=(one, other))
    assert both == sorted({*chosen(found, shapes=(one,)), *chosen(found, shapes=(other,))})


@pytest.mark.parametrize("shapes", [(), (Circle(0.0, 0.0, 180.0),), (Range(0.0, 360.0, -90.0, 90.0),)])
def test_the_whole_sky_is_everything(
    found: tuple[Catalog, Survey], shapes: tuple[Circle | Range, ...]
) -> None:
    assert chosen(found, shapes=shapes) == list(range(COUNT))


def test_times_are_of_utc_and_their_ends_belong_to_them(found: tuple[Catalog, Survey]) -> None:
    mjds = [round(alert.jd - 2400000.5, 9) for alert in ALL]
    lower, upper = mjds[500], mjds[900]
    expected = [n for n, mjd in enumerate(mjds) if lower <= mjd <= upper]
    assert chosen(found, t_mjd=(Interval(lower, upper),)) == expected
    assert {500, 900} < set(expected)
    assert chosen(found, t_mjd=(Interval(lower, lower),)) == [n for n, mjd in enumerate(mjds) if mjd == lower]
    assert chosen(found, t_mjd=(Interval(-math.inf, mjds[0]), Interval(upper, upper))) == [
        n for n, mjd in enumerate(mjds) if mjd in (mjds[0], upper)
    ]
    assert chosen(found, t_mjd=(Interval(70_000.0, math.inf),)) == []


def test_wavelengths_pick_bands(found: tuple[Catalog, Survey]) -> None:
    assert chosen(found, em_m=(Interval(3.8e-7, 4e-7),)) == list(range(0, COUNT, 3))
    both = [n for n in range(COUNT) if n % 3 != 2]
    assert chosen(found, em_m=(Interval(5.55e-7, 5.55e-7),)) == both
    assert chosen(found, em_m=(Interval(1.0, 2.0),)) == []


def test_identifiers_are_those_of_alerts(found: tuple[Catalog, Survey]) -> None:
    names = (
        *(f"ztf/alert/{ALL[5].candid}", f"ztf/alert/{ALL[2000].candid}", "ztf/alert/5", "ztf/g/1"),
        *(f"other/alert/{ALL[7].candid}", "ztf/alert/99999999999999999999999999", "ztf/alert/x"),
    )
    assert chosen(found, datasets=names) == [5, 2000]
    near = Circle(ALL[5].ra_deg, ALL[5].dec_deg, 0.01)
    assert chosen(found, datasets=names, shapes=(near,)) == [5]


def test_targets_are_objects_as_they_are_written(found: tuple[Catalog, Survey]) -> None:
    names = [ALL[n].object_id for n in range(0, 100, 4)]
    expected = sorted(n for start in range(0, 100, 4) for n in (start, start + 1))
    assert chosen(found, targets=tuple(names)) == expected
    assert chosen(found, targets=(names[0].lower(), "nobody", "")) == []
    near = Circle(ALL[4].ra_deg, ALL[4].dec_deg, 0.01)
    assert chosen(found, targets=tuple(names), shapes=(near,)) == [4, 5]
    assert chosen(found, targets=(names[0],), datasets=(f"ztf/alert/{ALL[1].candid}",)) == [1]
    assert chosen(found, targets=(names[0],), datasets=(f"ztf/alert/{ALL[9].candid}",)) == []


def test_targets_of_more_alerts_than_a_page_takes(
    found: tuple[Catalog, Survey], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = tuple(ALL[n].object_id for n in range(0, 100, 2))
    monkeypatch.setattr(search, "MOST_OF_OBJECTS", 10)
    assert chosen(found, targets=names) == list(range(100))


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({"calib_levels": (2, 3)}, COUNT),
        ({"calib_levels": (3,)}, 0),
        ({"product_types": ("image",)}, COUNT),
        ({"product_types": ("cube",)}, 0),
        ({"pol": ("I",)}, 0),
        ({"t_exptime_s": (Interval(0.0, 1e6),)}, 0),
        ({"s_fov_deg": (Interval(0.0, 0.1),)}, COUNT),
        ({"s_fov_deg": (Interval(0.1, 1.0),)}, 0),
    ],
)
def test_what_all_alerts_have_in_common(
    found: tuple[Catalog, Survey], wanted: dict[str, object], count: int
) -> None:
    assert len(chosen(found, **wanted)) == count


def test_all_constraints_hold_at_once(found: tuple[Catalog, Survey]) -> None:
    cone, time = Circle(77.0, 30.0, 60.0), Interval(58849.0, 58849.05)
    band = Interval(3.8e-7, 4e-7)
    each = [{"shapes": (cone,)}, {"t_mjd": (time,)}, {"em_m": (band,)}]
    expected = set.intersection(*(set(chosen(found, **wanted)) for wanted in each))
    assert set(chosen(found, shapes=(cone,), t_mjd=(time,), em_m=(band,))) == expected
    assert expected


@pytest.mark.parametrize("wanted", [ObsConstraints(), ObsConstraints(shapes=(Circle(77.0, 30.0, 90.0),))])
def test_a_stream_holds_no_connection_between_its_rows(
    found: tuple[Catalog, Survey], wanted: ObsConstraints
) -> None:
    catalog, survey = found
    pool = catalog.connect().engine.pool
    before = pool.status()
    stream = catalog.alerts.search(survey, wanted)
    for _ in range(150):
        next(stream)
    assert pool.status() == before


@pytest.mark.parametrize("crowd", [1, 2500])
def test_a_crowd_at_one_place_is_paged(engine: Engine, tmp_path: Path, crowd: int) -> None:
    """All of them lie in one cell of the sky, more than a page holds."""
    table = alerts_table([MadeAlert(n, epochs=crowd) for n in range(crowd)], stamps=False)
    (tmp_path / "lake").mkdir()
    pq.write_table(table, tmp_path / "lake" / "crowd.parquet")
    survey = ztf_survey(tmp_path / "lake")
    index_lake(engine, survey)
    alerts = Catalog(engine, [survey]).alerts
    place = ObsConstraints(shapes=(Circle(MadeAlert(0).ra_deg, MadeAlert(0).dec_deg, 0.1),))
    assert crowd == 1 or crowd > search.PAGE
    assert len({alert.candid for alert in alerts.search(survey, place)}) == crowd
    assert len(alerts.epochs(survey, MadeAlert(0, epochs=crowd).object_id)) == crowd


def test_a_search_of_an_empty_or_unknown_index_finds_nothing(engine: Engine, tmp_path: Path) -> None:
    survey = ztf_survey(tmp_path)
    alerts = Catalog(engine, [survey]).alerts
    assert list(alerts.search(survey, ObsConstraints())) == []
    assert list(alerts.search(survey, ObsConstraints(shapes=(Circle(1.0, 2.0, 3.0),)))) == []
    assert alerts.sample(survey) is None
    held = alerts.holdings(survey)
    assert (held.files, held.first_mjd, held.last_modified) == (0, None, None)
