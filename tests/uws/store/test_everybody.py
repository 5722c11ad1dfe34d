"""Jobs of everybody, filtered and by pages."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from dali.errors import UsageError
from tests.support.stored import new_job, plan, run_job, set_job, take
from uws.job import JobError, Parameter
from uws.phase import Phase
from uws.store.claims import Claims
from uws.store.everybody import Everybody, JobLine, Wanted
from uws.store.jobs import Jobs


@pytest.fixture
def everybody(engine: Engine) -> Everybody:
    return Everybody(engine)


def ids(everybody: Everybody, **wanted: object) -> list[str]:
    page = everybody.page(Wanted(**wanted), 100)  # type: ignore[arg-type]
    return [job.job_id for job in page.jobs]


def test_pages_have_every_job_once_newest_first(engine: Engine, jobs: Jobs, everybody: Everybody) -> None:
    made = [run_job(jobs, owner=f"local:{number}") for number in range(7)]
    for number, job_id in enumerate(made):
        set_job(engine, job_id, created_ms=1_700_000_000_000 + number // 3)  # some at the same moment
    seen: list[JobLine] = []
    page = everybody.page(Wanted(), 2)
    sizes = [len(page.jobs)]
    seen += page.jobs
    while page.after:
        page = everybody.page(Wanted(), 2, page.after)
        sizes.append(len(page.jobs))
        seen += page.jobs
    assert sizes == [2, 2, 2, 1]
    assert sorted(job.job_id for job in seen) == sorted(made)
    assert [job.created_ms for job in seen] == sorted((job.created_ms for job in seen), reverse=True)
    assert everybody.page(Wanted(), 7).after == ""


@pytest.mark.parametrize("key", ["x", "1", "1-", "-a", "1-%", "99999999999999999-a", "١-a"])
def test_what_is_no_key_of_a_page_is_refused(everybody: Everybody, key: str) -> None:
    with pytest.raises(UsageError, match="there is no page after"):
        everybody.page(Wanted(), 2, key)


def test_each_filter_leaves_out_what_does_not_fit(engine: Engine, jobs: Jobs, everybody: Everybody) -> None:
    ada = jobs.create(
        new_job("ldap:Ada_L", run_id="Night 100%", parameters=(Parameter("CIRCLE", "10 20 é"),)), plan(1)
    ).job_id
    nobody = jobs.create(new_job("", type="other"), JobError("UsageError: no")).job_id
    hidden = jobs.create(new_job("ldap:bob", hidden=True), plan(1)).job_id
    set_job(engine, ada, created_ms=1_700_000_000_000)
    set_job(engine, nobody, created_ms=1_700_000_001_000)
    set_job(engine, hidden, created_ms=1_700_000_002_000)
    assert ids(everybody) == [nobody, ada]
    assert ids(everybody, hidden=True) == [hidden, nobody, ada]
    assert ids(everybody, owner="ada_l") == [ada]
    assert ids(everybody, owner="adaxl") == []  # _ stands for itself
    assert ids(everybody, owner="-") == [nobody]
    assert ids(everybody, phases=(Phase.ERROR,)) == [nobody]
    assert ids(everybody, phases=(Phase.ERROR, Phase.QUEUED)) == [nobody, ada]
    assert ids(everybody, job_type="other") == [nobody]
    assert ids(everybody, words="00%") == [ada]
    assert ids(everybody, words="20 é") == [ada]
    assert ids(everybody, words=nobody[:9].upper()) == [nobody]
    assert ids(everybody, since_ms=1_700_000_001_000) == [nobody]
    assert ids(everybody, until_ms=1_700_000_001_000) == [ada]
    jobs.destroy(ada)
    assert ids(everybody) == [nobody]


def test_a_line_tells_of_its_job(engine: Engine, jobs: Jobs, everybody: Everybody) -> None:
    failed = jobs.create(new_job("ldap:ada", actor="local:portal", rank=2), JobError("UsageError: no")).job_id
    (line,) = everybody.page(Wanted(), 1).jobs
    assert (line.job_id, line.owner, line.actor, line.rank) == (failed, "ldap:ada", "local:portal", 2)
    assert (line.phase, line.error) == (Phase.ERROR, "UsageError: no")
    running = run_job(jobs, rows=2)
    take(Claims(engine, "me", 30.0))
    assert everybody.phases() == {Phase.ERROR: 1, Phase.EXECUTING: 1}
    assert everybody.types() == ["toy"]
    assert [(task.state, task.rows, task.worker_id) for task in everybody.tasks(running)] == [
        ("running", 1, "me"),
        ("queued", 1, ""),
    ]
    assert [event.kind for event in everybody.events(running)][-1] == "phase"
    assert everybody.events("nothing") == []
