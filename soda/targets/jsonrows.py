"""Tables as JSON: an object on each line, or an array of objects.

Objects are decoded one at a time from a window of the file; numbers stay the texts they are, so that a name
of nineteen digits keeps them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from dali.errors import quoted
from soda.targets.lines import not_utf8
from soda.targets.source import Body, Field, Texts, Wanted, check_columns
from soda.targets.table import TargetLimits, UploadRefused

_WINDOW = 1 << 20
_ROWS_AT_ONCE = 2000
#: What stands before the first object, and between objects: an array opens once.
_OPENING = re.compile(r"[ \t\r\n]*(?:\[[ \t\r\n]*\]?)?[ \t\r\n]*")
_BETWEEN = re.compile(r"[ \t\r\n,\]]*")
_decode = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str).raw_decode


class JsonSource:
    """A table of JSON objects, whose columns are the names that any of them has."""

    has_names = True

    def __init__(self, path: Path, limits: TargetLimits) -> None:
        self._path = path
        self._limits = limits
        names: dict[str, None] = {}
        count = 0
        for line, row in _objects(path, limits):
            count += 1
            if count > limits.rows:
                break  # refused, with its line, when rows are read
            if not row.keys() <= names.keys():
                names |= dict.fromkeys(row)
                check_columns(len(names), limits, line)
        if not count:
            raise UploadRefused("there are no objects")
        self._names = list(names)
        self.fields = [Field(name) for name in names]

    def read(self, wanted: Sequence[Wanted], most: int | None = None) -> Body:
        """Read the wanted members of all objects."""
        texts = Texts(wanted, self._limits, most)
        names = [self._names[one.index] for one in wanted]
        rows: list[list[str]] = []
        for line, row in _objects(self._path, self._limits):
            if texts.is_full:
                break
            texts.line(line)
            cells = []
            for name in names:
                text = _text(row.get(name))
                if text is None:
                    texts.faults[texts.rows - 1] = f"{name} is an object; a text or a number is taken"
                cells.append(text or "")
            rows.append(cells)
            if len(rows) == _ROWS_AT_ONCE:
                texts.add(rows)
                rows.clear()
        texts.add(rows)
        return texts.body()


def _text(value: Any) -> str | None:
    """Text of a member; several are put between commas; None if it is an object, or a list that holds any."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ",".join(value)
    return None


class _Window:
    """Part of the file that is looked at: whole objects, since more is read when little is left."""

    def __init__(self, path: Path, file: TextIO, ahead: int) -> None:
        self._path = path
        self._file = file
        self._ahead = ahead
        self._ended = False
        self.text = ""
        self.at = 0
        self.line = 1

    def skip(self, gap: re.Pattern[str]) -> bool:
        """Go to what follows a gap; whether there is anything."""
        while True:
            self._fill()
            if self.at == len(self.text):
                return False
            if found := gap.match(self.text, self.at):
                self.go(found.end())
            if self.at < len(self.text):
                self._fill()
                return True

    def go(self, end: int) -> None:
        """Go on to `end`, counting lines."""
        self.line += self.text.count("\n", self.at, end)
        self.at = end

    def _fill(self) -> None:
        if self._ended or len(self.text) - self.at > self._ahead:
            return
        try:
            more = self._file.read(_WINDOW)
        except UnicodeDecodeError:
            raise not_utf8(self._path) from None
        self._ended = not more
        self.text, self.at = self.text[self.at :] + more, 0


def _objects(path: Path, limits: TargetLimits) -> Iterator[tuple[int, dict[str, Any]]]:
    """Objects of the file, each with the line it begins on."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        window = _Window(path, file, limits.line)
        gap = _OPENING
        while window.skip(gap):
            gap = _BETWEEN
            row, end = _decoded(window.text, window.at, window.line, limits)
            yield window.line, row
            window.go(end)


def _decoded(window: str, at: int, line: int, limits: TargetLimits) -> tuple[dict[str, Any], int]:
    try:
        row, end = _decode(window, at)
    except json.JSONDecodeError as fault:
        if len(window) - at > limits.line:
            reason = f"the object is longer than {limits.line} characters, or is not JSON: {fault.msg}"
        else:
            reason = f"this is not JSON: {fault.msg}"
        raise UploadRefused(
            reason,
            'Write one object a line: {"id": "NGC 1", "ra": 1.8, "dec": 27.7}',
            line=line + window.count("\n", at, fault.pos),
        ) from None
    except RecursionError:
        raise UploadRefused("the object has too many levels", line=line) from None
    if not isinstance(row, dict):
        raise UploadRefused(
            f"a row is an object; got {quoted(str(row)[:100])}",
            'Write one object a line: {"id": "NGC 1", "ra": 1.8, "dec": 27.7}',
            line=line,
        )
    if end - at > limits.line:
        raise UploadRefused(f"the object is longer than {limits.line} characters", line=line)
    return row, end
