"""The page about jobs: as somebody sees it without scripts, and what its forms do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config.app import JOBS
from dali.caller import Caller
from dali.parameters import Parameters
from tests.portal.conftest import browser_of
from tests.support.accounts import Somebody, sign_in, somebody
from tests.support.redis import own_redis
from tests.support.service import did
from tests.support.soda_jobs import jobbing
from uws.phase import Phase
from uws.service import JobService

CUTOUT = [("ID", did("tiny/g")), ("CIRCLE", "150 0 0.005")]
LABEL = "<script>alert(1)</script>"


class Jobs:
    """A service without a worker: jobs stay as they are made."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.service: JobService = app.extensions[JOBS]
        self.ann = somebody(app, "ann", groups=("lenses", "stars"))
        self.ben = somebody(app, "ben", groups=("lenses",))

    def make(self, who: Somebody | None, label: str = "", *, run: bool = False, share: str = "") -> str:
        name, groups = (who.name, frozenset(("lenses", "stars"))) if who else ("", frozenset[str]())
        return self.service.submissions.create(
            "soda",
            Parameters.from_pairs(CUTOUT),
            Caller(name, groups=groups),
            run=run,
            run_id=label,
            shared_with=(share,) if share else (),
        ).job_id

    def phase(self, job_id: str) -> Phase:
        return self.service.find(job_id, Caller(is_admin=True), action="see").phase

    def browser(self, who: Somebody | None = None) -> FlaskClient:
        browser = browser_of(self.app)
        if who is not None:
            sign_in(browser, self.app, who.name)
        return browser


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    folder = tmp_path_factory.mktemp("jobs") / "service"
    with own_redis() as redis, jobbing(folder, redis.url, worker=False) as service:
        service.app.config["PREFERRED_URL_SCHEME"] = "https"
        yield Jobs(service.app)


@pytest.fixture
def mine(jobs: Jobs) -> Iterator[list[str]]:
    """Jobs of ann: one that waits, one that does not, each with a label."""
    made = [jobs.make(jobs.ann, LABEL), jobs.make(jobs.ann, "stars of 2026", run=True, share="lenses")]
    yield made
    for job_id in made:
        jobs.browser(jobs.ann).post("/jobs", data={"act": "delete", "sure": "true", "of": job_id})


def listed(answer: TestResponse) -> list[str]:
    return re.findall(r'data-id="(\w+)"', answer.text)


def test_it_lists_the_jobs_of_the_caller_alone(jobs: Jobs, mine: list[str]) -> None:
    page = jobs.browser(jobs.ann).get("/jobs")
    assert listed(page) == mine[::-1]
    assert page.headers["Cache-Control"] == "no-store"
    assert listed(jobs.browser(jobs.ben).get("/jobs")) == []
    assert listed(jobs.browser().get("/jobs")) == []


def test_jobs_are_named_as_a_browser_knows_them(jobs: Jobs, mine: list[str]) -> None:
    of_nobody = jobs.make(None)
    named = f"/jobs?job={of_nobody}&job={mine[0]}&job=none"
    assert listed(jobs.browser(jobs.ann).get(named)) == [of_nobody, mine[0]]
    assert listed(jobs.browser(jobs.ben).get(named)) == [of_nobody]


def test_labels_stay_text(jobs: Jobs, mine: list[str]) -> None:
    page = jobs.browser(jobs.ann).get("/jobs?text=%3Cscript%3E").text
    assert LABEL not in page
    assert LABEL in unescape(page)


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ("phase=QUEUED", [1]),
        ("phase=PENDING&phase=QUEUED", [1, 0]),
        ("text=2026", [1]),
        ("after=2020-01-01", [1, 0]),
        ("after=2999-01-01", []),
        ("text=&after=", [1, 0]),
    ],
)
def test_filters(jobs: Jobs, mine: list[str], query: str, places: list[int]) -> None:
    page = jobs.browser(jobs.ann).get(f"/jobs?{query}")
    assert page.status_code == 200
    assert listed(page) == [mine[place] for place in places]


