"""The requested shapes on the sky (ICRS, degrees): circle, polygon, range, and the fixed-size box."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Circle:
    """All points within `radius_deg` of a centre. ``0 < radius_deg <= 180``."""

    ra_deg: float
    dec_deg: float
    radius_deg: float


@dataclass(frozen=True, slots=True)
class Polygon:
    """The smaller side of a closed line of great circles; not closed explicitly, either winding."""

    vertices_deg: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Range:
    """Between two meridians and two parallels.

    ``0 <= ra_min_deg < 360``; ``ra_max_deg`` may pass 360 (a range across RA 0 has
    ``ra_max_deg = ra_min_deg + width``, width at most 360). ``-90 <= dec_min_deg <= dec_max_deg <= 90``.
    """

    ra_min_deg: float
    ra_max_deg: float
    dec_min_deg: float
    dec_max_deg: float


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height of a fixed-size box: in degrees on the sky, or in pixels (then whole numbers)."""

    width: float
    height: float
    in_pixels: bool


@dataclass(frozen=True, slots=True)
class CenteredBox:
    """A box of pixels of a fixed shape about a centre (the declared extension CENTER + SIZE)."""

    ra_deg: float
    dec_deg: float
    size: Size


Stencil = Circle | Polygon | Range | CenteredBox
