"""A footer tells the columns of a file, and reads those of names, places and times as pyarrow does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from surveys.parquet.files import LakeFiles
from surveys.parquet.footer import BYTE_ARRAY, Footer, Leaf, open_footer
from tests.surveys.parquet.lakes import lake_of

CELLS = [None if i % 5 == 0 else {"jd": None if i % 7 == 0 else i * 1.5, "id": {"no": i}} for i in range(100)]


@pytest.fixture
def footer(tmp_path: Path) -> Footer:
    required = pa.field("objectId", pa.string(), nullable=False)
    kind = pa.struct(
        [("jd", pa.float64()), pa.field("id", pa.struct([pa.field("no", pa.int64(), nullable=False)]))]
    )
    schema = pa.schema([required, ("candidate", kind), ("past", pa.list_(pa.binary())), ("a.b", pa.int8())])
    columns = {
        "objectId": [f"ZTF{i}" for i in range(100)],
        "candidate": CELLS,
        "past": [[b"x"] * (i % 3) for i in range(100)],
        "a.b": [i % 50 for i in range(100)],
    }
    pq.write_table(pa.table(columns, schema), tmp_path / "a.parquet", row_group_size=30)
    files = LakeFiles(lake_of(tmp_path))
    file = files.find("a.parquet")
    return open_footer(files.open(file.path, file.size, file.version))


def test_columns_are_told_by_their_paths_through_structures(footer: Footer) -> None:
    assert (footer.rows, footer.row_groups) == (100, 4)
    assert [footer.group_rows(group) for group in range(4)] == [30, 30, 30, 10]
    assert footer.leaves["objectId"] == Leaf("objectId", 0, BYTE_ARRAY, 0, False)
    assert footer.leaves["candidate.jd"] == Leaf("candidate.jd", 1, 5, 2, False)
    assert footer.leaves["candidate.id.no"] == Leaf("candidate.id.no", 2, 2, 2, False)
    assert footer.leaves["past.list.element"] == Leaf("past.list.element", 3, BYTE_ARRAY, 3, True)
    assert list(footer.leaves)[4:] == ["a.b"]


def test_columns_are_read_null_where_their_structures_are(footer: Footer) -> None:
    found = footer.read(["candidate.jd", "candidate.id.no", "objectId", "a.b"])
    assert found["objectId"].to_pylist() == [f"ZTF{i}" for i in range(100)]
    assert found["a.b"].to_pylist() == [i % 50 for i in range(100)]
    assert found["candidate.jd"].to_pylist() == [cell and cell["jd"] for cell in CELLS]
    assert found["candidate.id.no"].to_pylist() == [cell and cell["id"]["no"] for cell in CELLS]
    assert footer.read_group("objectId", 3).to_pylist() == [f"ZTF{i}" for i in range(90, 100)]
    assert footer.read([]) == {}


def test_a_file_without_rows_has_none(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([], pa.binary())}), tmp_path / "a.parquet")
    files = LakeFiles(lake_of(tmp_path))
    file = files.find("a.parquet")
    found = open_footer(files.open(file.path, file.size, file.version))
    assert (found.rows, len(found.read(["a"])["a"])) == (0, 0)


def test_pyarrow_is_loaded_when_it_is_needed_and_missed_by_name() -> None:
    program = """
import sys
import surveys.parquet.source, surveys.declaration
assert not [name for name in sys.modules if name.startswith(("pyarrow", "fsspec", "s3fs"))]
sys.modules["pyarrow"] = None
from surveys.errors import SurveyError
from surveys.parquet.arrow import pyarrow
try:
    pyarrow()
except SurveyError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("pyarrow is not installed (pip install 'sodafountain[parquet]')")
