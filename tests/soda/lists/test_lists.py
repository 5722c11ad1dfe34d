"""Lists from their table to their files, over skies whose every pixel is known."""

from __future__ import annotations

import hashlib
import io
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from config.app import Parts, site_of
from dali.caller import Caller
from dali.errors import NotFound, ProtocolError, ServiceUnavailable, UsageError
from dali.parameters import Parameters
from soda.jobtype import SodaJobs
from soda.lists.products import Product, Spelling
from soda.lists.service import ListLimits
from soda.params import parse_box_size, parse_request
from soda.targets import TargetLimits
from surveys.access import EVERYBODY, OPERATOR, Reader
from surveys.planner import Limits
from tests.soda.lists.lists import LIMITS, ListJob, content, csv_of, kind_of, pixels, pixels_in
from tests.support.field import Field, centre_of, sky
from tests.support.service import did, pixels_of
from uws.job import RowStatus
from uws.jobtype import JobRefused, Outcome, Work
from uws.pace import expectation_of

Target = dict[str, Any]

HERE: Target = {"ra": 150.0, "dec": 0.0}
NOWHERE: Target = {"ra": 10.0, "dec": 0.0}
ID = ("ID", did("tiny/g/a"))
SIZE = ("SIZE", "20px")
INSIDE = (slice(90, 110), slice(90, 110))


@pytest.fixture
def kind(parts: Parts) -> SodaJobs:
    return kind_of(parts)


@pytest.fixture
def field_kind(field: Field) -> SodaJobs:
    return kind_of(field.parts, site=site_of(field.settings, field.parts.identifiers))


def at(x: float, y: float, **more: object) -> Target:
    """Target at a pixel of the field, from 0."""
    ra, dec = centre_of(x, y).split()
    return {"ra": ra, "dec": dec, **more}


def name_of(outcome: Any) -> str:
    return str(outcome.files[0].file_name)


# Rows and their facts


def test_what_is_told_of_a_row(kind: SodaJobs, tmp_path: Path) -> None:
    job = ListJob(kind, tmp_path, [{"id": "M 31", "ra": 150.001, "dec": 0.0}], ID, SIZE)
    planned = job.plan()
    assert (planned.packaged, planned.total_rows, planned.tasks) == (True, 1, ())
    (outcome,) = job.run().values()
    assert outcome.status is RowStatus.DONE
    assert (outcome.verdict, outcome.label) == ("ok", "M 31")
    data = content(outcome)
    # 3.6 px west of the centre, which is at 99.5, is 95.9; 20 px about it begin at 86.
    np.testing.assert_array_equal(pixels_in(data), pixels_of("a")[90:110, 86:106])
    with fits.open(io.BytesIO(data)) as hdus:
        header = hdus[0].header
        centre = WCS(header).all_pix2world(10.5, 10.5, 1)
    facts = dict(outcome.facts)
    assert facts.pop("centre_ra") == pytest.approx(float(centre[0]), abs=1e-9)
    assert facts.pop("centre_dec") == pytest.approx(float(centre[1]), abs=1e-9)
    assert facts.pop("x_target") == pytest.approx(95.9 - 86 + 1, abs=1e-3)
    assert facts.pop("y_target") == pytest.approx(10.5, abs=1e-3)
    assert facts.pop("pixel_scale") == pytest.approx(1.0, abs=1e-6)
    assert facts.pop("orientation") == pytest.approx(0.0, abs=1e-4)
    assert facts == {
        "row": 1,
        "ra": 150.001,
        "dec": 0.0,
        "survey": "tiny",
        "band": "g",
        "format": "fits",
        "dataset": "tiny/g/a",
        "size": "20px",
        "requested_w": 20,
        "requested_h": 20,
        "naxis1": 20,
        "naxis2": 20,
        "frac_valid": 1.0,
        "clipped": False,
        "resampled": False,
        "source_datasets": "tiny/g/a",
        **({"release": facts["release"]} if "release" in facts else {}),
    }


