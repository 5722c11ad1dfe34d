"""An indexer that is killed leaves the index as it was, and the right to index to the next one."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from surveys.index.alerts.ingest import index_lake
from surveys.index.catalog import Catalog
from surveys.index.obscore import ObsConstraints
from tests.support.alerts import write_lake, ztf_survey

#: Ends without a word when the first files are added; what alerts are looked up by is written each time.
DIES = """
import os, signal, sys
from config.database import make_engine
from surveys.index.alerts import ingest, store
from tests.support.alerts import ztf_survey

ingest.CHUNK, store.WAITING = 5, 1
engine = make_engine(sys.argv[1])
survey = ztf_survey(sys.argv[2])
ingest.index_lake(engine, survey, progress=lambda done, todo: os.kill(os.getpid(), signal.SIGKILL))
"""


@pytest.mark.faults
def test_a_killed_indexer_leaves_no_trace(engine: Engine, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    first, *others = write_lake(lake, 40, files=4, stamps=False)
    hidden = [path.rename(tmp_path / path.name) for path in others]
    survey = ztf_survey(lake)
    index_lake(engine, survey)
    catalog = Catalog(engine, [survey])
    before = list(catalog.alerts.search(survey, ObsConstraints()))
    first.unlink()
    for path in hidden:
        path.rename(lake / path.name)
    url = engine.url.render_as_string(hide_password=False)
    died = subprocess.run([sys.executable, "-c", DIES, url, str(lake)], check=False)
    assert died.returncode == -signal.SIGKILL
    assert list(catalog.alerts.search(survey, ObsConstraints())) == before
    report = index_lake(engine, survey)
    assert (report.generation, report.added, report.vanished, report.alerts) == (2, 3, 1, 30)
    found = list(catalog.alerts.search(survey, ObsConstraints()))
    assert len(found) == len({alert.candid for alert in found}) == 30
