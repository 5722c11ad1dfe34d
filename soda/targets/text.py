"""Tables of text: columns between commas, semicolons, tabs, pipes or spaces.

The module csv of Python's own library reads them, a line at a time: readers that take a whole table need
several times the memory of the file, and name no line where they fail.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from pathlib import Path

from dali.errors import quoted
from soda.targets.columns import names_a_position
from soda.targets.lines import ContentLines
from soda.targets.source import Body, Field, Texts, Wanted, check_columns
from soda.targets.table import TargetLimits, UploadRefused
from soda.targets.units import DEGREES

_ROWS_AT_ONCE = 2000
_SPACE = " "
_LATEX, _ROW_END = "&", "\\\\"
#: So many lines are looked at for names of columns, less one.
_MOST_BEFORE = 40
MOST_NAME = 500
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
#: Where a line is one text: what identifies something has two digits in a row, and names of columns have not.
_IDENTIFIER = re.compile(r"[A-Za-z_-]*[0-9]{2}[A-Za-z0-9_.+:-]*", re.ASCII)
_DID = re.compile(r"ivo://[^?]+\?.+", re.IGNORECASE)
_SEXAGESIMAL = re.compile(r"[+-]?[0-9]{1,3}[:hd ][0-9]{1,2}[:m ][0-9.]+s?")
#: A name with what it is measured in: ``ra [deg]``, ``Dec (J2000)``.
_BRACKETS = re.compile(r"([^\[(]+?)\s*[\[(]([^\])]*)[\])]")
_BY_NAME = {".tsv": "\t", ".tab": "\t", ".csv": ",", ".psv": "|"}
_BY_TYPE = {"text/tab-separated-values": "\t", "text/csv": ","}


class TextSource:
    """A table of text.

    Parameters
    ----------
    delimiter
        Of columns, where it is known; else it is told by the first line.
    """

    def __init__(
        self,
        path: Path,
        limits: TargetLimits,
        *,
        file_name: str = "",
        media_type: str = "",
        delimiter: str = "",
    ) -> None:
        self._path = path
        self._limits = limits
        self._delimiter = delimiter
        start = list(islice(ContentLines(path, limits), _MOST_BEFORE))
        if not start:
            raise UploadRefused("there are no rows: nothing but comments and blank lines")
        self._before = 0 if delimiter else _lines_before_names(start)
        first = start[self._before]
        if not delimiter:
            self._delimiter = _delimiter(first, file_name, media_type)
        self._has_edges = self._delimiter == "|" and first.strip()[:1] == "|"
        head = ContentLines(path, limits)
        records = list(islice(self._records(head), 3))  # a rule after two of them has been seen then
        names = records[0][1]
        check_columns(len(names), limits, records[0][0])
        units: Sequence[str] = ()
        self.has_names, self._skipped = True, 1
        if len(names) == 1 and _DID.fullmatch(names[0].strip()):
            self._skipped, names = 0, ["obs_publisher_did"]
        elif any(_is_value(name) for name in names) or (
            len(names) == 1 and _IDENTIFIER.fullmatch(names[0].strip())
        ):
            self._skipped = 0
            names, units, self.has_names = self._names_of(head, len(names))
        elif len(records) > 1 and head.ruled == self._before + 2:  # names, units, rule: as VizieR writes
            units, self._skipped = records[1][1], 2
        elif not delimiter and _has_row_names(names, [cells for _, cells in records[1:]]):
            names = ["", *names]
        self._width = len(names)
        self.names = [name.strip() for name in names]
        units = [*units, *[""] * (len(names) - len(units))]
        self.fields = [_field(name, unit) for name, unit in zip(names, units, strict=False)]

    def read(self, wanted: Sequence[Wanted], most: int | None = None) -> Body:
        """Read the wanted columns of all rows."""
        texts = Texts(wanted, self._limits, most)
        pick = itemgetter(*(one.index for one in wanted))
        width, faults = self._width, texts.faults
        rows: list[tuple[str, ...]] = []
        for line, cells in islice(self._records(ContentLines(self._path, self._limits)), self._skipped, None):
            if len(cells) != width:
                if any(cells[width:]):
                    faults[texts.rows] = f"the row has {len(cells)} values; there are {width} columns"
                cells += [""] * (width - len(cells))
            if texts.is_full:
                break
            if not any(cells):
                continue  # a spreadsheet's empty rows
            texts.line(line)
            rows.append(pick(cells) if len(wanted) > 1 else (pick(cells),))
            if len(rows) == _ROWS_AT_ONCE:
                texts.add(rows)
                rows.clear()
        texts.add(rows)
        return texts.body()

    def _records(self, lines: ContentLines) -> Iterator[tuple[int, list[str]]]:
        """Line and cells of each record, the names among them."""
        content = iter(lines)
        for _ in range(self._before):
            next(content, None)
        reader = csv.reader(
            self._prepared(content), delimiter=self._delimiter, skipinitialspace=True, strict=True
        )
        while True:
            lines.started = 0
            try:
                cells = next(reader, None)
            except csv.Error as fault:
                raise UploadRefused(
                    f"the row cannot be read ({fault}); is a quote opened and never closed?",
                    'Quote a whole value: "NGC 1", and double the quotes in it.',
                    line=lines.started or None,
                ) from fault
            if cells is None:
                return
            yield lines.started, cells

    def _prepared(self, lines: Iterable[str]) -> Iterable[str]:
        if self._delimiter == _SPACE:
            return (line.replace("\t", _SPACE).strip() for line in lines)
        if self._delimiter == _LATEX:
            return (_of_latex(line) for line in lines if not line.lstrip().startswith("\\"))
        if self._has_edges:
            return (line.strip().removeprefix("|").removesuffix("|") for line in lines)
        return lines

    def _names_of(self, head: ContentLines, count: int) -> tuple[list[str], list[str], bool]:
        """Names and units of columns that the first row does not name, if comments before it do."""
        others = [f"col{number}" for number in range(1, count + 1)]
        if {1, 2} <= head.numbered.keys() and max(head.numbered) <= count:
            told = [head.numbered.get(number, (other, "")) for number, other in enumerate(others, 1)]
            return [name for name, _ in told], [unit for _, unit in told], True
        line = head.comment.lstrip("#").strip()
        delimiter = self._delimiter if self._delimiter in line else _SPACE
        try:
            names = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
        except csv.Error:
            names = []
        if len(names) == count and not any(_is_value(name) for name in names):
            return names, [], True
        return others, [], False


def _delimiter(line: str, file_name: str, media_type: str) -> str:
    """Tell what stands between columns by the first line, and by name and type if it has what they say."""
    named = _BY_NAME.get(Path(file_name).suffix.lower()) or _BY_TYPE.get(media_type)
    if line.rstrip().endswith(_ROW_END) and _LATEX in line:
        return _LATEX
    for delimiter in (named, "\t", ";", ",", "|"):
        if delimiter and delimiter in line.strip():
            return delimiter
    return _SPACE


def _lines_before_names(start: Sequence[str]) -> int:
    """Count what stands before the names of columns, such as the title of a sheet: nothing, as a rule."""
    for number, line in enumerate(start):
        try:
            delimiter = _delimiter(line, "", "")
            cells = next(csv.reader([line.strip()], delimiter=delimiter, skipinitialspace=True), [])
        except csv.Error:
            continue
        if number == 0 and any(_is_value(cell) for cell in cells):
            return 0
        if names_a_position([_field(cell, "") for cell in cells if len(cell) <= MOST_NAME]):
            return number
    return 0


def _has_row_names(names: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether rows begin with their numbers, in a column without a name, as R writes."""
    numbers = [str(number) for number in range(1, len(rows) + 1)]
    return bool(rows) and all(
        len(cells) == len(names) + 1 and cells[0] == number
        for cells, number in zip(rows, numbers, strict=True)
    )


def _of_latex(line: str) -> str:
    """Row of a table of LaTeX, without what ends it, and without mathematics."""
    return line.strip().partition(_ROW_END)[0].replace("$", "")


def _is_value(text: str) -> bool:
    shown = text.strip()[:64]
    return bool(_NUMBER.fullmatch(shown) or _SEXAGESIMAL.fullmatch(shown))


def _field(name: str, unit: str) -> Field:
    """Field of a name, which may have a unit in brackets."""
    shown = name.strip()
    if len(shown) > MOST_NAME:
        raise UploadRefused(f"a name of a column has {len(shown)} characters: {quoted(shown)}")
    bracketed = _BRACKETS.fullmatch(shown)
    if bracketed and not unit and bracketed[2].strip().lower() in DEGREES:
        return Field(bracketed[1].strip(), unit=bracketed[2].strip())
    return Field(shown, unit=unit.strip())