def test_cutouts_over_an_edge_of_tiles_are_those_of_sync(
    field: Field, field_kind: SodaJobs, tmp_path: Path
) -> None:
    table = [at(60.3, 99.5), at(149.5, 99.5), at(149.2, 40.0), at(240, 150), at(150, 30, id="edge")]
    bands = [("ID", did(f"field/{band}")) for band in "rg"]
    found = ListJob(field_kind, tmp_path, table, *bands, ("SIZE", "40px")).run()
    assert list(found) == [f"r{row}-{band}" for row in range(1, 6) for band in "rg"]
    for number, row in enumerate(table, start=1):
        for band in "rg":
            outcome = found[f"r{number}-{band}"]
            by_sync = field.get(ID=did(f"field/{band}"), CENTER=f"{row['ra']} {row['dec']}", SIZE="40px")
            assert by_sync.status_code == 200
            data = content(outcome)
            assert hashlib.sha256(data).digest() == hashlib.sha256(by_sync.data).digest()
            assert name_of(outcome) in by_sync.headers["Content-Disposition"]
            facts, wcs = outcome.facts, WCS(fits.Header.fromstring(data[:2880].decode(), sep=""))
            x, y = wcs.all_world2pix(float(row["ra"]), float(row["dec"]), 1)
            assert (facts["x_target"], facts["y_target"]) == pytest.approx((float(x), float(y)), abs=1e-3)
            if (number, band) == (2, "r"):
                np.testing.assert_array_equal(pixels_in(data), sky("r")[80:120, 130:170])
                assert facts["source_datasets"] == "field/r/east field/r/west"


def test_rows_are_light_where_one_image_has_them(field_kind: SodaJobs, tmp_path: Path) -> None:
    table = [at(240, 100), at(149.5, 99.5), at(60, 100), at(250, 100), at(70, 100)]
    tasks, ended, expansion = ListJob(
        field_kind, tmp_path, table, ("ID", did("field/r")), ("SIZE", "20px")
    ).split()
    assert ended == []
    assert [task.kind for task in tasks] == ["light", "heavy"]
    # Each image is opened once: its rows stand together.
    images = [row.payload["image"] for row in tasks[0].rows]
    assert images == sorted(images)
    assert {row.n for row in tasks[0].rows} == {0, 2, 3, 4}
    assert [row.n for row in tasks[1].rows] == [1]
    assert expansion.total == 5
    told = [expectation_of(task.rows, task.common) for task in tasks]
    assert [one.key for one in told if one] == [
        "soda/fits/listed/s/field",
        "soda/fits/listed-several/s/field",
    ]
    assert expansion.seconds == pytest.approx(0.01, rel=0.9)


def test_soda_102_no_overlap_is_an_answer(kind: SodaJobs, tmp_path: Path) -> None:
    found = ListJob(kind, tmp_path, [HERE, {**NOWHERE, "id": "far"}], ID, SIZE).run()
    assert [outcome.verdict for outcome in found.values()] == ["ok", "no_overlap"]
    empty = found["r2"]
    assert empty.status is RowStatus.EMPTY
    assert empty.message.startswith("UsageError: no overlap: no pixel of the data is selected by ID")
    assert 'CENTER "10 0", SIZE "20px"' in empty.message
    assert (empty.label, empty.facts["row"], empty.facts["ra"]) == ("far", 2, 10.0)


def test_what_sticks_out_is_padded_and_said(kind: SodaJobs, tmp_path: Path) -> None:
    corner = {"ra": 150.0 - 98.8 / 3600, "dec": 0.0}
    (padded,) = ListJob(kind, tmp_path, [corner], ID, SIZE).run().values()
    assert (padded.verdict, padded.facts["clipped"], padded.facts["naxis1"]) == ("clipped", True, 20)
    assert padded.facts["frac_valid"] == pytest.approx(0.55, abs=0.06)
    assert pixels(padded).shape == (20, 20)
    (clipped,) = ListJob(kind, tmp_path, [corner], ID, SIZE, ("EDGE", "clip")).run().values()

    assert (clipped.verdict, clipped.facts["naxis1"]) == ("clipped", 11)
    assert clipped.facts["frac_valid"] == 1.0
    failed = ListJob(kind, tmp_path, [corner, HERE], ID, SIZE, ("EDGE", "error")).run()["r1"]
    assert failed.verdict == "failed"
    assert failed.message.startswith("UsageError: 4")


