"""Stamps as lakes store them: opened with a bound, and refused with the reason."""

import gzip
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from surveys.alert import AlertRecord, LakeFile
from surveys.alerts.arrays import array_json, values_of
from surveys.alerts.files import FileMaker
from surveys.alerts.pictures import Painter
from surveys.alerts.reading import Epoch
from surveys.alerts.stored import MOST_BYTES, StampFault, image_of, open_stamp, read_hdus
from surveys.errors import BrokenImage
from surveys.fits.provenance import Site
from surveys.picture.avm import Caption
from surveys.request import CutoutRequest, PictureOptions
from tests.support.alerts import ztf_survey
from tests.surveys.alerts.shop import written

RAMP = np.arange(12, dtype=np.float32).reshape(3, 4)


PLAIN = written(fits.PrimaryHDU(RAMP))
PACKED = gzip.compress(PLAIN)


def test_a_plain_stamp_is_what_is_stored() -> None:
    stamp = open_stamp(PLAIN)
    assert stamp.fits == PLAIN
    assert stamp.gzip is None


def test_a_gzipped_stamp_is_inflated_and_kept_as_it_is() -> None:
    stamp = open_stamp(PACKED)
    assert stamp.fits == PLAIN
    assert stamp.gzip == PACKED


def test_several_members_and_zeros_behind_them_are_inflated_but_not_passed_on() -> None:
    members = gzip.compress(PLAIN[:3000]) + gzip.compress(PLAIN[3000:])
    assert open_stamp(members).fits == PLAIN
    assert open_stamp(members).gzip is None
    assert open_stamp(PACKED + bytes(7)).fits == PLAIN
    assert open_stamp(PACKED + bytes(7)).gzip is None


def test_a_gzip_file_of_very_many_members_is_refused() -> None:
    empty = gzip.compress(b"")
    assert open_stamp(PACKED + 99 * empty).fits == PLAIN
    for members in (100, 100_000):
        with pytest.raises(StampFault, match="more than 100 members"):
            open_stamp(PACKED + members * empty)


def test_a_stored_stamp_has_a_bound_whether_gzipped_or_not() -> None:
    beyond = bytes(MOST_BYTES)
    for stored in (PLAIN + beyond, PACKED + beyond):
        with pytest.raises(StampFault, match="is larger than 16 MB"):
            open_stamp(stored)


@pytest.mark.parametrize(("heap", "groups"), [(5, 1), (0, 2), (0, 0)])
def test_an_extension_with_a_heap_or_groups_is_no_image(heap: int, groups: int) -> None:
    cards = ["XTENSION= 'IMAGE   '", "BITPIX  = -32", "NAXIS   = 2", "NAXIS1  = 4", "NAXIS2  = 3"]
    cards += [f"PCOUNT  = {heap}", f"GCOUNT  = {groups}", "END"]
    header = "".join(card.ljust(80) for card in cards).ljust(2880).encode()
    odd = header + bytes(2880 if groups else 0)
    extension = written(fits.PrimaryHDU(), fits.ImageHDU(RAMP))[2880:]
    stamp = open_stamp(written(fits.PrimaryHDU()) + odd + extension)
    hdus = read_hdus(stamp.fits)
    assert len(hdus) == 3
    assert image_of(hdus) is hdus[2]
    np.testing.assert_array_equal(hdus[2].physical(), RAMP)


def with_card(keyword: str, value: int) -> bytes:
    place = PLAIN.index(keyword.ljust(8).encode())
    return PLAIN[:place] + f"{keyword:<8}= {value:20d}".ljust(80).encode() + PLAIN[place + 80 :]


def other(stored: bytes, place: int) -> bytes:
    return stored[:place] + bytes([stored[place] ^ 1]) + stored[place:][1:]


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (None, "is not there"),
        (b"", "is empty"),
        (b"\x89PNG....", "is neither gzip nor FITS"),
        (gzip.compress(b"hello", mtime=0), "is gzip of something that is not FITS"),
        (gzip.compress(PACKED), "is gzip of something that is not FITS"),
        (PACKED[:-20], "is cut short: its gzip stream has no end"),
        (PACKED[:-4], "is cut short: its gzip stream has no end"),
        (other(PACKED, -6), "is damaged: its gzip stream does not agree with itself"),
        (other(PACKED, -1), "is damaged: its gzip stream does not agree with itself"),
        (PACKED + b"more", "is damaged: something follows its gzip stream"),
        (gzip.compress(bytes(MOST_BYTES + 1)), "inflates beyond 16 MB"),
        (gzip.compress(bytes(MOST_BYTES)) + gzip.compress(bytes(1)), "inflates beyond 16 MB"),
        (PLAIN + bytes(MOST_BYTES), "is larger than 16 MB"),
        (PLAIN[:160], "is damaged: the header of HDU 0 has no end"),
        (PLAIN[:2900], "is cut short: HDU 0 has less data than its header says"),
        (gzip.compress(PLAIN[:2900]), "is cut short: HDU 0 has less data than its header says"),
        (
            PLAIN.replace(b"BITPIX  =                  -32", b"BITPIX  =                   12"),
            "is damaged: BITPIX",
        ),
        (
            PLAIN.replace(b"NAXIS   =                    2", b"NAXIS   =                   -2"),
            "is damaged: BITPIX",
        ),
        (
            PLAIN.replace(b"NAXIS1  =                    4", b"NAXIS1  =                   -4"),
            "is damaged: an axis",
        ),
        (
            PLAIN.replace(b"NAXIS1  =                    4", b"NAXIS1  =            987654321"),
            "is cut short: HDU 0",
        ),
    ],
)
def test_whatever_else_is_stored_is_refused_with_its_reason(stored: bytes | None, reason: str) -> None:
    with pytest.raises(StampFault) as refused:
        open_stamp(stored)
    assert str(refused.value).startswith(reason)


