"""Every alert of the real samples is in the index as pyarrow and astropy read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from astropy.time import Time
from sqlalchemy import Engine

from surveys.index.catalog import Catalog
from surveys.index.ingest import index_survey
from surveys.index.obscore import ObsConstraints
from surveys.survey import Survey
from tests.support.alerts import rubin_survey, ztf_survey

ZTF_BANDS = {1: "g", 2: "r", 3: "i"}


def ztf_rows(path: Path) -> list[dict[str, Any]]:
    columns = ["objectId", "candid", "candidate.jd", "candidate.ra", "candidate.dec", "candidate.fid"]
    rows = pq.ParquetFile(path).read(columns=columns).to_pylist()
    return [
        {
            "object_id": row["objectId"],
            "candid": row["candid"],
            "mjd": Time(row["candidate"]["jd"], format="jd", scale="utc").mjd,
            "ra": row["candidate"]["ra"],
            "dec": row["candidate"]["dec"],
            "band": ZTF_BANDS[row["candidate"]["fid"]],
        }
        for row in rows
    ]


def rubin_rows(path: Path) -> list[dict[str, Any]]:
    names = ("diaObjectId", "ra", "dec", "midpointMjdTai", "band")
    columns = ["diaSourceId", *(f"diaSource.{name}" for name in names)]
    rows = pq.ParquetFile(path).read(columns=columns).to_pylist()
    return [
        {
            # Those of moving bodies have the number 0 for an object.
            "object_id": str(row["diaSource"]["diaObjectId"] or ""),
            "candid": row["diaSourceId"],
            "mjd": Time(row["diaSource"]["midpointMjdTai"], format="mjd", scale="tai").utc.mjd,
            "ra": row["diaSource"]["ra"],
            "dec": row["diaSource"]["dec"],
            "band": row["diaSource"]["band"],
        }
        for row in rows
    ]


@pytest.mark.parametrize("sample", ["alerts_ztf_fink_2021", "alerts_ztf_fink_raw", "alerts_rubin"])
def test_each_alert_is_found_as_pyarrow_reads_it(engine: Engine, real_data: Path, sample: str) -> None:
    folder = real_data / sample
    survey = (rubin_survey if "rubin" in sample else ztf_survey)(folder)
    report = index_survey(engine, survey)
    assert report.refused == ()
    catalog = Catalog(engine, [survey])
    read = rubin_rows if "rubin" in sample else ztf_rows
    expected = {path.relative_to(folder).as_posix(): read(path) for path in sorted(folder.rglob("*.parquet"))}
    assert report.alerts == sum(map(len, expected.values())) > 0
    for path, rows in expected.items():
        for number, row in enumerate(rows):
            alert = catalog.alerts.alert(survey, row["candid"])
            assert (alert.file.path, alert.row) == (path, number)
            assert (alert.candid, alert.object_id, alert.band) == (
                row["candid"],
                row["object_id"],
                row["band"],
            )
            # A unit of the index is 0.04 microarcseconds, and 0.1 milliseconds.
            assert alert.ra_deg == pytest.approx(row["ra"], abs=1e-11)
            assert alert.dec_deg == pytest.approx(row["dec"], abs=1e-11)
            assert alert.mjd == pytest.approx(row["mjd"], abs=1.1e-9)
            if row["object_id"]:
                assert alert in catalog.alerts.epochs(survey, row["object_id"].swapcase())
    found = list(catalog.alerts.search(survey, ObsConstraints()))
    assert {alert.candid for alert in found} == {row["candid"] for rows in expected.values() for row in rows}
    assert len(found) == report.alerts


def test_alerts_of_one_night_are_counted_by_band(engine: Engine, real_data: Path) -> None:
    survey: Survey = ztf_survey(real_data / "alerts_ztf_fink_2021")
    index_survey(engine, survey)
    rows = ztf_rows(next((real_data / "alerts_ztf_fink_2021").glob("*.parquet")))
    held = Catalog(engine, [survey]).alerts.holdings(survey)
    assert held.alerts == {band: sum(row["band"] == band for row in rows) for band in ("g", "r", "i")}
    assert held.first_mjd == pytest.approx(min(row["mjd"] for row in rows), abs=1.1e-9)
    assert held.last_mjd == pytest.approx(max(row["mjd"] for row in rows), abs=1.1e-9)
    assert (held.files, held.refused) == (1, 0)
