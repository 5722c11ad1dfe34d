"""What one file of a lake says: its alerts, and where the pages of their stamps lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from surveys.errors import BrokenImage, ImageRefused, StaleImage
from surveys.index.alerts.columns import Alerts, Refused, alerts_of
from surveys.index.alerts.reading import LakeFiles, StoredFile, column_pages, open_footer
from surveys.lake import Lake
from surveys.survey import Survey
from surveys.template import PathTemplate

#: More rows are not in one file.
MOST_ROWS = 2**31 - 1

_NONE = np.zeros(0, dtype=np.int64)
NO_ALERTS = Alerts(_NONE, _NONE, None, None, _NONE, _NONE, _NONE, _NONE, _NONE)


@dataclass(frozen=True, slots=True)
class LakeScan:
    """A file as it was read.

    Parameters
    ----------
    found
        The file.
    rows
        Number of its rows, those that are refused among them.
    alerts, bands
        What is taken, and how many are of which band.
    pages
        Packed pages of the stamps, by the kind in lower case; none for a kind that the file has not.
    refused
        Number of rows and the reason; None for the whole file.
    """

    found: StoredFile
    rows: int = 0
    alerts: Alerts = NO_ALERTS
    bands: tuple[tuple[str, int], ...] = ()
    pages: Mapping[str, bytes] = field(default_factory=dict)
    refused: Refused = ()


def scan_file(survey: Survey, found: StoredFile) -> LakeScan:
    """Read a file, but none of its stamps; a file that cannot be read is refused as a whole."""
    assert survey.lake is not None  # noqa: S101 -- told to the type checker
    try:
        return _scan(survey, survey.lake, found)
    except (BrokenImage, StaleImage, ImageRefused) as refusal:
        reason = str(refusal)
    except pa.ArrowException:
        reason = "its columns cannot be read"
    return LakeScan(found, refused=((None, reason),))


def _scan(survey: Survey, lake: Lake, found: StoredFile) -> LakeScan:
    reader = LakeFiles(lake).open(found.path, found.size, found.version)
    footer = open_footer(reader)
    if footer.rows > MOST_ROWS:
        raise ImageRefused("it has more rows than a file may have")
    leaves = set(footer.leaves)
    of_path = _fields_of(lake, found.path)
    names: dict[str, str] = {}
    for part in ("object", "candidate", "ra", "dec", "time", "band"):
        names[part] = _first(getattr(lake.columns, part), leaves, of_path)
    stamps = {
        kind.name.lower(): column
        for kind in lake.stamps
        if (column := next((name for name in kind.columns if name in leaves), None)) is not None
    }
    if not stamps:
        raise ImageRefused("it has none of the columns of stamps")
    read = dict(footer.read(sorted({name for name in names.values() if name in leaves})))
    for name in names.values():
        if name not in read:
            read[name] = pa.repeat(of_path[name[1:-1]], footer.rows)
        if len(read[name]) != footer.rows:
            raise ImageRefused(f"its column {name} has not one value a row")
    alerts, bands, refused = alerts_of(survey, lake, read, names)
    pages = {kind: column_pages(reader, footer, column).pack() for kind, column in stamps.items()}
    return LakeScan(found, footer.rows, alerts, bands, pages, refused)


def _first(names: tuple[str, ...], leaves: set[str], of_path: Mapping[str, str]) -> str:
    """First of the names that a column has had which this file has, or its path."""
    for name in names:
        if name in leaves or (name.startswith("{") and name[1:-1] in of_path):
            return name
    raise ImageRefused(f"it has no column {' or '.join(names)}")


def _fields_of(lake: Lake, path: str) -> dict[str, str]:
    """Tell what a path says: by the fields of the template, and by folders such as ``year=2020``."""
    folders = (part.partition("=") for part in path.split("/")[:-1] if "=" in part)
    return {name: value for name, _, value in folders} | (PathTemplate(lake.path).match(path) or {})
