"""Each question goes by an index, however many files there are, whatever a database knows of its tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from surveys.index.alerts import queries
from surveys.index.alerts.ingest import index_lake
from surveys.index.alerts.queries import Statement
from surveys.index.catalog import Catalog
from surveys.index.obscore import ObsConstraints
from surveys.sky.stencil import Circle
from surveys.survey import Survey
from tests.support.alerts import MadeAlert, write_lake, ztf_survey

LOOKUPS = ("BY_ID", "BY_CANDID", "BY_OBJECT", "BY_OBJECT_IN_FILE", "BY_ID_IN_TIME", "CELLS", "PAGES")
VALUES = {"survey_id": 1, "generation": 1, "keys": "[1, 2]", "most": 10, "path": "x", "first": 5, "last": 9}
VALUES |= {"after": 3, "first_mjd": 0, "last_mjd": 1, "file_id": 1, "kind": "science"}


def lake(tmp_path: Path, files: int) -> Survey:
    write_lake(tmp_path / "lake", 600, files=files, stamps=False)
    return ztf_survey(tmp_path / "lake")


def plan(engine: Engine, statement: Statement) -> list[str]:
    """What a database says that it does, a step a line."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            cursor = connection.connection.cursor()
            return [str(row[-1]) for row in cursor.execute(f"EXPLAIN QUERY PLAN {statement.sqlite}", VALUES)]
        rows = connection.execute(text(f"EXPLAIN {statement.postgresql}"), VALUES)
        return [str(row[0]) for row in rows]


@pytest.mark.parametrize("name", LOOKUPS)
def test_no_table_is_read_through(engine: Engine, tmp_path: Path, name: str) -> None:
    index_lake(engine, lake(tmp_path, 3))
    steps = plan(engine, getattr(queries, name))
    scans = [step for step in steps if "SCAN " in step or "Seq Scan" in step]
    # The keys that were asked for, by SQLite.
    assert [scan for scan in scans if not scan.startswith("SCAN k ")] == []


@pytest.mark.parametrize("name", ["BY_ID", "BY_CANDID", "BY_OBJECT", "BY_ID_IN_TIME"])
def test_the_file_of_an_alert_is_found_by_its_first_key(engine: Engine, tmp_path: Path, name: str) -> None:
    """Not by its survey, of which there may be a hundred thousand."""
    index_lake(engine, lake(tmp_path, 3))
    steps = plan(engine, getattr(queries, name))
    assert any("first_id" in step for step in steps)
    assert not any("ix_lake_file_survey_id" in step for step in steps)


@pytest.mark.parametrize("files", [1, 100])
def test_a_question_is_one_query_however_many_files_there_are(
    tmp_path: Path, engine: Engine, files: int
) -> None:
    survey = lake(tmp_path, files)
    index_lake(engine, survey)
    alerts = Catalog(engine, [survey], kept_s=1e6).alerts
    asked: list[str] = []
    rows = alerts.reads.rows

    def count(statement: Statement, **values: object) -> object:
        asked.append(statement.sqlite)
        return rows(statement, **values)

    alerts.reads.rows = count  # type: ignore[method-assign, assignment]
    made = MadeAlert(333)
    questions = {
        "alert": lambda: alerts.alert(survey, made.candid),
        "epochs": lambda: alerts.epochs(survey, made.object_id),
        "by_candid": lambda: alerts.by_candid(survey, [MadeAlert(n).candid for n in range(600)]),
        "by_object": lambda: alerts.by_object(survey, [MadeAlert(n).object_id for n in range(600)]),
        "in_file": lambda: alerts.in_file(survey, "x", made.object_id, None),
    }
    for ask in questions.values():
        before = len(asked)
        ask()
        assert len(asked) == before + 1
    assert len(alerts.by_candid(survey, [MadeAlert(n).candid for n in range(600)])) == 600
    alert = alerts.alert(survey, made.candid)
    for _ in range(2):
        alerts.pages(alert.file, "Science")
        alerts.records([alert.id])
    # What was found once is kept.
    before = len(asked)
    questions["alert"]()
    questions["epochs"]()
    alerts.pages(alert.file, "Science")
    alerts.records([alert.id])
    assert len(asked) == before
    near = ObsConstraints(shapes=(Circle(made.ra_deg, made.dec_deg, 2 / 3600),))
    assert made.candid in {found.candid for found in alerts.search(survey, near)}
    assert len(asked) <= before + 8
