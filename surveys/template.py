"""Path templates: where the files of a survey lie, and what their names say.

``coadd/{prefix}/{brick}/legacysurvey-{brick}-image-{band}.fits.fz`` has the fields ``prefix``, ``brick`` and
``band``. A field matches within one path segment, the same text wherever it stands again; ``*`` matches any
text within a segment, ``**`` any number of segments.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_TOKEN = re.compile(r"\{(?P<name>[^{}]*)\}|(?P<star>\*+)|(?P<brace>[{}])|(?P<text>[^{}*]+)")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")

#: The field that tells the band; it matches the words the bands have in paths, nothing else.
BAND = "band"


@dataclass(frozen=True, slots=True)
class PathTemplate:
    """A compiled template.

    Parameters
    ----------
    text
        As declared, relative to the survey's root, parts separated by ``/``.
    band_words
        What ``{band}`` may be.

    Raises
    ------
    ValueError
        If the template is malformed: one sentence without any path.
    """

    text: str
    band_words: tuple[str, ...] = ()
    fields: tuple[str, ...] = field(init=False)
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _folders: tuple[re.Pattern[str] | None, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        segments = self.text.split("/")
        if not self.text or any(segment in ("", ".", "..") for segment in segments):
            raise ValueError("a path relative to the root, without empty parts, '.' or '..'")
        names: list[str] = []
        pattern = _pattern_of(segments, self.band_words, names)
        object.__setattr__(self, "fields", tuple(names))
        object.__setattr__(self, "_pattern", re.compile(pattern))
        object.__setattr__(self, "_folders", tuple(_folder_pattern(segment) for segment in segments[:-1]))

    def match(self, path: str) -> dict[str, str] | None:
        """Fields of a path relative to the root; None where it is none of this template."""
        found = self._pattern.fullmatch(path)
        return None if found is None else found.groupdict()

    def may_hold(self, folder: Sequence[str]) -> bool:
        """Whether files of this template may lie in or below a folder, given by its parts below the root."""
        for part, pattern in zip(folder, self._folders, strict=False):
            if pattern is None:
                return True
            if not pattern.fullmatch(part):
                return False
        return len(folder) <= len(self._folders) or None in self._folders

    def expand(self, values: Mapping[str, str]) -> str:
        """Text with every field replaced; used for templates of names, which have no ``*``."""
        return _TOKEN.sub(lambda part: values[part["name"]] if part["name"] else part[0], self.text)


def _pattern_of(segments: Sequence[str], band_words: Sequence[str], names: list[str]) -> str:
    pattern = ""
    for number, segment in enumerate(segments):
        last = number == len(segments) - 1
        if segment == "**" and not last:
            pattern += "(?:[^/]+/)*"
        else:
            pattern += _segment_pattern(segment, band_words, names) + ("" if last else "/")
    return pattern


def _segment_pattern(segment: str, band_words: Sequence[str], names: list[str]) -> str:
    pattern = ""
    for token in _TOKEN.finditer(segment):
        if token["brace"]:
            raise ValueError("every { closed by a }")
        if token["star"]:
            if len(token["star"]) > 1:
                raise ValueError("** standing alone between two /")
            pattern += "[^/]*"
        elif token["text"]:
            pattern += re.escape(token["text"])
        else:
            pattern += _field_pattern(token["name"], band_words, names)
    return pattern


def _field_pattern(name: str, band_words: Sequence[str], names: list[str]) -> str:
    if not _NAME.match(name):
        raise ValueError("fields named by a letter, then letters, digits or _")
    if name in names:
        return f"(?P={name})"
    names.append(name)
    if name == BAND and band_words:
        # The longest first, so that `z` does not win where `zSDSS` is meant.
        words = "|".join(re.escape(word) for word in sorted(band_words, key=len, reverse=True))
        return f"(?P<{name}>{words})"
    return f"(?P<{name}>[^/]+?)"


def _folder_pattern(segment: str) -> re.Pattern[str] | None:
    """Pattern of one folder name with every field free; None for ``**``."""
    if segment == "**":
        return None
    return re.compile(
        "".join(
            re.escape(token["text"]) if token["text"] else "[^/]*" if token["star"] else "[^/]+"
            for token in _TOKEN.finditer(segment)
        )
    )
