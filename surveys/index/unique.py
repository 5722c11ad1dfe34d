"""The part of each tile that no other tile has, where a table of the survey gives it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from astropy.table import Table
from numpy.ma import masked

from surveys.errors import DeclarationError, ImageRefused
from surveys.index.files import resolve
from surveys.index.scan import FileScan, ScannedHdu
from surveys.survey import Survey, UniqueTable

_FORMATS = {".fits": "fits", ".fits.gz": "fits", ".ecsv": "ascii.ecsv", ".csv": "ascii.csv"}


@dataclass(frozen=True, slots=True)
class UniqueAreas:
    """Unique areas of tiles by the field that names the tile; none where no table is declared."""

    table: UniqueTable | None
    areas: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, survey: Survey) -> UniqueAreas:
        """Read the table of a survey, if it has one.

        Raises
        ------
        DeclarationError
            If it cannot be read, or lacks a column that is declared.
        """
        if not isinstance(survey.unique, UniqueTable):
            return cls(None, {})
        declared = survey.unique
        table = _read(survey, declared)
        for column in (declared.key, *declared.columns):
            if column not in table.colnames:
                raise DeclarationError(f"{survey.name}: unique: the table has no column {column}")
        areas = {_text(row[declared.key]): _area(row, declared.columns) for row in table}
        return cls(declared, {tile: area for tile, area in areas.items() if area is not None})

    def add_to(self, scan: FileScan) -> FileScan:
        """Give each image of a scan its unique area; images the table does not know are refused."""
        if self.table is None:
            return scan
        hdus: list[ScannedHdu] = []
        refused = list(scan.refused)
        for hdu in scan.hdus:
            if hdu.sky is None:
                hdus.append(hdu)
            elif area := self.areas.get(hdu.fields[self.table.field]):
                sky = replace(hdu.sky, attributes=hdu.sky.attributes | {"unique": dict(area)})
                hdus.append(replace(hdu, sky=sky))
            else:
                refused.append(
                    (hdu.hdu, f"the table of unique areas has no limits for its {self.table.field}")
                )
        return replace(scan, hdus=tuple(hdus), refused=tuple(refused))


def _read(survey: Survey, declared: UniqueTable) -> Table:
    ending = next((ending for ending in _FORMATS if declared.path.lower().endswith(ending)), None)
    if ending is None:
        raise DeclarationError(
            f"{survey.name}: unique.table: expected a name ending in {', '.join(_FORMATS)}"
        )
    try:
        with resolve(survey.roots, declared.path).open("rb") as stream:
            return Table.read(stream, format=_FORMATS[ending])
    except ImageRefused as error:
        raise DeclarationError(f"{survey.name}: unique.table: {error}") from error
    except Exception as error:  # astropy raises whatever its parts raise
        raise DeclarationError(f"{survey.name}: unique.table: it cannot be read as a table") from error


def _area(row: Table.Row, columns: tuple[str, ...]) -> dict[str, Any] | None:
    """Area in one row; None where a limit is missing or no number."""
    values = [row[column] for column in columns]
    if any(value is masked for value in values):
        return None
    if len(columns) == 1:
        return {"region": _text(values[0])}
    try:
        limits = [float(value) for value in values]
    except (TypeError, ValueError):
        return None
    if not all(math.isfinite(limit) for limit in limits):
        return None
    return dict(zip(("ra_min", "ra_max", "dec_min", "dec_max"), limits, strict=True))


def _text(value: Any) -> str:
    return (value.decode() if isinstance(value, bytes) else str(value)).strip()
