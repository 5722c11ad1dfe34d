"""Reads parameters one by one, and gathers what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from dali.errors import Faults, UsageError
from dali.parameters import Parameters, parse_boolean
from dali.words import parse_word

T = TypeVar("T")


class Reader:
    """Reads the parameters of one request.

    `several`: parameters read by `each` may be repeated.
    """

    def __init__(self, parameters: Parameters, several: bool) -> None:
        self.parameters = parameters
        self.several = several
        self.faults = Faults()

    def given(self, name: str) -> bool:
        """Whether it was sent."""
        return name in self.parameters.values

    def one(self, name: str, parse: Callable[[str], T]) -> T | None:
        """Value of a parameter that is taken once; None if absent or wrong."""
        try:
            text = self.parameters.one(name)
            return None if text is None else parse(text)
        except UsageError as fault:
            self.faults.add(fault)
            return None

    def word(self, name: str, words: Sequence[T]) -> T:
        """Word of a parameter that has but a few, the first of which it means where it is absent."""
        word = self.one(name, lambda text: parse_word(text, name, words))
        return words[0] if word is None else word

    def flag(self, name: str) -> bool:
        """Boolean that is false where it is absent."""
        return self.one(name, lambda text: parse_boolean(text, name)) or False

    def each(self, name: str, parse: Callable[[str], T]) -> tuple[T, ...]:
        """Values of a parameter of which each is a question of its own, but for those that are wrong."""
        if not self.several:
            value = self.one(name, parse)
            return () if value is None else (value,)
        return tuple(self._right(name, parse))

    def union(self, name: str, parse: Callable[[str], T]) -> set[T]:
        """Values of a parameter that may be repeated; it is one filter, their union (section 3.3.6)."""
        return set(self._right(name, parse))

    def refuse(self, sentence: str, fix: str = "") -> None:
        """Remember that the request is wrong."""
        self.faults.add(UsageError(sentence, fix))

    def _right(self, name: str, parse: Callable[[str], T]) -> Iterator[T]:
        for text in self.parameters.all(name):
            try:
                yield parse(text)
            except UsageError as fault:
                self.faults.add(fault)
