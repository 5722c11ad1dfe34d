"""A HiPS gives back the sky it was made of, resumes where it was interrupted, and is published whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from astropy_healpix import HEALPix
from mocpy import MOC
from PIL import Image
from reproject import reproject_interp
from reproject.hips import hips_as_dask_array

from config.settings import Settings
from surveys.errors import RequestFault, SurveyError, UnknownDataset
from surveys.hips.folder import HipsFolder
from surveys.hips.geometry import TILE, pixel_scale_deg, quarter_of, tile_path, wcs_text
from surveys.hips.properties import read_properties
from surveys.hips.tiles import mean_of_blocks, read_fits
from surveys.sky.sphere import ra_dec_deg
from surveys.sky.wcs import CelestialWcs
from tests.hips.support import (
    FWHM_PX,
    HARD,
    IMAGES,
    SCALE_DEG,
    SKY,
    STARS,
    build,
    image_wcs,
    index_stars,
    write_image,
    write_stars,
)
from tests.support.service import environ_of

DEADLINE_S = 60
#: Stars of the HiPS that all tests share.
FOUND = [star for star in STARS if star[3] in IMAGES]
ORDER = 5


def tiles_of(hips: Path, order: int, extension: str = "fits") -> dict[int, Path]:
    found = hips.glob(f"Norder{order}/Dir*/Npix*.{extension}")
    return {int(path.stem.removeprefix("Npix")): path for path in found}


def properties_of(hips: Path) -> dict[str, str]:
    return dict(read_properties((hips / "properties").read_text()))


class TestPixels:
    @pytest.mark.parametrize("star", FOUND, ids=[star[3] + str(n) for n, star in enumerate(FOUND)])
    def test_reproject_finds_the_stars_where_they_are(
        self, hips: Path, star: tuple[float, float, float, str]
    ) -> None:
        ra, dec, flux, _ = star
        wcs, size = WCS(naxis=2), 41
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        wcs.wcs.crval, wcs.wcs.crpix = [ra, dec], [(size + 1) / 2] * 2
        wcs.wcs.cdelt = [-SCALE_DEG, SCALE_DEG]
        pixels, _ = reproject_interp(hips_as_dask_array(hips), wcs, shape_out=(size, size))
        assert np.isfinite(pixels).all()
        y, x = np.mgrid[:size, :size]
        weight = (pixels - SKY) * (np.hypot(x - 20, y - 20) < 3 * FWHM_PX)
        assert (weight * x).sum() / weight.sum() == pytest.approx(20, abs=0.05)
        assert (weight * y).sum() / weight.sum() == pytest.approx(20, abs=0.05)
        # a pixel value is what it was, whatever the size of pixels
        assert weight.sum() == pytest.approx(flux, rel=0.01)

    def test_every_pixel_is_right_at_the_pole_and_where_base_cells_meet(self, tmp_path: Path) -> None:
        report = build(write_stars(tmp_path / "data", names=HARD), order=5)
        seen = dict.fromkeys(HARD, 0)
        for tile, path in tiles_of(report.folder, 5).items():
            x, y = np.meshgrid(np.arange(1, TILE, 4), np.arange(1, TILE, 4))
            wcs = CelestialWcs.from_text(wcs_text(5, tile), 0, 1, TILE, TILE)
            sky = SkyCoord(*ra_dec_deg(wcs.to_sky(x, y)), unit="deg")
            for name, centre in HARD.items():
                inside = sky.separation(SkyCoord(*centre, unit="deg")).deg < 0.5
                if not inside.any():
                    continue
                ix, iy = image_wcs(name).world_to_pixel(sky[inside])
                # A star in the middle, near enough, on an even sky.
                cx, cy = image_wcs(name).world_to_pixel(SkyCoord(centre[0], centre[1] + 0.001, unit="deg"))
                sigma = FWHM_PX / 2.3548
                peak = 5000.0 / (2 * np.pi * sigma**2)
                true = SKY + peak * np.exp(-((ix - cx) ** 2 + (iy - cy) ** 2) / (2 * sigma**2))
                np.testing.assert_allclose(
                    read_fits(path)[1::4, 1::4][inside], true, rtol=0, atol=0.01 * peak
                )
                seen[name] += int(inside.sum())
        area_px = np.pi * 0.5**2 / (4 * pixel_scale_deg(5)) ** 2
        assert all(count == pytest.approx(area_px, rel=0.02) for count in seen.values())

    def test_a_coarser_order_has_means_and_no_dark_rings_about_stars(self, tmp_path: Path) -> None:
        report = build(write_stars(tmp_path / "data"), order=3)
        pixels = np.concatenate([read_fits(path).ravel() for path in tiles_of(report.folder, 3).values()])
        assert np.nanmin(pixels) > 0.999 * SKY
        assert np.nanmax(pixels) > 20 * SKY
        assert properties_of(report.folder)["hips_sampling"] == "mean"

    def test_tiles_say_where_they_are(self, hips: Path) -> None:
        tile, path = next(iter(tiles_of(hips, ORDER).items()))
        with fits.open(path) as hdus:
            hdus.verify("exception")
            (hdu,) = hdus
            header = hdu.header
            assert (header["ORDER"], header["NPIX"], header["BITPIX"]) == (ORDER, tile, -32)
            assert header["MAGZERO"] == 25.0
            known = hdu.data[np.isfinite(hdu.data)]
            assert (header["DATAMIN"], header["DATAMAX"]) == (known.min(), known.max())
            ra, dec = WCS(header).all_pix2world(255.5, 255.5, 0)
        healpix = HEALPix(nside=2**ORDER, order="nested", frame="icrs")
        assert healpix.skycoord_to_healpix(SkyCoord(ra, dec, unit="deg")) == tile

    def test_orders_above_are_means_of_what_has_data(self, hips: Path) -> None:
        for order in range(ORDER):
            below = tiles_of(hips, order + 1)
            tiles = tiles_of(hips, order)
            assert {tile >> 2 for tile in below} == set(tiles)
            for tile, path in tiles.items():
                pixels = read_fits(path)
                for child in range(4):
                    quarter = pixels[quarter_of(child)]
                    if (source := below.get(4 * tile + child)) is None:
                        assert np.isnan(quarter).all()
                        continue
                    blocks = (
                        read_fits(source).reshape(256, 2, 256, 2).transpose(0, 2, 1, 3).reshape(256, 256, 4)
                    )
                    known = np.isfinite(blocks).any(axis=2)
                    assert (np.isfinite(quarter) == known).all()
                    np.testing.assert_allclose(quarter[known], np.nanmean(blocks[known], axis=1), rtol=1e-6)

    def test_pictures_are_the_same_pixels_the_other_way_up(self, hips: Path) -> None:
        pictures = tiles_of(hips, ORDER, "png")
        assert pictures.keys() == tiles_of(hips, ORDER).keys()
        for tile, path in tiles_of(hips, ORDER).items():
            pixels = read_fits(path)[::-1]
            with Image.open(pictures[tile]) as picture:
                assert picture.size == (TILE, TILE)
                shades = np.asarray(picture.convert("LA"))
            known = np.isfinite(pixels)
            assert ((shades[..., 1] > 0) == known).all()
            order = np.argsort(pixels[known], kind="stable")
            # NO_DATA's grey is never used, so that neighbours of it may move by one
            assert (np.diff(shades[known][order, 0].astype(int)) >= -1).all()

    def test_the_whole_sky_is_laid_out_row_by_row(self, hips: Path) -> None:
        with fits.open(hips / "Norder3" / "Allsky.fits") as hdus:
            allsky = hdus[0].data.astype(np.float32)
        assert allsky.shape == (29 * 64, 27 * 64)
        with Image.open(hips / "Norder3" / "Allsky.png") as picture:
            assert picture.size == (27 * 64, 29 * 64)
            opaque = np.asarray(picture.convert("LA"))[..., 1] > 0
        assert (opaque == np.isfinite(allsky[::-1])).all()
        for tile, path in tiles_of(hips, 3).items():
            down, across = divmod(tile, 27)
            box = allsky[::-1][64 * down : 64 * down + 64, 64 * across : 64 * across + 64][::-1]
            np.testing.assert_array_equal(box, mean_of_blocks(read_fits(path), 8))
        assert np.isfinite(allsky).sum() == sum(
            np.isfinite(mean_of_blocks(read_fits(path), 8)).sum() for path in tiles_of(hips, 3).values()
        )

    def test_images_are_scaled_to_one_zero_point(self, tmp_path: Path) -> None:
        settings = write_stars(tmp_path / "data")
        plain = build(settings, order=4)
        before = {tile: read_fits(path) for tile, path in tiles_of(plain.folder, 4).items()}
        # The first by its name keeps 25 and is what the others are scaled to.
        write_image(tmp_path / "data", "north", "g", 27.5)
        write_image(tmp_path / "data", "west", "g", 22.0)
        index_stars(settings)
        scaled = build(settings, order=4)
        for tile, path in tiles_of(scaled.folder, 4).items():
            np.testing.assert_allclose(read_fits(path), before[tile], rtol=2e-5)
        assert build(settings, order=4, photscale="none").made > 0
        brightest = float(properties_of(scaled.folder)["hips_data_range"].split()[1])
        assert brightest > 2 * float(np.nanmax(before[min(before)]))


class TestDescription:
    def test_properties_have_what_the_standard_wants(self, hips: Path) -> None:
        told = properties_of(hips)
        assert told["creator_did"] == "ivo://example.org/fountain?stars/g"
        assert {
            "obs_title": "Stars, g",
            "dataproduct_type": "image",
            "hips_version": "1.4",
            "hips_frame": "equatorial",
            "hips_order": "5",
            "hips_order_min": "0",
            "hips_sampling": "lanczos3",
            "hips_tile_width": "512",
            "hips_tile_format": "png fits",
            "hips_status": "public master clonableOnce",
            "hips_licence": "CC0-1.0",
            "obs_ack": "Nobody observed them",
            "em_min": "4e-07",
            "em_max": "5.5e-07",
            "obs_regime": "Optical",
        }.items() <= told.items()
        time.strptime(told["hips_release_date"], "%Y-%m-%dT%H:%MZ")
        assert float(told["hips_pixel_scale"]) * 3600 == pytest.approx(12.88, abs=0.01)
        low, high = map(float, told["hips_pixel_cut"].split())
        assert low < SKY < high
        least, greatest = map(float, told["hips_data_range"].split())
        every = [read_fits(path) for path in tiles_of(hips, ORDER).values()]
        assert least == pytest.approx(min(np.nanmin(pixels) for pixels in every), rel=1e-6)
        assert greatest == pytest.approx(max(np.nanmax(pixels) for pixels in every), rel=1e-6)
        view = SkyCoord(float(told["hips_initial_ra"]), float(told["hips_initial_dec"]), unit="deg")
        assert view.separation(SkyCoord(0.2, 10.3, unit="deg")).deg < float(told["hips_initial_fov"]) / 2

    def test_the_moc_is_that_of_the_tiles(self, hips: Path) -> None:
        moc = MOC.load(hips / "Moc.fits", "fits")
        assert moc.max_order == ORDER
        assert set(moc.flatten().tolist()) == set(tiles_of(hips, ORDER))
        assert float(properties_of(hips)["moc_sky_fraction"]) == pytest.approx(moc.sky_fraction, rel=1e-6)
        stars = SkyCoord([(ra, dec) for ra, dec, *_ in FOUND], unit="deg")
        assert moc.contains_skycoords(stars).all()


class TestBuilding:
    def test_an_interrupted_build_goes_on_where_it_was(self, tmp_path: Path) -> None:
        settings = write_stars(tmp_path / "data")
        folder = HipsFolder(settings.data.hips, "stars", "g")

        def stop(done: int, total: int) -> None:
            if done == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            build(settings, progress=stop)
        assert not folder.published.exists()
        made = {path.name: path.stat() for path in tiles_of(folder.work, ORDER).values()}
        assert len(made) == 3
        # What a kill in mid write leaves.
        (folder.work / "Norder5" / ".Npix1.fits.99").write_bytes(b"SIMPLE")
        victim = tiles_of(folder.work, ORDER)[min(tiles_of(folder.work, ORDER))]
        victim.write_bytes(victim.read_bytes()[:10_000])
        report = build(settings)
        after = {path.name: path.stat() for path in tiles_of(report.folder, ORDER).values()}
        same = [name for name in made if after[name].st_mtime_ns == made[name].st_mtime_ns]
        assert sorted([*same, victim.name]) == sorted(made)
        assert report.made == report.tiles - 2
        assert not list(report.folder.rglob(".*"))
        assert build(settings).made == 0

    @pytest.mark.faults
    def test_a_killed_command_goes_on_with_several_processes(self, tmp_path: Path, hips: Path) -> None:
        settings = write_stars(tmp_path / "data")
        folder = HipsFolder(settings.data.hips, "stars", "g")
        command = [
            sys.executable,
            "-c",
            "from config.cli import main; main()",
            "survey",
            "hips",
            "stars",
            "g",
        ]
        environ = {**os.environ, **environ_of(tmp_path / "data")}
        with subprocess.Popen([*command, "--workers", "1"], env=environ) as process:
            until = time.monotonic() + DEADLINE_S
            while not tiles_of(folder.work, ORDER) and process.poll() is None:
                assert time.monotonic() < until
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.02)
            process.kill()
        assert process.returncode == -signal.SIGKILL
        assert not folder.published.exists()
        done = subprocess.run(
            [*command, "--workers", "2"], env=environ, check=True, capture_output=True, text=True
        )
        assert "order 5" in done.stdout
        for order in range(ORDER + 1):
            for extension in ("fits", "png"):
                ours = tiles_of(folder.published, order, extension)
                theirs = tiles_of(hips, order, extension)
                assert {tile: path.read_bytes()[3000:] for tile, path in ours.items()} == {
                    tile: path.read_bytes()[3000:] for tile, path in theirs.items()
                }

    def test_after_indexing_only_what_changed_is_made_anew(self, tmp_path: Path) -> None:
        settings = write_stars(tmp_path / "data")
        first = build(settings)
        before = {tile: path.stat().st_mtime_ns for tile, path in tiles_of(first.folder, ORDER).items()}
        edition = first.folder.resolve()
        write_image(tmp_path / "data", "north", "g")
        os.utime(tmp_path / "data" / "stars" / "north_g.fits", (1e9, 1e9))
        index_stars(settings)
        report = build(settings)
        after = {tile: path.stat().st_mtime_ns for tile, path in tiles_of(report.folder, ORDER).items()}
        kept = {tile for tile in after if after[tile] == before.get(tile)}
        assert kept
        assert after.keys() - kept
        assert report.folder.resolve() != edition
        assert not edition.exists()
        # Tiles that no image has any more go.
        for name in ("north", "east"):
            (tmp_path / "data" / "stars" / f"{name}_g.fits").unlink()
        index_stars(settings)
        less = tiles_of(build(settings).folder, ORDER).keys()
        assert less < after.keys()

    def test_what_cannot_be_built_is_said_in_a_sentence(self, tmp_path: Path) -> None:
        settings = write_stars(tmp_path / "data")
        with pytest.raises(UnknownDataset, match="has no band 'z'"):
            build(settings, "z")
        with pytest.raises(RequestFault, match="stars/r has no images"):
            build(settings, "r")
        with pytest.raises(RequestFault, match="from 3 to 20; got 2"):
            build(settings, order=2)
        with (
            HipsFolder(settings.data.hips, "stars", "g").hold(),
            pytest.raises(SurveyError, match="being made already"),
        ):
            build(settings)
        path = tmp_path / "data" / "stars" / "north_g.fits"
        os.truncate(path, path.stat().st_size - 5760)
        with pytest.raises(SurveyError, match=r"north.*index the survey first"):
            build(settings)
        assert not HipsFolder(settings.data.hips, "stars", "g").published.exists()

    def test_colours_are_made_of_the_hips_of_three_bands(self, stars: Settings) -> None:
        with pytest.raises(RequestFault, match="that of i is not there: fountain survey hips stars i"):
            build(stars, None, "rgb")
        with pytest.raises(RequestFault, match="no recipe"):
            build(stars, None, "none")
        for band in "ri":
            build(stars, band)
        report = build(stars, None, "rgb")
        assert report.folder.name == "color-rgb"
        assert tiles_of(report.folder, ORDER) == {}
        told = properties_of(report.folder)
        assert (told["hips_tile_format"], told["dataproduct_subtype"]) == ("png", "color")
        assert "hips_pixel_cut" not in told
        pictures = tiles_of(report.folder, ORDER, "png")
        assert pictures.keys() == tiles_of(stars.data.hips / "stars" / "g", ORDER).keys()
        for tile, path in pictures.items():
            known = np.isfinite(read_fits(stars.data.hips / "stars" / "g" / tile_path(ORDER, tile, "fits")))[
                ::-1
            ]
            with Image.open(BytesIO(path.read_bytes())) as picture:
                colours = np.asarray(picture.convert("RGBA")).astype(int)
            assert ((colours[..., 3] > 0) == known).all()
            # Three bands alike: grey.
            assert np.ptp(colours[known][:, :3], axis=1).max() <= 1
        assert build(stars, None, "rgb").made == 0
