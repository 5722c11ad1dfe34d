"""Pixels to sky and back, for any celestial WCS; wcslib does the mathematics, frames become ICRS."""

from __future__ import annotations

import re
import threading
import warnings
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS, NoConvergence, Sip
from numpy.typing import ArrayLike

from surveys.errors import ImageRefused
from surveys.image import ImageRecord
from surveys.sky.frames import SkyFrame, frame_of
from surveys.sky.sphere import Floats, ra_dec_deg, separation_deg, unit_vectors
from surveys.sky.tan import TanProjection

# The closed form must agree with wcslib to this, in pixels, or it is not used.
TAN_AGREEMENT_PX = 1e-6
# A WCS whose inverse misses by more than this at every test point is of no use.
ROUND_TRIP_PX = 0.01

_TABLE_CARD = re.compile(r"(CPDIS|CQDIS|D2IMDIS)\d+$|AXISCORR$|D2IMARR$")


@dataclass(frozen=True, slots=True, eq=False)
class CelestialWcs:
    """World coordinates of the celestial axes of one image.

    Pixel coordinates are 0-based, pixel centres are whole numbers; `x` runs along the first celestial
    axis of the file, whichever of longitude and latitude that is. Sky positions are ICRS unit vectors.

    Parameters
    ----------
    nx, ny
        Pixels along x and y.
    frame
        Frame of the header's coordinates.
    tan
        Closed form, where the projection is plain TAN.
    """

    nx: int
    ny: int
    frame: SkyFrame
    tan: TanProjection | None
    _wcs: WCS = field(repr=False)
    # wcslib keeps scratch values in its struct: one thread at a time
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def from_text(cls, wcs_text: str, x_axis: int, y_axis: int, nx: int, ny: int) -> CelestialWcs:
        """Read the WCS of an image.

        Parameters
        ----------
        wcs_text
            Cards of its header, 80 characters each.
        x_axis, y_axis
            0-based FITS numbers of the celestial axes.
        nx, ny
            Pixels along them.

        Raises
        ------
        ImageRefused
            If pixels cannot be told from sky positions by this header alone, with the reason.
        """
        with warnings.catch_warnings():
            # astropy reports what it mends; what comes out is tested below
            warnings.simplefilter("ignore", AstropyWarning)
            wcs = _read(wcs_text, x_axis, y_axis)
            frame = frame_of(wcs)
        tan = None
        if frame.rotation is not None and not wcs.has_distortion:
            tan = TanProjection.of(wcs.wcs, frame.rotation)
        return _proved(cls(nx, ny, frame, None, wcs), tan)

    def to_sky(self, x: ArrayLike, y: ArrayLike) -> Floats:
        """ICRS unit vectors of pixels, shape ``(..., 3)``; NaN where the projection has no sky."""
        if self.tan is not None:
            return self.tan.to_sky(x, y)
        x, y = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
        if x.size == 0:
            return np.zeros((*x.shape, 3))
        with self._lock:
            world = self._wcs.all_pix2world(np.stack([x.ravel(), y.ravel()], axis=1), 0)
        core = self._wcs.wcs
        vectors = self.frame.to_icrs(unit_vectors(world[:, core.lng], world[:, core.lat]))
        return vectors.reshape(*x.shape, 3)

    def to_pixel(self, vectors: Floats) -> tuple[Floats, Floats]:
        """Pixels of ICRS unit vectors; NaN where the projection does not reach or cannot be inverted."""
        if self.tan is not None:
            return self.tan.to_pixel(vectors)
        shape = vectors.shape[:-1]
        longitude, latitude = ra_dec_deg(self.frame.from_icrs(vectors.reshape(-1, 3)))
        world = np.empty((longitude.size, 2))
        core = self._wcs.wcs
        world[:, core.lng], world[:, core.lat] = longitude, latitude
        pixels = np.full_like(world, np.nan)
        usable = np.isfinite(world).all(axis=1)
        if usable.any():
            with self._lock:
                pixels[usable] = self._inverse(world[usable])
        return pixels[:, 0].reshape(shape), pixels[:, 1].reshape(shape)

    def to_astropy(self, x0: int, y0: int) -> WCS:
        """Return it as astropy's, of an image whose first pixel is the pixel ``(x0, y0)`` of this one."""
        with self._lock:
            moved = self._wcs.deepcopy()
        moved.wcs.crpix = moved.wcs.crpix - np.array([x0, y0], dtype=float)
        if (sip := moved.sip) is not None:
            moved.sip = Sip(sip.a, sip.b, sip.ap, sip.bp, sip.crpix - np.array([x0, y0], dtype=float))
        return moved

    def pixel_scale_deg(self, x: ArrayLike, y: ArrayLike) -> Floats:
        """Side of a square with the area on the sky of the pixel at ``(x, y)``."""
        x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        along_x = self.to_sky(x + 0.5, y) - self.to_sky(x - 0.5, y)
        along_y = self.to_sky(x, y + 0.5) - self.to_sky(x, y - 0.5)
        return np.asarray(np.degrees(np.sqrt(np.linalg.norm(np.cross(along_x, along_y), axis=-1))))

    def _inverse(self, world: Floats) -> Floats:
        pixels = np.asarray(self._wcs.wcs_world2pix(world, 0))
        if self._wcs.sip is None:
            return pixels
        reached = np.isfinite(pixels).all(axis=1)
        try:
            if reached.any():
                pixels[reached] = self._wcs.all_world2pix(world[reached], 0, tolerance=1e-8, maxiter=50)
        except NoConvergence as error:
            solved = np.array(error.best_solution)
            for lost in (error.divergent, error.slow_conv):
                if lost is not None:
                    solved[lost] = np.nan
            pixels[reached] = solved
        return pixels


