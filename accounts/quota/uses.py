"""Who uses most of the quotas now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, select

from accounts.quota.kinds import LEDGER, Kind, told, window_of
from accounts.tables import UseRow
from dali.clock import now_ms


@dataclass(frozen=True, slots=True)
class TopUse:
    """What one of those uses who use most, in the units of the kind; of a day, of this day."""

    kind: Kind
    subject: str
    used: float
    reserved: float


class TopUses:
    """Reads the ledger.

    Parameters
    ----------
    engine
        Of its database.
    """

    def __init__(self, engine: Engine) -> None:
        self._reading = engine.execution_options(single_reads=True)

    def top(self, most: int) -> Sequence[TopUse]:
        """List `most` for each kind, the largest first; whoever uses nothing is left out."""
        found = []
        with self._reading.connect() as connection:
            now = now_ms(connection)
            for kind in LEDGER:
                both = UseRow.used + UseRow.reserved
                statement = (
                    select(UseRow.subject, UseRow.used, UseRow.reserved)
                    .where(UseRow.kind == kind.value, UseRow.window == window_of(kind, now), both > 0)
                    .order_by(both.desc(), UseRow.subject)
                    .limit(most)
                )
                found += [
                    TopUse(kind, subject, told(kind, used), told(kind, reserved))
                    for subject, used, reserved in connection.execute(statement)
                ]
        return found
