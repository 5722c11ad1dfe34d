"""Every stamp of the real lakes is read as pyarrow reads it."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from surveys.lake import Columns, Lake
from surveys.parquet.footer import open_footer
from surveys.parquet.pages import ColumnPages, column_pages
from surveys.parquet.source import LakeSource

DATA = Path(__file__).parents[3].parent / "shared" / "data"
LAKES = {"alerts_rubin": 1, "alerts_ztf_fink_2021": 1, "alerts_ztf_fink_raw": 2}
NAMES = [[f"cutout{kind}.stampData", f"cutout{kind}"] for kind in ("Science", "Template", "Difference")]
COLUMNS = Columns(*[("x",)] * 6)

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real images are not here")


@pytest.mark.parametrize("folder", LAKES)
def test_every_stamp_is_as_pyarrow_reads_it(folder: str) -> None:
    lake = Lake(str(DATA / folder), "**/*.parquet", COLUMNS, ())
    source = LakeSource()
    files = list(source.files(lake).walk())
    assert len(files) == LAKES[folder]
    for file in files:
        table = pq.read_table(DATA / folder / file.path, partitioning=None)
        key = (lake, file.path, file.size, file.version)
        reader = source.files(lake).open(*key[1:])
        footer = open_footer(reader)
        for names in NAMES:
            leaf = footer.find(names)
            assert leaf is not None
            pages = ColumnPages.unpack(column_pages(reader, footer, leaf.name).pack())
            column, _, field = leaf.name.partition(".")
            wanted = [row[field] if field else row for row in table.column(column).to_pylist()]
            assert source.values(*key, pages, range(footer.rows)) == wanted
            assert [LakeSource().value(*key, pages, row) for row in range(footer.rows)] == wanted
            assert footer.read([leaf.name])[leaf.name].to_pylist() == wanted
