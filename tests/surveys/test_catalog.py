"""The questions a cutout asks the index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from lsst.sphgeom import Angle, Circle, ConvexPolygon, LonLat, Region, UnionRegion, UnitVector3d
from sqlalchemy import Engine

from surveys.check import check_survey
from surveys.declaration import parse_survey
from surveys.errors import StaleImage, TooLarge, UnknownDataset
from surveys.fits.source import Source
from surveys.index.catalog import Catalog
from surveys.index.cells import DEEPEST_LEVEL, cells_of, ranges_at
from surveys.index.ingest import index_survey
from surveys.index.tables import ArtifactRow
from surveys.survey import Survey
from tests.support.databases import postgresql, sqlite
from tests.support.layouts import gzipped, pixels, tan_cards, write

#: Where the images of the sky below are centred, and how wide their pixels are (arcsec; 40 x 30 of them).
SKY = {
    "zero": (0.0, 0.0, 2.0),
    "zero-west": (359.995, 0.001, 2.0),
    "north": (10.0, 90.0, 60.0),
    "south": (200.0, -89.9, 60.0),
    "small": (150.1, 2.2, 0.2),
    "wide": (150.0, 2.0, 1800.0),
    "other": (210.0, -45.0, 2.0),
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgresql_url: str
) -> Iterator[Engine]:
    made = sqlite(tmp_path_factory.mktemp("db")) if request.param == "sqlite" else postgresql(postgresql_url)
    with made as opened:
        yield opened


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    root = tmp_path_factory.mktemp("files")
    for name, (ra, dec, scale) in SKY.items():
        for band in "gr":
            write(root / f"{name}_{band}.fits", ("", tan_cards(ra, dec, scale), pixels()))
    content = {
        "title": "Sky",
        "name": "Sky",
        "kind": "exposures",
        "root": str(root),
        "dataset": "{tile}",
        "bands": {band: {"em_min_m": 4e-7, "em_max_m": 5e-7, "nodata": 0} for band in "gr"},
        "layers": {"image": {"path": "{tile}_{band}.fits"}},
    }
    return parse_survey(content, "sky.toml", "sky", root)


@pytest.fixture(scope="module")
def catalog(engine: Engine, survey: Survey) -> Catalog:
    report = index_survey(engine, survey)
    assert report.refused == ()
    return Catalog(engine, [survey])


def cone(ra: float, dec: float, radius_deg: float) -> Circle:
    return Circle(UnitVector3d(LonLat.fromDegrees(ra % 360, dec)), Angle.fromDegrees(radius_deg))


def found(catalog: Catalog, region: Region, bands: str = "g") -> set[str]:
    return {candidate.dataset for candidate in catalog.search("Sky", list(bands), region, 1)}


def test_surveys_and_images_are_found_whatever_their_case(catalog: Catalog, survey: Survey) -> None:
    assert catalog.survey("sKY") is survey
    assert catalog.generation("Sky") == 1
    record = catalog.record("sky/G/ZERO", 1)
    assert record.dataset == "Sky/g/zero"
    assert catalog.record("Sky/g/zero", 1) == record
    assert catalog.artifact(record.artifact_id) == record
    for unknown in ("nosky/g/zero", "Sky/i/zero", "Sky/g/one", "Sky/g/zero/x", "Sky", ""):
        with pytest.raises(UnknownDataset):
            catalog.record(unknown, 1)
    with pytest.raises(StaleImage):
        catalog.artifact(10**6)


def test_a_survey_without_an_index_has_no_images(catalog: Catalog, survey: Survey, tmp_path: Path) -> None:
    with sqlite(tmp_path) as empty:
        fresh = Catalog(empty, [survey])
        assert fresh.generation("Sky") == 0
        assert fresh.search("Sky", ["g"], cone(0, 0, 1), 0) == []
        assert fresh.holdings("sky").images == {}
        with pytest.raises(UnknownDataset):
            fresh.record("Sky/g/zero", 0)


def test_a_record_holds_what_the_file_says(catalog: Catalog, survey: Survey) -> None:
    record = catalog.record("Sky/g/small", 1)
    path = catalog.path(record)
    assert path.samefile(survey.roots[0] / "small_g.fits")
    with fits.open(path) as hdus:
        assert record.shape == hdus[0].data.shape
        assert (
            record.data_offset == hdus.info(output=False) or hdus.fileinfo(0)["datLoc"] == record.data_offset
        )
        text = hdus[0].header.tostring(sep="", endcard=False, padding=False)
    assert catalog.header_text(record) == text
    assert (record.survey, record.band, record.role, record.hdu, record.nodata) == (
        "Sky",
        "g",
        "image",
        0,
        0.0,
    )
    assert (record.bitpix, record.bscale, record.bzero, record.blank) == (-32, 1.0, 0.0, None)
    assert (record.nx, record.ny) == (40, 30)
    assert record.pixel_scale_deg == pytest.approx(0.2 / 3600)
    assert WCS(fits.Header.fromstring(record.wcs_text)).wcs.crval.tolist() == [150.1, 2.2]
    assert catalog.companions(record, 1) == {}
    assert catalog.attributes(record) == {}


def test_holdings_count_what_there_is(catalog: Catalog) -> None:
    holdings = catalog.holdings("sky")
    assert (holdings.generation, holdings.images) == (1, {"g": len(SKY), "r": len(SKY)})
    assert (holdings.files, holdings.refused) == (2 * len(SKY), 0)
    assert holdings.last_modified is not None


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        (cone(0.001, 0.0, 1e-4), {"zero", "zero-west"}),
        (cone(359.999, 0.0, 1e-4), {"zero", "zero-west"}),
        (cone(0.009, 0.0, 1e-4), {"zero"}),
        (cone(359.986, 0.001, 1e-4), {"zero-west"}),
        (cone(0, 90, 1e-3), {"north"}),
        (cone(123, 89.9, 1e-3), {"north"}),
        (cone(20, -89.95, 1e-3), {"south"}),
        (cone(150.1, 2.2, 1e-4), {"small", "wide"}),
        (cone(150.1, 2.21, 1e-4), {"wide"}),
        (cone(300, 10, 1), set()),
        (cone(150.1, 2.2, 90), {"north", "small", "wide", "other"}),
        (cone(0, 0, 179.9), set(SKY)),
        (Circle.full(), set(SKY)),
        (UnionRegion(cone(0.009, 0.0, 1e-4), cone(210, -45, 1e-4)), {"zero", "other"}),
    ],
)
def test_images_are_found_by_place(catalog: Catalog, region: Region, expected: set[str]) -> None:
    names = {dataset.rpartition("/")[2] for dataset in found(catalog, region)}
    assert names == expected


def test_soda_45_every_point_of_an_image_finds_it(catalog: Catalog) -> None:
    rng = np.random.default_rng(5)
    for name in SKY:
        header = fits.Header.fromstring(catalog.record(f"Sky/g/{name}", 1).wcs_text)
        x, y = rng.uniform(0, 39, 40), rng.uniform(0, 29, 40)
        for ra, dec in zip(*WCS(header).all_pix2world(x, y, 0), strict=True):
            assert f"Sky/g/{name}" in found(catalog, cone(ra, dec, 1e-6))


def test_candidates_are_of_the_bands_asked_the_nearest_first(catalog: Catalog) -> None:
    both = catalog.search("Sky", ["g", "r"], cone(150.1, 2.2, 1e-4), 1)
    assert [(one.dataset, one.band) for one in both] == [
        ("Sky/g/small", "g"),
        ("Sky/r/small", "r"),
        ("Sky/g/wide", "g"),
        ("Sky/r/wide", "r"),
    ]
    assert both[0].distance_deg == pytest.approx(0, abs=1e-9)
    assert both[2].distance_deg == pytest.approx(np.hypot(0.1 * np.cos(np.radians(2.1)), 0.2), rel=1e-3)
    assert catalog.artifact(both[2].artifact_id).dataset == "Sky/g/wide"
    assert catalog.search("Sky", [], cone(150.1, 2.2, 1), 1) == []


def test_regions_with_the_same_cells_have_candidates_of_their_own(engine: Engine, survey: Survey) -> None:
    places = [(150.1, 2.2, 1e-4), (150.0, 2.0, 1e-4), (150.1, 2.2, 1e-3), (150.1, 2.2, 1e-4)]
    regions = [cone(*place) for place in places]
    kept = Catalog(engine, [survey])
    for region in regions:
        assert kept.search("Sky", ["g"], region, 1) == Catalog(engine, [survey]).search(
            "Sky", ["g"], region, 1
        )
    assert len({tuple(kept.search("Sky", ["g"], region, 1)) for region in regions}) > 1
    assert kept.search("Sky", ["r"], regions[0], 1)[0].dataset == "Sky/r/small"
    assert kept.search("Sky", ["g"], regions[0], 2) == kept.search("Sky", ["g"], regions[0], 1)
    assert kept.search("Sky", ["g"], regions[0], 0) == []  # before there was any
    with pytest.raises(TooLarge):
        kept.search("Sky", ["g"], regions[0], 1, at_most=1)


def test_a_region_with_too_many_images_is_refused(catalog: Catalog) -> None:
    assert len(catalog.search("Sky", ["g"], Circle.full(), 1, at_most=len(SKY))) == len(SKY)
    with pytest.raises(TooLarge, match="touches more than 6 images"):
        catalog.search("Sky", ["g"], Circle.full(), 1, at_most=len(SKY) - 1)


def test_cells_are_few_and_never_miss() -> None:
    rng = np.random.default_rng(7)

    def random_region() -> Region:
        center = UnitVector3d(*rng.normal(size=3))
        radius = 10 ** rng.uniform(-4, 1.7)
        if rng.random() < 0.5:
            return Circle(center, Angle.fromDegrees(radius))
        corners = [
            UnitVector3d(*(np.array([center.x(), center.y(), center.z()]) + offset))
            for offset in np.radians(min(radius, 30)) * rng.uniform(-1, 1, (4, 3))
        ]
        return ConvexPolygon(corners)

    regions = [random_region() for _ in range(400)]
    kept = [cells_of(region) for region in regions]
    levels = sorted({level for level, _ in kept})
    rows = [len(cells) for _, cells in kept]
    assert np.mean(rows) < 5
    assert max(rows) <= 12
    for region in regions[:60]:
        ranges = ranges_at(region, levels)
        for other, (level, cells) in zip(regions, kept, strict=True):
            if other.overlaps(region):
                assert any(
                    first <= cell <= last for at, first, last in ranges if at == level for cell in cells
                )


def test_cells_of_extreme_regions() -> None:
    assert cells_of(Circle.full()) == (0, [face << 2 * DEEPEST_LEVEL for face in range(10, 16)])
    level, cells = cells_of(cone(10, 20, 1e-9))
    assert level == DEEPEST_LEVEL
    assert 1 <= len(cells) <= 4
    assert ranges_at(Circle.full(), []) == []


def test_a_check_agrees_with_astropy_and_finds_what_is_wrong(tmp_path: Path) -> None:
    root = tmp_path / "files"
    for name, (ra, dec, scale) in {"plain": (10.0, 20.0, 0.3), "zipped": (0.0, -30.0, 0.3)}.items():
        write(root / f"{name}.fits", ("", tan_cards(ra, dec, scale, 200, 150), pixels(200, 150)))
    gzipped(root / "zipped.fits")
    scaled: dict[str, Any] = tan_cards(50.0, 5.0, 0.3, 200, 150) | {"BSCALE": 0.5, "BZERO": 7.0, "BLANK": -1}
    write(root / "scaled.fits", ("", scaled, pixels(200, 150, "i2")))
    write(root / "tiled.fits", ("", tan_cards(70.0, 5.0, 0.3, 200, 150), pixels(200, 150)), tiled=True)
    content = {
        "title": "Check",
        "kind": "exposures",
        "root": str(root),
        "bands": {"g": {"em_min_m": 4e-7, "em_max_m": 5e-7}},
        "layers": {"image": {"path": "*.fits*"}},
    }
    survey = parse_survey(content, "check.toml", "check", root)
    with sqlite(tmp_path) as engine:
        index_survey(engine, survey)
        checks = check_survey(Catalog(engine, [survey]), Source(), "check", stamps=24, seed=3)
        assert {check.dataset.rpartition("/")[2] for check in checks} == {
            "plain",
            "zipped",
            "scaled",
            "tiled",
        }
        assert [check.problem for check in checks] == [None] * 24
        assert all(check.offset_mas is not None and check.offset_mas < 1e-3 for check in checks)

        with engine.execution_options(writes=True).begin() as connection:
            connection.execute(
                ArtifactRow.__table__.update()  # type: ignore[attr-defined]
                .where(ArtifactRow.storage == "plain")
                .values(data_offset=ArtifactRow.data_offset + 4)
            )
        wrong = check_survey(Catalog(engine, [survey]), Source(), "check", stamps=24, seed=3)
        assert {check.dataset for check in wrong if check.problem} == {"check/g/plain", "check/g/scaled"}
        (root / "plain.fits").unlink()
        gone = check_survey(Catalog(engine, [survey]), Source(), "check", stamps=24, seed=3)
        assert any("plain.fits cannot be opened" in (check.problem or "") for check in gone)
