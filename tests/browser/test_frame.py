"""What is around every page: signing in, language and colours, the way by the keyboard alone."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import Axe, Look, Visitor, screenshot
from tests.browser.conftest import Visit
from tests.browser.stand import HOSTILE, PEOPLE, Stand
from tests.support.cluster import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


def ground(visitor: Visitor) -> int:
    """How bright the page is, 0 to 255."""
    colour = visitor.page.evaluate("() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g)")
    return sum(int(part) for part in colour[:3]) // 3


@pytest.mark.parametrize("scripts", [True, False])
def test_somebody_signs_in_and_out(scripts: bool, visit: Visit) -> None:
    visitor = visit(look=Look(scripts=scripts))
    page = visitor.page
    visitor.open("/account")
    page.get_by_label("Name").fill("carol")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("do not fit")
    assert [told.partition(":")[0] for told in visitor.take_complaints()] == ["401"]
    page.get_by_label("Password").fill(PEOPLE["carol"])
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Carol C")
    page.get_by_role("button", name="Sign out").first.click()
    expect(page.get_by_role("link", name="Sign in").first).to_be_visible()
    visitor.open("/account")
    expect(page.get_by_label("Password")).to_be_visible()
    assert visitor.take_complaints() == []


@pytest.mark.parametrize("scripts", [True, False])
def test_language_and_colours_are_chosen_and_kept(scripts: bool, visit: Visit) -> None:
    visitor = visit(look=Look(scripts=scripts))
    page = visitor.page
    visitor.open("/login")
    assert ground(visitor) > 200
    page.get_by_label("Language").select_option("pt_BR")
    page.get_by_label("Colours").select_option("dark")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**/login")
    expect(page.locator("html")).to_have_attribute("lang", "pt-BR")
    assert ground(visitor) < 60
    visitor.open("/account")
    expect(page.locator("html")).to_have_attribute("lang", "pt-BR")
    assert ground(visitor) < 60
    assert visitor.take_complaints() == []


def test_light_is_chosen_where_the_system_is_dark(visit: Visit) -> None:
    visitor = visit(look=Look(theme="dark"))
    visitor.open("/login")
    assert ground(visitor) < 60
    visitor.page.get_by_label("Colours").select_option("light")
    visitor.page.get_by_role("button", name="Apply").click()
    visitor.page.wait_for_url("**/login")
    assert ground(visitor) > 200


def test_keys_lead_past_the_navigation(visit: Visit) -> None:
    visitor = visit()
    visitor.open("/login")
    visitor.page.keyboard.press("Tab")
    skip = visitor.page.locator("a.skip")
    expect(skip).to_be_focused()
    box = skip.bounding_box()
    assert box is not None
    assert box["y"] >= 0, "it is seen once it has the focus"
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.locator("main")).to_be_focused()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("level", ["note", "warning"])
def test_announcements_are_seen_by_all(
    theme: Literal["light", "dark"], level: str, service: Stand, axe: Axe, visit: Visit
) -> None:
    text = f"On Tuesday {HOSTILE} the disks are moved: no {level} of jobs from 14:00 to 15:00 UTC."
    visitor = visit(look=Look(theme=theme, width=360))
    told = visitor.page.get_by_role("complementary", name="Announcement").filter(has_text=text)

    def is_seen() -> bool:
        visitor.open("/login")
        return told.count() == 1

    with service.announced(text, level):
        until(is_seen)
        screenshot(visitor, f"announcement-{level}")
        assert axe.problems(visitor.page) == []
        assert visitor.page.evaluate("() => document.documentElement.scrollWidth") == 360
    assert visitor.take_complaints() == []
