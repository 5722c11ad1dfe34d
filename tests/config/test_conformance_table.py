"""The table of what the standards ask for agrees with the tests there are."""

from __future__ import annotations

import re

from docs.conformance import LEVELS, STATUSES, ids_of, named_tests, proofs_of, read_table, write_page
from tests.conftest import REPOSITORY

TESTS = REPOSITORY / "tests"
STANDARDS = read_table()
LINES = [line for standard in STANDARDS for line in standard.lines]


def test_names_of_tests_are_lines_of_the_table() -> None:
    known = {line.id for line in LINES}
    assert {test: name for name, test in named_tests(TESTS) if name not in known} == {}


def test_what_is_met_has_a_test_that_there_is() -> None:
    proofs = proofs_of(STANDARDS, TESTS)
    assert [line.id for line in LINES if line.status in ("met", "part") and not proofs[line.id]] == []
    for test in {test for line in LINES for test in line.tests}:
        path, _, name = test.partition("::")
        assert re.search(rf"^def {name}\(", (TESTS / path).read_text(encoding="utf-8"), re.MULTILINE), test


def test_what_is_not_met_says_why() -> None:
    assert [line.id for line in LINES if line.status != "met" and not line.note] == []
    assert {line.status for line in LINES} <= set(STATUSES)
    assert {line.level for line in LINES} <= set(LEVELS)
    assert len({line.id for line in LINES}) == len(LINES)


def test_ids_of_a_name() -> None:
    assert list(ids_of("soda_10_and_31_cutouts")) == ["SODA-10", "SODA-31"]
    assert list(ids_of("dl_07_dl_14_to_16_sd_10_links")) == ["DL-07", "DL-14", "DL-15", "DL-16", "SD-10"]
    assert list(ids_of("uws_20_creation_answers_303_to_a_job")) == ["UWS-20"]
    assert list(ids_of("links_of_3_images")) == []


def test_the_page_has_every_line() -> None:
    page = write_page(STANDARDS, TESTS)
    assert [line.id for line in LINES if f"| [{line.id}]{{.id}} | {line.level} |" not in page] == []
    assert "soda/test_descriptor.py" in page
