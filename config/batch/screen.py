"""What people see: tables and bars at a terminal, plain lines elsewhere.

What is found out goes to standard output; what is on its way goes to standard error.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from config.batch.estimate import Estimate
from config.batch.faults import FAILED, OK, ROWS_FAILED
from config.batch.job import JobState
from config.batch.outcome import NAMED, Outcome

#: Faults and reasons that are shown.
SHOWN = 8
#: Without a terminal a line of progress comes so often.
PLAIN_S = 10.0
#: And at a terminal the bar moves so often, or is asked to.
BAR_S = 1.0

#: Statuses in words, in the order in which they are shown.
STATUSES = {
    "ok": "ok",
    "clipped": "clipped",
    "no_overlap": "no overlap",
    "no_rights": "no rights",
    "failed": "failed",
    "poison": "crashed",
}
_STYLES = {"ok": "green", "clipped": "yellow", "no_overlap": "yellow"}


class Screen:
    """Shows what a run comes to."""

    def __init__(self) -> None:
        self._out = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self._err = Console(file=sys.stderr, highlight=False, soft_wrap=True)

    @property
    def is_interactive(self) -> bool:
        """Whether people look at it."""
        return self._err.is_terminal

    @property
    def every_s(self) -> float:
        """How often progress is to be told."""
        return BAR_S if self.is_interactive else PLAIN_S

    def say(self, text: str, style: str = "") -> None:
        """Say something on standard output."""
        self._out.print(text, style=style or None, markup=False)

    def note(self, text: str, style: str = "") -> None:
        """Say on standard error what happens."""
        self._err.print(text, style=style or None, markup=False)

    def show_estimate(self, estimate: Estimate) -> None:
        """Show an estimate, and the first faults."""
        table = _facts("Estimate")
        if estimate.targets is not None and estimate.targets != estimate.total:
            table.add_row("targets", f"{estimate.targets:,}")
        table.add_row("rows", _rows(estimate))
        if estimate.verdicts:
            words = {"covered": "covered", "partial": "at an edge", "outside": "no data there"}
            words |= {"no_rights": "no rights", "band_missing": "no such band", "unknown": "not known yet"}
            told = [
                f"{estimate.verdicts[key]:,} {word}"
                for key, word in words.items()
                if estimate.verdicts.get(key)
            ]
            table.add_row("footprint", ", ".join(told) or "nothing")
        if estimate.cutouts is not None:
            images = "" if estimate.images is None else f" from {_count(estimate.images, 'image')}"
            table.add_row("cutouts", f"{estimate.cutouts:,}{images}, {size_text(estimate.size or 0)}")
        if estimate.p50_s is not None and estimate.p90_s is not None:
            table.add_row("time", f"{span_text(estimate.p50_s, estimate.p90_s)}, {_runs(estimate.runs)}")
        if estimate.start_s is not None:
            table.add_row("start", _start(estimate))
        if estimate.expiry:
            table.add_row("kept until", moment_text(estimate.expiry))
        self._out.print(table)
        self._show_faults(estimate)
        if estimate.refused:
            self.say(f"It would not be taken: {estimate.refused}", "red")

    def _show_faults(self, estimate: Estimate) -> None:
        errors = sorted(estimate.faults, key=lambda fault: fault.is_warning)
        for fault in errors[:SHOWN]:
            self.say(f"  {fault.place}: {fault.reason}", "yellow" if fault.is_warning else "red")
        more = len(errors) - len(errors[:SHOWN]) + estimate.more_faults
        if more:
            self.say(f"  and {_count(more, 'more row')} with something to say about")

    def show_outcome(self, state: JobState, outcome: Outcome, expected: Estimate | None) -> None:
        """Show what became of a list."""
        status = ROWS_FAILED if outcome.failed else OK
        self._show_phase(state, expected, "yellow" if status else "green")
        table = _facts()
        table.columns[1].justify = "right"
        known = [name for name in STATUSES if outcome.statuses.get(name)]
        for name in [*known, *(name for name in outcome.statuses if name not in STATUSES)]:
            style = _STYLES.get(name, "red")
            table.add_row(STATUSES.get(name, name), f"[{style}]{outcome.statuses[name]:,}[/]")
        self._out.print(table)
        for reason in outcome.reasons[:SHOWN]:
            more = "" if reason.count <= NAMED else ", …"
            rows = f"row{'s' if reason.count > 1 else ''} {', '.join(reason.rows)}{more}"
            self.say(f"  {reason.count:,} × {reason.sentence} ({rows})", "red")
        if len(outcome.reasons) > SHOWN:
            self.say(f"  and {_count(len(outcome.reasons) - SHOWN, 'more reason')}: see the manifest")

    def show_failure(self, state: JobState) -> None:
        """Say that a job has not come to its end."""
        self._show_phase(state, None, "red")
        if state.message:
            self.say(state.message, "red")

    def _show_phase(self, state: JobState, expected: Estimate | None, style: str) -> None:
        took = "" if state.seconds is None else f" after {duration_text(state.seconds)}"
        if expected is not None and expected.p50_s is not None and expected.p90_s is not None:
            took += f" (expected {span_text(expected.p50_s, expected.p90_s)})"
        self._out.print(f"[{style} bold]{state.phase}[/]{took}")

    @contextmanager
    def rows(self) -> Iterator[Callable[[JobState], None]]:
        """Show how far a job is; give what is told its state."""
        if not self.is_interactive:
            yield _Lines(self.note).state
            return
        columns = (TextColumn("{task.description:<16}"), BarColumn(), MofNCompleteColumn())
        with self._bar(*columns, TextColumn("{task.fields[counts]}"), TimeRemainingColumn()) as bar:
            task = bar.add_task("asking", total=None, counts="")

            def told(state: JobState) -> None:
                rows = state.rows
                counts = f"[green]{rows.done:,} ok[/]"
                counts += f"  [yellow]{rows.empty:,} no overlap[/]" if rows.empty else ""
                counts += f"  [red]{rows.failed:,} failed[/]" if rows.failed else ""
                bar.update(
                    task,
                    description=_stage(state),
                    total=rows.total or None,
                    completed=rows.ended,
                    counts=counts if rows.ended else "",
                )

            yield told

    @contextmanager
    def amount(self, title: str, *, is_bytes: bool) -> Iterator[Callable[[int, int], None]]:
        """Show how much has been done; give what is told how much, and of how much."""
        if not self.is_interactive:
            yield _Lines(self.note).amount(title, is_bytes=is_bytes)
            return
        amounts: tuple[Any, ...] = (
            (DownloadColumn(), TransferSpeedColumn()) if is_bytes else (MofNCompleteColumn(),)
        )
        with self._bar(
            TextColumn("{task.description:<16}"), BarColumn(), *amounts, TimeRemainingColumn()
        ) as bar:
            task = bar.add_task(title, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total or None)

    def _bar(self, *columns: Any) -> Progress:
        return Progress(*columns, console=self._err, transient=True)


class _Lines:
    """Progress as lines, not too many of them."""

    def __init__(self, note: Callable[[str], object]) -> None:
        self._note = note
        self._said = ""
        self._next = 0.0

    def state(self, state: JobState) -> None:
        rows = state.rows
        counts = f" {rows.ended:,} of {rows.total:,} rows" if rows.total else ""
        counts += f", {rows.empty:,} no overlap" if rows.empty else ""
        counts += f", {rows.failed:,} failed" if rows.failed else ""
        self._say(f"{state.phase}{counts}")

    def amount(self, title: str, *, is_bytes: bool) -> Callable[[int, int], None]:
        form = size_text if is_bytes else "{:,}".format

        def told(done: int, total: int) -> None:
            is_end = bool(total) and done >= total
            if is_end or time.monotonic() >= self._next:
                self._next = time.monotonic() + PLAIN_S
                self._say(f"{title}: {form(done)}" + (f" of {form(total)}" if total else ""))

        return told

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._note(text)


def size_text(size: int) -> str:
    """Bytes for people: ``45.2 MB``."""
    amount = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000.0:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000.0
    return f"{amount:.1f} TB"


def duration_text(seconds: float) -> str:
    """Time for people: ``12 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s" if seconds >= 0.05 else "no time"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def span_text(least_s: float, most_s: float) -> str:
    """Span of time for people."""
    least, most = duration_text(least_s), duration_text(most_s)
    return most if least == most else f"{least} to {most}"


