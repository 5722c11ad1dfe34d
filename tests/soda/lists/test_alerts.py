"""Lists of alerts and of objects, over a lake whose every stamp is known."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from config.app import Parts, assemble
from dali.caller import Caller
from dali.errors import AuthorizationError, NotFound, UsageError
from soda.estimate.lists import found_of_list
from soda.estimate.verdicts import Verdict
from soda.jobtype import SodaJobs
from surveys.access import EVERYBODY, OPERATOR, Reader
from surveys.index.ingest import index_survey
from surveys.parquet.source import LakeSource
from surveys.planner import Limits
from tests.soda.lists.lakes import ALERTS, BROKEN, EPOCHS, stored, write_alerts, write_lakes
from tests.soda.lists.lists import LIMITS, ListJob, content, kind_of, pixels_in
from tests.support.alerts import KINDS, MadeAlert
from tests.support.service import did, index_all, pixels_of, settings_of, write_surveys
from uws.job import RowStatus
from uws.jobtype import JobRefused, Outcome

ID = ("ID", did("ztf"))
SCIENCE = ("ID", did("ztf/Science"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("lakes")
    write_surveys(made)
    write_lakes(made)
    index_all(settings_of(made))
    return made


@pytest.fixture(scope="module")
def parts(folder: Path) -> Iterator[Parts]:
    made = assemble(settings_of(folder))
    yield made
    made.engine.dispose()


@pytest.fixture
def kind(parts: Parts) -> SodaJobs:
    return kind_of(parts, replace(LIMITS, cutout=Limits(1 << 20, 1 << 24)))


def alert(number: int) -> MadeAlert:
    return MadeAlert(number, EPOCHS)


def lines(name: str, values: Sequence[object]) -> str:
    return "\n".join([name, *map(str, values)]) + "\n"


def one(found: dict[str, Any]) -> Any:
    (outcome,) = found.values()
    return outcome


def files_of(found: dict[str, Any]) -> list[str]:
    return [outcome.files[0].file_name for outcome in found.values()]


# What is made


def test_stamps_of_alerts_are_the_stored_bytes_in_the_order_of_rows(kind: SodaJobs, tmp_path: Path) -> None:
    numbers = [41, 3, 59, 0, 17, 4, 30, 29]
    table = lines("candid", [alert(n).candid for n in numbers])
    job = ListJob(kind, tmp_path, table, SCIENCE)
    tasks, ended, _ = job.split()
    assert (len(tasks), ended, tasks[0].kind) == (1, [], "light")
    # They are read as they lie in the files, whatever the order of the table.
    assert [row.payload["label"] for row in tasks[0].rows] == [str(alert(n).candid) for n in sorted(numbers)]
    found = job.run()
    assert list(found) == [f"r{row}" for row in range(1, len(numbers) + 1)]
    for number, outcome in zip(numbers, found.values(), strict=True):
        assert (outcome.status, outcome.verdict) == (RowStatus.DONE, "ok")
        assert content(outcome) == stored(number, "Science")


def test_what_is_told_of_a_row(kind: SodaJobs, tmp_path: Path) -> None:
    made = alert(7)
    outcome = one(ListJob(kind, tmp_path, lines("candid", [made.candid]), SCIENCE).run())
    facts = dict(outcome.facts)
    assert facts.pop("ra") == pytest.approx(made.ra_deg, abs=1e-9)
    assert facts.pop("dec") == pytest.approx(made.dec_deg, abs=1e-9)
    assert facts.pop("mjd") == pytest.approx(made.jd - 2400000.5, abs=1e-8)
    assert (facts["survey"], facts["band"]) == ("ztf", "gri"[made.fid - 1])
    assert facts["dataset"] == f"ztf/alert/{made.candid}/Science"
    assert facts["source_datasets"] == f"ztf/alert/{made.candid}"
    assert (facts["row"], facts["format"]) == (1, "fits")
    assert "size" not in facts
    assert outcome.label == str(made.candid)


def test_objects_give_all_their_epochs_in_one_file(kind: SodaJobs, tmp_path: Path) -> None:
    wanted = [5, 0, 12]  # the epochs of an object follow each other
    names = [alert(EPOCHS * n).object_id for n in wanted]
    found = ListJob(kind, tmp_path, lines("objectId", [names[0].upper(), *names[1:]]), ID).run()
    for number, outcome in zip(wanted, found.values(), strict=True):
        epochs = [alert(EPOCHS * number + n) for n in range(EPOCHS)]
        with fits.open(io.BytesIO(content(outcome))) as hdus:
            hdus.verify("exception")
            assert list(hdus["EPOCHS"].data["candid"]) == [one.candid for one in epochs]
            for version, epoch in enumerate(epochs, start=1):
                for name in KINDS:
                    np.testing.assert_array_equal(hdus[name.upper(), version].data, epoch.pixels(name))
        assert outcome.facts["source_datasets"] == " ".join(f"ztf/alert/{one.candid}" for one in epochs)
        assert outcome.facts["band"] == "gri"
        assert "mjd" not in outcome.facts


def test_a_kind_is_a_product_and_files_have_names_of_their_own(kind: SodaJobs, tmp_path: Path) -> None:
    table = lines("candid", [alert(1).candid, alert(2).candid])
    found = ListJob(kind, tmp_path, table, SCIENCE, ("ID", did("ZTF/template")), ID).run()
    assert list(found) == [f"r{row}-{label}" for row in (1, 2) for label in ("Science", "Template", "ztf")]
    assert len({name.lower() for name in files_of(found)}) == len(found)
    assert content(found["r2-Template"]) == stored(2, "Template")
    with fits.open(io.BytesIO(content(found["r1-ztf"]))) as hdus:
        assert [hdu.name for hdu in hdus] == [name.upper() for name in KINDS]


def test_rows_say_their_kinds(kind: SodaJobs, tmp_path: Path) -> None:
    table = "candid,kind\n" + "".join(
        f"{alert(9).candid},{word}\n" for word in ("DIFFERENCE", "", "all", "x")
    )
    table += f'{alert(9).candid},"Science, Template"\n'
    found = ListJob(kind, tmp_path, table, ID).run()
    assert list(found) == ["r1", "r2", "r3", "r4", "r5-Science", "r5-Template"]
    assert content(found["r1"]) == stored(9, "Difference")
    assert content(found["r2"]) == content(found["r3"])
    assert "no stamp of ztf" in found["r4"].message
    assert content(found["r5-Template"]) == stored(9, "Template")
    names = files_of({key: value for key, value in found.items() if key != "r4"})
    assert len({name.lower() for name in names}) == 5, "rows of one alert are told apart"


def test_dids_of_alerts_and_objects_name_their_kind(kind: SodaJobs, tmp_path: Path) -> None:
    dids = [
        did(f"ztf/alert/{alert(8).candid}/science"),
        did(f"ZTF/Object/{alert(9).object_id}"),
        did("ztf/alert/x1"),
        did(f"ztf/alert/{alert(8).candid}/Colour"),
        did(f"ztf/{alert(8).candid}"),
    ]
    found = ListJob(kind, tmp_path, lines("obs_publisher_did", dids)).run()
    assert content(found["r1"]) == stored(8, "Science")
    assert found["r2"].facts["dataset"] == f"ztf/object/{alert(9).object_id}"
    assert [found[name].status for name in ("r3", "r4", "r5")] == [RowStatus.FAILED] * 3
    assert found["r3"].message.startswith("UsageError: ")
    assert "no stamp" in found["r4"].message
    assert "no stamp of ztf" in found["r5"].message
    plain = ListJob(kind, tmp_path, "\n".join(dids[:2]))
    assert content(plain.run()["r1"]) == stored(8, "Science")


def test_a_plain_list_of_objects(kind: SodaJobs, tmp_path: Path) -> None:
    names = [alert(EPOCHS * n).object_id for n in range(4)]
    found = ListJob(kind, tmp_path, "\n".join(names), SCIENCE).run()
    assert [outcome.label for outcome in found.values()] == names
    assert all(outcome.verdict == "ok" for outcome in found.values())


@pytest.mark.parametrize(("form", "check"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_pictures_of_objects(kind: SodaJobs, tmp_path: Path, form: str, check: str) -> None:
    table = lines("objectId", [alert(0).object_id])
    outcome = one(ListJob(kind, tmp_path, table, ID, ("RESPONSEFORMAT", form)).run())
    assert outcome.facts["format"] == form
    assert Image.open(io.BytesIO(content(outcome))).format == check


def test_arrays(kind: SodaJobs, tmp_path: Path) -> None:
    table = lines("candid", [alert(6).candid])
    outcome = one(ListJob(kind, tmp_path, table, SCIENCE, ("RESPONSEFORMAT", "json")).run())
    np.testing.assert_array_equal(
        np.array(json.loads(content(outcome)), np.float32), alert(6).pixels("Science")
    )
    assert outcome.files[0].media_type == "application/json"


def test_images_and_stamps_of_one_row(kind: SodaJobs, tmp_path: Path) -> None:
    table = f"objectId,candid,ra,dec,size\n,{alert(4).candid},150,0,20px\n,,150,0,\n,{alert(5).candid},,,\n"
    found = ListJob(kind, tmp_path, table, SCIENCE, ("ID", did("tiny/g/a"))).run()
    assert list(found) == [f"r{row}-{label}" for row in (1, 2, 3) for label in ("Science", "g")]
    stamps, images = (
        [value for key, value in found.items() if key.endswith(end)] for end in ("Science", "g")
    )
    assert content(stamps[0]) == stored(4, "Science")
    assert content(stamps[2]) == stored(5, "Science")
    np.testing.assert_array_equal(pixels_in(content(images[0])), pixels_of("a")[90:110, 90:110])
    assert "names no alert" in stamps[1].message
    assert "no position" in images[2].message


def test_rows_of_images_and_rows_of_alerts(kind: SodaJobs, tmp_path: Path) -> None:
    table = (
        "survey,band,ra,dec,candid,size\n"
        f"tiny,g,150,0,,20px\nztf,,,,{alert(4).candid},\nztf,g,,,{alert(3).candid},\ntiny,g,,,{alert(4).candid},\n"
        "ztf,,150,0,,\nztf,u,,,1,\n"
    )
    found = ListJob(kind, tmp_path, table).run()
    assert [outcome.verdict for outcome in found.values()] == ["ok", "ok", "ok", "failed", "failed", "failed"]
    assert (alert(3).fid, found["r3"].facts["band"]) == (1, "g")
    assert "no position" in found["r4"].message
    assert "names no alert" in found["r5"].message
    assert "no band" in found["r6"].message or "'u'" in found["r6"].message


# What is not made


def test_unknown_names_fail_their_rows(kind: SodaJobs, tmp_path: Path) -> None:
    names = ["ZTF99nothing", alert(0).object_id, alert(3).candid, "a/b", "ZTF18\xe4", "9" * 40, "%", "';--"]
    found = ListJob(kind, tmp_path, lines("objectId", names), ID).run()
    assert [outcome.verdict for outcome in found.values()] == ["failed", "ok", *["failed"] * 6]
    failed = [outcome for outcome in found.values() if outcome.verdict == "failed"]
    assert all(outcome.message.startswith("UsageError: ztf has no object") for outcome in failed), [
        outcome.message for outcome in failed
    ]
    assert "an alert of this number" in found["r3"].message
    assert "COLUMNS=alert" in found["r3"].message


@pytest.mark.parametrize("text", ["1", "-5", "1.5e18", "x", "9223372036854775808", "1" * 30, "0x10"])
def test_unknown_alerts_fail_their_rows(kind: SodaJobs, tmp_path: Path, text: str) -> None:
    found = ListJob(kind, tmp_path, lines("candid", [text, alert(0).candid]), ID).run()
    assert [outcome.verdict for outcome in found.values()] == ["failed", "ok"]
    assert found["r1"].message.startswith("UsageError: ")


def test_filters_pick_epochs_and_may_leave_none(kind: SodaJobs, tmp_path: Path) -> None:
    made = [alert(n) for n in range(EPOCHS)]
    table = lines("candid", [one.candid for one in made])
    found = ListJob(kind, tmp_path, table, ID, ("FILTER", "g")).run()
    assert [outcome.verdict for outcome in found.values()] == ["ok", "no_overlap", "no_overlap"]
    assert "FILTER" in found["r2"].message
    mjd = made[1].jd - 2400000.5
    when = ("TIME", f"{mjd - 0.1} {mjd + 0.1}")
    outcome = one(ListJob(kind, tmp_path, lines("objectId", [made[0].object_id]), ID, when).run())
    assert outcome.facts["source_datasets"] == f"ztf/alert/{made[1].candid}"
    by_column = f"objectId,filter,when\n{made[0].object_id},r,{mjd - 9} {mjd + 9}\n"
    outcome = one(ListJob(kind, tmp_path, by_column, ID, ("COLUMNS", "time:when")).run())
    assert outcome.facts["source_datasets"] == f"ztf/alert/{made[1].candid}"


def test_a_broken_stamp_fails_its_row_alone(kind: SodaJobs, tmp_path: Path) -> None:
    table = lines("candid", [alert(0).candid, BROKEN.candid, alert(ALERTS - 1).candid])
    found = ListJob(kind, tmp_path, table, SCIENCE).run()
    assert [outcome.verdict for outcome in found.values()] == ["ok", "failed", "ok"]
    assert "gzip" in found["r2"].message
    assert str(tmp_path) not in found["r2"].message
    others = ListJob(kind, tmp_path, table, ("ID", did("ztf/Difference"))).run()
    assert {outcome.verdict for outcome in others.values()} == {"ok"}


def test_stamps_have_no_size_of_a_box(kind: SodaJobs, tmp_path: Path) -> None:
    table = f"candid,width_of\n{alert(0).candid},30\n"
    for pair in (("SIZE", "20px"), ("RADIUS", "3arcsec"), ("COLUMNS", "size:width_of")):
        with pytest.raises(
            UsageError, match=rf"{'SIZE' if pair[0] == 'COLUMNS' else pair[0]} is that of boxes"
        ):
            ListJob(kind, tmp_path, table, ID, pair).plan()


@pytest.mark.parametrize(
    ("dataset", "error"),
    [
        ("ztf/g", UsageError),
        ("ztf/alert/1", UsageError),
        ("ztf/object/x/Science", UsageError),
        ("nothing", NotFound),
    ],
)
def test_ids_of_jobs_name_surveys_and_kinds(
    kind: SodaJobs, tmp_path: Path, dataset: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        ListJob(kind, tmp_path, lines("candid", [1]), ("ID", did(dataset))).plan()


@pytest.mark.parametrize(
    "pair", [("RGB", "i,r,g"), ("COMBINE", "mean"), ("GRID", "tan"), ("POL", "I"), ("MASK", "true")]
)
def test_what_has_no_meaning_for_stamps_is_refused_at_once(
    kind: SodaJobs, tmp_path: Path, pair: tuple[str, str]
) -> None:
    more = [("RESPONSEFORMAT", "png")] if pair[0] == "RGB" else []
    with pytest.raises(UsageError, match=pair[0]):
        ListJob(kind, tmp_path, lines("candid", [alert(0).candid]), ID, pair, *more).plan()


def test_of_two_rows_of_one_object_the_second_file_is_told_apart(kind: SodaJobs, tmp_path: Path) -> None:
    name = alert(0).object_id
    names = files_of(ListJob(kind, tmp_path, lines("objectId", [name, name.upper()]), SCIENCE).run())
    assert names[1] == names[0].replace(".fits", "_r2.fits")


# Rights


class Passing:
    """Rights that end."""

    def __init__(self) -> None:
        self.now: Reader = OPERATOR

    def reader(self, caller: Caller) -> Reader:
        return self.now

    def owner(self, name: str, actor: str = "") -> Reader:
        return self.now


def test_alerts_of_others_are_closed(kind: SodaJobs, tmp_path: Path) -> None:
    with pytest.raises(AuthorizationError):
        ListJob(kind, tmp_path, lines("candid", [alert(0).candid]), ("ID", did("closed"))).plan()
    table = f"survey,candid\nclosed,{alert(0).candid}\nztf,{alert(1).candid}\nclosed,1\n"
    found = ListJob(kind, tmp_path, table).run()
    assert [outcome.verdict for outcome in found.values()] == ["no_rights", "ok", "no_rights"]


def test_of_closed_alerts_nobody_learns_which_there_are(tmp_path: Path) -> None:
    write_surveys(tmp_path)
    write_lakes(tmp_path)
    open_to_all = (tmp_path / "declarations" / "ztf.toml").read_text(encoding="utf-8")
    rules = '[access]\npublic = true\n[[access.datasets]]\nmatch = "alert/150000000*"\ngroups = ["members"]\n'
    (tmp_path / "declarations" / "some.toml").write_text(open_to_all + rules, encoding="utf-8")
    index_all(settings_of(tmp_path))
    kind = kind_of(assemble(settings_of(tmp_path)))
    some = ("ID", did("some"))
    names = [alert(0).candid, 1500000001, alert(2).candid]
    found = ListJob(kind, tmp_path, lines("candid", names), some).run()
    assert [outcome.verdict for outcome in found.values()] == ["no_rights", "no_rights", "ok"]
    there, not_there = (found[f"r{n}"].message.replace(str(names[n - 1]), "") for n in (1, 2))
    assert there == not_there
    found = ListJob(kind, tmp_path, lines("objectId", names[:2]), some).run()
    there, not_there = (found[f"r{n}"].message.replace(str(names[n - 1]), "") for n in (1, 2))
    assert there == not_there


def test_rights_that_end_while_a_list_is_made(parts: Parts, tmp_path: Path) -> None:
    rights = Passing()
    kind = kind_of(replace(parts, soda=replace(parts.soda, rights=rights)))
    table = f"survey,candid\nclosed,{alert(0).candid}\nztf,{alert(1).candid}\n"
    job = ListJob(kind, tmp_path, table)
    tasks, ended, expansion = job.split()
    assert ended == []
    assert any("closed" in source for source in expansion.sources)
    rights.now = EVERYBODY
    assert sorted(outcome.verdict for outcome in job.make(tasks)) == ["no_rights", "ok"]


# While the lake changes


def test_a_file_that_was_indexed_anew_after_the_split_is_read_as_it_is_now(tmp_path: Path) -> None:
    write_surveys(tmp_path)
    write_lakes(tmp_path)
    index_all(settings_of(tmp_path))
    parts = assemble(settings_of(tmp_path))
    kind = kind_of(parts)
    (path,) = (tmp_path / "ztf-lake").glob("part-00001*")
    mine = [alert(ALERTS - 1), alert(ALERTS - 2)]
    job = ListJob(kind, tmp_path, lines("candid", [one.candid for one in mine]), SCIENCE)
    tasks, _, _ = job.split()
    write_alerts(path, mine)
    index_survey(parts.engine, parts.catalog.survey("ztf"))
    parts.catalog.refresh()
    again = ListJob(kind, tmp_path, lines("candid", [one.candid for one in mine]), SCIENCE).run()
    assert [content(outcome) for outcome in again.values()] == [
        stored(ALERTS - 1, "Science"),
        stored(ALERTS - 2, "Science"),
    ]
    # The tasks that were made before, too; and a file that was replaced under the index.
    write_alerts(path, mine[::-1], {"Template": stored(0, "Template")})
    work = job.make(tasks)
    assert [outcome.verdict for outcome in work] == ["ok", "ok"]
    parts.engine.dispose()


def test_each_column_of_a_file_is_read_once_for_all_rows(
    kind: SodaJobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []
    values = LakeSource.values

    def counted(self: LakeSource, lake: Any, path: str, *others: Any) -> Any:
        asked.append((path, len(others[-1])))
        return values(self, lake, path, *others)

    monkeypatch.setattr(LakeSource, "values", counted)
    table = lines("objectId", [alert(n).object_id for n in range(0, ALERTS, EPOCHS)])
    found = ListJob(kind, tmp_path, table, ID).run()
    assert {outcome.verdict for outcome in found.values()} == {"ok"}
    assert sorted(count for _, count in asked) == [ALERTS // 2] * 6, "two files, three columns"


# What it would come to


def test_an_estimate_says_which_rows_are_good(kind: SodaJobs, tmp_path: Path) -> None:
    table = lines("candid", [alert(0).candid, 1, "x", alert(1).candid])
    job = ListJob(kind, tmp_path, table, ID, ("FILTER", "g"))
    uploads = {"targets": job.upload}
    looked = kind.look(kind.parse(job.parameters, Caller(""), uploads))
    found = found_of_list(looked)
    assert [Verdict(one) for one in found.verdicts] == [
        Verdict.COVERED,
        Verdict.REJECTED,
        Verdict.REJECTED,
        Verdict.OUTSIDE,
    ]
    assert found.sums()["rejected"] == 2
    assert [fault.row for fault in found.faults] == [2, 3]
    assert (found.images, found.ra_deg[0]) == (1, pytest.approx(alert(0).ra_deg))
    assert found.size > 3 * 63 * 63 * 4
    assert isinstance(job.plan().total_rows, int)


def test_a_list_of_nothing_but_unknown_names_is_a_job_whose_rows_fail(kind: SodaJobs, tmp_path: Path) -> None:
    found = ListJob(kind, tmp_path, lines("candid", [1, 2]), ID).run()
    assert all(not isinstance(outcome, Outcome) for outcome in found.values())
    with pytest.raises(JobRefused):
        ListJob(kind, tmp_path, "ra,dec\n1,2\n", ID).plan()


def test_objects_of_very_many_alerts_are_looked_up_a_few_at_a_time(
    kind: SodaJobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index gives so many alerts at once and no more, of all objects that are asked for together."""
    monkeypatch.setattr("surveys.index.alerts.catalog.MOST_EPOCHS", 1)
    names = [alert(n).object_id for n in range(0, ALERTS, EPOCHS)]
    found = ListJob(kind, tmp_path, lines("objectId", names), SCIENCE).run()
    assert {outcome.verdict for outcome in found.values()} == {"ok"}
    monkeypatch.setattr("surveys.index.alerts.catalog.MOST_EPOCHS", 0)
    found = ListJob(kind, tmp_path, lines("objectId", names), SCIENCE).run()
    assert {outcome.verdict for outcome in found.values()} == {"failed"}
    assert "more than 0 alerts" in found["r1"].message
