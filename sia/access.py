"""How each row can be had: by its links, or as the pixels at once (section 3.1.3)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from sia.obscore import Access, size_kb
from surveys.alert import AlertRecord
from surveys.identifiers import Identifiers
from surveys.index.obscore import ObsBand, ObsImage
from surveys.sky.stencil import Shape

#: To the letter: clients compare it so.
LINKS_TYPE = "application/x-votable+xml;content=datalink"
#: What a cutout is called, the usual name first.
FITS_TYPES = ("application/fits", "image/fits")

_LARGEST_PIXEL_BYTES = 8


@dataclass(frozen=True, slots=True)
class SyncLimits:
    """The largest cutout that SODA sync gives."""

    max_pixels: int
    max_bytes: int

    def allow(self, pixels: float, pixel_bytes: int) -> bool:
        """Whether so many pixels may be asked for."""
        return pixels <= self.max_pixels and pixels * pixel_bytes <= self.max_bytes


@dataclass(frozen=True, slots=True)
class Position:
    """The one POS of a query, as the client wrote it."""

    text: str
    shape: Shape


class Ways:
    """The ways to get a row, for one response.

    Parameters
    ----------
    base_url
        Public URL of the service.
    identifiers
        Publisher DIDs of this service.
    limits
        Of SODA sync: what that refuses has its links only.
    position
        Where a survey band is cut at once; None where there is no one place.
    formats
        Media types that are asked for; empty for any.

    Notes
    -----
    FORMAT is held against `access_format` (section 2.1.17). A row that can be had in several ways comes in
    the first of them that is asked for, and not at all where none is.
    """

    def __init__(
        self,
        base_url: str,
        identifiers: Identifiers,
        limits: SyncLimits,
        position: Position | None,
        formats: Sequence[str],
    ) -> None:
        self._links = f"{base_url}/links?ID={quote(identifiers.did(''), safe='')}"
        self._sync = f"{base_url}/sync?ID={quote(identifiers.did(''), safe='')}"
        self._limits = limits
        self._position = position
        self._formats = formats

    def to_image(self, image: ObsImage) -> Access | None:
        """Links, or the whole image if that is asked for."""
        if not self._formats:
            return self._by_links(image.dataset, size_kb(image))
        return self._chosen(self._to_image(image))

    def to_alert(self, alert: AlertRecord) -> Access | None:
        """Links, or its stamps in one file if that is asked for."""
        return self._chosen(self._to_alert(alert))

    def to_band(self, found: ObsBand) -> Access | None:
        """Cut at the one position at once, links where there is none."""
        return self._chosen(self._to_band(found))

    def _chosen(self, ways: Iterator[Access]) -> Access | None:
        return next((way for way in ways if not self._formats or way.media_type in self._formats), None)

    def _to_image(self, image: ObsImage) -> Iterator[Access]:
        yield self._by_links(image.dataset, size_kb(image))
        if self._limits.allow(math.prod(image.shape), abs(image.bitpix) // 8):
            yield from self._directly(image.dataset, "", size_kb(image))

    def _to_alert(self, alert: AlertRecord) -> Iterator[Access]:
        yield self._by_links(alert.dataset, None)
        yield from self._directly(alert.dataset, "", None)

    def _to_band(self, found: ObsBand) -> Iterator[Access]:
        if self._position is not None and self._may_cut(self._position.shape, found):
            yield from self._directly(found.dataset, f"&POS={quote(self._position.text, safe='')}", None)
        yield self._by_links(found.dataset, None)

    def _may_cut(self, shape: Shape, found: ObsBand) -> bool:
        """Whether the square about a shape is within the limits, whatever the type of its pixels."""
        scale_deg, radius_deg = found.survey.pixel_scale_deg, shape.bounding_circle().radius_deg
        if scale_deg is None or radius_deg == 0.0:
            return False
        return self._limits.allow((2.0 * radius_deg / scale_deg + 2.0) ** 2, _LARGEST_PIXEL_BYTES)

    def _by_links(self, dataset: str, size: int | None) -> Access:
        return Access(self._links + quote(dataset, safe=""), LINKS_TYPE, size)

    def _directly(self, dataset: str, position: str, size: int | None) -> Iterator[Access]:
        url = f"{self._sync}{quote(dataset, safe='')}{position}"
        usual, *others = FITS_TYPES
        yield Access(url, usual, size)
        for media_type in others:
            yield Access(f"{url}&RESPONSEFORMAT={quote(media_type, safe='')}", media_type, size)
