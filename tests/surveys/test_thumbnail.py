"""Small pictures of files, and what their headers say."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray
from PIL import Image

from surveys.errors import ImageRefused
from surveys.thumbnail import STRETCHES, draw_fits, draw_picture, read_headers


@dataclass
class File:
    """A file in memory, and how much of it was read."""

    content: bytes
    taken: int = 0

    @property
    def size(self) -> int:
        return len(self.content)

    def fetch(self, wanted: Sequence[tuple[int, int]]) -> list[bytes]:
        self.taken += sum(stop - start for start, stop in wanted)
        return [self.content[start:stop] for start, stop in wanted]


def file_of(*hdus: fits.hdu.base._BaseHDU) -> File:
    content = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(content)
    return File(content.getvalue())


def shades(png: bytes) -> NDArray[np.uint8]:
    """Grey and opacity."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("LA"))


def slope(height: int, width: int) -> NDArray[np.float32]:
    return np.add.outer(np.arange(height), np.arange(width)).astype(np.float32)


@pytest.mark.parametrize("stretch", STRETCHES)
def test_the_first_row_is_at_the_bottom(stretch: str) -> None:
    drawn = shades(draw_fits(file_of(fits.PrimaryHDU(slope(60, 120))), 60, stretch))
    assert drawn.shape == (30, 60, 2)
    assert drawn[-1, 0, 0] < drawn[0, -1, 0]
    assert (drawn[..., 1] == 255).all()


def test_a_small_image_is_not_enlarged() -> None:
    assert shades(draw_fits(file_of(fits.PrimaryHDU(slope(5, 7))), 128)).shape == (5, 7, 2)
    assert shades(draw_fits(file_of(fits.PrimaryHDU(slope(1, 1))), 128)).shape == (1, 1, 2)
    assert shades(draw_fits(file_of(fits.PrimaryHDU(slope(1, 4000))), 100)).shape == (1, 100, 2)


def test_what_has_no_data_is_transparent() -> None:
    floats = slope(20, 20)
    floats[:10] = np.nan
    whole = fits.PrimaryHDU(slope(20, 20).astype(np.int16))
    whole.data[:10] = -1
    whole.header["BLANK"] = -1
    for hdu in (fits.PrimaryHDU(floats), whole):
        opacity = shades(draw_fits(file_of(hdu), 128))[..., 1]
        assert (opacity[:10] == 255).all()
        assert (opacity[10:] == 0).all()
    assert (shades(draw_fits(file_of(fits.PrimaryHDU(floats * np.nan)), 128))[..., 1] == 0).all()


def test_of_cubes_and_of_several_images_the_first_plane_is_shown() -> None:
    cube = np.stack([slope(8, 8), -slope(8, 8)])
    table = fits.BinTableHDU.from_columns([fits.Column("a", "E", array=np.arange(3.0))])
    first = fits.ImageHDU(cube)
    drawn = draw_fits(file_of(fits.PrimaryHDU(), table, first, fits.ImageHDU(-cube)), 8)
    assert drawn == draw_fits(file_of(fits.PrimaryHDU(slope(8, 8))), 8)


def test_of_a_large_image_some_rows_are_read() -> None:
    file = file_of(fits.PrimaryHDU(slope(3000, 1000)))
    assert shades(draw_fits(file, 100)).shape == (100, 33, 2)
    assert file.taken < file.size / 5


@pytest.mark.parametrize(
    "content",
    [b"", b"no fits", b"\x1f\x8b" * 2000, file_of(fits.PrimaryHDU()).content, b"SIMPLE  =" * 1000],
)
def test_what_is_no_image_is_refused(content: bytes) -> None:
    with pytest.raises(ImageRefused):
        draw_fits(File(content), 128)


def test_an_image_that_is_cut_short_is_refused() -> None:
    with pytest.raises(ImageRefused):
        draw_fits(File(file_of(fits.PrimaryHDU(slope(100, 100))).content[:5760]), 128)


@pytest.mark.parametrize(("form", "mode"), [("PNG", "L"), ("PNG", "RGB"), ("JPEG", "RGB")])
def test_a_picture_is_made_smaller(form: str, mode: str) -> None:
    content = io.BytesIO()
    Image.new(mode, (300, 150), 200 if mode == "L" else (200, 100, 0)).save(content, form)
    made = Image.open(io.BytesIO(draw_picture(File(content.getvalue()), 100)))
    assert made.size == (100, 50)
    assert made.format == "PNG"
    assert abs(np.asarray(made.convert("RGB")).astype(int)[25, 50, 0] - 200) < 4


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(ImageRefused):
        draw_picture(File(b"no picture"), 100)


def test_headers_are_told_card_by_card() -> None:
    hdu = fits.PrimaryHDU(slope(3, 4))
    hdu.header["OBJECT"] = ("<script>alert(1)</script>", "of <b>ours</b>")
    hdu.header["LONG"] = "x" * 200
    hdu.header["NOTHING"] = (None, "undefined")
    hdu.header["YES"] = True
    hdu.header["EXPTIME"] = 1.5
    hdu.header["HISTORY"] = "made by hand"
    extension = fits.BinTableHDU.from_columns([fits.Column("a", "E", array=np.arange(3.0))], name="ROWS")
    found, is_more = read_headers(file_of(hdu, extension))
    first, second = found
    assert not is_more
    assert (first.number, first.kind, first.shape) == (0, "image", (4, 3))
    assert (second.number, second.kind, second.name) == (1, "table", "ROWS")
    told = {keyword: (value, comment) for keyword, value, comment in first.cards}
    assert told["OBJECT"] == ("<script>alert(1)</script>", "of <b>ours</b>")
    assert told["LONG"][0] == "x" * 200
    assert told["NOTHING"] == (None, "undefined")
    assert told["YES"][0] is True
    assert told["EXPTIME"][0] == 1.5
    assert told["HISTORY"][0] == "made by hand"


@pytest.mark.parametrize(
    "content",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n",
        b"P6 2 2 255 " + bytes(12),
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(13),
    ],
)
def test_other_formats_and_broken_pictures_are_refused(content: bytes) -> None:
    with pytest.raises(ImageRefused):
        draw_picture(File(content), 128)


def test_a_small_picture_that_is_cut_short_is_refused() -> None:
    made = io.BytesIO()
    Image.effect_noise((20, 20), 50).save(made, "PNG")
    with pytest.raises(ImageRefused):
        draw_picture(File(made.getvalue()[:120]), 128)
