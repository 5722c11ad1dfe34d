"""What is on the demo survey's sky: stars, galaxies, a cluster and a spiral, drawn at random but repeatably.

Counts, sizes and colours follow what deep surveys see away from the Milky Way, roughly: it is a sky to
look at and to measure on, not one to do cosmology with. Fluxes are in the order of `BANDS`.
"""

from __future__ import annotations

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from config.demo.recipe import BANDS, Group, Recipe
from surveys.simulation import Floats, Profile, Sources, make_sources

ZEROPOINT = 30.0
MARGIN_ARCSEC = 60.0
_R = BANDS.index("r")

BRIGHTEST_STAR = 11.5
FAINTEST_STAR = 24.5
FAINTEST_GALAXY = 24.8
GALAXIES_PER_ARCMIN2 = 16.0


def group_sources(recipe: Recipe, group: Group, plane: WCS) -> Sources:
    """Draw the sky of a group, on the plane at its centre; its tiles see the same, in all bands."""
    rng = recipe.rng(group.name)
    side = recipe.tile_px * recipe.pixel_scale_arcsec
    width, height = (
        side * (1 + (n - 1) * (1 - recipe.overlap)) + 2 * MARGIN_ARCSEC for n in (group.columns, group.rows)
    )
    field = field_sources(rng, width, height, group.stars_per_arcmin2)
    if group.showpiece is None:
        return field
    east, north = (float(value) for value in plane.all_world2pix(*group.showpiece, 0))
    return Sources.join(
        field,
        galaxy_cluster(rng, 0.0, 0.0),
        spiral_galaxy(rng, east, north),
        bright_star(east - 47.0, north + 30.0, r=13.2, g_r=0.9),
    )


def flux(r: Floats, g_r: Floats, r_i: Floats) -> Floats:
    """Fluxes (n, 3) from AB magnitudes in r and colours."""
    magnitudes = np.stack(np.broadcast_arrays(r + g_r, r, r - r_i), axis=-1)
    return np.power(10.0, -0.4 * (magnitudes - ZEROPOINT))


def field_sources(rng: np.random.Generator, width: float, height: float, stars_per_arcmin2: float) -> Sources:
    """Draw stars and galaxies of an ordinary field, `width` by `height` arcsec about the origin."""
    arcmin2 = width * height / 3600
    east, north = _scatter(rng, round(stars_per_arcmin2 * arcmin2), width, height)
    return Sources.join(
        _stars(rng, east, north), _galaxies(rng, *_clumpy(rng, arcmin2 * GALAXIES_PER_ARCMIN2, width, height))
    )


def _scatter(rng: np.random.Generator, n: int, width: float, height: float) -> tuple[Floats, Floats]:
    return rng.uniform(-width / 2, width / 2, n), rng.uniform(-height / 2, height / 2, n)


