"""Tables for programs without VOTable: CSV and JSON, of the same fields and rows."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from dali.votable import Field, Info, Row, Value, format_value

CSV = "text/csv"
JSON = "application/json"

_ROWS_AT_ONCE = 200
#: What begins a formula, where a spreadsheet opens the file.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_chunks(fields: Sequence[Field], rows: Iterable[Row], *, guarded: bool = False) -> Iterator[bytes]:
    """Lines of RFC 4180 in UTF-8, the names of the fields first; null is an empty value.

    With `guarded`, texts are as `guarded_csv_cell` has them: those that users wrote themselves are to be.
    """
    form = _guarded_value if guarded else format_value
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([field.name for field in fields])
    yield _taken(text)
    remaining = iter(rows)
    while batch := list(islice(remaining, _ROWS_AT_ONCE)):
        writer.writerows([form(value) for value in row] for row in batch)
        yield _taken(text)


def guarded_csv_cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe goes before one that it might.

    It goes before the apostrophes of a text that looks guarded too, so `unguarded_csv_cell` gives back any
    text.
    """
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA) else text


def unguarded_csv_cell(text: str) -> str:
    """Text of a cell that `guarded_csv_cell` gave."""
    return text[1:] if text[:1] == "'" and text.lstrip("'").startswith(_FORMULA) else text


def json_chunks(
    fields: Sequence[Field], rows: Iterable[Row], ending: Callable[[], Info | None] = lambda: None
) -> Iterator[bytes]:
    """One object: ``fields`` with their metadata, ``rows`` as arrays, and the ``status`` at the end.

    JSON has no infinities and no NaN: those are texts, as VOTable spells them.
    """
    described = [_described(field) for field in fields]
    yield f'{{"fields": {json.dumps(described, ensure_ascii=False)},\n"rows": ['.encode()
    separator = "\n"
    remaining = iter(rows)
    while batch := list(islice(remaining, _ROWS_AT_ONCE)):
        lines = (json.dumps([json_value(value) for value in row], ensure_ascii=False) for row in batch)
        yield (separator + ",\n".join(lines)).encode("utf-8", "replace")
        separator = ",\n"
    last = ending()
    yield f'],\n"status": {json.dumps(last.value if last else "OK")}}}\n'.encode()


def _guarded_value(value: Value) -> str:
    return guarded_csv_cell(value) if isinstance(value, str) else format_value(value)


def _taken(text: io.StringIO) -> bytes:
    content = text.getvalue().encode("utf-8", "replace")
    text.seek(0)
    text.truncate()
    return content


def _described(field: Field) -> dict[str, str]:
    said = {"name": field.name, "datatype": field.datatype, "unit": field.unit, "ucd": field.ucd}
    said |= {"utype": field.utype, "xtype": field.xtype, "description": field.description}
    return {key: value for key, value in said.items() if value}


def json_value(value: Value) -> object:
    """Value as JSON may have it."""
    if isinstance(value, float) and not math.isfinite(value):
        return format_value(value)
    return value
