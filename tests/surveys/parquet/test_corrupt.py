"""Whatever a file holds, its values are what pyarrow reads, or there is an error that says what is wrong."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from surveys.errors import BrokenImage, ImageRefused
from surveys.parquet.chunk import MOST_UNPACKED, Chunk, walk_pages
from surveys.parquet.codecs import CODECS, UNCOMPRESSED, unpack
from surveys.parquet.footer import open_footer
from surveys.parquet.pages import ColumnPages, column_pages
from surveys.parquet.runs import Runs
from surveys.parquet.source import LakeSource
from surveys.parquet.thrift import Malformed, PageHeader, read_page_header
from surveys.parquet.values import Page, open_page
from tests.surveys.parquet.lakes import lake_of, pages_of, read_values

DATA = Path(__file__).parents[3].parent / "shared" / "data"
SMALL = "alerts_ztf_fink_raw/year=2020/month=01/day=01/part-00001.snappy.parquet"
RUBIN = "alerts_rubin/rubin_sample_v10_0.parquet"


class Held:
    """A file that is but bytes."""

    name = "a.parquet"
    is_remote = False

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def read(self, offset: int, size: int) -> bytes:
        if not 0 <= offset <= offset + size <= self.size:
            raise BrokenImage(f"{self.name} is shorter than it says.")
        return self.data[offset : offset + size]


def written(tmp_path: Path, values: list[bytes | None], **options: Any) -> Path:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"stamp": pa.array(values, pa.binary())}), path, **options)
    return path


def by_pyarrow(data: bytes, column: str) -> list[bytes | None] | None:
    """What pyarrow reads; None where it cannot."""
    name, _, field = column.partition(".")
    try:
        values = pq.ParquetFile(pa.BufferReader(data)).read(columns=[column]).column(name).to_pylist()
    except (OSError, ValueError, KeyError, pa.ArrowException):
        return None
    return [value[field] if field and value is not None else value for value in values]


def by_us(root: Path, data: bytes, column: str) -> list[bytes | None]:
    (root / "b.parquet").write_bytes(data)
    return read_values(LakeSource(), lake_of(root), "b.parquet", column)


def said(error: Exception, folder: Path) -> str:
    """What an error says, which must not be where files are."""
    assert str(folder) not in str(error)
    return str(error)


@pytest.mark.skipif(not DATA.is_dir(), reason="the real images are not here")
@pytest.mark.parametrize(("real", "column"), [(SMALL, "cutoutScience.stampData"), (RUBIN, "cutoutScience")])
def test_a_real_file_with_changed_bits_is_read_as_pyarrow_reads_it_or_refused(
    tmp_path: Path, real: str, column: str
) -> None:
    whole = (DATA / real).read_bytes()
    chosen = random.Random(20)
    chunk = open_footer(Held(whole)).chunk(column, 0)
    refused = 0
    # Most of the bits that mean something stand at the beginning of pages, and in the footer.
    for trial in range(120):
        data = bytearray(whole)
        near = (chunk.offset, chunk.offset + 200) if trial % 3 else (len(whole) - 60_000, len(whole))
        for _ in range(chosen.randint(1, 3)):
            data[chosen.randrange(*near)] ^= 1 << chosen.randrange(8)
        try:
            values = by_us(tmp_path, bytes(data), column)
        except (BrokenImage, ImageRefused) as error:
            refused += len(said(error, tmp_path)) > 0
            continue
        judged = by_pyarrow(bytes(data), column)
        assert judged is None or values == judged
    assert 10 < refused < 115


@pytest.mark.skipif(not DATA.is_dir(), reason="the real images are not here")
def test_a_real_file_cut_short_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    whole = (DATA / SMALL).read_bytes()
    chosen = random.Random(21)
    for size in [0, 1, 4, 8, 11, 12, len(whole) - 1, *(chosen.randrange(len(whole)) for _ in range(40))]:
        with pytest.raises(BrokenImage, match=r"^b\.parquet (is too short to be|is not) Parquet"):
            by_us(tmp_path, whole[:size], "cutoutScience.stampData")


def test_pages_with_changed_bits_are_read_as_pyarrow_reads_them_or_refused(tmp_path: Path) -> None:
    """Also where nothing but the page tells of it: the footer is not read again."""
    chosen = random.Random(22)
    refused = 0
    values = [
        chosen.randbytes(chosen.randrange(40)) if chosen.random() > 0.2 else None for _ in range(60)
    ] * 2
    for codec in ("none", "snappy", "gzip", "zstd", "lz4", "brotli"):
        for version in ("1.0", "2.0"):
            path = written(tmp_path, values, compression=codec, data_page_version=version)
            whole = path.read_bytes()
            footer = open_footer(Held(whole))
            pages = column_pages(Held(whole), footer, "stamp")
            chunk = footer.chunk("stamp", 0)
            for _ in range(30):
                data = bytearray(whole)
                data[chosen.randrange(chunk.offset, chunk.offset + chunk.size)] ^= 1 << chosen.randrange(8)
                (tmp_path / "b.parquet").write_bytes(data)
                source, lake = LakeSource(), lake_of(tmp_path)
                file = source.files(lake).find("b.parquet")
                try:
                    found = source.values(lake, file.path, file.size, file.version, pages, range(120))
                except BrokenImage as error:
                    refused += len(said(error, tmp_path)) > 0
                    continue
                judged = by_pyarrow(bytes(data), "stamp")
                assert judged is None or found == judged
    assert 50 < refused < 300


def test_a_page_with_a_checksum_that_is_not_its_own_is_refused(tmp_path: Path) -> None:
    path = written(
        tmp_path, [b"x" * 5000], compression="none", use_dictionary=False, write_page_checksum=True
    )
    whole = path.read_bytes()
    assert by_us(tmp_path, whole, "stamp") == [b"x" * 5000]
    with pytest.raises(BrokenImage, match=r"^b\.parquet is corrupt: a page is not what it says\.$"):
        by_us(tmp_path, whole.replace(b"x" * 5000, b"x" * 4999 + b"y"), "stamp")


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (b"PARE", "is encrypted"),
        (b"JUNK", "is not Parquet, or cut short"),
        (struct.pack("<I", 1 << 31) + b"PAR1", "its footer has 2147483648 bytes"),
        (struct.pack("<I", 17) + b"PAR1", "its footer cannot be read"),
    ],
)
def test_a_footer_that_is_none_is_refused(tail: bytes, reason: str) -> None:
    with pytest.raises(BrokenImage, match=rf"^a\.parquet .*{reason}"):
        open_footer(Held(b"PAR1" + bytes(200) + tail))


def test_a_file_with_other_columns_is_refused(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"a": [1, 2], "b": [[b"x"], [b"y", b"z"]], "c": [b"x", b"y"]}), tmp_path / "a.parquet"
    )
    held = Held((tmp_path / "a.parquet").read_bytes())
    footer = open_footer(held)
    assert footer.find(["stamp", "c"]) == footer.leaves["c"]
    assert footer.find(["stamp"]) is None
    for column, reason in {"stamp": "it has no column stamp", "a": "is not one of bytes"}.items():
        with pytest.raises(ImageRefused, match=reason):
            column_pages(held, footer, column)
    lists = next(name for name in footer.leaves if name.startswith("b."))
    with pytest.raises(ImageRefused, match="is not one of bytes"):
        column_pages(held, footer, lists)
    with pytest.raises(ImageRefused, match="is one of lists"):
        footer.read(["a", lists])
    with pytest.raises(ImageRefused, match="it has no column stamp"):
        footer.read(["stamp"])


def header(kind: int, unpacked: int, stored: int, values: int, encoding: int = 0) -> bytes:
    """A header of a page in Thrift's compact protocol."""

    def number(value: int) -> bytes:
        value, out = value * 2 if value >= 0 else -2 * value - 1, b""
        while value > 0x7F:
            value, out = value >> 7, out + bytes([value & 0x7F | 0x80])
        return out + bytes([value])

    own = b"\x15" + number(values) + b"\x15" + number(encoding) + b"\x15\x06\x15\x06\x00"
    start = b"\x15" + number(kind) + b"\x15" + number(unpacked) + b"\x15" + number(stored)
    return start + {0: b"\x2c", 2: b"\x4c"}[kind] + own + b"\x00"


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (header(0, 1 << 32, 10, 5), "a page has more than 128 MB"),
        (header(0, MOST_UNPACKED + 1, 10, 5), "a page has more than 128 MB"),
        (header(0, 10, 1 << 32, 5), "a page reaches beyond its column"),
        (header(0, 10, 10, 50), "its pages have more values than its column"),
        (header(0, 10, 10, -5), "there is no page where one should be"),
        (header(0, 10, 0, 0) * 100, "its pages have no values"),
        (b"\x15\x00\x15\x02", "there is no page where one should be"),
        (b"\xff" * 100, "there is no page where one should be"),
        (b"\x1c" * 100, "there is no page where one should be"),
    ],
)
def test_pages_that_cannot_be_are_refused_before_memory_is_taken(page: bytes, reason: str) -> None:
    data = page + bytes(20)
    with pytest.raises(BrokenImage, match=reason):
        list(walk_pages(Held(data), Chunk(0, 0, len(data), 5, 5, 1)))


