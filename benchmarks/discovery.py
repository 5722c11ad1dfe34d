"""How soon a query answers among a million images, and what it takes to send them all."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

from flask import Flask

from benchmarks.index_lookup import DECLARATION, fill, synthetic_survey
from benchmarks.memory import grown_mb
from benchmarks.table import Row
from config.app import create_app
from config.database import make_engine, prepare
from config.settings import Settings, load_settings

GOAL_MS = 30.0
GOAL_MB = 50.0
ROWS_A_SECOND = 15_000
#: About so many lie within half a degree of a place.
ROWS_OF_A_DEGREE = 93
#: Where the tiles lie, whatever their number.
RA_DEG, DEC_DEG = (0.0, 360.0), (-85.0, -25.0)


def measure(images: int = 1_000_000, calls: int = 200) -> list[Row]:
    """Query an index of images of a third of the sky by places, then for everything."""
    with tempfile.TemporaryDirectory() as folder:
        write_index(Path(folder), images)
        with get_context("spawn").Pool(1) as pool:
            first_ms, last_ms = pool.apply(_degree_ms, (folder, calls))
        with get_context("spawn").Pool(1) as pool:
            spent_s, grown = pool.apply(_everything, (folder, images))
    return [
        Row(f"first byte of a query of a degree, of {images}", first_ms, None, "ms", "", "below", GOAL_MS),
        Row(f"last byte of it, with {ROWS_OF_A_DEGREE} rows", last_ms, None, "ms", "", "below", 2 * GOAL_MS),
        Row(f"memory while {images} rows are sent", grown, None, "MB", "", "below", GOAL_MB),
        Row(f"time to send {images} rows", spent_s, None, "s", "", "below", images / ROWS_A_SECOND),
    ]


def write_index(folder: Path, images: int) -> Settings:
    """Write a declaration and an index, and give the settings of a service of them."""
    (folder / "synthetic.toml").write_text(DECLARATION)
    settings = _settings(folder)
    engine = make_engine(settings.data.engine_url)
    prepare(engine)
    fill(engine, synthetic_survey(folder), images)
    engine.dispose()
    return settings


def _settings(folder: Path) -> Settings:
    environ = {"FOUNTAIN_DATA__FOLDER": str(folder), "FOUNTAIN_SURVEYS__DECLARATIONS": str(folder)}
    return load_settings(environ)


def _degree_ms(folder: str, calls: int) -> tuple[float, float]:
    """Medians of the times to the first and to the last byte."""
    app = create_app(_settings(Path(folder)))
    rng = random.Random(1)
    first, last = [], []
    for _ in range(calls):
        url = f"/query?POS=CIRCLE {rng.uniform(*RA_DEG):.6f} {rng.uniform(*DEC_DEG):.6f} 0.5"
        start = time.perf_counter()
        chunks = _chunks(app, url)
        next(chunks)
        first.append(1e3 * (time.perf_counter() - start))
        for _ in chunks:
            pass
        last.append(1e3 * (time.perf_counter() - start))
    return statistics.median(first), statistics.median(last)


def _everything(folder: str, images: int) -> tuple[float, float]:
    """Seconds it takes, and how far the process grows (MB) after a small answer."""
    app = create_app(_settings(Path(folder)))
    for _ in _chunks(app, "/query?MAXREC=1000"):
        pass
    start = time.perf_counter()
    sizes: list[int] = []
    grown = grown_mb(lambda: sizes.append(sum(map(len, _chunks(app, f"/query?MAXREC={images}")))))
    assert sizes[0] > 500 * images
    return time.perf_counter() - start, grown


def _chunks(app: Flask, url: str) -> Iterator[bytes]:
    response = app.test_client().get(url)
    assert response.status_code == 200
    yield from response.iter_encoded()


if __name__ == "__main__":
    for line in measure():
        print(f"{line.what:60} {line.ours:8.3f} {line.unit}")
