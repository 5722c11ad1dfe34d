"""What a page or an act is asked for: texts become values here, and nowhere else."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

from dali.errors import UsageError, quoted
from uws.moment import parse_moment

Word = TypeVar("Word", bound=str)

LONGEST_TEXT = 1000
#: PostgreSQL takes no zeros, and halves of surrogate pairs cannot be encoded.
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")


class Asked:
    """Values by name, as a query or a form has them.

    Parameters
    ----------
    values
        All values of each name.
    """

    def __init__(self, values: Mapping[str, Sequence[str]]) -> None:
        self._values = values

    def names(self) -> tuple[str, ...]:
        """Give the names that have a value which is not empty."""
        return tuple(name for name in self._values if self.all(name))

    def all(self, name: str) -> tuple[str, ...]:
        """Give all values of a name that are not empty.

        Raises
        ------
        UsageError
            If one has what no database keeps as text.
        """
        found = tuple(text for value in self._values.get(name, ()) if (text := value.strip()))
        for text in found:
            if _NO_TEXT.search(text):
                raise UsageError(f"{name} is no text: {quoted(text)}")
        return found

    def text(self, name: str, default: str = "") -> str:
        """Give one value, as it was told last.

        Raises
        ------
        UsageError
            If it is longer than any name or reason.
        """
        given = self.all(name)
        if given and len(given[-1]) > LONGEST_TEXT:
            raise UsageError(f"{name} has at most {LONGEST_TEXT} characters; got {len(given[-1])}")
        return given[-1] if given else default

    def is_on(self, name: str) -> bool:
        """Whether something is ticked."""
        return self.text(name).lower() in ("1", "on", "true", "yes")

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        """Give a whole number of a range, whose ends belong to it.

        Raises
        ------
        UsageError
            If it is none.
        """
        text = self.text(name)
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 19 and least <= int(text) <= most):
            raise UsageError(f"{name} is a whole number from {least} to {most}; got {quoted(text)}")
        return int(text)

    def number(self, name: str, least: float, most: float) -> float | None:
        """Give a number of a range, None where none is told.

        Raises
        ------
        UsageError
            If it is none.
        """
        text = self.text(name)
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise UsageError(f"{name} is a number from {least:g} to {most:g}; got {quoted(text)}")
        return value

    def choice(self, name: str, known: Sequence[Word], default: Word) -> Word:
        """Give one of some words.

        Raises
        ------
        UsageError
            If it is none of them.
        """
        text = self.text(name)
        if not text:
            return default
        for word in known:
            if word == text:
                return word
        raise UsageError(f"{name} is one of {', '.join(known)}; got {quoted(text)}")

    def moment(self, name: str) -> int | None:
        """Give a moment in ms, None where none is told.

        Raises
        ------
        UsageError
            If it is none.
        """
        text = self.text(name)
        if not text:
            return None
        try:
            return parse_moment(text)
        except ValueError as error:
            raise UsageError(
                f"{name} is a time such as 2026-01-31T12:00; got {quoted(text)}", "Times are UTC."
            ) from error
