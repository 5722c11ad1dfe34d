"""What pages show, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Set
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from portal.admin.area import Table
from uws.moment import format_moment

_MOMENT = "_ms"
#: A spreadsheet takes what begins so for something to compute.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_json(shown: object) -> str:
    """Write a dataclass: moments, whose names end with ``_ms``, as ISO 8601 and without that end."""
    return json.dumps(_plain(shown), ensure_ascii=False, indent=1) + "\n"


def as_csv(table: Table) -> str:
    """Write a table; texts of users that a spreadsheet would compute begin with an apostrophe."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([_cell(value) for value in row] for row in table.rows)
    return file.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        # Bytes of pictures, and what templates alone need, are not told.
        told = {field.name: getattr(value, field.name) for field in fields(value) if field.repr}
        return _plain(told)
    if isinstance(value, Mapping):
        return dict(_entry(str(name), entry) for name, entry in value.items())
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Set):
        return sorted(_plain(entry) for entry in value)
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value


def _entry(name: str, value: Any) -> tuple[str, Any]:
    if name.endswith(_MOMENT) and (value is None or isinstance(value, int)):
        return name.removesuffix(_MOMENT), None if value is None else format_moment(value)
    return name, _plain(value)
