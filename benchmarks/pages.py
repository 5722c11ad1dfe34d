"""Pages in a browser: when they are painted first, what they weigh, and how soon a preview is there.

Without playwright and Chromium nothing is measured.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser
from sqlalchemy import insert

from benchmarks.table import Row
from config.database import make_engine
from config.demo import RECIPE
from config.settings import load_settings
from tests.browser.chromium import Look, Visitor, chromium, visiting
from tests.browser.pages import PAGES, Seen, Things
from tests.browser.stand import Stand, stand
from tests.support.slapd import slapd
from uws.tables import JobRow

STORED_JOBS = 10_000
LOADS = 5
PREVIEWS = 60
PAINT_MS = 500.0
PREVIEW_MS = 300.0
WEIGHT_KB = 150.0
#: Whoever looks at pages has stored jobs.
OWNER = "institute:bob"


def rows(folder: Path) -> Iterator[Row]:
    """Measure; `folder` gets the data of the service."""
    folder = folder / "pages"
    folder.mkdir()
    with slapd() as directory, stand(folder, directory, sky=RECIPE) as service, chromium() as browser:
        things = Things.made_at(service)
        _store_jobs(service)
        seen = [(page, *_measured(browser, service, things, page)) for page in PAGES]
        slowest = max(seen, key=lambda found: found[1])
        heaviest = max(seen, key=lambda found: found[2])
        what = f"first paint of the slowest page ({slowest[0].name}), {STORED_JOBS:,} jobs stored"
        yield Row(what, slowest[1], None, "ms", "", "below", PAINT_MS)
        what = f"weight of the heaviest page ({heaviest[0].name}), without pictures of the sky"
        yield Row(what, heaviest[2], None, "kB", "", "below", WEIGHT_KB)


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
  const entries = (kind) => performance.getEntriesByType(kind);
  const done = (paint) => {
    const files = entries("resource").filter(({name}) => /[.](js|css|svg)$/.test(new URL(name).pathname));
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


def previews_ms(visitor: Visitor) -> list[float]:
    """Change the size again and again, and tell what each preview took from the change to the picture."""
    raise NotImplementedError
