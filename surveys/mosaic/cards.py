"""Cards of several headers: what they have in common, and what only one of them may say.

A mosaic's header says what is true of all its inputs. Where the pixels lie it has from the image whose grid
it is on; of how long, when and with what each was taken it says nothing, unless that is the same for all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence

from surveys.fits.header import CARD
from surveys.index.cards import split_cards

# Where pixels lie, in the primary WCS, its alternates and the pixel coordinates of IRAF.
_WCS = re.compile(
    r"(WCSAXES|WCSNAME|LONPOLE|LATPOLE|RADESYS|EQUINOX|SPECSYS|SSYSOBS|SSYSSRC|RESTFRQ|RESTWAV|VELANGL|VELOSYS"
    r"|ZSOURCE)[A-Z]?\Z"
    r"|(CTYPE|CRVAL|CRPIX|CDELT|CUNIT|CRDER|CSYER|CNAME)\d+[A-Z]?\Z"
    r"|(CD|PC|PV|PS)\d+_\d+[A-Z]?\Z|(CROTA|PROJP)\d+\Z|(CD|PC)\d{6}\Z|(RADECSYS|EPOCH|RESTFREQ|VELREF)\Z"
    r"|[AB]P?_(ORDER|DMAX|\d+_\d+)\Z|(CPDIS|CQDIS|CPERR|CQERR|D2IMDIS|D2IMERR)\d+\Z|D[PQ]\d+(\..*)?\Z"
    r"|(D2IM|AXISCORR).*\Z|CNPIX[12]\Z|PPO\d\Z|[XY]PIXELSZ\Z|PLT(RA|DEC)\w+\Z|AMD[XY]\d+\Z|WAT\d_\d+\Z"
    r"|LTV\d+\Z|LTM\d+_\d+\Z"
)
_COMMENTARY = ("COMMENT", "HISTORY", "")
_STRING = re.compile(r" *'((?:[^']|'')*)'")


def is_wcs(keyword: str) -> bool:
    """Whether a card says where pixels lie."""
    return _WCS.match(keyword) is not None


def value_of(card: str) -> str | float | bool | None:
    """Value of a card, without its comment; None where it has none.

    Numbers are compared as numbers, however they are written; of a long string that goes on in CONTINUE cards
    the text of all cards is the value.
    """
    if card[8:10] != "= " and not card.startswith("HIERARCH "):
        return None
    if len(card) > CARD:
        return card[10:]
    text = card.partition("=")[2]
    if string := _STRING.match(text):
        return "'" + string[1].rstrip()
    text = text.partition("/")[0].strip()
    if text in ("T", "F"):
        return text == "T"
    try:
        return float(text.upper().replace("D", "E"))
    except ValueError:
        return text or None


def common_cards(texts: Sequence[str], keeps: Callable[[str], bool]) -> str:
    """Cards of the first header which all others have too, with the same value.

    Parameters
    ----------
    texts
        Cards of each header, 80 characters each.
    keeps
        Tells of a keyword whether the first header's cards of it stay whatever the others say.
    """
    cards = list(split_cards(texts[0]))
    for text in dict.fromkeys(texts[1:]):
        lines = {text[place : place + CARD] for place in range(0, len(text), CARD)}
        cards = [
            (keyword, card)
            for keyword, card in cards
            if card in lines or keeps(keyword) or _has_equal(keyword, card, text)
        ]
    return "".join(card for _, card in cards)


def _has_equal(keyword: str, card: str, text: str) -> bool:
    """Whether a header has a card of the same value, perhaps written in another way."""
    if keyword in _COMMENTARY:
        return False
    value = value_of(card)
    return any(value == value_of(other) for other in cards_of(text, keyword))


def cards_of(text: str, keyword: str) -> Iterator[str]:
    """Cards of a keyword, long strings with all that continues them."""
    # A search of the whole text is much faster than to take its cards apart.
    head = keyword if keyword.startswith("HIERARCH ") else f"{keyword:<8}= "
    place = text.find(head)
    while place >= 0:
        if place % CARD == 0:
            yield next(split_cards(text[place:]))[1]
        place = text.find(head, place + 1)


def without(text: str, drops: Callable[[str], bool]) -> str:
    """Cards of a header but those of some keywords."""
    return "".join(card for keyword, card in split_cards(text) if not drops(keyword))


def only(text: str, takes: Callable[[str], bool]) -> str:
    """Cards of a header of some keywords."""
    return "".join(card for keyword, card in split_cards(text) if takes(keyword))


def numbers_of(texts: Sequence[str], keyword: str) -> Iterator[tuple[int, float]]:
    """Value of a card in each header that has a finite number there, after the header's place."""
    for place, text in enumerate(texts):
        for card in cards_of(text, keyword):
            value = value_of(card)
            if isinstance(value, float) and math.isfinite(value):
                yield place, value
            break
