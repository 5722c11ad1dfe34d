"""The doorbell, with a real Redis that is also killed, frozen, emptied and lied to."""

from __future__ import annotations

import json
import os
import pickle
import signal
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from tests.support.redis import OwnRedis, own_redis
from uws.bell import CHANNEL, Bell, BellSilent, Listener
from uws.job import LANES, Lane
from uws.phase import Phase

DEADLINE_S = 20
JOB = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def server() -> Iterator[OwnRedis]:
    with own_redis() as server:
        yield server


@pytest.fixture
def redis(server: OwnRedis) -> Iterator[Redis]:
    client = server.client()
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def bell(server: OwnRedis) -> Iterator[Bell]:
    bell = Bell(server.url)
    yield bell
    bell.close()


class Sleeper:
    """A worker in a thread, which counts how often it was woken."""

    def __init__(self, bell: Bell, lanes: tuple[Lane, ...]) -> None:
        self.count = 0
        self.changed = threading.Condition()
        self.stop = threading.Event()
        self.fault: BaseException | None = None
        self.thread = threading.Thread(target=self._run, args=(bell, lanes))

    def _run(self, bell: Bell, lanes: tuple[Lane, ...]) -> None:
        try:
            bell.serve(lanes, self.answer, self.stop)
        except BaseException as fault:
            self.fault = fault

    def answer(self) -> None:
        with self.changed:
            self.count += 1
            self.changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.count >= count, DEADLINE_S), f"{self.count} of {count}"


@contextmanager
def sleeper(bell: Bell, *lanes: Lane) -> Iterator[Sleeper]:
    worker = Sleeper(bell, lanes or LANES)
    worker.thread.start()
    try:
        yield worker
    finally:
        worker.stop.set()
        worker.thread.join(DEADLINE_S)
        assert not worker.thread.is_alive()


