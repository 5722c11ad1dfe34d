"""News of jobs in a browser, whatever becomes of the web server meanwhile."""

from __future__ import annotations

import random

import pytest

from tests.browser.conftest import Visit
from tests.browser.stand import DEMO, Stand
from tests.support.cluster import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

#: Follows a job as any page may; keeps what it hears, and counts how often it was connected.
_FOLLOW = """
(path) => {
  Object.assign(window, {heard: [], opened: 0, ended: false});
  const source = new EventSource(path);
  source.addEventListener("open", () => (window.opened += 1));
  source.addEventListener("event", ({data, lastEventId}) => {
    window.heard.push({...JSON.parse(data), id: lastEventId});
  });
  source.addEventListener("end", () => {
    window.ended = true;
    source.close();
  });
}
"""


def many_targets(rows: int = 200) -> str:
    """A table of places in the field."""
    dice = random.Random(rows)
    lines = [
        f"t{row},{dice.uniform(150.05, 150.13):.5f},{dice.uniform(2.15, 2.23):.5f}" for row in range(rows)
    ]
    return "\n".join(["id,ra,dec", *lines, ""])


def test_a_browser_hears_of_all_that_happens_though_the_web_server_is_restarted(
    service: Stand, visit: Visit
) -> None:
    page = visit("bob").page
    page.goto(f"{service.base}/explore")
    with service.held():
        job = service.submit("bob", many_targets(), ID=DEMO, SIZE="60arcsec", RESPONSEFORMAT="png")
        page.evaluate(_FOLLOW, f"/async/{job}/events?AFTER=0")
        until(lambda: page.evaluate("() => window.opened === 1"), 30)
    until(lambda: page.evaluate("() => window.heard.some(({kind}) => kind === 'rows')"), 30)
    service.restart_web()
    until(lambda: page.evaluate("() => window.ended"), 240)
    assert page.evaluate("() => window.opened") > 1
    heard = page.evaluate("() => window.heard")
    told = service.ask("GET", f"/async/{job}/events?AFTER=0&LIMIT=1000", "bob", json_wanted=True).json()
    assert [event["seq"] for event in heard] == list(range(1, len(told["events"]) + 1))
    assert [(event["seq"], event["kind"], event["data"]) for event in heard] == [
        (event["seq"], event["kind"], event["data"]) for event in told["events"]
    ]
    done = [event["job"]["done"] for event in heard]
    assert done == sorted(done)
    assert done[-1] == 200


def test_nobody_hears_of_jobs_of_others(service: Stand, visit: Visit) -> None:
    page = visit("carol").page
    page.goto(f"{service.base}/explore")
    page.evaluate(
        """() => {
          window.heard = [];
          const source = new EventSource("/events");
          source.addEventListener("open", () => (window.isOpen = true));
          source.addEventListener("job", ({data}) => window.heard.push(JSON.parse(data).id));
        }"""
    )
    until(lambda: page.evaluate("() => window.isOpen === true"), 30)
    theirs = service.submit("bob", CIRCLE="150.1 2.2 0.003")
    service.wait(theirs, "bob")
    own = service.submit("carol", CIRCLE="150.1 2.2 0.003")
    service.wait(own, "carol")
    until(lambda: own in page.evaluate("() => window.heard"), 30)
    assert set(page.evaluate("() => window.heard")) == {own}
