"""Jobs in the hands of clients, workers and time, on both databases."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import func, select, update
from werkzeug.wrappers import Request

from dali.caller import ANONYMOUS, Caller
from dali.errors import (
    AuthorizationError,
    MultiValuedParamNotSupported,
    NotFound,
    ServiceUnavailable,
    UsageError,
)
from dali.parameters import Parameters
from dali.views import watch_client
from tests.support.toy import toy_types
from tests.uws.conftest import Client, House, id_of
from uws.job import Job, NewJob, Row
from uws.jobtype import JobPlan, JobRefused
from uws.params import Filter
from uws.phase import ALLOWED, TERMINAL, Phase, may_become
from uws.tables import JobRow, TaskRow
from uws.verdict import finish_with

ANN = Caller("ann")
BOB = Caller("bob")
ADMIN = Caller("admin", is_admin=True)
PATIENCE_S = 30.0
LONG_S = 50


def asked(**values: object) -> Parameters:
    return Parameters({name: (str(value),) for name, value in values.items()})


def made(house: House, *, run: bool = False, caller: Caller = ANONYMOUS, **values: object) -> Job:
    return house.service.submissions.create("toy", asked(**values), caller, run=run)


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def count_tasks(house: House, job: Job) -> int:
    with house.engine.connect() as connection:
        return connection.execute(select(func.count()).where(TaskRow.job_id == job.job_id)).scalar_one()


def move(house: House, job: Job, **changes: Any) -> None:
    """Have something lie in the past."""
    with house.engine.execution_options(writes=True).begin() as connection:
        connection.execute(update(JobRow).where(JobRow.job_id == job.job_id).values(**changes))


# Making and finding


def test_uws_20_49_a_job_is_found_by_its_owner(each_house: House) -> None:
    service, job = each_house.service, made(each_house, caller=ANN, ROWS=2)
    assert service.find(job.job_id, ANN) == service.find(job.job_id, ADMIN, "toy", "see") == job
    with pytest.raises(AuthorizationError, match="its owner may change it") as caught:
        service.find(job.job_id, ADMIN)
    assert caught.value.fix == "Administrators do so by administration, which keeps why."
    with pytest.raises(AuthorizationError):
        service.find(job.job_id, BOB)
    with pytest.raises(AuthorizationError):
        service.find(job.job_id, ANONYMOUS)
    for job_id, kind in ((job.job_id, "other"), ("f" * 32, None), ("\0", None), ("", None), ("²", None)):
        with pytest.raises(NotFound):
            service.find(job_id, ANN, kind)


def test_a_job_is_shared_with_groups(each_house: House) -> None:
    service = each_house.service
    ann, bob = (replace(who, groups=frozenset({"team"})) for who in (ANN, BOB))
    job = service.submissions.create("toy", asked(ROWS=1), ann, shared_with=("team",))
    assert service.find(job.job_id, bob, action="see") == job
    assert job.shared_with == ("team",)
    with pytest.raises(AuthorizationError, match="yours to look at, its owner may change it"):
        service.find(job.job_id, bob)
    with pytest.raises(AuthorizationError, match="belongs to somebody else"):
        service.find(job.job_id, BOB, action="see")
    with pytest.raises(AuthorizationError, match='you are not in "others"'):
        service.share(job, ("team", "others"), ann)
    service.share(job, (), ann)
    with pytest.raises(AuthorizationError):
        service.find(job.job_id, bob, action="see")
    service.share(job, ("others",), ADMIN)
    assert each_house.job(job.job_id).shared_with == ("others",)
    service.destroy(job)
    with pytest.raises(NotFound):
        service.share(job, (), ann)


def test_a_job_keeps_of_what_it_is_made(each_house: House) -> None:
    """Of data that nobody here knows, so that nobody but administrators may have it."""
    plan = JobPlan([[Row(0, "result")]], "high", 1.0, sources=("sky/g/a", "sky#0123#"))
    new = NewJob("f" * 32, "toy", ANN.name, "", (), 0, 1000)
    job = each_house.jobs.create(new, plan)
    assert job.sources == each_house.job(job.job_id).sources == plan.sources
    with pytest.raises(AuthorizationError, match="not open to you now"):
        each_house.service.require_results(job, ANN)
    each_house.service.require_results(job, ADMIN)


def test_uws_04_lists(each_house: House) -> None:
    job = made(each_house, caller=ANN)
    made(each_house)
    assert [ref.job_id for ref in each_house.service.refs(ANN, Filter(), "toy")] == [job.job_id]
    assert each_house.service.refs(ANN, Filter(), "other") == []
    assert each_house.service.refs(ANONYMOUS, Filter()) == []


def test_uws_23_refused_jobs_are_not_stored(each_house: House) -> None:
    with pytest.raises(JobRefused):
        made(each_house, caller=ANN, run=True, ROWS=100_001)
    assert each_house.jobs.refs(None) == []


def test_uws_24_faults_are_those_of_the_job_type(each_house: House) -> None:
    job = made(each_house, ROWS="many")
    assert (job.phase, job.seconds, job.quote_ms) == (Phase.PENDING, None, None)
    assert job.fault is not None
    assert job.fault.message.startswith("UsageError: ROWS is")
    each_house.service.submissions.start(job, ANONYMOUS)
    ended = each_house.job(job.job_id)
    assert (ended.phase, ended.error, ended.started_ms) == (Phase.ERROR, job.fault, None)
    assert count_tasks(each_house, job) == 0
    several = each_house.service.submissions.create("toy", Parameters({"ROWS": ("1", "2")}), ANN)
    assert several.fault is not None
    assert several.fault.message.startswith(f"{MultiValuedParamNotSupported.label}: ROWS")


def test_values_no_text_should_have_are_kept(each_house: House) -> None:
    job = made(each_house, DO="a\0b\x01\ufffe")
    assert each_house.job(job.job_id).parameters[0].value == "a\0b\x01\ufffe"


def test_no_room_for_results_no_further_jobs(house: House) -> None:
    job = made(house, caller=ANN)
    full = House(
        house.engine, house.folder, house.redis_url, replace(house.settings, results_reserve_bytes=1 << 60)
    )
    with pytest.raises(ServiceUnavailable) as refused:
        made(full, caller=ANN)
    assert refused.value.retry_after_s > 0
    with pytest.raises(ServiceUnavailable):
        full.service.submissions.start(job, ANN)
    with pytest.raises(ServiceUnavailable):
        full.service.submissions.run_hidden("toy", asked(), ANN, 1)
    assert [ref.phase for ref in house.jobs.refs(None)] == [Phase.PENDING]
    full.close()
    answer = full.client().post()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")


# Phases


def test_uws_61_transitions_are_those_of_the_standard() -> None:
    assert {(before, after) for before in Phase for after in Phase if may_become(before, after)} == {
        (Phase.PENDING, Phase.QUEUED),
        (Phase.PENDING, Phase.ABORTED),
        (Phase.PENDING, Phase.ERROR),
        (Phase.QUEUED, Phase.EXECUTING),
        (Phase.QUEUED, Phase.ABORTED),
        (Phase.QUEUED, Phase.ERROR),
        (Phase.EXECUTING, Phase.COMPLETED),
        (Phase.EXECUTING, Phase.ABORTED),
        (Phase.EXECUTING, Phase.ERROR),
    }
    assert not TERMINAL & set(ALLOWED)


def test_uws_60_61_67_69_phases_and_times_of_a_job(each_house: House) -> None:
    job = made(each_house, ROWS=2, PER_TASK=1)
    assert (job.phase, job.started_ms, job.ended_ms) == (Phase.PENDING, None, None)
    each_house.service.submissions.start(job, ANONYMOUS)
    seen = [each_house.job(job.job_id)]
    first = each_house.claim()
    seen.append(each_house.job(job.job_id))
    each_house.finish(first)
    seen.append(each_house.job(job.job_id))
    each_house.work()
    seen.append(each_house.job(job.job_id))
    assert [job.phase for job in seen] == ["QUEUED", "EXECUTING", "EXECUTING", "COMPLETED"]
    assert [job.started_ms is None for job in seen] == [True, False, False, False]
    assert [job.ended_ms is None for job in seen] == [True, True, True, False]
    last = seen[-1]
    assert last.created_ms <= (last.started_ms or 0) <= (last.ended_ms or 0)


def test_uws_65_terminal_phases_never_go_back(each_house: House) -> None:
    service = each_house.service
    aborted, failed, completed = made(each_house), made(each_house, ROWS="x"), made(each_house, run=True)
    service.abort(aborted)
    service.submissions.start(failed, ANONYMOUS)
    each_house.work()
    for job, phase in ((aborted, "ABORTED"), (failed, "ERROR"), (completed, "COMPLETED")):
        before = each_house.job(job.job_id)
        assert before.phase == phase
        for act in (
            lambda job: service.submissions.start(job, ANONYMOUS),
            lambda job: service.abort(job),
            lambda job: service.set_duration(job, 5),
            lambda job: service.submissions.change_parameters(job, asked(ROWS=2), ANONYMOUS),
        ):
            with pytest.raises(UsageError, match=phase) as refused:
                act(before)
            assert refused.value.status == 403
        assert each_house.job(job.job_id) == before


def test_uws_68_a_job_that_runs_too_long_is_aborted(each_house: House) -> None:
    job = made(each_house, ROWS=2, PER_TASK=1, run=True)
    each_house.service.set_duration(job, 5)
    each_house.finish(each_house.claim())
    assert each_house.upkeep.overdue() == []
    move(each_house, job, started_ms=JobRow.started_ms - 6_000)
    assert each_house.upkeep.overdue() == [(job.job_id, Phase.ABORTED)]
    ended = each_house.job(job.job_id)
    assert ended.phase is Phase.ABORTED
    assert ended.error is not None
    assert "execution duration" in ended.error.message
    assert [ref.result_id for ref in each_house.service.result_refs(ended)] == ["r0"]
    assert each_house.claims.claim(("high", "low")) is None


def test_uws_70_a_lost_worker_does_not_hold_a_job(each_house: House) -> None:
    settings = each_house.settings
    finish = finish_with(toy_types())
    job = made(each_house, ROWS=1, run=True)
    for attempt in range(settings.max_attempts):
        claim = each_house.claim()
        assert claim.attempts == attempt + 1
        with each_house.engine.execution_options(writes=True).begin() as connection:
            connection.execute(update(TaskRow).values(lease_until_ms=1))
        each_house.upkeep.reclaim(settings.max_attempts, 0.0, finish)
    ended = each_house.job(job.job_id)
    assert ended.phase is Phase.ERROR
    assert ended.error is not None
    (result,) = each_house.service.results(ended)
    assert "the worker was lost" in result.message


def test_uws_71_of_many_who_run_a_job_one_does(each_house: House) -> None:
    job = made(each_house, ROWS=3, PER_TASK=1)

    def run(_: int) -> bool:
        try:
            each_house.service.submissions.start(job, ANONYMOUS)
        except UsageError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(run, range(8))) == 1
    assert count_tasks(each_house, job) == 3


def test_uws_71_run_abort_and_delete_at_once(each_house: House) -> None:
    for _ in range(10):
        job = made(each_house, ROWS=2)
        barrier = threading.Barrier(3)

        def attempt(act: Callable[[], None], barrier: threading.Barrier = barrier) -> bool:
            barrier.wait(PATIENCE_S)
            try:
                act()
            except UsageError:
                return False
            return True

        acts = (
            partial(each_house.service.submissions.start, job, ANONYMOUS),
            partial(each_house.service.abort, job),
            partial(each_house.service.destroy, job),
        )
        with ThreadPoolExecutor(3) as pool:
            _, _, is_deleted = pool.map(attempt, acts)
        assert is_deleted
        assert each_house.jobs.get(job.job_id) is None
        assert each_house.claims.claim(("high", "low")) is None


def test_uws_25_a_job_is_run_with_the_parameters_it_has(each_house: House) -> None:
    job = made(each_house, ROWS=1)
    each_house.service.submissions.change_parameters(job, asked(ROWS=5), ANONYMOUS)
    each_house.service.submissions.start(job, ANONYMOUS)  # as it was before the change
    assert each_house.job(job.job_id).counts.total == 5
    other = made(each_house, ROWS=1)
    each_house.service.submissions.change_parameters(other, asked(BYTES=7), ANONYMOUS)
    each_house.service.submissions.change_parameters(other, asked(ROWS=2), ANONYMOUS, "named")
    kept = each_house.job(other.job_id)
    assert [(parameter.name, parameter.value) for parameter in kept.parameters] == [
        ("ROWS", "2"),
        ("BYTES", "7"),
    ]
    assert kept.run_id == "named"


def test_refused_parameters_leave_the_job_as_it_is(each_house: House) -> None:
    job = made(each_house, ROWS=1)
    with pytest.raises(JobRefused):
        each_house.service.submissions.change_parameters(job, asked(ROWS=100_001), ANONYMOUS)
    assert each_house.job(job.job_id) == job


def test_uws_94_destruction(each_house: House) -> None:
    running = made(each_house, ROWS=2, PER_TASK=1, run=True)
    each_house.finish(each_house.claim())
    left = made(each_house)
    assert each_house.upkeep.destroy_due() == []
    move(each_house, running, destruction_ms=JobRow.created_ms)
    assert each_house.upkeep.destroy_due() == [(running.job_id, Phase.ABORTED)]
    with pytest.raises(NotFound):
        each_house.service.find(running.job_id, ANONYMOUS)
    assert each_house.claims.claim(("high", "low")) is None
    assert each_house.upkeep.to_forget(3600) == []
    assert each_house.upkeep.to_forget(-1) == [running.job_id]
    each_house.upkeep.forget(running.job_id)
    assert each_house.upkeep.known_jobs([running.job_id, left.job_id]) == {left.job_id}


@pytest.mark.parametrize(
    ("asked_s", "most_s", "set_s"),
    [(60, 100, 60), (0, 100, 100), (101, 100, 100), (0, 0, 0), (60, 0, 60)],
)
def test_uws_91_duration_as_policy_lets_it(house: House, asked_s: int, most_s: int, set_s: int) -> None:
    house.settings = replace(house.settings, max_execution_duration_s=most_s)
    job = made(house)
    house.service.set_duration(job, asked_s)
    assert house.job(job.job_id).execution_duration_s == set_s


def test_uws_93_destruction_lies_ahead_and_not_too_far(each_house: House) -> None:
    job = made(each_house)
    now_ms = each_house.jobs.now_ms()
    with pytest.raises(UsageError):
        each_house.service.set_destruction(job, now_ms)
    each_house.service.set_destruction(job, now_ms + 60_000)
    assert each_house.job(job.job_id).destruction_ms == now_ms + 60_000
    each_house.service.set_destruction(job, 1 << 60)
    latest_ms = each_house.settings.max_destruction_s * 1000
    set_ms = each_house.job(job.job_id).destruction_ms
    assert now_ms + latest_ms <= set_ms <= each_house.jobs.now_ms() + latest_ms


def test_the_rights_of_a_job_are_those_of_its_owner(house: House) -> None:
    job = made(house, caller=ANN)
    house.service.submissions.start(house.service.find(job.job_id, ADMIN, action="see"), ADMIN)
    assert house.claim().owner == "ann"


# Waiting


class Waiter(threading.Thread):
    """A GET of a job with WAIT, in a thread of its own."""

    def __init__(self, client: Client, url: str) -> None:
        super().__init__()
        self._client, self._url = client, url
        self.phase = ""
        self.start()

    def run(self) -> None:
        shown = self._client.get(self._url)
        assert shown.status_code == 200
        self.phase = shown.text.partition("<uws:phase>")[2].partition("<")[0]

    def answer(self) -> str:
        self.join(PATIENCE_S)
        assert not self.is_alive(), "it waits still"
        return self.phase


def test_uws_80_wait_ends_when_the_phase_changes(house: House, client: Client) -> None:
    url = client.make(ROWS="1")
    steps: tuple[tuple[Callable[[], object], str], ...] = (
        (lambda: client.post(f"{url}/phase", PHASE="RUN"), "QUEUED"),
        (lambda: claims.append(house.claim()), "EXECUTING"),
        (lambda: house.finish(claims[0]), "COMPLETED"),
    )
    claims: list[Any] = []
    for step, phase in steps:
        waits = Waiter(client, f"{url}?WAIT={LONG_S}")
        until(lambda: house.waiting.count == 1)
        step()
        assert waits.answer() == phase


def test_uws_80_wait_ends_when_the_time_is_over(house: House, client: Client) -> None:
    url = client.make()
    started = time.monotonic()
    assert Waiter(client, f"{url}?WAIT=1").answer() == "PENDING"
    assert time.monotonic() - started >= 1


def test_uws_81_83_84_nothing_to_wait_for(house: House, client: Client) -> None:
    url = client.make(ROWS="1", PHASE="RUN")
    for query in ("WAIT=0", f"wait={LONG_S}&PHASE=PENDING", f"WAIT={LONG_S}&phase=COMPLETED"):
        assert Waiter(client, f"{url}?{query}").answer() == "QUEUED"
    house.work()
    for query in (f"WAIT={LONG_S}", f"WAIT={LONG_S}&PHASE=COMPLETED", "WAIT=-1"):
        assert Waiter(client, f"{url}?{query}").answer() == "COMPLETED"


@pytest.mark.parametrize("wait", ["-1", "-5", "999999"])
def test_uws_82_86_wait_is_capped(house: House, wait: str) -> None:
    house.settings = replace(house.settings, max_wait_s=0.05)
    client = house.client()
    assert Waiter(client, f"{client.make()}?WAIT={wait}").answer() == "PENDING"


def test_uws_85_too_many_waiters_are_answered_at_once(house: House) -> None:
    house.settings = replace(house.settings, max_waiters=2)
    client = house.client()
    url = client.make()
    waiters = [Waiter(client, f"{url}?WAIT={LONG_S}") for _ in range(2)]
    until(lambda: house.waiting.count == 2)
    assert Waiter(client, f"{url}?WAIT={LONG_S}").answer() == "PENDING"
    client.post(f"{url}/phase", PHASE="ABORT")
    assert [waits.answer() for waits in waiters] == ["ABORTED", "ABORTED"]


def test_uws_85_who_leaves_waits_no_longer(house: House) -> None:
    ours, theirs = socket.socketpair()
    is_gone = watch_client(cast(Request, SimpleNamespace(environ={"gunicorn.socket": ours})))
    theirs.send(b"the next request")
    assert not is_gone()
    ours.recv(100)
    assert not is_gone()
    theirs.close()
    assert is_gone()
    job = made(house)
    assert house.service.wait(job, LONG_S, is_gone=is_gone).phase is Phase.PENDING
    ours.close()
    assert is_gone()
    assert not watch_client(cast(Request, SimpleNamespace(environ={})))()


def test_a_job_that_is_deleted_is_waited_for_no_longer(house: House, client: Client) -> None:
    url = client.make()
    answers: list[int] = []
    waits = threading.Thread(target=lambda: answers.append(client.get(f"{url}?WAIT={LONG_S}").status_code))
    waits.start()
    until(lambda: house.waiting.count == 1)
    client.send("DELETE", url)
    waits.join(PATIENCE_S)
    assert answers == [404]


# Hidden jobs


def hidden(
    house: House, seconds: float = LONG_S, is_gone: Callable[[], bool] | None = None, **values: object
) -> Job:
    return house.service.submissions.run_hidden("toy", asked(**values), ANN, seconds, is_gone)


def test_a_hidden_job_is_run_and_seen_by_nobody(house: House) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(hidden, house, BYTES=5)
        until(lambda: house.upkeep.claimable("high", 1))
        claim = house.claim()
        house.finish(claim)
        job = running.result(PATIENCE_S)
    assert (job.job_id, job.phase) == (claim.job_id, Phase.COMPLETED)
    (result,) = house.service.results(job)
    assert b"".join(house.results.read(result))
    assert house.jobs.refs(None) == []
    with pytest.raises(NotFound):
        house.service.find(job.job_id, ANN)
    assert job.destruction_ms - job.created_ms == house.settings.hidden_destruction_s * 1000


@pytest.mark.parametrize("leaves", [False, True])
def test_a_hidden_job_nobody_waits_for_is_aborted(house: House, leaves: bool) -> None:
    with pytest.raises(ServiceUnavailable) as refused:
        hidden(house, LONG_S if leaves else 0.05, lambda: leaves)
    assert refused.value.retry_after_s > 0
    assert house.claims.claim(("high", "low")) is None
    with house.engine.connect() as connection:
        assert connection.execute(select(JobRow.phase)).scalars().all() == ["ABORTED"]


def test_uws_85_a_hidden_job_for_which_too_many_wait_says_so(house: House) -> None:
    crowded = House(house.engine, house.folder, house.redis_url, replace(house.settings, max_waiters=0))
    with pytest.raises(ServiceUnavailable, match="too many requests wait for jobs already"):
        hidden(crowded)
    assert house.claims.claim(("high", "low")) is None
    crowded.close()


def test_a_hidden_job_says_what_sync_says(house: House) -> None:
    with pytest.raises(UsageError, match="ROWS is a whole number"):
        hidden(house, ROWS="x")
    with pytest.raises(JobRefused):
        hidden(house, ROWS=100_001)
    assert house.jobs.refs(None) == []


def test_without_redis_jobs_are_taken_but_not_hidden_ones(house: House) -> None:
    cut_off = House(house.engine, house.folder, "unix:///nowhere.sock", house.settings)
    with pytest.raises(ServiceUnavailable, match="cannot be reached"):
        hidden(cut_off)
    assert house.claims.claim(("high", "low")) is None
    job = made(cut_off, run=True)
    assert job.phase is Phase.QUEUED
    cut_off.service.abort(job)
    assert house.job(job.job_id).phase is Phase.ABORTED
    cut_off.close()


def test_id_of_a_job_ends_its_url(client: Client) -> None:
    url = client.make()
    assert client.value(url, "jobId") == id_of(url)
