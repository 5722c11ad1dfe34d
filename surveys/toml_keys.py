"""Reading a TOML table key by key, so that whatever is wrong with it is named."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from typing import Any, TypeVar

from surveys.errors import DeclarationError
from surveys.template import PathTemplate

SEGMENT = re.compile(r"[A-Za-z0-9._~-]+\Z")
_CARD = re.compile(r"[A-Z0-9_-]{1,8}\Z")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
T = TypeVar("T")


def is_card(name: str) -> bool:
    """Whether `name` may be the name of a FITS card."""
    return _CARD.match(name) is not None


class Keys:
    """A TOML table being read: every key is taken once, what is left over is unknown."""

    def __init__(self, content: dict[str, Any], source: str, prefix: str = "") -> None:
        self.content = content
        self.source = source
        self.prefix = prefix
        self.known: set[str] = set()

    def fault(self, key: str, expected: str) -> DeclarationError:
        """Make the error that says what is wrong with a key."""
        got = self.content.get(key)
        shown = (
            "nothing" if key not in self.content else repr(got) if len(repr(got)) <= 60 else "something else"
        )
        return DeclarationError(f"{self.source}: {self.prefix}{key}: expected {expected}, got {shown}")

    def take(self, key: str, default: object = ...) -> Any:
        """Give the value of a key; one without a default must be there."""
        self.known.add(key)
        if key in self.content:
            return self.content[key]
        if default is ...:
            raise self.fault(key, "a value: this key is required")
        return default

    def has(self, key: str) -> bool:
        """Tell whether a key is there, and that it may be."""
        self.known.add(key)
        return key in self.content

    def optional(self, key: str, read: Callable[[str], T]) -> T | None:
        """Give the value of a key by one of the methods below; None where it is missing."""
        return read(key) if self.has(key) else None

    def text(self, key: str, default: object = ...) -> str:
        """Give a text, without blanks around it."""
        value = self.take(key, default)
        if not isinstance(value, str) or (default is ... and not value.strip()):
            raise self.fault(key, "a text")
        if _CONTROL.search(value):
            raise self.fault(key, "a text without control characters, which XML cannot hold")
        return value.strip()

    def texts(self, key: str, default: object = ...) -> list[str]:
        """Give a list of texts; one text stands for a list of one."""
        value = self.take(key, default)
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list | tuple) or not all(isinstance(one, str) and one for one in values):
            raise self.fault(key, "a text or a list of texts")
        if default is ... and not values:
            raise self.fault(key, "at least one text")
        return list(values)

    def number(self, key: str) -> float:
        """Give a finite number."""
        value = self.take(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.fault(key, "a number")
        return float(value)

    def positive(self, key: str) -> float:
        """Give a number above 0."""
        value = self.number(key)
        if value <= 0:
            raise self.fault(key, "a number above 0")
        return value

    def whole(self, key: str, default: object = ..., lowest: int = 0, highest: int = 2**31 - 1) -> int:
        """Give a whole number between two limits."""
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            raise self.fault(key, f"a whole number from {lowest} to {highest}")
        return value

    def truth(self, key: str, default: bool) -> bool:
        """Give true or false."""
        value = self.take(key, default)
        if not isinstance(value, bool):
            raise self.fault(key, "true or false")
        return value

    def choice(self, key: str, allowed: tuple[Any, ...]) -> Any:
        """Give one of the values allowed."""
        value = self.take(key)
        if value not in allowed or isinstance(value, bool):
            raise self.fault(key, f"one of {', '.join(allowed)}")
        return value

    def segment(self, key: str, default: str) -> str:
        """Give a text that is safe as a part of an identifier."""
        value = self.text(key, default)
        if not SEGMENT.match(value):
            raise self.fault(key, "a name of letters, digits and . _ ~ - only")
        return value

    def card(self, key: str) -> str:
        """Give the name of a FITS card."""
        value = self.text(key)
        if not is_card(value):
            raise self.fault(key, "the name of a FITS card: at most 8 of A-Z 0-9 _ -")
        return value

    def template(self, key: str, text: str, band_words: tuple[str, ...]) -> PathTemplate:
        """Make a template of a text already taken."""
        try:
            return PathTemplate(text, band_words)
        except ValueError as error:
            raise self.fault(key, str(error)) from error

    def table(self, key: str, *, required: bool = False) -> Keys:
        """Give a table within this one; an empty one where it is missing and need not be there."""
        value = self.take(key) if required else self.take(key, {})
        if not isinstance(value, dict) or (required and not value):
            raise self.fault(key, "a table")
        return Keys(value, self.source, f"{self.prefix}{key}.")

    def finish(self) -> None:
        """Refuse the keys that nobody asked for, naming the nearest known one."""
        for key in self.content:
            if key not in self.known:
                near = difflib.get_close_matches(key, sorted(self.known), 1, cutoff=0)
                raise DeclarationError(
                    f"{self.source}: {self.prefix}{key}: unknown key; the nearest known one is {near[0]}"
                )
