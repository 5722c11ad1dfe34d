"""Pages in a browser: when they are painted first, what they weigh, and how soon a preview is there."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser
from sqlalchemy import insert

from benchmarks.table import Row
from config.database import make_engine
from config.demo import RECIPE
from config.settings import load_settings
from tests.browser.chromium import Look, chromium, visiting
from tests.browser.pages import PAGES, Seen, Things
from tests.browser.stand import Stand, stand
from tests.support.slapd import slapd
from uws.tables import JobRow

STORED_JOBS = 10_000
LOADS = 3
PREVIEWS = 60
PAINT_MS = 500.0
PREVIEW_MS = 300.0
WEIGHT_KB = 150.0
#: Those that people begin with.
MAIN = ("landing-known", "explore", "batch-known", "jobs", "job", "status", "help")
#: Whoever looks at pages has stored jobs.
OWNER = "institute:bob"


def rows(folder: Path) -> Iterator[Row]:
    """Measure; `folder` gets the data of the service. Without Chromium and slapd there is nothing."""
    try:
        yield from _rows(folder)
    except pytest.skip.Exception as missing:
        print(f"pages are not measured: {missing}", file=sys.stderr)


def _rows(folder: Path) -> Iterator[Row]:
    folder = folder / "pages"
    folder.mkdir()
    with slapd() as directory, stand(folder, directory, sky=RECIPE) as service, chromium() as browser:
        things = Things.made_at(service)
        _store_jobs(service)
        seen = {page.name: _measured(browser, service, things, page) for page in PAGES}
        for name in MAIN:
            what = f"first paint of the page `{name}` in a new browser, {STORED_JOBS:,} jobs stored"
            yield Row(what, seen[name][0], None, "ms", "", "below", PAINT_MS)
        slowest = max(seen, key=lambda name: seen[name][0])
        what = f"first paint of the slowest of all pages (`{slowest}`)"
        yield Row(what, seen[slowest][0], None, "ms", "", "below", PAINT_MS)
        heaviest = max(seen, key=lambda name: seen[name][1])
        what = f"weight of the heaviest page (`{heaviest}`), uncompressed, without pictures of the sky"
        yield Row(what, seen[heaviest][1], None, "kB", "", "below", WEIGHT_KB)
        spent = _previews_ms(browser, service)
        what = f"p95 from a change in the explorer to its preview, {PREVIEWS} sizes of a picture in colour"
        yield Row(what, float(np.percentile(spent, 95)), None, "ms", "", "below", PREVIEW_MS)


def _measured(browser: Browser, service: Stand, things: Things, page: Seen) -> tuple[float, float]:
    """First paint, ms, as a median of several browsers that have never been here; and weight, kB."""
    painted, weight = [], 0.0
    for _ in range(LOADS):
        cookie = service.cookies[page.who] if page.who else ""
        with visiting(browser, service.base, Look(), cookie) as visitor:
            visitor.open(things.path(page))
            if page.settled:
                visitor.page.locator(page.settled).first.wait_for()
            found = visitor.page.evaluate(_LOADED)
            painted.append(found["paint"])
            weight = found["bytes"] / 1000
    return statistics.median(painted), weight


#: Sizes are those of contents, uncompressed: whoever serves over the network compresses them.
_LOADED = """
() => new Promise((resolve) => {
  const isOfPage = (path) => /[.](js|css|svg)$/.test(path) && !path.includes("/aladin/");
  const entries = (kind) => performance.getEntriesByType(kind);
  const done = (paint) => {
    const files = entries("resource").filter(({name}) => isOfPage(new URL(name).pathname));
    const sizes = [...entries("navigation"), ...files].map(({decodedBodySize}) => decodedBodySize);
    resolve({paint: paint.startTime, bytes: sizes.reduce((sum, size) => sum + size, 0)});
  };
  new PerformanceObserver((list) => {
    const paint = list.getEntriesByName("first-contentful-paint")[0];
    if (paint) done(paint);
  }).observe({type: "paint", buffered: true});
})
"""


def _store_jobs(service: Stand) -> None:
    now_ms = int(time.time() * 1000)
    stored = [
        {
            "job_id": f"{number:032x}",
            "type": "soda",
            "owner": OWNER,
            "phase": ("COMPLETED", "COMPLETED", "ERROR", "ABORTED")[number % 4],
            "run_id": f"night {number}",
            "lane": "low",
            "hidden": False,
            "created_ms": now_ms - 60_000 * (STORED_JOBS - number),
            "started_ms": now_ms,
            "ended_ms": now_ms,
            "destruction_ms": now_ms + 604_800_000,
            "execution_duration_s": 3600,
            "parameters": [
                ["ID", "ivo://example.org/fountain?demo/r", False],
                ["CIRCLE", "150.1 2.2 0.01", False],
            ],
            "total": 100,
            "done": 90,
            "failed": 10,
        }
        for number in range(STORED_JOBS)
    ]
    engine = make_engine(load_settings(service.environ).data.engine_url)
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(insert(JobRow), stored)
    engine.dispose()


def _previews_ms(browser: Browser, service: Stand) -> list[float]:
    """Change the size again and again, and tell what each preview took from the change to the picture."""
    radii = [f"{20 + number / 2:g}arcsec" for number in range(PREVIEWS)]
    with visiting(browser, service.base, Look()) as visitor:
        visitor.open("/explore?survey=demo&at=150.1+2.2&shape=circle&radius=19arcsec&format=png")
        visitor.page.locator("#preview:not(.stale) img").wait_for()
        spent: list[float] = visitor.page.evaluate(_CHANGE, radii)
    return spent


_CHANGE = """
async (radii) => {
  const [field, figure] = [document.getElementById("radius"), document.getElementById("preview")];
  const spent = [];
  for (const radius of radii) {
    const begun = performance.now();
    const before = figure.querySelector("img");
    await new Promise((resolve) => {
      const watch = new MutationObserver(() => {
        const shown = figure.querySelector("img");
        if (!shown || shown === before) return;
        watch.disconnect();
        resolve();
      });
      watch.observe(figure, {childList: true});
      field.value = radius;
      field.dispatchEvent(new Event("input", {bubbles: true}));
    });
    spent.push(performance.now() - begun);
  }
  return spent;
}
"""