def eventually(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_each_ring_is_answered_once(bell: Bell, redis: Redis) -> None:
    with sleeper(bell) as worker:
        assert bell.ring("low")
        worker.wait_for(1)
        assert bell.ring("high", times=3)
        worker.wait_for(4)
    assert worker.count == 4
    assert worker.fault is None


def test_high_is_answered_before_low(server: OwnRedis, bell: Bell, redis: Redis) -> None:
    bell.ring("low", 3)
    bell.ring("high", 2)
    heard: list[tuple[int | None, int | None]] = []
    stop = threading.Event()
    asking = Bell(server.url)

    def answer() -> None:
        heard.append((asking.depth("high"), asking.depth("low")))
        if len(heard) == 5:
            stop.set()

    bell.serve(LANES, answer, stop)
    asking.close()
    assert heard == [(1, 3), (0, 3), (0, 2), (0, 1), (0, 0)]


def test_a_worker_of_one_lane_leaves_the_other_alone(bell: Bell, redis: Redis) -> None:
    bell.ring("low", 2)
    with sleeper(bell, "high") as worker:
        bell.ring("high")
        worker.wait_for(1)
    assert worker.count == 1
    assert bell.depth("low") == 2


def test_what_an_answer_raises_ends_the_worker(bell: Bell, redis: Redis) -> None:
    def answer() -> None:
        raise SystemExit(7)

    bell.ring("low")
    with pytest.raises(SystemExit, match="7"):
        bell.serve(LANES, answer, threading.Event())


def test_signals_are_left_as_they_are(bell: Bell, redis: Redis) -> None:
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    stop = threading.Event()
    bell.ring("low")
    bell.serve(LANES, stop.set, stop)
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before


def test_keys_in_redis_stay_few(bell: Bell, redis: Redis) -> None:
    with sleeper(bell) as worker, sleeper(bell, "high") as other:
        for number in range(100):
            bell.ring(LANES[number % 2], 10)
            bell.tell(JOB, Phase.EXECUTING)
        eventually(lambda: worker.count + other.count == 1000)
    assert set(redis.keys()) == {b"rq:queues"}


def test_top_up_rings_as_often_as_it_needs(bell: Bell, redis: Redis) -> None:
    bell.ring("low")
    assert bell.top_up("low", 3)
    assert bell.depth("low") == 3
    assert bell.top_up("low", 2)
    assert bell.depth("low") == 3
    assert bell.depth("high") == 0
    ids = redis.lrange("rq:queue:low", 0, -1)
    assert len(set(ids)) == 3
    # A ring that nobody hears does not stay for ever.
    assert all(redis.ttl(b"rq:job:" + name) > 0 for name in ids)


def test_top_up_by_two_at_once_leaves_none_too_few(bell: Bell, redis: Redis) -> None:
    both = threading.Barrier(2)

    def top_up() -> None:
        both.wait(DEADLINE_S)
        bell.top_up("low", 5)

    threads = [threading.Thread(target=top_up) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert 5 <= (bell.depth("low") or 0) <= 10


def push(redis: Redis, name: str, data: bytes, **extra: str) -> None:
    redis.hset(f"rq:job:{name}", mapping={"data": data, "origin": "low", **extra})
    redis.rpush("rq:queue:low", name)


def forged(function: str, *arguments: object, named: dict[str, object] | None = None) -> bytes:
    return zlib.compress(json.dumps([function, None, arguments, named or {}]).encode())


class Trap:
    """What pickle would run."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (self.path,)


def test_forged_jobs_are_refused_and_the_worker_lives_on(
    bell: Bell, redis: Redis, tmp_path: object, caplog: pytest.LogCaptureFixture
) -> None:
    trap = f"{tmp_path}/trap"
    command = f"mkdir {trap}"
    push(redis, "system", forged("os.system", command))
    push(redis, "callback", forged("wake", "low"), success_callback_name="os.getcwd", timeout="no number")
    push(redis, "pickled", zlib.compress(pickle.dumps(("os.system", None, (command,), {}))))
    push(redis, "reduced", zlib.compress(pickle.dumps(Trap(trap))))
    push(redis, "bomb", zlib.compress(b"[" * 200_000_000))
    push(redis, "long", b"x" * 1_000_000)
    push(redis, "deep", zlib.compress(b"[" * 500))
    push(redis, "old", forged("wake_up", "low"))
    push(redis, "lane", forged("wake", "middle"))
    push(redis, "instance", zlib.compress(json.dumps(["wake", "x", ["low"], {}]).encode()))
    push(redis, "named", forged("wake", "low", named={"x": 1}))
    push(redis, "number", zlib.compress(b"7"))
    push(redis, "plain", b'["wake", null, ["low"], {}]')
    redis.set("rq:job:text", "no hash")
    redis.rpush("rq:queue:low", "text", "gone", b"\xff\xfe", "no/id of rq", "")
    Queue("low", redis, serializer=JSONSerializer).enqueue("os.mkdir", trap)
    with sleeper(bell) as worker:
        bell.ring("low")
        # The one whose callback nobody looks at is a ring like any other.
        worker.wait_for(2)
        eventually(lambda: bell.depth("low") == 0)
    assert worker.fault is None
    assert worker.count == 2
    assert not os.path.exists(trap)
    assert set(redis.keys()) == {b"rq:queues"}
    told = [record.getMessage() for record in caplog.records]
    assert any("it asks for 'os.system'" in line for line in told)
    assert any("it is too large" in line for line in told)


def test_a_bomb_is_not_inflated(bell: Bell, redis: Redis) -> None:
    # 400 bytes that would become 400 kB: small enough to be read.
    bomb = zlib.compress(b"[" * 400_000)
    assert len(bomb) < 512
    push(redis, "bomb", bomb)
    with sleeper(bell) as worker:
        bell.ring("low")
        worker.wait_for(1)
    assert worker.count == 1


def test_it_ends_soon_after_it_is_told_to(bell: Bell, redis: Redis) -> None:
    with sleeper(bell) as worker:
        bell.ring("low")
        worker.wait_for(1)
        worker.stop.set()
        worker.thread.join(DEADLINE_S)
        assert not worker.thread.is_alive()
        assert worker.fault is None


def test_url_that_is_none() -> None:
    with pytest.raises(ValueError, match="scheme"):
        Bell("http://localhost")


def test_check_says_nothing_while_all_is_well(bell: Bell, redis: Redis) -> None:
    assert bell.check() is None


def test_check_sees_a_server_that_takes_nothing() -> None:
    with own_redis() as server:
        bell = Bell(server.url)
        assert bell.check() is None
        server.client().config_set("maxmemory", 1)
        assert bell.check() == "the queue (Redis) does not answer"
        assert not bell.ring("low")
        bell.close()


def test_without_redis_nothing_is_raised_and_little_time_is_lost(server: OwnRedis) -> None:
    bell = Bell(f"unix://{server.path}.nothing")
    assert not bell.ring("low")
    assert not bell.top_up("low", 1)
    assert bell.depth("low") is None
    assert bell.check() == "the queue (Redis) does not answer"
    bell.tell(JOB, Phase.ABORTED)
    with pytest.raises(BellSilent):
        bell.serve(LANES, lambda: None, threading.Event())
    with pytest.raises(BellSilent):
        bell.listen().next(1)


@pytest.mark.faults
def test_a_hanging_redis_is_asked_once_and_then_left_alone() -> None:
    with own_redis() as server:
        bell = Bell(server.url)
        assert bell.ring("low")
        server.freeze()
        began = time.monotonic()
        assert not bell.ring("low")
        # One time-out, and not one for each of a hundred: with those it would be 50 s.
        assert [bell.ring("low") for _ in range(100)] == [False] * 100
        assert time.monotonic() - began < 10
        server.thaw()
        eventually(lambda: bell.ring("low"))
        bell.close()


@pytest.mark.faults
@pytest.mark.parametrize("hurt", [OwnRedis.freeze, OwnRedis.kill, OwnRedis.stop])
def test_a_worker_says_that_redis_is_silent(hurt: Callable[[OwnRedis], None]) -> None:
    with own_redis() as server:
        bell = Bell(server.url)
        with sleeper(bell) as worker:
            bell.ring("low")
            worker.wait_for(1)
            hurt(server)
            worker.thread.join(DEADLINE_S)
            assert isinstance(worker.fault, BellSilent)
        bell.close()


@pytest.mark.faults
def test_after_redis_came_back_empty_the_first_ring_is_heard() -> None:
    with own_redis() as server:
        bell = Bell(server.url)
        assert bell.ring("low")
        server.restart_empty()
        assert bell.depth("low") == 0
        with sleeper(bell) as worker:
            assert bell.ring("low")
            worker.wait_for(1)
        server.client().flushall()
        assert bell.top_up("low", 2)
        bell.close()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_it_works_on_both_sides_of_a_fork(bell: Bell, redis: Redis) -> None:
    assert bell.ring("low")
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if bell.ring("low", 2) and bell.depth("low") == 3 else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert bell.ring("low")
    assert bell.depth("low") == 4


def hear(ear: Listener) -> tuple[str, Phase]:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if (news := ear.next(0.5)) is not None:
            return news
    raise AssertionError("nothing was heard")


def test_phases_are_heard(bell: Bell, redis: Redis) -> None:
    ear = bell.listen()
    assert ear.next(0) is None
    assert ear.is_open
    for nonsense in (b"", b"x", b"\xff\xfe \xff", b"a NEVER", b"x" * 100_000):
        redis.publish(CHANNEL, nonsense)
    bell.tell(JOB, Phase.EXECUTING)
    assert hear(ear) == (JOB, Phase.EXECUTING)
    ear.close()


@pytest.mark.faults
def test_silence_is_no_fault(bell: Bell, redis: Redis) -> None:
    ear = bell.listen()
    deadline = time.monotonic() + 2.5  # asks whether anybody is there, twice
    while time.monotonic() < deadline:
        assert ear.next(0.25) is None
    assert ear.is_open
    ear.close()


@pytest.mark.faults
@pytest.mark.parametrize("hurt", [OwnRedis.freeze, OwnRedis.kill])
def test_a_listener_connects_again(hurt: Callable[[OwnRedis], None]) -> None:
    with own_redis() as server:
        bell = Bell(server.url)
        ear = bell.listen()
        ear.next(0)
        hurt(server)
        eventually(lambda: not _is_open(ear))
        with pytest.raises(BellSilent):
            ear.next(0.25)
        server.restart_empty()
        eventually(lambda: _is_open(ear))
        bell.tell(JOB, Phase.COMPLETED)
        assert hear(ear) == (JOB, Phase.COMPLETED)
        ear.close()
        bell.close()


def _is_open(ear: Listener) -> bool:
    try:
        ear.next(0.1)
    except BellSilent:
        return False
    return ear.is_open
