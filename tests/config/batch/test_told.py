"""What is asked, what is read of the answers, and how it is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from config.batch.asked import base_of, earlier_of, output_of, parameters_of
from config.batch.command import batch
from config.batch.estimate import RowFault, read_estimate
from config.batch.faults import BatchFault, Refused
from config.batch.job import Rows, read_job
from config.batch.memory import Memory, Remembered, digest_of
from config.batch.outcome import outcome_of
from config.batch.screen import Screen, duration_text, size_text, span_text

NOTHING: dict[str, Any] = {
    **dict.fromkeys(("file", "size", "radius", "columns", "onbad", "label", "output", "url")),
    **dict.fromkeys(("retry", "resume", "attach")),
    **dict.fromkeys(("survey", "band", "kind", "id", "format", "param"), ()),
    "files": False,
}


def parameters(**options: Any) -> list[tuple[str, str]]:
    found = parameters_of({**NOTHING, **options}, lambda name: f"ivo://x?{name}")
    assert found[0] == ("UPLOAD", "targets,param:t")
    return found[1:]


def test_options_are_parameters() -> None:
    assert parameters(survey=("a", "b"), band=("g", "r"), size="30arcsec") == [
        *(("ID", f"ivo://x?{name}") for name in ("a/g", "a/r", "b/g", "b/r")),
        ("SIZE", "30arcsec"),
    ]
    assert parameters(survey=("ztf",), kind=("Science",)) == [("ID", "ivo://x?ztf/Science")]
    said = parameters(id=("ivo://y?c",), format=("fits", "png"), label="mine", param=("STRETCH=log", "Q=a=b"))
    assert said == [
        ("ID", "ivo://x?ivo://y?c"),
        ("RESPONSEFORMAT", "fits"),
        ("RESPONSEFORMAT", "png"),
        ("RUNID", "mine"),
        ("STRETCH", "log"),
        ("Q", "a=b"),
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"band": ("g",)},
        {"kind": ("Science",)},
        {"survey": ("a",), "band": ("g",), "kind": ("Science",)},
        {"param": ("EDGE",)},
        {"param": ("=x",)},
    ],
)
def test_options_that_say_nothing(options: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        parameters(**options)


def test_jobs_are_named_by_id_or_url() -> None:
    job = "https://example.org/soda/async/1234"
    assert base_of({**NOTHING, "attach": job}) == "https://example.org/soda"
    by_url = earlier_of({**NOTHING, "retry": job}, "unused")
    by_id = earlier_of({**NOTHING, "retry": "1234"}, "https://example.org/soda")
    assert by_url == by_id
    assert by_url is not None
    assert (by_url.url, by_url.action) == (job, "RETRY")
    assert output_of(NOTHING, by_url).path == Path("job-1234.zip")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"file": Path("a.csv"), "attach": "x"},
        {"retry": "x", "attach": "x"},
        {"retry": "x", "size": "30arcsec"},
    ],
)
def test_a_list_or_a_job(options: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        earlier_of({**NOTHING, **options}, "http://x")


@pytest.mark.parametrize(
    ("options", "path", "form"),
    [
        ({}, "stars.zip", "archive"),
        ({"files": True}, "stars", "files"),
        ({"output": Path("x.tar")}, "x.tar", "archive"),
        ({"output": Path("x")}, "x", "folder"),
        ({"output": Path("x.d"), "files": True}, "x.d", "files"),
    ],
)
def test_where_files_go(options: dict[str, Any], path: str, form: str) -> None:
    found = output_of({**NOTHING, "file": Path("lists/stars.csv.gz"), **options}, None)
    assert (str(found.path), found.form) == (path, form)


def test_where_files_cannot_go(tmp_path: Path) -> None:
    (tmp_path / "x.zip").mkdir()
    for options in ({"output": Path("x.zip"), "files": True}, {"output": tmp_path / "x.zip"}):
        with pytest.raises(Refused):
            output_of({**NOTHING, "file": Path("a.csv"), **options}, None)
    with pytest.raises(Refused, match="no folder"):
        output_of({**NOTHING, "file": Path("a.csv"), "output": tmp_path / "none" / "x"}, None)


JOB = """<uws:job xmlns:uws="http://www.ivoa.net/xml/UWS/v1.0" xmlns:xlink="http://www.w3.org/1999/xlink"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" version="1.1"><uws:jobId>1</uws:jobId>
<uws:ownerId xsi:nil="true"/><uws:phase>{phase}</uws:phase><uws:quote xsi:nil="true"/>
<uws:startTime>2026-01-01T00:00:00.000Z</uws:startTime><uws:endTime>2026-01-01T00:01:30.500Z</uws:endTime>
<uws:executionDuration>0</uws:executionDuration><uws:destruction>2026-01-08T00:00:00.000Z</uws:destruction>
<uws:parameters/><uws:results><uws:result id="archive" xlink:type="simple" xlink:href="http://x/archive"/>
</uws:results>{more}</uws:job>"""
ROWS = (
    '<uws:jobInfo><job:rows xmlns:job="urn:sodafountain:jobinfo:1.0" '
    'total="9" done="4" empty="2" failed="1" poison="1"/></uws:jobInfo>'
)


def test_a_job_is_read() -> None:
    state = read_job(JOB.format(phase="EXECUTING", more=ROWS).encode(), "http://x/async/1")
    assert (state.phase, state.is_over, state.seconds) == ("EXECUTING", False, pytest.approx(90.5))
    assert state.rows == Rows(9, 4, 2, 2)
    assert state.rows.ended == 8
    assert state.results == {"archive": "http://x/archive"}
    error = (
        '<uws:errorSummary type="fatal" hasDetail="false"><uws:message>No.</uws:message></uws:errorSummary>'
    )
    state = read_job(JOB.format(phase="ERROR", more=error).encode(), "http://x/async/1")
    assert (state.is_over, state.message, state.rows) == (True, "No.", Rows())


@pytest.mark.parametrize("document", [b"", b"<html/>", b"no", b"<a", b'{"a": 1}'])
def test_what_is_no_job(document: bytes) -> None:
    with pytest.raises(BatchFault, match="no job of UWS"):
        read_job(document, "http://x/async/1")


ESTIMATE: dict[str, Any] = {
    "rows": {"targets": 502, "total": 1004, "ok": 990, "warned": 10, "rejected": 4},
    "verdicts": {"covered": 990, "partial": 6, "outside": 4, "rejected": 4},
    "faults": [
        {"row": 17, "line": 18, "kind": "error", "reason": "dec is 95.2, beyond 90 [degrees]."},
        {"row": 20, "line": None, "kind": "warning", "reason": "The id is there twice."},
    ],
    "more_faults": 3,
    "images": 12,
    "cutouts": 996,
    "bytes": 261_000_000,
    "seconds": {"p50": 8.2, "p90": 75.0, "runs": 1412},
    "queue": {"position": 1, "start": "2026-01-01T00:00:30Z", "end": "2026-01-01T00:01:15Z", "workers": 2},
    "expiry": "2026-01-08T00:00:00.000Z",
    "refused": None,
}


def test_an_estimate_is_read_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    estimate = read_estimate(json.dumps(ESTIMATE).encode())
    assert estimate.faults[0] == RowFault(17, 18, "dec is 95.2, beyond 90 [degrees].", False)
    assert estimate.start_s == 30.0
    Screen().show_estimate(estimate)
    told = capsys.readouterr().out
    for said in (
        "targets     502",
        "990 ok, 10 with a warning, 4 rejected of 1,004",
        "990 covered, 6 at an edge, 4 no data there",
        "996 from 12 images, 261.0 MB",
        "8.2 s to 1 min 15 s, from 1,412 past runs",
        "in about 30 s, 1 job before it",
        "2026-01-08 00:00 UTC",
        "row 17 (line 18): dec is 95.2, beyond 90 [degrees].",
        "row 20: The id is there twice.",
        "and 3 more rows",
    ):
        assert said in told


def test_an_estimate_that_says_little(capsys: pytest.CaptureFixture[str]) -> None:
    refused = {"label": "UsageError", "sentence": "Too many rows.", "fix": "Send fewer."}
    told = {"rows": {"total": 5}, "seconds": None, "queue": None, "refused": refused, "nearest": {"rows": 3}}
    estimate = read_estimate(json.dumps(told).encode())
    assert estimate.refused == "Too many rows. Send fewer. Nearest: rows=3."
    Screen().show_estimate(estimate)
    assert "It would not be taken: Too many rows." in capsys.readouterr().out
    for wrong in (b"", b"[]", b"{}", b'{"rows": 1}'):
        with pytest.raises(BatchFault, match="estimate"):
            read_estimate(wrong)


def test_reasons_are_grouped() -> None:
    manifest = [
        {"row": "1", "status": "ok", "path": "a", "bytes": "100"},
        {"row": "2", "status": "failed", "error_message": "dec is 95.2, beyond 90."},
        {"row": "3", "status": "poison", "error_message": "It crashed."},
        {"row": "4", "status": "failed", "attempts": "0", "error_message": "dec is -91, beyond 90."},
        {"row": "5", "status": "no_overlap", "error_message": "Nothing there."},
    ]
    outcome = outcome_of(manifest)
    assert (outcome.failed, outcome.begun, outcome.files, outcome.size) == (3, 2, 1, 100)
    assert [(reason.sentence, reason.count, reason.rows) for reason in outcome.reasons] == [
        ("dec is 95.2, beyond 90.", 2, ["2", "4"]),
        ("It crashed.", 1, ["3"]),
    ]


def test_what_is_remembered(tmp_path: Path) -> None:
    remembered = Remembered(tmp_path / "x.zip")
    assert remembered.load() is None
    memory = Memory("digest", "http://x/async/1", '"etag"')
    remembered.save(memory)
    assert remembered.load() == memory
    remembered.path.write_text("[]")
    with pytest.raises(Refused, match="remove it"):
        remembered.load()
    remembered.forget()
    assert list(tmp_path.iterdir()) == []
    with remembered.alone(), pytest.raises(Refused, match="another run"), remembered.alone():
        pass


def test_another_table_is_another_request(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("a")
    first = digest_of("http://x", [("A", "1"), ("B", "2")], table)
    assert digest_of("http://x", [("B", "2"), ("A", "1")], table) == first
    table.write_text("b")
    assert digest_of("http://x", [("A", "1"), ("B", "2")], table) != first


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "no time"),
        (8.24, "8.2 s"),
        (59.6, "1 min"),
        (59.4, "59 s"),
        (75, "1 min 15 s"),
        (7260, "2 h 1 min"),
        (7200, "2 h"),
    ],
)
def test_times_for_people(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_amounts_for_people() -> None:
    assert [size_text(n) for n in (0, 999, 1000, 45_200_000)] == ["0 bytes", "999 bytes", "1.0 kB", "45.2 MB"]
    assert span_text(8.21, 8.23) == "8.2 s"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "FILE is missing"),
        (["{table}", "--band", "g"], 2, "--band goes with --survey"),
        (["{table}", "--id", "ivo://x?a", "--url", "ftp://x"], 2, "--url is the address"),
        (["{table}", "--id", "ivo://x?a", "--url", "http://127.0.0.1:9"], 4, "does not answer"),
        (["{table}", "--survey", "a", "--url", "http://127.0.0.1:9", "--estimate"], 4, "does not answer"),
        (["--attach", "x", "--retry", "y"], 2, "does not go with it"),
        (["none.csv"], 2, "does not exist"),
    ],
)
def test_exit_statuses(tmp_path: Path, arguments: list[str], status: int, said: str) -> None:
    (tmp_path / "t.csv").write_text("ra,dec\n1,2\n")
    command = [text.format(table=tmp_path / "t.csv") for text in arguments]
    ran = CliRunner().invoke(batch, [*command, "-o", str(tmp_path / "out.zip")])
    assert ran.exit_code == status, ran.output
    assert said in ran.output
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_help_tells_the_exit_statuses() -> None:
    told = CliRunner().invoke(batch, ["--help"]).output
    assert "130  interrupted" in told
