"""From a file to a `TargetTable`."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dali.errors import quoted
from dali.tables import unguarded_csv_cell
from dali.xtypes import MAX_NUMBER_LENGTH, format_number
from soda.targets.columns import Chosen, choose
from soda.targets.formats import open_source
from soda.targets.mapping import POSITION, STAMPED, ColumnMapping
from soda.targets.positions import Positions, no_positions, read_positions
from soda.targets.seen import seen_columns
from soda.targets.source import MAX_CELL, Body, Column, Field, Source, Wanted, as_texts, what_is_wrong
from soda.targets.table import RowFault, Subject, TargetLimits, TargetTable, UploadRefused
from soda.targets.text import TextSource
from soda.targets.units import plain_unit, size_unit

#: Settings that are sizes; a bare number of the last two is arcminutes, as DES has it.
_SIZES = ("size", "width", "height", "radius", "pixscale", "xsize", "ysize")
_IN_ARCMINUTES = ("xsize", "ysize")
_BARE = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
#: What a spreadsheet makes of a long number.
_MANGLED = re.compile(r"[0-9](?:[.,][0-9]+)?[eE]\+[0-9]{2}")
#: Columns that ledgers, manifests and tables of failed rows have, and no other table all of them.
OUR_MARKS = frozenset(("row", "status", "error_code", "error_message"))
#: Columns that are no settings.
_VERBATIM = (*POSITION, *STAMPED, "id")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def read_targets(
    path: Path,
    file_name: str,
    media_type: str,
    mapping: ColumnMapping,
    limits: TargetLimits,
    head: int = 0,
    subject: Subject = "places",
) -> TargetTable:
    """Read an uploaded table of targets.

    Parameters
    ----------
    path
        The file here; it is read, and nothing else is opened.
    file_name, media_type
        What the client says of it: a hint where the content does not tell.
    head
        Columns of the file are shown with the values of so many rows; 0 not to show them.
    subject
        What the job's surveys are of: alerts have no need of places.

    Raises
    ------
    UploadRefused
        If the file cannot be read, is beyond a limit, or has no usable columns or rows. A row that is wrong
        is one of the `faults` of the table instead.
    """
    size = path.stat().st_size
    if size > limits.bytes:
        raise UploadRefused(
            f"the table has {size} bytes; at most {limits.bytes} are taken",
            "Send it in several jobs.",
            status=413,
        )
    if not size:
        raise UploadRefused("the file is empty")
    source = open_source(path, file_name, media_type.partition(";")[0].strip().lower(), limits)
    if not head:
        return _read(source, choose(source.fields, source.has_names, mapping, subject))
    chosen = Chosen({}, "")
    try:
        chosen = choose(source.fields, source.has_names, mapping, subject)
        table = _read(source, chosen)
    except UploadRefused as refused:
        refused.seen = seen_columns(source, chosen, head)
        raise
    return replace(table, seen=seen_columns(source, chosen, head))


def _read(source: Source, chosen: Chosen) -> TargetTable:
    body = source.read(
        [
            Wanted(one.index, source.fields[one.index].name, name not in _VERBATIM)
            for name, one in chosen.columns.items()
        ]
    )
    if not body.rows:
        raise UploadRefused("the table has names of columns and no rows")
    table = _table(source, chosen, body)
    if table.rejected == len(table):
        raise _no_good_row(table, source.has_names)
    return table


def _table(source: Source, chosen: Chosen, body: Body) -> TargetTable:
    columns = dict(zip(chosen.columns, body.columns, strict=True))
    fields = {name: source.fields[one.index] for name, one in chosen.columns.items()}
    faults: dict[int, str] = {}
    objects, alerts = (_identifiers(name, columns, fields, faults) for name in STAMPED)
    positions = _positions(columns, fields, chosen.frame, body.rows, (objects, alerts))
    numbers = np.arange(1, body.rows + 1, dtype=np.int64)
    lines = numbers if body.lines is None else body.lines
    faults |= dict(positions.faults) | dict(body.faults)
    ids = as_texts(columns["id"]) if "id" in columns else list(alerts or objects) or [""] * body.rows
    if _is_ours(source):
        ids = _unguarded(ids)
    _check_ids(ids, fields["id"].name if "id" in fields else "id", faults)
    settings: dict[str, list[str]] = {}
    for name in columns.keys() - {*_VERBATIM}:
        settings[name] = _with_unit(name, _unguarded(as_texts(columns[name])), fields[name].unit)
        _check_setting(settings[name], fields[name].name, faults)
    bad = list(faults)
    positions.ra_deg[bad] = positions.dec_deg[bad] = np.nan
    said = [RowFault(row + 1, int(lines[row]), faults[row]) for row in sorted(faults)]
    about_all = list(positions.warnings)
    if any(one.how == "position" for one in chosen.columns.values()):
        taken = "columns 1 and 2 were taken as ra and dec, in degrees"
        if "object" in chosen.columns:
            taken = "column 1 was taken for identifiers of objects"
        about_all.append(f"the first line has no names: {taken}")
    warnings = [RowFault(0, 0, sentence, is_warning=True) for sentence in about_all]
    return TargetTable(
        numbers=numbers,
        lines=lines,
        ids=ids,
        ra_deg=positions.ra_deg,
        dec_deg=positions.dec_deg,
        settings={name: settings[name] for name in columns if name in settings},
        faults=(*warnings, *_id_warnings(ids, lines), *said),
        columns={name: field.name for name, field in fields.items()},
        found_by={name: one.how for name, one in chosen.columns.items()},
        objects=objects,
        alerts=alerts,
    )


def _positions(
    columns: Mapping[str, Column],
    fields: Mapping[str, Field],
    frame: str,
    rows: int,
    identifiers: Sequence[Sequence[str]],
) -> Positions:
    """Positions of all rows; those of rows that have none, and name something else, are no fault."""
    if "ra" not in columns:
        return no_positions(rows)
    places = [columns[name] for name in POSITION]
    positions = read_positions(places, [fields[name] for name in POSITION], frame)
    named = [*identifiers, columns.get("obs_publisher_did", ())]
    for row in list(positions.faults):
        says_nothing = all(str(column[row]).strip() in ("", "nan") for column in places)
        if says_nothing and any(len(texts) and str(texts[row]) for texts in named):
            del positions.faults[row]
    return positions


def _identifiers(
    name: str, columns: Mapping[str, Column], fields: Mapping[str, Field], faults: dict[int, str]
) -> list[str]:
    """Read what names objects, or alerts, as texts; those that have lost digits are faults."""
    if name not in columns:
        return []
    column = columns[name]
    if isinstance(column, np.ndarray) and column.dtype.kind == "f":
        exact = 2.0 ** (np.finfo(column.dtype).nmant + 1)
        for row in np.flatnonzero(np.abs(column) > exact).tolist():
            faults[row] = (
                f"{fields[name].name} is a floating-point number of too many digits, which it has lost; "
                "write it as a whole number, or as a text"
            )
    return [text.strip() for text in as_texts(column)]


def _unguarded(texts: list[str]) -> list[str]:
    """Take away the apostrophe that tables of ours have before what a spreadsheet takes for a formula."""
    return [unguarded_csv_cell(text) if text[:1] == "'" else text for text in texts]


def _is_ours(source: Source) -> bool:
    """Whether a table is a manifest of ours in CSV, or that of rows that failed: their ids are guarded."""
    return isinstance(source, TextSource) and {field.name for field in source.fields} >= OUR_MARKS


def _with_unit(name: str, texts: list[str], unit: str) -> list[str]:
    """Sizes with the unit of their column; what is not a bare number says its own."""
    if name not in _SIZES:
        return texts
    spelled = size_unit(unit) if unit else "arcmin" if name in _IN_ARCMINUTES else ""
    if spelled is None:
        raise UploadRefused(
            f"the unit of the sizes in {name} is {quoted(plain_unit(unit))}",
            "Units are deg, arcmin, arcsec, px.",
        )
    if not spelled:
        return texts
    made: dict[str, str] = {}
    return [made.setdefault(text, _completed(text, spelled)) for text in texts]


def _completed(text: str, unit: str) -> str:
    """Bare number with its unit; any other text as it is."""
    if len(text) > MAX_NUMBER_LENGTH or not _BARE.fullmatch(text) or math.isinf(number := float(text)):
        return text
    return f"{format_number(number)}{unit}"


def _check_ids(ids: list[str], name: str, faults: dict[int, str]) -> None:
    """Take away names that cannot be kept."""
    for row, text in enumerate(ids):
        if len(text) > MAX_CELL:
            faults.setdefault(row, what_is_wrong(text, name))
            ids[row] = ""
        elif (not text.isascii() or "\0" in text) and _UNSTORABLE.search(text):
            faults.setdefault(row, f"{name} has a character that cannot be stored: {quoted(text)}")
            ids[row] = ""


def _check_setting(texts: list[str], name: str, faults: dict[int, str]) -> None:
    for row, text in enumerate(texts):
        if text and (len(text) > MAX_CELL or not text.isascii() or not text.isprintable()):
            faults.setdefault(row, what_is_wrong(text, name))
            texts[row] = ""


def _id_warnings(ids: Sequence[str], lines: NDArray[np.int64]) -> list[RowFault]:
    """Warn of names that several rows have, and of those that a spreadsheet has spoiled: once each."""
    warnings = []
    counts: Mapping[str, int] = Counter(ids)
    if len(counts) < len(ids) and (
        repeated := {text for text, count in counts.items() if count > 1 and text}
    ):
        rows = (row for row, text in enumerate(ids) if text in repeated)
        first = next(rows)
        second = ids.index(ids[first], first + 1)
        warnings.append(
            RowFault(
                second + 1,
                int(lines[second]),
                f"id {quoted(ids[first])} is that of row {first + 1} too; "
                f"{len(repeated)} ids are those of several rows",
                is_warning=True,
            )
        )
    mangled = [row for row, text in enumerate(ids) if "E+" in text.upper() and _MANGLED.fullmatch(text)]
    if mangled:
        warnings.append(
            RowFault(
                mangled[0] + 1,
                int(lines[mangled[0]]),
                f"id {quoted(ids[mangled[0]])} looks like a long number that a spreadsheet has rounded; "
                f"{len(mangled)} ids do",
                is_warning=True,
            )
        )
    return warnings


def _no_good_row(table: TargetTable, has_names: bool) -> UploadRefused:
    """Tell what is wrong with the first row, where all of them are."""
    first = next(fault for fault in table.faults if not fault.is_warning)
    fix = "" if has_names else "Begin with a line of names, such as id,ra,dec."
    others = "" if len(table) == 1 else f"; none of the {len(table)} rows can be used"
    return UploadRefused(first.sentence.removesuffix(".") + others, fix, line=first.line)
