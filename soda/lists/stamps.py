"""The headers of cutouts as packs need them: read from the beginning of each file, and never rewritten."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from math import prod

from dali.errors import UsageError
from uws.packages.package import Entry
from uws.results import Ranges

BLOCK = 2880
CARD = 80
FITS_TYPES = ("application/fits", "image/fits")

#: Read of each file at first, which is a whole header most often, and the most that a header is.
_BEGINNING = 5 * BLOCK
_MOST_HEADER = 400 * BLOCK
_AT_ONCE = 100
_END = b"END" + b" " * (CARD - 3)

_WCS = re.compile(
    r"WCSAXES|RADESYS|EQUINOX|LONPOLE|LATPOLE|C(TYPE|UNIT|RPIX|RVAL|DELT|ROTA)\d|(CD|PC|PV|LTM)\d_\d+|LTV\d"
    r"|(A|B|AP|BP)_(\d_\d|ORDER)"
)

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Header:
    """A header: its cards but for END, and where the data begin."""

    cards: tuple[str, ...]
    data_at: int

    def find(self, key: str) -> int:
        """Index of a card, -1 if there is none."""
        padded = key.ljust(8)
        return next((index for index, card in enumerate(self.cards) if card.startswith(padded)), -1)

    def value(self, key: str) -> Scalar:
        """Value of a card, None if there is none."""
        index = self.find(key)
        return None if index < 0 else value_of(self.cards[index])

    def number(self, key: str, default: int) -> int:
        """Value of a card that is a whole number."""
        value = self.value(key)
        return value if isinstance(value, int) else default

    @property
    def shape(self) -> tuple[int, ...]:
        """Axes of the data, the fastest first."""
        return tuple(self.number(f"NAXIS{axis}", 0) for axis in range(1, self.number("NAXIS", 0) + 1))

    @property
    def data_bytes(self) -> int:
        """Bytes of the data, without what fills the last block."""
        if not self.shape:
            return 0
        elements = self.number("GCOUNT", 1) * (self.number("PCOUNT", 0) + prod(self.shape))
        return abs(self.number("BITPIX", 8)) // 8 * elements

    @property
    def next_at(self) -> int:
        """Where the next HDU begins."""
        return self.data_at + -(-self.data_bytes // BLOCK) * BLOCK


@dataclass(frozen=True, slots=True)
class Stamp:
    """A cutout of a row: its first header, and how many HDUs its file has."""

    entry: Entry
    header: Header
    hdus: int


def read_stamps(entries: Iterable[Entry], ranges: Ranges) -> Iterator[Stamp]:
    """Read the headers of all rows that have files.

    Raises
    ------
    UsageError
        If one is no FITS file.
    """
    made = (entry for entry in entries if entry.row.container)
    while batch := list(islice(made, _AT_ONCE)):
        for entry in batch:
            if entry.row.media_type not in FITS_TYPES:
                raise _no_fits(entry)
        wanted = [_range(entry, 0, _BEGINNING) for entry in batch]
        for entry, beginning in zip(batch, ranges.fetch(wanted), strict=True):
            header = _header(entry, 0, beginning, ranges)
            hdus, at = 1, header.next_at
            while at < entry.row.size:
                found = ranges.fetch([_range(entry, at, _BEGINNING)])[0]
                at += _header(entry, at, found, ranges).next_at
                hdus += 1
            yield Stamp(entry, header, hdus)


def value_of(card: str) -> Scalar:
    """Value of a card."""
    if card[8:10] != "= ":
        return None
    text = card[10:].strip()
    if text.startswith("'"):
        end = text.replace("''", "\0\0").find("'", 1)
        return text[1:end].replace("''", "'").rstrip()
    word = text.partition("/")[0].strip()
    if word in ("T", "F"):
        return word == "T"
    try:
        return int(word)
    except ValueError:
        pass
    try:
        return float(word.replace("D", "E"))
    except ValueError:
        return None


def _header(entry: Entry, at: int, content: bytes, ranges: Ranges) -> Header:
    while (end := _end(content)) < 0:
        if len(content) >= min(_MOST_HEADER, entry.row.size - at):
            raise _no_fits(entry)
        content = ranges.fetch([_range(entry, at, 2 * len(content))])[0]
    if not content.startswith((b"SIMPLE  =", b"XTENSION=")):
        raise _no_fits(entry)
    text = content[:end].decode("latin-1")
    cards = tuple(text[start : start + CARD] for start in range(0, end, CARD))
    return Header(cards, -(-(end + CARD) // BLOCK) * BLOCK)


def _end(content: bytes) -> int:
    """Place of the card END; -1 if it is not there."""
    at = content.find(_END)
    while at >= 0 and at % CARD:
        at = content.find(_END, at + 1)
    return at


def _range(entry: Entry, at: int, size: int) -> tuple[str, int, int]:
    row = entry.row
    return row.container, row.offset + at, row.offset + min(at + size, row.size)


def _no_fits(entry: Entry) -> UsageError:
    return UsageError(
        f"packs hold FITS files; the file of {entry.row.result_id} is {entry.row.media_type}",
        "Leave PACK out, or choose other rows with ROWS, ID or STATUS.",
    )


def is_of_wcs(key: str) -> bool:
    """Whether a card of this name tells of coordinates."""
    return _WCS.fullmatch(key) is not None


def require_alike(first: Stamp, stamp: Stamp, kind: str) -> None:
    """Make sure that two cutouts fit into one array, of the pack `kind`.

    Raises
    ------
    UsageError
        If they do not.
    """
    ours, theirs = first.entry.row.result_id, stamp.entry.row.result_id
    if not stamp.header.shape:
        raise _unlike(kind, f"the image of {theirs} is in an extension")
    if stamp.header.shape != first.header.shape:
        shapes = [" x ".join(map(str, one.header.shape)) for one in (first, stamp)]
        raise _unlike(kind, f"{ours} is of {shapes[0]} pixels and {theirs} of {shapes[1]}")
    for key in ("BITPIX", "BSCALE", "BZERO", "BLANK", "BUNIT"):
        if stamp.header.value(key) != first.header.value(key):
            raise _unlike(kind, f"{key} of {ours} and {theirs} differs")


def _unlike(kind: str, why: str) -> UsageError:
    return UsageError(
        f"PACK={kind} takes cutouts that are alike; {why}",
        "Use PACK=mef, or choose rows that are alike with ROWS, ID or STATUS.",
    )
