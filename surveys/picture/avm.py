"""Coordinates and origin of a picture as Astronomy Visualization Metadata 1.2, in an XMP packet.

AVM knows pixels by a gnomonic plane with one scale along each side and a rotation, so that is fitted. Its
reference pixel counts as FITS does: 1-based, the first row at the bottom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy as np

from surveys.fits.header import card
from surveys.mosaic.grid import OutputGrid
from surveys.sky.sphere import Floats, ra_dec_deg

#: A picture whose coordinates AVM gives with a larger error, in pixels, has to be resampled.
AGREEMENT_PX = 0.5
#: Scale and rotation are written where they are right to this, else the matrix.
_MATRIX_PX = 0.01
#: Points along each side of a picture where the plane is compared with the WCS.
_POINTS = 17


@dataclass(frozen=True, slots=True)
class Plane:
    """Gnomonic plane of a picture, ICRS.

    Parameters
    ----------
    ra_deg, dec_deg
        Where it touches the sky.
    crpix
        Pixel there, 1-based.
    cd
        Degrees a pixel, as in the cards CD1_1, CD1_2, CD2_1, CD2_2.
    error_px
        By how much pixels differ from the WCS at most; infinite where it has no such plane.
    """

    ra_deg: float
    dec_deg: float
    crpix: tuple[float, float]
    cd: tuple[float, float, float, float]
    error_px: float

    @property
    def is_avm(self) -> bool:
        """Whether AVM gives the coordinates to half a pixel; else the picture needs another grid."""
        return self.error_px <= AGREEMENT_PX


@dataclass(frozen=True, slots=True)
class Caption:
    """What the metadata of a picture tell beside its coordinates; "" and () are left out."""

    title: str = ""
    credit: str = ""
    facility: str = ""
    instrument: str = ""
    reference_url: str = ""
    dataset: str = ""
    recipe: str = ""
    bands: tuple[str, ...] = ()


def tan_cards(plane: Plane) -> str:
    """Cards of the WCS of a plane, 80 characters each: the grid of a picture that AVM can describe."""
    cd = zip(("CD1_1", "CD1_2", "CD2_1", "CD2_2"), plane.cd, strict=True)
    return "".join(
        (
            card("CTYPE1", "RA---TAN", "gnomonic projection"),
            card("CTYPE2", "DEC--TAN", "gnomonic projection"),
            card("CRPIX1", plane.crpix[0], "reference pixel"),
            card("CRPIX2", plane.crpix[1], "reference pixel"),
            card("CRVAL1", plane.ra_deg, "[deg] right ascension of the reference pixel"),
            card("CRVAL2", plane.dec_deg, "[deg] declination of the reference pixel"),
            *(card(key, value) for key, value in cd),
            card("CUNIT1", "deg"),
            card("CUNIT2", "deg"),
            card("RADESYS", "ICRS", "celestial frame"),
        )
    )


def fit_plane(place: OutputGrid) -> Plane:
    """Gnomonic plane that the WCS of a picture is, or is most like over its pixels."""
    tan = place.wcs.tan
    if tan is not None:
        # It keeps its point of contact, which may lie far outside the picture.
        ra, dec = (float(value) for value in ra_dec_deg(np.array(tan.tangent)))
        turn = np.array([tan.first, tan.second]) @ np.array(_axes(ra, dec)).T
        matrix = np.reshape(tan.matrix, (2, 2)) @ turn * math.radians(1.0)
        return Plane(ra, dec, (tan.x0 - place.x0 + 1.0, tan.y0 - place.y0 + 1.0), _cd(matrix), 0.0)
    x, y = (
        grid.ravel()
        for grid in np.meshgrid(
            np.linspace(-0.5, place.width - 0.5, _POINTS), np.linspace(-0.5, place.height - 0.5, _POINTS)
        )
    )
    sky, touch = place.to_sky(x, y), place.to_sky((place.width - 1) / 2, (place.height - 1) / 2)
    depth = sky @ touch
    if not np.isfinite(depth).all() or depth.min() <= 0.0:
        return Plane(0.0, 0.0, (0.0, 0.0), (1.0, 0.0, 0.0, 1.0), math.inf)
    ra, dec = (float(value) for value in ra_dec_deg(touch))
    plane = np.degrees(sky @ np.array(_axes(ra, dec)).T / depth[:, None])
    pixels = np.column_stack([x, y])
    solved = np.linalg.lstsq(np.column_stack([np.ones(len(plane)), plane]), pixels, rcond=None)[0]
    error = float(np.hypot(*(solved[0] + plane @ solved[1:] - pixels).T).max())
    return Plane(ra, dec, (float(solved[0, 0]) + 1.0, float(solved[0, 1]) + 1.0), _cd(solved[1:].T), error)


def _cd(matrix: Floats) -> tuple[float, float, float, float]:
    """CD of the matrix that leads from degrees to pixels."""
    a, b, c, d = (float(value) for value in np.linalg.inv(matrix).ravel())
    return a, b, c, d


def _axes(ra_deg: float, dec_deg: float) -> tuple[Floats, Floats]:
    ra, dec = math.radians(ra_deg), math.radians(dec_deg)
    east = np.array([-math.sin(ra), math.cos(ra), 0.0])
    north = np.array([-math.sin(dec) * math.cos(ra), -math.sin(dec) * math.sin(ra), math.cos(dec)])
    return east, north


def scale_and_rotation(plane: Plane, nx: int, ny: int) -> tuple[float, float, float] | None:
    """CDELT1, CDELT2 and CROTA2 of a plane, degrees; None where it is mirrored or skew."""
    a, b, c, d = plane.cd
    if a * d - b * c >= 0:
        return None  # east to the right: AVM's scales have fixed signs
    along, across = -math.hypot(a, c), math.hypot(b, d)
    turn = math.atan2(-b - c, d - a)
    rebuilt = np.array(
        [
            [along * math.cos(turn), -across * math.sin(turn)],
            [along * math.sin(turn), across * math.cos(turn)],
        ]
    )
    corners = np.array(
        [[px - plane.crpix[0], py - plane.crpix[1]] for px in (0.5, nx + 0.5) for py in (0.5, ny + 0.5)]
    )
    moved = corners @ (rebuilt - np.array([[a, b], [c, d]])).T
    if np.hypot(*moved.T).max() > _MATRIX_PX * min(-along, across):
        return None
    return along, across, math.degrees(turn)


def describe(caption: Caption, plane: Plane | None, nx: int, ny: int) -> bytes:
    """Write the XMP packet of a picture.

    Parameters
    ----------
    caption
        What it is.
    plane
        Its coordinates; they are left out where they would be wrong by more than `AGREEMENT_PX`.
    nx, ny
        Its pixels.
    """
    lines: list[str] = []
    for name, value in (("dc:title", caption.title), ("dc:description", caption.recipe)):
        if value:
            lines.append(_list(name, "Alt", [value], ' xml:lang="x-default"'))
    for name, value in (
        ("photoshop:Credit", caption.credit),
        ("avm:ReferenceURL", caption.reference_url),
    ):
        if value:
            lines.append(f"<{name}>{escape(value)}</{name}>")
    lines.append("<avm:Type>Observation</avm:Type><avm:MetadataVersion>1.2</avm:MetadataVersion>")
    lines += _observation(caption)
    if plane is not None and plane.is_avm:
        lines += _spatial(plane, nx, ny)
    body = "\n".join(lines)
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" \
xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" \
xmlns:avm="http://www.communicatingastronomy.org/avm/1.0/">
{body}
</rdf:Description>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>""".encode()


