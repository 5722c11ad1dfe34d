"""The documents name every key there is, and their examples work."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from portal.explore.state import NAMES
from soda.responses import EXPOSED_HEADERS
from soda.table import LISTS, PARAMETERS, POL_STATES
from surveys.declaration import parse_survey
from surveys.survey import Publisher
from tests.conftest import REPOSITORY

DOCS = REPOSITORY / "docs"


def keys_of(table: Mapping[str, Any]) -> Iterator[str]:
    for key, value in table.items():
        yield key
        if key == "recipes":
            yield from (one for recipe in value.values() for one in recipe)
        elif isinstance(value, dict) and key not in ("bits", "fix", "access", "stamps"):
            yield from keys_of(value)


def test_every_setting_is_in_the_guide() -> None:
    sections = tomllib.loads((files("config") / "default.toml").read_text(encoding="utf-8"))
    text = "".join(path.read_text(encoding="utf-8") for path in DOCS.glob("*.md"))
    missing = [
        f"{section}.{key}" for section, keys in sections.items() for key in keys if f"`{key}`" not in text
    ]
    assert missing == []


def test_every_key_of_a_declaration_is_in_the_guide() -> None:
    text = "".join((DOCS / name).read_text(encoding="utf-8") for name in ("surveys.md", "alerts.md"))
    folder = Path(str(files("config") / "surveys"))
    found: set[str] = set(Publisher.__dataclass_fields__)
    for path in (*folder.glob("*.toml"), *folder.glob("examples/*.toml")):
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        bands = content.pop("bands")
        found |= {*keys_of(content), *(key for band in bands.values() for key in keys_of(band))}
    missing = [key for key in found if not re.search(rf"`[^`\n]*\b{key}\b[^`\n]*`", text)]
    assert missing == []


def test_every_parameter_and_header_of_cutouts_is_in_the_guide() -> None:
    text = (DOCS / "cutouts.md").read_text(encoding="utf-8")
    words = {word for parameter in PARAMETERS for word in (parameter.name, *parameter.options)}
    headers = {name for name in EXPOSED_HEADERS if name.startswith("X-Cutout-")}
    told = {word for quoted in re.findall(r"`([^`\n]+)`", text) for word in re.split(r"[ ,:=]", quoted)}
    assert {*words, *headers} - told - set(POL_STATES) == set()


def test_every_word_of_the_explorer_is_in_its_guide() -> None:
    text = (DOCS / "pages.md").read_text(encoding="utf-8")
    assert {name.lower() for name in NAMES if f"`{name.lower()}`" not in text} == set()


def test_every_parameter_of_lists_is_in_their_guide() -> None:
    text = (DOCS / "lists.md").read_text(encoding="utf-8")
    words = {word for parameter in LISTS for word in (parameter.name, *parameter.options)}
    assert {word for word in words if f"`{word}`" not in text} == set()


def test_the_example_of_the_guide_is_a_survey() -> None:
    text = (DOCS / "surveys.md").read_text(encoding="utf-8")
    example, access = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    survey = parse_survey(tomllib.loads(f"{example}\n{access}"), "mine.toml", "mine", Path("/data"))
    assert [rule.match for rule in survey.access.datasets] == ["*/deep-*", "r/first-light"]
    assert [band.label for band in survey.bands] == ["g", "r"]
    assert survey.roots == (Path("/data/my-survey"),)


def test_links_of_the_documents_lead_somewhere() -> None:
    for page in (REPOSITORY / "README.md", *DOCS.glob("*.md")):
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_every_page_is_in_the_tree_of_the_guides() -> None:
    trees = "".join((DOCS / name).read_text(encoding="utf-8") for name in ("index.md", "notebooks.md"))
    named = {
        line for tree in re.findall(r"```{toctree}\n(.*?)```", trees, re.DOTALL) for line in tree.split("\n")
    }
    assert {path.stem for path in DOCS.glob("*.md")} - named == {"index"}
