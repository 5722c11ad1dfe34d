"""All cutouts of a list as one file: extensions of FITS, rows of a table, or an array (`soda.lists.zarr`).

Headers are read once, when a pack is first asked for; pixels only while they are sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from dali.votable import Field
from soda.lists.stamps import BLOCK, CARD, Scalar, Stamp, is_of_wcs, read_stamps, require_alike
from soda.lists.zarr import ZarrPack
from uws.packages.archives import Segment, clipped
from uws.packages.members import Piece
from uws.packages.package import Column, Entry
from uws.packages.packs import Pack
from uws.results import Ranges

_HEAD, _ROWS, _SPOOL, _PREFIXES = "head.fits", "rows.bin", "spool.jsonl", "prefixes.bin"
_ARRAYS, _META = "pack.npz", "pack.json"
_AT_ONCE = 500
_NULL = {"short": -(2**15), "int": -(2**31), "long": -(2**63)}
_NUMPY = {"boolean": "S1", "short": ">i2", "int": ">i4", "long": ">i8", "float": ">f4", "double": ">f8"}
_FORMS = {"boolean": "L", "short": "I", "int": "J", "long": "K", "float": "E", "double": "D"}
_PIXELS = {8: "B", 16: "I", 32: "J", 64: "K", -32: "E", -64: "D"}
#: Cards that say something else once the header is that of an extension: blanks take their place.
_BLANKED = ("CHECKSUM", "EXTNAME", "EXTEND")


class MefPack:
    """One FITS file: a table of the rows, ``ROWS``, and an extension for each, named by its result."""

    media_type, suffix = "application/fits", "fits"

    def build(
        self,
        folder: Path,
        columns: Sequence[Column],
        entries: Callable[[], Iterator[Entry]],
        ranges: Ranges,
    ) -> str:
        """Write the table, and the first cards of each extension."""
        numbered = (Field(name="ext", datatype="long", description="Number of the extension"), *columns)
        table, places, number = _Table(numbered), _Places(), 2
        layout: list[tuple[int, ...]] = []
        with (folder / _SPOOL).open("w") as spool, (folder / _PREFIXES).open("wb") as prefixes:
            for stamp in read_stamps(entries(), ranges):
                table.spool([number, *(column.value(stamp.entry) for column in columns)], spool)
                prefix, start = _extension(stamp)
                prefixes.write(prefix)
                blanked = [stamp.header.find(key) for key in _BLANKED]
                row = stamp.entry.row
                layout.append(
                    (
                        places.number(row.container),
                        row.offset,
                        row.size,
                        prefixes.tell(),
                        start * CARD,
                        len(stamp.header.cards) * CARD,
                        stamp.header.data_at,
                        *(index * CARD if index >= start else -1 for index in blanked),
                    )
                )
                number += stamp.hdus
        digest = sha256()
        with (folder / _HEAD).open("wb") as head:
            head.write(_primary())
            head.write(table.header(len(layout), "ROWS"))
            for block in table.blocks(folder / _SPOOL):
                head.write(block)
                digest.update(block)
            head.write(bytes(-head.tell() % BLOCK))
        digest.update((folder / _PREFIXES).read_bytes())
        (folder / _SPOOL).unlink()
        np.savez(folder / _ARRAYS, layout=np.array(layout, np.int64).reshape(len(layout), -1))
        (folder / _META).write_text(json.dumps({"places": list(places.names)}))
        return digest.hexdigest()

    def load(self, folder: Path) -> MefArchive:
        """Read what `build` wrote."""
        meta = json.loads((folder / _META).read_text())
        with np.load(folder / _ARRAYS) as arrays:
            return MefArchive(folder, meta["places"], arrays["layout"])


class MefArchive:
    """A FITS file of many extensions, each of which lies in a container but for its first cards."""

    def __init__(self, folder: Path, places: Sequence[str], layout: NDArray[np.int64]) -> None:
        self._head, self._prefixes = str(folder / _HEAD), str(folder / _PREFIXES)
        self._head_bytes = (folder / _HEAD).stat().st_size
        self._places, self._layout = places, layout
        sizes, rest, data_at = layout[:, 2], layout[:, 5] - layout[:, 4], layout[:, 6]
        prefix = np.diff(layout[:, 3], prepend=np.int64(0))
        headers = -(-(prefix + rest + CARD) // BLOCK) * BLOCK
        ends = self._head_bytes + np.cumsum(headers + sizes - data_at)
        self._starts = np.concatenate([[self._head_bytes], ends]).astype(np.int64)
        self.size = int(self._starts[-1])

    def segments(self, start: int, stop: int) -> Iterator[Segment]:
        """Give the bytes from `start` to before `stop`."""
        if start < self._head_bytes:
            yield from clipped(iter([(0, Piece(self._head, 0, self._head_bytes))]), start, stop)
        if stop > self._head_bytes and len(self._layout):
            index = max(int(np.searchsorted(self._starts, start, side="right")) - 1, 0)
            yield from clipped(self._extensions(index), start, stop)

    def _extensions(self, index: int) -> Iterator[tuple[int, Segment]]:
        for number in range(index, len(self._layout)):
            at = int(self._starts[number])
            for segment in self._extension(number):
                yield at, segment
                at += len(segment) if isinstance(segment, bytes) else segment.stop - segment.start

    def _extension(self, number: int) -> Iterator[Segment]:
        place, offset, size, prefix_end, start, end, data_at, *blanked = self._layout[number].tolist()
        prefix_start = int(self._layout[number - 1, 3]) if number else 0
        source = self._places[place]
        yield Piece(self._prefixes, prefix_start, prefix_end)
        at = start
        for card in sorted(position for position in blanked if position >= 0):
            yield Piece(source, offset + at, offset + card)
            yield b" " * CARD
            at = card + CARD
        yield Piece(source, offset + at, offset + end)
        written = prefix_end - prefix_start + end - start
        yield b"END".ljust(CARD + -(written + CARD) % BLOCK)
        yield Piece(source, offset + data_at, offset + size)


class TablePack:
    """One FITS table with a row for each cutout: what is told of it, its WCS, and its pixels in ``STAMP``."""

    media_type, suffix = "application/fits", "fits"

    def build(
        self,
        folder: Path,
        columns: Sequence[Column],
        entries: Callable[[], Iterator[Entry]],
        ranges: Ranges,
    ) -> str:
        """Write all of each row but its pixels."""
        table, places, found = _Table(columns), _Places(), _Wcs()
        layout: list[tuple[int, int]] = []
        first: Stamp | None = None
        with (folder / _SPOOL).open("w") as spool:
            for stamp in read_stamps(entries(), ranges):
                first = first or stamp
                require_alike(first, stamp, "table")
                cells = [column.value(stamp.entry) for column in columns]
                table.spool([*cells], spool, found.of(stamp))
                row = stamp.entry.row
                layout.append((places.number(row.container), row.offset + stamp.header.data_at))
        table.add(found.fields())
        pixels = first.header.data_bytes if first else 0
        digest = sha256()
        with (folder / _ROWS).open("wb") as rows:
            for block in table.blocks(folder / _SPOOL):
                rows.write(block)
                digest.update(block)
        (folder / _SPOOL).unlink()
        stamps = () if first is None else _stamp_column(first, len(table.fields) + 1)
        header = table.header(len(layout), "STAMPS", stamps, pixels)
        (folder / _HEAD).write_bytes(_primary() + header)
        np.savez(folder / _ARRAYS, layout=np.array(layout, np.int64).reshape(-1, 2))
        (folder / _META).write_text(
            json.dumps({"places": list(places.names), "row": table.row_bytes, "pixels": pixels})
        )
        return digest.hexdigest()

    def load(self, folder: Path) -> TableArchive:
        """Read what `build` wrote."""
        meta = json.loads((folder / _META).read_text())
        with np.load(folder / _ARRAYS) as arrays:
            return TableArchive(folder, meta["places"], arrays["layout"], meta["row"], meta["pixels"])


class TableArchive:
    """A FITS table whose rows end with pixels that lie in containers."""

    def __init__(
        self, folder: Path, places: Sequence[str], layout: NDArray[np.int64], row_bytes: int, pixels: int
    ) -> None:
        self._head, self._rows = str(folder / _HEAD), str(folder / _ROWS)
        self._head_bytes = (folder / _HEAD).stat().st_size
        self._places, self._layout, self._row_bytes, self._pixels = places, layout, row_bytes, pixels
        self._end = self._head_bytes + len(layout) * (row_bytes + pixels)
        self.size = -(-self._end // BLOCK) * BLOCK

    def segments(self, start: int, stop: int) -> Iterator[Segment]:
        """Give the bytes from `start` to before `stop`."""
        if start < self._head_bytes:
            yield from clipped(iter([(0, Piece(self._head, 0, self._head_bytes))]), start, stop)
        if stop > self._head_bytes and start < self._end:
            index = max(start - self._head_bytes, 0) // (self._row_bytes + self._pixels)
            yield from clipped(self._told(index), start, stop)
        if stop > self._end:
            yield from clipped(iter([(self._end, bytes(self.size - self._end))]), start, stop)

    def _told(self, index: int) -> Iterator[tuple[int, Segment]]:
        for number in range(index, len(self._layout)):
            place, data_at = self._layout[number].tolist()
            at = self._head_bytes + number * (self._row_bytes + self._pixels)
            cells = number * self._row_bytes
            yield at, Piece(self._rows, cells, cells + self._row_bytes)
            yield at + self._row_bytes, Piece(self._places[place], data_at, data_at + self._pixels)


#: Kinds of packs, by the values of PACK.
PACKS: Mapping[str, Pack] = {"mef": MefPack(), "table": TablePack(), "zarr": ZarrPack()}


@dataclass(slots=True)
class _Places:
    """Containers, numbered as they are met."""

    names: dict[str, int] = field(default_factory=dict)

    def number(self, name: str) -> int:
        return self.names.setdefault(name, len(self.names))


class _Wcs:
    """Cards of coordinates that any of the cutouts has."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}

    def of(self, stamp: Stamp) -> dict[str, Scalar]:
        found: dict[str, Scalar] = {}
        for card in stamp.header.cards:
            key = card[:8].rstrip()
            if is_of_wcs(key):
                value = found[key] = stamp.header.value(key)
                self._kinds[key] = "char" if isinstance(value, str) else self._kinds.get(key, "double")
        return found

    def fields(self) -> list[Field]:
        return [
            Field(name=key, datatype="char" if kind == "char" else "double")
            for key, kind in self._kinds.items()
        ]


