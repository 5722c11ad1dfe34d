"""The reconciler: does what time does, and mends what was lost. Any number of them may run at once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Container, Iterable, Sequence
from functools import partial
from itertools import islice
from typing import TypeVar

from uws.bell import Bell
from uws.job import LANES, Lane
from uws.jobtype import JobTypes
from uws.packages.folder import PackageFolder
from uws.phase import Phase
from uws.results import ResultStore
from uws.settings import JobSettings
from uws.store.upkeep import Upkeep
from uws.trouble import Trouble
from uws.verdict import finish_with

#: A container that no row names may be one that is about to be named: only old ones are removed.
ORPHAN_AGE_S = 3600.0
#: Workers silent for so many leases are forgotten.
SILENT_LEASES = 20
#: So many jobs of the results store are looked up at a time.
JOBS_AT_ONCE = 200
#: Whoever is told to stop does not wait longer for files to be removed.
STOP_S = 2.0

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Reconciler:
    """Looks after tasks whose workers are lost, jobs whose time has come, rings and files.

    Parameters
    ----------
    upkeep
        What it asks of the database.
    results
        Where files are removed.
    bell
        Rung for tasks that wait, and told of jobs that end.
    types
        Decide how jobs end.
    settings
        How often, and how long.
    packages
        Packages of jobs, which go with them; None where there are none on this machine.
    others
        What else is done each time, with its name for the log.
    slow
        The same of what may have to wait, for mail servers and the like.
    """

    def __init__(
        self,
        upkeep: Upkeep,
        results: ResultStore,
        bell: Bell,
        types: JobTypes,
        settings: JobSettings,
        packages: PackageFolder | None = None,
        others: Sequence[tuple[str, Callable[[], object]]] = (),
        slow: Sequence[tuple[str, Callable[[], object]]] = (),
    ) -> None:
        self._upkeep = upkeep
        self._results = results
        self._bell = bell
        self._finish = finish_with(types)
        self._settings = settings
        self._packages = packages
        self._scan_at = 0.0
        self._job_steps = _steps(
            ("taking back tasks", self._reclaim),
            ("ending overdue jobs", self._end_overdue),
            ("destroying jobs", self._destroy),
            ("ringing", self._ring),
            ("forgetting workers", self._forget_workers),
            *others,
        )
        self._file_steps = _steps(("forgetting jobs", self._forget))
        self._scan_steps = _steps(("looking for orphans", self._scan))
        self._slow_steps = _steps(*slow)

    def run(self, stop: threading.Event) -> None:
        """Do everything again and again until `stop` is set.

        Files have a thread of their own, and so has what is slow: there may be very many, and their store may
        hang, but lost tasks are taken back in time.
        """
        beside = [
            threading.Thread(target=self._repeat, args=(once, stop), name=name, daemon=True)
            for name, once in (("files", self._look_after_files), ("slow", self._look_after_slow))
        ]
        for thread in beside:
            thread.start()
        self._repeat(self._look_after_jobs, stop)
        for thread in beside:
            thread.join(STOP_S)

    def once(self) -> None:
        """Do everything once; a step that fails does not keep the others from being taken."""
        self._look_after_jobs()
        self._look_after_files()
        self._look_after_slow()

    def _look_after_jobs(self) -> None:
        _take(self._job_steps)

    def _look_after_slow(self) -> None:
        _take(self._slow_steps)

    def _look_after_files(self) -> None:
        _take(self._file_steps)
        if time.monotonic() >= self._scan_at:
            self._scan_at = time.monotonic() + self._settings.orphan_scan_s
            _take(self._scan_steps)

    def _repeat(self, once: Callable[[], None], stop: threading.Event) -> None:
        while not stop.is_set():
            once()
            stop.wait(self._settings.reconcile_s)

    def _reclaim(self) -> None:
        settings = self._settings
        self._tell(self._upkeep.reclaim(settings.max_attempts, settings.back_off_s, self._finish))

    def _end_overdue(self) -> None:
        self._tell(self._upkeep.overdue())

    def _destroy(self) -> None:
        self._tell(self._upkeep.destroy_due())

    def _forget(self) -> None:
        """Remove the files of jobs that are gone, then the jobs."""
        _each(self._upkeep.to_forget(self._settings.grace_s), self._forget_job)

    def _forget_job(self, job_id: str) -> None:
        self._results.remove_job(job_id)
        if self._packages is not None:
            self._packages.forget(job_id)
        self._upkeep.forget(job_id)

    def _ring(self) -> None:
        """See that there are as many rings as there are tasks and workers for them."""
        _each(LANES, self._top_up)

    def _top_up(self, lane: Lane) -> None:
        workers = self._upkeep.live_workers(lane, self._settings.lease_s)
        if workers and (wanted := self._upkeep.claimable(lane, workers)):
            self._bell.top_up(lane, wanted)

    def _forget_workers(self) -> None:
        self._upkeep.forget_workers(SILENT_LEASES * self._settings.lease_s)

    def _scan(self) -> None:
        """Remove the files that no job knows."""
        jobs = iter(self._results.jobs())
        while some := list(islice(jobs, JOBS_AT_ONCE)):
            known = self._upkeep.known_jobs(some)
            _each(some, partial(self._scan_job, known))
        self._results.sweep_spool(ORPHAN_AGE_S)
        if self._packages is not None:
            self._packages.sweep()

    def _scan_job(self, known: Container[str], job_id: str) -> None:
        is_known = job_id in known
        ages = dict(self._results.objects(job_id))
        old = [container for container, age_s in ages.items() if age_s > ORPHAN_AGE_S]
        if not is_known and len(old) == len(ages):
            self._results.remove_job(job_id)
            _log.info("files of an unknown job are removed", extra={"job_id": job_id})
        if not is_known or not old:
            return
        # In this order: what was claimed before, and committed since, is in the ledger by now.
        running = tuple(f"{job_id}/{task_id}.{fence}" for task_id, fence in self._upkeep.running(job_id))
        named = self._upkeep.containers(job_id)
        for container in old:
            if container not in named and not _is_of(container, running):
                self._results.remove(container)
                _log.info("a file that no result names is removed", extra={"container": container})

    def _tell(self, ended: Iterable[tuple[str, Phase]]) -> None:
        for job_id, phase in ended:
            self._bell.tell(job_id, phase)


_Steps = Sequence[tuple[Trouble, Callable[[], object]]]


def _steps(*named: tuple[str, Callable[[], object]]) -> _Steps:
    return [(Trouble(what), step) for what, step in named]


def _take(steps: _Steps) -> None:
    for trouble, step in steps:
        try:
            step()
            trouble.over()
        except Exception as fault:
            trouble.say(fault)


def _is_of(container: str, claims: Iterable[str]) -> bool:
    """Whether a claim has made a container, or the folder it lies in."""
    return any(container.startswith((f"{claim}.zip", f"{claim}/", f"{claim}.work")) for claim in claims)


def _each(items: Iterable[T], do: Callable[[T], None]) -> None:
    """Do something with each of several, even if it fails with some; then raise what was raised last."""
    last: Exception | None = None
    for item in items:
        try:
            do(item)
        except Exception as fault:
            last = fault
    if last is not None:
        raise last
