"""What pages say, gathered from the code; ``make words`` brings the catalogues up to it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po, write_po

from portal.words import LANGUAGES
from soda.lists.manifest import ListPackage
from soda.table import JOB_PARAMETERS
from surveys.identifiers import Identifiers

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "portal" / "translations"
_WHERE = ("portal", "config")
_HOW = [("**.py", "python"), ("**/templates/**.html", "jinja2"), ("**/static/**.js", "javascript")]
_OPTIONS = {
    "**/templates/**.html": {"trim_blocks": "true", "lstrip_blocks": "true"},
    "**/static/**.js": {"parse_template_string": "true"},
}
#: Functions whose arguments are such words: which of them, from 1.
KEYWORDS = DEFAULT_KEYWORDS | {
    **dict.fromkeys(("_", "t", "marked")),
    **dict.fromkeys(("tn", "ngettext"), (1, 2)),
    "NavItem": (1,),
    "Wish": (2,),
    "Area": (2,),
}
Words = str | tuple[str, ...]


def said() -> Catalog:
    """Gather what pages say."""
    catalog = Catalog()
    for where in _WHERE:
        found = extract_from_dir(ROOT / where, _HOW, _OPTIONS, KEYWORDS)
        for _file, _line, words, _comments, _context in found:
            catalog.add(words)
    # The help tells of them as they describe themselves.
    for one in (*JOB_PARAMETERS, *ListPackage(Identifiers("ivo://example.org/words"), "", "").columns):
        catalog.add(one.description)
    return catalog


def read(language: str) -> Catalog:
    """Read the catalogue of a language."""
    with (FOLDER / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file, locale=language)


def bring_up(language: str) -> Iterator[Words]:
    """Have a catalogue hold what is said, and nothing else; give what is to be translated."""
    known = {message.id: message.string for message in read(language)}
    catalog = Catalog(
        locale=language, header_comment=f"# What pages say, in {LANGUAGES[language]}.", fuzzy=False
    )
    for message in said():
        if message.id:
            told = known.get(message.id, "")
            catalog.add(message.id, told)
            if not told or not all(told):
                yield message.id
    written = BytesIO()
    write_po(written, catalog, sort_output=True, width=110)
    # Dates and names of programs would change each time.
    kept = r'"(?!Language:|Plural-Forms|MIME|Content)[\w-]+: [^\n]*\\n"\n?'
    head, _, rest = written.getvalue().decode().partition("\n\n")
    file = FOLDER / language / "LC_MESSAGES" / "messages.po"
    file.write_text(f"{re.sub(kept, '', head)}\n\n{rest}", encoding="utf-8")


if __name__ == "__main__":
    for other in LANGUAGES:
        if other != "en":
            for words in bring_up(other):
                sys.stdout.write(f"{other}: {words}\n")
