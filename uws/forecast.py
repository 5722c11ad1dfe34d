"""When a job will end: its work, as it is predicted and as such work turned out, and what goes before it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from uws.pace import Expected, Known, expected, job_key, start_key, task_key, task_s

#: From when a job is queued until a worker that waits for work has its first task.
START_S = 0.05
#: What a machine that has something else to do may add to anything: nothing is promised more exactly.
NOISE_S = 0.05


@dataclass(frozen=True, slots=True)
class Queue:
    """What goes before a job.

    Parameters
    ----------
    jobs
        How many.
    wait_s
        How long their work takes those who do it, before the first of them is free.
    workers
        Who will do the tasks of the job, once it is its turn; 1 at least.
    serving
        How many of the workers are known to live.
    urgent_s
        How long they have to do with the other lane, which goes first, but for a task every `turn_s`.
    """

    jobs: int = 0
    wait_s: float = 0.0
    workers: int = 1
    serving: int = 0
    urgent_s: float = 0.0
    turn_s: float = 10.0

    def passed_over_s(self, tasks: int) -> float:
        """Tell how much later so many tasks end as the other lane goes first."""
        return min(self.urgent_s, math.ceil(tasks / self.workers) * self.turn_s)


class Share(NamedTuple):
    """What a job has of one kind of work: seconds of all rows, tasks, and the seconds of the longest."""

    seconds: float = 0.0
    tasks: int = 0
    longest_s: float = 0.0

    def and_task(self, seconds: float) -> Share:
        """Add a task."""
        return Share(self.seconds + seconds, self.tasks + 1, max(self.longest_s, seconds))


@dataclass(frozen=True, slots=True)
class Run:
    """How long work takes.

    Parameters
    ----------
    seconds
        From the start to the end, done by all workers.
    work_s
        Done by one.
    runs
        How many past tasks of its kinds this rests on.
    """

    seconds: float
    work_s: float
    runs: int


@dataclass(frozen=True, slots=True)
class Workload:
    """The work of a job, as it is predicted without knowledge of the site.

    Parameters
    ----------
    shares
        By kind.
    split
        What one worker does before there are tasks.
    size
        Bytes that will come of it.
    """

    shares: Mapping[str, Share]
    split: Expected | None = None
    size: int = 0

    @classmethod
    def of(cls, tasks: Iterable[Expected], split: Expected | None = None) -> Workload:
        """Sum up tasks."""
        shares: dict[str, Share] = {}
        size = 0
        for task in tasks:
            shares[task.key] = shares.get(task.key, Share()).and_task(task.seconds)
            size += task.size
        return cls(shares, split, size)

    @property
    def tasks(self) -> int:
        """Number of tasks."""
        return sum(share.tasks for share in self.shares.values())

    def run(self, known: Known, workers: int) -> Run:
        """Tell how long it takes here."""
        work_s, longest_s, runs = 0.0, 0.0, 0
        for key, share in self.shares.items():
            ratio, beside_s = expected(key, known), task_s(key, known)
            middle = ratio.middle
            work_s += share.seconds * middle + share.tasks * beside_s
            longest_s = max(longest_s, share.longest_s * middle + beside_s)
            runs += ratio.runs + expected(task_key(key), known).runs
        seconds = spread_over(work_s, longest_s, self.tasks, workers)
        if self.split is not None:
            key = self.split.key
            split_s = self.split.seconds * expected(key, known).middle + task_s(key, known)
            seconds, work_s = seconds + split_s, work_s + split_s
        return Run(seconds, work_s, runs)

    def to_json(self) -> dict[str, Any]:
        """As a job keeps it."""
        shares = {
            key: [round(share.seconds, 4), share.tasks, round(share.longest_s, 4)]
            for key, share in self.shares.items()
        }
        split = None if self.split is None else [self.split.key, round(self.split.seconds, 4)]
        return {"shares": shares, "split": split}

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Workload:
        """Read what `to_json` wrote."""
        split = None if written["split"] is None else Expected(*written["split"])
        return cls({key: Share(*values) for key, values in written["shares"].items()}, split)


@dataclass(frozen=True, slots=True)
class Forecast:
    """When a job starts and ends, in seconds from now.

    Parameters
    ----------
    start_s, p50_s, p90_s
        When it starts, when it ends as likely as not, and by when nine of ten have ended.
    wait_s
        What was predicted of its start: how long it really waits is told as a ratio to this.
    delay_s
        So much longer its run takes, as others go first meanwhile.
    run
        What its work takes.
    """

    start_s: float
    p50_s: float
    p90_s: float
    wait_s: float
    delay_s: float
    run: Run


def forecast(kind: str, work: Workload, queue: Queue, known: Known, *, begun: bool = False) -> Forecast:
    """Tell when a job will end.

    Parameters
    ----------
    kind
        Type of the job.
    work
        What there is to do.
    queue
        What goes before it.
    known
        What was learned so far.
    begun
        It has begun: a worker that is free takes its tasks at once.
    """
    run = work.run(known, queue.workers)
    before_first_s = queue.passed_over_s(1)
    delay_s = max(0.0, queue.passed_over_s(work.tasks) - before_first_s)
    wait_s = queue.wait_s + before_first_s + (0.0 if begun else START_S)
    run_s = run.seconds + delay_s
    start, job = expected(start_key(wait_s), known), expected(job_key(kind, run_s), known)
    start_s = wait_s * start.quantile(0.5)
    p90_s = wait_s * start.quantile(0.9) + run_s * job.quantile(0.9) + NOISE_S
    return Forecast(start_s, start_s + run_s * job.quantile(0.5), p90_s, wait_s, delay_s, run)


def spread_over(work_s: float, longest_s: float, tasks: int, workers: int) -> float:
    """Tell how long some workers take: in the end some have nothing to do while others finish."""
    share_s = work_s / workers
    if tasks > workers:
        share_s += longest_s / 2 * (workers - 1) / workers
    return max(longest_s, share_s)