def test_soda_108_what_cannot_be_made_fails_alone(parts: Parts, tmp_path: Path) -> None:
    small = kind_of(parts, replace(LIMITS, cutout=Limits(1000, 1 << 20)))
    table = [{**HERE, "size": "20px"}, {**HERE, "size": "40px"}]
    found = ListJob(small, tmp_path, table, ID).run()
    assert [outcome.verdict for outcome in found.values()] == ["ok", "failed"]
    asked = Parameters.from_pairs([ID, ("CENTER", "150 0"), ("SIZE", "300px")])
    with pytest.raises(UsageError) as by_sync:
        parts.sync.ask(asked)
    assert "this cutout would be 40 x 40 px" in found["r2"].message
    assert found["r2"].message.partition("the limit is")[1]
    assert "the limit is" in by_sync.value.sentence


def test_a_broken_file_fails_its_rows_only(kind: SodaJobs, parts: Parts, tmp_path: Path) -> None:
    job = ListJob(kind, tmp_path, [HERE], ID, ("ID", did("tiny/r/a")), SIZE)
    record = parts.catalog.record("tiny/r/a", parts.catalog.generation("tiny"))
    path = parts.catalog.path(record)
    kept = path.with_suffix(".kept")
    path.rename(kept)
    try:
        found = job.run()
    finally:
        kept.rename(path)
    assert [outcome.verdict for outcome in found.values()] == ["ok", "failed"]
    assert found["r1-r"].message == "Error: the image tiny/r/a cannot be read at the moment."
    assert found["r1-r"].facts["dataset"] == "tiny/r/a"


def test_an_image_that_is_not_the_planned_one_is_planned_again(kind: SodaJobs, tmp_path: Path) -> None:
    tasks, _, _ = ListJob(kind, tmp_path, [HERE], ("ID", did("tiny/g")), SIZE).split()
    (task,) = tasks
    artifact, dataset, size, mtime, generation = task.common["images"][0]
    for image in (
        [10**6, dataset, size, mtime, generation],
        [artifact, dataset, size + 1, mtime, generation],
    ):
        common = {**task.common, "images": [image]}
        (outcome,) = kind.run(Work("job", "", task.rows, common))
        np.testing.assert_array_equal(pixels(outcome), pixels_of("a")[INSIDE])


@pytest.mark.parametrize(
    "query",
    [
        f"ID={did('tiny/g')}",
        f"ID={did('tiny')}&FILTER=g&EDGE=clip&TIME=5+6&CHECKSUM=true",
        f"ID={did('field')}&RGB=i,r,g&RESPONSEFORMAT=png&LABEL=a+%26+b",
        f"ID={did('tiny/g')}&GRID=tan&PIXSCALE=2arcsec",
    ],
)
def test_requests_of_rows_are_spelled_as_those_of_sync(parts: Parts, query: str) -> None:
    pairs = parse_qsl(query)
    asked = parse_request(Parameters.from_pairs(pairs), parts.identifiers)
    product = Product("", replace(asked.cutout, canonical=""), asked.media_type)
    for size in ("30px", "0.5 7'"):
        for ra, dec in ((150.0, -2.25), (1e-5, 0.1), (359.99999999999994, -90.0)):
            one = Parameters.from_pairs([*pairs, ("CENTER", f"{ra!r} {dec!r}"), ("SIZE", size)])
            made = Spelling(product, parts.identifiers).request(ra, dec, parse_box_size(size))
            assert made == parse_request(one, parts.identifiers).cutout


# Targets that are wrong


BAD: list[Target] = [
    HERE,
    {"ra": "ten", "dec": 0.0, "id": "b"},
    {"ra": 150.0, "dec": 95.0},
    {**HERE, "size": "9 furlongs"},
]


def test_targets_that_are_wrong_fail_and_the_others_are_made(kind: SodaJobs, tmp_path: Path) -> None:
    job = ListJob(kind, tmp_path, BAD, ID, SIZE)
    assert job.plan().total_rows == 4
    several = ListJob(kind, tmp_path, BAD, ID, ("ID", did("tiny/r")), SIZE)
    assert several.plan().total_rows == several.split()[2].total == 5
    found = job.run()
    assert [outcome.verdict for outcome in found.values()] == ["ok", "failed", "failed", "failed"]
    assert found["r2"].label == "b"
    assert found["r2"].facts == {"row": 2}
    assert all(found[f"r{row}"].message.startswith("UsageError: ") for row in (2, 3, 4))
    assert "SIZE" in found["r4"].message
    assert '"9 furlongs"' in found["r4"].message


