"""A lake in an object store is indexed, and every stamp read, as one in a folder is."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from surveys.index.catalog import Catalog
from surveys.index.ingest import index_survey
from tests.support.alerts import KINDS, ztf_survey
from tests.support.databases import sqlite
from tests.support.s3 import BUCKET, object_store

DATA = Path(__file__).parents[3].parent / "shared" / "data" / "alerts_ztf_fink_raw"


@pytest.mark.skipif(not DATA.is_dir(), reason="the real images are not here")
def test_a_lake_in_an_object_store_is_indexed_and_read(tmp_path: Path) -> None:
    files = sorted(DATA.rglob("*.parquet"))
    with object_store() as s3, sqlite(tmp_path) as engine:
        for file in files:
            s3.client.upload_file(str(file), BUCKET, f"lake/{file.relative_to(DATA)}")
        survey = ztf_survey(f"s3://{BUCKET}/lake", storage_options=s3.options)
        lake = survey.lake
        assert lake is not None
        report = index_survey(engine, survey)
        assert (report.added, report.alerts, report.refused) == (2, 12, ())
        assert index_survey(engine, survey).added == 0
        catalog = Catalog(engine, [survey])
        for row in (row for file in files for row in pq.read_table(file, partitioning=None).to_pylist()):
            alert = catalog.alerts.alert(survey, row["candid"])
            for kind in KINDS:
                pages = catalog.alerts.pages(alert.file, kind)
                assert pages is not None
                where = (alert.file.path, alert.file.size, alert.file.version)
                stamp = catalog.alerts.lakes.value(lake, *where, pages, alert.row)
                assert stamp == row[f"cutout{kind}"]["stampData"]