def test_a_header_is_read_to_its_end() -> None:
    whole = header(0, 1000, 500, 7, 8)
    assert read_page_header(whole + b"rest") == PageHeader(
        0, len(whole), 500, 1000, None, 7, 8, 3, 0, 0, True
    )
    for size in range(len(whole)):
        assert read_page_header(whole[:size]) is None


@pytest.mark.parametrize("codec", [codec for codec in CODECS if codec != UNCOMPRESSED])
def test_what_unpacks_to_another_size_is_refused(codec: int) -> None:
    """Above all to a smaller one, where the rest of the memory would be whatever it was."""
    name = {1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}[codec]
    content = b"some bytes, some bytes, some bytes" * 20
    stored = memoryview(pa.Codec(name).compress(content, asbytes=True))
    assert bytes(unpack(codec, stored, len(content))) == content
    for size in (0, 1, len(content) - 1, len(content) + 1, 100 * len(content)):
        if size:
            with pytest.raises(Malformed):
                unpack(codec, stored, size)
    with pytest.raises(Malformed):
        unpack(codec, memoryview(b"\xff" * 50), 100)


def wrong_values() -> list[tuple[str, Callable[[], object]]]:
    word = struct.Struct("<I").pack
    plain = memoryview(word(1) + b"a" + word(1) + b"b")
    places = memoryview(bytes([2, 2 << 1, 5]))
    long = header(0, len(plain), len(plain), 3)
    return [
        ("fewer values than rows", lambda: Page(plain, 3)),
        ("a value beyond the page", lambda: Page(memoryview(word(1 << 31) + b"a"), 1)),
        ("more rows than the page can have", lambda: Page(memoryview(b"abcd"), 1 << 31)),
        ("a place beyond the page", lambda: Page(plain, 2).value(2)),
        ("fewer places than rows", lambda: Page(places, 3, by_place=True)),
        ("places of 64 bits", lambda: Page(memoryview(b"\x40\x02"), 1, by_place=True)),
        ("another encoding", lambda: open_page(header(0, 9, 9, 1, 7) + bytes(9), _head(9, 7), 0, 0)),
        ("levels beyond the page", lambda: open_page(long + bytes(plain), _head(len(plain), 0), 0, 1)),
        ("a run of none", lambda: Runs(memoryview(b"\x00\x00"), 1, 1)),
        ("a length without end", lambda: Runs(memoryview(b"\xff" * 20), 1, 1)),
        ("runs that end too soon", lambda: Runs(memoryview(b"\x03"), 8, 8)),
    ]