def test_onbad_fail_refuses_the_job_and_names_the_lines(kind: SodaJobs, tmp_path: Path) -> None:
    with pytest.raises(JobRefused, match="3 of the 4 targets are wrong: line 3: ") as refused:
        ListJob(kind, tmp_path, BAD, ID, SIZE, ("ONBAD", "fail")).plan()
    assert refused.value.status == 403
    assert "line 4: " in refused.value.sentence
    assert "line 5: SIZE" in refused.value.sentence


def test_a_list_of_which_nothing_can_be_made_is_wrong(kind: SodaJobs, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none of the 3 targets can be made: line 2: "):
        ListJob(kind, tmp_path, BAD[1:], ID, SIZE).plan()


def test_an_unreadable_table_refuses_the_job(kind: SodaJobs, tmp_path: Path) -> None:
    with pytest.raises(JobRefused) as refused:
        ListJob(kind, tmp_path, "name,colour\nx,red\n", ID, SIZE).plan()
    assert refused.value.status == 403
    assert refused.value.label == "UsageError"
    limits = replace(LIMITS, lists=ListLimits(TargetLimits(bytes=10)))
    with pytest.raises(JobRefused) as too_large:
        ListJob(kind_of_limits(kind, limits), tmp_path, [HERE, HERE], ID, SIZE).plan()
    assert too_large.value.status == 413


def test_a_table_that_is_gone_is_asked_for_later(kind: SodaJobs, tmp_path: Path) -> None:
    job = ListJob(kind, tmp_path, [HERE], ID, SIZE)
    (tmp_path / "targets.csv").unlink()
    with pytest.raises(ServiceUnavailable):
        job.plan()


def kind_of_limits(kind: SodaJobs, limits: Any) -> SodaJobs:
    return SodaJobs(kind._engine, limits)


def test_more_cutouts_than_a_job_may_have_are_refused(kind: SodaJobs, tmp_path: Path) -> None:
    limits = replace(LIMITS, lists=ListLimits(TargetLimits(), max_rows=5))
    small = kind_of_limits(kind, limits)
    with pytest.raises(JobRefused, match="6 cutouts of 3 targets; the limit of a job is 5"):
        ListJob(small, tmp_path, [HERE] * 3, ID, ("ID", did("tiny/r/a")), SIZE).plan()
    # That each exposure gives a cutout shows when it is split.
    with pytest.raises(JobRefused, match="since each exposure gives one"):
        ListJob(small, tmp_path, [HERE] * 3, ("ID", did("nights")), ("SIZE", "20arcsec")).split()


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([("CENTER", "150 0")], "CENTER beside UPLOAD"),
        ([("CIRCLE", "150 0 1")], "CIRCLE beside UPLOAD"),
        ([("POS", "CIRCLE 150 0 1")], "POS beside UPLOAD"),
        ([("POLYGON", "1 1 2 2 1 2")], "POLYGON beside UPLOAD"),
        ([("RADIUS", "5arcsec")], "SIZE and RADIUS each are a size"),
        ([("SIZE", "2px")], "SIZE is taken once here"),
        ([("ONBAD", "maybe")], 'ONBAD is skip or fail; got "maybe"'),
        ([("COLUMNS", "ra=x")], "COLUMNS is pairs"),
        ([("COLUNMS", "ra:x")], "COLUNMS is not a parameter"),
        ([("RESPONSEFORMAT", "gif")], "RESPONSEFORMAT is"),
        ([("RECIPE", "x")], "RECIPE is for pictures"),
        ([("STRETCH", "steep"), ("RESPONSEFORMAT", "png")], "STRETCH is"),
        ([("RUNID", "a" * 65)], "RUNID"),
    ],
)
def test_soda_uploads_wrong_parameters_are_told(
    kind: SodaJobs, tmp_path: Path, pairs: Any, words: str
) -> None:
    with pytest.raises(UsageError) as refused:
        ListJob(kind, tmp_path, [HERE], ID, SIZE, *pairs).plan()
    assert refused.value.status == 400
    assert words in " ".join(fault.sentence for fault in (refused.value, *refused.value.also))


@pytest.mark.parametrize("dataset", ["tiny/z", "none", "tiny/g/none"])
def test_an_unknown_id_of_the_job(kind: SodaJobs, tmp_path: Path, dataset: str) -> None:
    job = ListJob(kind, tmp_path, [HERE], ("ID", did(dataset)), SIZE)
    if dataset.count("/") < 2:
        with pytest.raises(NotFound):
            job.plan()
    else:  # images are looked up when the list is split
        (outcome,) = job.run().values()
        assert outcome.verdict == "failed"
        assert "tiny/g/none" in outcome.message


