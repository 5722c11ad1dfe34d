"""Lists without any server: a table is written, its job parsed, planned, split and made in this process."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from config.app import Parts
from dali.caller import ANONYMOUS
from dali.parameters import Parameters
from soda.jobtype import JobLimits, SodaJobs
from soda.lists.service import ListLimits
from soda.targets import TargetLimits
from surveys.fits.product import Site
from surveys.planner import Limits
from uws.job import Row, RowReport
from uws.jobtype import Expansion, JobPlan, Outcome, TaskPlan, UploadSource, Work

LIMITS = JobLimits(
    Limits(20_000, 1 << 20), 100, 4, 10_000, ListLimits(TargetLimits(rows=2000), max_rows=3000, high_rows=4)
)


def kind_of(parts: Parts, limits: JobLimits = LIMITS, site: Site | None = None) -> SodaJobs:
    return SodaJobs(replace(parts.soda, site=site or Site()), limits)


def csv_of(rows: Sequence[Mapping[str, object]]) -> str:
    """Write rows, of whatever columns each has."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


class ListJob:
    """A list on its way through the job type.

    Parameters
    ----------
    kind
        The job type.
    folder
        For its table.
    table
        Rows, or a file's text.
    pairs
        Parameters of the job, UPLOAD left out.
    """

    def __init__(
        self,
        kind: SodaJobs,
        folder: Path,
        table: Sequence[Mapping[str, object]] | str,
        *pairs: tuple[str, str],
    ) -> None:
        self.kind = kind
        path = folder / "targets.csv"
        path.write_text(table if isinstance(table, str) else csv_of(table))
        self.upload = UploadSource("targets", path.name, "text/csv", path.stat().st_size, locate=lambda: path)
        self.parameters = Parameters.from_pairs([("UPLOAD", "targets,param:t"), *pairs])

    def plan(self) -> JobPlan:
        """Decide what it comes to."""
        uploads = {"targets": self.upload}
        return self.kind.plan(self.kind.parse(self.parameters, ANONYMOUS, uploads))

    def split(self) -> tuple[list[TaskPlan], list[RowReport], Expansion]:
        """Make its tasks; they are what a database gives back."""
        planned = self.plan()
        uploads = {"targets": self.upload}
        expansion = self.kind.split(Work("job", "", (), planned.split or {}, uploads, self.parameters))
        tasks, ended = list(expansion.tasks), list(expansion.ended)
        numbers = sorted([row.n for task in tasks for row in task.rows] + [report.n for report in ended])
        assert numbers == list(range(expansion.total)), "rows are numbered without a gap"
        names = [row.result_id for task in tasks for row in task.rows] + [one.result_id for one in ended]
        assert len(set(names)) == len(names), "no two results have one name"
        json.dumps([[dict(report.facts), report.label] for report in ended], allow_nan=False)
        return [_through_json(task) for task in tasks], ended, expansion

    def make(self, tasks: Sequence[TaskPlan]) -> list[Outcome]:
        """Make the rows of tasks."""
        works = [Work("job", "", task.rows, task.common) for task in tasks]
        return [outcome for work in works for outcome in self.kind.run(work)]

    def run(self) -> dict[str, Outcome | RowReport]:
        """Make all of it; what became of its rows in the order of their numbers, by result."""
        tasks, ended, _ = self.split()
        found: list[tuple[int, str, Outcome | RowReport]] = [(one.n, one.result_id, one) for one in ended]
        for task in tasks:
            outcomes = list(self.kind.run(Work("job", "", task.rows, task.common)))
            assert len(outcomes) == len(task.rows)
            for row, outcome in zip(task.rows, outcomes, strict=True):
                json.dumps(outcome.facts, allow_nan=False)
                found.append((row.n, row.result_id, outcome))
        return {result_id: outcome for _, result_id, outcome in sorted(found, key=lambda one: one[0])}


def _through_json(task: TaskPlan) -> TaskPlan:
    rows = tuple(Row(row.n, row.result_id, json.loads(json.dumps(row.payload))) for row in task.rows)
    return TaskPlan(rows, json.loads(json.dumps(task.common, allow_nan=False)), task.kind)


def content(outcome: Outcome | RowReport) -> bytes:
    """Bytes of the one file of a row."""
    assert isinstance(outcome, Outcome), outcome.message
    assert outcome.files, outcome.message
    (file,) = outcome.files
    return b"".join(file.chunks)


def pixels(outcome: Outcome | RowReport) -> NDArray[np.float32]:
    """Pixels of the one file of a row, whose bytes can be had once."""
    return pixels_in(content(outcome))


def pixels_in(data: bytes) -> NDArray[np.float32]:
    with fits.open(io.BytesIO(data)) as hdus:
        return np.array(hdus[0].data)
