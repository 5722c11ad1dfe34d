"""Small lakes of alerts beside the surveys of `tests.support.service`, for lists."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.alerts import KINDS, MadeAlert, alerts_table, write_lake

#: Alerts of the lake `ztf`: as many files, and so many of one object in a row.
ALERTS, FILES, EPOCHS = 60, 2, 3
#: One more, in a file of its own, whose Science stamp is no gzip.
BROKEN = MadeAlert(ALERTS, EPOCHS)

_BANDS = """
pixel_scale = 1.01
stamp_radius = 32.0
orientation = "flip-y"
[bands]
g = { em_min_m = 3.7e-7, em_max_m = 5.6e-7, word = "1" }
r = { em_min_m = 5.5e-7, em_max_m = 7.3e-7, word = "2" }
i = { em_min_m = 6.9e-7, em_max_m = 8.9e-7, word = "3" }
[columns]
object = "objectId"
candidate = "candid"
ra = "candidate.ra"
dec = "candidate.dec"
time = { column = "candidate.jd", format = "jd", scale = "utc" }
band = "candidate.fid"
[stamps]
Science = "cutoutScience.stampData"
Template = "cutoutTemplate.stampData"
Difference = "cutoutDifference.stampData"
"""
_HEAD = 'title = "Alerts"\nkind = "alerts"\nroot = "{root}"\npath = "**/*.parquet"\n'
_CLOSED = 'access = { groups = ["members"] }\n'


def write_lakes(folder: Path) -> None:
    """Write a lake, and declare it twice: for everybody, and for some."""
    lake = folder / "ztf-lake"
    write_lake(lake, ALERTS, FILES, row_group_size=8, epochs=EPOCHS)
    write_alerts(lake / "broken.parquet", [BROKEN], {"Science": b"not a gzip"})
    (folder / "declarations").mkdir(exist_ok=True)
    for name, access in (("ztf", ""), ("closed", _CLOSED)):
        declaration = _HEAD.replace("{root}", str(lake)) + access + _BANDS
        (folder / "declarations" / f"{name}.toml").write_text(declaration)


def write_alerts(path: Path, alerts: Sequence[MadeAlert], stamps: dict[str, bytes] | None = None) -> None:
    """Write a file of alerts, some of whose stamps are others than theirs."""
    table = alerts_table(list(alerts))
    for kind, content in (stamps or {}).items():
        field = table.schema.field(f"cutout{kind}")
        column = pa.array([{"fileName": "", "stampData": content}] * len(alerts), field.type)
        table = table.set_column(table.schema.get_field_index(field.name), field, column)
    pq.write_table(table, path, use_dictionary=False, store_schema=False)


def stored(number: int, kind: str) -> bytes:
    """FITS file of a stamp of the lake `ztf`, as it was put there."""
    assert kind in KINDS
    return gzip.decompress(MadeAlert(number, EPOCHS).stamp(kind))
