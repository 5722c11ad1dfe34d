"""A sky made of Gaussians, and tiles of it as a survey camera would have taken them.

Every source is a sum of elliptical Gaussians: the PSF is one, and the exponential and de Vaucouleurs laws
are approximated by a few concentric ones. Convolution then only adds covariances, so a source has the
same flux and centre on every tile that holds it, at any sub-pixel position and any rotation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Image = NDArray[np.float32]


class Profile(IntEnum):
    """How the light of a source falls off; a number, so that arrays can hold it."""

    POINT = 0
    GAUSS = 1
    EXPONENTIAL = 2
    DE_VAUCOULEURS = 3


# Shares of the light and variances, in units of the half-light radius squared: least-squares fits to each
# law. A Gaussian holds half its light within 1.1774 standard deviations.
_MIXTURES: dict[Profile, tuple[tuple[float, ...], tuple[float, ...]]] = {
    Profile.POINT: ((1.0,), (0.0,)),
    Profile.GAUSS: ((1.0,), (0.72135,)),
    Profile.EXPONENTIAL: ((0.0520, 0.3127, 0.4903, 0.1450), (0.05491, 0.32465, 1.09497, 2.90311)),
    Profile.DE_VAUCOULEURS: (
        (0.0143, 0.0600, 0.1444, 0.2353, 0.2763, 0.2697),
        (0.00037, 0.00490, 0.03783, 0.22577, 1.18553, 6.94092),
    ),
}
# A Moffat law of beta = 3 whose full width at half maximum is 1.
_PSF_SHARES = np.array([0.519, 0.425, 0.056])
_PSF_VARIANCES = np.array([0.16219, 0.54382, 2.45585])

_TERMS = max(len(shares) for shares, _ in _MIXTURES.values())
_SHARES = np.array([np.pad(s, (0, _TERMS - len(s))) for s, _ in _MIXTURES.values()])
_VARIANCES = np.array([np.pad(v, (0, _TERMS - len(v))) for _, v in _MIXTURES.values()])


@dataclass(frozen=True, slots=True)
class Sources:
    """Sources on a plane that touches the sky at one point; arrays of one length `n`.

    Parameters
    ----------
    east, north
        Position on the plane, arcsec.
    flux
        Shape (n, bands); negative where something absorbs light.
    profile
        Values of `Profile`.
    half_light
        Radius that holds half the light, along the major axis, arcsec.
    axis_ratio
        Minor over major axis.
    angle_deg
        Of the major axis, from north to east, on the plane.
    """

    east: Floats
    north: Floats
    flux: Floats
    profile: NDArray[np.int64]
    half_light: Floats
    axis_ratio: Floats
    angle_deg: Floats

    def __len__(self) -> int:
        return len(self.east)

    @classmethod
    def join(cls, *parts: Sources) -> Sources:
        """Put all sources of `parts` together, in their order."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))

    def take(self, chosen: NDArray[np.bool_]) -> Sources:
        """Keep the sources for which `chosen` is true."""
        return Sources(*(getattr(self, name)[chosen] for name in self.__slots__))


def make_sources(
    east: Floats,
    north: Floats,
    flux: Floats,
    profile: Profile | NDArray[np.int64],
    half_light: Floats | float = 0.0,
    axis_ratio: Floats | float = 1.0,
    angle_deg: Floats | float = 0.0,
) -> Sources:
    """Make sources at `east`, `north`; single values of the other columns hold for all of them."""
    n = len(east)
    shape, size, ratio, angle = (
        np.broadcast_to(value, n) for value in (profile, half_light, axis_ratio, angle_deg)
    )
    return Sources(east, north, np.broadcast_to(flux, (n, flux.shape[-1])), shape, size, ratio, angle)


def tangent_plane(ra_deg: float, dec_deg: float) -> WCS:
    """Plane that touches the sky at a point: its 0-based "pixels" are arcsec to the east and the north."""
    plane = WCS(naxis=2)
    plane.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    plane.wcs.crval = [ra_deg, dec_deg]
    plane.wcs.crpix = [1.0, 1.0]
    plane.wcs.cdelt = [1 / 3600, 1 / 3600]
    plane.wcs.set()
    return plane


def render(
    sources: Sources,
    band: int,
    plane: WCS,
    tile: WCS,
    shape: tuple[int, int],
    fwhm_px: float,
    faintest: float,
) -> Image:
    """Noiseless image of `sources` in one band.

    Parameters
    ----------
    sources
        Positions on `plane`.
    band
        Column of `sources.flux`.
    plane, tile
        WCS of the sources' plane and of the image; the tile's pixels are taken to be square.
    shape
        Of the image, (ny, nx).
    fwhm_px
        Full width at half maximum of the PSF, pixels.
    faintest
        Flux per pixel below which a Gaussian is no longer drawn.

    Returns
    -------
    Image
        Flux per pixel, float32.
    """
    x, y, jacobian = _place(sources, plane, tile)
    amplitude, covariance = _gaussians(sources, band, jacobian, fwhm_px)
    reach = _reach(amplitude, covariance, faintest)
    farthest = reach.max(axis=1)
    ny, nx = shape
    seen = (farthest > 0) & (x > -farthest) & (x < nx + farthest) & (y > -farthest) & (y < ny + farthest)
    image = np.zeros(shape, dtype=np.float32)
    precision = np.linalg.inv(covariance)
    for i in np.flatnonzero(seen):
        drawn = reach[i] > 0
        _add(image, x[i], y[i], farthest[i], amplitude[i][drawn], precision[i][drawn])
    return image


