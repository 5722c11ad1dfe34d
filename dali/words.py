"""The grammar of choices and settings: a word of a few, several of them, a number within limits.

As in `dali.xtypes`, every function takes the name of the parameter, and raises `UsageError`, which names it,
the value and what is allowed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from dali.errors import UsageError, quoted
from dali.xtypes import format_number, parse_number

T = TypeVar("T")

_SEPARATORS = re.compile(r"[ ,]+")


def parse_word(text: str, name: str, words: Sequence[T]) -> T:
    """Return the one of `words`, which are in lower case, that `text` is in any case.

    Notes
    -----
    The type of the words is kept, so that those of a Literal come back as such.
    """
    word = text.strip(" ").lower()
    for known in words:
        if known == word:
            return known
    raise UsageError(
        f"{name} is {' or '.join(map(str, words))}; got {quoted(text)}",
        f"Write {name}={words[0]}, or leave it out.",
    )


def parse_list(text: str, name: str, parse: Callable[[str], T], example: str) -> tuple[T, ...]:
    """Read values between commas or spaces, one at least."""
    items = [item for item in _SEPARATORS.split(text) if item]
    if not items:
        raise UsageError(f"{name} has no value; got {quoted(text)}", f"Write {name}={example}.")
    return tuple(parse(item) for item in items)


def parse_within(
    text: str, name: str, lowest: float = -math.inf, highest: float = math.inf, *, above: bool = False
) -> float:
    """Read a number between two limits; `above`: the lower one is not taken itself."""
    number = parse_number(text.strip(" "), name)
    if not lowest <= number <= highest or (above and number == lowest):
        raise UsageError(f"{name} is {limits(lowest, highest, above=above)}; got {quoted(text)}")
    return number + 0.0  # no -0.0


def parse_whole(text: str, name: str, lowest: int, highest: int) -> int:
    """Read a whole number between two limits."""
    digits = text.strip(" ")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18 and lowest <= int(digits) <= highest):
        raise UsageError(f"{name} is a whole number from {lowest} to {highest}; got {quoted(text)}")
    return int(digits)


def parse_text(text: str, name: str, longest: int, meaning: str) -> str:
    """Read a line of text that can be printed; `meaning` says what it is."""
    line = text.strip(" ")
    if len(line) > longest or not line.isprintable():
        raise UsageError(f"{name} is {meaning}, at most {longest} printable characters; got {quoted(text)}")
    return line


def limits(lowest: float, highest: float, *, above: bool = False) -> str:
    """Say in words which numbers lie between two limits."""
    said = []
    if lowest > -math.inf:
        said.append(f"{'above' if above else 'at least'} {format_number(lowest)}")
    if highest < math.inf:
        said.append(f"at most {format_number(highest)}")
    return f"a number {' and '.join(said)}" if said else "a finite number"
