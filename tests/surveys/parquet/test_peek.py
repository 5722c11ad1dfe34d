"""One value of a large page is found without the page being unpacked, and is the value that is there."""

from __future__ import annotations

import os
import random
import zlib
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from surveys.errors import BrokenImage, StaleImage
from surveys.kernels import snappy
from surveys.parquet.files import LakeFiles
from surveys.parquet.source import LakeSource
from tests.surveys.parquet.lakes import lake_of, pages_of, read_values

KINDS = ("noise", "repeated", "headers", "zeros", "short")


def some_values(kind: str, count: int = 80) -> list[bytes]:
    """Bytes that compress not at all, very well, here and there; and some of no length."""
    chosen = random.Random(kind)
    if kind == "noise":
        return [chosen.randbytes(chosen.randrange(20_000)) for _ in range(count)]
    if kind == "repeated":
        return [bytes([i % 7]) * chosen.randrange(30_000) for i in range(count)]
    if kind == "headers":
        cards = b"".join(b"%-80s" % b"CARD%d  = %d" % (i, i) for i in range(36))
        return [cards + chosen.randbytes(9000) + bytes(2000) + cards[:500] for _ in range(count)]
    if kind == "zeros":
        return [bytes(chosen.choice([0, 3, 65536, 200_000])) for _ in range(count)]
    return [zlib.compress(chosen.randbytes(chosen.randrange(30)) * 9) for _ in range(count * 150)]


def sparse(values: list[bytes], kind: str) -> list[bytes | None]:
    chosen = random.Random(kind)
    return [value if chosen.random() > 0.2 else None for value in values]


def write(folder: Path, values: list[Any], **options: Any) -> None:
    column = pa.array(values, pa.binary())
    table = pa.table([column], pa.schema([pa.field("stamp", pa.binary(), nullable=None in values)]))
    pq.write_table(table, folder / "a.parquet", data_page_size=64 << 20, **options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("codec", "version"), [*product(("snappy", "none"), ("1.0", "2.0"))])
def test_a_value_is_found_wherever_it_is(tmp_path: Path, kind: str, codec: str, version: str) -> None:
    for has_nulls, dictionary in product((False, True), repeat=2):
        values: list[Any] = some_values(kind)
        if has_nulls:
            values = sparse(values, kind)
        options: dict[str, Any] = {"compression": codec, "data_page_version": version}
        options |= {"use_dictionary": dictionary, "dictionary_pagesize_limit": 64 << 20}
        write(tmp_path, values, **options)
        lake = lake_of(tmp_path)
        pages = pages_of(LakeSource(), lake, "a.parquet", "stamp")
        file = LakeFiles(lake).find("a.parquet")
        rows = [0, 1, len(values) // 2, len(values) - 2, len(values) - 1]
        for row in rows + random.Random(kind).sample(range(len(values)), 5):
            for is_mapped in (False, True):
                source = LakeSource(is_mapped=is_mapped)
                assert source.value(lake, file.path, file.size, file.version, pages, row) == values[row]


def test_a_mapped_file_that_changes_is_noticed(tmp_path: Path) -> None:
    values = some_values("noise")
    write(tmp_path, values, compression="snappy", use_dictionary=False)
    lake, source = lake_of(tmp_path), LakeSource(is_mapped=True)
    file = LakeFiles(lake).find("a.parquet")
    known = (lake, file.path, file.size, file.version, pages_of(source, lake, "a.parquet", "stamp"))
    assert source.value(*known, 17) == values[17]
    reader = source.files(lake).open(*known[1:4])
    os.utime(tmp_path / "a.parquet", ns=(1, 1))
    with pytest.raises(StaleImage):
        reader.view(0, 8)
    with pytest.raises(StaleImage):
        source.value(*known, 18)
    with pytest.raises(BrokenImage):
        reader.view(file.size - 4, 8)


def test_single_values_are_found_without_all_being_unpacked_and_many_by_that(tmp_path: Path) -> None:
    values = some_values("noise")
    for codec in ("snappy", "none"):
        write(tmp_path, values, compression=codec, use_dictionary=False)
        lake, source = lake_of(tmp_path), LakeSource()
        assert read_values(source, lake, "a.parquet", "stamp", [17]) == [values[17]]
        assert read_values(source, lake, "a.parquet", "stamp", [70]) == [values[70]]
        assert not source.pages._values
        assert read_values(source, lake, "a.parquet", "stamp", [17]) == [values[17]], "wanted again and again"
        assert len(source.pages._values) == 1
        source = LakeSource()
        assert read_values(source, lake, "a.parquet", "stamp", [3, 4, 5]) == values[3:6]
        assert len(source.pages._values) == 1
        write(tmp_path, values * 3, compression=codec, use_dictionary=False, row_group_size=80)
        source = LakeSource()
        few = [3, 83, 84, 85, 163, 164]
        assert read_values(source, lake, "a.parquet", "stamp", few) == [values[row % 80] for row in few]
        assert len(source.pages._values) == 1, "of the page of which three are wanted"


def test_where_lengths_lie_is_as_the_plain_twin_says() -> None:
    values = some_values("headers", 30)
    unpacked = b"".join(len(value).to_bytes(4, "little") + value for value in values)
    packed = pa.Codec("snappy").compress(unpacked, asbytes=True)
    head = next(at for at, byte in enumerate(packed) if byte < 0x80) + 1
    data = np.frombuffer(packed, np.uint8)[head:]
    room = np.zeros(snappy.PART, np.int64)
    for place in range(30):
        state = snappy.new_state(place)
        parts = np.zeros(-(-len(unpacked) // snappy.PART) + 1, np.int64)
        parts[-1] = len(data)
        done = snappy.find_value(data, len(data), len(unpacked), 0, state, parts, room, room.copy())
        assert done == snappy.FOUND
        found = (int(state[snappy.BEGIN]), int(state[snappy.END]))
        assert found == snappy.find_value_plain(unpacked, place)


def test_changed_bits_lead_to_the_value_or_to_an_error(tmp_path: Path) -> None:
    """And nowhere else: the kernel looks at no byte that is not there."""
    values = some_values("headers")
    write(tmp_path, values, compression="snappy", use_dictionary=False)
    lake, whole = lake_of(tmp_path), (tmp_path / "a.parquet").read_bytes()
    pages = pages_of(LakeSource(), lake, "a.parquet", "stamp")
    chosen, right, refused = random.Random(5), 0, 0
    start = int(pages.offsets[0])
    for trial in range(100):
        data = bytearray(whole)
        for _ in range(5):
            place = start + chosen.randrange(3000 if trial % 2 else len(whole) - start - 3000)
            data[place] ^= 1 << chosen.randrange(8)
        (tmp_path / "a.parquet").write_bytes(data)
        row = chosen.randrange(len(values))
        file = LakeFiles(lake).find("a.parquet")
        try:
            found = LakeSource().value(lake, file.path, file.size, file.version, pages, row)
        except BrokenImage:
            refused += 1
            continue
        right += found == values[row]
    assert right > 30
    assert refused > 10
