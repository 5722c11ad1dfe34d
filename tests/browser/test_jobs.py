"""The page about jobs in a real browser: it follows what happens, and stays still under the pointer."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import Look
from tests.browser.conftest import Visit
from tests.browser.stand import TARGETS, Stand

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

LIVE = '[data-state="live"]'
LABEL = "<img src=x onerror=alert(1)>"


def row(page: Page, job_id: str) -> str:
    return f'#rows tr[data-id="{job_id}"]'


def test_a_job_appears_goes_on_and_ends_without_a_reload(service: Stand, visit: Visit) -> None:
    visitor = visit("bob")
    visitor.open("/jobs")
    page = visitor.page
    page.locator(LIVE).wait_for()
    with service.held("high", "low"):
        job_id = service.submit("bob", TARGETS, SIZE="30arcsec", RUNID=LABEL)
        expect(page.locator(f"{row(page, job_id)} .phase")).to_contain_text("waiting")
    expect(page.locator(f"{row(page, job_id)} .phase")).to_contain_text("done", timeout=60_000)
    expect(page.locator(f"{row(page, job_id)} .name")).to_have_text(LABEL)
    assert page.locator("[src=x], [onerror]").count() == 0
    expect(page.locator(f"{row(page, job_id)} .bad")).to_have_text("2 failed")
    assert visitor.take_complaints() == []


def test_nobody_sees_the_jobs_of_somebody_else(service: Stand, visit: Visit) -> None:
    bob, carol = visit("bob"), visit("carol")
    for visitor in (bob, carol):
        visitor.open("/jobs")
        visitor.page.locator(LIVE).wait_for()
    of_bob = service.submit("bob", CIRCLE="150.1 2.2 0.003")
    of_carol = service.submit("carol", CIRCLE="150.1 2.2 0.003")
    # Each has its own, which comes after the other's has been told.
    bob.page.locator(row(bob.page, of_bob)).wait_for()
    carol.page.locator(row(carol.page, of_carol)).wait_for()
    assert bob.page.locator(row(bob.page, of_carol)).count() == 0
    assert carol.page.locator(row(carol.page, of_bob)).count() == 0


def test_rows_stay_where_they_are_under_the_pointer(service: Stand, visit: Visit) -> None:
    service.submit("bob", CIRCLE="150.1 2.2 0.003")
    visitor = visit("bob")
    visitor.open("/jobs")
    page = visitor.page
    page.locator(LIVE).wait_for()
    first = page.locator("#rows tr").first
    first.hover()
    before = first.bounding_box()
    job_id = service.submit("bob", CIRCLE="150.1 2.2 0.003")
    page.locator("#held:not([hidden])").wait_for()
    assert first.bounding_box() == before
    assert page.locator(row(page, job_id)).count() == 0
    page.mouse.move(0, 0)
    page.locator(row(page, job_id)).wait_for()
    assert page.locator("#rows tr").first.get_attribute("data-id") == job_id


def test_chosen_jobs_are_deleted_once_that_is_confirmed(service: Stand, visit: Visit) -> None:
    made = [service.submit("carol", CIRCLE="150.1 2.2 0.003", RUNID=f"job {n}") for n in range(2)]
    visitor = visit("carol", Look(width=360, theme="dark"))
    visitor.open("/jobs")
    page = visitor.page
    for job_id in made:
        page.locator(f"{row(page, job_id)} input").check()
    expect(page.locator("#chosen")).to_have_text("2 jobs chosen:")
    page.get_by_role("button", name="Delete").click()
    page.locator("#sure").get_by_role("button", name="Keep").click()
    assert page.locator("#rows tr.gone").count() == 0
    page.get_by_role("button", name="Delete").click()
    page.locator("#sure").get_by_role("button", name="Delete").click()
    for job_id in made:
        page.locator(row(page, job_id)).wait_for(state="detached")
        assert service.ask("GET", f"/async/{job_id}", "carol").status_code == 404
    expect(page.locator("#said")).to_have_text("2 jobs were deleted.")
    assert visitor.take_complaints() == []


def test_jobs_of_nobody_are_known_to_the_browser_that_made_them(service: Stand, visit: Visit) -> None:
    visitor, other = visit(), visit()
    job_id, gone = service.submit(CIRCLE="150.1 2.2 0.003", RUNID=LABEL), "0" * 32
    visitor.open("/jobs")
    page = visitor.page
    page.evaluate("ids => localStorage.setItem('fountain-jobs', JSON.stringify(ids))", [job_id, gone])
    visitor.open("/jobs")
    page.locator(row(page, job_id)).wait_for()
    expect(page.locator(f"{row(page, job_id)} .phase")).to_contain_text("done", timeout=60_000)
    assert page.evaluate("localStorage.getItem('fountain-jobs')") == f'["{job_id}"]'
    other.open("/jobs")
    other.page.locator("#none:not([hidden])").wait_for()
    assert other.page.locator("#rows tr").count() == 0
    assert visitor.take_complaints() == []


def test_what_happens_while_the_service_is_away_is_there_afterwards(service: Stand, visit: Visit) -> None:
    visitor = visit("bob")
    visitor.open("/jobs")
    page = visitor.page
    page.locator(LIVE).wait_for()
    service.restart_web()
    job_id = service.submit("bob", CIRCLE="150.1 2.2 0.003")
    page.locator(row(page, job_id)).wait_for(timeout=60_000)
    page.locator(LIVE).wait_for(timeout=60_000)
    assert page.locator(row(page, job_id)).count() == 1
