"""The table of what the standards ask for: ``conformance.toml``, and the tests named after its lines.

``test_soda_45_47_regions…`` proves SODA-45 and SODA-47. ``python docs/conformance.py`` prints the lines
that have no test.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parent
TABLE = DOCS / "conformance.toml"
LEVELS = ("MUST", "SHOULD", "MAY", "client", "ours")
STATUSES = ("met", "part", "no", "none")
_PREFIXES = frozenset(("http", "soda", "uws", "vosi", "dali", "dl", "sia", "oc", "vot", "cap", "sd"))
_NAME = re.compile(r"^ *def test_(\w+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that a standard, a client or this service asks for.

    Parameters
    ----------
    id
        As tests are named after it: ``SODA-45``.
    level
        What the text says (`MUST`, `SHOULD`, `MAY`); `client` where a client needs it, `ours` where the text
        leaves it open.
    status
        `met`, in `part`, `no` (not met), or `none`: nothing to do, since what it is about is not offered.
    tests
        Tests that are not named after it, as ``folder/file.py::name``.
    """

    id: str
    standard: str
    title: str
    level: str
    status: str = "met"
    note: str = ""
    tests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Standard:
    """A document, and its lines of the table."""

    title: str
    url: str
    lines: tuple[Line, ...]


def read_table(path: Path = TABLE) -> tuple[Standard, ...]:
    """Read the table; a line is an id and ``[level, title]``, or a table with more."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    found = []
    for standard in content["standard"]:
        lines = []
        for name, value in standard["lines"].items():
            more = dict(value) if isinstance(value, dict) else {"level": value[0], "title": value[1]}
            more["tests"] = tuple(more.get("tests", ()))
            lines.append(Line(id=name, standard=standard["title"], **more))
        found.append(Standard(standard["title"], standard.get("url", ""), tuple(lines)))
    return tuple(found)


def ids_of(name: str) -> Iterator[str]:
    """Yield the ids that a name begins with: ``sd_01_to_sd_05_…`` has five, ``soda_10_and_31_…`` two."""
    prefix, last, through = "", 0, False
    for word in name.split("_"):
        if word.isdigit() and prefix:
            number = int(word)
            for each in range(last + 1 if through else number, number + 1):
                yield f"{prefix.upper()}-{each:02}"
            last, through = number, False
        elif word in _PREFIXES:
            prefix = word
        elif word == "to" and last:
            through = True
        elif word != "and":
            return


def named_tests(tests: Path) -> Iterator[tuple[str, str]]:
    """Yield the ids that tests are named after, each with its test as ``folder/file.py::name``."""
    for path in sorted(tests.rglob("test_*.py")):
        for match in _NAME.finditer(path.read_text(encoding="utf-8")):
            for name in ids_of(match[1]):
                yield name, f"{path.relative_to(tests).as_posix()}::test_{match[1]}"


def proofs_of(standards: tuple[Standard, ...], tests: Path) -> Mapping[str, tuple[str, ...]]:
    """Return the tests of each line: those named after it, and those that it names."""
    found: dict[str, list[str]] = {line.id: list(line.tests) for one in standards for line in one.lines}
    for name, test in named_tests(tests):
        found.setdefault(name, []).append(test)
    return {name: tuple(dict.fromkeys(several)) for name, several in found.items()}


_WORDS = {"met": "met", "part": "in part", "no": "**not met**", "none": "not offered"}


def write_page(standards: tuple[Standard, ...], tests: Path) -> str:
    """Return the table as Markdown, a section for each document."""
    proofs = proofs_of(standards, tests)
    parts = ["# What the standards ask for, line by line\n", _summary(standards)]
    for standard in standards:
        parts.append(f"## {standard.title}\n")
        if standard.url:
            parts.append(f"The text: <{standard.url}>\n")
        parts.append("| | Level | Asked | Here | Tests |\n|---|---|---|---|---|")
        for line in standard.lines:
            places = _places(proofs[line.id])
            cells = (
                f"[{line.id}]{{.id}}",
                line.level,
                line.title,
                _said(line),
                places and f"[{places}]{{.places}}",
            )
            parts.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
        parts.append("")
    return "\n".join(parts)


def write_gaps(standards: tuple[Standard, ...]) -> str:
    """Return what is not met, or in part, or not offered, as Markdown."""
    rows = ["| | Level | Asked | Here |", "|---|---|---|---|"]
    for line in (line for standard in standards for line in standard.lines if line.status != "met"):
        rows.append(f"| [{line.id}]{{.id}} | {line.level} | {_cell(line.title)} | {_cell(_said(line))} |")
    return "\n".join(rows) + "\n"


def _said(line: Line) -> str:
    return _WORDS[line.status] + (f": {line.note}" if line.note else "")


def _summary(standards: tuple[Standard, ...]) -> str:
    rows = ["| Document | Lines | Met | In part | Not met | Not offered |", "|---|---|---|---|---|---|"]
    for standard in standards:
        counts = Counter(line.status for line in standard.lines)
        rows.append(
            f"| {standard.title} | {len(standard.lines)} | "
            + " | ".join(str(counts[s]) for s in STATUSES)
            + " |"
        )
    return "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _places(tests: tuple[str, ...]) -> str:
    counts = Counter(test.partition("::")[0] for test in tests)
    return ", ".join(f"{path} ({count})" if count > 1 else path for path, count in counts.items())


if __name__ == "__main__":
    table = read_table()
    proofs = proofs_of(table, DOCS.parent / "tests")
    lines = {line.id: line for standard in table for line in standard.lines}
    for name in sorted(proofs):
        if name not in lines:
            print(name, "is not in the table:", *proofs[name])
        elif not proofs[name]:
            print(name, "has no test:", lines[name].title)
