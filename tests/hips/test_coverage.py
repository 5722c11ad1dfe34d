"""Coverages hold what the images cover, and little else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from mocpy import MOC

from config.app import assemble
from config.settings import Settings
from surveys.errors import UnknownDataset
from surveys.index.coverage import GREATEST_ORDER, Coverages, coverage, degraded
from tests.hips.support import IMAGES, SIDE, image_wcs, index_stars, write_stars
from tests.support.service import index_all, settings_of, write_surveys


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("coverage")
    write_surveys(folder)
    settings = settings_of(folder)
    index_all(settings)
    return settings


def coverages_of(settings: Settings) -> Coverages:
    parts = assemble(settings)
    return Coverages(parts.engine, parts.catalog, settings.data.path / "moc")


def test_it_holds_the_edges_of_images_and_nothing_far_from_them(stars: Settings) -> None:
    moc = coverages_of(stars).of("stars", "g")
    edge = np.array([-0.4, 60.0, SIDE / 2, SIDE - 0.6])
    x, y = (axis.ravel() for axis in np.meshgrid(edge, edge))
    for name in IMAGES:
        wcs = image_wcs(name)
        assert moc.contains_skycoords(wcs.pixel_to_world(x, y)).all()
    cell_deg = 1.03 * 58.6 / 2**moc.max_order
    rng = np.random.default_rng(3)
    sky = SkyCoord(rng.uniform(-1.6, 1.6, 2000), rng.uniform(8.5, 12.5, 2000), unit="deg")
    outside = np.ones(2000, dtype=bool)
    for name in IMAGES:
        px, py = image_wcs(name).world_to_pixel(sky)
        margin = 1.5 * cell_deg * 3600 / 20
        outside &= ~((np.abs(px - 99.5) < 100 + margin) & (np.abs(py - 99.5) < 100 + margin))
    assert outside.sum() > 500
    assert not moc.contains_skycoords(sky[outside]).any()


def test_mocpy_makes_the_same_of_the_footprints(stars: Settings) -> None:
    moc = coverages_of(stars).of("stars")
    corners = np.array([-0.5, SIDE - 0.5])
    theirs = MOC.new_empty(moc.max_order)
    for name in IMAGES:
        x, y = corners[[0, 1, 1, 0]], corners[[0, 0, 1, 1]]
        theirs = theirs.union(
            MOC.from_polygon_skycoord(image_wcs(name).pixel_to_world(x, y), max_depth=moc.max_order)
        )
    # Sides of images bend away from great circles by less than a cell.
    assert (moc.symmetric_difference(theirs)).sky_fraction < 0.01 * moc.sky_fraction


def test_poles_and_ra_0_are_covered(tiny: Settings) -> None:
    moc = coverages_of(tiny).of("tiny", "g")
    inside = SkyCoord([0.0, 0.0, 359.999, 150.025], [90.0, -10.0, -10.0, 0.0], unit="deg")
    assert moc.contains_skycoords(inside).all()
    outside = SkyCoord([180.0, 180.0, 150.2], [89.9, -10.0, 0.0], unit="deg")
    assert not moc.contains_skycoords(outside).any()
    assert moc.max_order == GREATEST_ORDER


def test_coarser_cells_hold_the_finer(tiny: Settings) -> None:
    moc = coverages_of(tiny).of("tiny")
    coarse = degraded(moc, 6)
    assert coarse.max_order == 6
    assert moc.difference(coarse).empty()
    assert degraded(moc, 29).max_order == moc.max_order


def test_a_new_index_has_a_new_coverage(tmp_path: Path) -> None:
    settings = write_stars(tmp_path / "data")
    coverages = coverages_of(settings)
    before = coverages.of("stars", "g")
    (kept,) = (settings.data.path / "moc").rglob("*.fits")
    assert MOC.load(kept, "fits") == before
    assert coverages_of(settings).of("STARS", "G") == before
    (tmp_path / "data" / "stars" / "north_g.fits").unlink()
    index_stars(settings)
    after = coverages_of(settings).of("stars", "g")
    assert after.difference(before).empty()
    assert after.sky_fraction < before.sky_fraction
    assert not kept.exists()


def test_bands_without_images_cover_nothing(tmp_path: Path) -> None:
    settings = write_stars(tmp_path / "data")
    parts = assemble(settings)
    assert coverage(parts.engine, "stars", ["r"], parts.catalog.generation("stars")).empty()
    with pytest.raises(UnknownDataset, match="no band 'z'"):
        coverages_of(settings).of("stars", "z")
