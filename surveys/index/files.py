"""Finding the files of a survey, and only those: nothing outside its folders."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from surveys.errors import ImageRefused, SurveyError
from surveys.survey import Layer, Role, Survey


@dataclass(frozen=True, slots=True)
class Match:
    """What a path says about a file: the layer it holds and the fields of its template."""

    role: Role
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of a survey as the folder shows it.

    `path` is relative to the root it was found in; `location` is where it really lies.
    `refusal` tells why it is not to be opened.
    """

    path: str
    location: Path
    size: int
    mtime_ns: int
    matches: tuple[Match, ...]
    refusal: str | None = None


def resolve(roots: Sequence[Path], path: str) -> Path:
    """Where a file of a survey really lies.

    Parameters
    ----------
    roots
        Folders of the survey.
    path
        Relative to one of them; the first that has it counts.

    Raises
    ------
    ImageRefused
        If it is in none of them, or a symbolic link leads out of all of them.
    """
    real_roots = [Path(os.path.realpath(root)) for root in roots]
    for root in real_roots:
        location = Path(os.path.realpath(root / path))
        if not any(location.is_relative_to(inside) for inside in real_roots):
            raise ImageRefused("it leads out of the survey's folders")
        if location.exists():
            return location
    raise ImageRefused("it is no longer there")


class Walk:
    """One walk through the folders of a survey.

    Iterating gives every file that a layer's template matches, folder by folder in the order of names.

    Attributes
    ----------
    unreadable
        Folders (relative, ending in ``/``) that could not be listed: nothing is known about what they hold.
    hidden
        Names of files and folders that are left out, each with the reason.
    """

    def __init__(self, survey: Survey) -> None:
        self._layers = [layer for layer in survey.layers if layer.own_files]
        self._roots = survey.roots
        self._seen_folders: set[Path] = set()
        self._seen_paths: set[str] = set()
        self.unreadable: list[str] = []
        self.hidden: list[tuple[str, str]] = []
        for root in self._roots:
            if not root.is_dir():
                raise SurveyError(f"a folder of the survey {survey.name} is not there: {root.name}")

    def __iter__(self) -> Iterator[FoundFile]:
        for root in self._roots:
            yield from self._folder(root, ())

    def match(self, path: str) -> tuple[Match, ...]:
        """Every layer whose template a path fits, with its fields."""
        return tuple(
            Match(layer.role, fields)
            for layer in self._layers
            if (fields := layer.path.match(path)) is not None
        )

    def _folder(self, root: Path, parts: tuple[str, ...]) -> Iterator[FoundFile]:
        folder = root.joinpath(*parts)
        real = Path(os.path.realpath(folder))
        if real in self._seen_folders or not self._is_inside(real):
            return  # a link back into what was walked already, or out of the survey
        self._seen_folders.add(real)
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            self.unreadable.append("/".join((*parts, "")))
            return
        for entry in listed:
            below = (*parts, entry.name)
            if not _is_text(entry.name):
                shown = os.fsencode(entry.name).decode("utf-8", "backslashreplace")
                self.hidden.append((shown, "its name is not UTF-8"))
            elif _is_folder(entry):
                if any(_may_hold(layer, below) for layer in self._layers):
                    yield from self._folder(root, below)
            elif matches := self.match(path := "/".join(below)):
                if path in self._seen_paths:
                    self.hidden.append((entry.name, "another folder of the survey has the same file"))
                    continue
                self._seen_paths.add(path)
                yield self._file(path, Path(entry.path), matches)

    def _file(self, path: str, place: Path, matches: tuple[Match, ...]) -> FoundFile:
        location = Path(os.path.realpath(place))
        if not self._is_inside(location):
            return FoundFile(path, place, 0, 0, matches, "it leads out of the survey's folders")
        try:
            facts = location.stat()
        except OSError as error:
            return FoundFile(path, location, 0, 0, matches, _reason(error))
        if not stat.S_ISREG(facts.st_mode):
            return FoundFile(path, location, 0, 0, matches, "it is not a regular file")
        return FoundFile(path, location, facts.st_size, facts.st_mtime_ns, matches)

    def _is_inside(self, location: Path) -> bool:
        return any(location.is_relative_to(os.path.realpath(root)) for root in self._roots)


def find_file(survey: Survey, file: Path) -> FoundFile:
    """One file of a survey, given by its path from here or below one of the survey's folders.

    Raises
    ------
    ImageRefused
        If it is not there, not in the survey's folders, or no template of the survey matches it.
    """
    walk = Walk(survey)
    for root in survey.roots:
        place = Path(os.path.abspath(file if file.is_file() else root / file))
        base = Path(os.path.abspath(root))
        if not place.is_relative_to(base) or not os.path.lexists(place):
            continue
        path = place.relative_to(base).as_posix()
        if not (matches := walk.match(path)):
            raise ImageRefused(f"{file.name} fits no path template of the survey {survey.name}")
        return walk._file(path, place, matches)
    raise ImageRefused(f"{file.name} is not in the folders of the survey {survey.name}")


def _may_hold(layer: Layer, folder: tuple[str, ...]) -> bool:
    return layer.path.may_hold(folder)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _reason(error: OSError) -> str:
    return f"it cannot be read: {os.strerror(error.errno)}" if error.errno else "it cannot be read"
