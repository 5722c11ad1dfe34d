"""What is remembered of a run while it is not done, in a file beside its output, so that it can go on."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from config.batch.faults import Refused
from config.batch.service import Pairs

SUFFIX = ".fountain.json"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Memory:
    """What a run has come to.

    Parameters
    ----------
    request
        Digest of what was asked, so that another request is not taken for this one.
    job
        URL of its job.
    etag
        Of the archive of which a part has been downloaded; "" before.
    """

    request: str
    job: str
    etag: str = ""


class Remembered:
    """The memory of the run that has `output`."""

    def __init__(self, output: Path) -> None:
        self.path = output.with_name(output.name + SUFFIX)
        self._output = output

    @property
    def part(self) -> Path:
        """Where the archive is while it is not whole."""
        return self._output.with_name(self._output.name + ".part")

    def load(self) -> Memory | None:
        """Return what is remembered, None if nothing is.

        Raises
        ------
        Refused
            If the file is not one of ours.
        """
        try:
            told = json.loads(self.path.read_text())
            if told.pop("version") != VERSION:
                raise ValueError
            return Memory(**told)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Refused(
                f"{self.path} is not what this command has written; remove it to begin anew"
            ) from error

    def save(self, memory: Memory) -> None:
        """Remember."""
        new = self.path.with_name(self.path.name + ".new")
        new.write_text(json.dumps({"version": VERSION, **asdict(memory)}, indent=1) + "\n")
        new.replace(self.path)

    def forget(self) -> None:
        """Forget: the run is done."""
        self.path.unlink(missing_ok=True)
        self.part.unlink(missing_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other runs away from the same output meanwhile.

        Raises
        ------
        Refused
            If there is one already.
        """
        lock = self.path.with_name(self.path.name + ".lock")
        with lock.open("w") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refused(f"another run of this command is at work on {self._output}") from None
            except OSError:
                pass  # a file system without locks
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)


def digest_of(service: str, pairs: Pairs, file: Path | None) -> str:
    """Digest of what is asked."""
    digest = hashlib.sha256(json.dumps([service, sorted(pairs)]).encode())
    if file is not None:
        with file.open("rb") as table:
            digest.update(hashlib.file_digest(table, "sha256").digest())
    return digest.hexdigest()
