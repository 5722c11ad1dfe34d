"""Words that people read: English as they stand in the code, or as the catalogue of a language has them.

Catalogues are read as they are edited (``translations/<language>/LC_MESSAGES/messages.po``): nothing is
compiled beforehand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.resources import files
from io import BytesIO

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations
from flask import current_app, has_request_context, request
from flask_babel import get_locale

#: Languages of the pages, each by its own name; the first is that of the code.
LANGUAGES: Mapping[str, str] = {"en": "English", "pt_BR": "Português"}
LANGUAGE_COOKIE = "fountain-language"
_IN_SCRIPTS = re.compile(
    r"""\bt\(\s*("(?:[^"\\]|\\.)*")|\btn\(\s*("(?:[^"\\]|\\.)*"),\s*("(?:[^"\\]|\\.)*")""", re.DOTALL
)


def gettext(words: str) -> str:
    """Translate words."""
    return _catalogue(language()).gettext(words)


def ngettext(one: str, many: str, number: int) -> str:
    """Translate words about a number of things."""
    return _catalogue(language()).ngettext(one, many, number)


def marked(words: str) -> str:
    """Mark words that are translated where they are shown."""
    return words


def language() -> str:
    """Tell the language of the request in hand; beside requests it is English."""
    if not has_request_context() or "babel" not in current_app.extensions:
        return "en"
    return str(get_locale() or "en")


def chosen_language() -> str:
    """Choose the language of the request in hand: by its cookie, or by what the browser prefers."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    # Whoever reads Portuguese of any country reads that of Brazil.
    for wanted, _ in request.accept_languages:
        for known in LANGUAGES:
            if wanted.lower().partition("-")[0] == known.partition("_")[0]:
                return known
    return "en"


def words_of_scripts(texts: Iterable[str], spoken: str) -> dict[str, str | list[str]]:
    """Gather what scripts say by ``t("…")`` and ``tn("…", "…", n)``, as far as a language has words for it.

    Plurals are told as a list: for one, for many.
    """
    catalogue = _catalogue(spoken)
    found: dict[str, str | list[str]] = {}
    for text in texts:
        for plain, one, many in _IN_SCRIPTS.findall(text):
            if plain:
                words = _unquoted(plain)
                found[words] = catalogue.gettext(words)
            else:
                pair = _unquoted(one), _unquoted(many)
                found[pair[0]] = [catalogue.ngettext(*pair, 1), catalogue.ngettext(*pair, 2)]
    return {words: told for words, told in found.items() if told != words}


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text[1:-1])


@lru_cache
def _catalogue(spoken: str) -> Translations:
    file = files("portal") / "translations" / spoken / "LC_MESSAGES" / "messages.po"
    if spoken not in LANGUAGES or not file.is_file():
        return Translations()
    compiled = BytesIO()
    with file.open("rb") as text:
        write_mo(compiled, read_po(text, locale=spoken))
    compiled.seek(0)
    return Translations(compiled)
