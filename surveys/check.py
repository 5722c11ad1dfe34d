"""Does what the index says of a survey hold? Random cutouts of it, compared with what astropy reads."""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, cast

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS
from numpy.typing import NDArray

from surveys.access import OPERATOR
from surveys.errors import SurveyError
from surveys.execute import execute
from surveys.fits.source import Source
from surveys.image import ImageRecord
from surveys.index.catalog import Catalog
from surveys.planner import Limits, plan_cutout
from surveys.request import CutoutRequest
from surveys.sky.pixels import PixelBox
from surveys.sky.sphere import unit_vectors
from surveys.sky.stencil import CenteredBox, Size
from surveys.sky.wcs import wcs_of
from surveys.survey import CardValue, Survey

#: Sky positions of cutout and original agree within this.
TOLERANCE_MAS = 1.0

_SIDE_PX = 64
_GRID = 5
_LIMITS = Limits(max_pixels=10**9, max_bytes=10**10)


@dataclass(frozen=True, slots=True)
class StampCheck:
    """One random cutout: the worst offset of 25 positions, and one sentence, or None if all is well.

    Of a survey of alerts it is all the stamps of one.
    """

    dataset: str
    box: PixelBox | None
    offset_mas: float | None
    problem: str | None


def check_survey(
    catalog: Catalog, source: Source, survey: str, *, stamps: int = 10, seed: int | None = None
) -> list[StampCheck]:
    """Cut random stamps of random images and compare their pixels and positions with astropy.

    The stamps of random alerts are compared with what pyarrow reads.

    Parameters
    ----------
    catalog, source
        As a cutout needs them.
    survey
        Its name.
    stamps
        How many.
    seed
        Of the random numbers, to repeat a check.
    """
    declared = catalog.survey(survey)
    if declared.lake is not None:
        from surveys.alerts.check import check_alerts

        return [
            StampCheck(name, None, None, why) for name, why in check_alerts(catalog, declared, stamps, seed)
        ]
    generation = catalog.generation(declared.name)
    datasets = catalog.datasets(declared.name, generation)
    rng = random.Random(seed)  # noqa: S311 -- a sample, not a secret
    chosen = [rng.choice(datasets) for _ in range(stamps)] if datasets else []
    return [_check(catalog, source, declared, dataset, generation, rng) for dataset in chosen]


def _check(
    catalog: Catalog, source: Source, survey: Survey, dataset: str, generation: int, rng: random.Random
) -> StampCheck:
    try:
        record = catalog.record(dataset, generation)
        stencil = _random_box(record, rng)
        if stencil is None:
            return StampCheck(dataset, None, None, "no pixel with a position on the sky was found")
        plan = plan_cutout(CutoutRequest(dataset, stencil), catalog, _LIMITS, OPERATOR)
        box = plan.pieces[0].box
        product = execute(plan, catalog, source).tobytes()
        with catalog.path(record).open("rb") as original:
            return _compare(record, survey.fix, box, plan.grid or box, product, original)
    except (SurveyError, OSError, ValueError) as error:
        return StampCheck(dataset, None, None, str(error))


def _random_box(record: ImageRecord, rng: random.Random) -> CenteredBox | None:
    """Return a box about a random pixel that has a place on the sky."""
    wcs = wcs_of(record)
    for _ in range(100):
        x, y = rng.uniform(-0.5, record.nx - 0.5), rng.uniform(-0.5, record.ny - 0.5)
        vector = wcs.to_sky(x, y)
        if np.isfinite(vector).all():
            ra = float(np.degrees(np.arctan2(vector[1], vector[0]))) % 360
            dec = float(np.degrees(np.arctan2(vector[2], np.hypot(vector[0], vector[1]))))
            return CenteredBox(ra, dec, Size(_SIDE_PX, _SIDE_PX, in_pixels=True))
    return None


def _compare(
    record: ImageRecord,
    fix: Mapping[str, CardValue],
    box: PixelBox,
    grid: PixelBox,
    product: bytes,
    original: Any,
) -> StampCheck:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        raw = {"memmap": False, "do_not_scale_image_data": True}
        with fits.open(original, **raw) as theirs, fits.open(BytesIO(product), **raw) as ours:
            hdu = theirs[record.hdu]
            header = cast(fits.Header, hdu.header.copy())
            header.update(fix)
            # Seeking to and fro in a gzip stream would inflate it again and again.
            pixels = hdu.data if record.storage == "gzip" else hdu.section
            inside = PixelBox(box.x0 - grid.x0, box.x1 - grid.x0, box.y0 - grid.y0, box.y1 - grid.y0)
            same = _same(
                np.asarray(ours[0].data[_slices(record, inside)]),
                np.asarray(pixels[_slices(record, box)]),
                record,
            )
            axes = [record.x_axis + 1, record.y_axis + 1]
            offset = _offset_mas(WCS(header, naxis=axes), WCS(ours[0].header, naxis=axes), box, grid)
    if not same:
        return StampCheck(record.dataset, box, offset, "pixels differ from those astropy reads")
    if not offset <= TOLERANCE_MAS:
        return StampCheck(record.dataset, box, offset, f"positions differ by {offset:.3g} mas from astropy's")
    return StampCheck(record.dataset, box, offset, None)


def _same(ours: NDArray[Any], theirs: NDArray[Any], record: ImageRecord) -> bool:
    """Compare pixels as stored; those the product had to turn into physical values, as such."""
    if ours.dtype.kind == theirs.dtype.kind:
        return np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f")
    return np.allclose(ours, theirs * record.bscale + record.bzero, rtol=1e-6, atol=0)


def _slices(record: ImageRecord, box: PixelBox) -> tuple[slice, ...]:
    slices = [slice(None)] * len(record.shape)
    slices[-1 - record.x_axis] = slice(box.x0, box.x1)
    slices[-1 - record.y_axis] = slice(box.y0, box.y1)
    return tuple(slices)


def _offset_mas(theirs: WCS, ours: WCS, box: PixelBox, grid: PixelBox) -> float:
    """Largest distance between the positions both give to a grid of pixels of `box`."""
    x, y = np.meshgrid(np.linspace(box.x0, box.x1 - 1, _GRID), np.linspace(box.y0, box.y1 - 1, _GRID))
    a, b = _sky(theirs, x, y), _sky(ours, x - grid.x0, y - grid.y0)
    if not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return float("inf")
    distance = np.linalg.norm(a - b, axis=-1)
    return float(np.degrees(np.nanmax(distance, initial=0.0)) * 3.6e6)


def _sky(wcs: WCS, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Find unit vectors in the frame of the header; NaN off the sky."""
    world = np.stack(wcs.all_pix2world(x.ravel(), y.ravel(), 0), axis=1)
    return np.asarray(unit_vectors(world[:, wcs.wcs.lng], world[:, wcs.wcs.lat]))
