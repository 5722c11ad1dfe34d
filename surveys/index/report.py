"""What an indexing run tells of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file, or one HDU of it, that is not in the index; `name` is its own, of a lake its path there."""

    name: str
    hdu: int | None
    reason: str

    def __str__(self) -> str:
        where = self.name if self.hdu is None else f"{self.name}[{self.hdu}]"
        return f"{where}: {self.reason}"


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What an indexing run found.

    Parameters
    ----------
    generation
        The one that is read now; the same as before if nothing changed.
    files
        Files of the survey, those that were refused among them.
    added, changed, vanished
        Files, compared with the index as it was.
    refused
        Everything that is not in the index, whether it was refused now or before.
    unreadable
        Number of folders that could not be listed; what the index has of them was kept.
    alerts
        Of the files read now, how many alerts they have; None of a survey of images.
    """

    survey: str
    generation: int
    files: int
    added: int
    changed: int
    vanished: int
    refused: tuple[Refusal, ...]
    unreadable: int
    alerts: int | None = None

    @property
    def unchanged(self) -> int:
        """Files that were not read because nothing about them changed."""
        return self.files - self.added - self.changed
