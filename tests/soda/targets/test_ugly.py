"""Tables as people have them are read without a word of theirs, or refused with the line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from soda.targets import UploadRefused
from tests.soda.targets.support import read
from tests.soda.targets.ugly import M31, N4030, UGLY, Ugly

#: Those that cannot be read: whoever writes without saying in which letters leaves it to be guessed.
REFUSED = {"Latin letters of Windows": "targets, line 2: the text is not UTF-8"}
ARCSEC = 1 / 3600


@pytest.mark.parametrize("ugly", UGLY, ids=lambda ugly: ugly.what)
def test_a_table_of_real_life(ugly: Ugly, tmp_path: Path) -> None:
    if sentence := REFUSED.get(ugly.what):
        with pytest.raises(UploadRefused, match=sentence):
            read(tmp_path / ugly.name, ugly.text)
        return
    table = read(tmp_path / ugly.name, ugly.text)
    right = np.flatnonzero(~np.isnan(table.ra_deg))
    assert tuple(table.ids[row] for row in right) == ugly.ids
    np.testing.assert_allclose(table.ra_deg[right], [M31[0], N4030[0]], atol=ARCSEC)
    np.testing.assert_allclose(table.dec_deg[right], [M31[1], N4030[1]], atol=ARCSEC)
    assert len(table) - len(right) == ugly.rejected
    assert all(fault.line for fault in table.faults if not fault.is_warning)


def test_most_of_them_are_read() -> None:
    assert len(UGLY) == 40
    assert len(REFUSED) <= 2


def test_what_only_looks_like_names_is_none(tmp_path: Path) -> None:
    # A remark with a number names no columns, and rows do not become a title.
    table = read(tmp_path / "a.txt", "# 1 Jan 2026, clear\n10.5 2.5\n11 3\n")
    assert table.ra_deg.tolist() == [10.5, 11]
    table = read(tmp_path / "b.csv", "x,y,note\n10.5,2.5,\n1,2,ra\n3,4,dec\n", "ra:x,dec:y")
    assert table.ra_deg.tolist() == [10.5, 1, 3]
    # Rows that are longer than the names are no rows with numbers.
    with pytest.raises(UploadRefused, match="the row has 4 values; there are 3 columns"):
        read(tmp_path / "c.txt", "name ra dec\nNGC 1 1.5 2.5\nNGC 2 2.5 3.5\n")
