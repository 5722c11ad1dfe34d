"""Previews: the right way up, the right size, honest about pixels without data, whatever the storage."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from surveys.errors import BrokenImage
from surveys.fits.source import Source
from surveys.image import ImageRecord
from surveys.preview import SIDE, make_preview
from tests.support.tiles import FileCatalog


def draw(record: ImageRecord, catalog: FileCatalog) -> np.ndarray:
    file = Source().open(catalog.path(record), record.file.size, record.file.mtime_ns)
    with Image.open(BytesIO(make_preview(record, file))) as picture:
        assert picture.mode == "LA"
        return np.asarray(picture)


def sky(ny: int, nx: int) -> fits.Header:
    header = fits.Header()
    header.update(
        CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRPIX1=nx / 2, CRPIX2=ny / 2, CRVAL1=10.0, CRVAL2=20.0,
        CDELT1=-1e-4, CDELT2=1e-4,
    )  # fmt: skip
    return header


def pixels(ny: int = 600, nx: int = 900) -> np.ndarray:
    """Noise with a bright square near the lower right corner, and no data in the upper left."""
    values = np.random.default_rng(1).normal(100, 1, (ny, nx)).astype(np.float32)
    values[30:90, nx - 150 : nx - 60] = 1000
    values[ny - 120 :, :180] = np.nan
    return values


def write(path: Path, how: str) -> int:
    values = pixels()
    header = sky(*values.shape)
    if how == "rice":
        fits.HDUList(
            [fits.PrimaryHDU(), fits.CompImageHDU(values, header, compression_type="RICE_1")]
        ).writeto(path)
        return 1
    if how == "integers with BLANK":
        header["BLANK"] = -32768
        fits.PrimaryHDU(np.where(np.isnan(values), -32768, values).astype(np.int16), header).writeto(path)
    elif how == "cube":
        fits.PrimaryHDU(np.stack([values, values * 0]), header).writeto(path)
    else:
        fits.PrimaryHDU(values, header).writeto(path)
    return 0


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.fits", "plain"),
        ("a.fits.gz", "gzip"),
        ("a.fits.fz", "rice"),
        ("b.fits", "integers with BLANK"),
        ("c.fits", "cube"),
    ],
)
def test_a_preview_is_the_right_way_up_and_transparent_without_data(
    name: str, how: str, tmp_path: Path
) -> None:
    catalog = FileCatalog()
    record = catalog.add(tmp_path / name, write(tmp_path / name, how))
    picture = draw(record, catalog)
    step = -(-900 // SIDE)
    assert picture.shape == (len(range(step // 2, 600, step)), -(-900 // step), 2)
    grey, opacity = picture[..., 0], picture[..., 1]
    rows, columns = picture.shape[:2]
    bright = grey[-(80 // step) : -(40 // step), columns - 140 // step : columns - 70 // step]
    assert bright.min() == 255
    assert np.median(grey[opacity == 255]) < 150
    assert not opacity[: 100 // step, : 160 // step].any()
    assert opacity[rows // 2].all()


def test_an_image_of_one_value_and_one_of_none_have_previews(tmp_path: Path) -> None:
    catalog = FileCatalog()
    for name, value in (("flat.fits", 7.0), ("empty.fits", np.nan)):
        fits.PrimaryHDU(np.full((5, 3), value, np.float32), sky(5, 3)).writeto(tmp_path / name)
        picture = draw(catalog.add(tmp_path / name, 0), catalog)
        assert picture.shape == (5, 3, 2)
        assert bool(picture[..., 1].all()) == (name == "flat.fits")


def test_a_broken_image_is_said_to_be_broken(tmp_path: Path) -> None:
    path = tmp_path / "a.fits.gz"
    write(path, "gzip")
    catalog = FileCatalog()
    record = catalog.add(path, 0)
    path.write_bytes(path.read_bytes()[:20_000])
    facts = path.stat()
    file = Source().open(path, facts.st_size, facts.st_mtime_ns)
    with pytest.raises(BrokenImage):
        make_preview(record, file)
