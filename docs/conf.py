"""Sphinx: ``make docs`` writes ``build/docs``, which fetches nothing from anywhere.

Pages that have another source are written into ``docs/generated`` first: the notebooks, the changes, and the
table of what the standards ask for.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import version as version_of
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).parent
REPOSITORY = DOCS.parent
sys.path.insert(0, str(REPOSITORY))

from docs.conformance import read_table, write_gaps, write_page  # noqa: E402  it is found by the line before

project = "Soda Fountain"
author = "the developers of Soda Fountain"
release = version_of("sodafountain")
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["generated/conformance-gaps.md", "generated/map.md"]

myst_enable_extensions = ["attrs_inline"]
myst_heading_anchors = 3
myst_links_external_new_tab = False

html_theme = "furo"
html_title = "Soda Fountain"
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["docs.css"]
pygments_style = "friendly"
pygments_dark_style = "github-dark"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
add_module_names = False
napoleon_numpy_docstring = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

#: What pages link to outside of this folder, and what it is here.
ELSEWHERE = (
    (re.compile(r"\[([^\]]+)\]\(\.\./README\.md[^)]*\)"), r"\1"),
    (re.compile(r"\]\(\.\./CHANGES\.md"), "](generated/changes.md"),
    (re.compile(r"\]\(\.\./notebooks/([a-z_-]+)\.ipynb"), r"](generated/notebook-\1.md"),
)


def page_of(notebook: Path) -> str:
    """Return a notebook as Markdown: its texts, and its code as one reads it."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    parts = []
    for cell in cells:
        text = "".join(cell["source"]).strip()
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    text = "\n\n".join(parts).replace("](../docs/", "](../")
    text = re.sub(r"\]\(([a-z_-]+)\.ipynb\)", r"](notebook-\1.md)", text)
    return f"{text}\n\nThis page is the notebook [{notebook.name}](../../notebooks/{notebook.name}).\n"


def map_of_folders() -> str:
    """Return the map of the folders from the README, with links that lead on from here."""
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    text = readme.partition("## Map of the folders\n")[2].partition("\n## ")[0]
    text = re.sub(r"\]\(notebooks/([a-z_-]+)\.ipynb\)", r"](generated/notebook-\1.md)", text)
    return text.replace("](docs/", "](")


def keep(path: Path, text: str) -> None:
    """Write a page, unless it is there as it is: Sphinx reads anew what has changed."""
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def generate(app: Sphinx) -> None:
    """Write the pages that have another source."""
    changes = (REPOSITORY / "CHANGES.md").read_text(encoding="utf-8")
    pages = {"changes.md": changes.replace("](docs/", "](../")}
    for notebook in sorted((REPOSITORY / "notebooks").glob("*.ipynb")):
        pages[f"notebook-{notebook.stem}.md"] = page_of(notebook)
    table = read_table()
    pages["conformance-table.md"] = write_page(table, REPOSITORY / "tests")
    pages["conformance-gaps.md"] = write_gaps(table)
    pages["map.md"] = map_of_folders()
    folder = DOCS / "generated"
    for name, text in pages.items():
        keep(folder / name, text)
    for path in folder.glob("*.md"):
        if path.name not in pages:
            path.unlink()


def lead_inside(app: Sphinx, docname: str, source: list[str]) -> None:
    """Turn links to files of the repository into links to their pages here."""
    for pattern, instead in ELSEWHERE:
        source[0] = pattern.sub(instead, source[0])


def setup(app: Sphinx) -> None:
    """Connect what is done before pages are read."""
    app.connect("builder-inited", generate)
    app.connect("source-read", lead_inside)