@pytest.mark.parametrize(
    "query", ["phase=none", "after=yesterday", "page=x", "shared=perhaps", "wort=1", "text=%00", "page=%ff"]
)
def test_what_cannot_be_asked_for_is_said_on_the_page(jobs: Jobs, mine: list[str], query: str) -> None:
    page = jobs.browser(jobs.ann).get(f"/jobs?{query}")
    assert page.status_code == 400
    assert 'role="alert"' in page.text
    assert listed(page) == mine[::-1]


def test_others_see_what_is_shared_and_cannot_choose_it(jobs: Jobs, mine: list[str]) -> None:
    page = jobs.browser(jobs.ben).get("/jobs?shared=true")
    assert listed(page) == [mine[1]]
    assert "local:ann" in page.text
    assert re.search(r'<input type="checkbox" name="of"[^>]* disabled>', page.text)


def test_jobs_are_aborted_and_the_filters_stay(jobs: Jobs, mine: list[str]) -> None:
    browser = jobs.browser(jobs.ann)
    answer = browser.post("/jobs?text=2026", data={"act": "abort", "of": mine})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/jobs?text=2026&done=abort&n=2")
    assert {jobs.phase(job_id) for job_id in mine} == {Phase.ABORTED}
    page = browser.get(answer.headers["Location"])
    assert "2 jobs were aborted" in page.text
    assert listed(page) == [mine[1]]


def test_before_jobs_are_deleted_their_owner_is_asked(jobs: Jobs, mine: list[str]) -> None:
    browser = jobs.browser(jobs.ann)
    asked = browser.post("/jobs", data={"act": "delete", "of": mine[0]})
    assert asked.status_code == 200
    assert LABEL in unescape(asked.text)
    assert LABEL not in asked.text
    assert jobs.phase(mine[0]) is Phase.PENDING
    assert browser.post("/jobs", data={"act": "delete", "of": mine[0], "sure": "true"}).status_code == 303
    assert listed(browser.get("/jobs")) == [mine[1]]


def test_what_is_missing_is_retried_by_new_jobs(jobs: Jobs, mine: list[str]) -> None:
    browser = jobs.browser(jobs.ann)
    browser.post("/jobs", data={"act": "abort", "of": mine[1]})
    answer = browser.post(
        "/jobs", data={"act": "retry", "of": mine[1]}, headers={"Accept": "application/json"}
    )
    (made,) = answer.get_json()["made"]
    assert answer.get_json()["done"] == [mine[1]]
    assert made in listed(browser.get("/jobs"))
    browser.post("/jobs", data={"act": "delete", "sure": "true", "of": made})


def test_jobs_are_kept_longer_as_far_as_that_goes(jobs: Jobs, mine: list[str]) -> None:
    browser = jobs.browser(jobs.ann)
    first = browser.post("/jobs", data={"act": "extend", "of": mine[0]})
    assert first.headers["Location"] == "/jobs?done=extend&n=1"
    browser.post("/jobs", data={"act": "extend", "of": mine[0], "days": "365"})
    last = browser.post("/jobs", data={"act": "extend", "of": mine[0], "days": "365"})
    assert last.status_code == 403
    assert "as long as jobs are" in last.text


def test_jobs_are_shared_with_one_more_group_or_with_none(jobs: Jobs, mine: list[str]) -> None:
    browser, seen = jobs.browser(jobs.ann), jobs.browser(jobs.ben)
    browser.post("/jobs", data={"act": "share", "of": mine, "group": "lenses"})
    assert listed(seen.get("/jobs?shared=true")) == mine[::-1]
    browser.post("/jobs", data={"act": "share", "of": mine, "group": "stars"})
    assert listed(seen.get("/jobs?shared=true")) == mine[::-1]
    browser.post("/jobs", data={"act": "share", "of": mine, "group": ""})
    assert listed(seen.get("/jobs?shared=true")) == []
    refused = browser.post("/jobs", data={"act": "share", "of": mine[0], "group": "nobody"})
    assert refused.status_code == 403


