"""Pages say everything in all of their languages."""

from __future__ import annotations

import re

import pytest
from babel.messages.catalog import Catalog

from portal.words import LANGUAGES
from tests.support.words import read, said

OTHERS = [language for language in LANGUAGES if language != "en"]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return said()


def names(words: str) -> set[str]:
    return set(re.findall(r"\{\w*\}", words))


def forms(words: str | tuple[str, ...]) -> tuple[str, ...]:
    return (words,) if isinstance(words, str) else tuple(words)


@pytest.mark.parametrize("language", OTHERS)
def test_all_words_are_translated_and_no_others(language: str, catalog: Catalog) -> None:
    known = {message.id: message for message in read(language) if message.id}
    wanted = {message.id for message in catalog if message.id}
    assert wanted - known.keys() == set(), "make words, and translate them"
    assert known.keys() - wanted == set(), "make words"
    assert [message.id for message in known.values() if message.fuzzy or not all(forms(message.string))] == []


@pytest.mark.parametrize("language", OTHERS)
def test_translations_keep_what_is_filled_in(language: str) -> None:
    for message in read(language):
        if message.id:
            for told in forms(message.string):
                assert names(told) == names(forms(message.id)[-1]), message.id