def _head(size: int, encoding: int) -> PageHeader:
    found = read_page_header(header(0, size, size, 1, encoding))
    assert found is not None
    return found


@pytest.mark.parametrize(("what", "make"), wrong_values())
def test_values_that_are_not_there_are_refused(what: str, make: Callable[[], object]) -> None:
    with pytest.raises(Malformed):
        make()


def test_what_pages_are_packed_into_is_read_back_or_refused(tmp_path: Path) -> None:
    written(tmp_path, [b"x", None] * 500, row_group_size=300, data_page_size=100, write_batch_size=10)
    packed = pages_of(LakeSource(), lake_of(tmp_path), "a.parquet", "stamp").pack()
    assert ColumnPages.unpack(packed).pack() == packed
    for data in (b"", packed[:-4], packed[:10], b"\x02" + packed[1:], packed[:6] + b"\xff" * 10):
        with pytest.raises(ValueError, match="these are no pages of a column"):
            ColumnPages.unpack(data)


@pytest.mark.parametrize("encoding", ["DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"])
def test_other_encodings_are_read_by_row_groups(tmp_path: Path, encoding: str) -> None:
    values: list[bytes | None] = [bytes([i % 7]) * (i % 50) if i % 11 else None for i in range(1000)]
    written(tmp_path, values, row_group_size=300, use_dictionary=False, column_encoding={"stamp": encoding})
    source, lake = LakeSource(), lake_of(tmp_path)
    assert pages_of(source, lake, "a.parquet", "stamp").lengths.tolist() == [0] * 4
    assert read_values(source, lake, "a.parquet", "stamp") == values
    assert read_values(source, lake, "a.parquet", "stamp", [5, 299, 300, 999]) == [
        values[row] for row in (5, 299, 300, 999)
    ]


def test_other_kinds_of_bytes_are_read(tmp_path: Path) -> None:
    texts = pa.array(["a", None, "ü"])
    table = pa.table({"fixed": pa.array([b"abcd", None, b"efgh"], pa.binary(4)), "text": texts})
    pq.write_table(table, tmp_path / "a.parquet")
    source, lake = LakeSource(), lake_of(tmp_path)
    assert read_values(source, lake, "a.parquet", "fixed") == [b"abcd", None, b"efgh"]
    assert read_values(source, lake, "a.parquet", "text") == [b"a", None, "ü".encode()]
