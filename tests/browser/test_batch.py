"""Lists of targets in a real browser: tables, columns, a job once more, the list of the explorer."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import Axe, Look, Visitor, screenshot
from tests.browser.conftest import Visit
from tests.browser.stand import HOSTILE, TARGETS, Stand

pytestmark = pytest.mark.browser

SUM = "#estimate .sum"


def drop(page: Page, text: str, name: str = "list.csv") -> None:
    page.set_input_files("#file", {"name": name, "mimeType": "text/csv", "buffer": text.encode()})


def reason(page: Page, text: str) -> None:
    """Expect the button to say why it does nothing; "" where it does."""
    expect(page.locator("#reason")).to_have_text(text)
    expect(page.get_by_role("button", name="Submit the job")).to_have_attribute(
        "aria-disabled", "true" if text else "false"
    )


@pytest.mark.parametrize("width", [360, 1400])
def test_a_table_is_judged_as_soon_as_it_is_there(width: int, visit: Visit, axe: Axe) -> None:
    visitor: Visitor = visit(look=Look(width=width))
    page = visitor.page
    visitor.open("/batch")
    reason(page, "There are no targets yet.")
    drop(page, TARGETS)
    expect(page.locator(SUM)).to_have_text("4 cutouts of 7 rows")
    expect(page.locator(".faults")).to_contain_text("Line 7: dec is -90 to 90 degrees")
    expect(page.locator(".faults")).to_contain_text("Row 5 has no data at its place.")
    expect(page.get_by_role("img", name="Places of the targets on the sky")).to_be_visible()
    expect(page.get_by_label("What the column ra is")).to_have_value("ra")
    reason(page, "")
    assert axe.problems(page) == []
    assert not page.evaluate("() => document.documentElement.scrollWidth > innerWidth")
    screenshot(visitor, "batch-estimate")
    page.get_by_label("Size").fill("30 apples")
    expect(page.locator("#estimate .box")).to_contain_text("SIZE: the unit is")
    reason(page, "What is asked for is wrong, as it says above.")
    assert [told.partition(":")[0] for told in visitor.take_complaints()] == ["400"]
    page.get_by_label("Size").fill("20arcsec")
    expect(page.locator("#size-help")).to_have_text("67 × 67 px")
    expect(page.locator(SUM)).to_have_text("4 cutouts of 7 rows")
    page.get_by_role("button", name="Remove").click()
    reason(page, "There are no targets yet.")
    assert visitor.take_complaints() == []


def test_columns_are_said_otherwise(visit: Visit) -> None:
    visitor: Visitor = visit()
    page = visitor.page
    visitor.open("/batch")
    page.get_by_label("or rows, pasted or typed").fill("nm,x,y,size\na,150.1,2.2,20\nb,150.09,2.19,30\n")
    expect(page.locator("#estimate .box")).to_contain_text("no columns are right ascension and declination")
    reason(page, "The service would refuse it, as it says above.")
    page.get_by_label("What the column x is").select_option("ra")
    expect(page.locator("#columns-live")).to_contain_text("Say which column is declination, too.")
    page.get_by_label("What the column y is").select_option("dec")
    expect(page.locator(SUM)).to_have_text("2 cutouts of 2 rows")
    page.get_by_label("What the column size is").select_option("")
    expect(page.locator(SUM)).to_have_text("2 cutouts of 2 rows")
    expect(page.locator("#scripts pre").first).to_contain_text("COLUMNS=ra:x,dec:y,size:")
    reason(page, "")
    assert visitor.take_complaints() == []


def test_a_job_is_submitted_and_begun_once_more(visit: Visit, service: Stand) -> None:
    visitor: Visitor = visit()
    page = visitor.page
    visitor.open("/batch")
    page.get_by_label("or rows, pasted or typed").fill(f"id,ra,dec\n{HOSTILE},150.1,2.2\n")
    page.get_by_label("Label").fill("once <b>more</b>")
    page.get_by_label("PNG").check(force=True)
    page.get_by_label("Other parameters").fill("EDGE=clip\nORIENT=north")
    expect(page.locator(SUM)).to_have_text("2 cutouts of 2 rows")
    page.get_by_role("button", name="Submit the job").click()
    page.wait_for_url("**/jobs/*")
    job = page.url.rpartition("/")[2]
    assert json.loads(page.evaluate("() => localStorage.getItem('fountain-jobs')"))[0] == job
    visitor.take_complaints()
    visitor.open(f"/batch?from={job}")
    expect(page.locator(SUM)).to_have_text("2 cutouts of 2 rows")
    expect(page.get_by_label("Label")).to_have_value("once <b>more</b>")
    expect(page.get_by_label("PNG")).to_be_checked()
    expect(page.get_by_label("Beyond the data")).to_have_value("clip")
    expect(page.get_by_label("Other parameters")).to_have_value("ORIENT=north")
    expect(page.locator(".sheet tbody")).to_contain_text(HOSTILE)
    assert visitor.take_complaints() == []


def test_the_list_of_the_explorer_is_a_table(visit: Visit) -> None:
    visitor: Visitor = visit()
    page = visitor.page
    visitor.open("/batch")
    rows = [
        {"id": 'a, "b"', "ra": 150.1, "dec": 2.2, "survey": "demo", "band": "r", "size": "20arcsec"},
        {"id": HOSTILE, "ra": 150.09, "dec": 2.19, "survey": "demo", "band": "g", "size": ""},
    ]
    page.evaluate("(rows) => localStorage.setItem('fountain-basket', JSON.stringify(rows))", rows)
    visitor.open("/batch?again#list")
    expect(page.locator(SUM)).to_have_text("2 cutouts of 2 rows")
    expect(page.locator(".sheet tbody")).to_contain_text('a, "b"')
    page.get_by_role("button", name="Empty the list").click()
    expect(page.get_by_role("button", name="Use my list of 2 places")).to_have_count(0)
    assert visitor.take_complaints() == []