def test_a_link_is_shown_once_and_is_taken_back(jobs: Jobs, mine: list[str]) -> None:
    browser, stranger = jobs.browser(jobs.ann), jobs.app.test_client()
    made = browser.post("/jobs", data={"act": "link", "of": mine})
    links = re.findall(r"(/jobs/\w+\?LINK=[\w-]+)<", made.text)
    assert sorted(link[6:38] for link in links) == sorted(mine)
    path = links[0].replace("/jobs/", "/async/")
    assert stranger.get(path).status_code == 200
    page = browser.get("/jobs").text
    assert "LINK=" not in page
    assert page.count("link until") == 2
    browser.post("/jobs", data={"act": "unlink", "of": mine})
    assert stranger.get(path).status_code == 403


def test_jobs_of_others_are_not_touched(jobs: Jobs, mine: list[str]) -> None:
    for data in (
        {"act": "abort", "of": mine},
        {"act": "delete", "of": mine, "sure": "true"},
        {"act": "extend", "of": mine},
        {"act": "share", "of": mine, "group": "lenses"},
        {"act": "link", "of": mine},
        {"act": "unlink", "of": mine},
    ):
        answer = jobs.browser(jobs.ben).post("/jobs", data=data)
        assert answer.status_code == 403, data
        for job_id in mine:
            assert job_id[:8] in answer.text
    assert jobs.browser(jobs.ben).post("/jobs", data={"act": "delete", "of": mine[0]}).status_code == 404
    assert jobs.phase(mine[0]) is Phase.PENDING


def test_some_may_be_refused_and_are_named(jobs: Jobs, mine: list[str]) -> None:
    browser = jobs.browser(jobs.ann)
    browser.post("/jobs", data={"act": "abort", "of": mine[0]})
    answer = browser.post("/jobs", data={"act": "abort", "of": mine})
    assert answer.status_code == 200
    assert "It was done to 1 job, and not to these:" in answer.text
    assert jobs.phase(mine[1]) is Phase.ABORTED


def test_a_form_of_another_site_does_nothing(jobs: Jobs, mine: list[str]) -> None:
    answer = jobs.browser(jobs.ann).post(
        "/jobs", data={"act": "abort", "of": mine}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert answer.status_code == 403
    assert jobs.phase(mine[0]) is Phase.PENDING


def test_the_job_of_nobody_is_changed_by_whoever_knows_it(jobs: Jobs) -> None:
    job_id = jobs.make(None)
    answer = jobs.browser().post("/jobs", data={"act": "abort", "of": job_id})
    assert answer.status_code == 303
    assert jobs.phase(job_id) is Phase.ABORTED


@pytest.mark.parametrize(
    "data",
    [{}, {"act": "abort"}, {"of": "x"}, {"act": "burn", "of": "x"}, {"act": ["abort", "share"], "of": "x"},
     {"act": "extend", "of": "x", "days": ["1", "2"]}, {"act": "abort", "of": [str(n) for n in range(300)]}],
)  # fmt: skip
def test_forms_that_say_nothing_are_refused(jobs: Jobs, data: dict[str, str]) -> None:
    answer = jobs.browser(jobs.ann).post("/jobs", data=data)
    assert answer.status_code in (400, 404)
    assert "Traceback" not in answer.text


def test_the_menu_tells_how_many_jobs_run(jobs: Jobs, mine: list[str]) -> None:
    assert re.search(r'href="/jobs"[^>]*>Jobs<span class="nav-number" hidden>0<', _jobs_of(jobs))
    claimed = jobs.app.extensions[JOBS].listing
    assert claimed.running(jobs.ann.name) == 0


def _jobs_of(jobs: Jobs) -> str:
    return jobs.browser(jobs.ann).get("/jobs").text
