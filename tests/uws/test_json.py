"""Jobs as JSON, at the addresses of the documents, and who is led to a page instead."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flask import Flask, request
from sqlalchemy import update
from werkzeug.test import TestResponse

from config.proxies import public_url
from dali.caller import CALLER, Caller
from tests.uws.conftest import Client, House, id_of
from uws.job import NewJob
from uws.store.listing import Listing, Sought, Whose
from uws.tables import JobRow
from uws.views import make_blueprint

JSON = {"Accept": "application/json"}
TEAM = frozenset({"team", 'qu"ote'})


def listed(client: Client, query: str = "") -> dict[str, Any]:
    answer = client.get(query, headers=JSON)
    assert answer.status_code == 200, answer.text
    assert answer.content_type == "application/json"
    found: dict[str, Any] = answer.get_json()
    return found


def labels(found: dict[str, Any]) -> list[str]:
    return [job["label"] for job in found["jobs"]]


def refused(answer: TestResponse) -> str:
    assert answer.status_code == 400
    told: dict[str, Any] = answer.get_json()
    return str(told["faults"][0])


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/json", "application/json"),
        ("application/json, text/plain, */*", "application/json"),
        ("Application/JSON;q=0.5", "application/json"),
        ("application/json;q=0.5, application/xml", "application/xml"),
        ("application/json;q=0, */*", "application/xml"),
        ("*/*", "application/xml"),
        ("", "application/xml"),
        ("text/xml", "application/xml"),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "application/xml"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/xml"),
    ],
)
def test_json_is_for_those_who_name_it(house: House, accept: str, expected: str) -> None:
    ann = house.client("ann")
    for url in ("", ann.make(DO="ok")):
        assert ann.get(url, headers={"Accept": accept} if accept else {}).mimetype == expected


def test_the_list_tells_of_ones_own_jobs(each_house: House) -> None:
    ann = each_house.client("ann")
    ann.make(DO="ok", RUNID="first")
    url = ann.make(DO="ok", ROWS=2, RUNID="second", PHASE="RUN")
    each_house.client("bob").make(DO="ok", RUNID="other")
    each_house.client("").make(DO="ok", RUNID="nobody's")
    found = listed(ann)
    assert labels(found) == ["second", "first"]
    assert found["counts"] == {"PENDING": 1, "QUEUED": 1}
    assert found["next"] is None
    second = found["jobs"][0]
    assert second["url"] == url
    assert second["id"] == id_of(url)
    assert second["place"] == {"position": 1, "jobs": 1, "start": None, "end": None}
    assert (second["phase"], second["total"], second["mine"]) == ("QUEUED", 2, True)
    assert second["may"] == {"change": True, "results": True}
    assert "parameters" not in second
    assert labels(listed(each_house.client(""))) == []


def test_pages_follow_one_another_without_a_gap(each_house: House) -> None:
    ann = each_house.client("ann")
    for number in range(5):
        ann.make(DO="ok", RUNID=f"job {number}")
    first = listed(ann, "?LIMIT=2&PHASE=PENDING&TEXT=job&AFTER=2020-01-01")
    ann.make(DO="ok", RUNID="newer")
    second = listed(ann, first["next"])
    third = listed(ann, second["next"])
    assert [labels(page) for page in (first, second, third)] == [
        ["job 4", "job 3"],
        ["job 2", "job 1"],
        ["job 0"],
    ]
    assert third["next"] is None
    assert first["counts"] == {"PENDING": 5}
    assert labels(listed(ann, "?LAST=2")) == ["newer", "job 4"]
    assert listed(ann, "?LAST=2")["next"] is None


def test_words_are_looked_for_in_labels_names_and_parameters(each_house: House) -> None:
    ann = each_house.client("ann")
    url = ann.make(DO="ok", RUNID="Virgo 50%")
    ann.make(DO="empty", RUNID="<script>alert(1)</script>")
    assert labels(listed(ann, "?TEXT=virgo")) == ["Virgo 50%"]
    assert labels(listed(ann, "?TEXT=50%25")) == ["Virgo 50%"]
    assert labels(listed(ann, f"?TEXT={id_of(url)[:12].upper()}")) == ["Virgo 50%"]
    assert labels(listed(ann, "?TEXT=EMPTY")) == ["<script>alert(1)</script>"]
    assert labels(listed(ann, "?TEXT=_")) == []
    assert labels(listed(ann, "?PHASE=COMPLETED")) == []


def test_jobs_are_listed_by_name_to_whoever_may_see_them(each_house: House) -> None:
    mine = each_house.client("ann").make(DO="ok", RUNID="ann's")
    nobodys = each_house.client().make(DO="ok", RUNID="nobody's")
    query = f"?JOB={id_of(mine)}&JOB={id_of(nobodys)}&JOB=none"
    assert labels(listed(each_house.client(), query)) == ["nobody's"]
    assert labels(listed(each_house.client("ann"), query)) == ["nobody's", "ann's"]
    assert labels(listed(each_house.client("bob"), query)) == ["nobody's"]
    bobs = listed(each_house.client("bob"), query)["jobs"][0]
    assert (bobs["mine"], bobs["may"]["change"], bobs["owner"]) == (False, True, None)


def test_jobs_of_a_group_are_listed_to_its_members(each_house: House) -> None:
    listing = Listing(each_house.engine)
    for name, groups in (
        ("a", ("team",)),
        ("b", ("others", "team")),
        ("c", ("Team",)),
        ("d", ('x"team',)),
        ("e", ('qu"ote',)),
        ("f", ()),
    ):
        new = NewJob(name * 32, "toy", "ann", name, (), 0, 1000, shared_with=groups)
        each_house.jobs.create(new)
    shared = listing.page(Whose("bob", groups=TEAM), Sought(), 50)
    assert sorted(job.run_id for job in shared.jobs) == ["a", "b", "e"]
    assert listing.phases(Whose("bob", groups=TEAM)) == {"PENDING": 3}
    assert listing.page(Whose("ann", groups=TEAM), Sought(), 50).jobs == (), "what is one's own is not shared"


def test_a_job_says_what_its_document_says_and_more(each_house: House) -> None:
    ann = each_house.client("ann")
    url = ann.make(DO="ok,empty,fail", ROWS=3, RUNID="<b>", PHASE="RUN")
    each_house.work()
    found = listed(ann, url)
    assert (found["phase"], found["done"], found["empty"], found["failed"]) == ("COMPLETED", 1, 1, 1)
    assert found["label"] == "<b>"
    assert found["actual"]["rows"] == 3
    assert found["seq"] == each_house.job(id_of(url)).event_seq
    assert found["expectedEnd"] is None
    assert {one["name"] for one in found["parameters"]} == {"DO", "ROWS"}
    assert found["results"][0]["url"].startswith(f"{url}/results/")
    assert found["results"][0]["size"] is not None
    assert found["created"].endswith("Z")
    assert found["link"] is None


def test_errors_and_faults_are_told(house: House) -> None:
    ann = house.client("ann")
    url = ann.make(ROWS="many")
    fault = listed(ann, url)["fault"]
    assert fault["message"].startswith("UsageError: ROWS")
    ann.post(f"{url}/phase", PHASE="RUN")
    found = listed(ann, url)
    assert (found["phase"], found["error"]) == ("ERROR", fault)


def test_an_end_is_expected_by_how_fast_a_job_is(house: House) -> None:
    ann = house.client("ann")
    url = ann.make(ROWS=4, PHASE="RUN")
    with house.engine.execution_options(writes=True).begin() as connection:
        now = house.jobs.now_ms()
        values = {"phase": "EXECUTING", "started_ms": now - 10_000, "done": 1}
        connection.execute(update(JobRow).where(JobRow.job_id == id_of(url)).values(**values))
    found = listed(ann, url)
    assert found["expectedEnd"] > found["started"]
    assert 0 < found["rate"] <= 0.1


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("LIMIT=0", "LIMIT is a whole number from 1 to 500"),
        ("LIMIT=501", "LIMIT is a whole number from 1 to 500"),
        ("LIMIT=x", 'got \\"x\\"'),
        ("LIMIT=1&LIMIT=2", "LIMIT is taken once"),
        ("PAGE=x", "there is no page after"),
        ("PAGE=%D9%A3-a", "there is no page after"),
        ("PAGE=1-%C2%B2", "there is no page after"),
        ("SHARED=maybe", "SHARED is true or false"),
        ("TEXT=%00", "TEXT has characters"),
        ("JOB=%27", "JOB is the id of a job"),
        ("JOB=" + "&JOB=".join(map(str, range(101))), "100 are taken"),
        ("PHASE=FOO", "PHASE is one of"),
        ("PHASE=RUN", "GET changes nothing"),
        ("LIMT=2", "Did you mean LIMIT?"),
    ],
)
def test_what_is_wrong_with_a_list_is_told_as_json(house: House, query: str, says: str) -> None:
    assert says.replace('\\"', '"') in refused(house.client("ann").get(f"?{query}", headers=JSON))


def test_the_list_in_xml_says_who_takes_these_filters(client: Client) -> None:
    assert "send Accept: application/json" in client.get("?TEXT=x").text


def test_who_may_not_see_a_job_is_told_nothing_of_it(house: House) -> None:
    url = house.client("ann").make(DO="ok", RUNID="secret")
    answer = house.client("bob").get(url, headers=JSON)
    assert answer.status_code == 403
    assert "secret" not in answer.text


VISIT = {"Sec-Fetch-Mode": "navigate", "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def paged(house: House) -> Client:
    """Somebody who uses a service with pages."""
    app = Flask("paged", static_folder=None)
    app.register_blueprint(
        make_blueprint(
            house.service,
            "toy",
            lambda: public_url(request, ""),
            lambda: request.environ.get(CALLER, Caller()),
            results=house.results,
            settings=house.settings,
            pages="/jobs",
        )
    )
    return replace(house.client(), http=app.test_client())


def test_a_browser_is_led_to_the_page(paged: Client, house: House) -> None:
    url = paged.make(DO="ok")
    for path, page in (("", "/jobs"), (url, f"/jobs/{id_of(url)}"), ("/none", "/jobs/none")):
        answer = paged.get(path, headers=VISIT)
        assert (answer.status_code, answer.headers["Location"]) == (303, f"http://localhost{page}")
    for path in ("", url):
        assert paged.get(path, headers={"Accept": VISIT["Accept"]}).mimetype == "application/xml"
        assert house.client().get(path, headers=VISIT).mimetype == "application/xml", "there is no page here"


def test_what_stands_in_a_url_makes_no_header(paged: Client) -> None:
    answer = paged.get("/x%0d%0aSet-Cookie:%20a=b", headers=VISIT)
    assert answer.headers["Location"] == "http://localhost/jobs/x%0D%0ASet-Cookie%3A%20a%3Db"


# Links


def link_of(client: Client, url: str, **form: Any) -> str:
    """Key of a link that is made now."""
    answer = client.http.post(url, data={"ACTION": "LINK", **form}, headers={**client.headers, **JSON})
    assert answer.status_code == 200, answer.text
    found = answer.get_json()
    assert found["until"] > "2026"
    return str(found["url"]).partition("?LINK=")[2]


def test_whoever_has_the_link_sees_the_job(each_house: House) -> None:
    ann, nobody = each_house.client("ann"), each_house.client()
    url, other = ann.make(DO="ok", PHASE="RUN"), ann.make(DO="ok")
    each_house.work()
    assert nobody.get(url).status_code == 401
    key = link_of(ann, url)
    assert key not in str(each_house.job(id_of(url)))
    for path in ("", "/phase", "/parameters", "/results", "/parameters/DO", "/events", "/results/result"):
        assert nobody.get(f"{url}{path}?LINK={key}").status_code == 200, path
        assert each_house.client("bob").get(f"{url}{path}?link={key}").status_code == 200, path
        assert nobody.get(f"{other}{path}?LINK={key}").status_code == 403, path
    found = listed(nobody, f"{url}?LINK={key}")
    assert (found["mine"], found["may"]["change"], found["link"]) == (False, False, None)
    assert listed(ann, url)["link"] is not None
    assert len(listed(nobody, f"?JOB={id_of(url)}&JOB={id_of(other)}&LINK={key}")["jobs"]) == 1
    for answer in (
        nobody.post(f"{url}?LINK={key}", ACTION="DELETE"),
        nobody.post(f"{url}/phase", PHASE="ABORT", LINK=key),
        nobody.send("DELETE", f"{url}?LINK={key}"),
    ):
        assert answer.status_code in (401, 403)
    news = nobody.get(f"http://localhost/events?JOB={id_of(url)}&LINK={key}").get_json()
    assert [job["id"] for job in news["jobs"]] == [id_of(url)]


def test_a_link_ends_and_is_taken_back(each_house: House) -> None:
    ann, nobody = each_house.client("ann"), each_house.client()
    url = ann.make(DO="ok")
    first, second = link_of(ann, url), link_of(ann, url, DAYS=1)
    assert "this link to a job is not whole, has ended" in nobody.get(f"{url}?LINK={first}").text
    assert nobody.get(f"{url}?LINK={second}").status_code == 200
    with each_house.engine.execution_options(writes=True).begin() as connection:
        connection.execute(update(JobRow).values(link_until_ms=JobRow.link_until_ms - 86_400_000))
    assert nobody.get(f"{url}?LINK={second}").status_code == 403
    third = link_of(ann, url)
    assert ann.post(url, ACTION="UNLINK").status_code == 303
    assert nobody.get(f"{url}?LINK={third}").status_code == 403
    assert listed(ann, url)["link"] is None
    for wrong in (third[:-1], f"{third}x", "", "%00", "x" * 5000, f"{third}&LINK={third}"):
        assert nobody.get(f"{url}?LINK={wrong}").status_code in (401, 403)
    assert ann.get(f"{url}?LINK=wrong").status_code == 200, "it is ann's anyway"


@pytest.mark.parametrize("days", ["0", "367", "x", "1.5", "-1", "9" * 30])
def test_links_last_for_days(house: House, days: str) -> None:
    ann = house.client("ann")
    answer = ann.post(ann.make(DO="ok"), ACTION="LINK", DAYS=days)
    assert answer.status_code == 400
    assert "DAYS is a whole number from 1 to 366" in answer.text


def test_only_its_owner_makes_a_link(house: House) -> None:
    url = house.client("ann").make(DO="ok")
    for who in ("bob", "admin", ""):
        for action in ("LINK", "UNLINK"):
            assert house.client(who).post(url, ACTION=action).status_code in (401, 403)


def test_a_form_leads_to_the_link(paged: Client) -> None:
    url = paged.make(DO="ok")
    there = paged.post(url, ACTION="LINK").headers["Location"]
    assert there.startswith(f"http://localhost/jobs/{id_of(url)}?LINK=")
    key = there.partition("?LINK=")[2]
    answer = paged.get(f"{url}?LINK={key}", headers=VISIT)
    assert answer.headers["Location"] == there
