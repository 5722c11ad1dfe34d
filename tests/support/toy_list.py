"""A job type of lists: a worker splits the job, by a file that is uploaded with it.

Each line of the file is a row: the name of its target and what the row does (`tests.support.toy`), or
`refused` or `outside`, which end in the split.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dali.caller import Caller
from dali.errors import ServiceUnavailable, UsageError, quoted
from dali.parameters import Parameters, refuse_unknown
from tests.support.toy import Toy
from uws.job import Counts, Row, RowReport, RowStatus
from uws.jobtype import Ending, Expansion, JobPlan, Outcome, TaskPlan, UploadSource, Work

_KNOWN = ("UPLOAD", "ROWS", "DO", "PER_TASK", "FOLDER", "BYTES", "SPLIT", "KIND", "PACKAGED", "FILES")
_ENDED = {
    "refused": (RowStatus.FAILED, "UsageError: there is no such place", "refused"),
    "outside": (RowStatus.EMPTY, "NoOverlap: there is nothing here", "no_overlap"),
}


@dataclass(frozen=True, slots=True)
class ListRequest:
    """What is to be split."""

    split: Mapping[str, Any]
    rows: int | None
    packaged: bool


class ToyList:
    """Job type ``list``.

    UPLOAD=lines,… is the file; without it there are ROWS rows that take the words of DO in turn. SPLIT is
    what becomes of the splitting itself (ok), KIND is `light` or `heavy`; the others as of the type ``toy``.
    """

    name = "list"
    takes_uploads = True

    def __init__(self) -> None:
        self._toy = Toy()

    def describe(self) -> Mapping[str, Any]:
        return {"type": "object", "properties": {name: {"type": "string"} for name in _KNOWN}}

    def parse(
        self, parameters: Parameters, caller: Caller, uploads: Mapping[str, UploadSource] = {}
    ) -> ListRequest:
        if unknown := refuse_unknown(parameters, _KNOWN, _KNOWN):
            raise unknown[0]
        if parameters.all("UPLOAD") and "lines" not in uploads:
            raise UsageError(f"UPLOAD is of lines; got {quoted(', '.join(uploads))}")
        rows = None if uploads else int(parameters.one("ROWS") or 1)
        if (source := uploads.get("lines")) is not None and not source.url:
            rows = len(source.path().read_text().splitlines())
        names = ("DO", "PER_TASK", "FOLDER", "BYTES", "SPLIT", "KIND", "FILES")
        split = {name: parameters.one(name) or "" for name in names}
        return ListRequest({**split, "ROWS": rows}, rows, parameters.one("PACKAGED") is not None)

    def plan(self, request: ListRequest) -> JobPlan:
        return JobPlan(
            (),
            "low",
            1.0,
            split=request.split,
            total_rows=request.rows,
            packaged=request.packaged,
        )

    def split(self, work: Work) -> Expansion:
        folder = str(work.common["FOLDER"])
        _act(str(work.common["SPLIT"] or "ok"), folder)
        if "lines" in work.uploads:
            text = work.uploads["lines"].path().read_text()
        else:
            words = str(work.common["DO"] or "ok").split(",")
            text = "".join(f"t{n} {words[n % len(words)]}\n" for n in range(work.common["ROWS"]))
        rows, ended = [], []
        for n, line in enumerate(text.splitlines()):
            label, _, word = line.partition(" ")
            if word in _ENDED:
                status, message, verdict = _ENDED[word]
                facts = {"ra": float("nan"), "n": n}
                ended.append(
                    RowReport(n, f"r{n + 1}", status, message, verdict=verdict, label=label, facts=facts)
                )
            else:
                payload = {
                    "do": word,
                    "size": int(str(work.common["BYTES"] or 16)),
                    "files": int(str(work.common["FILES"] or 1)),
                    "folder": folder,
                    "label": label,
                    "facts": {"n": n},
                }
                rows.append(Row(n, f"r{n + 1}", payload))
        step = int(str(work.common["PER_TASK"] or 100))
        kind = "light" if work.common["KIND"] == "light" else "heavy"
        tasks = (
            TaskPlan(tuple(rows[start : start + step]), {"tag": "common"}, kind)  # type: ignore[arg-type]
            for start in range(0, len(rows), step)
        )
        total = len(rows) + len(ended) + (work.common["SPLIT"] == "miscount")
        return Expansion(tasks, ended, total, 2.0)

    def run(self, work: Work) -> Iterator[Outcome]:
        assert work.common == {"tag": "common"}
        for row, outcome in zip(work.rows, self._toy.run(work), strict=False):
            label, facts = row.payload["label"], {**row.payload["facts"], "nan": float("nan")}
            verdict = "ok" if outcome.status is RowStatus.DONE else ""
            yield Outcome(
                outcome.status, outcome.files, outcome.message, outcome.transient, verdict, label, facts
            )

    def finish(self, counts: Counts) -> Ending:
        return self._toy.finish(counts)


def splits(folder: Path) -> int:
    """How often a job that knows this folder was split."""
    path = folder / "split.ran"
    return len(path.read_text().splitlines()) if path.exists() else 0


def _act(word: str, folder: str) -> None:
    times = 0
    if folder:
        with (Path(folder) / "split.ran").open("a") as file:
            file.write(f"{os.getpid()}\n")
        times = splits(Path(folder))
    match word:
        case "usage":
            raise UsageError("line 3 is no target", "Write a name and a word.")
        case "unavailable":
            raise ServiceUnavailable("the images are elsewhere", retry_after_s=1)
        case "flaky" if times < 2:
            raise ServiceUnavailable("the images are elsewhere", retry_after_s=1)
        case "raise":
            raise ValueError("secret: /etc/passwd")
        case "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        case "crash_once" if times < 2:
            os.kill(os.getpid(), signal.SIGKILL)
        case "wait":
            while not (Path(folder) / "go").exists():
                time.sleep(0.005)
