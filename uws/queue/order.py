"""The order in which jobs that wait will have their turn, as far as it can be foreseen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from uws.store.queues import Waiting
from uws.store.turns import AGEING_MS


def in_order(waiting: Iterable[Waiting], busy: Mapping[str, int], now_ms: int) -> list[Waiting]:
    """Sort jobs by when it is their turn.

    Parameters
    ----------
    waiting
        Jobs of one lane.
    busy
        Running tasks by owner.
    now_ms
        By the clock of the jobs.

    Notes
    -----
    `uws.store.turns.best_jobs` names the next; which one comes after that depends on what runs then. Here
    each owner's second job is taken to wait until those of others are served who have as much as he has with
    his first.
    """
    by_owner: dict[tuple[int, str], list[Waiting]] = defaultdict(list)
    for job in waiting:
        by_owner[_rank(job, busy, now_ms), job.owner].append(job)
    keyed = []
    for (rank, owner), jobs in by_owner.items():
        for number, job in enumerate(sorted(jobs, key=lambda job: _own_order(job, now_ms))):
            has_then = (busy.get(owner, 0) + number) / job.share
            keyed.append(((rank, has_then, _own_order(job, now_ms)), job))
    return [job for _, job in sorted(keyed, key=lambda pair: pair[0])]


def _rank(job: Waiting, busy: Mapping[str, int], now_ms: int) -> int:
    if busy.get(job.owner):
        return job.rank
    return max(0, job.rank - max(0, now_ms - job.turn_ms) // AGEING_MS)


def _own_order(job: Waiting, now_ms: int) -> tuple[bool, int, int, str]:
    """Order of jobs of one owner: those that have waited, then the small ones."""
    has_waited = now_ms - job.turn_ms > AGEING_MS
    return not has_waited, job.turn_ms if has_waited else job.total, job.created_ms, job.job_id
