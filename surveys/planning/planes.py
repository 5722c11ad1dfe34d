"""Planes of pixels that an output may lie on: that of an image, extended, or one made for the request."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from surveys.errors import ImageRefused, RequestFault
from surveys.fits.header import card
from surveys.fits.naming import centre_deg
from surveys.image import ImageRecord
from surveys.plan import Grid
from surveys.sky.overlap import box_within, centered_box, full_box
from surveys.sky.pixels import PixelBox
from surveys.sky.sphere import ra_dec_deg
from surveys.sky.stencil import CenteredBox, Circle, Stencil
from surveys.sky.wcs import CelestialWcs, wcs_of

# A plane in its own words must agree with the image's to this, in pixels.
AGREEMENT_PX = 1e-5
# A grid that is extended must lead to the sky and back within this, in pixels.
ROUND_TRIP_PX = 1e-3
# A region that takes so many times its width on a plane lies across an edge of the map.
SEAM = 8.0
# Digits and bisections of the largest radius that is allowed.
_BISECTIONS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """Pixels without limits.

    Parameters
    ----------
    wcs
        Its coordinates.
    scale_deg
        Nominal pixel scale.
    text
        Cards of its WCS where it is none of an image; "" for that of `name`.
    name
        The image whose pixels these are, or "".
    """

    wcs: CelestialWcs
    scale_deg: float
    text: str = ""
    name: str = ""

    @classmethod
    def of(cls, record: ImageRecord) -> Plane:
        """Plane of an image."""
        return cls(wcs_of(record), record.pixel_scale_deg, "", record.dataset)

    @classmethod
    def gnomonic(cls, ra_deg: float, dec_deg: float, scale_deg: float) -> Plane:
        """TAN, north up and east left; pixel 0, 0 is at the centre."""
        return cls.from_text(tan_text(ra_deg, dec_deg, scale_deg), scale_deg)

    @classmethod
    def from_text(cls, text: str, scale_deg: float, nx: int = 1, ny: int = 1) -> Plane:
        """Plane of a WCS of two axes; some of its first `nx` by `ny` pixels are on the sky."""
        return cls(_wcs_of_text(text, nx, ny), scale_deg, text)

    def box_of(self, stencil: Stencil) -> PixelBox | None:
        """All pixels of a stencil; None where it has no place on the plane."""
        if isinstance(stencil, CenteredBox):
            return centered_box(stencil, self.wcs, self.scale_deg)
        return full_box(stencil, self.wcs)

    def box_in(self, stencil: Stencil, frame: PixelBox) -> PixelBox | None:
        """Pixels of a stencil inside a frame; None where there are none."""
        if not isinstance(stencil, CenteredBox):
            return box_within(stencil, self.wcs, frame)
        box = self.box_of(stencil)
        return None if box is None else common(box, frame)

    def grid(self, box: PixelBox) -> Grid:
        """Return the grid of a box of these pixels."""
        if not self.text:
            return Grid(box)
        return Grid(PixelBox(0, box.width, 0, box.height), zoomed(self.text, box.x0, box.y0, 1.0))

    def in_own_words(self, record: ImageRecord) -> Plane:
        """Return the same plane with the cards of its WCS, `record` being its image."""
        if self.text:
            return self
        made = Plane.from_text(text_of(record), self.scale_deg, record.nx, record.ny)
        x, y = (
            axis.ravel()
            for axis in np.meshgrid(*(np.linspace(0, n - 1.0, 4) for n in (record.nx, record.ny)))
        )
        there = made.wcs.to_pixel(self.wcs.to_sky(x, y))
        astray = np.hypot(there[0] - x, there[1] - y)
        if not np.any(astray < AGREEMENT_PX) or np.any(astray > AGREEMENT_PX):
            raise RequestFault(
                f"the pixel grid of {record.dataset} cannot be resized: ask for GRID=tan or ORIENT=north"
            )
        return made

    def prove(self, box: PixelBox, width_deg: float) -> None:
        """Check that a box of pixels lies on one part of the sky, and leads back from it.

        Parameters
        ----------
        width_deg
            Largest extent of what it was made for.

        Raises
        ------
        RequestFault
            If it does not.
        """
        lattice = np.meshgrid(np.linspace(box.x0, box.x1 - 1.0, 7), np.linspace(box.y0, box.y1 - 1.0, 7))
        x, y = (axis.ravel() for axis in lattice)
        back_x, back_y = self.wcs.to_pixel(self.wcs.to_sky(x, y))
        astray = np.hypot(back_x - x, back_y - y)
        seam = max(box.width, box.height) * self.scale_deg > SEAM * (width_deg + 2.0 * self.scale_deg)
        if seam or not np.all(astray < ROUND_TRIP_PX):
            raise self.too_small()

    def too_small(self) -> RequestFault:
        """Tell that a region does not fit."""
        if self.name:
            return RequestFault(
                f"the pixel grid of {self.name} cannot be extended over the region: ask for GRID=tan, "
                "or for a smaller region"
            )
        return RequestFault("the region is too large for one gnomonic plane: ask for a smaller one")

    def nearest_allowed(self, stencil: Stencil | None, box: PixelBox, allowed: int) -> str:
        """Tell how to ask for the largest part of a box that is allowed."""
        shrink = math.sqrt(allowed / box.pixels)
        width = max(1, min(int(box.width * shrink), allowed))
        height = max(1, min(int(box.height * shrink), allowed // width))
        if isinstance(stencil, CenteredBox):
            return f"ask for SIZE={width}px {height}px at most"
        if isinstance(stencil, Circle) and (radius := self._radius(stencil, shrink, allowed)):
            return f"ask for a radius of at most {radius} deg"
        return f"ask for a part of it, of at most {width} x {height} px"

    def _radius(self, circle: Circle, shrink: float, allowed: int) -> str | None:
        radius = circle.radius_deg * shrink
        for _ in range(_BISECTIONS):
            step = 10.0 ** (math.floor(math.log10(radius)) - 2)
            shown = f"{math.floor(radius / step) * step:.3g}"
            box = full_box(Circle(circle.ra_deg, circle.dec_deg, float(shown)), self.wcs)
            if box is not None and box.pixels <= allowed:
                return shown
            radius *= 0.97
        return None


def common(one: PixelBox, other: PixelBox) -> PixelBox | None:
    """Pixels of both boxes; None where there are none."""
    x0, x1 = max(one.x0, other.x0), min(one.x1, other.x1)
    y0, y1 = max(one.y0, other.y0), min(one.y1, other.y1)
    return PixelBox(x0, x1, y0, y1) if x0 < x1 and y0 < y1 else None


def centre_of(stencil: Stencil | None, record: ImageRecord) -> tuple[float, float]:
    """RA and Dec of the middle of a region, or of an image where there is none."""
    if stencil is not None:
        return centre_deg(stencil)
    vector = wcs_of(record).to_sky((record.nx - 1) / 2.0, (record.ny - 1) / 2.0)
    if not np.isfinite(vector).all():
        raise RequestFault(f"the middle of {record.dataset} is not on the sky: give a region of it")
    ra, dec = ra_dec_deg(vector)
    return float(ra), float(dec)


def tan_text(ra_deg: float, dec_deg: float, scale_deg: float) -> str:
    """Cards of a gnomonic plane, north up and east left, whose first pixel is at a place (ICRS)."""
    return "".join(
        (
            card("CTYPE1", "RA---TAN", "gnomonic projection"),
            card("CTYPE2", "DEC--TAN", "gnomonic projection"),
            card("CRPIX1", 1.0, "reference pixel"),
            card("CRPIX2", 1.0, "reference pixel"),
            card("CRVAL1", float(ra_deg), "[deg] right ascension of the reference pixel"),
            card("CRVAL2", float(dec_deg), "[deg] declination of the reference pixel"),
            card("CD1_1", -scale_deg, "[deg] along x"),
            card("CD1_2", 0.0),
            card("CD2_1", 0.0),
            card("CD2_2", scale_deg, "[deg] along y"),
            card("CUNIT1", "deg"),
            card("CUNIT2", "deg"),
            card("RADESYS", "ICRS", "celestial frame"),
        )
    )


def text_of(record: ImageRecord) -> str:
    """Cards of the celestial WCS of an image, as of one of two axes."""
    return _text_of(record.wcs_text, record.x_axis, record.y_axis)


@lru_cache(maxsize=256)
def _text_of(wcs_text: str, x_axis: int, y_axis: int) -> str:
    wcs = WCS(fits.Header.fromstring(wcs_text), naxis=[x_axis + 1, y_axis + 1], fix=False)
    return _cards_of(wcs.to_header(relax=True))


def _cards_of(header: fits.Header) -> str:
    cards = [item for item in header.cards if item.keyword not in ("WCSAXES", "", "COMMENT", "HISTORY")]
    # Of distortions astropy gives numpy's numbers.
    values = [float(item.value) if isinstance(item.value, np.floating) else item.value for item in cards]
    return "".join(card(item.keyword, value, item.comment) for item, value in zip(cards, values, strict=True))


@lru_cache(maxsize=256)
def _wcs_of_text(text: str, nx: int, ny: int) -> CelestialWcs:
    try:
        return CelestialWcs.from_text(text, 0, 1, nx, ny)
    except ImageRefused as refusal:
        raise RequestFault(f"the grid asked for has no place on the sky: {refusal}") from refusal


def zoomed(text: str, left: float, bottom: float, zoom: float) -> str:
    """Cards of a part of a plane, its pixels made `zoom` times smaller.

    Parameters
    ----------
    text
        Cards of the plane's WCS, of two axes.
    left, bottom
        Edge of the part, in pixels of the plane from the outer edge of its pixel 0, 0.
    zoom
        Pixels of the part per pixel of the plane, along both axes.
    """
    header = fits.Header.fromstring(text)
    for axis, edge in ((1, left), (2, bottom)):
        header[f"CRPIX{axis}"] = (float(header.get(f"CRPIX{axis}", 0.0)) - 0.5 - edge) * zoom + 0.5
    if zoom != 1.0:
        _rescale(header, zoom)
    return _cards_of(header)


def _rescale(header: fits.Header, zoom: float) -> None:
    if any(key.startswith("CD") and "_" in key for key in header):
        for key in ("CD1_1", "CD1_2", "CD2_1", "CD2_2"):
            header[key] = float(header.get(key, 0.0)) / zoom
    else:
        for axis in (1, 2):
            header[f"CDELT{axis}"] = float(header.get(f"CDELT{axis}", 1.0)) / zoom
    for key in list(header):
        # Polynomials of pixel coordinates: SIP convention, A_p_q u^p v^q.
        letters, _, powers = key.partition("_")
        if letters in ("A", "B", "AP", "BP") and powers.replace("_", "").isdigit():
            p, q = (int(power) for power in powers.split("_"))
            header[key] = float(header[key]) * zoom ** (1 - p - q)
