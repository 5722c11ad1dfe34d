"""A row of the table of results, paired timing, and the table itself."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: ours against a peer (or a limit), and the goal for their ratio.

    `better` says which way is good: "faster" means ratio = peer / ours and the goal is a lower bound;
    "rate" means ratio = ours / peer, also a lower bound; "below" means ours alone must stay under `goal`.
    """

    what: str
    ours: float
    peer: float | None
    unit: str
    peer_name: str
    better: str
    goal: float

    @property
    def ratio(self) -> float:
        """How many times better than the peer; for "below" the share of the goal that is used."""
        if self.better == "below" or self.peer is None:
            return self.ours / self.goal
        return self.peer / self.ours if self.better == "faster" else self.ours / self.peer

    @property
    def reached(self) -> bool:
        """Whether the goal is reached."""
        return self.ratio <= 1 if self.better == "below" else self.ratio >= self.goal


def paired_ms(
    ours: Callable[[int], object], peer: Callable[[int], object], ours_runs: int, peer_runs: int
) -> tuple[float, float]:
    """Medians (ms) of two functions of a run number, measured in turn so that both see the same machine."""
    spent: tuple[list[float], list[float]] = ([], [])
    every = max(1, ours_runs // peer_runs)
    ours(0), peer(0)
    for run in range(ours_runs):
        spent[0].append(_ms(ours, run))
        if run % every == 0:
            spent[1].append(_ms(peer, run))
    return statistics.median(spent[0]), statistics.median(spent[1])


def _ms(function: Callable[[int], object], run: int) -> float:
    start = time.perf_counter()
    function(run)
    return 1e3 * (time.perf_counter() - start)


def markdown(rows: Sequence[Row]) -> str:
    """Write the results as a Markdown page, with the machine described."""
    lines = [
        "# Results of `make bench`",
        "",
        f"{_machine()}.",
        f"Python {platform.python_version()}, numpy {version('numpy')}, astropy {version('astropy')}.",
        "Medians; what is compared was measured in turn in one run. Read the ratios, not the times.",
        "",
        "| What | Ours | Peer | Ratio | Goal | |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        peer = "" if row.peer is None else f"{row.peer:.4g} {row.unit} ({row.peer_name})"
        goal = f"under {row.goal:g} {row.unit}" if row.better == "below" else f"at least {row.goal:g}"
        ratio = "" if row.better == "below" else f"{row.ratio:.3g}"
        mark = "reached" if row.reached else "**missed**"
        lines.append(f"| {row.what} | {row.ours:.4g} {row.unit} | {peer} | {ratio} | {goal} | {mark} |")
    return "\n".join(lines) + "\n"


def _machine() -> str:
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or "unknown processor",
    )
    cores = sum(line.startswith("processor") for line in _lines("/proc/cpuinfo"))
    memory = next(
        (int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0
    )
    return f"{cores} x {cpu}, {memory / 2**20:.0f} GiB of memory, {platform.system()} {platform.release()}"


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []
