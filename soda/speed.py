"""How long a cutout takes on this site: its price, by what was learned of such ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from soda.price import kind_of, seconds_of
from surveys.image import ImageRecord
from surveys.plan import CutoutPlan
from uws.pace import TASK_S, Known, expected, task_key


class Speeds:
    """Tells how long cutouts take.

    Parameters
    ----------
    known
        What was learned so far.
    max_seconds
        The longest that sync makes a client wait for one; 0 is for ever.
    """

    def __init__(self, known: Callable[[], Known], max_seconds: float) -> None:
        self._known = known
        self.max_seconds = max_seconds

    def p90(self, plan: CutoutPlan, records: Sequence[ImageRecord], *, by_worker: bool = True) -> float:
        """Tell within how many seconds nine of ten such cutouts are made.

        A worker takes a task beside it, and may have had to start for that; the web server does not.
        """
        kind, known = kind_of(plan), self._known()
        beside_s = TASK_S * expected(task_key(kind), known).quantile(0.9) if by_worker else 0.0
        return beside_s + seconds_of(plan, records) * expected(kind, known).quantile(0.9)

    def is_too_slow(self, seconds: float) -> bool:
        """Whether sync does not make it."""
        return 0 < self.max_seconds < seconds
