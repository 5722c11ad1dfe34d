"""Whatever is asked of whatever survey: a file whose pixels lie where astropy says, or a stated refusal."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from surveys.errors import RequestFault
from surveys.execute import execute
from surveys.fits.source import Source
from surveys.index.catalog import Catalog
from surveys.plan import CutoutPlan
from tests.surveys.planning.skies import N, asked, sampled, sky, wcs_of_part, written
from tests.surveys.planning.test_mosaics import PLACES, stencils

TILES = written()
POSITION_PX = 1e-6
#: What kernels miss of a sky that bends by so much, with pixels of one and of two arcseconds.
VALUE = {"mixed": 4.0}
USUAL_VALUE = 1.0

OPTIONS = [
    {},
    {"edge": "pad"},
    {"edge": "error"},
    {"grid": "tan"},
    {"grid": "tan", "edge": "clip", "resample": "bilinear"},
    {"combine": "first"},
    {"combine": "mean"},
    {"mask": True},
    {"detail": "full"},
    {"checksum": True},
]


@pytest.mark.parametrize("name", PLACES)
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_stencil_gives_pixels_where_astropy_says_or_a_refusal(
    catalog: Catalog, name: str, data: st.DataObject
) -> None:
    stencil = data.draw(stencils(*PLACES[name]))
    options = data.draw(st.sampled_from(OPTIONS))
    tile = data.draw(st.sampled_from(["", *(f"/{tile}" for tile in TILES[name])]))
    try:
        made = asked(catalog, f"{name}/g{tile}", stencil, **options)
    except RequestFault:  # what it says is tested where it is raised
        return
    if made.parts:
        result = execute(made, catalog, Source())
        content = result.tobytes()
        assert len(content) == result.size == made.cost.bytes_out
        check(catalog, name, made, content)


def check(catalog: Catalog, name: str, made: CutoutPlan, content: bytes) -> None:
    (part,) = made.parts
    with fits.open(BytesIO(content), checksum=True) as hdus:
        hdus.verify("exception")
        image = hdus[0] if hdus[0].data is not None else hdus[1]
        pixels, wcs = image.data, WCS(image.header)
        assert bool(hdus[0].header["RESAMPLD"]) is (part.method == "resample")
    assert pixels.shape == (part.grid.box.height, part.grid.box.width)
    planned = wcs_of_part(part, catalog.artifact(part.pieces[0].artifact_id))
    y, x = (axis.ravel() for axis in np.indices(pixels.shape))
    ra, dec = wcs.all_pix2world(x, y, 0)
    back = planned.all_world2pix(ra, dec, 0, quiet=True, tolerance=1e-9, maxiter=50)
    assert np.abs(np.array(back) - (x, y)).max() < POSITION_PX
    values = pixels.ravel().astype(float)
    known = np.isfinite(values)
    assert known.any() or made.clipped or made.request.mask
    bound = VALUE.get(name, USUAL_VALUE)
    assert np.abs(values - sky(ra, dec))[known].max(initial=0.0) < bound
    if part.method != "resample" and made.request.mosaic.combine != "mean":
        assert set(values[known]) <= stored(name)


def stored(name: str) -> set[float]:
    """All values that the tiles of a survey have."""
    return {float(value) for cards in TILES[name].values() for value in sampled(cards, N, N).ravel()}
