"""Cards of several headers: what they have in common, and what only one of them may say.

A mosaic's header says what is true of all its inputs. Where the pixels lie it has from the image whose grid
it is on; of how long, when and with what each was taken it says nothing, unless that is the same for all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence

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
    if len(card) > 80:
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
        if text == texts[0]:
            continue
        others = list(split_cards(text))
        same = {card for _, card in others}
        values: dict[str, list[str]] = {}
        for keyword, card in others:
            values.setdefault(keyword, []).append(card)
        cards = [
            (keyword, card)
            for keyword, card in cards
            if keeps(keyword) or card in same or _has_equal(keyword, card, values.get(keyword, ()))
        ]
    return "".join(card for _, card in cards)


def _has_equal(keyword: str, card: str, others: Sequence[str]) -> bool:
    if keyword in _COMMENTARY or not others:
        return False
    value = value_of(card)
    return any(value == value_of(other) for other in others)


def without(text: str, drops: Callable[[str], bool]) -> str:
    """Cards of a header but those of some keywords."""
    return "".join(card for keyword, card in split_cards(text) if not drops(keyword))


def only(text: str, takes: Callable[[str], bool]) -> str:
    """Cards of a header of some keywords."""
    return "".join(card for keyword, card in split_cards(text) if takes(keyword))


def numbers_of(texts: Sequence[str], keyword: str) -> Iterator[tuple[int, float]]:
    """Value of a card in each header that has a finite number there, after the header's place."""
    for place, text in enumerate(texts):
        for name, card in split_cards(text):
            if name == keyword:
                value = value_of(card)
                if isinstance(value, float) and math.isfinite(value):
                    yield place, value
                break
