"""Which columns an uploaded table may have, and the client's word on which is which: ``COLUMNS``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from dali.errors import UsageError, quoted
from soda.table import PARAMETERS

POSITION = ("ra", "dec")
#: What names an alert, or an object of which there are some.
STAMPED = ("object", "alert")
#: Settings that are looked for by name. Words that catalogues use for what was measured (``flux``, ``mask``,
#: ``q``, ``background`` …) are settings only where COLUMNS says so.
SETTINGS = (
    "survey",
    "band",
    "bands",
    "filter",
    "obs_publisher_did",
    "size",
    "width",
    "height",
    "radius",
    "xsize",
    "ysize",
    "format",
    "responseformat",
    "recipe",
    "algorithm",
    "variant",
    "stretch",
    "cuts",
    "cmap",
    "rgb",
    "combine",
    "pixscale",
    "resample",
    "photscale",
)
#: What is of the whole job, or is the row's position.
_NOT_OF_A_ROW = frozenset(("ID", "POS", "CIRCLE", "POLYGON", "CENTER", "RUNID", "BAND", "POL"))
_BY_MAPPING = tuple(
    name
    for name in (parameter.name.lower() for parameter in PARAMETERS if parameter.name not in _NOT_OF_A_ROW)
    if name not in SETTINGS
)
OUR_NAMES = (*POSITION, "id", *STAMPED, "kind", *SETTINGS, *_BY_MAPPING)
#: More columns than this are not used: what is kept of a row has a bound.
MAX_USED = 24

_EXAMPLE = "Write COLUMNS=ra:RAJ2000,dec:DEJ2000,id:Name."


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Our name -> the file's column, where the client says so; "" where no column is to be it."""

    names: Mapping[str, str] = field(default_factory=dict)


def parse_mapping(values: Sequence[str]) -> ColumnMapping:
    """Read ``COLUMNS=ra:RAJ2000,dec:DEJ2000,size:``, each of whose values adds to the others.

    Raises
    ------
    UsageError
        If a name is not one of ours, or is there twice, or a pair is not a pair.
    """
    names: dict[str, str] = {}
    for pair in (pair for value in values for pair in value.split(",") if pair.strip()):
        ours, colon, theirs = pair.partition(":")
        ours, theirs = ours.strip().lower(), theirs.strip()
        if not colon or not ours or (not theirs and ours in POSITION):
            raise UsageError(f"COLUMNS is pairs our-name:column between commas; got {quoted(pair)}", _EXAMPLE)
        if ours not in OUR_NAMES:
            near = get_close_matches(ours[:32], OUR_NAMES, n=1, cutoff=0.6)
            fix = f"Did you mean {near[0]}?" if near else f"Names are {', '.join(OUR_NAMES)}."
            raise UsageError(f"COLUMNS: {quoted(ours)} is not a name of ours", fix)
        if ours in names:
            raise UsageError(f"COLUMNS has {ours} twice: {quoted(names[ours])} and {quoted(theirs)}")
        names[ours] = theirs
    if len(names) > MAX_USED:
        raise UsageError(f"COLUMNS names {len(names)} columns; at most {MAX_USED} are used")
    if missing := [name for name in POSITION if name not in names and set(POSITION) & names.keys()]:
        raise UsageError(f"COLUMNS has one of ra and dec; {missing[0]} is missing", _EXAMPLE)
    return ColumnMapping(names)
