"""The demo survey: a small edition of it, made of the same sky by the same code."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import replace
from io import BytesIO
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from config.demo import DEMO, DEMO_OBJECT, RECIPE, make_demo
from config.demo.alerts import ALERTS, make_alerts
from config.demo.make import STAMP
from config.demo.recipe import BANDS, tile_wcs, tiles_of
from config.demo.sky import ZEROPOINT, group_sources
from config.demo.tile import GAIN, SATURATION
from surveys.declaration import read_survey
from surveys.simulation import Image, Profile, make_sources, render, tangent_plane
from tests.conftest import REPOSITORY

# Large overlaps and many stars, nothing large among them: there are some to measure on two tiles.
SMALL = replace(
    RECIPE,
    tile_px=400,
    pixel_scale_arcsec=0.4,
    overlap=0.4,
    groups=tuple(replace(group, stars_per_arcmin2=25.0, showpiece=None) for group in RECIPE.groups),
)
ONE_TILE = replace(
    SMALL, tile_px=64, groups=(replace(RECIPE.groups[1], name="lone", columns=1, rows=1),), compressed=()
)
TILES = ("field-se", "field-sw", "field-ne", "field-nw", "zero-e", "zero-w", "pole-s", "pole-n")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    make_demo(folder, workers=1, recipe=SMALL)
    return folder


def read(folder: Path, stem: str, kind: str = "images") -> tuple[Image, fits.Header]:
    (path,) = (folder / kind).glob(f"{stem}.fits*")
    with fits.open(path) as hdus:
        hdu = hdus[0] if hdus[0].data is not None else hdus[1]
        return np.array(hdu.data), hdu.header.copy()


def digests(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.mark.deployment
def test_same_bytes_in_any_number_of_processes(demo: Path, tmp_path: Path) -> None:
    make_demo(tmp_path, workers=2, recipe=SMALL)
    assert digests(tmp_path) == digests(demo)


def test_makes_an_image_and_a_weight_of_every_tile_and_band(demo: Path) -> None:
    names = {f"{tile}_{band}" for tile in TILES for band in BANDS}
    for kind in ("images", "weights"):
        assert {path.name.partition(".")[0] for path in (demo / kind).iterdir()} == names
    assert sorted(path.name for path in demo.iterdir()) == [STAMP, "images", "weights"]


def test_full_survey_stays_below_250_mb() -> None:
    tiles = list(tiles_of(RECIPE))
    plain = 4 * RECIPE.tile_px**2 * sum(not tile.compressed for tile in tiles)
    # At a quarter of sigma a step, noise takes 4.05 bits and Rice wastes less than one; weights 0.5 at most.
    rice = RECIPE.tile_px**2 * (5.5 / 8 * sum(tile.compressed for tile in tiles) + 0.5 / 8 * len(tiles))
    assert plain + rice < 250e6
    assert {tile.name for tile in tiles} == set(TILES)


def test_second_time_makes_nothing(demo: Path) -> None:
    before = digests(demo)
    calls: list[tuple[int, int]] = []
    report = make_demo(demo, workers=2, progress=lambda *step: calls.append(step), recipe=SMALL)
    assert (report.files, report.made, calls) == (48, 0, [])
    assert report.size == sum((demo / name).stat().st_size for name in before if name != STAMP)


def test_makes_again_what_is_missing_or_cut_short(tmp_path: Path) -> None:
    make_demo(tmp_path, workers=1, recipe=ONE_TILE)
    before = digests(tmp_path)
    (tmp_path / "images" / "lone_g.fits").unlink()
    (tmp_path / "weights" / "lone_i.fits.fz").write_bytes(b"SIMPLE")
    calls: list[tuple[int, int]] = []
    report = make_demo(tmp_path, workers=1, progress=lambda *step: calls.append(step), recipe=ONE_TILE)
    assert report.made == 4
    assert calls == [(0, 2), (1, 2), (2, 2)]
    assert digests(tmp_path) == before


def test_another_recipe_makes_all_again_and_leaves_nothing_of_the_old(tmp_path: Path) -> None:
    make_demo(tmp_path, workers=1, recipe=ONE_TILE)
    before = digests(tmp_path)
    stranger = tmp_path / "images" / "notes.txt"
    stranger.write_text("mine")
    report = make_demo(tmp_path, workers=1, recipe=replace(ONE_TILE, version=2, compressed=("lone",)))
    assert report.made == 6
    assert not (tmp_path / "images" / "lone_g.fits").exists()
    assert stranger.read_text() == "mine"
    assert set(before.values()).isdisjoint(digests(tmp_path).values())


def measure(image: Image, x: float, y: float, radius: float) -> tuple[float, float, float]:
    """Centroid and flux within a circle, with Gaussian weights for the centroid only."""
    rows, columns = np.indices(image.shape)
    for _ in range(8):
        near = np.hypot(columns - x, rows - y) < radius
        light = np.where(near, image * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8), 0)
        # A Gaussian window of the star's own width halves the offset: step twice as far.
        x += 2 * float((light * (columns - x)).sum() / light.sum())
        y += 2 * float((light * (rows - y)).sum() / light.sum())
    return x, y, float(image[np.hypot(columns - x, rows - y) < radius].sum())


def isolated_stars(group: str, both: tuple[WCS, WCS]) -> NDArray[np.float64]:
    """RA, Dec of stars of middling brightness that two tiles hold, far from anything that bright."""
    (found,) = (one for one in SMALL.groups if one.name == group)
    plane = tangent_plane(found.ra_deg, found.dec_deg)
    sources = group_sources(SMALL, found, plane)
    r = ZEROPOINT - 2.5 * np.log10(np.maximum(sources.flux[:, 1], 1e-9))
    chosen = []
    for i in np.flatnonzero((sources.profile == Profile.POINT) & (r > 16.5) & (r < 20.7)):
        away = np.hypot(sources.east - sources.east[i], sources.north - sources.north[i])
        sky = plane.all_pix2world(sources.east[i], sources.north[i], 0)
        inside = all(
            8 < x < SMALL.tile_px - 9 and 8 < y < SMALL.tile_px - 9
            for x, y in (wcs.all_world2pix(*sky, 0) for wcs in both)
        )
        blend = (sources.flux[:, 1] / (1 + (away / 0.8) ** 3))[away > 0].sum() / sources.flux[i, 1]
        if inside and blend < 0.03:
            chosen.append(np.array(sky))
    return np.array(chosen)


@pytest.mark.parametrize("group", ["field", "zero", "pole"])
def test_overlapping_tiles_show_the_same_stars(demo: Path, group: str) -> None:
    """Where the catalogue says, to a tenth of a pixel, and equally bright within the noise."""
    tiles = [tile for tile in TILES if tile.startswith(group)]
    measured = sum(compare_stars(demo, one, other) for one, other in combinations(tiles, 2))
    assert measured >= 4


def compare_stars(demo: Path, one: str, other: str) -> int:
    images = [read(demo, f"{tile}_r") for tile in (one, other)]
    weights = [read(demo, f"{tile}_r", "weights")[0] for tile in (one, other)]
    frames = WCS(images[0][1]), WCS(images[1][1])
    measured = 0
    for sky in isolated_stars(one.partition("-")[0], frames):
        places = [tuple(float(value) for value in frame.all_world2pix(*sky, 0)) for frame in frames]
        boxes = [np.s_[int(y) - 6 : int(y) + 7, int(x) - 6 : int(x) + 7] for x, y in places]
        if any((weight[box] == 0).any() for weight, box in zip(weights, boxes, strict=True)):
            continue
        fluxes = []
        for (image, _), (x, y) in zip(images, places, strict=True):
            found_x, found_y, flux = measure(image, x, y, radius=6)
            assert np.hypot(found_x - x, found_y - y) < 0.1
            fluxes.append(flux)
        variance = sum(113 / weight[box].min() for weight, box in zip(weights, boxes, strict=True))
        # Five sigma of the sky and the star, and 3 % for what two seeings leave outside the circle.
        sigma = np.sqrt(variance + 2 * fluxes[0] / GAIN)
        assert abs(fluxes[0] - fluxes[1]) < 5 * sigma + 0.03 * fluxes[0]
        measured += 1
    return measured


def test_bands_share_positions_and_tell_colours(demo: Path) -> None:
    group = SMALL.groups[0]
    sources = group_sources(SMALL, group, tangent_plane(group.ra_deg, group.dec_deg))
    stars = sources.take((sources.profile == Profile.POINT) & (sources.flux[:, 1] > 1e4))
    colour = -2.5 * np.log10(stars.flux[:, 0] / stars.flux[:, 1])
    assert 0.2 < np.median(colour) < 1.5
    frames = [WCS(read(demo, f"field-ne_{band}")[1]) for band in BANDS]
    assert all(np.array_equal(frame.wcs.crval, frames[0].wcs.crval) for frame in frames)


def test_every_tile_has_its_own_tangent_point(demo: Path) -> None:
    points = {tuple(WCS(read(demo, f"{tile}_g")[1]).wcs.crval) for tile in TILES}
    assert len(points) == len(TILES)


@pytest.mark.parametrize("tile", TILES)
def test_headers_are_standard_and_say_where_they_come_from(demo: Path, tile: str) -> None:
    (path,) = (demo / "images").glob(f"{tile}_i.fits*")
    with fits.open(path) as hdus:
        hdus.verify("exception")
        header = (hdus[0] if hdus[0].header["NAXIS"] else hdus[1]).header
        assert (header["TILENAME"], header["FILTER"], header["RADESYS"]) == (tile, "i", "ICRS")
        assert header["BITPIX"] == -32
        assert header["MAGZERO"] == ZEROPOINT
        assert header["MJD-OBS"] < header["MJD-END"]
        assert "DATE" not in header  # it would tell two runs apart
        for card in (
            "SURVEY",
            "EXPTIME",
            "DATE-OBS",
            "AIRMASS",
            "SEEING",
            "GAIN",
            "BUNIT",
            "TELESCOP",
            "HISTORY",
        ):
            assert card in header


def test_rice_tiles_are_as_fpack_leaves_them(demo: Path) -> None:
    for tile in SMALL.compressed:
        with fits.open(demo / "images" / f"{tile}_r.fits.fz", disable_image_compression=True) as hdus:
            header = hdus[1].header
            assert (header["ZCMPTYPE"], header["ZQUANTIZ"]) == ("RICE_1", "SUBTRACTIVE_DITHER_1")
            assert (header["ZTILE1"], header["ZTILE2"]) == (SMALL.tile_px, 1)
            assert 1 <= header["ZDITHER0"] <= 10_000
        image, header = read(demo, f"{tile}_r")
        assert image.dtype.kind == "f"
        assert np.isfinite(image).all()
        assert np.median(image) < header["SKYSIGMA"]


def test_weight_is_the_inverse_variance_and_0_on_dead_columns_and_saturated_stars(demo: Path) -> None:
    for tile in TILES:
        image, header = read(demo, f"{tile}_r")
        weight, weight_header = read(demo, f"{tile}_r", "weights")
        assert np.allclose(WCS(weight_header).wcs.crval, WCS(header).wcs.crval)
        assert np.isclose(weight.max(), header["SKYSIGMA"] ** -2, rtol=1e-4)
        assert (weight == 0).all(axis=0).sum() <= 3
        assert 3 * SMALL.tile_px // 4 <= (weight == 0).sum() < 0.05 * weight.size
        assert (weight[image >= 0.99 * SATURATION] == 0).all()
        dark = image[(weight > 0) & (image < 3 * header["SKYSIGMA"])]
        deepest = np.abs(np.percentile(dark, 16) - np.median(dark))
        assert 0.8 < deepest / header["SKYSIGMA"] < 1.3


def pixel_of(demo: Path, tile: str, ra: float, dec: float) -> NDArray[np.float64]:
    return np.array(WCS(read(demo, f"{tile}_g")[1]).all_world2pix(ra, dec, 0), dtype=float)


def test_tiles_meet_at_ra_0(demo: Path) -> None:
    middle = SMALL.tile_px / 2
    assert pixel_of(demo, "zero-e", 0.0, -0.6)[0] - middle > 0
    assert pixel_of(demo, "zero-w", 0.0, -0.6)[0] - middle < 0
    for tile in ("zero-e", "zero-w"):
        assert (np.abs(pixel_of(demo, tile, 0.0, -0.6) - middle) < middle).all()
        corners = WCS(read(demo, f"{tile}_g")[1]).calc_footprint()[:, 0]
        assert corners.min() < 1
        assert corners.max() > 359


def test_pole_lies_in_the_northern_tile_alone() -> None:
    frames = {tile.name: tile_wcs(RECIPE, tile, tangent_plane(0.0, 89.98)) for tile in tiles_of(RECIPE)}
    edge = RECIPE.tile_px - 0.5

    def inside_arcsec(tile: str) -> float:
        """How far the pole is from the nearest edge."""
        x, y = frames[tile].all_world2pix(0.0, 90.0, 0)
        return float(min(x + 0.5, edge - x, y + 0.5, edge - y)) * RECIPE.pixel_scale_arcsec

    assert inside_arcsec("pole-n") == pytest.approx(87, abs=0.1)
    assert inside_arcsec("pole-s") == pytest.approx(-57, abs=0.1)


def test_full_survey_overlaps_by_5_percent() -> None:
    frames = {tile.name: tile_wcs(RECIPE, tile, tangent_plane(150.05, 2.15)) for tile in tiles_of(RECIPE)}
    ra, dec = frames["field-ne"].all_pix2world(1999.5, 1000.0, 0)
    x, _ = frames["field-nw"].all_world2pix(ra, dec, 0)
    assert x == pytest.approx(99.5, abs=0.05)


def test_cutout_to_show_lies_within_one_tile() -> None:
    holders = []
    for tile in tiles_of(RECIPE):
        if tile.group.name == "field" and tile.band == "r":
            frame = tile_wcs(RECIPE, tile, tangent_plane(tile.group.ra_deg, tile.group.dec_deg))
            x, y = frame.all_world2pix(DEMO.ra_deg, DEMO.dec_deg, 0)
            radius = DEMO.radius_deg * 3600 / RECIPE.pixel_scale_arcsec
            if radius < min(x, y) and max(x, y) + radius < RECIPE.tile_px - 1:
                holders.append(tile.name)
    assert holders == ["field-ne"]


def test_cutout_to_show_holds_a_large_galaxy_in_its_middle() -> None:
    tile = next(tile for tile in tiles_of(RECIPE) if tile.name == "field-ne")
    plane = tangent_plane(tile.group.ra_deg, tile.group.dec_deg)
    sources = group_sources(RECIPE, tile.group, plane)
    size = 2 * round(DEMO.radius_deg * 3600)
    frame = WCS(naxis=2)
    frame.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    frame.wcs.crval = [DEMO.ra_deg, DEMO.dec_deg]
    frame.wcs.crpix = [size / 2, size / 2]
    frame.wcs.cdelt = [-1 / 3600, 1 / 3600]
    image = render(sources, BANDS.index("r"), plane, frame, (size, size), fwhm_px=1.5, faintest=0.1)
    rows, columns = np.indices(image.shape)
    away = np.hypot(columns - size / 2 + 1, rows - size / 2 + 1)
    magnitude = ZEROPOINT - 2.5 * np.log10(image[away < 45].sum())
    assert 13.0 < magnitude < 13.6
    assert image[away < 2].mean() > 10 * np.median(image[(away > 15) & (away < 20)])
    assert np.median(image[(away > 15) & (away < 20)]) > 5 * np.median(image[away > 55])


def test_declaration_finds_every_file(demo: Path) -> None:
    survey = read_survey(Path(__file__).parents[2] / "config" / "surveys" / "demo.toml", demo.parent)
    assert survey.name == DEMO.dataset.partition("/")[0]
    assert tuple(band.label for band in survey.bands) == BANDS
    weight = survey.layer("weight")
    assert weight
    for kind, template in (("images", survey.image.path), ("weights", weight.path)):
        fields = [template.match(f"{kind}/{path.name}") for path in (demo / kind).iterdir()]
        assert {(found["tile"], found["band"]) for found in fields if found} == {
            (tile, band) for tile in TILES for band in BANDS
        }


def test_render_is_exact_in_flux_and_place() -> None:
    """A star, a round and a thin galaxy: the sum is the flux, the moments are the place, at any rotation."""
    plane = tangent_plane(0.0, 90.0)
    tile = WCS(naxis=2)
    tile.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    tile.wcs.crval = [77.0, 89.998]
    tile.wcs.crpix = [100.5, 100.5]
    tile.wcs.cdelt = [-0.5 / 3600, 0.5 / 3600]
    for profile, size, ratio in (
        (Profile.POINT, 0.0, 1.0),
        (Profile.GAUSS, 2.0, 1.0),
        (Profile.EXPONENTIAL, 2.0, 0.4),
    ):
        east, north = np.array([3.7]), np.array([-11.3])
        source = make_sources(east, north, np.array([[500.0, 1000.0]]), profile, size, ratio, 30.0)
        image = render(source, 1, plane, tile, (200, 200), fwhm_px=3.0, faintest=1e-7).astype(float)
        rows, columns = np.indices(image.shape)
        x, y = tile.all_world2pix(*plane.all_pix2world(east, north, 0), 0)
        assert image.sum() == pytest.approx(1000.0, rel=1e-4)
        assert (image * columns).sum() / image.sum() == pytest.approx(x[0], abs=1e-3)
        assert (image * rows).sum() / image.sum() == pytest.approx(y[0], abs=1e-3)


def test_thin_galaxy_points_the_same_way_on_every_tile() -> None:
    """Its major axis, measured on a tile turned by the pole, leads to the same place on the sky."""
    plane = tangent_plane(0.0, 90.0)
    source = make_sources(
        np.array([10.0]), np.array([5.0]), np.array([[1e4]]), Profile.GAUSS, 6.0, 0.1, angle_deg=25.0
    )
    tip = plane.all_pix2world(10.0 + 4 * np.sin(np.radians(25)), 5.0 + 4 * np.cos(np.radians(25)), 0)
    for ra in (0.0, 100.0, 215.0):
        tile = WCS(naxis=2)
        tile.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        tile.wcs.crval = [ra, 89.998]
        tile.wcs.crpix = [100.5, 100.5]
        tile.wcs.cdelt = [-0.3 / 3600, 0.3 / 3600]
        image = render(source, 0, plane, tile, (200, 200), fwhm_px=2.0, faintest=1e-6).astype(float)
        rows, columns = np.indices(image.shape)
        x, y = (float(value) for value in tile.all_world2pix(*plane.all_pix2world(10.0, 5.0, 0), 0))
        xx, yy, xy = (
            (image * moment).sum()
            for moment in ((columns - x) ** 2, (rows - y) ** 2, (columns - x) * (rows - y))
        )
        measured = np.arctan2(2 * xy, xx - yy) / 2
        tip_x, tip_y = tile.all_world2pix(*tip, 0)
        expected = np.arctan2(tip_y - y, tip_x - x)
        assert np.sin(measured - expected) == pytest.approx(0, abs=2e-3)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    assert make_alerts(folder).made
    return folder


def rows_of(lake: Path) -> list[dict[str, Any]]:
    return [
        row for path in sorted(lake.rglob("*.parquet")) for row in pq.ParquetFile(path).read().to_pylist()
    ]


def stamp(row: dict[str, Any], kind: str) -> Image:
    with fits.open(BytesIO(gzip.decompress(row[f"cutout{kind}"]["stampData"]))) as hdus:
        return np.array(hdus[0].data)[::-1]


def test_alerts_of_the_demo_brighten_and_fade_in_the_middle_of_their_stamps(lake: Path) -> None:
    rows = rows_of(lake)
    y, x = np.indices((63, 63)) - 31
    like_a_star = np.exp(-(x**2 + y**2) / 1.5)
    assert len({row["objectId"] for row in rows}) == ALERTS.supernovae + ALERTS.variables
    assert len({row["candid"] for row in rows}) == len(rows)
    for row in rows:
        science, template, difference = (stamp(row, kind) for kind in ("Science", "Template", "Difference"))
        # Each is rounded to single precision by itself.
        assert np.allclose(science - template, difference, atol=1e-3 * np.abs(science).max())
        flux = float((like_a_star * difference).sum())
        assert (flux > 0) == (row["candidate"]["isdiffpos"] == "t")
    first = sorted(
        (row for row in rows if row["objectId"] == "FS26aaaaaaa"), key=lambda row: row["candidate"]["jd"]
    )
    light = [-row["candidate"]["magpsf"] for row in first]
    assert 0 < int(np.argmax(light)) < len(light) - 1


def test_alerts_of_the_demo_are_in_its_spiral(lake: Path) -> None:
    """The template, turned north up, is the sky there."""
    plane = tangent_plane(RECIPE.groups[0].ra_deg, RECIPE.groups[0].dec_deg)
    sky = group_sources(RECIPE, RECIPE.groups[0], plane)
    row = next(
        row for row in rows_of(lake) if row["objectId"] == "FS26aaaaaaa" and row["candidate"]["fid"] == 2
    )
    grid = tangent_plane(row["candidate"]["ra"], row["candidate"]["dec"])
    grid.wcs.crpix, grid.wcs.cdelt = [32, 32], [-1 / 3600, 1 / 3600]
    grid.wcs.set()
    truth = render(sky, BANDS.index("r"), plane, grid, (63, 63), 2.0, 1.0)
    turned = stamp(row, "Template")
    assert np.corrcoef(truth.ravel(), turned.ravel())[0, 1] > 0.99
    assert np.corrcoef(truth.ravel(), turned[::-1].ravel())[0, 1] < 0.97
    away = SkyCoord(row["candidate"]["ra"], row["candidate"]["dec"], unit="deg").separation(
        SkyCoord(DEMO.ra_deg, DEMO.dec_deg, unit="deg")
    )
    assert away.arcsec < 20


def test_alerts_of_the_demo_are_the_same_whenever_they_are_made(tmp_path: Path) -> None:
    few = replace(ALERTS, supernovae=2, variables=1, nights=6)
    make_alerts(tmp_path, few)
    before = digests(tmp_path)
    assert not make_alerts(tmp_path, few).made
    assert digests(tmp_path) == before
    (tmp_path / next(name for name in before if name.endswith(".parquet"))).unlink()
    assert make_alerts(tmp_path, few).made
    assert digests(tmp_path) == before
    make_alerts(tmp_path, replace(few, nights=4))
    assert {row["objectId"] for row in rows_of(tmp_path)} <= {"FS26aaaaaaa", "FS26aaaaaab", "FS26aaaaaac"}
    assert digests(tmp_path).keys() < before.keys()


def test_the_object_that_is_shown_first_is_among_them(lake: Path) -> None:
    survey, word, name = DEMO_OBJECT.split("/")
    declared = read_survey(REPOSITORY / "config" / "surveys" / f"{survey}.toml", lake.parent)
    assert declared.lake is not None
    assert word == "object"
    assert name in {row["objectId"] for row in rows_of(lake)}
