"""Lines of a text file, each with its number; what is no text is refused with the line it shows on."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from soda.targets.table import TargetLimits, UploadRefused

_PIECE = 1 << 20
#: A line that only rules off: ``|----|-----|``, ``==== ====``, ``+----+``.
_RULE = re.compile(r"[-=+|:;,\s]*[-=]{3}[-=+|:;,\s]*")
#: What programs of databases write below a table.
_COUNT = re.compile(r"\([0-9]+ rows?\)\s*")
_SAVE_AS = "Save the table as UTF-8 text."


def text_lines(path: Path, limits: TargetLimits) -> Iterator[tuple[int, str]]:
    """Give number and text of each line, without its end; a byte order mark is left out.

    Raises
    ------
    UploadRefused
        At a line that is too long, holds a NUL, or is not UTF-8.
    """
    number = 0
    try:
        with path.open(encoding="utf-8-sig", newline=None) as file:
            while line := file.readline(limits.line + 1):
                number += 1
                if len(line) > limits.line and not line.endswith("\n"):
                    raise UploadRefused(
                        f"the line is longer than {limits.line} characters",
                        "One row is one line.",
                        line=number,
                    )
                if "\0" in line:
                    raise UploadRefused("there is a NUL byte, so this is not text", _SAVE_AS, line=number)
                yield number, line.rstrip("\n")
    except UnicodeDecodeError:
        raise not_utf8(path) from None


def not_utf8(path: Path) -> UploadRefused:
    """Tell the first line that is not UTF-8: the decoder, which reads ahead, does not know it."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line = 1
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            try:
                decoder.decode(piece)
            except UnicodeDecodeError as fault:
                # What was left of the piece before is at the start of what the decoder looked at.
                before = fault.object[: fault.start]
                line += _line_ends(before)
                break
            line += _line_ends(piece)
    return UploadRefused("the text is not UTF-8", _SAVE_AS, line=line)


def _line_ends(piece: bytes) -> int:
    return piece.count(b"\n") or piece.count(b"\r")


class ContentLines:
    """Lines that hold something: comments, blank lines and rules are left out, and remembered.

    Parameters
    ----------
    comment
        Last comment before the first line of content: some programs write the names there.
    numbered
        Columns that such comments name by their numbers: name and unit.
    ruled
        Number of lines of content before the first rule after one; 0 while there was none.
    started
        Line that was given first since this was last set to 0.
    """

    def __init__(self, path: Path, limits: TargetLimits) -> None:
        self._lines = text_lines(path, limits)
        self.comment = ""
        self.numbered: dict[int, tuple[str, str]] = {}
        self.ruled = 0
        self.started = 0

    def __iter__(self) -> Iterator[str]:
        given = 0
        for number, line in self._lines:
            shown = line.lstrip()
            if shown.startswith("#"):
                self._remark(shown, is_before=not given)
            elif shown[:1] in "-=+|" and shown and _RULE.fullmatch(shown[:1000]):
                self.ruled = self.ruled or given
            elif shown and not (shown[0] == "(" and _COUNT.fullmatch(shown)):
                given += 1
                self.started = self.started or number
                yield line

    def _remark(self, comment: str, *, is_before: bool) -> None:
        """Remember a comment, if it comes before all content.

        SExtractor names columns by their numbers: ``#  2 ALPHA_J2000  Right ascension  [deg]``.
        """
        if not is_before:
            return
        self.comment = comment
        number, name, *rest = (*comment[1:1000].split(None, 2), "", "")
        if number.isdecimal() and len(number) <= 4 and name.isidentifier():
            said = rest[0].rstrip()
            unit = said[:-1].rpartition("[")[2] if said.endswith("]") else ""
            self.numbered[int(number)] = (name, unit.strip())