class _Table:
    """A binary table whose rows are spooled before the width of its texts is known."""

    def __init__(self, columns: Sequence[Field]) -> None:
        self.fields: list[Field] = list(columns)
        self._widths: dict[str, int] = {}

    def spool(self, cells: list[Any], file: IO[str], more: Mapping[str, Scalar] = {}) -> None:
        """Keep a row, and `more` of it under names of columns that are added later."""
        for column, cell in zip(self.fields, cells, strict=True):
            if isinstance(cell, str):
                self._widths[column.name] = max(self._widths.get(column.name, 1), len(cell))
        for name, value in more.items():
            if isinstance(value, str):
                self._widths[name] = max(self._widths.get(name, 1), len(value))
        file.write(json.dumps([cells, more]) + "\n")

    def add(self, fields: Sequence[Field]) -> None:
        """Add columns after all rows are spooled."""
        self.fields += fields

    @property
    def _dtype(self) -> np.dtype[Any]:
        return np.dtype(
            [
                (f"c{number}", _NUMPY.get(column.datatype) or f"S{self._widths.get(column.name, 1)}")
                for number, column in enumerate(self.fields)
            ]
        )

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self._dtype.itemsize

    def blocks(self, spooled: Path) -> Iterator[bytes]:
        """Give the rows as the table has them, some at a time."""
        dtype = self._dtype
        with spooled.open() as file:
            while lines := [line for _, line in zip(range(_AT_ONCE), file, strict=False)]:
                block = np.zeros(len(lines), dtype)
                for number, line in enumerate(lines):
                    cells, more = json.loads(line)
                    cells += [more.get(column.name) for column in self.fields[len(cells) :]]
                    block[number] = tuple(map(_cell, self.fields, cells))
                yield block.tobytes()

    def header(
        self, rows: int, name: str, more: Sequence[tuple[str, Any]] = (), more_bytes: int = 0
    ) -> bytes:
        """Header of the table, with the cards of one more column that is `more_bytes` wide."""
        cards: list[tuple[str, Any]] = [("XTENSION", "BINTABLE"), ("BITPIX", 8), ("NAXIS", 2)]
        cards += [("NAXIS1", self.row_bytes + more_bytes), ("NAXIS2", rows), ("PCOUNT", 0), ("GCOUNT", 1)]
        cards += [("TFIELDS", len(self.fields) + bool(more)), ("EXTNAME", name)]
        for number, column in enumerate(self.fields, start=1):
            form = _FORMS.get(column.datatype) or f"{self._widths.get(column.name, 1)}A"
            cards += [(f"TTYPE{number}", column.name), (f"TFORM{number}", form)]
            if column.unit:
                cards.append((f"TUNIT{number}", column.unit))
            if column.datatype in _NULL:
                cards.append((f"TNULL{number}", _NULL[column.datatype]))
        return _written([*cards, *more])


