"""The page of a job: without scripts it tells and does everything but live progress."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from flask import Flask
from sqlalchemy import Engine

from config.database import make_engine
from config.jobs import result_store
from tests.support.accounts import somebody
from tests.support.service import make_service, settings_of
from tests.support.stored import finish, new_job, take
from uws.containers import ContainerWriter
from uws.job import Parameter, Row, RowReport, RowStatus, Settlement, Upload
from uws.jobtype import File, JobPlan
from uws.results import ResultStore
from uws.store.claims import Claims
from uws.store.jobs import Jobs

SCRIPT = "<script>alert(1)</script>"
TABLE = f"id,ra,dec,mag{SCRIPT}\n{SCRIPT},150,0,3\nb,150.001,0,20\nc,10,0,1\nd,0,99,\n"
WORDS = ("ok", "clipped", "no_overlap", "failed")
STATUSES = {"ok": RowStatus.DONE, "clipped": RowStatus.DONE, "no_overlap": RowStatus.EMPTY}
SENTENCE = f"UsageError: dec is -90 to 90 degrees; got {SCRIPT}."
NAMES = (SCRIPT, "b", "c", "d")
NAVIGATES = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin", "Accept": "text/html"}


@dataclass(frozen=True)
class Made:
    """A service in whose database jobs are done by hand."""

    app: Flask
    engine: Engine
    results: ResultStore
    folder: Path

    def job(self, words: tuple[str, ...] = WORDS, *, done: int | None = None, **changes: Any) -> str:
        """Make a list whose rows come to these words, as far as they are done."""
        jobs, claims = Jobs(self.engine), Claims(self.engine, "a worker", 30.0)
        job_id = token_hex(16)
        (self.folder / "list.csv").write_text(TABLE)
        stored, digest = self.results.keep_upload(job_id, self.folder / "list.csv")
        settings: dict[str, Any] = {
            "job_id": job_id,
            "type": "soda",
            "run_id": f"{SCRIPT} & list",
            "parameters": (
                Parameter("UPLOAD", "targets,param:t"),
                Parameter("ID", "ivo://example.org/fountain?tiny/g"),
                Parameter("OBJECT", SCRIPT),
                Parameter("T", "list.csv", by_reference=True),
            ),
            "uploads": (Upload("T", "list.csv", "text/csv", len(TABLE), digest, stored),),
        }
        rows = [[Row(n, f"r{n + 1}")] for n in range(len(words))]
        jobs.create(new_job(**{**settings, **changes}), JobPlan(rows, "high", 1.0, packaged=True))
        for _ in range(len(words) if done is None else done):
            claim = take(claims)
            writer = ContainerWriter(path := self.results.spool(claim))
            reports = [_report(writer, row, words[row.n]) for row in claim.rows]
            writer.seal()
            claims.settle(claim, Settlement(self.results.publish(claim, path, reports)), finish)
        return job_id

    def page(self, job_id: str, query: str = "", status: int = 200, **headers: str) -> str:
        shown = self.app.test_client().get(f"/jobs/{job_id}{query}", headers={**NAVIGATES, **headers})
        assert shown.status_code == status, shown.text
        assert shown.content_type.startswith("text/html")
        assert SCRIPT not in shown.text
        return shown.text


def _report(writer: ContainerWriter, row: Row, word: str) -> RowReport:
    facts = {
        "row": row.n + 1,
        "ra": 150 + row.n,
        "dec": 0.5,
        "survey": "tiny",
        "band": "g",
        "requested_w": 8,
        "requested_h": 8,
    }
    told: dict[str, Any] = {"label": NAMES[row.n % 4], "facts": facts, "seconds": 0.1, "verdict": word}
    status = STATUSES.get(word, RowStatus.FAILED)
    if status is not RowStatus.DONE:
        return RowReport(row.n, row.result_id, status, SENTENCE, **told)
    content = io.BytesIO()
    hdu = fits.PrimaryHDU(np.arange(64, dtype=np.float32).reshape(8, 8))
    hdu.header["OBJECT"] = SCRIPT
    hdu.writeto(content)
    name = f"{'<b>' if row.n else 'first'}.fits"
    file = File(row.result_id, name, "application/fits", [content.getvalue()])
    return RowReport(row.n, row.result_id, status, files=writer.add_all([file]), **told)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("job")
    settings = settings_of(folder)
    app = make_service(folder)
    engine = make_engine(settings.data.engine_url)
    yield Made(app, engine, result_store(settings), folder)
    engine.dispose()


@pytest.fixture(scope="module")
def done(made: Made) -> str:
    return made.job()


def text_of(page: str) -> str:
    """What people read."""
    shown = re.sub(r"<(script|style).*?</\1>", "", page.partition("<main")[2], flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", shown)))


def names_in(page: str) -> list[str]:
    return [unescape(name) for name in re.findall(r'class="caption" title="(.*?)"', page)]


def test_a_job_that_is_done_in_part(made: Made, done: str) -> None:
    page = made.page(done)
    text = text_of(page)
    assert '<h1 class="long">&lt;script&gt;alert(1)&lt;/script&gt; &amp; list</h1>' in page
    assert "4 of 4 rows" in text
    for told in ("made 2", "without data 1", "failed 1", "Retry 1 failed row"):
        assert told in text
    assert names_in(page) == list(NAMES)
    # Pictures are real ones.
    (first, *_) = re.findall(r'<img src="(/async/[^"]*thumbnail[^"]*)"', page)
    assert made.app.test_client().get(unescape(first)).data.startswith(b"\x89PNG")
    assert "dec is -90 to 90 degrees" in text
    assert f"/async/{done}/results/archive" in page
    assert "/explore?survey=tiny" not in page  # of a list, scripts lead there


def test_pages_bring_scripts_what_they_need_and_no_markup(made: Made, done: str) -> None:
    page = made.page(done)
    (block,) = re.findall(r'id="job">(.*?)</script>', page, re.DOTALL)
    told = json.loads(block)
    assert (told["phase"], told["statuses"]) == ("COMPLETED", dict.fromkeys(WORDS, 1))
    assert "style=" not in page
    assert "javascript:" not in page


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?sort=ra&desc=1", ["d", "c", "b", SCRIPT]),
        ("?sort=ra,desc", ["d", "c", "b", SCRIPT]),
        ("?sort=mag%3Cscript%3Ealert(1)%3C/script%3E", ["c", SCRIPT, "b", "d"]),
        ("?sort=sent:ra", ["d", "c", SCRIPT, "b"]),
        ("?status=failed&status=ok&text=", [SCRIPT, "d"]),
        ("?text=%3Cscript%3E", [SCRIPT, "c", "d"]),
        ("?offset=3", ["d"]),
        ("?offset=9", []),
        # What is not understood is said, and all rows are shown.
        ("?sort=%3Cscript%3Ealert(1)%3C/script%3E", list(NAMES)),
        ("?status=nix", list(NAMES)),
        ("?offset=-1", list(NAMES)),
    ],
)
def test_rows_are_sorted_and_chosen_by_a_form(made: Made, done: str, query: str, expected: list[str]) -> None:
    page = made.page(done, query)
    assert names_in(page) == expected
    is_wrong = "script" in query and "mag" not in query and "text" not in query
    assert ("SORT is a column" in text_of(page)) == is_wrong


def test_pages_lead_to_the_next_and_back(made: Made) -> None:
    job_id = made.job(("ok",) * 30)
    page = made.page(job_id)
    assert "1 to 24 of 30" in text_of(page)
    (following, *_) = re.findall(r'rel="next" href="([^"]*)"', page)
    page = made.page(job_id, unescape(following).partition("#")[0])
    assert len(names_in(page)) == 6
    assert 'rel="prev"' in page
    assert 'rel="next"' not in page


def test_what_is_done_of_a_job_that_runs_is_shown(made: Made) -> None:
    job_id = made.job(done=2)
    page = made.page(job_id)
    text = text_of(page)
    assert "2 of 4 rows" in text
    assert "waiting 2" in text
    assert names_in(page) == list(NAMES[:2])
    assert f'href="/async/{job_id}/results/r1" download' in page
    assert 'name="PHASE" value="ABORT"' in page
    assert "results/archive" not in page
    client = made.app.test_client()
    assert client.post(f"/async/{job_id}/phase", data={"PHASE": "ABORT"}).status_code == 303
    page = made.page(job_id)
    assert "Do what is missing" in text_of(page)
    assert names_in(page) == list(NAMES[:2])


def test_a_job_of_which_nothing_is_done(made: Made) -> None:
    job_id = made.job(done=0)
    text = text_of(made.page(job_id))
    assert "0 of 4 rows" in text
    assert "Nothing has come of it yet." in text
    made.app.test_client().post(f"/async/{job_id}/phase", data={"PHASE": "ABORT"})


def test_a_job_whose_every_row_failed(made: Made) -> None:
    page = made.page(made.job(("failed", "failed")))
    assert "every row failed" in text_of(page)
    assert 'role="alert"' in page


def test_the_only_cutout_is_shown_large(made: Made) -> None:
    page = made.page(made.job(("ok",)))
    assert 'class="card job-single"' in page
    assert "SIZE=1024" in page
    assert "/explore?survey=tiny" in page


def test_a_job_without_a_list(made: Made) -> None:
    answer = made.app.test_client().post(
        "/async", data={"ID": "ivo://example.org/fountain?tiny/g", "RUNID": "x"}
    )
    page = made.page(answer.headers["Location"].rpartition("/")[2])
    assert "It cannot be run as it is" in text_of(page)
    assert 'name="PHASE" value="RUN"' in page


def test_forms_lead_back_to_the_page(made: Made) -> None:
    job_id = made.job(("ok",))
    client = made.app.test_client()
    (later,) = set(re.findall(r'name="DESTRUCTION" value="([^"]*)"', made.page(job_id)))
    answer = client.post(f"/async/{job_id}/destruction", data={"DESTRUCTION": later}, headers=NAVIGATES)
    assert answer.status_code == 303
    again = client.get(answer.headers["Location"], headers=NAVIGATES)
    assert again.headers["Location"].endswith(f"/jobs/{job_id}")
    assert client.post(f"/async/{job_id}", data={"ACTION": "DELETE"}, headers=NAVIGATES).status_code == 303
    assert "no job" in text_of(made.page(job_id, status=404))


def test_others_look_and_change_nothing(made: Made) -> None:
    owner = somebody(made.app, "owner", groups=("team",))
    member = somebody(made.app, "member", groups=("team",))
    other = somebody(made.app, "other")
    job_id = made.job(owner=owner.name, shared_with=("team",))
    assert 'method="post" action="/async' in made.page(job_id, **owner.headers)
    page = made.page(job_id, **member.headers)
    assert 'method="post" action="/async' not in page
    assert names_in(page) == list(NAMES)
    assert "somebody else" in made.page(job_id, status=403, **other.headers)
    assert "Nobody owns" not in page
    assert "Nobody owns" in made.page(made.job())


def test_what_is_asked_for_is_told_without_a_token(made: Made, done: str) -> None:
    page = unescape(made.page(done))
    assert "curl -o list.csv" in page
    assert f"--form-string 'OBJECT={SCRIPT}'" in page
    assert "Bearer" not in page
