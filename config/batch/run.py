"""The way through: estimate, submit, wait, download, and say what became of it."""

from __future__ import annotations

import csv
import shlex
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

import click

from config.batch import archive
from config.batch.asked import Earlier, Output, is_used
from config.batch.download import Download
from config.batch.estimate import Estimate, ask_estimate
from config.batch.faults import FAILED, INTERRUPTED, OK, USAGE, BatchFault, NotThere, Refused
from config.batch.files import fetch_files
from config.batch.job import JobState, RemoteJob
from config.batch.memory import Memory, Remembered, digest_of
from config.batch.outcome import Outcome, outcome_of
from config.batch.screen import Screen, size_text, status_of
from config.batch.service import Service, shown


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done.

    Parameters
    ----------
    pairs, file
        Parameters and table of a new job.
    earlier
        The job to go on with instead.
    output
        Where files go.
    estimates
        True: the estimate is all that is wanted; False: no estimate is; None: it is shown before.
    is_agreed
        Nobody is asked whether to submit.
    waits
        Until the job is over, and its files are here.
    """

    pairs: Sequence[tuple[str, str]]
    file: Path | None
    earlier: Earlier | None
    output: Output
    estimates: bool | None = None
    is_agreed: bool = False
    waits: bool = True


@dataclass
class Run:
    """A run of the command."""

    service: Service
    task: Task
    screen: Screen
    job_url: str = ""
    is_over: bool = False
    expected: Estimate | None = None
    remembered: Remembered = field(init=False)

    def __post_init__(self) -> None:
        self.remembered = Remembered(self.task.output.path)

    def go(self) -> int:
        """Do it all, and return the exit status."""
        if self.task.estimates and self.task.file is not None:
            return self._estimate_alone(self.task.file)
        with self.remembered.alone():
            try:
                return self._go()
            except KeyboardInterrupt:
                self._tell_of_job("Interrupted.")
                return INTERRUPTED
            except BatchFault:
                self._tell_of_job("")
                raise

    def _go(self) -> int:
        memory = self._memory()
        if memory is None:
            if is_used(self.task.output):
                raise Refused(
                    f"{self.task.output.path} is there already; choose another --output, or remove it"
                )
            if not self._is_wanted():
                return OK
            self.job_url = self._begin()
            memory = Memory(self._digest(), self.job_url)
            self.screen.say(f"Job {shown(self.job_url)}")
            if not self.task.waits:
                self.screen.note(f"Its files: fountain batch --attach {shlex.quote(shown(self.job_url))}")
                self.job_url = ""
                return OK
            self.remembered.save(memory)
        else:
            self.job_url = memory.job
            self.screen.say(f"Going on with job {shown(self.job_url)}")
        state = self._wait()
        self.is_over = True
        if state.phase != "COMPLETED":
            return self._end_without(state)
        outcome = self._fetch(state, memory)
        self.remembered.forget()
        self.screen.show_outcome(state, outcome, self.expected)
        self._tell_of_files(outcome)
        return status_of(state, outcome)

    def _memory(self) -> Memory | None:
        memory, output = self.remembered.load(), self.task.output.path
        if memory is None:
            return None
        is_same = memory.request == self._digest()
        is_its_job = self.task.earlier is not None and memory.job == self.task.earlier.url
        if is_same or is_its_job:
            return memory
        raise Refused(
            f"{output} is the output of another request, which is not done: {shown(memory.job)}. "
            f"Choose another --output, or remove {self.remembered.path} to give that one up."
        )

    def _digest(self) -> str:
        earlier = self.task.earlier
        pairs = [("", earlier.url), ("ACTION", earlier.action)] if earlier else self.task.pairs
        return digest_of(self.service.url, pairs, self.task.file)

    def _estimate_alone(self, file: Path) -> int:
        estimate = ask_estimate(self.service, self.task.pairs, file)
        if estimate is None:
            raise Refused(f"{self.service} gives no estimates")
        self.screen.show_estimate(estimate)
        return USAGE if estimate.refused else OK

    def _is_wanted(self) -> bool:
        """Show the estimate, and ask whether that is to be."""
        if self.task.file is None or self.task.estimates is False:
            return True
        self.expected = ask_estimate(self.service, self.task.pairs, self.task.file)
        if self.expected is None:
            self.screen.note(f"{self.service} gives no estimates.")
        else:
            self.screen.show_estimate(self.expected)
            if self.expected.refused:
                raise Refused("Nothing was submitted.")
        if self.task.is_agreed or not (self.screen.is_interactive and sys.stdin.isatty()):
            return True
        try:
            return click.confirm("Submit?", default=True, err=True)
        except click.Abort:
            raise KeyboardInterrupt from None

    def _begin(self) -> str:
        """Make a job, or find the one that is meant; return its URL."""
        earlier = self.task.earlier
        if earlier is None:
            pairs = [*self.task.pairs, ("PHASE", "RUN")]
            return self.service.post_for_job(f"{self.service.url}/async", pairs, self.task.file)
        if not earlier.action:
            return earlier.url
        return self.service.post_for_job(earlier.url, [("ACTION", earlier.action)])

    def _wait(self) -> JobState:
        try:
            with self.screen.rows() as told:
                return RemoteJob(self.service, self.job_url).wait(told, self.screen.every_s)
        except NotThere as fault:
            self.remembered.forget()
            raise Refused(f"the job {shown(self.job_url)} is no longer there") from fault

    def _end_without(self, state: JobState) -> int:
        self.remembered.forget()
        self.screen.show_failure(state)
        if state.phase == "ABORTED":
            url = shlex.quote(shown(state.url))
            self.screen.note(f"What is done is kept; to make the rest: fountain batch --resume {url}")
        self.job_url = ""
        return FAILED

    def _fetch(self, state: JobState, memory: Memory) -> Outcome:
        output = self.task.output
        if output.form == "files":
            with self._amount("downloading", is_bytes=False) as progress:
                fetch_files(self.service, state.url, output.path, progress)
        else:
            self._fetch_archive(state, memory)
        if output.form != "archive":
            with (output.path / archive.MANIFEST).open(encoding="utf-8", newline="") as lines:
                return outcome_of(csv.DictReader(lines))
        with archive.opened(output.path) as packed:
            return outcome_of(archive.manifest_of(packed))

    def _fetch_archive(self, state: JobState, memory: Memory) -> None:
        output, part = self.task.output, self.remembered.part
        url = state.results.get("archive")
        if url is None:
            raise Refused(
                f"this job has no archive, as it is not of a list; its files: {shown(state.url)}/results"
            )

        def keep(etag: str) -> None:
            self.remembered.save(replace(memory, etag=etag))

        etag = memory.etag if part.exists() else ""
        if etag:
            self.screen.note(f"{size_text(part.stat().st_size)} are here already.")
        with self._amount("downloading", is_bytes=True) as progress:
            Download(self.service, url + output.parameters, part, etag, keep).run(progress)
        into = output.path if output.form == "folder" else None
        try:
            with self._amount("checking", is_bytes=False) as progress, archive.opened(part) as packed:
                archive.check(packed, progress, into)
        except archive.Damaged:
            part.unlink()
            raise
        if into is None:
            part.replace(output.path)

    def _amount(self, title: str, *, is_bytes: bool) -> AbstractContextManager[archive.Progress]:
        return self.screen.amount(title, is_bytes=is_bytes)

    def _tell_of_files(self, outcome: Outcome) -> None:
        output = self.task.output
        files = f"{outcome.files:,} file{'' if outcome.files == 1 else 's'}, {size_text(outcome.size)}"
        manifest = archive.MANIFEST if output.form == "archive" else output.path / archive.MANIFEST
        where = " in it" if output.form == "archive" else ""
        self.screen.say(f"{output.path}: {files}, checksums right; the manifest is {manifest}{where}")
        if outcome.failed:
            url = shown(self.job_url)
            self.screen.note(f"The failed rows, as a table to mend and send again: {url}/results/failed")
        if outcome.begun:
            url = shlex.quote(shown(self.job_url))
            self.screen.note(f"To try them again as they are: fountain batch --retry {url}")

    def _tell_of_job(self, first: str) -> None:
        """Say how to go on, if there is a job to go on with."""
        lines = [first]
        if self.job_url and self.remembered.path.exists():
            url = shown(self.job_url)
            lines.append("Run the same command again to go on from here.")
            if not self.is_over:
                stop = shlex.quote(f"{url}/phase")
                lines += [f"The job goes on without you: {url}", f"To stop it: curl -d PHASE=ABORT {stop}"]
        elif first:
            lines.append("Nothing was submitted.")
        for line in lines:
            if line:
                self.screen.note(line)
