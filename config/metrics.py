"""``/metrics`` for Prometheus: requests as the web processes count them, and the state of the jobs.

The web processes of a service count in files of one folder, which any of them reads. Jobs are another matter:
what waits, runs, lives and was done is asked of the database, so that each web server tells the same of the
workers of all hosts.

prometheus-client is imported when `Metrics` is made, and not by those who only import this.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from flask import Blueprint, Response
from sqlalchemy.exc import SQLAlchemyError

from config.logs import Answered
from dali.trial import Trial
from uws.job import LANES, Lane
from uws.store.upkeep import LaneState, Upkeep
from uws.tally import Counted
from vosi.availability import Monitor

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
#: More services do not share a data folder, nor more processes the folder of a service.
MOST = 1024
#: Each process has a file of this size for each kind of metric.
FILE_BYTES = 1 << 20
KINDS = ("counter", "histogram", "gauge_livesum")

#: A scrape does not ask the database again for what was found so recently, nor wait longer for it.
KEPT_S = 2.0
WITHIN_S = 1.0

LATENCIES_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: Rules whose successful answers are cutouts.
CUTOUTS = frozenset({"/sync", "/cutout", "/api/v1/cutouts"})

#: Name, help and label of what workers count.
_TALLIES: Mapping[Counted, tuple[str, str, str]] = {
    Counted.ROWS: ("fountain_rows", "Rows of jobs that ended.", "status"),
    Counted.TASKS: ("fountain_tasks", "Tasks of jobs that were done.", ""),
    Counted.RETRIES: ("fountain_retries", "Parts of tasks queued again.", ""),
    Counted.LOST_CLAIMS: ("fountain_lost_claims", "Tasks that a worker found in other hands.", ""),
    Counted.CHILD_DEATHS: (
        "fountain_child_deaths",
        "Processes that died over a row, or were killed.",
        "cause",
    ),
    Counted.FILES: ("fountain_cutouts", "Cutouts: answers of /sync and /cutout, and files of jobs.", "via"),
    Counted.BYTES: ("fountain_cutout_bytes", "Bytes of these cutouts.", "via"),
}


def share(folder: Path) -> None:
    """Have the applications of this process and its children count together, in a subfolder of `folder`.

    Several services may use one data folder: each takes a subfolder that no other holds, and empties it.
    """
    for number in range(MOST):
        own = folder / str(number)
        own.mkdir(parents=True, exist_ok=True)
        if _hold(own / "lock"):
            for file in own.glob("*.db"):
                file.unlink()
            os.environ[FOLDER] = str(own)
            return
    raise OSError(f"{MOST} services use the data folder already")


@dataclass(frozen=True, slots=True)
class JobFigures:
    """What the database knows of the jobs."""

    lanes: Mapping[Lane, LaneState]
    workers: Mapping[Lane, int]
    counted: Mapping[tuple[str, str], int]


class JobWatch:
    """Asks for the figures of jobs, at most once in `KEPT_S` seconds.

    Parameters
    ----------
    upkeep
        Is asked.
    alive_s
        A worker not heard of for so long is not counted.
    """

    def __init__(self, upkeep: Upkeep, alive_s: float) -> None:
        self._upkeep = upkeep
        self._alive_s = alive_s
        self._lock = threading.Lock()
        self._trial = Trial(self.ask)
        self._until = 0.0
        self._figures: JobFigures | None = None

    def look(self) -> JobFigures | None:
        """Give the figures, None if the database does not answer."""
        with self._lock:
            if time.monotonic() >= self._until:
                try:
                    self._trial.begin()
                    self._figures = self._trial.result(WITHIN_S)
                except (SQLAlchemyError, TimeoutError):
                    self._figures = None
                self._until = time.monotonic() + KEPT_S
            return self._figures

    def ask(self) -> JobFigures:
        """Ask for them now."""
        return JobFigures(
            {lane: self._upkeep.lane_state(lane) for lane in LANES},
            {lane: self._upkeep.live_workers(lane, self._alive_s) for lane in LANES},
            self._upkeep.counted(),
        )


class Metrics:
    """Counts the requests of this process, and tells of those of all, and of the jobs.

    Parameters
    ----------
    monitor
        Knows whether the service is available.
    jobs
        Knows of the jobs; None where there are none.
    """

    def __init__(self, monitor: Monitor, jobs: JobWatch | None = None) -> None:
        from prometheus_client import (
            CollectorRegistry,
            Counter,
            Gauge,
            Histogram,
            disable_created_metrics,
            values,
        )

        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._monitor = monitor
        self._jobs = jobs
        self._folder = _shared_folder()
        if self._folder is None:
            values.ValueClass = values.MutexValue
        self._registry = CollectorRegistry()
        labels = ("endpoint", "method")
        self._requests = Counter(
            "fountain_requests", "Requests answered.", (*labels, "status"), registry=self._registry
        )
        self._bytes = Counter(
            "fountain_response_bytes", "Bytes of answers.", ("endpoint",), registry=self._registry
        )
        self._seconds = Histogram(
            "fountain_request_seconds",
            "From the request to the last byte of its answer; WAIT counts too.",
            labels,
            registry=self._registry,
            buckets=LATENCIES_S,
        )
        self._cutouts, self._cutout_bytes = (
            Counter(name, told, (label,), registry=self._registry).labels("sync")
            for name, told, label in (_TALLIES[Counted.FILES], _TALLIES[Counted.BYTES])
        )
        #: Connections by which clients hear of jobs, and requests that wait for a job to change.
        self.streams = Gauge(
            "fountain_streams",
            "Live connections.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self.waiting = Gauge(
            "fountain_waiting",
            "Requests in WAIT.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        # Looking labels up takes longer than counting.
        self._routes: dict[tuple[str, str, int], tuple[Counter, Counter, Histogram]] = {}

    def request(self, answered: Answered) -> None:
        """Count a request that has been answered."""
        # Never by its path: clients can make up as many as they like.
        key = (answered.rule or "none", answered.method, answered.status // 100)
        requests, sizes, latencies = self._routes.get(key) or self._route(*key)
        requests.inc()
        sizes.inc(answered.sent)
        latencies.observe(answered.seconds)
        if answered.rule in CUTOUTS and answered.status == 200 and answered.method != "HEAD":
            self._cutouts.inc()
            self._cutout_bytes.inc(answered.sent)

    def collect(self) -> Iterator[Metric]:
        """Give every family of metrics, each once."""
        from prometheus_client.multiprocess import MultiProcessCollector

        counted: Collector = self._registry
        if self._folder is not None:
            counted = MultiProcessCollector(None, self._folder)  # type: ignore[no-untyped-call]
        families: dict[str, Metric] = {}
        for family in chain(counted.collect(), self._state(), self._job_state()):
            if (known := families.setdefault(family.name, family)) is not family:
                known.samples.extend(family.samples)
        yield from families.values()

    def _route(self, endpoint: str, method: str, kind: int) -> tuple[Counter, Counter, Histogram]:
        told = method if method in METHODS else "other"
        route = (
            self._requests.labels(endpoint, told, f"{kind}xx"),
            self._bytes.labels(endpoint),
            self._seconds.labels(endpoint, told),
        )
        if told == method:
            self._routes[endpoint, method, kind] = route
        return route

    def _state(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import GaugeMetricFamily as Gauge
        from prometheus_client.metrics_core import InfoMetricFamily

        yield InfoMetricFamily("fountain", "The program.", {"version": version("sodafountain")})
        found = self._monitor.look()
        yield Gauge("fountain_available", "What /availability says.", found.available)
        yield _gauges("fountain_up", "Parts of the service that answer.", "part", found.parts)

    def _job_state(self) -> Iterator[Metric]:
        figures = None if self._jobs is None else self._jobs.look()
        if figures is None:
            return
        yield from _lane_families(figures)
        yield from _tally_families(figures.counted)


def make_blueprint(metrics: Metrics) -> Blueprint:
    """Make ``/metrics``."""
    from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

    blueprint = Blueprint("metrics", __name__)

    @blueprint.get("/metrics")
    def show_metrics() -> Response:
        response = Response(generate_latest(metrics), content_type=CONTENT_TYPE_LATEST)
        response.cache_control.no_store = True
        return response

    return blueprint


def _shared_folder() -> Path | None:
    """Make prometheus-client count in files of the shared folder; None if there is no folder, or no room."""
    from prometheus_client import values

    if not (folder := os.environ.get(FOLDER)):
        return None
    # Files are named by number, not by process: who takes the place of a process that died counts on from
    # where it was, and there are never more files than processes.
    try:
        number = next(number for number in range(MOST) if _hold(Path(folder, f"{number}.lock")))
        Path(folder, f"gauge_livesum_{number}.db").unlink(missing_ok=True)  # what it had in hand is gone
        for kind in KINDS:
            # prometheus-client makes files with holes, and writes by mapping them: on a full disk the first
            # count would kill the process.
            with Path(folder, f"{kind}_{number}.db").open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, FILE_BYTES)
    except OSError as error:
        structlog.get_logger().warning("the counts of this process are not shared", reason=error.strerror)
        return None
    values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]
    return Path(folder)


def _hold(lock: Path) -> bool:
    """Lock a file for as long as this process, or one it forks, lives; False if another one has it."""
    opened = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(opened)
        return False
    return True


def _lane_families(figures: JobFigures) -> Iterator[Metric]:
    lanes = figures.lanes
    families: tuple[tuple[str, str, Mapping[Any, float]], ...] = (
        ("queue_depth", "Tasks that wait.", {lane: state.queued for lane, state in lanes.items()}),
        ("tasks_running", "Tasks in work.", {lane: state.running for lane, state in lanes.items()}),
        (
            "tasks_late",
            "Tasks that a worker has lost, and that are not taken back yet.",
            {lane: state.late for lane, state in lanes.items()},
        ),
        (
            "oldest_wait_seconds",
            "Since the oldest job with a waiting task was queued.",
            {lane: state.oldest_wait_s for lane, state in lanes.items()},
        ),
        ("workers", "Workers heard of lately.", figures.workers),
    )
    for name, told, by_lane in families:
        yield _gauges(f"fountain_{name}", told, "lane", by_lane)


def _gauges(name: str, told: str, label: str, found: Mapping[str, float]) -> Metric:
    from prometheus_client.metrics_core import GaugeMetricFamily

    family = GaugeMetricFamily(name, told, labels=(label,))
    for key, value in found.items():
        family.add_metric((key,), value)
    return family


def _tally_families(counted: Mapping[tuple[str, str], int]) -> Iterator[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily

    for what, (name, told, label) in _TALLIES.items():
        family = CounterMetricFamily(name, told, labels=(label,) if label else ())
        for (kind, found), value in counted.items():
            if kind == what.value:
                # Files are those of jobs: nothing else is counted in the database.
                family.add_metric((found or "job",) if label else (), value)
        yield family
