"""Whatever way pyarrow writes a column of bytes, its values are read as pyarrow reads them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from surveys.errors import StaleImage
from surveys.parquet.source import LakeSource
from tests.surveys.parquet.lakes import lake_of, pages_of, read_values

CODECS = ("none", "snappy", "gzip", "zstd", "lz4", "brotli")
ROWS = 150


def some_bytes(nulls: str, repeated: bool, seed: int) -> list[bytes | None]:
    """Values of many lengths, 0 among them, with nulls or without; few of them again and again, or many."""
    rng = np.random.default_rng(seed)
    made: list[bytes | None] = [
        rng.bytes(int(size)) for size in rng.integers(0, 300, 12 if repeated else ROWS)
    ]
    values = [made[i % len(made)] for i in rng.permutation(ROWS)]
    if nulls == "some":
        return [value if rng.random() > 0.3 else None for value in values]
    return [None] * ROWS if nulls == "all" else values


def column_of(values: list[bytes | None], nested: str) -> pa.Table:
    kind = pa.binary()
    required = None not in values
    if nested == "flat":
        return pa.table([pa.array(values, kind)], pa.schema([pa.field("stamp", kind, nullable=not required)]))
    # Every seventh row has no structure at all.
    inner = pa.field("data", kind, nullable=not required)
    cells = [{"data": value} for value in values]
    field = pa.field("stamp", pa.struct([inner]), nullable=nested == "in a structure or null")
    if field.nullable:
        cells = [None if row % 7 == 3 else cell for row, cell in enumerate(cells)]  # type: ignore[misc]
    return pa.table([pa.array(cells, field.type)], pa.schema([field]))


@pytest.mark.parametrize("nested", ["flat", "in a structure", "in a structure or null"])
@pytest.mark.parametrize(("codec", "version"), [*product(CODECS, ("1.0", "2.0"))])
def test_values_are_read_as_pyarrow_reads_them(tmp_path: Path, codec: str, version: str, nested: str) -> None:
    name = "stamp" if nested == "flat" else "stamp.data"
    for number, (nulls, repeated, group, page) in enumerate(
        product(("none", "some", "all"), (True, False), (ROWS, 64), (1 << 20, 1000))
    ):
        table = column_of(some_bytes(nulls, repeated, number), nested)
        options: dict[str, Any] = {
            "compression": codec,
            "data_page_version": version,
            "row_group_size": group,
        }
        options |= {"use_dictionary": repeated, "data_page_size": page, "write_batch_size": 16}
        options |= {"write_page_checksum": bool(number % 2)}
        pq.write_table(table, tmp_path / "a.parquet", **options)
        rows = pq.read_table(tmp_path / "a.parquet").column("stamp").to_pylist()
        wanted = rows if nested == "flat" else [None if row is None else row["data"] for row in rows]
        source, lake = LakeSource(), lake_of(tmp_path)
        assert read_values(source, lake, "a.parquet", name) == wanted
        assert (pages_of(source, lake, "a.parquet", name).lengths > 0).all(), "each page is read by itself"


def test_threads_read_the_same_pages_at_once(tmp_path: Path) -> None:
    values = some_bytes("some", False, 1) * 20
    options: dict[str, Any] = {"row_group_size": 300, "data_page_size": 2000, "write_batch_size": 8}
    pq.write_table(column_of(values, "flat"), tmp_path / "a.parquet", use_dictionary=False, **options)
    source, lake = LakeSource(), lake_of(tmp_path)
    pages = pages_of(source, lake, "a.parquet", "stamp")
    file = source.files(lake).find("a.parquet")

    def read(row: int) -> bool:
        found = source.value(lake, file.path, file.size, file.version, pages, row)
        return found == values[row]

    rows = [int(row) for row in np.random.default_rng(1).integers(0, len(values), 3000)]
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, rows))


def test_a_row_that_there_is_none_of_means_another_file(tmp_path: Path) -> None:
    pq.write_table(pa.table({"stamp": [b"x"]}), tmp_path / "a.parquet")
    for row in (-1, 1):
        with pytest.raises(StaleImage, match=r"^a\.parquet has no such row"):
            read_values(LakeSource(), lake_of(tmp_path), "a.parquet", "stamp", [row])


def test_other_lakes_of_the_same_name_are_other_lakes(tmp_path: Path) -> None:
    source = LakeSource()
    one, other = lake_of(tmp_path), lake_of(tmp_path, known_as=("hdfs://host/x",))
    assert source.files(one) is source.files(one) is source.files(lake_of(tmp_path))
    assert source.files(other).confine("hdfs://host/x/a.parquet") == "a.parquet"
