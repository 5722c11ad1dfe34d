"""What a worker counts. The database keeps the sums, so that every web server can tell them, on any host."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum

from uws.job import Settlement


class Counted(StrEnum):
    """What is counted; some by a label."""

    ROWS = "rows"  # that ended, by status
    FILES = "files"
    BYTES = "bytes"  # of those files
    TASKS = "tasks"  # that were settled
    RETRIES = "retries"  # parts of tasks queued again
    LOST_CLAIMS = "lost_claims"  # tasks found in other hands
    CHILD_DEATHS = "child_deaths"  # by what ended the process: a signal, or a limit


class Tally:
    """Counts kept until the next heartbeat stores them; what a worker counted since then dies with it.

    Any thread may count.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, what: Counted, label: str = "", amount: int = 1) -> None:
        """Count something; labels must be few."""
        with self._lock:
            self._counts[what.value, label] += amount

    def settled(self, settlement: Settlement) -> None:
        """Count a task whose settlement is committed."""
        files = [file for report in settlement.reports for file in report.files]
        counts = Counter((Counted.ROWS.value, report.status.value) for report in settlement.reports)
        counts[Counted.TASKS.value, ""] = 1
        counts[Counted.RETRIES.value, ""] = len(settlement.retries)
        counts[Counted.FILES.value, ""] = len(files)
        counts[Counted.BYTES.value, ""] = sum(file.size for file in files)
        with self._lock:
            self._counts.update(counts)

    def store(self, count: Callable[[Mapping[tuple[str, str], int]], None]) -> None:
        """Hand what was counted to `count` (`Upkeep.count`); if that raises, it is kept for the next time."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        try:
            count(+counts)
        except BaseException:
            with self._lock:
                self._counts.update(counts)
            raise
