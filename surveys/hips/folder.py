"""Where a HiPS is kept: found under its name only when it is whole, and replaced at once.

``<root>/<survey>/<band>`` is a symbolic link to ``<root>/.editions/<survey>/<band>/<edition>``. The next
edition is made in ``work`` beside it, and takes over by one rename of the link.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from surveys.errors import SurveyError
from surveys.hips.tiles import key_for

_EDITIONS = ".editions"


@dataclass(frozen=True, slots=True)
class HipsFolder:
    """The folder of one HiPS.

    Parameters
    ----------
    root
        Folder of all of them.
    survey, name
        Name of the survey, and label of the band (or name of a colour HiPS).

    Raises
    ------
    SurveyError
        If they cannot be names of folders.
    """

    root: Path
    survey: str
    name: str

    def __post_init__(self) -> None:
        for segment in (self.survey, self.name):
            if segment.startswith(".") or "/" in segment:
                raise SurveyError(f"{segment!r} can be no folder of a HiPS: it begins with a dot")

    @property
    def published(self) -> Path:
        """What is served; it need not exist."""
        return self.root / self.survey / self.name

    @property
    def work(self) -> Path:
        """Where the next edition is made."""
        return self._home / "work"

    @property
    def _home(self) -> Path:
        return self.root / _EDITIONS / self.survey / self.name

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the right to make it; that ends with the process, however it ends.

        Raises
        ------
        SurveyError
            If another process has it.
        """
        self.work.mkdir(parents=True, exist_ok=True)
        with (self._home / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SurveyError(f"the HiPS of {self.survey}/{self.name} is being made already") from None
            yield

    def publish(self) -> None:
        """Have what was made served in place of what there was."""
        edition = self._home / key_for(os.urandom(16))[:12]
        self.work.rename(edition)
        self.published.parent.mkdir(parents=True, exist_ok=True)
        link = self._home / "link"
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(edition, self.published.parent))
        link.replace(self.published)
        # With what a publisher that died has left.
        for other in self._home.iterdir():
            if other.is_dir() and other != edition:
                shutil.rmtree(other, ignore_errors=True)

    def sweep(self, is_expected: Callable[[str], bool], part: str = "") -> None:
        """Remove from the work, or a part of it, all files but those whose paths below it are expected."""
        for place, _, names in os.walk(self.work / part, topdown=False):
            folder = Path(place)
            for name in names:
                path = folder / name
                if not is_expected(path.relative_to(self.work).as_posix()):
                    path.unlink()
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()
