"""Products of known skies, opened and checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from surveys.execute import CutoutResult, describe_cutout, execute
from surveys.fits.source import Source
from surveys.plan import Cost, CutoutPlan, Grid, Method, Part
from surveys.request import CutoutRequest, MosaicOptions
from surveys.sky.pixels import PixelBox
from surveys.sky.stencil import CenteredBox, Size
from surveys.survey import Band
from tests.surveys.mosaic.skies import SkyCatalog

BANDS = (
    Band("g", 4e-7, 5.5e-7, ("g",)),
    Band("r", 5.5e-7, 7e-7, ("r",)),
    Band("i", 7e-7, 8.5e-7, ("i",)),
)


def plan_of(parts: Sequence[Part], **changes: Any) -> CutoutPlan:
    box = parts[0].grid.box
    fields: dict[str, Any] = {
        "dataset": "demo/g",
        "stencil": CenteredBox(150.0, 2.0, Size(box.width, box.height, True)),
    }
    options = {key: changes.pop(key) for key in list(changes) if key in MosaicOptions.__slots__}
    request = CutoutRequest(**fields | {"mosaic": MosaicOptions(**options)} | changes)
    return CutoutPlan(request, 1, tuple(parts), Cost(0, 0, 0))


def part_of(
    catalog: SkyCatalog, box: PixelBox, method: Method, wcs_text: str = "", clipped: bool = False
) -> Part:
    return Part("g", tuple(catalog.pieces), Grid(box, wcs_text), method, clipped)


def band_part(catalog: SkyCatalog, number: int, band: str, box: PixelBox) -> Part:
    """A copied image of a band: the piece of this number."""
    piece = catalog.pieces[number]
    catalog.records[piece.artifact_id] = replace(catalog.records[piece.artifact_id], band=band)
    inside = box.clip(piece.box.x1, piece.box.y1)
    assert inside is not None
    return Part(band, (replace(piece, box=inside),), Grid(box), "copy", inside != box)


def made(catalog: SkyCatalog, plan: CutoutPlan) -> CutoutResult:
    """The result of a plan, whose size and name were known before."""
    described = describe_cutout(plan, catalog)
    result = execute(plan, catalog, Source())
    assert (described.size, described.file_name) == (result.size, result.file_name)
    return result


@contextmanager
def opened(catalog: SkyCatalog, parts: Sequence[Part], **changes: Any) -> Iterator[fits.HDUList]:
    """The product, checked as strictly as astropy can; with a checksum unless the request says otherwise."""
    with opened_plan(catalog, plan_of(parts, **{"checksum": True} | changes)) as hdus:
        yield hdus


@contextmanager
def opened_plan(catalog: SkyCatalog, plan: CutoutPlan, scaled: bool = False) -> Iterator[fits.HDUList]:
    result = made(catalog, plan)
    content = result.tobytes()
    assert len(content) == result.size
    assert len(content) % 2880 == 0
    # a wrong sum is a warning, which is an error here
    with fits.open(BytesIO(content), checksum=True, do_not_scale_image_data=not scaled) as hdus:
        hdus.verify("exception")
        if plan.request.checksum:
            for hdu in hdus:
                assert (hdu.verify_checksum(), hdu.verify_datasum()) == (1, 1)
        yield hdus


def assert_sky_of(header: fits.Header, wcs: WCS, x0: float = 0, y0: float = 0, key: str = " ") -> None:
    """The pixels of a header have the places that another WCS gives them, to 1e-6 pixel."""
    ours = WCS(header, key=key, naxis=2)
    x, y = np.meshgrid(np.linspace(0, header["NAXIS1"] - 1, 5), np.linspace(0, header["NAXIS2"] - 1, 5))
    back_x, back_y = wcs.all_world2pix(*ours.all_pix2world(x, y, 0), 0, tolerance=1e-9)
    np.testing.assert_allclose(back_x, x + x0, rtol=0, atol=1e-6)
    np.testing.assert_allclose(back_y, y + y0, rtol=0, atol=1e-6)
