"""The page of a job in a real browser: it goes on by itself, and shows any number of rows."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import Look
from tests.browser.conftest import Visit
from tests.browser.stand import TARGETS, Stand

pytestmark = pytest.mark.browser

LABEL = "<img src=x onerror=alert(1)>"
SCRIPT = "<script>alert(1)</script>"
DRAWN = ".grid .tile img:not([hidden])"
#: More rows than there is room for; one in a hundred is wrong, and one has markup for a name.
MANY = "id,ra,dec,mag\n" + "".join(
    f"{SCRIPT if n == 7 else f'row {n}'},{150.1 + n % 20 * 1e-3:.4f},{dec},{n * 37 % 300}\n"
    for n in range(300)
    for dec in (95 if n % 100 == 5 else 2.2,)
)


@pytest.fixture(scope="module")
def many(service: Stand) -> str:
    job_id = service.submit("bob", MANY, SIZE="24px", RUNID=LABEL)
    assert service.wait(job_id, "bob") == "COMPLETED"
    return job_id


def test_a_job_goes_on_and_ends_without_a_reload(service: Stand, visit: Visit) -> None:
    visitor = visit("bob")
    with service.held("high", "low"):
        job_id = service.submit("bob", TARGETS, SIZE="30arcsec", RUNID=LABEL)
        visitor.open(f"/jobs/{job_id}")
        page = visitor.page
        expect(page.locator("h1")).to_have_text(LABEL)
        expect(page.locator('#live[data-state="live"]')).to_be_visible()
        expect(page.locator("#acts")).to_contain_text("Abort")
    expect(page.locator("#sub .phase")).to_contain_text("done", timeout=60_000)
    expect(page.locator("#acts")).to_contain_text("Download all")
    expect(page.locator("#percent")).to_have_text("100 %")
    page.locator(DRAWN).first.wait_for()
    assert page.locator("[src=x], [onerror]").count() == 0
    assert visitor.take_complaints() == []


def test_the_grid_has_no_more_elements_than_are_in_sight(visit: Visit, many: str) -> None:
    visitor = visit("bob")
    visitor.open(f"/jobs/{many}")
    page = visitor.page
    page.locator(DRAWN).first.wait_for()
    expect(page.locator(".grid-bar .count")).to_have_text("300 rows")
    tiles = page.locator(".grid .tile")
    before = tiles.count()
    assert before < 200
    page.locator(".grid").focus()
    page.keyboard.press("End")
    expect(page.locator('.grid .tile[aria-posinset="300"]')).to_contain_text("row 299")
    assert tiles.count() == before
    assert visitor.take_complaints() == []


def test_rows_are_sorted_and_chosen_as_one_goes(visit: Visit, many: str) -> None:
    visitor = visit("bob")
    visitor.open(f"/jobs/{many}")
    page = visitor.page
    page.locator(DRAWN).first.wait_for()
    page.locator("#sort").select_option("mag")
    page.locator("#desc").check()
    expect(page.locator('.grid .tile[aria-posinset="1"] .value')).to_have_text("299")
    page.locator("#statuses label", has_text="failed").click()
    expect(page.locator(".grid-bar .count")).to_have_text("3 rows")
    expect(page.locator('.grid .tile[aria-posinset="1"]')).to_contain_text("-90 to 90")
    assert re.search(r"\?sort=mag%2Cdesc&status=failed", page.url)
    page.reload()
    expect(page.locator(".grid-bar .count")).to_have_text("3 rows")
    page.locator("#tab-table").click()
    expect(page.locator("#rows tbody tr")).to_have_count(3)
    assert visitor.take_complaints() == []


def test_a_row_is_looked_at_beside_the_page(visit: Visit, many: str) -> None:
    visitor = visit("bob")
    visitor.open(f"/jobs/{many}")
    page = visitor.page
    page.locator(DRAWN).first.wait_for()
    page.locator(".grid").focus()
    for _ in range(7):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    side = page.locator("#side")
    expect(side.locator("h2")).to_have_text(SCRIPT)
    expect(side.locator(".cards")).to_contain_text("NAXIS1")
    side.get_by_role("searchbox").fill("crval1")
    expect(side.locator(".cards tr", has_text="NAXIS1").first).to_be_hidden()
    expect(side.locator(".cards tr", has_text="CRVAL1").first).to_be_visible()
    assert "/explore?" in (side.get_by_text("Cut again").get_attribute("href") or "")
    with page.expect_download() as download:
        side.get_by_text("Download").click()
    assert download.value.path().read_bytes().startswith(b"SIMPLE  =")
    side.locator("h2").click()
    page.keyboard.press("ArrowRight")
    expect(side.locator("h2")).to_have_text("row 8")
    page.keyboard.press("Escape")
    expect(side).to_be_hidden()
    assert visitor.take_complaints() == []


def test_a_link_shows_everything_and_changes_nothing(visit: Visit, many: str) -> None:
    owner = visit("bob")
    owner.open(f"/jobs/{many}")
    owner.page.locator(".menu > summary").click()
    owner.page.get_by_role("button", name="Make a link").click()
    link = owner.page.get_by_label("Link", exact=True).input_value()
    assert f"/jobs/{many}?LINK=" in link
    guest = visit("", Look(width=360))
    guest.page.goto(link)
    guest.page.locator(DRAWN).first.wait_for()
    assert guest.page.locator('form[action*="/async"][method="post"]').count() == 0
    guest.page.locator(".grid .tile").nth(9).click()
    expect(guest.page.locator("#side .cards")).to_contain_text("NAXIS1")
    assert guest.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert guest.take_complaints() == []
