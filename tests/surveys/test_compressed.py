"""Tile-compressed images: the same bits as astropy gives, whatever the method, the tiles and the types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from surveys.errors import BrokenImage
from surveys.fits.compressed import RiceReader, SectionReader, open_tiles, warm_up
from surveys.fits.source import Source
from surveys.image import ImageRecord
from surveys.kernels import rice as kernels
from surveys.sky.pixels import PixelBox
from tests.support.tiles import FileCatalog, cut, same_bits, sky, write_compressed

BOXES = (None, PixelBox(10, 30, 20, 50), PixelBox(77, 78, 33, 34), PixelBox(0, 120, 99, 100))


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    warm_up()


def reader_of(catalog: FileCatalog, record: ImageRecord) -> type[Any]:
    path = catalog.path(record)
    file = Source().open(path, record.file.size, record.file.mtime_ns)
    with open_tiles(record, PixelBox(0, 1, 0, 1), file) as reader:
        return type(reader)


def check(path: Path, reader: type[Any], **changes: Any) -> None:
    """Cut boxes of the image in extension 1, by mmap and by pread, and compare with astropy."""
    catalog = FileCatalog()
    record = catalog.add(path, 1, **changes)
    assert reader_of(catalog, record) is reader
    with fits.open(path, do_not_scale_image_data=True) as hdus:
        whole = np.asarray(hdus[1].section[...])
    for source in (Source("mmap"), Source("pread")):
        for box in BOXES:
            wanted = whole if box is None else whole[..., box.y0 : box.y1, box.x0 : box.x1]
            assert same_bits(cut(catalog, record, box, source).data, wanted)


@pytest.mark.parametrize("ztile", [(1, 120), (16, 120), (32, 32), (100, 1), (100, 120), (7, 50)])
@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4", "f8"])
def test_rice_in_tiles_of_any_shape(tmp_path: Path, ztile: tuple[int, int], dtype: str) -> None:
    path = write_compressed(
        tmp_path / "rice.fits", sky((100, 120), dtype), compression_type="RICE_1", tile_shape=ztile
    )
    check(path, RiceReader)


@pytest.mark.parametrize("method", [-1, 1, 2])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("ztile", [(1, 120), (32, 32), (100, 120)])
def test_quantised_floats_with_nan_and_zeros(
    tmp_path: Path, method: int, dtype: str, ztile: tuple[int, int]
) -> None:
    pixels = sky((100, 120), dtype)
    pixels[20:50, 5:40] = np.nan
    pixels[60], pixels[:, 70:90] = 0, 0
    # the seeds pass from the last random number to the first
    path = write_compressed(
        tmp_path / "rice.fits", pixels, compression_type="RICE_1", tile_shape=ztile,
        quantize_method=method, dither_seed=9990,
    )  # fmt: skip
    check(path, RiceReader)


def test_tiles_that_fell_back_to_gzip(tmp_path: Path) -> None:
    pixels = sky((100, 120))
    pixels[22] = 3.0
    pixels[30:40] = np.random.default_rng(4).normal(size=(10, 120)) * 1e30
    path = write_compressed(tmp_path / "rice.fits", pixels, compression_type="RICE_1")
    with fits.open(path, disable_image_compression=True) as hdus:
        assert any(len(cell) for cell in hdus[1].data["GZIP_COMPRESSED_DATA"])
    check(path, RiceReader)


@pytest.mark.parametrize("high", [2**31, 2**15, 3])
def test_incompressible_integers(tmp_path: Path, high: int) -> None:
    dtype = "i2" if high == 2**15 else "i4"
    pixels = np.random.default_rng(5).integers(-high, high, (100, 120), dtype="i8").astype(dtype)
    check(write_compressed(tmp_path / "rice.fits", pixels, compression_type="RICE_1"), RiceReader)


@pytest.mark.parametrize("ztile", [(1, 1, 1, 120), (2, 3, 16, 120), (1, 4, 100, 7)])
def test_cubes(tmp_path: Path, ztile: tuple[int, ...]) -> None:
    path = write_compressed(
        tmp_path / "cube.fits", sky((3, 4, 100, 120)), (), compression_type="RICE_1", tile_shape=ztile
    )
    check(path, RiceReader)


def test_axes_of_length_one_do_not_count(tmp_path: Path) -> None:
    path = write_compressed(
        tmp_path / "cube.fits", sky((1, 1, 1, 100, 120), "i2"), (), compression_type="RICE_1"
    )
    check(path, RiceReader)


def test_unsigned_integers_stay_as_stored(tmp_path: Path) -> None:
    check(
        write_compressed(tmp_path / "u2.fits", sky((100, 120), "u2"), compression_type="RICE_1"), RiceReader
    )


@pytest.mark.parametrize(
    ("method", "dtype", "options"),
    [
        ("GZIP_1", "i2", {}),
        ("GZIP_1", "f4", {}),
        ("GZIP_2", "i4", {}),
        ("GZIP_2", "f8", {}),
        ("PLIO_1", "i2", {}),
        ("NOCOMPRESS", "i2", {}),
        ("HCOMPRESS_1", "i2", {"tile_shape": (16, 120)}),
        ("HCOMPRESS_1", "f4", {"tile_shape": (100, 120)}),
        ("RICE_1", "f4", {"dither_seed": 10000, "quantize_method": 1}),
    ],
)
def test_every_other_method(tmp_path: Path, method: str, dtype: str, options: dict[str, Any]) -> None:
    path = write_compressed(tmp_path / "c.fits", sky((100, 120), dtype), compression_type=method, **options)
    check(path, RiceReader if method == "RICE_1" else SectionReader)


def test_plane_by_plane_is_the_same(tmp_path: Path) -> None:
    pixels = sky((6, 400, 500), "f4")
    path = write_compressed(tmp_path / "cube.fits", pixels, (), compression_type="RICE_1", quantize_level=0)
    catalog = FileCatalog()
    record = catalog.add(path, 1)
    with fits.open(path, do_not_scale_image_data=True) as hdus:
        assert same_bits(cut(catalog, record).data, hdus[1].data)


def rewritten(path: Path, change: Any) -> Path:
    """Write the table of a compressed image again with another header."""
    with fits.open(path, disable_image_compression=True) as hdus:
        change(hdus[1].header)
        hdus.writeto(path.with_name("rewritten.fits"))
    return path.with_name("rewritten.fits")


def other_table(pixels: NDArray[Any], rice: Path, rows: list[int]) -> fits.BinTableHDU:
    """Make the table of `rice` anew: `rows` in UNCOMPRESSED_DATA, and a ZBLANK for each tile."""
    with fits.open(rice, disable_image_compression=True) as hdus:
        old = hdus[1]
        packed = [
            old.data["COMPRESSED_DATA"][i] if i not in rows else np.empty(0, "u1")
            for i in range(len(old.data))
        ]
        raw = [pixels[i] if i in rows else np.empty(0, pixels.dtype) for i in range(len(old.data))]
        columns = [
            fits.Column("COMPRESSED_DATA", "PB()", array=np.array([*packed, None], object)[:-1]),
            fits.Column("UNCOMPRESSED_DATA", "PE()", array=np.array([*raw, None], object)[:-1]),
            fits.Column("ZSCALE", "1D", array=old.data["ZSCALE"]),
            fits.Column("ZZERO", "1D", array=old.data["ZZERO"]),
            # a tile begins with its first pixel as it is
            fits.Column(
                "ZBLANK", "1J", array=[int.from_bytes(p[:4].tobytes(), "big", signed=True) for p in packed]
            ),
        ]
        table = fits.BinTableHDU.from_columns(columns)
        for card in old.header.cards:
            if card.keyword.startswith("Z") and card.keyword not in ("ZSCALE", "ZZERO"):
                table.header.append(card)
    return table


def test_tiles_stored_uncompressed_and_blanks_of_each_tile(tmp_path: Path) -> None:
    pixels = sky((100, 120))
    rice = write_compressed(tmp_path / "rice.fits", pixels, compression_type="RICE_1")
    path = tmp_path / "mixed.fits"
    fits.HDUList([fits.PrimaryHDU(), other_table(pixels, rice, [0, 21, 33, 99])]).writeto(path)
    check(path, RiceReader)
    catalog = FileCatalog()
    data = cut(catalog, catalog.add(path, 1), PixelBox(0, 120, 20, 22)).data
    assert same_bits(data[1], pixels[21])
    assert np.isnan(data[0, 0])
    assert np.isfinite(data[0, 1:]).any()


def test_scale_and_zero_of_all_tiles_in_the_header(tmp_path: Path) -> None:
    """astropy reads them from columns alone; the true values are known here (FITS 4.0, 10.2)."""
    stored = np.random.default_rng(6).integers(-50, 50, (100, 120)).astype("i4")

    def quantised(header: fits.Header) -> None:
        header["ZBITPIX"], header["ZQUANTIZ"] = -32, "NO_DITHER"
        header["ZSCALE"], header["ZZERO"], header["ZBLANK"] = 0.25, 7.0, -50

    path = rewritten(write_compressed(tmp_path / "i4.fits", stored, compression_type="RICE_1"), quantised)
    catalog = FileCatalog()
    record = catalog.add(path, 1)
    assert reader_of(catalog, record) is RiceReader
    truth = np.where(stored == -50, np.nan, stored * 0.25 + 7.0).astype("f4")
    assert same_bits(cut(catalog, record, PixelBox(5, 50, 6, 90)).data, truth[6:90, 5:50])


def test_corrupt_tiles_break_their_cutouts_only(tmp_path: Path) -> None:
    path = write_compressed(tmp_path / "rice.fits", sky((100, 120), "i2"), compression_type="RICE_1")
    catalog = FileCatalog()
    record = catalog.add(path, 1)
    layout = record.ztiles
    assert layout is not None
    with fits.open(path, do_not_scale_image_data=True) as hdus:
        whole = hdus[1].data.copy()
    with path.open("rb+") as stream:
        stream.seek(layout.table_offset + 50 * layout.row_bytes)
        stream.write((3).to_bytes(4, "big"))
    record = catalog.accept(record)
    assert same_bits(cut(catalog, record, PixelBox(0, 120, 0, 50)).data, whole[:50])
    with pytest.raises(BrokenImage, match=r"^rice\.fits is corrupt: its tile 51 cannot be decoded\.$"):
        cut(catalog, record, PixelBox(0, 120, 0, 51))


def test_corrupt_fallbacks_are_broken(tmp_path: Path) -> None:
    pixels = sky((100, 120))
    pixels[22] = 3.0
    path = write_compressed(tmp_path / "rice.fits", pixels, compression_type="RICE_1")
    catalog = FileCatalog()
    record = catalog.add(path, 1)
    layout = record.ztiles
    assert layout is not None
    descriptor = layout.table_offset + 22 * layout.row_bytes + layout.columns["GZIP_COMPRESSED_DATA"][0]
    content = bytearray(path.read_bytes())
    content[descriptor : descriptor + 4] = (20).to_bytes(4, "big")
    path.write_bytes(content)
    record = catalog.accept(record)
    with pytest.raises(BrokenImage, match=r"^rice\.fits is corrupt: its tile 23 cannot be inflated\.$"):
        cut(catalog, record)
    content[descriptor : descriptor + 4] = bytes(4)
    path.write_bytes(content)
    with pytest.raises(BrokenImage, match=r"^rice\.fits is corrupt: its tile 23 has no data\.$"):
        cut(catalog, catalog.accept(record))
    assert cut(catalog, catalog.records[1], PixelBox(0, 120, 23, 100)).data.shape == (77, 120)


def test_a_heap_that_points_outside_of_the_file_is_broken(tmp_path: Path) -> None:
    path = write_compressed(tmp_path / "rice.fits", sky((100, 120), "i2"), compression_type="RICE_1")
    catalog = FileCatalog()
    record = catalog.add(path, 1)
    assert record.ztiles is not None
    with path.open("rb+") as stream:
        stream.seek(record.ztiles.table_offset + 4)
        stream.write((2**31 - 1).to_bytes(4, "big"))
    with pytest.raises(BrokenImage, match="shorter than its header says"):
        cut(catalog, catalog.accept(record))


@pytest.mark.parametrize("method", ["GZIP_1", "HCOMPRESS_1"])
def test_corrupt_bytes_of_other_methods_are_broken(tmp_path: Path, method: str) -> None:
    options: dict[str, Any] = {"tile_shape": (16, 120)} if method == "HCOMPRESS_1" else {}
    path = write_compressed(tmp_path / "c.fits", sky((100, 120), "i2"), compression_type=method, **options)
    catalog = FileCatalog()
    record = catalog.add(path, 1)
    assert record.ztiles is not None
    content = bytearray(path.read_bytes())
    content[record.ztiles.heap_offset : record.ztiles.heap_offset + 200] = bytes(200)
    path.write_bytes(content)
    with pytest.raises(BrokenImage, match=r"^c\.fits cannot be decompressed: it is corrupt\.$"):
        cut(catalog, catalog.accept(record))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    spread=st.sampled_from([1, 3, 40, 1000, 10**6, 2**31 - 1]),
    bytepix=st.sampled_from([1, 2, 4]),
    count=st.integers(1, 200),
    stop=st.floats(0, 1),
)
def test_the_kernel_and_its_twin_decode_what_was_encoded(
    seed: int, spread: int, bytepix: int, count: int, stop: float
) -> None:
    width = 8 * bytepix
    spread = min(spread, 2 ** (width - 1) - 1)
    values = np.random.default_rng(seed).integers(-spread, spread + 1, count)
    values = values % 256 if bytepix == 1 else values
    data = encoded(values.tolist(), 16, bytepix)
    wanted = max(1, int(stop * count))
    buffer = np.frombuffer(data, np.uint8)
    scratch = np.zeros(count, np.int32)
    assert kernels._rice(buffer, 0, len(data), 16, bytepix, scratch, wanted)
    np.testing.assert_array_equal(scratch[:wanted], values[:wanted])
    assert not scratch[wanted:].any()
    np.testing.assert_array_equal(kernels.rice_plain(data, wanted, 16, bytepix), values[:wanted])
    assert not kernels._rice(buffer, 0, len(data) - 1, 16, bytepix, scratch, count)


def encoded(values: list[int], blocksize: int, bytepix: int) -> bytes:
    """Encode as FITS 4.0, section 10.4.1, says; a slow Rice encoder for tests."""
    width = 8 * bytepix
    code_bits, plain = {4: (5, 25), 2: (4, 14), 1: (3, 6)}[bytepix]
    bits, last = f"{values[0] % 2**width:0{width}b}", values[0]
    for start in range(0, len(values), blocksize):
        folded = []
        for value in values[start : start + blocksize]:
            change = (value - last + 2 ** (width - 1)) % 2**width - 2 ** (width - 1)
            folded.append(2 * change if change >= 0 else -2 * change - 1)
            last = value
        split = min(max(0, (sum(folded) // len(folded) + 1).bit_length() - 1), plain)
        if not any(folded):
            bits += "0" * code_bits
        elif split >= plain:
            bits += f"{plain + 1:0{code_bits}b}" + "".join(f"{f:0{width}b}" for f in folded)
        else:
            bits += f"{split + 1:0{code_bits}b}"
            for f in folded:
                bits += "0" * (f >> split) + "1" + (f"{f % 2**split:0{split}b}" if split else "")
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def test_the_random_numbers_are_those_of_the_standard() -> None:
    values = kernels.random_values()
    assert len(values) == 10000
    # FITS 4.0, appendix I: the seed is 1043618065 after the last number
    assert values[-1] == np.float32(1043618065 / 2147483647)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 30_000),
    count=st.integers(1, 25_000),
    first=st.floats(0, 1),
    dither=st.sampled_from([kernels.NO_DITHER, kernels.DITHER_1, kernels.DITHER_2]),
    blank=st.sampled_from([None, 5]),
)
def test_values_from_any_pixel_on_are_those_of_the_twin(
    seed: int, count: int, first: float, dither: int, blank: int | None
) -> None:
    stored = (np.arange(count) % 11).astype(np.int32)
    stored[::7] = kernels.ZERO_VALUE
    start = min(int(first * count), count - 1)
    out = np.empty(count - start)
    blanks = np.array([] if blank is None else [blank], np.int64)
    kernels._dequantise(stored[start:], 0.3, 2.0, blanks, dither, kernels.random_values(), seed, start, out)
    np.testing.assert_array_equal(
        out, kernels.dequantise_plain(stored, 0.3, 2.0, blank, dither, seed)[start:]
    )
