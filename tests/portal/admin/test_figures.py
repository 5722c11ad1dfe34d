"""Numbers, charts and documents of administration."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum

import pytest
from lxml import etree

from config.masking import shown_settings
from config.settings import load_settings
from portal import figures
from portal.admin.area import Table
from portal.admin.charts import Bar, Dot, bars, meter, scatter
from portal.admin.written import as_csv, as_json

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("number", "count", "short", "size"),
    [
        (0, "0", "0", "0 B"),
        (999, "999", "999", "999 B"),
        (1000, "1\u202f000", "1 k", "1 kB"),
        (1234, "1\u202f234", "1.2 k", "1.2 kB"),
        (56_700_000, "56\u202f700\u202f000", "57 M", "57 MB"),
        (123_456_789_012_345, "123\u202f456\u202f789\u202f012\u202f345", "123,457 G", "123 TB"),
    ],
)
def test_numbers_are_written_for_people(number: int, count: str, short: str, size: str) -> None:
    assert (figures.count(number), figures.short(number), figures.size(number)) == (count, short, size)


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "0 s"), (0.123, "0.12 s"), (34.4, "34 s"), (300, "5 min"), (7200, "2 h"), (864_000, "10 d")],
)
def test_times_are_written_for_people(seconds: float, written: str) -> None:
    assert figures.duration(seconds) == written


def test_entries_of_the_log_are_written_for_people() -> None:
    data = {"until_ms": 0, "days": 30.0, "disabled": True, "scopes": ["read", "submit"], "to_ms": None}
    assert figures.told(data) == "until 1970-01-01 00:00:00, days 30, disabled yes, scopes read submit, to –"


def drawn(chart: str) -> etree._Element:
    """The chart, which must be well-formed."""
    return etree.fromstring(f'<div xmlns="http://www.w3.org/2000/svg">{chart}</div>')


def test_bars_are_as_high_as_their_values() -> None:
    shown = [Bar("2026-01-01", (30.0, 10.0)), Bar("<b>&", (0.0, 20.0))]
    root = drawn(bars(shown, ("at once", "by jobs"), figures.short))
    heights = [
        float(rect.get("height") or 0) for rect in root.iter(f"{SVG}rect") if rect.get("class") == "chart-a"
    ]
    assert heights[0] == pytest.approx(184 * 30 / 40, abs=0.1)
    assert heights[1] == 0
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert titles == ["2026-01-01: at once: 30, by jobs: 10", "<b>&: at once: 0, by jobs: 20"]
    assert drawn(bars([], ("x",), figures.short)) is not None
    assert drawn(bars([Bar("a", (0.0,))], ("x",), figures.short)) is not None


def test_dots_on_the_line_took_as_long_as_expected() -> None:
    root = drawn(
        scatter([Dot(1.0, 1.0, "even"), Dot(1.0, 100.0, "late"), Dot(0, 0, "none")], "expected", "took")
    )
    line = next(one for one in root.iter(f"{SVG}line") if one.get("class") == "chart-even")
    x1, y1, x2, y2 = (float(line.get(name) or 0) for name in ("x1", "y1", "x2", "y2"))
    even, late, _ = [
        (float(dot.get("cx") or 0), float(dot.get("cy") or 0)) for dot in root.iter(f"{SVG}circle")
    ]
    assert even[1] == pytest.approx(y1 + (even[0] - x1) * (y2 - y1) / (x2 - x1), abs=0.2)
    assert late[1] < even[1]


def test_meters_end_at_the_largest_value() -> None:
    assert 'width="50.0"' in meter(5, 10)
    assert 'width="100.0"' in meter(20, 10)
    assert 'width="0.0"' in meter(1, 0)


class Word(StrEnum):
    ONE = "one"


@dataclass(frozen=True)
class Shown:
    at_ms: int
    ended_ms: int | None
    words: tuple[Word, ...]
    by_word: dict[Word, int]
    names: frozenset[str]
    picture: str = field(default="<svg/>", repr=False)


def test_documents_have_moments_and_no_pictures() -> None:
    told = json.loads(as_json(Shown(0, None, (Word.ONE,), {Word.ONE: 1}, frozenset("ba"))))
    assert told == {
        "at": "1970-01-01T00:00:00.000Z",
        "ended": None,
        "words": ["one"],
        "by_word": {"one": 1},
        "names": ["a", "b"],
    }


def test_no_cell_is_a_formula() -> None:
    written = as_csv(Table(("a", "b"), [("=1+1", -1), ("@x, y", 2.5)]))
    assert written == "a,b\n'=1+1,-1\n\"'@x, y\",2.5\n"


def test_settings_are_shown_without_secrets() -> None:
    settings = load_settings(
        {
            "FOUNTAIN_DATA__DATABASE_URL": "postgresql://me:canary1@db.example:5433/fountain?password=canary2",
            "FOUNTAIN_JOBS__REDIS_URL": "redis://:canary3@cache:6379/0",
            "FOUNTAIN_JOBS__RESULTS_OPTIONS": '{"secret": "canary4"}',
            "FOUNTAIN_ACCOUNTS__SECRET": "canary5" * 8,
            "FOUNTAIN_NOTICES__SMTP_URL": "smtps://me:canary6@mail.example:465",
            "FOUNTAIN_NOTICES__SENDER": "cutouts@example.org",
            "FOUNTAIN_NOTICES__WEBHOOK_SECRET": "canary7" * 8,
            "FOUNTAIN_RECORD__REFERENCE_URL": "https://me:canary8@www.example/",
        }
    )
    sections = shown_settings(settings)
    assert "canary" not in repr(sections)
    found = {(section.name, one.name): one for section in sections for one in section.settings}
    assert found["data", "database_url"].value == "postgresql://db.example:5433/fountain"
    assert found["jobs", "redis_url"].value == "redis://cache:6379/0"
    assert found["jobs", "results_options"].value == "(set, not shown)"
    assert not found["jobs", "redis_url"].is_default
    assert found["jobs", "lease_s"].is_default
