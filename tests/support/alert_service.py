"""The small service of images, and real alerts beside them, by the declarations of the examples."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from flask import Flask

from config.app import create_app, declared_surveys
from config.database import make_engine
from surveys.index.ingest import index_survey
from tests.support.service import make_service, settings_of

EXAMPLES = Path(str(files("config"))) / "surveys" / "examples"
#: Name of the survey -> the example that declares it, and its real lake.
LAKES = {
    "ztf-alerts": ("ztf-alerts", "alerts_ztf_fink_2021"),
    "rubin-alerts": ("rubin-alerts", "alerts_rubin"),
    "closed-alerts": ("ztf-alerts", "alerts_ztf_fink_raw"),
}
#: Stamps of an object are larger than the cutouts of the small service.
LARGER = {"FOUNTAIN_SYNC__MAX_PIXELS": "3000000"}
GZIP_MAGIC = b"\x1f\x8b"
CLOSED = 'access = { groups = ["members"] }\n'


@dataclass(frozen=True)
class RealAlert:
    """An alert as pyarrow reads it: `time` and stamps as the lake has them, `path` of its file."""

    survey: str
    candid: int
    object_id: str
    ra_deg: float
    dec_deg: float
    time: float
    band: str
    stamps: Mapping[str, bytes]
    path: str

    def fits(self, kind: str) -> bytes:
        """A stamp, inflated."""
        stored = self.stamps[kind]
        return gzip.decompress(stored) if stored[:2] == GZIP_MAGIC else stored

    @property
    def dataset(self) -> str:
        return f"{self.survey}/alert/{self.candid}"


def declare_alerts(folder: Path, real_data: Path, more: Mapping[str, tuple[str, str]] = {}) -> None:
    """Write the declarations of all lakes, and of `more`: each example with a root of its own."""
    for name, (example, lake) in {**LAKES, **more}.items():
        said = (EXAMPLES / f"{example}.toml").read_text(encoding="utf-8")
        said = re.sub(r'^root = "[^"]*"', f'root = "{real_data / lake}"', said, flags=re.MULTILINE)
        closed = CLOSED if name.startswith("closed") else ""
        (folder / "declarations" / f"{name}.toml").write_text(closed + said, encoding="utf-8")


def make_alert_service(
    folder: Path,
    real_data: Path,
    environ: Mapping[str, str] | None = None,
    more: Mapping[str, tuple[str, str]] = {},
) -> Flask:
    """Make everything, and the application."""
    environ = {**LARGER, **(environ or {})}
    make_service(folder, environ)
    declare_alerts(folder, real_data, more)
    settings = settings_of(folder, environ)
    engine = make_engine(settings.data.engine_url)
    for survey in declared_surveys(settings):
        if survey.name in {**LAKES, **more}:
            report = index_survey(engine, survey)
            assert not report.refused, report
    engine.dispose()
    return create_app(settings)


@cache
def real_alerts(real_data: Path, survey: str) -> tuple[RealAlert, ...]:
    """Every alert of a survey, file by file."""
    folder = real_data / LAKES[survey][1]
    return tuple(
        _alert(survey, row, path.relative_to(folder).as_posix())
        for path in sorted(folder.rglob("*.parquet"))
        for row in pq.ParquetFile(path).read().to_pylist()
    )


def _alert(survey: str, row: Mapping[str, Any], path: str) -> RealAlert:
    kinds = ("Science", "Template", "Difference")
    if survey == "rubin-alerts":
        source = row["diaSource"]
        name = str(source["diaObjectId"] or "")
        stamps = {kind: row[f"cutout{kind}"] for kind in kinds}
        place = source["ra"], source["dec"], source["midpointMjdTai"]
        return RealAlert(survey, row["diaSourceId"], name, *place, source["band"], stamps, path)
    candidate = row["candidate"]
    stamps = {kind: row[f"cutout{kind}"]["stampData"] for kind in kinds}
    place = candidate["ra"], candidate["dec"], candidate["jd"]
    return RealAlert(
        survey, row["candid"], row["objectId"], *place, "gri"[candidate["fid"] - 1], stamps, path
    )
