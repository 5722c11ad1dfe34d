"""The ledger of quotas in the database: what is used, and what jobs have reserved.

Of each subject (`user:…`, `group:…`, or all whom nobody knows) and kind a row has both sums. To reserve is
one UPDATE that holds only if the limit does: whoever comes at the same time waits for the row, and then sees
it as it is. Rows are locked in one order: users before groups, then by name, then by kind.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from sqlalchemy import Connection, Engine, delete, insert, select

from accounts.quota.kinds import DAY_MS, LEDGER, Amounts, Kind, subject_of, told, window_of
from accounts.quota.limits import Limits
from accounts.quota.outcomes import Outcome, Outcomes
from accounts.quota.records import insert_executions
from accounts.quota.standing import Standing, exceeded, standing_of
from accounts.quota.sums import ADD, RESERVED, USED, Changes, give_up, grow, is_row, place, reservation, take
from accounts.tables import ReservationRow, UseRow
from dali.caller import Caller
from dali.clock import now_ms
from dali.errors import QuotaExceeded

#: So many jobs are settled in a transaction.
AT_ONCE = 100
#: Days that are over are kept so long.
KEPT_DAYS = 7

#: What is used by subject and kind.
Counts: TypeAlias = Mapping[tuple[str, Kind], int]


class Ledger:
    """Keeps count.

    Parameters
    ----------
    engine
        Its database.
    limits
        Who may use how much.
    outcomes
        What became of jobs.
    """

    def __init__(self, engine: Engine, limits: Limits, outcomes: Outcomes) -> None:
        self._reading = engine.execution_options(single_reads=True)
        self._writing = engine.execution_options(writes=True)
        self._limits = limits
        self._outcomes = outcomes

    def reserve(
        self,
        connection: Connection,
        job_id: str,
        caller: Caller,
        need: Amounts,
        kinds: Collection[Kind] = LEDGER,
    ) -> None:
        """Reserve what a job needs of some kinds, for its owner and for the owner's groups.

        Raises
        ------
        QuotaExceeded
            If there is not as much: the transaction must not be committed.
        """
        self._limits.refresh(connection)
        if (fault := self._too_many(caller, need)) is not None:
            raise fault
        now, reserved = now_ms(connection), []
        for subject, limits in self._payers(caller):
            for kind, amount in need.items():
                # Groups have rows only where they have limits.
                if kind not in kinds or (kind not in limits and subject.startswith("group:")):
                    continue
                window, limit = window_of(kind, now), limits.get(kind, 0)
                if not take(connection, subject, kind, window, amount, limit):
                    raise self._exceeded(connection, subject, kind, window, limit, amount, now)
                reserved.append(reservation(job_id, subject, kind, window, amount, RESERVED))
        connection.execute(insert(ReservationRow), reserved)

    def refusal(self, caller: Caller, need: Amounts, standings: Iterable[Standing]) -> QuotaExceeded | None:
        """Tell why a job would be refused, as its quotas stand."""
        needed = dict(need.items())
        too_little = (
            exceeded(one, told(one.kind, needed[one.kind]))
            for one in standings
            if one.limit and one.used + one.reserved + told(one.kind, needed[one.kind]) > one.limit
        )
        return self._too_many(caller, need) or next(too_little, None)

    def settle(self, caller: Caller) -> bool:
        """Settle the jobs that have ended of a caller and its groups; whether there were any."""
        subjects = [subject for subject, _ in self._payers(caller)]
        return sum(self._settle(subject) + self._release(subject) for subject in subjects) > 0

    def settle_all(self) -> int:
        """Settle whatever jobs have ended; return how many there were, once for each subject."""
        return sum(map(self._settle, self._subjects(RESERVED)))

    def release_all(self) -> int:
        """Give back what results have held that are not kept any more; return of how many jobs."""
        return sum(map(self._release, self._subjects(USED)))

    def forget_days(self) -> None:
        """Remove the counts of days that are long over."""
        with self._writing.begin() as connection:
            oldest = window_of(Kind.CUTOUTS, now_ms(connection) - KEPT_DAYS * DAY_MS)
            connection.execute(delete(UseRow).where(UseRow.window != "", UseRow.window < oldest))

    def add(self, connection: Connection, counts: Counts) -> None:
        """Count what was used without having been reserved."""
        now = now_ms(connection)
        for (subject, kind), amount in sorted(counts.items(), key=lambda item: place(*item[0])):
            if amount:
                values = {"subject": subject, "kind": kind.value, "window": window_of(kind, now)}
                connection.execute(ADD, {**values, "amount": amount})

    def standings(self, caller: Caller) -> Sequence[Standing]:
        """Tell how much is used of what a caller and its groups may use, as it is written down."""
        with self._reading.connect() as connection:
            self._limits.refresh(connection)
            now = now_ms(connection)
            return [
                one
                for subject, limits in self._payers(caller)
                for one in _standings(connection, subject, limits, now)
            ]

    def _too_many(self, caller: Caller, need: Amounts) -> QuotaExceeded | None:
        most = self._limits.one(caller, Kind.ROWS)
        if not most or need.cutouts <= most:
            return None
        return QuotaExceeded(
            f"this job asks for {need.cutouts} cutouts; one job of yours has at most {most}",
            "Send several jobs, each with some of them.",
        )

    def _payers(self, caller: Caller) -> Iterator[tuple[str, Mapping[Kind, int]]]:
        """Give everybody whose quota a caller uses, with the limits, in the order of locks."""
        yield subject_of(caller), self._limits.of(caller)
        for group, limits in self._limits.of_groups(caller).items():
            yield f"group:{group}", limits

    def _subjects(self, state: str) -> Sequence[str]:
        statement = select(ReservationRow.subject).where(ReservationRow.state == state).distinct()
        with self._reading.connect() as connection:
            return connection.execute(statement).scalars().all()

    def _jobs(self, subject: str, state: str) -> Iterator[Mapping[str, Mapping[Kind, int]]]:
        """Give the jobs that have reserved something, some at a time, with what they have."""
        statement = (
            select(ReservationRow.job_id, ReservationRow.kind, ReservationRow.amount)
            .where(ReservationRow.subject == subject, ReservationRow.state == state)
            .order_by(ReservationRow.job_id)
        )
        with self._reading.connect() as connection:
            rows = connection.execute(statement).all()
        found: dict[str, dict[Kind, int]] = {}
        for job_id, kind, amount in rows:
            found.setdefault(job_id, {})[Kind(kind)] = amount
        for start in range(0, len(found), AT_ONCE):
            yield dict(list(found.items())[start : start + AT_ONCE])

    def _settle(self, subject: str) -> int:
        """Settle the jobs of one subject that have ended; return how many there were.

        Each subject has transactions of its own, in which reservations are locked before sums; who reserves
        waits for no reservation.
        """
        settled = 0
        for jobs in self._jobs(subject, RESERVED):
            # What has ended stays as it is, so it is looked at before anybody is kept waiting.
            ended = self._outcomes.ended(jobs)
            needs = self._outcomes.needs([job_id for job_id in jobs if job_id not in ended])
            grown = [
                (job_id, kind, jobs[job_id][kind], amount)
                for job_id, need in needs.items()
                for kind, amount in need.items()
                if amount > jobs[job_id].get(kind, amount)
            ]
            if not ended and not grown:
                continue
            with self._writing.begin() as connection:
                changes = Changes(subject)
                for job_id in sorted(ended):
                    settled += _settle_job(connection, changes, job_id, ended[job_id])
                for growth in sorted(grown):
                    grow(connection, changes, *growth)
                changes.write(connection)
        return settled

    def _release(self, subject: str) -> int:
        released = 0
        for jobs in self._jobs(subject, USED):
            gone = self._outcomes.gone(jobs)
            if not gone:
                continue
            with self._writing.begin() as connection:
                changes = Changes(subject)
                for job_id in sorted(gone):
                    for kind, window, amount in give_up(connection, subject, job_id, USED):
                        changes.add(kind, window, used=-amount)
                        released += 1
                changes.write(connection)
        return released

    def _exceeded(
        self,
        connection: Connection,
        subject: str,
        kind: Kind,
        window: str,
        limit: int,
        amount: int,
        now: int,
    ) -> QuotaExceeded:
        found = connection.execute(
            select(UseRow.used, UseRow.reserved).where(*is_row(subject, kind, window))
        ).one_or_none()
        used, reserved = (0, 0) if found is None else found
        return exceeded(standing_of(subject, kind, used, reserved, limit, now), told(kind, amount))


def _settle_job(connection: Connection, changes: Changes, job_id: str, outcome: Outcome) -> bool:
    """Give back what a job has reserved, and write down what it has used; False if others have done so."""
    reserved = give_up(connection, changes.subject, job_id, RESERVED)
    used = dict(outcome.used.items())
    for kind, window, amount in reserved:
        is_held = kind is Kind.BYTES
        still_used = used[kind] if outcome.is_kept or not is_held else 0
        changes.add(kind, window, used=still_used, reserved=-amount)
        if is_held and still_used:
            held = reservation(job_id, changes.subject, kind, window, still_used, USED)
            connection.execute(insert(ReservationRow), held)
    # What was done is recorded once, whoever else pays for it.
    if reserved and not changes.subject.startswith("group:"):
        insert_executions(connection, outcome.executions)
    return bool(reserved)


def _standings(
    connection: Connection, subject: str, limits: Mapping[Kind, int], now: int
) -> Iterable[Standing]:
    windows = {window_of(kind, now) for kind in LEDGER}
    rows = connection.execute(
        select(UseRow.kind, UseRow.window, UseRow.used, UseRow.reserved).where(
            UseRow.subject == subject, UseRow.window.in_(windows)
        )
    ).all()
    found = {(kind, window): (used, reserved) for kind, window, used, reserved in rows}
    for kind in LEDGER:
        if kind in limits or not subject.startswith("group:"):
            used, reserved = found.get((kind.value, window_of(kind, now)), (0, 0))
            yield standing_of(subject, kind, used, reserved, limits.get(kind, 0), now)
