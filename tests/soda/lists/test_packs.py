"""All cutouts of a list in one FITS file: astropy finds the very pixels, headers and names in it."""

from __future__ import annotations

import io
import random
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr
from astropy.io import fits
from astropy.table import Table
from numpy.typing import NDArray
from werkzeug.test import TestResponse
from zarr.storage import ZipStore

from soda.lists.packs import PACKS
from tests.support.packed import Toys, label_of, toys
from uws.crc32 import crc32_inside

COUNT = 12
FITS = "application/fits"


def pixels_of(n: int, shape: tuple[int, int] = (7, 5)) -> NDArray[np.float32]:
    return np.arange(n, n + shape[0] * shape[1], dtype=np.float32).reshape(shape)


def stamp(n: int, shape: tuple[int, int] = (7, 5), more: int = 0, **cards: object) -> bytes:
    """Give a cutout with a WCS, checksums, a name, and comments that fill another block."""
    hdu = fits.PrimaryHDU(pixels_of(n, shape))
    hdu.header.update({"CTYPE1": "RA---TAN", "CRVAL1": 10.0 + n, "CRPIX1": 3.5, "CD1_1": -7.3e-5})
    hdu.header.update({"EXTNAME": "SCI", "OBJECT": f"it's {n}", "BUNIT": "nJy", **cards})
    for line in range(more):
        hdu.header.add_comment(f"line {line}")
    file = io.BytesIO()
    fits.HDUList([hdu]).writeto(file, checksum=True)
    return file.getvalue()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toys]:
    with toys(tmp_path_factory.mktemp("packs"), packs=PACKS) as made:
        yield made


@pytest.fixture(scope="module")
def job(served: Toys) -> str:
    """Path of a job with headers of many lengths; two of its rows have no file."""
    words = ["ok", "failed", "ok", "empty", *["ok"] * (COUNT - 4)]
    files = [stamp(n, more=(n % 5) * 17) for n in range(COUNT)]
    return f"/async/{served.make(words, files=files, media_type=FITS)}"


MADE = [n for n in range(COUNT) if n not in (1, 3)]


def get(served: Toys, url: str, **headers: str) -> TestResponse:
    return served.client.get(url, headers=headers, buffered=True)


def pack(served: Toys, job: str, kind: str) -> bytes:
    told = get(served, f"{job}/results/archive?PACK={kind}")
    assert told.status_code == 200, told.text
    assert told.content_type == ("application/zip" if kind == "zarr" else FITS)
    assert told.headers["Content-Length"] == str(len(told.data))
    assert told.headers["Content-Disposition"].endswith('_zarr.zip"' if kind == "zarr" else f'_{kind}.fits"')
    return told.data


def test_mef_has_an_extension_for_each_cutout(served: Toys, job: str) -> None:
    with fits.open(io.BytesIO(pack(served, job, "mef"))) as hdus:
        hdus.verify("exception")
        rows = Table.read(hdus["ROWS"])
        assert len(hdus) == len(MADE) + 2
        assert list(rows["result_id"]) == [f"r{n + 1}" for n in MADE]
        assert list(rows["ext"]) == list(range(2, len(hdus)))
        assert list(rows["dec"]) == [-n / 3 for n in MADE]
        for n, row in zip(MADE, rows, strict=True):
            hdu = hdus[int(row["ext"])]
            assert hdu is hdus[f"r{n + 1}"]
            assert np.array_equal(hdu.data, pixels_of(n))
            told = {key: hdu.header[key] for key in ("CRVAL1", "CD1_1", "OBJECT", "O_EXTNM", "BUNIT")}
            assert told == {
                "CRVAL1": 10.0 + n,
                "CD1_1": -7.3e-5,
                "OBJECT": f"it's {n}",
                "O_EXTNM": "SCI",
                "BUNIT": "nJy",
            }
            assert hdu.header.count("EXTNAME") == 1
            assert len(hdu.header.get("COMMENT", ())) >= (n % 5) * 17
            assert "CHECKSUM" not in hdu.header
            assert hdu.verify_datasum() == 1


def test_a_table_has_a_row_for_each_cutout(served: Toys, job: str) -> None:
    with fits.open(io.BytesIO(pack(served, job, "table"))) as hdus:
        hdus.verify("exception")
        rows = hdus["STAMPS"].data
        assert rows["STAMP"].shape == (len(MADE), 7, 5)
        for n, row in zip(MADE, rows, strict=True):
            assert np.array_equal(row["STAMP"], pixels_of(n))
            assert (row["CRVAL1"], row["CRPIX1"], row["CTYPE1"]) == (10.0 + n, 3.5, "RA---TAN")
            assert row["status"] == "ok"
            assert row["bytes"] == len(stamp(n, more=(n % 5) * 17))
        assert [row["id"] for row in rows][:2] == [label_of(0), label_of(2)]
        assert hdus["STAMPS"].columns["STAMP"].unit == "nJy"


