"""Products of stamps, from a lake to the bytes: the real samples, and lakes of a few alerts."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits

from surveys.execute import CutoutResult, execute
from surveys.fits.source import Source
from surveys.index.catalog import Catalog
from surveys.index.ingest import index_survey
from surveys.planner import Limits, plan_cutout
from surveys.request import CutoutRequest
from surveys.survey import Survey
from tests.support.alerts import KINDS, rubin_survey, ztf_survey
from tests.support.databases import sqlite

LIMITS = Limits(max_pixels=10**8, max_bytes=10**9)

Stamps = Mapping[str, bytes | None]


@dataclass(frozen=True)
class Shop:
    """A survey of alerts that is indexed, and what pyarrow reads in its files.

    `rows` has of each alert its number, object and stamps as they are stored.
    """

    survey: Survey
    catalog: Catalog
    rows: tuple[tuple[int, str, Stamps], ...]

    def make(self, dataset: str, **asked: Any) -> CutoutResult:
        """Make what a request comes to; the name of the survey precedes the dataset."""
        request = CutoutRequest(f"{self.survey.name}/{dataset}", **asked)
        return execute(plan_cutout(request, self.catalog, LIMITS), self.catalog, Source())


@contextmanager
def shop_of(survey: Survey, database: Path) -> Iterator[Shop]:
    """Index a survey, and read its files by pyarrow."""
    database.mkdir(parents=True, exist_ok=True)
    with sqlite(database) as engine:
        index_survey(engine, survey)
        assert survey.lake is not None
        files = sorted(Path(survey.lake.root).rglob("*.parquet"))
        yield Shop(survey, Catalog(engine, [survey]), tuple(row for path in files for row in _rows(path)))


def _rows(path: Path) -> Iterator[tuple[int, str, Stamps]]:
    for row in pq.ParquetFile(path).read().to_pylist():
        stored = {kind: row.get(f"cutout{kind}") for kind in KINDS}
        stamps = {kind: one["stampData"] if isinstance(one, dict) else one for kind, one in stored.items()}
        if "candid" in row:
            yield row["candid"], row["objectId"], stamps
        else:
            yield row["diaSourceId"], str(row["diaSource"]["diaObjectId"] or ""), stamps


def inflated(stored: bytes) -> bytes:
    """Content of a stamp, by the standard library."""
    return gzip.decompress(stored) if stored.startswith(b"\x1f\x8b") else stored


def opened(content: bytes, **options: Any) -> fits.HDUList:
    """Open a file by astropy, all of it read."""
    hdus = fits.open(io.BytesIO(content), memmap=False, lazy_load_hdus=False, **options)
    for hdu in hdus:
        assert hdu.data is None or hdu.data.size
    return hdus


def written(*hdus: fits.PrimaryHDU | fits.ImageHDU) -> bytes:
    """Write a file by astropy."""
    file = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(file)
    return file.getvalue()


def packed(data: np.ndarray | None, **cards: Any) -> bytes:
    """Write a stamp with some cards, gzipped."""
    hdu = fits.PrimaryHDU(data)
    hdu.header.update(cards)
    return gzip.compress(written(hdu), mtime=0)


def write_alerts(folder: Path, alerts: Sequence[Stamps], objects: Sequence[str] = ()) -> Survey:
    """Write a lake as ZTF's of some alerts, numbered from 1, a day apart, all of one object by default."""
    folder.mkdir(parents=True)
    count = len(alerts)
    candidate = [
        {"jd": 2459000.5 + n, "fid": n % 3 + 1, "ra": 150.0 + n, "dec": 2.0 - n} for n in range(count)
    ]
    columns: dict[str, pa.Array] = {
        "objectId": pa.array(list(objects) or ["ZTF18aaaaaaa"] * count, pa.string()),
        "candid": pa.array([n + 1 for n in range(count)], pa.int64()),
        "candidate": pa.array(
            candidate,
            pa.struct(
                [("jd", pa.float64()), ("fid", pa.int32()), ("ra", pa.float64()), ("dec", pa.float64())]
            ),
        ),
    }
    of_stamp = pa.struct([("stampData", pa.binary())])
    for kind in dict.fromkeys(kind for alert in alerts for kind in alert):
        stored = [{"stampData": alert.get(kind)} for alert in alerts]
        columns[f"cutout{kind}"] = pa.array(stored, of_stamp)
    pq.write_table(pa.table(columns), folder / "part-00000.parquet")
    return ztf_survey(folder)


def real_surveys(real_data: Path) -> list[Survey]:
    """The samples of ZTF and Rubin."""
    return [
        ztf_survey(real_data / "alerts_ztf_fink_2021"),
        ztf_survey(real_data / "alerts_ztf_fink_raw", "raw"),
        rubin_survey(real_data / "alerts_rubin"),
    ]