class Passing:
    """Rights to all there is, until they end."""

    def __init__(self) -> None:
        self.now: Reader = OPERATOR

    def reader(self, caller: Caller) -> Reader:
        return self.now

    def owner(self, name: str, actor: str = "") -> Reader:
        return self.now


def test_rights_that_end_while_a_list_is_made(parts: Parts, tmp_path: Path) -> None:
    rights = Passing()
    kind = SodaJobs(replace(parts.soda, rights=rights), LIMITS)
    table = [{**HERE, "survey": "secret"}, {**HERE, "survey": "tiny", "band": "g"}]
    tasks, ended, expansion = ListJob(kind, tmp_path, table, SIZE).split()
    assert (ended, set(expansion.sources)) == ([], {"secret/g/a", "tiny/g/a"})
    rights.now = EVERYBODY
    outcomes = [one for task in tasks for one in kind.run(Work("job", "x:ann", task.rows, task.common))]
    by_survey = {outcome.facts["survey"]: outcome for outcome in outcomes}
    assert by_survey["tiny"].verdict == "ok"
    closed = by_survey["secret"]
    assert (closed.verdict, closed.files, closed.transient) == ("no_rights", (), False)
    assert closed.message.startswith("AuthorizationError: the survey secret is not open to you")


def test_a_closed_survey(kind: SodaJobs, tmp_path: Path) -> None:
    with pytest.raises(ProtocolError) as refused:
        ListJob(kind, tmp_path, [HERE], ("ID", did("secret/g")), SIZE).plan()
    assert refused.value.status == 403
    table = [
        {**HERE, "survey": "tiny", "band": "g"},
        {**HERE, "survey": "secret"},
        {**HERE, "survey": "nope"},
    ]
    found = ListJob(kind, tmp_path, table, SIZE).run()
    assert [outcome.verdict for outcome in found.values()] == ["ok", "no_rights", "failed"]
    assert found["r2"].message.startswith("AuthorizationError: the survey secret is not open to you")


def test_parameters_of_lists_need_a_list(kind: SodaJobs) -> None:
    for name in ("COLUMNS", "ONBAD", "RADIUS"):
        with pytest.raises(UsageError, match=f"{name} belongs to a table of targets"):
            kind.parse(Parameters.from_pairs([ID, (name, "5px")]), caller=None)  # type: ignore[arg-type]


# Settings at three levels


def test_sizes_of_rows_win_over_that_of_the_job(kind: SodaJobs, tmp_path: Path) -> None:
    table = [
        {**HERE},
        {**HERE, "size": "30px"},
        {**HERE, "size": "10arcsec 14arcsec"},
        {**HERE, "radius": "8px"},
        {**HERE, "width": "12px", "height": "18px"},
        {**HERE, "xsize": "0.5", "ysize": "0.25"},
        {**HERE, "xsize": "0.5"},
        {**HERE, "size": "4px", "radius": "5px"},
        {**HERE, "width": "12px", "height": "18arcsec"},
    ]
    found = ListJob(kind, tmp_path, table, ID, SIZE).run()
    sizes = [(one.facts.get("naxis1"), one.facts.get("naxis2")) for one in found.values()]
    assert sizes == [
        (20, 20),
        (30, 30),
        (10, 14),
        (16, 16),
        (12, 18),
        (30, 15),
        (30, 30),
        (None,) * 2,
        (None,) * 2,
    ]
    assert found["r8"].message == "UsageError: size and radius of one row are each a size; one is taken."
    assert "both pixels, or both angles" in found["r9"].message


def test_without_any_size_it_is_that_of_cutout(parts: Parts, tmp_path: Path) -> None:
    large = kind_of(parts, replace(LIMITS, cutout=Limits(100_000, 1 << 20)))
    (outcome,) = ListJob(large, tmp_path, [HERE], ID).run().values()
    assert (outcome.facts["naxis1"], outcome.facts["naxis2"]) == (256, 256)


def test_radius_is_half_a_side(kind: SodaJobs, tmp_path: Path) -> None:
    (by_radius,) = ListJob(kind, tmp_path, [HERE], ID, ("RADIUS", "10arcsec")).run().values()
    (by_size,) = ListJob(kind, tmp_path, [HERE], ID, ("SIZE", "20arcsec")).run().values()
    assert content(by_radius) == content(by_size)


