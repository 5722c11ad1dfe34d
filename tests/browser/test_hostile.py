"""What people write stays text, wherever it is shown: no element comes of it, and nothing runs."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.stand import HOSTILE, Stand

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

QUIET_MS = 1500
TEXT = quote(HOSTILE, safe="")
#: Where it is shown, to whom, and whether it is seen there without a click; {job} is of bob.
PLACES = [
    ("/account", "bob", True),
    ("/admin/jobs", "alice", True),
    ("/admin/jobs/{job}", "alice", True),
    ("/admin/accounts?text=" + TEXT, "alice", False),
    ("/login?next=" + TEXT, "", False),
    ("/preferences?theme=" + TEXT, "", True),
    ("/login/" + TEXT, "", True),
    ("/jobs", "bob", True),
    ("/jobs?text=" + TEXT, "bob", False),
    ("/jobs/{job}", "bob", True),
    ("/jobs/{job}?sort=" + TEXT, "bob", True),
    ("/jobs/{job}#table", "bob", True),
    ("/jobs/{job}#request", "bob", True),
    ("/batch?from={job}", "bob", False),
    ("/batch?from=" + TEXT, "bob", False),
    ("/jobs/" + TEXT, "bob", True),
    ("/explore?at=" + TEXT, "", True),
    (f"/explore?survey={TEXT}&bands={TEXT}&size={TEXT}", "", True),
]


@pytest.fixture(scope="module")
def job(service: Stand) -> str:
    """Make a job whose label, ids and file say what they should not; and a token."""
    targets = f'id,ra,dec\n"{HOSTILE.replace(chr(34), chr(34) * 2)}",150,0\nfar,10,80\n'
    made = service.submit("bob", targets, ID="ivo://example.org/fountain?tiny/g", SIZE="10px", RUNID=HOSTILE)
    token = {"title": HOSTILE, "scopes": ["read"], "days": "30"}
    assert service.ask("POST", "/account/new-token", "bob", data=token).ok
    assert service.wait(made, "bob") == "COMPLETED"
    return made


@pytest.mark.parametrize(("path", "who", "is_seen"), PLACES)
def test_text_of_people_stays_text(
    path: str, who: str, is_seen: bool, job: str, service: Stand, visit: Visit
) -> None:
    visitor = visit(who)
    visitor.open(path.format(job=job))
    if "/jobs" in path or "/batch" in path:
        # They follow a stream, which does not end.
        visitor.page.wait_for_timeout(QUIET_MS)
    else:
        visitor.page.wait_for_load_state("networkidle")
    assert visitor.page.locator("[src=x], [onerror]").count() == 0
    if is_seen:
        assert HOSTILE in visitor.page.locator("body").inner_text()
    # Scripts ask with such text too, and hear that there is nothing of that name.
    assert [told for told in visitor.take_complaints() if not told.startswith(("400:", "404:"))] == []


def test_cards_of_headers_and_names_of_rows_stay_text(job: str, visit: Visit) -> None:
    visitor = visit("bob")
    page = visitor.page
    visitor.open(f"/jobs/{job}")
    page.locator("#gallery .tile", has_text="<img src=x").first.click()
    side = page.get_by_role("dialog")
    expect(side.get_by_role("heading", name=HOSTILE)).to_be_visible()
    expect(side).to_contain_text("OBJECT")
    expect(side.locator("pre, .header, table").filter(has_text="<img src=x").first).to_be_visible()
    assert page.locator("[src=x], [onerror]").count() == 0
    assert visitor.take_complaints() == []
