"""The doorbell: RQ wakes workers, and tells of nothing but that there may be work.

What is to be done stands in the database; a ring that is lost, doubled or forged does no harm. Of RQ there
are the queues `high` and `low`, its jobs and its simple worker; what RQ writes down beside them (registries,
results, heartbeats) is neither read nor written here. This is the only module that knows RQ.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from redis import Redis
from redis.backoff import NoBackoff
from redis.client import PubSub
from redis.connection import parse_url
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry
from rq.exceptions import DequeueTimeout, NoSuchJobError, StopRequested
from rq.job import Job
from rq.queue import Queue
from rq.serializers import JSONSerializer
from rq.worker import SimpleWorker

from uws.job import LANES, Lane
from uws.phase import Phase

#: What a ring asks for: the only name there is. It takes the lane.
WAKE = "wake"
#: Where phases are told, as ``<job_id> <phase>``.
CHANNEL = "uws:phase"
CHECK_KEY = "uws:check"
#: A ring that nobody heard for so long is forgotten.
RING_KEPT_S = 86_400
#: More than a ring ever holds, packed or not.
MAX_RING_BYTES = 512
#: After a failure Redis is left alone for so long.
QUIET_S = 1.0
#: An idle worker sees after this time at the latest that it is to stop.
BLOCK_S = 0.5
#: What a busy machine may add to that before a worker takes Redis for dead.
PATIENCE_S = 2.0
#: A listener that has heard nothing for so long asks whether anybody is there, and waits as long again.
PING_S = 1.0

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class BellSilent(Exception):
    """Redis does not answer."""


class Bell:
    """Rings for workers, and tells waiting clients of phases.

    Whatever clients wait for (all but `serve` and the listener) takes no longer than `timeout_s`, and after a
    failure Redis is not asked again for a second. One bell serves any number of threads, and works after a
    fork.

    Parameters
    ----------
    url
        Of Redis: ``redis://``, ``rediss://`` or ``unix://``. Nothing connects before it has to.
    timeout_s
        Longest wait for an answer.

    Raises
    ------
    ValueError
        If it is no such URL.
    """

    def __init__(self, url: str, timeout_s: float = 0.5) -> None:
        parse_url(url)  # type: ignore[no-untyped-call]
        self._url = url
        self._timeout_s = timeout_s
        self._line: _Line | None = None

    def ring(self, lane: Lane, times: int = 1) -> bool:
        """Wake `times` workers of a lane; False if Redis does not answer."""
        return self._asked(lambda line: line.ring(lane, times), False)

    def top_up(self, lane: Lane, wanted: int) -> bool:
        """Ring until `wanted` rings wait in the queue; two who do so at once ring a few times too often."""
        return self._asked(lambda line: line.ring(lane, wanted - line.depth(lane)), False)

    def tell(self, job_id: str, phase: Phase) -> None:
        """Tell whoever waits for a job that it is in `phase`."""
        self._asked(lambda line: bool(line.client.publish(CHANNEL, f"{job_id} {phase.value}")), False)

    def depth(self, lane: Lane) -> int | None:
        """Count the rings that wait in a queue; None if Redis does not answer."""
        return self._asked(lambda line: line.depth(lane), None)

    def check(self) -> str | None:
        """Say in a sentence what is wrong with Redis, None if it takes what it is given."""
        # A replica, or a server without memory left, answers a ping too.
        if self._asked(lambda line: bool(line.client.set(CHECK_KEY, 1, ex=1)), False):
            return None
        return "the queue (Redis) does not answer"

    def serve(self, lanes: Sequence[Lane], answer: Callable[[], None], stop: threading.Event) -> None:
        """Call `answer` at each ring of these lanes, the first lane first, until `stop` is set.

        It is seen half a second later at most. Signals are not touched. What `answer` raises ends it too.

        Raises
        ------
        BellSilent
            If Redis does not answer.
        """
        client = self._client(BLOCK_S + PATIENCE_S)
        try:
            worker = _Sleeper(client, lanes, answer, stop)
            worker.work()
        finally:
            client.close()
        if worker.fault is not None:
            raise worker.fault

    def listen(self) -> Listener:
        """Give an ear for phases."""
        return Listener(lambda: self._client(self._timeout_s))

    def close(self) -> None:
        """Let go of connections; the next question makes new ones."""
        line, self._line = self._line, None
        if line is not None and line.pid == os.getpid():
            line.client.close()

    def _asked(self, question: Callable[[_Line], _T], silent: _T) -> _T:
        line = self._line
        if line is None or line.pid != os.getpid():  # connections are not shared with a forked process
            line = self._line = _Line(self._client(self._timeout_s))
        now = time.monotonic()
        if now < line.quiet_until:
            return silent
        if line.quiet_until:
            line.quiet_until = now + QUIET_S  # one finds out; the others do not wait with it
        try:
            answer = question(line)
        except (RedisError, OSError) as error:
            if not line.quiet_until:
                _log.warning("the queue (Redis) does not answer: %s", error)
            line.quiet_until = time.monotonic() + QUIET_S
            return silent
        if line.quiet_until:
            line.quiet_until = 0.0
            _log.warning("the queue (Redis) answers again")
        return answer

    def _client(self, read_s: float) -> Redis:
        return Redis.from_url(
            self._url,
            protocol=2,  # no greeting, and no telling who we are: a new connection costs nothing more
            driver_info=None,
            socket_connect_timeout=self._timeout_s,
            socket_timeout=read_s,
            retry=Retry(NoBackoff(), 0),
        )


class Listener:
    """Hears of phases, and connects again when it was cut off.

    Parameters
    ----------
    connect
        Makes a client.
    """

    def __init__(self, connect: Callable[[], Redis]) -> None:
        self._connect = connect
        self._client: Redis | None = None
        self._ear: PubSub | None = None
        self._heard = self._pinged = 0.0

    @property
    def is_open(self) -> bool:
        """Whether it is connected."""
        return self._ear is not None

    def next(self, timeout_s: float) -> tuple[str, Phase] | None:
        """Return the next job id and its phase; None after `timeout_s`, and at once after connecting.

        What was told before it was connected it has not heard.

        Raises
        ------
        BellSilent
            If Redis does not answer; the next call tries to connect again.
        """
        try:
            if self._ear is None:
                self._subscribe()
                return None
            return self._hear(self._ear, timeout_s)
        except (RedisError, OSError) as error:
            self.close()
            raise BellSilent(f"the queue (Redis) does not answer: {error}") from error

    def close(self) -> None:
        """Stop listening; a further call of `next` starts again."""
        ear, self._ear = self._ear, None
        client, self._client = self._client, None
        if ear is not None:
            ear.close()
        if client is not None:
            client.close()

    def _subscribe(self) -> None:
        self._client = self._connect()
        ear: PubSub = self._client.pubsub()  # type: ignore[no-untyped-call]
        ear.subscribe(CHANNEL)
        self._ear = ear
        if ear.get_message(timeout=PING_S) is None:  # from its answer on nothing is missed
            raise TimeoutError("no answer to a subscription")
        self._heard, self._pinged = time.monotonic(), 0.0

    def _hear(self, ear: PubSub, timeout_s: float) -> tuple[str, Phase] | None:
        message = ear.get_message(timeout=timeout_s)
        now = time.monotonic()
        if message is not None:
            self._heard, self._pinged = now, 0.0
            return _told(message["data"]) if message["type"] == "message" else None
        # A server that hangs says as little as one that has nothing to say.
        if self._pinged and now - self._pinged > PING_S:
            raise TimeoutError("no answer to a ping")
        if not self._pinged and now - self._heard > PING_S:
            ear.ping()
            self._pinged = now
        return None


def _told(data: bytes) -> tuple[str, Phase] | None:
    job_id, _, phase = data.decode("ascii", "replace").partition(" ")
    return (job_id, Phase(phase)) if phase in Phase.__members__ else None


class _Line:
    """What one process has of Redis."""

    def __init__(self, client: Redis) -> None:
        self.pid = os.getpid()
        self.client = client
        #: Not asked before; 0 while all is well.
        self.quiet_until = 0.0
        self._queues = {
            lane: _Rings(lane, client, job_class=_Ring, serializer=JSONSerializer) for lane in LANES
        }

    def ring(self, lane: Lane, times: int) -> bool:
        if times > 0:
            ring = Queue.prepare_data(WAKE, args=(lane,), timeout=-1, ttl=RING_KEPT_S, result_ttl=0)
            self._queues[lane].enqueue_many([ring] * times)
        return True

    def depth(self, lane: Lane) -> int:
        return self.client.llen(self._queues[lane].key)


class _RefusedRing(Exception):
    """What lay in the queue is no ring of ours."""


class _Ring(Job):
    """A job of RQ that can ask for `WAKE` and nothing else; it is gone from Redis once it is read.

    RQ takes a name from Redis and imports it, and inflates what it finds, however much that becomes. Here the
    size is looked at first, and nothing but the name and its arguments is read.
    """

    @property
    def func(self) -> Any:
        """Refuse: a worker looks the name up in its own table."""
        raise _RefusedRing("a ring is no function")

    #: Never taken from Redis.
    success_callback = failure_callback = stopped_callback = None

    def refresh(self) -> None:
        """Take the ring out of Redis.

        Raises
        ------
        NoSuchJobError
            If it is gone.
        _RefusedRing
            If it is none of ours.
        """
        try:
            size = self.connection.hstrlen(self.key, "data")
        except ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            size = MAX_RING_BYTES + 1
        with self.connection.pipeline() as pipeline:
            if size <= MAX_RING_BYTES:
                pipeline.hget(self.key, "data")
            pipeline.unlink(self.key)
            packed = pipeline.execute()[0]
        if size > MAX_RING_BYTES:
            raise _RefusedRing("it is too large")
        if packed is None:
            raise NoSuchJobError(f"no such job: {self.id}")
        self._func_name, self._args = WAKE, [_lane_of(packed)]


def _lane_of(packed: bytes) -> Lane:
    """Read what is asked for."""
    try:
        data = zlib.decompressobj().decompress(packed, MAX_RING_BYTES)
        name, instance, arguments, named = json.loads(data)
        (lane,) = arguments
    except (zlib.error, ValueError, TypeError, RecursionError) as error:
        raise _RefusedRing("it cannot be read") from error
    if name != WAKE or instance is not None or lane not in LANES or named != {}:
        raise _RefusedRing(f"it asks for {name!r}")
    return cast(Lane, lane)


class _Rings(Queue):
    """A queue of RQ."""

    @classmethod
    def lmove(cls, connection: Redis, queue_key: str, timeout: int | None) -> Any:
        """Take a ring, and keep no list of those that are taken: a ring that is lost is rung again."""
        return cls.lpop([queue_key], timeout, connection=connection)


class _Sleeper(SimpleWorker):
    """A worker of RQ that waits, answers, and does nothing else.

    It never forks. It leaves no trace in Redis, takes no orders from there, keeps its hands off signals, and
    lets whoever runs it decide what to do when Redis does not answer.
    """

    def __init__(
        self, client: Redis, lanes: Sequence[Lane], answer: Callable[[], None], stop: threading.Event
    ) -> None:
        super().__init__(
            list(lanes),
            connection=client,
            serializer=JSONSerializer,
            job_class=_Ring,
            queue_class=_Rings,
            prepare_for_work=False,
        )
        self._callables: Mapping[str, Callable[[Lane], None]] = {WAKE: lambda lane: answer()}
        self._stop = stop
        #: Why it ended, where it was not told to.
        self.fault: BaseException | None = None

    should_run_maintenance_tasks = False
    dequeue_timeout = BLOCK_S  # type: ignore[assignment]
    connection_timeout = 0  # that of the client stands

    def bootstrap(self, *args: object, **options: object) -> None:
        """Neither register nor set up logs nor listen to commands."""

    def _install_signal_handlers(self) -> None:
        pass

    def check_for_suspension(self, burst: bool) -> None:
        """Nobody can suspend it."""

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Heartbeats are in the database."""

    def teardown(self) -> None:
        """There is nothing to undo."""

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """Wait for a ring; end when told to, or when Redis does not answer."""
        while not self._stop.is_set():
            try:
                return self.queue_class.dequeue_any(
                    self._ordered_queues,
                    timeout,
                    connection=self.connection,
                    job_class=self.job_class,
                    serializer=self.serializer,
                )
            except DequeueTimeout:
                continue
            except (RedisError, OSError) as error:
                self.fault = BellSilent(f"the queue (Redis) does not answer: {error}")
                self.fault.__cause__ = error
                break
            except (_RefusedRing, ValueError) as refused:  # ValueError: RQ does not take the id for one
                _log.warning("a forged or broken job was taken out of the queue: %s", refused)
        raise StopRequested

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Answer a ring."""
        try:
            self._callables[cast(str, job.func_name)](*job.args)
        except BaseException as error:
            self.fault = error  # RQ would but log it and end
            raise StopRequested from error