def test_zarr_reads_an_array_of_all_cutouts(served: Toys, job: str, tmp_path: Path) -> None:
    """A chunk is the pixels of a file as they lie in it: zipfile and zarr judge the sums and the values."""
    path = tmp_path / "pack.zarr.zip"
    path.write_bytes(pack(served, job, "zarr"))
    with zipfile.ZipFile(path) as members:
        assert members.testzip() is None
    with ZipStore(path, mode="r") as store:
        group = zarr.open_group(store, mode="r", zarr_format=2)
        image = group["image"]
        assert image.shape == (len(MADE), 1, 7, 5)
        assert image.attrs["units"] == "nJy"
        for index, n in enumerate(MADE):
            assert np.array_equal(image[index, 0], pixels_of(n))
        assert list(group["row"][:]) == [n + 1 for n in MADE]
        assert list(group["id"][:]) == [label_of(n) for n in MADE]
        assert np.array_equal(group["dec"][:], [-n / 3 for n in MADE])
        assert [row[0] for row in group["result_id"][:]] == [f"r{n + 1}" for n in MADE]
        assert np.array_equal(group["wcs/CRVAL1"][:, 0], [10.0 + n for n in MADE])
        assert group["wcs/CTYPE1"][0, 0] == "RA---TAN"


@pytest.mark.parametrize(("part", "zeros"), [(5, 0), (100, 2780), (1 << 18, 512)])
def test_sums_of_parts_follow_from_those_of_files(part: int, zeros: int) -> None:
    dice = random.Random(part)
    files = [(dice.randbytes(2880), dice.randbytes(part)) for _ in range(3)]
    whole = np.array([zlib.crc32(head + data + bytes(zeros)) for head, data in files], np.uint32)
    before = np.array([zlib.crc32(head) for head, _ in files], np.uint32)
    found = crc32_inside(whole, before, part, zeros)
    assert found.tolist() == [zlib.crc32(data) for _, data in files]


@pytest.mark.parametrize("kind", PACKS)
def test_a_pack_is_resumed_anywhere(served: Toys, job: str, kind: str) -> None:
    whole, chance = pack(served, job, kind), random.Random(5)
    for _ in range(12):
        start = chance.randrange(len(whole))
        stop = chance.randrange(start, len(whole))
        told = get(served, f"{job}/results/archive?PACK={kind}", Range=f"bytes={start}-{stop}")
        assert told.data == whole[start : stop + 1]


def test_a_pack_of_some_rows(served: Toys, job: str) -> None:
    told = get(served, f"{job}/results/archive?PACK=mef&ROWS=5-6")
    with fits.open(io.BytesIO(told.data)) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "ROWS", "r5", "r6"]
    none = get(served, f"{job}/results/archive?PACK=table&STATUS=failed")
    with fits.open(io.BytesIO(none.data)) as hdus:
        assert len(hdus["STAMPS"].data) == 0


def test_files_of_several_images_are_counted(served: Toys) -> None:
    file = io.BytesIO(stamp(1))
    file.seek(0, io.SEEK_END)
    extra = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((3, 3)), name="MASK")]).writeto(extra)
    file.write(extra.getvalue()[2880:])
    made = f"/async/{served.make(['ok', 'ok'], files=[file.getvalue(), stamp(2)], media_type=FITS)}"
    with fits.open(io.BytesIO(pack(served, made, "mef"))) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "ROWS", "r1", "MASK", "r2"]
        assert list(hdus["ROWS"].data["ext"]) == [2, 4]


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (stamp(1, (7, 6)), "r1 is of 5 x 7 pixels and r2 of 6 x 7"),
        (stamp(1, BUNIT="Jy"), "BUNIT of r1 and r2 differ"),
    ],
)
def test_cutouts_that_differ_are_no_table(served: Toys, other: bytes, says: str) -> None:
    made = f"/async/{served.make(['ok', 'ok'], files=[stamp(0), other], media_type=FITS)}"
    refused = get(served, f"{made}/results/archive?PACK=table")
    assert refused.status_code == 400
    assert says in refused.text
    assert "PACK=mef" in refused.text


@pytest.mark.parametrize("files", [(), (b"no FITS at all",), (b"SIMPLE  =" + b" " * 40_000,)])
def test_only_fits_is_packed(served: Toys, files: tuple[bytes, ...]) -> None:
    made = served.make(["ok"], files=files, media_type=FITS if files else "image/png")
    refused = get(served, f"/async/{made}/results/archive?PACK=mef")
    assert refused.status_code == 400
    assert "the file of r1 is" in refused.text


@pytest.mark.parametrize("query", ["PACK=cube", "PACK=mef&FORMAT=tar", "PACK=mef&PARTSIZE=2G"])
def test_what_cannot_be_packed_is_said(served: Toys, job: str, query: str) -> None:
    refused = get(served, f"{job}/results/archive?{query}")
    assert refused.status_code == 400
    assert "PACK" in refused.text
