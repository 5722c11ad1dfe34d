"""What the ledger tells of a cutout beside its file: the names are those of the ledger's columns.

Places are worked out for many targets of one image at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import ArrayLike

from surveys.errors import ImageRefused
from surveys.execute import CutoutFacts
from surveys.image import ImageRecord
from surveys.index.catalog import Catalog
from surveys.plan import CutoutPlan
from surveys.sky.sphere import Floats, ra_dec_deg, unit_vectors
from surveys.sky.wcs import CelestialWcs, wcs_of

Facts = dict[str, Any]

#: Digits that are told: positions to a microarcsecond, pixels to a ten thousandth.
_DEGREES, _PIXELS, _SCALE, _ANGLE, _SHARE = 10, 4, 7, 5, 6


def places(
    wcs: CelestialWcs,
    boxes: Sequence[tuple[int, int, int, int]],
    ra_deg: ArrayLike,
    dec_deg: ArrayLike,
) -> list[Facts]:
    """Tell where targets lie in their cutouts, and where these lie on the sky.

    Parameters
    ----------
    wcs
        Of the plane of pixels that the cutouts are of.
    boxes
        ``(x0, x1, y0, y1)`` of each cutout on it, half-open.
    ra_deg, dec_deg
        The targets, ICRS.

    Returns
    -------
    list
        Of each: ``naxis1, naxis2, centre_ra, centre_dec, x_target, y_target`` (1-based, as FITS counts),
        ``pixel_scale`` (arcsec) and ``orientation`` (position angle of the y axis, degrees from north through
        east) at the target; what cannot be told is left out.
    """
    x0, x1, y0, y1 = np.asarray(boxes, float).reshape(-1, 4).T
    vectors = unit_vectors(np.asarray(ra_deg, float), np.asarray(dec_deg, float)).reshape(-1, 3)
    x, y = wcs.to_pixel(vectors)
    centre_ra, centre_dec = ra_dec_deg(wcs.to_sky((x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2))
    columns: dict[str, Floats] = {
        "centre_ra": np.round(centre_ra, _DEGREES),
        "centre_dec": np.round(centre_dec, _DEGREES),
        "x_target": np.round(x - x0 + 1.0, _PIXELS),
        "y_target": np.round(y - y0 + 1.0, _PIXELS),
        "pixel_scale": np.round(3600.0 * wcs.pixel_scale_deg(x, y), _SCALE),
        "orientation": np.round(_orientation_deg(wcs, x, y, vectors), _ANGLE),
    }
    found = [{"naxis1": int(b[1] - b[0]), "naxis2": int(b[3] - b[2])} for b in boxes]
    for name, values in columns.items():
        for facts, value in zip(found, values.tolist(), strict=True):
            if math.isfinite(value):
                facts[name] = value
    return found


def _orientation_deg(wcs: CelestialWcs, x: Floats, y: Floats, at: Floats) -> Floats:
    """Position angle of the y axis at pixels `x`, `y`, whose directions are `at`; -180 to 180."""
    up = wcs.to_sky(x, y + 0.5) - wcs.to_sky(x, y - 0.5)
    # East is the axis of the poles times the place; north the place times east.
    east = np.stack([-at[:, 1], at[:, 0], np.zeros(len(at))], axis=1)
    north = np.cross(at, east)
    return np.asarray(np.degrees(np.arctan2((up * east).sum(axis=1), (up * north).sum(axis=1))))


def image_facts(record: ImageRecord, catalog: Catalog) -> Facts:
    """Tell what all cutouts of an image share, from the index."""
    told: Facts = {}
    if bunit := _bunit(catalog.header_text(record)):
        told["bunit"] = bunit
    zeropoint = catalog.attributes(record).get("zeropoint_mag") if record.role == "image" else None
    if zeropoint is not None:
        told["zeropoint"] = zeropoint
    if record.t_min_mjd is not None and record.t_max_mjd is not None:
        told["mjd"] = (record.t_min_mjd + record.t_max_mjd) / 2
    return told


def _bunit(header_text: str) -> str:
    """Read BUNIT of a header, "" if it has none."""
    place = header_text.find("BUNIT   =")
    while place > 0 and place % 80:
        place = header_text.find("BUNIT   =", place + 1)
    if place < 0:
        return ""
    with suppress(ValueError, fits.VerifyError):
        value = fits.Card.fromstring(header_text[place : place + 80]).value
        return value.strip() if isinstance(value, str) else ""
    return ""


def made_facts(made: CutoutFacts) -> Facts:
    """Tell what making a cutout has shown."""
    plan = made.plan
    told: Facts = {"clipped": plan.clipped, "resampled": plan.resampled, "source_datasets": sources(plan)}
    if made.covered is not None:
        told["frac_valid"] = share(made.covered)
    if made.recipe:
        told["recipe"] = made.recipe
    if len(plan.parts) > 1:
        told["band"] = "".join(part.band for part in plan.parts)
    elif plan.parts:
        told["band"] = plan.parts[0].band
    return told


def share(covered: float | None) -> float | None:
    """Share of pixels with data as it is told; it is not 1 unless all have."""
    if covered is None or covered == 1.0:
        return covered
    return min(round(covered, _SHARE), 1.0 - 10.0**-_SHARE)


def sources(plan: CutoutPlan) -> str:
    """Name the images, or the alerts, a cutout is made of, separated by spaces."""
    return " ".join(plan.datasets)


def planned_places(plan: CutoutPlan, reference: ImageRecord, ra_deg: float, dec_deg: float) -> Facts:
    """Tell `places` of a cutout of any kind: of its first image."""
    part = plan.parts[0]
    box = part.grid.box
    try:
        if part.grid.wcs_text:
            wcs = CelestialWcs.from_text(part.grid.wcs_text, 0, 1, box.x1, box.y1)
        else:
            wcs = wcs_of(reference)
    except ImageRefused:  # a psf need not lie on the sky
        return {"naxis1": box.width, "naxis2": box.height}
    (found,) = places(wcs, [(box.x0, box.x1, box.y0, box.y1)], [ra_deg], [dec_deg])
    return found
