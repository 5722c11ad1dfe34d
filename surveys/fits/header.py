"""Cards of FITS headers, formatted."""

from __future__ import annotations

import re
from urllib.parse import quote

CARD = 80
#: Columns of a number in a card, 0-based and half-open.
NUMBER_START, NUMBER_END = 10, 30
BLOCK = 2880
# Between the quotes of a card; one of these, or of characters that FITS has not, takes more than a column.
_LONGEST_STRING = CARD - NUMBER_START - 2
Value = bool | int | float | str

#: Set anew in every product, whatever the source says; what described the source's HDU, not its pixels, goes.
STRUCTURE = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|GROUPS|TFIELDS|EXTEND|INHERIT|CHECKSUM|DATASUM|END"
)
UNPRINTABLE = re.compile(r"[^ -~]")


def printable(text: str) -> str:
    """`text` in the characters FITS allows (ASCII 32 to 126); all others percent-encoded."""
    if text.isascii() and text.isprintable():
        return text
    return UNPRINTABLE.sub(lambda match: quote(match[0], safe=""), text)


def format_value(value: Value) -> str:
    """Write a value as FITS 4.0, section 4.2, has it; numbers and logicals right-justified in 20 columns."""
    if isinstance(value, str):
        quoted = printable(value).replace("'", "''")
        return f"'{quoted:<8}'".ljust(20)
    if isinstance(value, bool):
        return ("T" if value else "F").rjust(20)
    text = repr(value).upper()
    if "E" in text and "." not in text:
        text = text.replace("E", ".0E")
    return text.rjust(20)


def card(keyword: str, value: Value, comment: str = "") -> str:
    """One card, or several (CONTINUE) for a string longer than a card; the comment gives way to the value."""
    if isinstance(value, str) and len(value) > _LONGEST_STRING:
        return _long_string(keyword, printable(value))
    text = f"{keyword.ljust(8)}= {format_value(value)}"
    if len(text) > CARD:
        return _long_string(keyword, printable(str(value)))
    if comment and len(text) + len(comment) + 3 <= CARD:
        text = f"{text} / {comment}"
    return text.ljust(CARD)


def _long_string(keyword: str, value: str) -> str:
    head, escaped = f"{keyword:<8}= ", value.replace("'", "''")
    cards = []
    while len(escaped) > 67:
        end = 67 - escaped.count("'", 0, 67) % 2  # a doubled quote is never split
        cards.append(f"{head}'{escaped[:end]}&'".ljust(CARD))
        head, escaped = "CONTINUE  ", escaped[end:]
    cards.append(f"{head}'{escaped}'".ljust(CARD))
    return "".join(cards)


def history(text: str) -> str:
    """`text` as one HISTORY card, or several when it is longer than one."""
    text = printable(text)
    return "".join([f"HISTORY {text[i : i + 72]}".ljust(CARD) for i in range(0, len(text), 72)])


def end_header(cards: str, before: int) -> str:
    """Return the last cards of a header, END and the blanks of its last block; `before` bytes precede."""
    size = before + len(cards) + CARD
    return (cards + "END").ljust(-(-size // BLOCK) * BLOCK - before)
