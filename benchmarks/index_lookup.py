"""How long the image index takes to find the images at a place, among a million."""

from __future__ import annotations

import math
import random
import statistics
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from lsst.sphgeom import Angle, Circle, ConvexPolygon, LonLat, UnitVector3d
from sqlalchemy import Engine, insert, literal, null, select, update

from benchmarks.table import Row
from config.database import make_engine, prepare
from surveys.declaration import parse_survey
from surveys.index.catalog import Catalog
from surveys.index.cells import cells_of
from surveys.index.hull import make_hulls, packed
from surveys.index.tables import (
    FOREVER,
    ArtifactRow,
    CellRow,
    DatasetRow,
    FileRow,
    GenerationRow,
    HeaderRow,
    SurveyRow,
)
from surveys.survey import Survey

DECLARATION = """
title = "Synthetic"
kind = "coadd"
pixel_scale = 0.25
root = "."
[bands]
g = { em_min_m = 4e-7, em_max_m = 5e-7 }
r = { em_min_m = 4e-7, em_max_m = 5e-7 }
i = { em_min_m = 4e-7, em_max_m = 5e-7 }
[layers.image]
path = "{tile}-{band}.fits"
"""
TILE_DEG = 0.2
TILE_PX = 2880
CHUNK = 20_000
GOAL_MS = 5.0


def measure(images: int = 1_000_000, calls: int = 400) -> list[Row]:
    """Fill an SQLite index with images all over the sky and look up random places and names."""
    with tempfile.TemporaryDirectory() as folder:
        engine = make_engine(f"sqlite:///{folder}/index.db")
        prepare(engine)
        survey = synthetic_survey(Path(folder))
        fill(engine, survey, images)
        catalog = Catalog(engine, [survey])
        rng = random.Random(1)
        lookups: dict[str, Callable[[], object]] = {
            "images in a cone of 30 arcsec": lambda: _search(catalog, survey, rng, 30 / 3600),
            "images in a cone of 15 arcmin": lambda: _search(catalog, survey, rng, 0.25),
            "an image by its identifier": lambda: _record(catalog, rng, images),
        }
        rows = [
            Row(f"{what}, of {images}", median_ms(lookup, calls), None, "ms", "", "below", GOAL_MS)
            for what, lookup in lookups.items()
        ]
        engine.dispose()
    return rows


def synthetic_survey(folder: Path) -> Survey:
    """Make a survey of which nothing exists but its index."""
    return parse_survey(tomllib.loads(DECLARATION), "synthetic", "synthetic", folder)


def fill(engine: Engine, survey: Survey, images: int) -> None:
    """Write the index of a survey as if it had so many images."""
    now = datetime.now(UTC)
    writing = engine.execution_options(writes=True)
    with writing.begin() as connection:
        connection.execute(
            insert(SurveyRow).values(id=1, name=survey.name, generation=1, last_modified=now, declaration="")
        )
        connection.execute(insert(GenerationRow).values(survey_id=1, number=1, published=now))
        connection.execute(insert(HeaderRow).values(id=1, survey_id=1, digest="", deflated=b""))
    tiles = enumerate(islice(_tiles(), images), start=1)
    while chunk := list(islice(tiles, CHUNK)):
        datasets, cells = [], []
        for number, (ra, dec, band) in chunk:
            dataset, covered = _image(number, ra, dec, band)
            datasets.append(dataset)
            cells += covered
        with writing.begin() as connection:
            connection.execute(insert(DatasetRow), datasets)
            connection.execute(insert(CellRow), cells)
    with writing.begin() as connection:
        for table, values in ((FileRow, _file_values()), (ArtifactRow, _artifact_values(now))):
            query = select(*(value.label(name) for name, value in values.items()))
            connection.execute(insert(table).from_select(list(values), query))
    hulls = packed(make_hulls(engine.connect, 1, 1))
    with writing.begin() as connection:
        connection.execute(update(GenerationRow).values(hulls=hulls))


