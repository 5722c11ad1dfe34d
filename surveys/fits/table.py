"""Small binary tables of a FITS product, their size known before their values are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from surveys.fits.hdus import CHECKSUM, Card, HduHeader, lines_of, padded
from surveys.fits.header import card, history, printable


@dataclass(frozen=True, slots=True)
class Column:
    """A column: texts of at most `width` characters, or numbers where that is 0, `whole` ones or others."""

    name: str
    comment: str
    width: int = 0
    unit: str = ""
    whole: bool = False

    @property
    def form(self) -> str:
        """TFORM."""
        return f"{self.width}A" if self.width else "1K" if self.whole else "1D"

    @property
    def kind(self) -> str:
        """Type in numpy's words, big-endian."""
        return f"S{self.width}" if self.width else ">i8" if self.whole else ">f8"


@dataclass(frozen=True, slots=True)
class Table:
    """A binary table.

    Parameters
    ----------
    name
        EXTNAME.
    columns, rows
        What it holds; how many rows.
    remarks
        HISTORY lines.
    checksum
        Whether it has CHECKSUM and DATASUM.
    """

    name: str
    columns: tuple[Column, ...]
    rows: int
    remarks: tuple[str, ...] = ()
    checksum: bool = False

    @property
    def header(self) -> HduHeader:
        """Its header."""
        return _header_of(self)

    @property
    def data_size(self) -> int:
        """Bytes of the rows, without padding."""
        return self.rows * np.dtype([(column.name, column.kind) for column in self.columns]).itemsize

    @property
    def size(self) -> int:
        """Bytes of the whole HDU."""
        return self.header.size + padded(self.data_size)

    def data(self, values: Mapping[str, Sequence[str | float | None]]) -> bytes:
        """Write the rows; `values` has a sequence for each column, of numbers None where there is none."""
        rows = np.zeros(self.rows, [(column.name, column.kind) for column in self.columns])
        for column in self.columns:
            of_column = values[column.name]
            if column.width:
                rows[column.name] = [printable(str(value)).encode("ascii") for value in of_column]
            else:
                rows[column.name] = [np.nan if value is None else value for value in of_column]
        return rows.tobytes()


@lru_cache(maxsize=64)
def _header_of(table: Table) -> HduHeader:
    width = np.dtype([(column.name, column.kind) for column in table.columns]).itemsize
    cards: list[Card] = [
        card("XTENSION", "BINTABLE", "binary table"),
        card("BITPIX", 8, "bytes"),
        card("NAXIS", 2, "number of axes"),
        card("NAXIS1", width, "bytes of a row"),
        card("NAXIS2", table.rows, "number of rows"),
        card("PCOUNT", 0, "no heap"),
        card("GCOUNT", 1, "one group"),
        card("TFIELDS", len(table.columns), "number of columns"),
        card("EXTNAME", table.name, "name of this extension"),
    ]
    for number, column in enumerate(table.columns, start=1):
        cards.append(card(f"TTYPE{number}", column.name, column.comment))
        cards.append(card(f"TFORM{number}", column.form))
        if column.unit:
            cards.append(card(f"TUNIT{number}", column.unit))
    cards += lines_of(history(remark) for remark in table.remarks)
    return HduHeader((*cards, *(CHECKSUM if table.checksum else ())))


def width_of(texts: Iterable[str]) -> int:
    """Width of a column of texts."""
    return max((len(printable(text)) for text in texts), default=1) or 1