def test_rows_name_their_data(kind: SodaJobs, tmp_path: Path) -> None:
    table = [
        {**HERE},
        {**HERE, "survey": "tiny", "band": "r"},
        {**HERE, "band": "r"},
        {**HERE, "bands": "g,r"},
        {**HERE, "obs_publisher_did": did("tiny/r/a")},
        {**HERE, "obs_publisher_did": did("tiny/r/a"), "band": "g"},
        {**HERE, "band": "z"},
        {**HERE, "survey": "tiny"},
    ]
    found = ListJob(kind, tmp_path, table, ("ID", did("tiny/g")), SIZE).run()
    made = {name: outcome.facts.get("source_datasets") for name, outcome in found.items()}
    assert made == {
        "r1": "tiny/g/a",
        "r2": "tiny/r/a",
        "r3": "tiny/r/a",
        "r4-g": "tiny/g/a",
        "r4-r": "tiny/r/a",
        "r5": "tiny/r/a",
        "r6": None,
        "r7": None,
        "r8": "tiny/g/a tiny/r/a",
    }
    assert 'names the band "r" of tiny' in found["r6"].message
    assert 'BANDS: there is no band "z"' in found["r7"].message


def test_a_list_without_ids_at_all(kind: SodaJobs, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no dataset, and the job has no ID"):
        ListJob(kind, tmp_path, [HERE], SIZE).plan()


def test_several_formats_give_several_products(field: Field, field_kind: SodaJobs, tmp_path: Path) -> None:
    pairs = [("ID", did("field")), ("SIZE", "40px"), ("RESPONSEFORMAT", "png"), ("RESPONSEFORMAT", "fits")]
    found = ListJob(
        field_kind, tmp_path, [at(149.5, 99.5)], *pairs, ("RGB", "i,r,g"), ("CHECKSUM", "true")
    ).run()
    assert list(found) == ["r1-png", "r1-fits"]
    png, mef = found.values()
    by_sync = field.get(
        ID=did("field"), CENTER=centre_of(149.5, 99.5), SIZE="40px", RESPONSEFORMAT="png", RGB="i,r,g"
    )
    assert content(png) == by_sync.data
    assert (png.facts["format"], png.facts["naxis1"], png.facts["naxis2"]) == ("png", 40, 40)
    assert "lupton" in png.facts["recipe"]
    assert (png.facts["x_target"], png.facts["y_target"]) == pytest.approx((20.5, 20.5), abs=1e-3)
    with fits.open(io.BytesIO(content(mef))) as hdus:
        assert [hdu.name for hdu in hdus[1:4]] == ["g", "r", "i"]
        assert "CHECKSUM" in hdus[1].header
    assert mef.facts["band"] == "gri"


def test_pictures_of_rows_have_their_own_words(field_kind: SodaJobs, tmp_path: Path) -> None:
    table = [
        at(60, 99.5, format="png"),
        at(60, 99.5, format="fits"),
        at(60, 99.5, format="png", bands="i,r,g", algorithm="stiff"),
        at(60, 99.5, format="png", stretch="log"),
        at(60, 99.5, stretch="log"),
    ]
    found = ListJob(field_kind, tmp_path, table, ("ID", did("field/r")), ("SIZE", "20px")).run()
    assert [outcome.facts.get("format") for outcome in found.values()] == ["png", "fits", "png", "png", None]
    assert "stiff" in found["r3"].facts["recipe"]
    assert "log" in found["r4"].facts["recipe"]
    assert found["r5"].message.startswith("UsageError: STRETCH is for pictures, and RESPONSEFORMAT is")


def test_words_for_pictures_are_for_the_rows_that_are_some(field_kind: SodaJobs, tmp_path: Path) -> None:
    rows = [at(60, 99.5, format="fits"), at(60, 99.5, format="png"), at(60, 99.5, stretch="sqrt")]
    words = (("RESPONSEFORMAT", "png"), ("STRETCH", "log"), ("ID", did("field/r")), ("SIZE", "8px"))
    found = ListJob(field_kind, tmp_path, rows, *words).run()
    assert [outcome.facts["format"] for outcome in found.values()] == ["fits", "png", "png"]
    assert [outcome.verdict for outcome in found.values()] == ["ok"] * 3
    # What the row says itself is taken at its word.
    rows = [at(60, 99.5, format="fits", stretch="log"), at(60, 99.5)]
    first, _ = ListJob(field_kind, tmp_path, rows, *words).run().values()
    assert "STRETCH is for pictures" in first.message


def test_exposures_give_a_file_each(kind: SodaJobs, tmp_path: Path) -> None:
    found = ListJob(kind, tmp_path, [HERE, NOWHERE, HERE], ("ID", did("nights")), ("SIZE", "20arcsec")).run()
    assert list(found) == ["r1-exposure1", "r1-exposure2", "r2", "r3-exposure1", "r3-exposure2"]
    first, second = found["r1-exposure1"], found["r1-exposure2"]
    assert first.facts["source_datasets"] == "nights/g/first"
    assert (first.facts["mjd"], second.facts["mjd"]) == pytest.approx((59000.005, 59001.005), abs=1e-6)
    np.testing.assert_array_equal(pixels(second), pixels_of("a")[INSIDE])
    names = [name_of(outcome) for outcome in found.values() if isinstance(outcome, Outcome)]
    assert len(set(names)) == 4


def test_one_exposure_of_a_time(kind: SodaJobs, tmp_path: Path) -> None:
    pairs = [("ID", did("nights/g")), ("SIZE", "20arcsec"), ("TIME", "58999 59000.5")]
    (outcome,) = ListJob(kind, tmp_path, [HERE], *pairs).run().values()
    assert outcome.facts["source_datasets"] == "nights/g/first"


# Names


def test_files_of_one_place_are_told_apart(kind: SodaJobs, tmp_path: Path) -> None:
    table = [HERE, HERE, {**HERE, "band": "r"}, {**HERE, "size": "30px"}, {"ra": 150.0000001, "dec": 0.0}]
    found = ListJob(kind, tmp_path, table, ("ID", did("tiny/g")), SIZE).run()
    assert [name_of(outcome) for outcome in found.values()] == [
        "TINYJ100000.00+000000.0_g_20x20.fits",
        "TINYJ100000.00+000000.0_g_20x20_r2.fits",
        "TINYJ100000.00+000000.0_r_20x20.fits",
        "TINYJ100000.00+000000.0_g_30x30_r4.fits",
        "TINYJ100000.00+000000.0_g_20x20_r5.fits",
    ]


def test_products_that_may_have_one_name_are_told_apart(kind: SodaJobs, tmp_path: Path) -> None:
    ids = [("ID", did(dataset)) for dataset in ("tiny/g", "tiny/g/a", "tiny", "tiny/r")]
    found = ListJob(kind, tmp_path, [HERE, HERE], *ids, SIZE).run()
    names = [name_of(outcome) for outcome in found.values()]
    assert len({name.lower() for name in names}) == 8
    assert all(name.isascii() and len(name) < 128 for name in names)


def test_names_do_not_depend_on_the_order_of_work(kind: SodaJobs, tmp_path: Path) -> None:
    job = ListJob(kind, tmp_path, [HERE] * 5, ("ID", did("tiny/g")), SIZE)
    (task,), _, _ = job.split()
    backwards = list(kind.run(Work("job", "", task.rows[::-1], task.common)))
    forwards = list(kind.run(Work("job", "", task.rows, task.common)))
    assert [name_of(outcome) for outcome in backwards[::-1]] == [name_of(outcome) for outcome in forwards]


# Many


def test_a_long_list_is_split_in_time(parts: Parts, tmp_path: Path) -> None:
    """10,000 targets; one tile has them."""
    count = 10_000
    random = np.random.default_rng(1)
    ra, dec = 150 + random.uniform(-0.02, 0.02, count), random.uniform(-0.02, 0.02, count)
    rows = [
        {"id": n, "ra": f"{a:.7f}", "dec": f"{d:.7f}"} for n, (a, d) in enumerate(zip(ra, dec, strict=True))
    ]
    large = kind_of(parts, replace(LIMITS, lists=ListLimits(TargetLimits())))
    job = ListJob(large, tmp_path, csv_of(rows), ("ID", did("tiny/g/a")), ("SIZE", "8px"))
    begun = time.perf_counter()
    assert job.plan().total_rows == count
    planned = time.perf_counter()
    tasks, _, expansion = job.split()
    done = time.perf_counter()
    assert expansion.total == count
    assert all(len(task.rows) <= 2000 for task in tasks)
    assert planned - begun < 3
    assert done - planned < 8