def _cell(column: Field, value: Any) -> Any:
    match column.datatype:
        case "boolean":
            return b"\0" if value is None else b"T" if value else b"F"
        case "short" | "int" | "long":
            return _NULL[column.datatype] if value is None else int(value)
        case "float" | "double":
            return np.nan if value is None else float(value)
        case _:
            # A table of FITS has ASCII without control characters.
            text = "" if value is None else str(value)
            return "".join(letter if " " <= letter <= "~" else "?" for letter in text).encode()


def _extension(stamp: Stamp) -> tuple[bytes, int]:
    """First cards of the header as that of an extension, and the number of the cards these stand for."""
    header, name = stamp.header, stamp.header.value("EXTNAME")
    cards: list[tuple[str, Any]] = [("XTENSION", "IMAGE"), ("BITPIX", header.number("BITPIX", 8))]
    cards += [("NAXIS", len(header.shape))]
    cards += [(f"NAXIS{axis}", length) for axis, length in enumerate(header.shape, start=1)]
    cards += [("PCOUNT", 0), ("GCOUNT", 1), ("EXTNAME", stamp.entry.row.result_id)]
    cards += [("O_EXTNM", name)] if isinstance(name, str) else []
    written = "".join(str(fits.Card(*card)) for card in cards)
    return written.encode("ascii"), 3 + len(header.shape)


def _stamp_column(stamp: Stamp, number: int) -> list[tuple[str, Any]]:
    header = stamp.header
    count = header.data_bytes // (abs(header.number("BITPIX", 8)) // 8)
    shape = ",".join(str(length) for length in header.shape)
    cards: list[tuple[str, Any]] = [(f"TTYPE{number}", "STAMP"), (f"TDIM{number}", f"({shape})")]
    cards.append((f"TFORM{number}", f"{count}{_PIXELS[header.number('BITPIX', 8)]}"))
    for key, word in (("BSCALE", "TSCAL"), ("BZERO", "TZERO"), ("BLANK", "TNULL"), ("BUNIT", "TUNIT")):
        if (value := header.value(key)) is not None:
            cards.append((f"{word}{number}", value))
    return cards


def _primary() -> bytes:
    return _written([("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", True)])


def _written(cards: Sequence[tuple[str, Any]]) -> bytes:
    text = "".join(str(fits.Card(*card)) for card in cards) + "END".ljust(CARD)
    return text.ljust(-(-len(text) // BLOCK) * BLOCK).encode("ascii")