# More than the largest mosaics have images: planning one looks at each several times. 8 KB each.
@lru_cache(maxsize=8192)
def _cached(
    artifact_id: int, mtime_ns: int, wcs_text: str, axes: tuple[int, int], size: tuple[int, int]
) -> CelestialWcs:
    return CelestialWcs.from_text(wcs_text, *axes, *size)


def wcs_of(record: ImageRecord) -> CelestialWcs:
    """WCS of an indexed image, kept from request to request."""
    axes, size = (record.x_axis, record.y_axis), (record.nx, record.ny)
    return _cached(record.artifact_id, record.file.mtime_ns, record.wcs_text, axes, size)


def _read(wcs_text: str, x_axis: int, y_axis: int) -> WCS:
    header = fits.Header.fromstring(wcs_text)
    for key in header:
        if _TABLE_CARD.match(key):
            raise ImageRefused(f"its WCS is distorted by a look-up table ({key}), which cannot be cut")
    if "A_ORDER" in header and (x_axis, y_axis) != (0, 1):
        raise ImageRefused("its SIP distortion is not on the first two axes")
    for axis in (x_axis + 1, y_axis + 1):
        if str(header.get(f"CTYPE{axis}", "")).endswith("-TAB"):
            raise ImageRefused(f"its celestial axis {axis} is a look-up table (-TAB)")
    _drop_tables(header)
    try:
        wcs = WCS(header, naxis=[x_axis + 1, y_axis + 1])
    except (ValueError, KeyError, TypeError, AttributeError, MemoryError) as error:
        raise ImageRefused(f"its WCS is not valid: {_reason(error)}") from error
    if wcs.wcs.lng < 0 or wcs.wcs.lat < 0:
        raise ImageRefused("it has no celestial WCS")
    return wcs


def _drop_tables(header: fits.Header) -> None:
    """Make axes given by a table (they are not celestial here) linear: astropy would ask for the file."""
    for key in [key for key in header if re.fullmatch(r"CTYPE\d+", key)]:
        if str(header[key]).endswith("-TAB"):
            number = key[5:]
            header[key] = ""
            for other in [name for name in header if re.fullmatch(rf"P[SV]{number}_\d+", name)]:
                del header[other]


def _reason(error: Exception) -> str:
    """Say what wcslib means, without the names of its C functions."""
    known = {
        "SingularMatrixError": "its matrix is singular",
        "NonseparableSubimageCoordinateSystemError": "its celestial axes are coupled with another axis",
        "InconsistentAxisTypesError": "its axis types do not belong together",
        "InvalidTransformError": "its projection, units or reference values are not valid",
    }
    return known.get(
        type(error).__name__, str(error).strip().splitlines()[-1] if str(error).strip() else "unreadable"
    )


def _proved(wcs: CelestialWcs, tan: TanProjection | None) -> CelestialWcs:
    """Try the WCS at points over the image; give it its closed form if that agrees with wcslib."""
    x, y = (
        grid.ravel() for grid in np.meshgrid(np.linspace(0, wcs.nx - 1, 5), np.linspace(0, wcs.ny - 1, 5))
    )
    vectors = wcs.to_sky(x, y)
    on_sky = np.isfinite(vectors).all(axis=1)
    if not on_sky.any():
        raise ImageRefused("no pixel of it lies on the sky")
    x, y, vectors = x[on_sky], y[on_sky], vectors[on_sky]
    back_x, back_y = wcs.to_pixel(vectors)
    # some points may have two pixels (the seam of a map); a WCS without any inverse is broken
    if not np.any(np.hypot(back_x - x, back_y - y) < ROUND_TRIP_PX):
        raise ImageRefused("its WCS cannot be inverted")
    if tan is not None:
        tan_x, tan_y = tan.to_pixel(vectors)
        scale = np.nanmin(wcs.pixel_scale_deg(x, y))
        apart = separation_deg(tan.to_sky(x, y), vectors)
        if np.all(np.hypot(tan_x - x, tan_y - y) < TAN_AGREEMENT_PX) and np.all(
            apart < TAN_AGREEMENT_PX * scale
        ):
            return CelestialWcs(wcs.nx, wcs.ny, wcs.frame, tan, wcs._wcs)
    return wcs
