"""A lake in an object store is indexed, and followed, as one in a folder is."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

from surveys.errors import StaleImage
from surveys.index.catalog import Catalog
from surveys.index.ingest import index_survey
from surveys.index.obscore import ObsConstraints
from surveys.survey import Survey
from tests.support.alerts import MadeAlert, alerts_table, ztf_survey
from tests.support.s3 import BUCKET, ObjectStore, object_store


@pytest.fixture(scope="module")
def s3() -> Iterator[ObjectStore]:
    with object_store() as store:
        yield store


def put(s3: ObjectStore, key: str, first: int, end: int) -> None:
    sink = BytesIO()
    pq.write_table(alerts_table([MadeAlert(n) for n in range(first, end)]), sink, row_group_size=2)
    s3.client.put_object(Bucket=BUCKET, Key=key, Body=sink.getvalue())


def stamp(catalog: Catalog, survey: Survey, number: int) -> bytes | None:
    alert = catalog.alerts.alert(survey, MadeAlert(number).candid)
    pages, file = catalog.alerts.pages(alert.file, "Science"), alert.file
    assert survey.lake is not None
    assert pages is not None
    return catalog.alerts.lakes.value(survey.lake, file.path, file.size, file.version, pages, alert.row)


def test_an_object_store_is_indexed_and_followed(engine: Engine, s3: ObjectStore) -> None:
    lake = f"lake-{engine.dialect.name}"
    survey = ztf_survey(f"s3://{BUCKET}/{lake}", storage_options=s3.options)
    put(s3, f"{lake}/year=2020/a.parquet", 0, 5)
    put(s3, f"{lake}/year=2020/b.parquet", 5, 8)
    report = index_survey(engine, survey)
    assert (report.files, report.alerts, report.refused) == (2, 8, ())
    assert (index_survey(engine, survey).generation, report.generation) == (1, 1)
    catalog = Catalog(engine, [survey])
    for number in range(8):
        assert stamp(catalog, survey, number) == MadeAlert(number).stamp("Science")

    put(s3, f"{lake}/year=2020/a.parquet", 2, 4)
    with pytest.raises(StaleImage):
        stamp(Catalog(engine, [survey]), survey, 3)
    assert catalog.alerts.reindex(f"ztf/alert/{MadeAlert(3).candid}")
    assert stamp(catalog, survey, 3) == MadeAlert(3).stamp("Science")

    put(s3, f"{lake}/year=2020/c.parquet", 10, 12)
    named = Path(f"s3://{BUCKET}/{lake}/year=2020/c.parquet")
    assert index_survey(engine, survey, only_file=named).added == 1
    found = [alert.candid for alert in catalog.alerts.search(survey, ObsConstraints())]
    assert sorted(found) == [MadeAlert(n).candid for n in (2, 3, 5, 6, 7, 10, 11)]