def test_a_card_in_free_format_is_read() -> None:
    """ZTF writes ``SIMPLE  =  T``."""
    free = PLAIN.replace(b"SIMPLE  =                    T", b"SIMPLE  =  T".ljust(30))
    assert free != PLAIN
    assert open_stamp(free).fits == free
    assert np.array_equal(image_of(read_hdus(free)).physical(), RAMP)


def test_the_hdus_are_those_astropy_sees() -> None:
    psf = fits.ImageHDU(np.ones((5, 5)), name="PSFIMAGE")
    content = written(fits.PrimaryHDU(RAMP), fits.ImageHDU(RAMP + 1, name="UNCERT"), psf)
    hdus = read_hdus(content)
    assert [(hdu.name, hdu.shape, hdu.bitpix) for hdu in hdus] == [
        ("", (3, 4), -32),
        ("UNCERT", (3, 4), -32),
        ("PSFIMAGE", (5, 5), -64),
    ]
    with fits.open(io.BytesIO(content)) as judged:
        for hdu, judge in zip(hdus, judged, strict=True):
            assert np.array_equal(hdu.stored, judge.data)


def test_the_image_is_the_first_with_pixels() -> None:
    hdus = read_hdus(written(fits.PrimaryHDU(), fits.ImageHDU(RAMP, name="IMAGE")))
    assert image_of(hdus).name == "IMAGE"
    cube = read_hdus(written(fits.PrimaryHDU(RAMP[None])))
    assert np.array_equal(image_of(cube).physical(), RAMP)


@pytest.mark.parametrize("data", [None, np.zeros((2, 3, 4), np.float32), np.zeros(5, np.float32)])
def test_a_file_without_an_image_of_two_axes_is_refused(data: np.ndarray | None) -> None:
    with pytest.raises(StampFault, match="has no image of two axes"):
        image_of(read_hdus(written(fits.PrimaryHDU(data))))


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8", "f4", "f8"])
def test_physical_values_are_those_of_astropy(dtype: str) -> None:
    """Scaled integers with BLANK, and floats that are scaled all the same."""
    hdu = fits.PrimaryHDU(np.arange(12).reshape(3, 4).astype(dtype))
    hdu.header["BSCALE"], hdu.header["BZERO"] = 0.5, 10.0
    if dtype[0] != "f":
        hdu.header["BLANK"] = 3
    content = hdu.header.tostring().encode() + hdu.data.astype(f">{dtype}").tobytes().ljust(2880, b"\0")
    ours = image_of(read_hdus(content)).physical()
    theirs = fits.getdata(io.BytesIO(content)).astype(float)
    assert np.array_equal(ours, theirs, equal_nan=True)
    assert np.isnan(ours).sum() == (1 if dtype[0] != "f" else 0)


def test_a_blank_that_no_pixel_can_have_is_none() -> None:
    hdu = fits.PrimaryHDU(np.zeros((2, 2), np.int16))
    for blank in ("99999", "1.5", "1E999"):
        header = hdu.header.tostring(padding=False).replace(
            "END".ljust(80), f"BLANK   = {blank:>20}".ljust(80)
        )
        content = (header + "END".ljust(80)).ljust(2880).encode() + bytes(2880)
        assert image_of(read_hdus(content)).blank is None


def test_damage_is_told_or_harmless(tmp_path: Path) -> None:
    """Whatever bytes of a stamp are changed, either it is refused, or a file can be made of it."""
    rng = np.random.default_rng(7)
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 2.0, "CRPIX1": 2.0}
    cards |= {"CD1_1": -0.001, "CD2_2": 0.001, "BSCALE": 2.0, "BZERO": 1.0, "BLANK": 3}
    hdu = fits.PrimaryHDU(np.arange(12, dtype=np.int16).reshape(3, 4))
    hdu.header.update(cards)
    whole = bytearray(written(hdu, fits.ImageHDU(RAMP, name="UNCERT")))
    survey = ztf_survey(tmp_path)
    record = AlertRecord(
        1, "ztf", 1, "ZTF18a", 10.0, 2.0, 59000.0, "g", LakeFile(1, "ztf", "a", 1, "1", 1, 1)
    )
    maker = FileMaker(CutoutRequest("ztf/alert/1/Science", detail="full"), survey, Site())
    options = PictureOptions("image/png")
    painter = Painter(replace(maker, request=replace(maker.request, picture=options)), options, Caption())
    ways = (maker.stamp, painter.stamp, lambda one, kind: array_json(values_of(maker.image(one, kind).hdu)))
    rounds = 150
    outcomes = {"made": 0, "refused": 0}
    for _ in range(rounds):
        content = bytearray(whole)
        for place in rng.integers(0, 1500 if rng.random() < 0.8 else len(whole), rng.integers(1, 6)):
            content[place] = (
                rng.integers(0, 256) if rng.random() < 0.3 else ord(rng.choice(list("0198-E. '=")))
            )
        epoch = Epoch(record, {"Science": bytes(content)})
        try:
            for way in ways:
                way(epoch, "Science")
            outcomes["made"] += 1
        except BrokenImage:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 10
