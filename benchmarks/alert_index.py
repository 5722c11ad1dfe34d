"""How long the index of alerts takes to find some among ten million, how large it is, and how it grows."""

from __future__ import annotations

import math
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from sqlalchemy import Engine

from benchmarks.index_lookup import median_ms
from benchmarks.table import Row
from config.database import make_engine, prepare
from surveys.index.alerts.columns import Alerts
from surveys.index.alerts.ingest import index_lake
from surveys.index.alerts.scan import LakeScan
from surveys.index.alerts.store import LakeEdition
from surveys.index.alerts.units import DAY, DEGREE, cells_at
from surveys.index.catalog import Catalog
from surveys.index.obscore import ObsConstraints
from surveys.parquet.files import StoredFile
from surveys.sky.stencil import Circle
from surveys.survey import Survey
from tests.support.alerts import write_lake, ztf_survey

ALERTS = 10_000_000
EPOCHS = 10
NIGHTS, OF_A_NIGHT = 30, 10_000
IN_A_FILE = 100_000
GOAL_MS = 5.0
GOAL_BYTES = 120.0
GOAL_S = 10.0
GOAL_BULK_S = 600.0


def measure(alerts: int = ALERTS, calls: int = 400) -> Iterator[Row]:
    """Fill an SQLite index with alerts all over the sky; then look some up, and let nights pass."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engine = make_engine(f"sqlite:///{folder}/index.db")
        prepare(engine)
        survey = ztf_survey(folder / "nowhere", "synthetic")
        yield from _sizes(engine, survey, folder / "index.db", alerts)
        alerts += NIGHTS * OF_A_NIGHT
        catalog = Catalog(engine, [survey], kept_s=1e6)
        rng = random.Random(1)
        lookups: dict[str, Callable[[], object]] = {
            "an alert by its number": lambda: catalog.alerts.alert(survey, candid_of(rng.randrange(alerts))),
            f"the {EPOCHS} alerts of an object": lambda: catalog.alerts.epochs(
                survey, object_of(rng.randrange(alerts) // EPOCHS)
            ),
            "alerts in a cone of 5 arcsec": lambda: _cone(catalog, survey, rng, 5 / 3600),
            "alerts in a cone of 5 arcmin": lambda: _cone(catalog, survey, rng, 5 / 60),
        }
        for what, lookup in lookups.items():
            label = f"{what}, of {alerts}"
            yield Row(label, median_ms(lookup, calls), None, "ms", "", "below", GOAL_MS)
        yield _a_night(engine, folder / "lake")
        engine.dispose()


def candid_of(number: int) -> int:
    """Give an alert a number of 19 digits, as ZTF's have, which increase with time."""
    return 1_000_000_000_000_000_000 + 79_190_150 * number


def object_of(number: int) -> str:
    """Give an object a name of 12 characters, as ZTF's have, in no order."""
    rest, letters = number * 2_654_435_761 % 26**7, ""
    for _ in range(7):
        rest, letter = divmod(rest, 26)
        letters += chr(ord("a") + letter)
    return f"ZTF18{letters}"


def fill(engine: Engine, survey: Survey, first: int, count: int) -> None:
    """Write a generation of so many more alerts, as if their files had been read."""
    edition = LakeEdition(engine, survey, datetime.now(UTC))
    for start in range(first, first + count, IN_A_FILE):
        edition.add([_file(start, min(start + IN_A_FILE, first + count))])
    edition.publish("")


def _file(first: int, end: int) -> LakeScan:
    """Alerts of a file: those of an object lie among others, and the pages of a stamp hold a hundred."""
    numbers = np.arange(first, end, dtype=np.int64)
    objects = numbers // EPOCHS
    ra = np.rint(objects * 137.50776405 % 360 * DEGREE).astype(np.int64)
    dec = np.degrees(np.arcsin(1.98 * (objects * 0.414213562373095 % 1) - 0.99))
    dec_units = np.rint(dec * DEGREE).astype(np.int64)
    alerts = Alerts(
        row=numbers - first,
        candid=1_000_000_000_000_000_000 + 79_190_150 * numbers,
        object=[object_of(number) for number in objects.tolist()],
        object_number=None,
        ra=ra,
        dec=dec_units,
        mjd=np.rint((58_000 + numbers * 1e-5) * DAY).astype(np.int64),
        band=numbers % 3,
        cell=cells_at(ra, dec_units),
    )
    pages = {kind: bytes(8 * len(numbers) // 100) for kind in ("science", "template", "difference")}
    return LakeScan(
        StoredFile(f"year=2020/part-{first:09d}.snappy.parquet", 10**9, "1795313911494296468"),
        rows=len(numbers),
        alerts=alerts,
        bands=(("g", len(numbers)), ("r", 0), ("i", 0)),
        pages=pages,
    )


def _sizes(engine: Engine, survey: Survey, database: Path, alerts: int) -> Iterator[Row]:
    start = time.perf_counter()
    fill(engine, survey, 0, alerts)
    took = time.perf_counter() - start
    yield Row(f"writing an index of {alerts} alerts", took, None, "s", "", "below", GOAL_BULK_S)
    bulk = _size(engine, database)
    what = f"size of an alert in an index of {alerts} made at once"
    yield Row(what, bulk / alerts, None, "bytes", "", "below", GOAL_BYTES)
    for night in range(NIGHTS):
        fill(engine, survey, alerts + night * OF_A_NIGHT, OF_A_NIGHT)
    all_of_them = alerts + NIGHTS * OF_A_NIGHT
    what = f"size of an alert after {NIGHTS} more nights of {OF_A_NIGHT}"
    yield Row(what, _size(engine, database) / all_of_them, None, "bytes", "", "below", GOAL_BYTES)


def _size(engine: Engine, database: Path) -> int:
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return database.stat().st_size


def _cone(catalog: Catalog, survey: Survey, rng: random.Random, radius_deg: float) -> None:
    ra, dec = rng.uniform(0, 360), math.degrees(math.asin(rng.uniform(-1, 1)))
    for _ in catalog.alerts.search(survey, ObsConstraints(shapes=(Circle(ra, dec, radius_deg),))):
        pass


def _a_night(engine: Engine, lake: Path) -> Row:
    """Index the new file of a night, of stamps that are all there, beside one that is indexed already."""
    survey = ztf_survey(lake, "nights")
    files = write_lake(lake, 2 * OF_A_NIGHT, 2, same_stamps=True)
    tomorrow = files[1].rename(lake / "later")
    index_lake(engine, survey)
    tomorrow.rename(files[1])
    start = time.perf_counter()
    index_lake(engine, survey)
    took = time.perf_counter() - start
    return Row(f"indexing the new file of a night, {OF_A_NIGHT} alerts", took, None, "s", "", "below", GOAL_S)


if __name__ == "__main__":
    for line in measure():
        print(f"{line.what:70} {line.ours:10.3f} {line.unit}")