def moment_text(moment: str) -> str:
    """Moment of a service for people."""
    return f"{moment[:16].replace('T', ' ')} UTC" if len(moment) >= 16 else moment


def status_of(state: JobState, outcome: Outcome | None) -> int:
    """Exit status of a run that has come to its end."""
    if state.phase != "COMPLETED" or outcome is None:
        return FAILED
    return ROWS_FAILED if outcome.failed else OK


def _facts(title: str = "") -> Table:
    table = Table(box=None, show_header=False, title=title or None, title_justify="left", pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    return table


def _rows(estimate: Estimate) -> str:
    if estimate.ok is None:
        return f"{estimate.total:,}" if estimate.total is not None else "unknown"
    parts = [f"[green]{estimate.ok:,} ok[/]"]
    if estimate.warned:
        parts.append(f"[yellow]{estimate.warned:,} with a warning[/]")
    if estimate.rejected:
        parts.append(f"[red]{estimate.rejected:,} rejected[/]")
    return ", ".join(parts) + (f" of {estimate.total:,}" if estimate.total is not None else "")


def _runs(runs: int | None) -> str:
    return f"from {_count(runs, 'past run')}" if runs else "from the model alone: no past run yet"


def _start(estimate: Estimate) -> str:
    before = f", {_count(estimate.position, 'job')} before it" if estimate.position else ""
    start_s = estimate.start_s or 0.0
    return ("at once" if start_s < 1.0 else f"in about {duration_text(start_s)}") + before


def _stage(state: JobState) -> str:
    match state.phase:
        case "EXECUTING":
            return "cutting" if state.rows.total else "reading the list"
        case phase if state.is_over:
            return phase.lower()
        case phase:
            return phase.lower()


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
