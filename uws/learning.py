"""What a worker learns of how long tasks and jobs take, and says anew of a job that it has split."""

from __future__ import annotations

from sqlalchemy import Engine

from uws.job import Claim, RowStatus, Settlement
from uws.pace import Observations, expectation_of, job_key, lesson, start_key
from uws.phase import Phase
from uws.planning import foresee
from uws.settings import JobSettings
from uws.store.pace import Paces


class Learner:
    """Notes how long things took, and stores that now and then.

    Parameters
    ----------
    engine
        Database of the jobs.
    settings
        How many workers there are.
    """

    def __init__(self, engine: Engine, settings: JobSettings) -> None:
        self._paces = Paces(engine)
        self._settings = settings
        self._observations = Observations()

    def settled(
        self, claim: Claim, settlement: Settlement, phase: Phase, took_s: float, *, is_cold: bool
    ) -> None:
        """Note how long a task took, and its job if that has ended with it; look ahead if it was a split.

        `is_cold`: it was the first of its process, which tells nothing of others.
        """
        was_done = all(report.status in (RowStatus.DONE, RowStatus.EMPTY) for report in settlement.reports)
        told = expectation_of(claim.rows, claim.common)
        # Nor does what failed, or is done again in parts.
        if told is not None and was_done and not settlement.retries and not is_cold:
            self._observations.add(*lesson(told, took_s, self._paces.known()))
        if phase is Phase.COMPLETED and not is_cold:
            self._ended(claim)
        elif phase is Phase.EXECUTING and settlement.split is not None:
            foresee(self._paces, self._settings, claim.job_id, begun=True)

    def store(self) -> None:
        """Store what was noted; if that raises, it is kept for the next time."""
        self._observations.store(self._paces.count)

    def _ended(self, claim: Claim) -> None:
        if (seen := self._paces.job(claim.job_id)) is not None:
            # By what is known now: what was learned of its tasks is not to be told of the job once more.
            run_s = seen.work.run(self._paces.known(), seen.workers).seconds + seen.delay_s
            self._observations.add(job_key(claim.job_type, run_s), run_s, seen.ran_s)
            self._observations.add(start_key(seen.wait_s), seen.wait_s, seen.waited_s)
