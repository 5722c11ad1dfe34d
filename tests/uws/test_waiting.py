"""Clients that wait for phases, with a real database and a real Redis."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from tests.support.databases import sqlite
from tests.support.redis import OwnRedis, own_redis
from uws.bell import Bell, Listener
from uws.job import NewJob
from uws.phase import Phase
from uws.store.jobs import Jobs
from uws.waiting import Waiting

#: Waits that are to be ended by news are so long that nothing else can have ended them.
LONG_S = 60
DEADLINE_S = 30


@pytest.fixture(scope="module")
def server() -> Iterator[OwnRedis]:
    with own_redis() as server:
        yield server


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with sqlite(tmp_path) as engine:
        yield engine


@pytest.fixture
def jobs(engine: Engine) -> Jobs:
    return Jobs(engine)


@pytest.fixture
def bell(server: OwnRedis) -> Iterator[Bell]:
    bell = Bell(server.url)
    yield bell
    bell.close()


@pytest.fixture
def waiting(jobs: Jobs, bell: Bell) -> Iterator[Waiting]:
    waiting = Waiting(jobs, bell, most=100)
    yield waiting
    waiting.close()


def new_job(jobs: Jobs) -> str:
    return jobs.create(NewJob(secrets.token_hex(16), "toy", "", "", (), 60, 600)).job_id


class Client(threading.Thread):
    """Waits in a thread of its own, and says how long that took."""

    def __init__(
        self, waiting: Waiting, job_id: str, phase: Phase = Phase.PENDING, seconds: float = LONG_S
    ) -> None:
        super().__init__()
        self._wait = lambda: waiting.wait(job_id, phase, seconds)
        self.start()

    def run(self) -> None:
        self._wait()

    def end(self) -> None:
        self.join(DEADLINE_S)
        assert not self.is_alive()


class BrokenOnce(Bell):
    """A bell that nobody can listen to, the first time."""

    has_failed = False

    def listen(self) -> Listener:
        if not self.has_failed:
            self.has_failed = True
            raise RuntimeError("what nobody has thought of")
        return super().listen()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.faults
def test_its_thread_is_started_again_when_it_has_ended(jobs: Jobs, server: OwnRedis) -> None:
    bell = BrokenOnce(server.url)
    waiting = Waiting(jobs, bell, most=100)
    job_id = new_job(jobs)
    waiting.wait(job_id, Phase.PENDING, 0.1)
    eventually(lambda: "waiting" not in {thread.name for thread in threading.enumerate()})
    client = Client(waiting, job_id)
    jobs.end(job_id, Phase.ABORTED)
    client.end()
    waiting.close()
    bell.close()


def eventually(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def took(wait: Callable[[], None]) -> float:
    began = time.monotonic()
    wait()
    return time.monotonic() - began


def test_a_change_told_by_another_process_wakes_those_who_wait_for_it(
    waiting: Waiting, jobs: Jobs, server: OwnRedis
) -> None:
    one, other = new_job(jobs), new_job(jobs)
    woken = [Client(waiting, one) for _ in range(3)]
    asleep = Client(waiting, other)
    eventually(lambda: waiting.count == 4)
    worker = Bell(server.url)
    jobs.end(one, Phase.ABORTED)
    worker.tell(one, Phase.ABORTED)
    for client in woken:
        client.end()
    assert asleep.is_alive()
    assert waiting.count == 1
    jobs.end(other, Phase.ABORTED)
    worker.tell(other, Phase.ABORTED)
    asleep.end()
    worker.close()


def test_a_change_that_nobody_told_of_is_found_in_the_database(waiting: Waiting, jobs: Jobs) -> None:
    job = new_job(jobs)
    client = Client(waiting, job)
    eventually(lambda: waiting.count)
    jobs.end(job, Phase.ABORTED)
    client.end()


def test_without_redis_the_database_is_asked(jobs: Jobs, server: OwnRedis) -> None:
    bell = Bell(f"unix://{server.path}.nothing")
    waiting = Waiting(jobs, bell, most=10)
    job = new_job(jobs)
    client = Client(waiting, job)
    eventually(lambda: waiting.count)
    jobs.end(job, Phase.ABORTED)
    client.end()
    waiting.close()


@pytest.mark.faults
@pytest.mark.parametrize("hurt", [OwnRedis.freeze, OwnRedis.kill])
def test_redis_that_goes_while_clients_wait(jobs: Jobs, hurt: Callable[[OwnRedis], None]) -> None:
    with own_redis() as server:
        bell = Bell(server.url)
        waiting = Waiting(jobs, bell, most=10)
        first, second = new_job(jobs), new_job(jobs)
        clients = [Client(waiting, first), Client(waiting, second)]
        eventually(lambda: waiting.count == 2)
        hurt(server)
        jobs.end(first, Phase.ABORTED)
        bell.tell(first, Phase.ABORTED)
        clients[0].end()
        server.restart_empty()
        jobs.end(second, Phase.ABORTED)
        eventually(lambda: bell.check() is None)
        bell.tell(second, Phase.ABORTED)
        clients[1].end()
        waiting.close()
        bell.close()


def test_a_nudge_of_the_same_process_wakes(waiting: Waiting, jobs: Jobs, engine: Engine) -> None:
    job = new_job(jobs)
    client = Client(waiting, job)
    eventually(lambda: waiting.count)
    waiting.nudge(job, Phase.ABORTED)
    client.end()


def test_news_of_an_earlier_phase_are_old(waiting: Waiting, jobs: Jobs, bell: Bell) -> None:
    job = new_job(jobs)
    client = Client(waiting, job, Phase.EXECUTING)
    eventually(lambda: waiting.count)
    waiting.nudge(job, Phase.QUEUED)
    waiting.nudge(job, Phase.EXECUTING)
    assert client.is_alive()
    assert waiting.count == 1
    waiting.nudge(job, Phase.COMPLETED)
    client.end()


def test_a_change_between_reading_and_waiting_is_not_lost(waiting: Waiting, jobs: Jobs) -> None:
    job = new_job(jobs)
    jobs.end(job, Phase.ABORTED)
    assert took(lambda: waiting.wait(job, Phase.PENDING, LONG_S)) < LONG_S


def test_a_job_that_is_gone_is_waited_for_no_longer(waiting: Waiting, jobs: Jobs) -> None:
    assert took(lambda: waiting.wait("0" * 32, Phase.PENDING, LONG_S)) < LONG_S
    job = new_job(jobs)
    client = Client(waiting, job)
    eventually(lambda: waiting.count)
    jobs.destroy(job)
    client.end()


def test_uws_82_nobody_waits_longer_than_asked(waiting: Waiting, jobs: Jobs) -> None:
    job = new_job(jobs)
    assert took(lambda: waiting.wait(job, Phase.PENDING, 0.2)) >= 0.2
    waiting.wait(job, Phase.PENDING, 0)
    assert waiting.count == 0


def test_uws_82_beyond_the_limit_nobody_waits(jobs: Jobs, bell: Bell) -> None:
    waiting = Waiting(jobs, bell, most=2)
    job = new_job(jobs)
    clients = [Client(waiting, job) for _ in range(2)]
    eventually(lambda: waiting.count == 2)
    assert took(lambda: waiting.wait(job, Phase.PENDING, LONG_S)) < LONG_S
    waiting.nudge(job, Phase.QUEUED)
    for client in clients:
        client.end()
    # Its places are free again.
    assert took(lambda: waiting.wait(job, Phase.PENDING, 0.1)) >= 0.1
    waiting.close()


def test_a_client_that_went_away_frees_its_place(waiting: Waiting, jobs: Jobs) -> None:
    job = new_job(jobs)
    assert took(lambda: waiting.wait(job, Phase.PENDING, LONG_S, lambda: True)) < LONG_S
    assert waiting.count == 0


def test_one_query_serves_all_who_wait(waiting: Waiting, jobs: Jobs, engine: Engine) -> None:
    ids = [new_job(jobs) for _ in range(20)]
    clients = [Client(waiting, job) for job in ids]
    eventually(lambda: waiting.count == 20)
    asked: list[int] = []

    def note(_connection: object, _cursor: object, _text: str, parameters: list[object], *_: object) -> None:
        if _is_the_thread():
            asked.append(len(parameters))

    event.listen(engine, "before_cursor_execute", note)
    eventually(lambda: asked)
    assert asked[0] == 20
    waiting.close()
    for client in clients:
        client.end()


def test_one_thread_and_none_before_somebody_waits(waiting: Waiting, jobs: Jobs) -> None:
    assert not _threads()
    job = new_job(jobs)
    clients = [Client(waiting, job) for _ in range(5)]
    eventually(lambda: waiting.count == 5)
    assert len(_threads()) == 1
    waiting.close()
    for client in clients:
        client.end()
    assert not _threads()
    assert took(lambda: waiting.wait(job, Phase.PENDING, LONG_S)) < LONG_S


@pytest.mark.faults
def test_a_database_that_fails_is_asked_again(waiting: Waiting, jobs: Jobs, engine: Engine) -> None:
    job = new_job(jobs)
    client = Client(waiting, job)
    eventually(lambda: waiting.count)
    failed = threading.Event()

    def fail(*_: object) -> None:
        if _is_the_thread():
            failed.set()
            raise OSError("the database is gone")

    event.listen(engine, "before_cursor_execute", fail)
    assert failed.wait(DEADLINE_S)
    assert client.is_alive()
    event.remove(engine, "before_cursor_execute", fail)
    jobs.end(job, Phase.ABORTED)
    client.end()


def _is_the_thread() -> bool:
    return threading.current_thread().name == "waiting"


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "waiting"]
