"""Tables of a product: INPUTS, what it was made of; BANDS, what the planes of a cube are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from surveys.fits.table import Column, Table, width_of
from surveys.mosaic.compose import Input
from surveys.survey import Band


@dataclass(frozen=True, slots=True)
class InputRow:
    """A piece as the plan has it: its band, its publisher DID, the name of its file."""

    band: str
    did: str
    file: str


def inputs_table(rows: Sequence[InputRow], *, checksum: bool) -> Table:
    """Return the table INPUTS."""
    columns = (
        Column("BAND", "band of the image", width_of(row.band for row in rows)),
        Column("ID", "publisher DID of the image", width_of(row.did for row in rows)),
        Column("FILE", "its file", width_of(row.file for row in rows)),
        Column("SCALE", "its pixels were multiplied by this"),
        Column("OFFSET", "and this was added, in units of the pixels"),
        Column("MJD", "its exposure began (UTC)", 0, "d"),
        Column("FRACTION", "share of the pixels that it gave, or gave to"),
    )
    return Table("INPUTS", columns, len(rows), ("One row for each source image",), checksum)


def inputs_data(table: Table, rows: Sequence[InputRow], inputs: Sequence[Input]) -> bytes:
    """Write the rows of INPUTS."""
    return table.data(
        {
            "BAND": [row.band for row in rows],
            "ID": [row.did for row in rows],
            "FILE": [row.file for row in rows],
            "SCALE": [given.scale for given in inputs],
            "OFFSET": [given.offset for given in inputs],
            "MJD": [given.mjd for given in inputs],
            "FRACTION": [given.fraction for given in inputs],
        }
    )


def bands_table(bands: Sequence[Band], *, checksum: bool) -> Table:
    """Return the table BANDS."""
    columns = (
        Column("BAND", "name of the band", width_of(band.label for band in bands)),
        Column("EM_MIN", "shortest vacuum wavelength", 0, "m"),
        Column("EM_MAX", "longest vacuum wavelength", 0, "m"),
    )
    return Table("BANDS", columns, len(bands), ("Row n is plane n of the cube",), checksum)


def bands_data(table: Table, bands: Sequence[Band]) -> bytes:
    """Write the rows of BANDS."""
    return table.data(
        {
            "BAND": [band.label for band in bands],
            "EM_MIN": [band.em_min_m for band in bands],
            "EM_MAX": [band.em_max_m for band in bands],
        }
    )
