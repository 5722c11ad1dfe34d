"""Columns of texts, as manifests have them: of very many rows, so each column is looked at as a whole.

Most cells are facts, most of these texts or plain numbers, and hardly any has to be escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dali.tables import guarded_csv_cell
from dali.votable import format_of, legal
from uws.packages.package import Column, Entry, Fact

_TEXTS = ("char", "unicodeChar")
_REALS = ("float", "double")
_WHOLES = ("short", "int", "long")
#: A text is quoted in CSV that has one of these.
_QUOTED = (",", '"', "\r", "\n")

_Form = Callable[[Any], str]


class Texts:
    """The texts of some columns.

    Parameters
    ----------
    columns
        What each says of a row.

    Attributes
    ----------
    names
        Of the columns.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self.names = [column.name for column in columns]
        self._columns = [(column.value, _maker_of(column), format_of(column)) for column in columns]
        self._is_text = [column.datatype in _TEXTS for column in columns]

    def of(self, entries: Sequence[Entry]) -> list[list[str]]:
        """Texts of rows, column by column; null has none."""
        facts = [entry.row.facts for entry in entries]
        found = []
        for value_of, make, form in self._columns:
            if isinstance(value_of, Fact):
                name = value_of.name
                values = [told.get(name) for told in facts]
            else:
                values = [value_of(entry) for entry in entries]
            # Many columns say the same of all rows.
            if values and values.count(values[0]) == len(values):
                found.append(make(values[:1], form) * len(values))
            else:
                found.append(make(values, form))
        return found

    def guarded(self, columns: Sequence[list[str]]) -> list[list[str]]:
        """Guard texts so that no spreadsheet takes them for formulas."""
        # What begins a formula is before the letters.
        return [
            [text if text[:1] >= "A" else guarded_csv_cell(text) for text in texts] if is_text else texts
            for texts, is_text in zip(columns, self._is_text, strict=True)
        ]


def csv_cells(texts: list[str]) -> list[str]:
    """Texts as RFC 4180 has them."""
    joined = "".join(texts)
    if not any(mark in joined for mark in _QUOTED):
        return texts
    return [
        '"' + text.replace('"', '""') + '"' if any(mark in text for mark in _QUOTED) else text
        for text in texts
    ]


def xml_cells(texts: list[str]) -> list[str]:
    """Texts as XML has them."""
    joined = "".join(texts)
    if not joined.isprintable():
        texts = [legal(text) for text in texts]
    if "&" not in joined and "<" not in joined and ">" not in joined:
        return texts
    return [text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for text in texts]


def _maker_of(column: Column) -> Callable[[list[Any], _Form], list[str]]:
    if column.arraysize is None:
        if column.datatype in _REALS:
            return _reals
        if column.datatype in _WHOLES:
            return _wholes
    return _others


def _reals(values: list[Any], form: _Form) -> list[str]:
    # A difference to itself of 0 has what is finite.
    return [
        repr(value) if type(value) is float and value - value == 0.0 else "" if value is None else form(value)
        for value in values
    ]


def _wholes(values: list[Any], form: _Form) -> list[str]:
    return [str(value) if type(value) is int else "" if value is None else form(value) for value in values]


def _others(values: list[Any], form: _Form) -> list[str]:
    return [value if type(value) is str else "" if value is None else form(value) for value in values]
