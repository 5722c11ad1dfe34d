"""A row of the table of results, timing in turn, and the table itself."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

Better = Literal["faster", "rate", "within", "below"]


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: ours against a peer (or a limit), and the goal for their ratio.

    `better` says which way is good: "faster" means ratio = peer / ours and the goal is a lower bound;
    "rate" means ratio = ours / peer, also a lower bound; "within" the same, an upper bound; "below" means
    ours alone must stay under `goal`. A row with a `peer_name` and no `peer` was not measured: that program
    is not on this machine.
    """

    what: str
    ours: float
    peer: float | None
    unit: str
    peer_name: str
    better: Better
    goal: float

    @property
    def is_absent(self) -> bool:
        """Whether the peer is not there to be measured."""
        return self.peer is None and self.better != "below"

    @property
    def ratio(self) -> float:
        """How many times better than the peer; for "below" the share of the goal that is used."""
        if self.better == "below" or self.peer is None:
            return self.ours / self.goal
        return self.peer / self.ours if self.better == "faster" else self.ours / self.peer

    @property
    def reached(self) -> bool:
        """Whether the goal is reached, or cannot be judged here."""
        if self.is_absent:
            return True
        if self.better == "below":
            return self.ratio <= 1
        return self.ratio <= self.goal if self.better == "within" else self.ratio >= self.goal


def paired_ms(
    ours: Callable[[int], object], peer: Callable[[int], object], ours_runs: int, peer_runs: int
) -> tuple[float, float]:
    """Medians (ms) of two functions of a run number, measured in turn so that both see the same machine."""
    first, second = medians_ms((ours, ours_runs), (peer, peer_runs))
    return first, second


def medians_ms(
    *functions: tuple[Callable[[int], object], int], before: Callable[[], None] | None = None
) -> list[float]:
    """Medians (ms) of functions of a run number, each called so often, in turn.

    Parameters
    ----------
    functions
        Each with the number of its runs; one more run comes first and is not counted.
    before
        Is called before each run, and its time not counted.
    """
    spent: list[list[float]] = [[] for _ in functions]
    most = max(runs for _, runs in functions)
    for function, _ in functions:
        function(0)
    for run in range(most):
        for times, (function, runs) in zip(spent, functions, strict=True):
            if run * runs // most != (run + 1) * runs // most:  # spread evenly over all runs
                if before is not None:
                    before()
                times.append(_ms(function, run))
    return [statistics.median(times) for times in spent]


def _ms(function: Callable[[int], object], run: int) -> float:
    start = time.perf_counter()
    function(run)
    return 1e3 * (time.perf_counter() - start)


def markdown(rows: Sequence[Row]) -> str:
    """Write the results as a Markdown page, with the machine described."""
    lines = [
        "# Results of `make bench`",
        "",
        *machine(),
        "Medians; what is compared was measured in turn in one run. Read the ratios, not the times.",
        "",
        "| What | Ours | Peer | Ratio | Goal | |",
        "|---|---|---|---|---|---|",
        *map(_line, rows),
    ]
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    peer = "" if row.peer is None else f"{row.peer:.4g} {row.unit} ({row.peer_name})"
    ratio = "" if row.better == "below" else f"{row.ratio:.3g}"
    mark = "reached" if row.reached else "**missed**"
    if row.is_absent:
        peer, ratio, mark = f"{row.peer_name} is not present", "", ""
    goal = {"below": f"under {row.goal:g} {row.unit}", "within": f"at most {row.goal:g}"}.get(
        row.better, f"at least {row.goal:g}"
    )
    return f"| {row.what} | {row.ours:.4g} {row.unit} | {peer} | {ratio} | {goal} | {mark} |"


def machine() -> tuple[str, str]:
    """Describe the machine and the libraries, a line each."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or "unknown processor",
    )
    cores = sum(line.startswith("processor") for line in _lines("/proc/cpuinfo"))
    memory = next(
        (int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0
    )
    system = f"{platform.system()} {platform.release()}"
    return (
        f"{cores} x {cpu}, {memory / 2**20:.0f} GiB of memory, {system}.",
        f"Python {platform.python_version()}, numpy {version('numpy')}, astropy {version('astropy')}.",
    )


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []
