"""Links to jobs, where nobody else is let in, and where data are not open to everybody."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from config.app import JOBS
from dali.caller import Caller
from dali.parameters import Parameters
from tests.support.accounts import Somebody, somebody
from tests.support.service import did, make_service

JSON = {"Accept": "application/json"}


@pytest.fixture(scope="module", params=["open", "closed"])
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """A service, which may be for those alone whom it knows."""
    anonymous = "true" if request.param == "open" else "false"
    folder: Path = tmp_path_factory.mktemp("links") / "service"
    return make_service(folder, {"FOUNTAIN_ACCOUNTS__ANONYMOUS": anonymous})


def job_of(app: Flask, owner: Somebody, dataset: str) -> tuple[str, str]:
    """Path of a job of this data, and the key of a link to it."""
    parameters = Parameters.from_pairs([("ID", did(dataset)), ("CIRCLE", "150 0 0.005")])
    caller = Caller(owner.name, groups=frozenset(("members",)))
    job = app.extensions[JOBS].submissions.create("soda", parameters, caller, run=True)
    path = f"/async/{job.job_id}"
    made = app.test_client().post(path, data={"ACTION": "LINK"}, headers=owner.headers | JSON)
    url: str = made.get_json()["url"]
    assert url.startswith(f"http://localhost/jobs/{job.job_id}?LINK=")
    return path, url.partition("=")[2]


def test_a_link_lets_look_at_its_job_and_at_nothing_else(app: Flask) -> None:
    client, owner = app.test_client(), somebody(app, "owner", groups=("members",))
    path, key = job_of(app, owner, "tiny/g/a")
    other, _ = job_of(app, owner, "tiny/g/a")
    link = {"LINK": key}
    for below in ("", "/phase", "/parameters", "/events", "/results"):
        assert client.get(path + below, query_string=link).status_code == 200, below
        assert client.get(other + below, query_string=link).status_code == 403, below
        assert client.get(path + below, query_string={"LINK": "x"}).status_code == 403, below
        assert client.get(path + below).status_code == 401, below
    job_id = path.rpartition("/")[2]
    page = client.get(f"/jobs/{job_id}", query_string=link)
    assert page.status_code == 200
    assert "You see this job by a link" in page.text
    assert "ACTION" not in page.text
    assert client.get(f"/jobs/{job_id}", query_string={"LINK": "x"}).status_code == 403
    assert client.get("/events", query_string=link | {"JOB": job_id}).status_code == 200
    assert client.get("/events", query_string=link).status_code == 400
    assert client.post(path, query_string=link, data={"ACTION": "DELETE"}).status_code == 401
    nobodys = app.extensions[JOBS].submissions.create("soda", Parameters({}), Caller())
    is_closed = client.get("/query").status_code == 401
    found = client.get(f"/async/{nobodys.job_id}", query_string={"LINK": "x"})
    assert found.status_code == (403 if is_closed else 200), "such a job is for whoever knows its URL"


def test_results_are_for_those_to_whom_the_data_are_open(app: Flask) -> None:
    client, owner = app.test_client(), somebody(app, "owner", groups=("members",))
    is_closed = client.get("/query").status_code == 401
    for dataset, is_public in (("tiny/g/a", True), ("secret/g/a", False)):
        path, key = job_of(app, owner, dataset)
        shown = client.get(path, query_string={"LINK": key}, headers=JSON).get_json()
        is_open = is_public and not is_closed
        assert shown["may"] == {"change": False, "results": is_open}
        # Nothing is made of it here, so there is no result.
        result = client.get(f"{path}/results/result", query_string={"LINK": key})
        assert result.status_code == (404 if is_open else 401)