def _place(sources: Sources, plane: WCS, tile: WCS) -> tuple[Floats, Floats, Floats]:
    """0-based pixel positions, and (n, 2, 2) pixels per arcsec: how the plane lies on the tile there."""

    def to_tile(east: Floats, north: Floats) -> Floats:
        ra, dec = plane.all_pix2world(east, north, 0)
        return np.stack(tile.all_world2pix(ra, dec, 0))

    here = to_tile(sources.east, sources.north)
    eastward = to_tile(sources.east + 1, sources.north) - here
    northward = to_tile(sources.east, sources.north + 1) - here
    return here[0], here[1], np.stack([eastward, northward], axis=-1).transpose(1, 0, 2)


def _gaussians(sources: Sources, band: int, jacobian: Floats, fwhm_px: float) -> tuple[Floats, Floats]:
    """Peaks (n, k) and covariances (n, k, 2, 2), in pixels, of the Gaussians that make up each source."""
    angle = np.radians(sources.angle_deg)
    major = np.stack([np.sin(angle), np.cos(angle)], axis=-1) * sources.half_light[:, None]
    minor = np.stack([np.cos(angle), -np.sin(angle)], axis=-1)
    minor *= (sources.half_light * sources.axis_ratio)[:, None]
    axes = jacobian @ np.stack([major, minor], axis=-1)
    ellipse = axes @ axes.transpose(0, 2, 1)

    light = _SHARES[sources.profile][:, :, None] * _PSF_SHARES
    spread = _VARIANCES[sources.profile][:, :, None, None, None] * ellipse[:, None, None]
    seeing = (_PSF_VARIANCES * fwhm_px**2)[:, None, None] * np.eye(2)
    n = len(sources)
    covariance = (spread + seeing).reshape(n, -1, 2, 2)
    peak = light.reshape(n, -1) * sources.flux[:, band, None]
    return peak / (2 * np.pi * np.sqrt(np.linalg.det(covariance))), covariance


def _reach(amplitude: Floats, covariance: Floats, faintest: float) -> Floats:
    """Distance in pixels within which each Gaussian is brighter than `faintest`; 0 if nowhere."""
    a, b, c = covariance[..., 0, 0], covariance[..., 0, 1], covariance[..., 1, 1]
    longest = (a + c) / 2 + np.hypot((a - c) / 2, b)
    contrast = np.maximum(np.abs(amplitude) / faintest, 1.0)
    return np.sqrt(2 * longest * np.log(contrast))


def _add(image: Image, x: float, y: float, reach: float, amplitude: Floats, precision: Floats) -> None:
    """Add concentric Gaussians at a point to `image`, as far as they reach."""
    ny, nx = image.shape
    x0, x1 = max(int(np.ceil(x - reach)), 0), min(int(np.floor(x + reach)) + 1, nx)
    y0, y1 = max(int(np.ceil(y - reach)), 0), min(int(np.floor(y + reach)) + 1, ny)
    if x0 >= x1 or y0 >= y1:
        return
    dx = (np.arange(x0, x1) - x).astype(np.float32)[None, None, :]
    dy = (np.arange(y0, y1) - y).astype(np.float32)[None, :, None]
    p = precision.astype(np.float32)[:, :, :, None, None]
    # The exponent splits into a row, a column and one product: the only full-size work before exp.
    power = (p[:, 0, 1] * dy) * dx
    power += p[:, 0, 0] * (dx * dx) / 2
    power += p[:, 1, 1] * (dy * dy) / 2
    np.exp(np.negative(power, out=power), out=power)
    power *= amplitude.astype(np.float32)[:, None, None]
    image[y0:y1, x0:x1] += power.sum(axis=0)


def add_noise(model: Image, sky_sigma: Image | float, gain: float, rng: np.random.Generator) -> Image:
    """`model` with the noise of the subtracted sky and the photon noise of its sources.

    Parameters
    ----------
    model
        Noiseless image.
    sky_sigma
        Standard deviation of the sky, flux per pixel; a number or an image.
    gain
        Electrons per unit of flux.
    rng
        Drawn from once per pixel.
    """
    sigma = np.sqrt(np.square(sky_sigma) + np.maximum(model, 0) / np.float32(gain), dtype=np.float32)
    noise = rng.standard_normal(model.shape, dtype=np.float32)
    noise *= sigma
    noise += model
    return noise