def _tiles() -> Iterator[tuple[float, float, str]]:
    """Square tiles side by side along parallels, in three bands, round the sky as often as needed."""
    while True:
        for row in range(int(180 / TILE_DEG)):
            dec = -90 + (row + 0.5) * TILE_DEG
            columns = max(1, round(360 * math.cos(math.radians(dec)) / TILE_DEG))
            for column in range(columns):
                for band in "gri":
                    yield 360 * column / columns, dec, band


def _image(number: int, ra: float, dec: float, band: str) -> tuple[dict[str, Any], list[dict[str, int]]]:
    """Rows of one image: its dataset and its cells."""
    half = TILE_DEG / 2
    width = half / max(math.cos(math.radians(dec)), 1e-3)
    corners = [
        ((ra + x) % 360, max(-89.999, min(89.999, dec + y)))
        for x, y in ((-width, -half), (width, -half), (width, half), (-width, half))
    ]
    cover = ConvexPolygon([UnitVector3d(LonLat.fromDegrees(*corner)) for corner in corners])
    level, cells = cells_of(cover)
    key = f"synthetic/{band}/t{number:07d}"
    dataset = {
        "id": number,
        "survey_id": 1,
        "key": key,
        "key_lower": key,
        "band": band,
        "fields": {},
        "tag": "",
        "tile": key,
        "preference": "",
        "cover": cover.encode(),
        "s_ra": ra,
        "s_dec": dec,
        "s_fov": TILE_DEG * math.sqrt(2),
        "s_region": "POLYGON ICRS " + " ".join(f"{a:.7f} {d:.7f}" for a, d in reversed(corners)),
        "s_xel1": TILE_PX,
        "s_xel2": TILE_PX,
        "s_pixel_scale_deg": TILE_DEG / TILE_PX,
        "em_min": 4e-7,
        "em_max": 5e-7,
        "pol_states": "",
        "calib_level": 3,
        "attributes": {},
        "gen_from": 1,
        "gen_to": FOREVER,
    }
    return dataset, [{"survey_id": 1, "level": level, "start": cell, "dataset_id": number} for cell in cells]


def _file_values() -> dict[str, Any]:
    return {
        "id": DatasetRow.id,
        "survey_id": literal(1),
        "path": DatasetRow.key + ".fits",
        "size": literal(1),
        "mtime_ns": literal(1),
        "refused": literal("[]"),
        "gen_from": literal(1),
        "gen_to": literal(FOREVER),
    }


def _artifact_values(now: datetime) -> dict[str, Any]:
    same = {"survey_id": 1, "role": "image", "state": "ready", "hdu": 0, "extname": "", "storage": "plain"}
    same |= {
        "data_offset": 2880,
        "shape": f"[{TILE_PX}, {TILE_PX}]",
        "x_axis": 0,
        "y_axis": 1,
        "bitpix": -32,
        "bscale": 1.0,
    }
    same |= {"bzero": 0.0, "wcs_text": "", "header_id": 1, "gen_from": 1, "gen_to": FOREVER}
    return {
        "id": DatasetRow.id,
        "file_id": DatasetRow.id,
        "dataset_id": DatasetRow.id,
        "ztiles": null(),
        "indexed_at": literal(now.replace(tzinfo=None)),
        **{name: literal(value) for name, value in same.items()},
    }


def _search(catalog: Catalog, survey: Survey, rng: random.Random, radius_deg: float) -> None:
    place = LonLat.fromDegrees(rng.uniform(0, 360), math.degrees(math.asin(rng.uniform(-1, 1))))
    region = Circle(UnitVector3d(place), Angle.fromDegrees(radius_deg))
    catalog.search(survey.name, ["g", "r", "i"], region, catalog.generation(survey.name))


def _record(catalog: Catalog, rng: random.Random, images: int) -> None:
    number = rng.randint(1, images)
    catalog.record(f"synthetic/{'gri'[(number - 1) % 3]}/t{number:07d}", catalog.generation("synthetic"))


def median_ms(call: Callable[[], object], calls: int) -> float:
    """Median of the times that so many calls take."""
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


if __name__ == "__main__":
    for line in measure():
        print(f"{line.what:60} {line.ours:8.3f} ms")