def _clumpy(rng: np.random.Generator, expected: float, width: float, height: float) -> tuple[Floats, Floats]:
    """Positions of galaxies: a third of them in groups of about eight within half an arcmin."""
    alone, together = round(expected * 2 / 3), round(expected / 3)
    east, north = _scatter(rng, alone, width, height)
    centre_east, centre_north = _scatter(rng, max(together // 8, 1), width, height)
    parent = rng.integers(0, len(centre_east), together)
    offset = rng.normal(0, 25.0, (2, together))
    return (
        np.concatenate([east, centre_east[parent] + offset[0]]),
        np.concatenate([north, centre_north[parent] + offset[1]]),
    )


def _magnitudes(rng: np.random.Generator, n: int, brightest: float, faintest: float, slope: float) -> Floats:
    """Magnitudes whose number rises as ``10 ** (slope * m)``."""
    span = 1 - 10 ** (slope * (brightest - faintest))
    return faintest + np.log10(1 - span * rng.uniform(size=n)) / slope


def _stars(rng: np.random.Generator, east: Floats, north: Floats) -> Sources:
    n = len(east)
    r = _magnitudes(rng, n, BRIGHTEST_STAR, FAINTEST_STAR, slope=0.16)
    # Bright ones are mostly like the Sun, faint ones mostly red dwarfs, whose r - i runs away.
    warmth = np.clip((r - 14) / 9 + rng.normal(0, 0.35, n), -0.2, 1.2)
    g_r = np.clip(0.50 + 0.70 * warmth, 0.25, 1.42) + rng.normal(0, 0.04, n)
    r_i = 0.38 * g_r - 0.02 + np.where(g_r > 1.3, rng.exponential(0.45, n), 0) + rng.normal(0, 0.03, n)
    stars = make_sources(east, north, flux(r, g_r, r_i), Profile.POINT)
    bright = r < 15
    return Sources.join(stars, _glare(stars.take(bright)))


def _glare(stars: Sources) -> Sources:
    """Halo and diffraction spikes of bright stars; their light comes on top of the stars' own."""
    halo = make_sources(stars.east, stars.north, 0.02 * stars.flux, Profile.EXPONENTIAL, 9.0)
    spikes = [
        make_sources(stars.east, stars.north, 0.006 * stars.flux, Profile.EXPONENTIAL, 14.0, 0.008, angle)
        for angle in (0.0, 90.0)
    ]
    return Sources.join(halo, *spikes)


def _galaxies(rng: np.random.Generator, east: Floats, north: Floats) -> Sources:
    n = len(east)
    r = _magnitudes(rng, n, 16.0, FAINTEST_GALAXY, slope=0.36)
    early = rng.uniform(size=n) < 0.28
    g_r = np.where(early, rng.normal(1.05, 0.15, n), rng.normal(0.55, 0.2, n))
    r_i = np.where(early, rng.normal(0.45, 0.1, n), rng.normal(0.22, 0.12, n))
    return _shaped(rng, east, north, flux(r, g_r, r_i), early)


def _shaped(
    rng: np.random.Generator, east: Floats, north: Floats, light: Floats, early: NDArray[np.bool_]
) -> Sources:
    """Galaxies of these fluxes, ellipticals where `early`; faint ones are small."""
    n = len(east)
    r = ZEROPOINT - 2.5 * np.log10(light[:, _R])
    half_light = 0.55 * 10 ** (-0.13 * (r - 22) + rng.normal(0, 0.14, n))
    ratio = np.where(early, rng.uniform(0.55, 1.0, n), rng.uniform(0.2, 1.0, n))
    profile = np.where(early, Profile.DE_VAUCOULEURS, Profile.EXPONENTIAL)
    return make_sources(east, north, light, profile, half_light, ratio, rng.uniform(0, 180, n))


def galaxy_cluster(rng: np.random.Generator, east: float, north: float, members: int = 90) -> Sources:
    """Draw a loose cluster at redshift 0.25 or so: a giant elliptical and its envelope among red galaxies."""
    distance, direction = rng.exponential(48.0, members), rng.uniform(0, 2 * np.pi, members)
    early = rng.uniform(size=members) < 0.8
    r = _magnitudes(rng, members, 17.8, 23.5, slope=0.18)
    g_r = np.where(early, 1.28 - 0.02 * (r - 18) + rng.normal(0, 0.04, members), 0.75)
    r_i = np.where(early, 0.50 + rng.normal(0, 0.03, members), 0.30)
    x, y = east + distance * np.sin(direction), north + 0.7 * distance * np.cos(direction)
    giant = np.array([east]), np.array([north])
    light = flux(np.array([16.3]), np.array([1.3]), np.array([0.52]))
    return Sources.join(
        _shaped(rng, x, y, flux(r, g_r, r_i), early),
        make_sources(*giant, light, Profile.DE_VAUCOULEURS, 4.0, 0.75, 35.0),
        make_sources(*giant, 0.7 * light, Profile.EXPONENTIAL, 14.0, 0.6, 35.0),
    )


def bright_star(east: float, north: float, r: float, g_r: float) -> Sources:
    """Draw one star with its glare."""
    light = flux(np.array([r]), np.array([g_r]), np.array([0.38 * g_r]))
    star = make_sources(np.array([east]), np.array([north]), light, Profile.POINT)
    return Sources.join(star, _glare(star))


SPIRAL_RATIO = 0.74
SPIRAL_ANGLE = 40.0
SPIRAL_ARMS_FROM = 5.5


def spiral_galaxy(rng: np.random.Generator, east: float, north: float) -> Sources:
    """Draw a large nearby spiral: yellow bulge and bar, disc, two blue arms with knots, dust inside them."""
    middle = np.array([east]), np.array([north])
    total = flux(np.array([13.3]), np.array([0.62]), np.array([0.30]))
    bulge = total * 0.10 * _tint(0.30, 0.12)
    bar = total * 0.06 * _tint(0.26, 0.10)
    return Sources.join(
        make_sources(*middle, bulge, Profile.DE_VAUCOULEURS, 2.4, 0.85, SPIRAL_ANGLE),
        make_sources(*middle, bar, Profile.GAUSS, 4.2, 0.32, SPIRAL_ANGLE),
        make_sources(*middle, total * 0.47, Profile.EXPONENTIAL, 20.0, SPIRAL_RATIO, SPIRAL_ANGLE),
        _arms(rng, east, north, total * 0.24 * _tint(-0.15, -0.05), count=400, size=3.6, spread=0.10),
        _arms(rng, east, north, total * 0.13 * _tint(-0.30, -0.12), count=700, size=1.3, spread=0.08),
        _arms(rng, east, north, total * 0.05 * _tint(-0.60, -0.10), count=220, size=0.35, spread=0.09),
        _arms(
            rng, east, north, total * -0.045 * _tint(-0.20, -0.08), 350, size=0.9, spread=0.04, inwards=0.13
        ),
    )


def _tint(g_r: float, r_i: float) -> Floats:
    """Factors per band that make light redder by these colours, and leave r as it is."""
    return np.power(10.0, -0.4 * np.array([g_r, 0.0, -r_i]))


def _arms(
    rng: np.random.Generator,
    east: float,
    north: float,
    light: Floats,
    count: int,
    size: float,
    spread: float,
    inwards: float = 0.0,
) -> Sources:
    """Patches of `light` in all along two logarithmic arms; `spread`, `inwards` in units of the radius."""
    along = rng.beta(1.1, 1.3, count)
    growth = along * np.log(8.5)
    turn = growth / np.tan(np.radians(20.0)) + np.pi * rng.integers(0, 2, count)
    radius = SPIRAL_ARMS_FROM * np.exp(growth) * (1 - inwards + rng.normal(0, spread, count))
    brightness = np.exp(-radius / (8.0 if inwards else 13.0)) * rng.lognormal(0, 0.45, count)
    # Patches of a logarithmic spiral stand farther apart outwards; the arms fade in at the bar.
    weight = brightness * radius * -np.expm1(-along / 0.04)
    # In the plane of the disc, then tilted: shortened along its minor axis and turned on the sky.
    x, y = radius * np.cos(turn), radius * np.sin(turn) * SPIRAL_RATIO
    angle = np.radians(SPIRAL_ANGLE)
    return make_sources(
        east + x * np.sin(angle) + y * np.cos(angle),
        north + x * np.cos(angle) - y * np.sin(angle),
        light * (weight / weight.sum())[:, None],
        Profile.GAUSS,
        size * (0.6 + along) * rng.lognormal(0, 0.25, count),
        0.8,
        rng.uniform(0, 180, count),
    )
