"""The columns of an uploaded table with the values of its first rows, for who sent it to look at."""

from __future__ import annotations

from collections.abc import Sequence

from soda.targets.columns import Chosen
from soda.targets.source import Source, Wanted, as_texts
from soda.targets.table import SeenColumn, UploadRefused

#: So many columns are shown with values, beside those that are used.
MOST_SHOWN = 60
_MOST_CHARACTERS = 80


def seen_columns(source: Source, chosen: Chosen, head: int) -> tuple[SeenColumn, ...]:
    """Show all columns; values of `head` rows, as far as they are one text or number a row."""
    used = {one.index: (ours, one.how) for ours, one in chosen.columns.items()}
    shown = [index for index in range(len(source.fields)) if index in used or index < MOST_SHOWN]
    wanted = [Wanted(index, source.fields[index].name, is_setting=False) for index in shown]
    values = dict(zip(shown, _values(source, wanted, head), strict=True))
    return tuple(
        SeenColumn(
            field.name,
            field.unit,
            field.ucd,
            *used.get(index, ("", "")),
            [text[:_MOST_CHARACTERS] for text in values.get(index, ())],
        )
        for index, field in enumerate(source.fields)
    )


def _values(source: Source, wanted: Sequence[Wanted], head: int) -> list[Sequence[str]]:
    """Read some rows; a column that cannot be read has no values."""
    try:
        return [as_texts(column) for column in source.read(wanted, head).columns]
    except UploadRefused:
        if len(wanted) == 1:
            return [()]
        return [values for one in wanted for values in _values(source, [one], head)]