def _observation(caption: Caption) -> list[str]:
    """Facility, instrument, band and colour, one of each for each band."""
    if not caption.bands:
        return []
    count = len(caption.bands)
    colours = ["Red", "Green", "Blue"] if count == 3 else ["Grayscale"]
    lists = [
        ("avm:Facility", [caption.facility] * count if caption.facility else []),
        ("avm:Instrument", [caption.instrument] * count if caption.instrument else []),
        ("avm:Spectral.Bandpass", list(caption.bands)),
        ("avm:Spectral.ColorAssignment", colours),
        ("avm:DatasetID", [caption.dataset] * count if caption.dataset else []),
    ]
    return [_list(name, "Seq", values) for name, values in lists if values]


def _spatial(plane: Plane, nx: int, ny: int) -> list[str]:
    texts = [
        ("CoordinateFrame", "ICRS"),
        ("Equinox", "2000.0"),
        ("CoordsystemProjection", "TAN"),
        ("Quality", "Full"),
    ]
    numbers: list[tuple[str, Sequence[float]]] = [
        ("ReferenceValue", (plane.ra_deg, plane.dec_deg)),
        ("ReferenceDimension", (nx, ny)),
        ("ReferencePixel", plane.crpix),
    ]
    turned = scale_and_rotation(plane, nx, ny)
    if turned is None:
        numbers.append(("CDMatrix", plane.cd))
    else:
        texts.append(("Rotation", f"{turned[2]:.12g}"))
        numbers.append(("Scale", turned[:2]))
    return [
        *(f"<avm:Spatial.{name}>{text}</avm:Spatial.{name}>" for name, text in texts),
        *(_list(f"avm:Spatial.{name}", "Seq", [f"{v:.14g}" for v in values]) for name, values in numbers),
    ]


def _list(name: str, kind: str, values: Sequence[str], attributes: str = "") -> str:
    items = "".join(f"<rdf:li{attributes}>{escape(value)}</rdf:li>" for value in values)
    return f"<{name}><rdf:{kind}>{items}</rdf:{kind}></{name}>"
