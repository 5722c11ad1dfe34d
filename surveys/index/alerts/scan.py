"""What one file of a lake says: its alerts, and where the pages of their stamps lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from surveys.errors import BrokenImage, ImageRefused, StaleImage
from surveys.index.alerts.columns import Alerts, Refused, alerts_of
from surveys.lake import Lake
from surveys.parquet.files import LakeFiles, StoredFile
from surveys.parquet.footer import Footer, open_footer
from surveys.parquet.pages import column_pages
from surveys.survey import Survey

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
    files = LakeFiles(lake)
    reader = files.open(found.path, found.size, found.version)
    footer = open_footer(reader)
    stamps = {
        kind.name.lower(): leaf.name
        for kind in lake.stamps
        if (leaf := footer.find(kind.columns)) is not None
    }
    if not stamps:
        raise ImageRefused("it has none of the columns of stamps")
    of_path = {f"{{{name}}}": value for name, value in files.fields(found.path).items()}
    names = {
        part: _first(getattr(lake.columns, part), footer, of_path)
        for part in ("object", "candidate", "ra", "dec", "time", "band")
    }
    read = footer.read(sorted(set(names.values()) - set(of_path)))
    read |= {name: pa.repeat(of_path[name], footer.rows) for name in names.values() if name in of_path}
    alerts, bands, refused = alerts_of(survey, lake, read, names)
    pages = {kind: column_pages(reader, footer, column).pack() for kind, column in stamps.items()}
    return LakeScan(found, footer.rows, alerts, bands, pages, refused)


def _first(names: tuple[str, ...], footer: Footer, of_path: Mapping[str, str]) -> str:
    """First of the names that a column has had which this file has, or its path."""
    for name in names:
        if name in footer.leaves or name in of_path:
            return name
    raise ImageRefused(f"it has no column {' or '.join(names)}")
