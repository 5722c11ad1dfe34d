"""Headers of the HDUs of larger products: cards, of which a few are told when the pixels are known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from surveys.fits.checksum import Checksum, encode
from surveys.fits.header import BLOCK, CARD, Value, card

_LENGTH = re.compile(r"NAXIS\d* *=")
# What an HDU is in the file that it comes from.
_PLACE_IN_FILE = ("EXTEND", "EXTVER", "EXTLEVEL")
_EMPTY_SUM = encode(0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Late:
    """A card whose value is told when the pixels are known; always one card."""

    keyword: str
    comment: str = ""
    value: Value = 0.0


Card = str | Late

CHECKSUM = (Late("CHECKSUM", "HDU checksum", _EMPTY_SUM), Late("DATASUM", "data unit checksum", "0"))


@dataclass(frozen=True, slots=True)
class HduHeader:
    """Cards of an HDU in their order, 80 characters each, without END."""

    cards: tuple[Card, ...]

    @property
    def size(self) -> int:
        """Bytes, whatever the late values are."""
        return padded((len(self.cards) + 1) * CARD)

    @property
    def has_checksum(self) -> bool:
        """Whether the sum of the data is wanted."""
        return CHECKSUM[0] in self.cards

    def write(self, values: Mapping[str, Value], data_sum: int = 0) -> bytes:
        """Write the header.

        Parameters
        ----------
        values
            Of the late cards, by keyword; those that are not named have the value they were made with.
        data_sum
            Checksum of the data, used where there is a card for it.
        """
        if not self.has_checksum:
            return self._write(values)
        sums = dict(values) | {"CHECKSUM": _EMPTY_SUM, "DATASUM": str(data_sum)}
        total = Checksum(data_sum)
        total.add(np.frombuffer(self._write(sums), np.uint8))
        return self._write(sums | {"CHECKSUM": encode(total.value)})

    def _write(self, values: Mapping[str, Value]) -> bytes:
        lines = [
            card(one.keyword, values.get(one.keyword, one.value), one.comment)
            if isinstance(one, Late)
            else one
            for one in self.cards
        ]
        return ("".join(lines) + "END").ljust(self.size).encode("ascii")

    def with_late(self, *cards: Late) -> HduHeader:
        """Return the same with late cards in the place of those of their keywords."""
        late = {one.keyword: one for one in cards}
        return HduHeader(tuple(late.get(keyword_of(one), one) for one in self.cards))

    def extended(self) -> HduHeader:
        """Return the same for a primary HDU that others follow."""
        if any(keyword_of(one) == "EXTEND" for one in self.cards):
            return self
        place = _structure_end(self.cards)
        extend = card("EXTEND", True, "there are extensions")
        return replace(self, cards=(*self.cards[:place], extend, *self.cards[place:]))

    def as_extension(self, name: str, added: Iterable[Card] = ()) -> HduHeader:
        """Return the same for an image extension.

        Parameters
        ----------
        name
            EXTNAME; any other is kept as O_EXTNM.
        added
            Cards that precede all but those of the structure.
        """
        place = _structure_end(self.cards)
        first = card("XTENSION", "IMAGE", "image extension")
        structure = [
            first,
            *self.cards[1:place],
            card("PCOUNT", 0, "no heap"),
            card("GCOUNT", 1, "one group"),
            card("EXTNAME", name, "name of this extension"),
            *added,
        ]
        rest: list[Card] = []
        dropped = False
        for one in self.cards[place:]:
            # What continues a card goes where it goes.
            dropped = dropped if _continues(one) else keyword_of(one) in _PLACE_IN_FILE
            if keyword_of(one) == "EXTNAME" and isinstance(one, str):
                one, dropped = f"{'O_EXTNM':<8}{one[8:]}", False
            if not dropped:
                rest.append(one)
        return HduHeader((*structure, *rest))


def header_of(text: str) -> HduHeader:
    """Take the cards of a header (with or without END and what follows it) apart."""
    lines = [text[place : place + CARD] for place in range(0, len(text), CARD)]
    end = next((place for place, line in enumerate(lines) if line.rstrip() == "END"), len(lines))
    return HduHeader(tuple(lines[:end]))


def lines_of(cards: Iterable[str]) -> list[str]:
    """Cards of 80 characters, of texts that hold one or more each."""
    return [text[place : place + CARD] for text in cards for place in range(0, len(text), CARD)]


def keyword_of(one: Card) -> str:
    """Keyword of a card; "" of one that continues another."""
    if isinstance(one, Late):
        return one.keyword
    return "" if _continues(one) else one[:8].rstrip()


def _continues(one: Card) -> bool:
    return isinstance(one, str) and one.startswith("CONTINUE")


def padded(size: int) -> int:
    """`size` bytes up to a whole block."""
    return -(-size // BLOCK) * BLOCK


def _structure_end(cards: Sequence[Card]) -> int:
    """Place after the last of SIMPLE, BITPIX and NAXIS."""
    place = 2
    while place < len(cards) and _LENGTH.match(str(cards[place])):
        place += 1
    return place
