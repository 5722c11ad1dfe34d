"""One tile of the demo survey in one band: rendered, exposed, and its header written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from config.demo.files import plain, rice, rice_scaled, write_whole
from config.demo.recipe import BANDS, Recipe, Tile, tile_wcs
from config.demo.sky import ZEROPOINT, group_sources
from surveys.simulation import add_noise, render, tangent_plane

GAIN = 4.0
EXPOSURES = 3
EXPOSURE_S = {"g": 120.0, "r": 100.0, "i": 140.0}
READOUT_S = 30.0
SEEING_ARCSEC = {"g": 1.05, "r": 0.90, "i": 0.82}
DEPTH_AB = {"g": 24.5, "r": 24.1, "i": 23.6}  # point source, five sigma
SATURATION = 60_000.0
FIRST_NIGHT_MJD = 60_310

Card = tuple[str, object, str]


@dataclass(frozen=True, slots=True)
class Work:
    """Where tiles go (`parts` takes unfinished files, on the same file system) and their recipe."""

    folder: Path
    parts: Path
    recipe: Recipe


def make_tile(work: Work, tile: Tile) -> None:
    """Render, expose and write one tile in one band, with its weight."""
    recipe = work.recipe
    plane = tangent_plane(tile.group.ra_deg, tile.group.dec_deg)
    wcs = tile_wcs(recipe, tile, plane)
    fwhm_px = seeing_arcsec(recipe, tile) / recipe.pixel_scale_arcsec
    sky_sigma = sky_noise(tile.band, fwhm_px)
    shape = (recipe.tile_px, recipe.tile_px)
    sources = group_sources(recipe, tile.group, plane)
    model = render(sources, BANDS.index(tile.band), plane, wcs, shape, fwhm_px, faintest=0.02 * sky_sigma)

    rng = recipe.rng(tile.name, tile.band)
    coverage = coverage_map(rng, recipe.tile_px)
    sigma = np.float32(sky_sigma) * np.sqrt(EXPOSURES / np.maximum(coverage, 1), dtype=np.float32)
    image = np.where(coverage > 0, add_noise(model, sigma, GAIN, rng), np.float32(0))
    image = np.minimum(image, np.float32(SATURATION))
    good = np.where(model < SATURATION / 3, coverage, np.int16(0))

    image_name, weight_name = tile.files
    header = image_header(recipe, tile, wcs, sky_sigma)
    hdus = rice(image, header, rng) if tile.compressed else plain(image, header)
    weight = rice_scaled(good, weight_header(tile, wcs), sky_sigma**-2 / EXPOSURES)
    write_whole(work.folder / image_name, hdus.writeto, work.parts)
    write_whole(work.folder / weight_name, weight.writeto, work.parts)


def seeing_arcsec(recipe: Recipe, tile: Tile) -> float:
    """Full width at half maximum of the PSF: that of the band, a few per cent better or worse."""
    better_or_worse = recipe.rng("seeing", tile.name, tile.band).uniform(0.95, 1.06)
    return round(SEEING_ARCSEC[tile.band] * float(better_or_worse), 3)


def sky_noise(band: str, fwhm_px: float) -> float:
    """Choose the sigma of a pixel so that a star at the depth of the band stands out by five."""
    noise_pixels = 4 * np.pi * (fwhm_px / 2.3548) ** 2
    return float(10 ** (-0.4 * (DEPTH_AB[band] - ZEROPOINT)) / 5 / np.sqrt(noise_pixels))


def coverage_map(rng: np.random.Generator, size: int) -> NDArray[np.int16]:
    """Count exposures of each pixel: fewer on gaps between detectors, none on dead columns in the east."""
    coverage = np.full((size, size), EXPOSURES, dtype=np.int16)
    gap = max(size // 60, 1)
    for start in rng.integers(0, size - gap, 2):
        coverage[start : start + gap] -= 1
    for start in rng.integers(0, size - gap, 2):
        coverage[:, start : start + gap] -= 1
    coverage = np.maximum(coverage, np.int16(1))
    for column, end in zip(rng.integers(0, size // 3, 3), rng.integers(size // 4, size, 3), strict=True):
        coverage[:end, column] = 0
    return coverage


def image_header(recipe: Recipe, tile: Tile, wcs: WCS, sky_sigma: float) -> fits.Header:
    """Cards of an image: where, when, with what and how it came to be, as an archive would say it."""
    first_mjd, last_mjd, airmass = _observed(recipe, tile)
    header = _header(wcs, [
        ("EXTNAME", "SCI", "image"),
        ("ORIGIN", "Soda Fountain", "made by the demo survey of this software"),
        ("SIMULATE", True, "simulated: no sky was observed"),
        ("SURVEY", "Soda Fountain Demo Survey", "name of the survey"),
        ("RELEASE", f"DR{recipe.version}", "version of the recipe"),
        ("TELESCOP", "Simulated 2.5 m", "telescope"),
        ("INSTRUME", "SyrupCam", "camera"),
        ("OBSERVER", "A. Random Generator", "observer"),
        ("OBJECT", tile.name, "field observed"),
        ("TILENAME", tile.name, "tile of the survey"),
        ("FILTER", tile.band, "band"),
        ("EXPTIME", EXPOSURES * EXPOSURE_S[tile.band], "[s] total exposure time"),
        ("NCOMBINE", EXPOSURES, "number of exposures"),
        ("DATE-OBS", _isot(first_mjd), "start of the first exposure"),
        ("TIMESYS", "UTC", "time system"),
        ("MJD-OBS", first_mjd, "[d] start of the first exposure"),
        ("DATE-END", _isot(last_mjd), "end of the last exposure"),
        ("MJD-END", last_mjd, "[d] end of the last exposure"),
        ("AIRMASS", airmass, "mean airmass"),
        ("SEEING", seeing_arcsec(recipe, tile), "[arcsec] full width at half maximum of a star"),
        ("BUNIT", "adu", "flux; magnitude = MAGZERO - 2.5 log10(flux)"),
        ("MAGZERO", ZEROPOINT, "[mag] AB zero point"),
        ("GAIN", GAIN, "electrons per unit of flux"),
        ("SATURATE", SATURATION, "[adu] pixels stop here"),
        ("SKYSIGMA", round(sky_sigma, 4), "[adu] noise of a pixel of sky"),
        ("MAGLIM", DEPTH_AB[tile.band], "[mag] point source, five sigma"),
        ("PROCVER", f"demo-{recipe.version}", "version of the processing"),
        ("BIASSUB", True, "bias subtracted"),
        ("FLATCOR", True, "flat field divided"),
        ("SKYSUB", True, "sky subtracted"),
        ("PHOTREF", "simulated catalogue", "photometric reference"),
        ("ASTREF", "simulated catalogue", "astrometric reference"),
    ])  # fmt: skip
    header["HISTORY"] = f"Simulated sky {tile.group.name}, recipe {recipe.version}"
    header["HISTORY"] = f"{EXPOSURES} exposures combined; gaps and dead columns are in the weight"
    return header


def weight_header(tile: Tile, wcs: WCS) -> fits.Header:
    """Cards of a weight image."""
    return _header(wcs, [
        ("EXTNAME", "WGT", "inverse variance of the sky; 0: of no use"),
        ("ORIGIN", "Soda Fountain", "made by the demo survey of this software"),
        ("SIMULATE", True, "simulated: no sky was observed"),
        ("TILENAME", tile.name, "tile of the survey"),
        ("FILTER", tile.band, "band"),
        ("BUNIT", "adu-2", "inverse variance"),
    ])  # fmt: skip


def _header(wcs: WCS, cards: list[Card]) -> fits.Header:
    """`cards`, then the WCS as surveys write it: a CD matrix in full."""
    crval, crpix, cd = wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cd
    return fits.Header([
        *cards,
        ("RADESYS", "ICRS", "frame"),
        ("EQUINOX", 2000.0, "equinox of the coordinates"),
        ("CTYPE1", "RA---TAN", "gnomonic projection"),
        ("CTYPE2", "DEC--TAN", "gnomonic projection"),
        ("CUNIT1", "deg", "unit of CRVAL1"),
        ("CUNIT2", "deg", "unit of CRVAL2"),
        ("CRVAL1", float(crval[0]), "[deg] right ascension of the reference point"),
        ("CRVAL2", float(crval[1]), "[deg] declination of the reference point"),
        ("CRPIX1", float(crpix[0]), "[pix] reference point"),
        ("CRPIX2", float(crpix[1]), "[pix] reference point"),
        ("CD1_1", float(cd[0, 0]), "[deg/pix] dx/di"),
        ("CD1_2", float(cd[0, 1]), "[deg/pix] dx/dj"),
        ("CD2_1", float(cd[1, 0]), "[deg/pix] dy/di"),
        ("CD2_2", float(cd[1, 1]), "[deg/pix] dy/dj"),
    ])  # fmt: skip


def _observed(recipe: Recipe, tile: Tile) -> tuple[float, float, float]:
    """MJD of start and end, and mean airmass: some night, within some hours of its middle."""
    rng = recipe.rng("night", tile.name, tile.band)
    start = FIRST_NIGHT_MJD + int(rng.integers(0, 300)) + float(rng.uniform(0.15, 0.45))
    duration_s = EXPOSURES * EXPOSURE_S[tile.band] + (EXPOSURES - 1) * READOUT_S
    return round(start, 6), round(start + duration_s / 86_400, 6), round(float(rng.uniform(1.05, 1.6)), 3)


def _isot(mjd: float) -> str:
    """UTC date and time of an MJD, to the millisecond, as FITS writes it."""
    return (datetime(1858, 11, 17) + timedelta(days=mjd)).isoformat(timespec="milliseconds")  # noqa: DTZ001
