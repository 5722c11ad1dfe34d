"""The real command on a real port, in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_S = 60


@dataclass(frozen=True, slots=True)
class Served:
    """A running service: its URL, its process, the file its log goes to."""

    url: str
    process: subprocess.Popen[str]
    log: Path

    def stop(self, how: int = signal.SIGTERM) -> int:
        """Stop it, and wait until it is gone."""
        self.process.send_signal(how)
        return self.process.wait(START_S)


@contextmanager
def serve(folder: Path, environ: Mapping[str, str], *arguments: str) -> Iterator[Served]:
    """Run ``fountain serve`` until the block ends; its log goes to a file in `folder`."""
    log = folder / "log.jsonl"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", "from config.cli import main; main()", "serve", *arguments],
            env={**os.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        assert process.stdout is not None
        lines = []
        found = None
        for line in process.stdout:  # it may compile what works on pixels first, and says so
            lines.append(line)
            if found := re.search(r"http://\S+", line):
                break
        assert found is not None, f"it did not start: {''.join(lines)} {log.read_text()}"
        yield Served(found.group(), process, log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(START_S)
        assert process.stdout is not None
        process.stdout.close()
