"""Real tiles of 2MASS about M17, whose sky levels differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import reproject
from astropy.io import fits
from astropy.wcs import WCS

from surveys.sky.pixels import PixelBox
from tests.surveys.mosaic.skies import SkyCatalog, composed, tan, text_of

PLACE = (275.123, -16.16)
SIDE = 400


@pytest.fixture
def catalog(real_data: Path, tmp_path: Path) -> SkyCatalog:
    made = SkyCatalog(root=tmp_path)
    for path in sorted((real_data / "tiles_2mass_m17").glob("aK_*.fits.gz")):
        header = fits.getheader(path)
        x, y = WCS(header).all_world2pix(*PLACE, 0)
        reach = SIDE / 2
        if not (-reach < x < header["NAXIS1"] + reach and -reach < y < header["NAXIS2"] + reach):
            continue
        with fits.open(path) as hdus:
            cards = {
                key: header[key]
                for key in header
                if key.startswith(("CTYPE", "CRPIX", "CRVAL", "CDELT", "CROTA", "EQUINOX", "RADECSYS"))
            }
            made.tile(hdus[0].data.astype("f4"), cards)
    assert len(made.pieces) >= 3
    return made


def test_sky_levels_become_one(catalog: SkyCatalog) -> None:
    target = tan(*PLACE, (SIDE, SIDE), scale=1.0 / 3600)
    box = PixelBox(0, SIDE, 0, SIDE)
    kept = composed(catalog, box, wcs_text=text_of(target), combine="first")
    made = composed(catalog, box, wcs_text=text_of(target), background="match")
    assert made.covered == kept.covered > 0.95 * SIDE * SIDE
    offsets = np.array([one.offset for one in made.inputs])
    assert offsets[0] == 0.0
    assert 3.0 < np.ptp(offsets) < 30.0
    # each tile, moved by its offset, agrees with each other one where both are
    images = []
    pieces = list(catalog.pieces)
    for piece, offset in zip(pieces, offsets, strict=True):
        catalog.pieces[:] = [piece]
        images.append(composed(catalog, box, wcs_text=text_of(target)).image + offset)
    before, after = [], []
    for a in range(len(images)):
        for b in range(a):
            difference = (images[a] - images[b])[np.isfinite(images[a] - images[b])]
            if len(difference) > 2000:
                after.append(abs(np.median(difference)))
                before.append(abs(np.median(difference) - offsets[a] + offsets[b]))
    assert len(after) >= 2
    assert max(before) > 2.0
    # the nebula is not level: no constants make all overlaps agree to less than about 1
    assert max(after) < 1.5
    assert np.std(after) < np.std(before) / 2


def test_a_real_mosaic_is_that_of_reproject(catalog: SkyCatalog) -> None:
    target = tan(*PLACE, (SIDE, SIDE), scale=1.0 / 3600)
    made = composed(catalog, PixelBox(0, SIDE, 0, SIDE), wcs_text=text_of(target), resample="bilinear")
    wcs = WCS(fits.Header(target.items()))
    agree = np.zeros((SIDE, SIDE), bool)
    peak = np.nanmax(made.image)
    for piece in catalog.pieces:
        with fits.open(catalog.path(catalog.artifact(piece.artifact_id))) as hdus:
            theirs, _ = reproject.reproject_interp((hdus[0].data, WCS(hdus[0].header)), wcs, (SIDE, SIDE))
        agree |= np.abs(theirs - made.image) < 1e-5 * peak
    # each pixel is that of one of the tiles; at their edges reproject extrapolates
    assert agree[np.isfinite(made.image)].mean() > 0.997
