"""SODA's kind of job by itself: plans, rows and endings, over surveys whose every pixel is known."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from config.app import Parts, assemble
from dali.caller import ANONYMOUS
from dali.errors import AuthorizationError, NotFound, ProtocolError, UsageError
from dali.parameters import Parameters
from soda.jobtype import JobLimits, SodaJobs
from soda.price import decoded_pixels
from soda.rows import TASK_BYTES, TASK_S, PlannedRow, tasks_of
from surveys.fits.product import Site
from surveys.fits.source import Source
from surveys.index.ingest import index_survey
from surveys.plan import PLAN_VERSION
from surveys.planner import Limits
from surveys.sky.pixels import PixelBox
from tests.support.service import did, index_all, pixels_of, settings_of, write_surveys
from tests.support.tiles import record_of
from uws.job import Counts, Row, RowStatus
from uws.jobtype import JobPlan, JobRefused, Outcome, Work
from uws.phase import Phase

CIRCLE = ("CIRCLE", "150.0 0.0 0.0027")
NOWHERE = ("CIRCLE", "10.0 0.0 0.0027")
STICKING_OUT = ("CIRCLE", "150.025 0.028 0.005")
ALL_OR_NOTHING = ("EDGE", "error")
INSIDE = (slice(90, 110), slice(90, 110))
LIMITS = JobLimits(Limits(20_000, 1 << 20), max_rows=24, high_rows=4, high_pixels=2000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_surveys(tmp_path)
    index_all(settings_of(tmp_path))
    return tmp_path


@pytest.fixture
def parts(folder: Path) -> Iterator[Parts]:
    made = assemble(settings_of(folder))
    yield made
    made.engine.dispose()


@pytest.fixture
def kind(parts: Parts) -> SodaJobs:
    return kind_of(parts)


def kind_of(parts: Parts, limits: JobLimits = LIMITS) -> SodaJobs:
    return SodaJobs(replace(parts.soda, site=Site()), limits)


def plan(kind: SodaJobs, *pairs: tuple[str, str]) -> JobPlan:
    made = kind.plan(kind.parse(Parameters.from_pairs(pairs), ANONYMOUS))
    json.dumps([[row.payload for row in task] for task in made.tasks], allow_nan=False)
    return made


def rows_of(made: JobPlan) -> tuple[Row, ...]:
    return tuple(row for task in made.tasks for row in task)


def run(kind: SodaJobs, made: JobPlan) -> list[Outcome]:
    return list(kind.run(Work("job", "", rows_of(made))))


def content(outcome: Outcome) -> bytes:
    assert outcome.status is RowStatus.DONE, outcome.message
    (file,) = outcome.files
    return b"".join(file.chunks)


def pixels(outcome: Outcome) -> NDArray[np.float32]:
    with fits.open(io.BytesIO(content(outcome))) as hdus:
        return np.array(hdus[0].data)


def test_one_cutout_is_called_result_and_named_as_by_sync(kind: SodaJobs, parts: Parts) -> None:
    made = plan(kind, ("ID", did("tiny/g/a")), CIRCLE)
    (row,) = rows_of(made)
    assert row.result_id == "result"
    (outcome,) = run(kind, made)
    asked = parts.sync.ask(Parameters.from_pairs([("ID", did("tiny/g/a")), CIRCLE]))
    assert outcome.files[0].file_name == parts.sync.describe(asked).file_name
    assert outcome.files[0].media_type == "application/fits"
    np.testing.assert_array_equal(pixels(outcome), pixels_of("a")[INSIDE])


def test_soda_107_rows_are_numbered_and_files_have_names_of_their_own(kind: SodaJobs) -> None:
    made = plan(kind, ("ID", did("tiny/g/a")), ("ID", did("tiny/g")), CIRCLE, CIRCLE)
    assert [row.n for row in rows_of(made)] == [0, 1, 2, 3]
    names = [outcome.files[0].file_name for outcome in run(kind, made)]
    assert names[1] == "TINYJ100000.00+000000.0_g_20x20_id1-circle2.fits"
    assert len(set(names)) == 4


def test_response_format(kind: SodaJobs) -> None:
    made = plan(kind, ("ID", did("tiny/g/a")), CIRCLE, ("RESPONSEFORMAT", "image/fits"))
    assert run(kind, made)[0].files[0].media_type == "image/fits"


def test_soda_102_no_overlap_is_a_row_that_says_so(kind: SodaJobs) -> None:
    done, empty = run(kind, plan(kind, ("ID", did("tiny/g/a")), CIRCLE, NOWHERE))
    assert done.status is RowStatus.DONE
    assert empty.status is RowStatus.EMPTY
    assert empty.message.startswith("UsageError: no overlap")
    assert "tiny/g/a" in empty.message
    assert "10 0 0.0027" in empty.message


def test_soda_108_what_cannot_be_made_fails_alone(kind: SodaJobs, parts: Parts) -> None:
    done, failed = run(kind, plan(kind, ("ID", did("tiny/g")), CIRCLE, STICKING_OUT, ALL_OR_NOTHING))
    assert done.status is RowStatus.DONE
    assert failed.status is RowStatus.FAILED
    with pytest.raises(UsageError) as by_sync:
        parts.sync.ask(Parameters.from_pairs([("ID", did("tiny/g")), STICKING_OUT, ALL_OR_NOTHING]))
    assert failed.message.startswith(f"UsageError: {by_sync.value.sentence}")


def test_where_nothing_can_be_made_the_fault_is_raised(kind: SodaJobs) -> None:
    with pytest.raises(UsageError, match="of the region lies outside") as refused:
        plan(kind, ("ID", did("tiny/g")), STICKING_OUT, ALL_OR_NOTHING)
    assert refused.value.status == 400
    with pytest.raises(UsageError, match="has no whole") as several:
        plan(kind, ("ID", did("tiny/g")), ("ID", did("tiny/r")), ("ID", did("tiny/g/a")))
    assert any("limit" in other.sentence for other in several.value.also)


@pytest.mark.parametrize(
    ("dataset", "error"),
    [("tiny/g/none", NotFound), ("none/g", NotFound), ("secret/g/a", AuthorizationError)],
)
def test_an_unknown_or_closed_dataset_is_the_fault_of_the_job(
    kind: SodaJobs, parts: Parts, dataset: str, error: type[ProtocolError]
) -> None:
    with pytest.raises(error) as refused:
        plan(kind, ("ID", did("tiny/g/a")), ("ID", did(dataset)), CIRCLE)
    with pytest.raises(error) as by_sync:
        parts.sync.ask(Parameters.from_pairs([("ID", did(dataset)), CIRCLE]))
    assert refused.value.sentence == by_sync.value.sentence


def test_exposures_give_a_result_each(kind: SodaJobs, parts: Parts) -> None:
    made = plan(kind, ("ID", did("nights")), CIRCLE, NOWHERE)
    assert [row.result_id for row in rows_of(made)] == [
        "circle1-exposure1",
        "circle1-exposure2",
        "circle2",
    ]
    first, second, empty = run(kind, made)
    for outcome, night in ((first, "first"), (second, "second")):
        data = content(outcome)
        with fits.open(io.BytesIO(data)) as hdus:
            assert hdus[0].header["ORIG_ID"].endswith(f"nights/g/{night}")
        by_image = run(kind, plan(kind, ("ID", did(f"nights/g/{night}")), CIRCLE))
        assert data == content(by_image[0])
    assert empty.status is RowStatus.EMPTY


def test_one_exposure_of_one_combination_is_the_result(kind: SodaJobs) -> None:
    made = plan(kind, ("ID", did("nights/g")), CIRCLE, ("TIME", "58999 59000.5"))
    assert [row.result_id for row in rows_of(made)] == ["result"]


def test_more_combinations_than_allowed_are_refused_before_anything_is_planned(parts: Parts) -> None:
    statements: list[str] = []
    event.listen(parts.engine, "before_cursor_execute", lambda *seen: statements.append(seen[2]))
    circles = [("CIRCLE", f"150 0 0.00{n}") for n in range(1, 6)]
    bands = [("BAND", f"{n}e-7") for n in range(1, 6)]
    with pytest.raises(JobRefused) as refused:
        plan(kind_of(parts), ("ID", did("tiny/g/a")), *circles, *bands)
    assert refused.value.status == 403
    assert "25 cutouts (5 region x 5 BAND)" in refused.value.sentence
    assert "24" in refused.value.sentence
    assert "4 of the 5 region" in refused.value.fix
    assert statements == []


def test_more_exposures_than_rows_allowed_are_refused(parts: Parts) -> None:
    small = kind_of(parts, replace(LIMITS, max_rows=3))
    with pytest.raises(JobRefused, match="more than 3 cutouts"):
        plan(small, ("ID", did("nights/g")), CIRCLE, ("CIRCLE", "150 0 0.001"))


def test_the_lane_is_that_of_the_work(kind: SodaJobs) -> None:
    one = ("ID", did("tiny/g/a"))
    assert plan(kind, one, *[CIRCLE] * 4).lane == "high"
    assert plan(kind, one, *[CIRCLE] * 5).lane == "low"
    assert plan(kind, one, ("CIRCLE", "150 0 0.01")).lane == "low"


def test_the_limit_is_that_of_jobs_not_of_sync(parts: Parts) -> None:
    whole = ("ID", did("tiny/g/a"))
    with pytest.raises(UsageError, match="limit is 20000 px"):
        plan(kind_of(parts), whole)
    (outcome,) = run(
        kind_of(parts), plan(kind_of(parts, replace(LIMITS, cutout=Limits(10**6, 10**7))), whole)
    )
    np.testing.assert_array_equal(pixels(outcome), pixels_of("a"))


def test_tasks_are_bounded_by_time_and_size() -> None:
    def task_sizes(row: PlannedRow, count: int) -> list[int]:
        tasks = tasks_of([replace(row, name=f"circle{n}") for n in range(count)])
        assert [row.n for task in tasks for row in task] == list(range(count))
        return [len(task) for task in tasks]

    assert task_sizes(PlannedRow("", {}, seconds=TASK_S / 4), 9) == [4, 4, 1]
    assert task_sizes(PlannedRow("", {}, size=TASK_BYTES // 2), 5) == [2, 2, 1]
    assert task_sizes(PlannedRow("", {}, seconds=10 * TASK_S), 2) == [1, 1]
    assert task_sizes(PlannedRow("", {}), 0) == []


def test_what_must_be_decoded_is_part_of_the_price(tmp_path: Path) -> None:
    data = np.zeros((100, 120), np.float32)
    tiled = tmp_path / "tiled.fits"
    fits.CompImageHDU(data, compression_type="RICE_1", tile_shape=(10, 50)).writeto(tiled)
    box = PixelBox(45, 55, 12, 13)
    assert decoded_pixels(box, record_of(tiled, 1)) == 100 * 10
    plain = tmp_path / "plain.fits"
    fits.PrimaryHDU(data).writeto(plain)
    assert decoded_pixels(box, record_of(plain)) == 0
    assert decoded_pixels(box, replace(record_of(plain), storage="gzip")) == 13 * 120


def test_a_plan_of_another_version_is_made_again(kind: SodaJobs) -> None:
    made = plan(kind, ("ID", did("tiny/g/a")), CIRCLE)
    (row,) = rows_of(made)
    older = row.payload["plan"].replace(f'"plan_version":{PLAN_VERSION}', '"plan_version":0')
    assert older != row.payload["plan"]
    payload = {**row.payload, "plan": older}
    (outcome,) = kind.run(Work("job", "", (replace(row, payload=payload),)))
    (usual,) = run(kind, made)
    assert content(outcome) == content(usual)


def test_an_image_indexed_again_is_planned_again(kind: SodaJobs, parts: Parts, folder: Path) -> None:
    made = plan(kind, ("ID", did("tiny/g")), CIRCLE)
    rewrite(folder / "tiny" / "a_g.fits", lambda data: data + 1)
    index_survey(parts.engine, parts.catalog.survey("tiny"))
    (outcome,) = run(kind, made)
    np.testing.assert_array_equal(pixels(outcome), pixels_of("a")[INSIDE] + 1)


def test_an_image_gone_from_the_index_is_a_usage_error(kind: SodaJobs, parts: Parts, folder: Path) -> None:
    made = plan(kind, ("ID", did("tiny/g/a")), ("ID", did("tiny/r/a")), CIRCLE)
    (folder / "tiny" / "a_g.fits").unlink()
    index_survey(parts.engine, parts.catalog.survey("tiny"))
    gone, done = run(kind, made)
    assert gone.status is RowStatus.FAILED
    assert done.status is RowStatus.DONE


def test_soda_108_a_broken_file_fails_its_row_only(kind: SodaJobs, folder: Path) -> None:
    made = plan(kind, ("ID", did("tiny/g/a")), ("ID", did("tiny/r/a")), CIRCLE)
    (folder / "tiny" / "a_g.fits").unlink()
    broken, done = run(kind, made)
    assert broken.status is RowStatus.FAILED
    assert broken.message == "Error: the image tiny/g/a cannot be read at the moment."
    assert not broken.transient
    assert done.status is RowStatus.DONE


def test_a_file_changed_without_the_index_fails(kind: SodaJobs, folder: Path) -> None:
    made = plan(kind, ("ID", did("tiny/g/a")), CIRCLE)
    rewrite(folder / "tiny" / "a_g.fits", lambda data: data)
    (outcome,) = run(kind, made)
    assert outcome.status is RowStatus.FAILED
    assert outcome.message.startswith("Error: ")


def test_a_large_file_that_breaks_while_it_is_sent_says_so(parts: Parts, folder: Path) -> None:
    """Beyond 32 MB the bytes are made while they are written."""
    wide = folder / "tiny" / "a_g.fits"
    with fits.open(wide) as hdus:
        header = hdus[0].header
    fits.PrimaryHDU(np.zeros((3000, 3000), np.float32), header).writeto(wide, overwrite=True)
    index_survey(parts.engine, parts.catalog.survey("tiny"))
    engine = replace(parts.soda, source=Source("pread"), site=Site())
    large = SodaJobs(engine, replace(LIMITS, cutout=Limits(10**8, 10**9)))
    (outcome,) = run(large, plan(large, ("ID", did("tiny/g/a"))))
    chunks = iter(outcome.files[0].chunks)
    next(chunks)
    os.truncate(wide, wide.stat().st_size // 2)
    with pytest.raises(ProtocolError, match="cannot be read"):
        list(chunks)


def test_trouble_with_the_database_may_pass(parts: Parts, folder: Path) -> None:
    made = plan(kind_of(parts), ("ID", did("tiny/g/a")), CIRCLE)
    fresh = assemble(settings_of(folder))

    def fail(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("the server is gone"))

    event.listen(fresh.engine, "before_cursor_execute", fail)
    (outcome,) = run(kind_of(fresh), made)
    fresh.engine.dispose()
    assert outcome.status is RowStatus.FAILED
    assert outcome.transient
    assert outcome.message.startswith("ServiceUnavailable: ")


@pytest.mark.parametrize(
    ("counts", "phase"),
    [
        (Counts(total=2, done=1, failed=1), Phase.COMPLETED),
        (Counts(total=2, empty=2), Phase.COMPLETED),
        (Counts(total=2, empty=1, failed=1), Phase.COMPLETED),
        (Counts(total=2, failed=1, poison=1), Phase.ERROR),
        (Counts(total=1, failed=1), Phase.ERROR),
    ],
)
def test_soda_103_soda_108_how_a_job_ends(kind: SodaJobs, counts: Counts, phase: Phase) -> None:
    ending = kind.finish(counts)
    assert ending.phase is phase
    assert (ending.error is None) == (phase is Phase.COMPLETED)
    if ending.error is not None:
        assert ending.error.message.startswith("Error: ")


def test_the_parameters_are_described(kind: SodaJobs) -> None:
    schema = json.loads(json.dumps(kind.describe()))
    assert schema["required"] == ["ID"]
    properties = schema["properties"]
    several = {name for name, value in properties.items() if value["type"] == "array"}
    assert several == {
        *("ID", "POS", "CIRCLE", "POLYGON", "CENTER", "BAND", "TIME", "POL", "FILTER"),
        *("RGB", "DRAW"),
    }
    assert properties["POL"]["items"]["enum"][0] == "I"


def rewrite(path: Path, change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> None:
    """Replace an image by another one, a little later than it was made."""
    with fits.open(path) as hdus:
        data, header = np.array(hdus[0].data), hdus[0].header.copy()
    older = path.stat().st_mtime_ns
    fits.PrimaryHDU(change(data), header).writeto(path, overwrite=True)
    os.utime(path, ns=(older + 10**9, older + 10**9))
