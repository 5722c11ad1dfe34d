"""ECSV: CSV whose comments are a YAML header, which says names, units and types of the columns.

Only what describes columns is taken from the header. The rest of it, ``meta``, may name classes that its
readers would make; it is left out before anything reads it, and what is left may have no tags and no
references.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from dali.errors import quoted
from soda.targets.lines import text_lines
from soda.targets.source import Body, Field, Wanted, check_columns
from soda.targets.table import TargetLimits, UploadRefused
from soda.targets.text import TextSource

_MOST_LINES = 20_000
_MOST_DEPTH = 10
_MOST_CHARACTERS = 512 * 1024
_KEY = re.compile(r"([A-Za-z_]+):")
_TAKEN = frozenset(("datatype", "delimiter"))
_FIX = "Write it with astropy: table.write('targets.ecsv'), or send CSV."


class EcsvSource:
    """A table of ECSV."""

    has_names = True

    def __init__(self, path: Path, limits: TargetLimits) -> None:
        header = _header(path, limits)
        described = header.get("datatype")
        if not isinstance(described, list) or not all(isinstance(one, dict) for one in described):
            raise UploadRefused("the header of ECSV has no list of columns (datatype)", _FIX)
        check_columns(len(described), limits)
        delimiter = header.get("delimiter", " ")
        if delimiter not in (" ", ","):
            raise UploadRefused(
                f"the delimiter of ECSV is a space or a comma; got {quoted(str(delimiter))}", _FIX
            )
        self._text = TextSource(path, limits, delimiter=delimiter)
        names = [str(one.get("name", "")) for one in described]
        if names != self._text.names:
            raise UploadRefused(
                "the columns of the header of ECSV are not those of its first line of data", _FIX
            )
        self.fields = [_field(one) for one in described]

    def read(self, wanted: Sequence[Wanted], most: int | None = None) -> Body:
        """Read the wanted columns of all rows."""
        return self._text.read(wanted, most)


def _field(described: dict[str, Any]) -> Field:
    meta = described.get("meta") or {}
    pairs = meta.items() if isinstance(meta, dict) else meta  # an omap is a list of pairs
    ucd = next((value for key, value in pairs if str(key).lower() == "ucd"), "")
    return Field(str(described.get("name", "")), ucd=str(ucd), unit=str(described.get("unit") or ""))


def _header(path: Path, limits: TargetLimits) -> dict[str, Any]:
    """Read the part of the header that describes columns."""
    kept: list[str] = []
    numbers: list[int] = []
    size, is_taken, number = 0, False, 0
    for number, line in text_lines(path, limits):
        if not line.startswith("#"):
            break
        text = line[1:].removeprefix(" ")
        if key := _KEY.match(text):
            is_taken = key[1] in _TAKEN
        size += len(text)
        if number > _MOST_LINES or size > _MOST_CHARACTERS:
            raise UploadRefused(
                f"the header of ECSV is longer than {_MOST_CHARACTERS} characters or {_MOST_LINES} lines",
                line=number,
            )
        if is_taken:
            kept.append(text)
            numbers.append(number)
    return _parsed("\n".join(kept), numbers)


def _parsed(text: str, numbers: Sequence[int]) -> dict[str, Any]:
    """Value of the header; `numbers` are the lines of the file that its lines are."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        depth = 0
        for event in yaml.parse(text, Loader=loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _MOST_DEPTH:
                raise UploadRefused("the header of ECSV has too many levels", _FIX)
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) or _has_tag(event):
                raise UploadRefused(
                    "the columns of the header of ECSV have references or tags, which are not read",
                    _FIX,
                    line=numbers[event.start_mark.line],
                )
        header = yaml.load(text, Loader=loader)  # noqa: S506 -- it is a safe loader
    except (yaml.YAMLError, RecursionError, ValueError) as fault:
        raise UploadRefused("the header of ECSV is not YAML", _FIX) from fault
    if not isinstance(header, dict):
        raise UploadRefused("the header of ECSV describes no columns", _FIX)
    return header


def _has_tag(event: Any) -> bool:
    """Whether it has a tag, other than that of the ordered mappings which astropy writes."""
    return getattr(event, "tag", None) not in (None, "tag:yaml.org,2002:omap")
