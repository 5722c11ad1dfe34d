"""A list over real surveys: tiles of other projections, compressed ones, with zero points and units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from soda.engine import Engine
from soda.jobtype import SodaJobs
from soda.params import parse_box_size
from soda.spelling import with_url
from surveys.declaration import parse_survey
from surveys.execute import execute
from surveys.fits.product import Site
from surveys.fits.source import Source
from surveys.identifiers import Identifiers
from surveys.index.catalog import Catalog
from surveys.index.ingest import index_survey
from surveys.planner import plan_cutout
from surveys.request import CutoutRequest
from surveys.sky.stencil import CenteredBox
from tests.soda.lists.lists import LIMITS, ListJob, content
from tests.support.databases import sqlite
from tests.support.service import BASE
from tests.surveys.test_real_index import DECLARED

NAMES = ("tiles_2mass_m17", "bands_des_coadd", "compressed_legacysurvey")
EACH = 12


@pytest.fixture(scope="module")
def catalog(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    surveys = [
        parse_survey({"title": name, "root": name, **DECLARED[name]}, f"{name}.toml", name, real_data)
        for name in NAMES
    ]
    with sqlite(tmp_path_factory.mktemp("db")) as engine:
        for survey in surveys:
            index_survey(engine, survey)
        yield Catalog(engine, surveys)


def targets_of(catalog: Catalog) -> list[dict[str, Any]]:
    """Places about images of each survey, some of them beside it."""
    random = np.random.default_rng(5)
    rows: list[dict[str, Any]] = []
    for name in NAMES:
        generation = catalog.generation(name)
        datasets = catalog.datasets(name, generation)
        for number in range(EACH):
            record = catalog.record(datasets[number % len(datasets)], generation)
            wcs = WCS(fits.Header.fromstring(record.wcs_text), naxis=2)
            x, y = random.uniform(-0.1, 1.1, 2) * (record.nx, record.ny)
            ra, dec = (float(value) for value in wcs.all_pix2world(x, y, 0))
            rows.append(
                {
                    "id": f"{name} {number}",
                    "ra": repr(ra),
                    "dec": repr(dec),
                    "survey": name,
                    "band": record.band,
                }
            )
    return rows


def test_a_list_over_real_surveys(catalog: Catalog, tmp_path: Path) -> None:
    identifiers, source, limits = Identifiers(BASE), Source(), replace(LIMITS, max_rows=1000)
    kind = SodaJobs(Engine(catalog, source, identifiers, limits.cutout, Site()), limits)
    rows = targets_of(catalog)
    found = ListJob(kind, tmp_path, rows, ("SIZE", "48px")).run()
    assert len(found) == len(rows)
    words = {outcome.verdict for outcome in found.values()}
    assert {"ok", "clipped"} <= words
    for number, row in enumerate(rows, start=1):
        outcome = found[f"r{number}"]
        stencil = CenteredBox(float(row["ra"]), float(row["dec"]), parse_box_size("48px"))
        request = with_url(CutoutRequest(f"{row['survey']}/{row['band']}", stencil), identifiers)
        plan = plan_cutout(request, catalog, limits.cutout)
        if not plan.pieces:
            assert outcome.verdict == "no_overlap"
            continue
        data = content(outcome)
        assert data == execute(plan, catalog, source, Site()).tobytes()
        assert outcome.verdict == ("clipped" if plan.clipped else "ok")
        facts = outcome.facts
        assert facts["band"] == row["band"]
        # The file says so itself.
        header = fits.Header.fromstring(
            data[: 2880 * 20].decode("ascii", "replace").split("END" + " " * 77)[0]
        )
        place = SkyCoord(float(row["ra"]), float(row["dec"]), unit="deg")
        x, y = WCS(header, naxis=2).world_to_pixel(place)  # some headers are of FK5
        assert (facts["x_target"], facts["y_target"]) == pytest.approx((float(x) + 1, float(y) + 1), abs=2e-3)
        assert facts.get("bunit", "") == str(header.get("BUNIT", "")).strip()
