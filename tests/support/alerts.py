"""Surveys of alerts: the real samples, and lakes made for a test."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits
from numpy.typing import NDArray

from surveys.lake import Columns, Lake, StampKind
from surveys.survey import Band, Survey

KINDS = ("Science", "Template", "Difference")
#: Side of a stamp of a lake made here.
SIDE = 63

_ZTF = Columns(
    object=("objectId",),
    candidate=("candid",),
    ra=("candidate.ra",),
    dec=("candidate.dec",),
    time=("candidate.jd",),
    band=("candidate.fid",),
)
_RUBIN = Columns(
    object=("diaSource.diaObjectId",),
    candidate=("diaSourceId",),
    ra=("diaSource.ra",),
    dec=("diaSource.dec",),
    time=("diaSource.midpointMjdTai",),
    band=("diaSource.band",),
)


def ztf_survey(root: Path | str, name: str = "ztf", **of_lake: Any) -> Survey:
    """Survey of alerts as ZTF sends them, whose Parquet files lie in a folder."""
    lake = Lake(
        root=str(root),
        path="**/*.parquet",
        columns=_ZTF,
        stamps=tuple(StampKind(kind, (f"cutout{kind}.stampData", f"cutout{kind}")) for kind in KINDS),
        orientation="flip-y",
        stamp_radius_deg=32.0 / 3600,
    )
    return Survey(
        name=name,
        title="ZTF alerts",
        kind="alerts",
        roots=(),
        bands=(
            Band("g", 3.7e-7, 5.6e-7, ("1",)),
            Band("r", 5.5e-7, 7.3e-7, ("2",)),
            Band("i", 6.9e-7, 8.9e-7, ("3",)),
        ),
        layers=(),
        pixel_scale_arcsec=1.01,
        calib_level=2,
        lake=replace(lake, **of_lake),
    )


def rubin_survey(root: Path | str, name: str = "rubin", **of_lake: Any) -> Survey:
    """Survey of alerts as Rubin sends them."""
    made = ztf_survey(root, name)
    lake = Lake(
        root=str(root),
        path="**/*.parquet",
        columns=_RUBIN,
        stamps=tuple(StampKind(kind, (f"cutout{kind}",)) for kind in KINDS),
        time_format="mjd",
        time_scale="tai",
        stamp_radius_deg=3.0 / 3600,
    )
    bands = (("u", 3.2e-7, 4.1e-7), ("g", 4.0e-7, 5.5e-7), ("r", 5.5e-7, 7.0e-7))
    bands += (("i", 6.9e-7, 8.2e-7), ("z", 8.1e-7, 9.3e-7), ("y", 9.2e-7, 1.06e-6))
    return replace(
        made,
        title="Rubin alerts",
        bands=tuple(Band(label, least, most, (label,)) for label, least, most in bands),
        pixel_scale_arcsec=0.2,
        fix={"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"},
        lake=replace(lake, **of_lake),
    )


@dataclass(frozen=True, slots=True)
class MadeAlert:
    """An alert of a lake made here, by its number from 0: everything about it follows from that."""

    number: int
    epochs: int = 5

    @property
    def candid(self) -> int:
        """Its own number, of as many digits as ZTF's have."""
        return 1_500_000_000_000_000_000 + 7_919_015_000 * self.number

    @property
    def object_id(self) -> str:
        """Twelve characters, as ZTF's have; so many alerts in a row are of one object."""
        letters = ""
        rest = self.number // self.epochs
        for _ in range(7):
            rest, letter = divmod(rest, 26)
            letters = chr(ord("a") + letter) + letters
        return f"ZTF18{letters}"

    @property
    def ra_deg(self) -> float:
        """Objects are spread over the sky; alerts of one are milliarcseconds apart."""
        return round((self.number // self.epochs * 137.50776405) % 360, 7)

    @property
    def dec_deg(self) -> float:
        """See `ra_deg`."""
        turn = (self.number // self.epochs * 0.414213562373095) % 1
        place = float(np.degrees(np.arcsin(1.98 * turn - 0.99)))
        return round(place + 1e-6 * (self.number % self.epochs), 7)

    @property
    def jd(self) -> float:
        """Julian date, UTC."""
        return 2458849.5 + self.number % self.epochs + 1e-4 * (self.number // self.epochs % 5000)

    @property
    def fid(self) -> int:
        """Filter: 1, 2 or 3."""
        return self.number % 3 + 1

    def pixels(self, kind: str) -> NDArray[np.float32]:
        """Pixels of a stamp: sky, a star, and in the first one who it is."""
        rng = np.random.default_rng((self.number, KINDS.index(kind)))
        y, x = np.mgrid[0:SIDE, 0:SIDE] - SIDE // 2
        star = 1000.0 * np.exp(-(x**2 + y**2) / 8.0)
        image = (rng.normal(100.0, 5.0, (SIDE, SIDE)) + star).astype(np.float32)
        image[0, 0] = self.number
        return image

    def stamp(self, kind: str) -> bytes:
        """Its FITS file, deflated."""
        out = BytesIO()
        fits.PrimaryHDU(self.pixels(kind)).writeto(out)
        return gzip.compress(out.getvalue(), 6, mtime=0)


def alerts_table(alerts: Sequence[MadeAlert], stamps: bool = True, same_stamps: bool = False) -> pa.Table:
    """Alerts as ZTF's Parquet files have them."""
    candidate = [{"jd": a.jd, "fid": a.fid, "ra": a.ra_deg, "dec": a.dec_deg} for a in alerts]
    of_candidate = pa.struct(
        [("jd", pa.float64()), ("fid", pa.int32()), ("ra", pa.float64()), ("dec", pa.float64())]
    )
    of_stamp = pa.struct([("fileName", pa.string()), ("stampData", pa.binary())])
    columns: dict[str, pa.Array] = {
        "objectId": pa.array([a.object_id for a in alerts], pa.string()),
        "candid": pa.array([a.candid for a in alerts], pa.int64()),
        "candidate": pa.array(candidate, of_candidate),
    }
    for kind in KINDS:
        same = alerts[0].stamp(kind) if same_stamps else b""
        filled = [
            {
                "fileName": f"{a.candid}_{kind.lower()}.fits.gz",
                "stampData": a.stamp(kind) if stamps and not same_stamps else same,
            }
            for a in alerts
        ]
        columns[f"cutout{kind}"] = pa.array(filled, of_stamp)
    return pa.table(columns)


def write_lake(
    folder: Path,
    alerts: int,
    files: int = 1,
    row_group_size: int | None = None,
    *,
    epochs: int = 5,
    compression: Literal["snappy", "zstd", "gzip", "none"] = "snappy",
    page_size: int | None = None,
    hive: bool = False,
    stamps: bool = True,
    same_stamps: bool = False,
    **of_parquet: Any,
) -> list[Path]:
    """Make a lake of ZTF-like alerts, with known stamps; see `MadeAlert`.

    Parameters
    ----------
    folder
        Where; it is made.
    alerts
        How many.
    files
        How many files they lie in, in a row.
    row_group_size
        Rows of a group; all of a file in one by default.
    epochs
        Alerts of one object, which follow each other.
    page_size
        Bytes of a page, before compression; Parquet's own default of 1 MB.
    hive
        Lie the files in folders such as ``year=2020/month=01``?
    stamps
        False leaves the stamps empty, which takes much less time.
    same_stamps
        All alerts have the stamps of the first one of their file.
    of_parquet
        For `pyarrow.parquet.write_table`.

    Returns
    -------
    list of Path
        The files.
    """
    each = -(-alerts // files)
    written = []
    for number in range(files):
        some = [MadeAlert(n, epochs) for n in range(number * each, min((number + 1) * each, alerts))]
        place = folder / f"year=2020/month=01/day={number % 28 + 1:02d}" if hive else folder
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"part-{number:05d}.{compression}.parquet"
        pq.write_table(
            alerts_table(some, stamps, same_stamps),
            path,
            compression=compression,
            row_group_size=row_group_size or max(len(some), 1),
            data_page_size=page_size,
            **{"use_dictionary": False, "store_schema": False, **of_parquet},
        )
        written.append(path)
    return written
