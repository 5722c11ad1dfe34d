"""What is told of alerts and objects before a stamp is read, from either database."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from astropy import units
from astropy.time import Time
from mocpy import MOC
from sqlalchemy import Engine

from surveys.access import Access, DatasetRule, Rule
from surveys.errors import UnknownDataset
from surveys.index.catalog import Catalog
from surveys.index.coverage import Coverages
from surveys.index.extent import MOC_ORDER, extent_of_alerts, moc_text
from surveys.index.ingest import index_survey
from surveys.index.obscore import ObsConstraints
from surveys.request import Interval
from surveys.survey import Survey
from tests.support.alerts import MadeAlert, write_lake, ztf_survey

ALERTS = 12
EPOCHS = 4


@pytest.fixture
def survey(tmp_path: Path) -> Survey:
    write_lake(tmp_path / "lake", ALERTS, files=2, epochs=EPOCHS, stamps=False)
    return ztf_survey(tmp_path / "lake")


@pytest.fixture
def catalog(engine: Engine, survey: Survey) -> Catalog:
    index_survey(engine, survey)
    return Catalog(engine, [survey])


def mjd_of(one: MadeAlert) -> float:
    return float(Time(one.jd, format="jd", scale="utc").mjd)


def made(number: int) -> MadeAlert:
    return MadeAlert(number, EPOCHS)


def test_an_alert_is_told_of(catalog: Catalog) -> None:
    one = made(5)
    facts = catalog.describe(f"ZTF/Alert/{one.candid}")
    assert facts.dataset == facts.sample == f"ztf/alert/{one.candid}"
    assert (facts.kinds, facts.is_object) == (("Science", "Template", "Difference"), False)
    assert [alert.candid for alert in facts.alerts] == [one.candid]
    assert facts.time_mjd is not None
    assert facts.time_mjd.lower == facts.time_mjd.upper == pytest.approx(mjd_of(one), abs=1e-8)
    assert not facts.on_sky
    alone = catalog.describe(f"ztf/alert/{one.candid}/difference")
    assert (alone.dataset, alone.kinds) == (f"ztf/alert/{one.candid}/Difference", ("Difference",))


def test_an_object_is_told_of_with_the_limits_of_its_epochs(catalog: Catalog) -> None:
    own = sorted((made(n) for n in range(EPOCHS, 2 * EPOCHS)), key=mjd_of)
    assert len({one.object_id for one in own}) == 1
    facts = catalog.describe(f"ztf/object/{own[0].object_id.lower()}")
    assert facts.dataset == f"ztf/object/{own[0].object_id}"
    assert facts.is_object
    assert [alert.candid for alert in facts.alerts] == [one.candid for one in own]
    assert facts.time_mjd == Interval(facts.alerts[0].mjd, facts.alerts[-1].mjd)
    labels = {alert.band for alert in facts.alerts}
    assert set(facts.filters) == labels
    bands = [catalog.survey("ztf").band(label) for label in labels]
    assert facts.band_m.lower == min(band.em_min_m for band in bands)
    assert facts.band_m.upper == max(band.em_max_m for band in bands)


def test_a_name_that_may_be_either_is_answered_with_what_there_is(catalog: Catalog) -> None:
    one = made(0)
    with pytest.raises(UnknownDataset, match=rf"\(there is ztf/alert/{one.candid}\)$"):
        catalog.describe(f"ztf/{one.candid}")
    with pytest.raises(UnknownDataset, match=rf"\(there is ztf/object/{one.object_id}\)$"):
        catalog.describe(f"ztf/{one.object_id}")
    with pytest.raises(UnknownDataset, match=r"\(there is neither\)$"):
        catalog.describe("ztf/17")
    for nothing in ("ztf", "ztf/alert", "ztf/g/x"):
        with pytest.raises(
            UnknownDataset, match="name one, ztf/alert/<number>, or an object, ztf/object/<name>"
        ):
            catalog.describe(nothing)


def test_where_some_are_closed_nobody_is_told_what_there_is(engine: Engine, survey: Survey) -> None:
    index_survey(engine, survey)
    closed = replace(survey, access=Access(datasets=(DatasetRule("alert/*", Rule(False)),)))
    with pytest.raises(UnknownDataset, match="write") as refused:
        Catalog(engine, [closed]).describe(f"ztf/{made(0).candid}")
    assert "there is" not in str(refused.value)


def test_objects_are_found_as_they_are_written(catalog: Catalog, survey: Survey) -> None:
    names = [made(0).object_id, made(EPOCHS).object_id]

    def found(**wanted: object) -> set[int]:
        return {alert.candid for alert in catalog.alerts.search(survey, ObsConstraints(**wanted))}  # type: ignore[arg-type]

    assert found(targets=tuple(names)) == {made(n).candid for n in range(2 * EPOCHS)}
    assert found(targets=(names[0].lower(),)) == set()
    early = Interval(float("-inf"), mjd_of(made(0)) + 1e-6)
    wanted = {made(n).candid for n in range(EPOCHS) if mjd_of(made(n)) <= early.upper}
    assert found(targets=(names[0],), t_mjd=(early,)) == wanted


def test_coverage_and_extent_hold_every_alert_and_little_else(
    engine: Engine, catalog: Catalog, survey: Survey, tmp_path: Path
) -> None:
    moc = Coverages(engine, catalog, tmp_path / "moc").of("ztf")
    everywhere = [made(n) for n in range(ALERTS)]
    ra = [one.ra_deg for one in everywhere] * units.deg
    dec = [one.dec_deg for one in everywhere] * units.deg
    assert moc == MOC.from_lonlat(ra, dec, max_norder=8)
    with pytest.raises(UnknownDataset, match="one coverage of all bands together"):
        Coverages(engine, catalog, tmp_path / "moc").of("ztf", "g")
    extent = extent_of_alerts(catalog, survey)
    assert MOC.from_string(moc_text(extent.cells)) == MOC.from_lonlat(ra, dec, max_norder=MOC_ORDER)
    times = [mjd_of(one) for one in everywhere]
    assert extent.time_mjd == pytest.approx((min(times), max(times)), abs=1e-8)
    assert extent.last_modified is not None


def test_nothing_is_covered_before_there_is_an_index(engine: Engine, survey: Survey, tmp_path: Path) -> None:
    catalog = Catalog(engine, [survey])
    assert Coverages(engine, catalog, tmp_path / "moc").of("ztf").empty()
    assert extent_of_alerts(catalog, survey).cells == ()
