"""Alerts of the demo sky: a small lake of Parquet files, with stamps of what brightened and faded there.

A survey of its own looks at the ordinary field of the demo survey, with a smaller telescope and every few
nights: supernovae beside its galaxies, and stars that vary. Names, columns and stamps are like those of ZTF.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from config.demo.files import write_whole
from config.demo.recipe import BANDS, RECIPE, Group, Recipe
from config.demo.sky import ZEROPOINT, group_sources
from surveys.simulation import Floats, Image, Profile, Sources, render, tangent_plane

#: pyarrow takes no file whose name begins so for one of a data set.
STAMP = "_demo.json"
KINDS = ("Science", "Template", "Difference")

SIDE = 63
SCALE_ARCSEC = 1.0
FWHM_PX = 2.0
DEPTH_AB = 20.6  # point source, five sigma
#: By how much a template is deeper, being made of many exposures.
TEMPLATE_NOISE = 0.25
#: Of an alert, at least.
LEAST_SIGMA = 5.0
FIRST_NIGHT_MJD = 61_041
_R = BANDS.index("r")


@dataclass(frozen=True, slots=True)
class AlertRecipe:
    """All that decides the bytes of the lake; a change of the code raises `version`."""

    version: int = 1
    supernovae: int = 20
    variables: int = 10
    nights: int = 12
    nights_apart: int = 5
    sky: Recipe = RECIPE


ALERTS = AlertRecipe()


@dataclass(frozen=True, slots=True)
class Alert:
    """One row of the lake; `stamps` are as they are stored, in the order of `KINDS`."""

    candid: int
    object_id: str
    mjd: float
    band: str
    ra_deg: float
    dec_deg: float
    flux: float
    stamps: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class LakeReport:
    """What `make_alerts` did: whether the lake was made just now, and what is in it."""

    folder: Path
    made: bool
    files: int
    alerts: int


def can_be_made() -> bool:
    """Whether there is what reads and writes Parquet."""
    return find_spec("pyarrow") is not None


def make_alerts(folder: Path, recipe: AlertRecipe = ALERTS) -> LakeReport:
    """Make the lake in `folder`, unless it is there; of another recipe it is made again.

    Needs pyarrow.
    """
    wanted = json.loads(json.dumps(asdict(recipe)))
    known = _stamp_of(folder)
    if known.get("recipe") == wanted and all((folder / name).is_file() for name in known["files"]):
        return LakeReport(folder, False, len(known["files"]), known["alerts"])
    for name in known.get("files", ()):
        (folder / name).unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / STAMP).unlink(missing_ok=True)
    nights: dict[str, list[Alert]] = {}
    for alert in alerts_of(recipe):
        nights.setdefault(_file_of(alert.mjd), []).append(alert)
    with TemporaryDirectory(prefix=".making-", dir=folder) as parts:
        for name, alerts in sorted(nights.items()):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_whole(folder / name, partial(_write, alerts), Path(parts))
        count = sum(map(len, nights.values()))
        stamp = json.dumps({"recipe": wanted, "files": sorted(nights), "alerts": count}, indent=1)
        write_whole(folder / STAMP, lambda path: path.write_text(stamp, encoding="utf-8"), Path(parts))
    return LakeReport(folder, True, len(nights), count)


def alerts_of(recipe: AlertRecipe) -> Iterator[Alert]:
    """Every alert of the recipe, object by object and in order of time."""
    group = recipe.sky.groups[0]
    plane = tangent_plane(group.ra_deg, group.dec_deg)
    sky = group_sources(recipe.sky, group, plane)
    rng = recipe.sky.rng("alerts", str(recipe.version))
    for number, (place, light) in enumerate(_chosen(recipe, group, plane, sky, rng)):
        east, north = place
        near = sky.take(np.hypot(sky.east - east, sky.north - north) < SIDE * SCALE_ARCSEC)
        ra, dec = (float(value) for value in plane.all_pix2world(east, north, 0))
        grid = _grid(ra, dec)
        still = {band: _still(near, band, plane, grid) for band in ("g", "r")}
        for night in range(recipe.nights):
            band = "gr"[(night + number) % 2]
            mjd = round(FIRST_NIGHT_MJD + recipe.nights_apart * night + 0.2 + 0.15 * float(rng.uniform()), 7)
            flux = float(light(mjd, band))
            if abs(flux) < LEAST_SIGMA * _point_sigma():
                continue
            off = rng.normal(0, 0.08, 2)
            yield Alert(
                candid=int((mjd - FIRST_NIGHT_MJD + 3300) * 1e5) * 10_000_000 + 15_000 + number,
                object_id=_name(number),
                mjd=mjd,
                band=band,
                ra_deg=round(ra + float(off[0]) / 3600 / np.cos(np.radians(dec)), 7),
                dec_deg=round(dec + float(off[1]) / 3600, 7),
                flux=flux,
                stamps=_stamps(still[band], flux, off, rng),
            )


class _Supernova:
    """Brightens in days and fades in weeks, redder and redder."""

    def __init__(self, rng: np.random.Generator, span: int) -> None:
        self._peak = 10 ** (-0.4 * (rng.uniform(16.8, 18.8) - ZEROPOINT))
        self._at = FIRST_NIGHT_MJD + rng.uniform(0.15, 0.6) * span

    def __call__(self, mjd: float, band: str) -> float:
        days = mjd - self._at
        light = np.exp(-0.5 * (days / 6.0) ** 2) if days < 0 else np.exp(-days / 22.0)
        redder = 0.03 * max(days, 0.0) if band == "g" else 0.0
        return float(self._peak * light * 10 ** (-0.4 * redder))


class _Variable:
    """A star that is brighter and fainter than its template in turn."""

    def __init__(self, rng: np.random.Generator, light: Floats) -> None:
        self._light = {band: float(light[BANDS.index(band)]) for band in ("g", "r")}
        self._amplitude = float(rng.uniform(0.25, 0.6))
        self._period_d, self._phase = float(rng.uniform(9.0, 40.0)), float(rng.uniform(0, 2 * np.pi))

    def __call__(self, mjd: float, band: str) -> float:
        turn = 2 * np.pi * (mjd - FIRST_NIGHT_MJD) / self._period_d + self._phase
        return self._light[band] * self._amplitude * float(np.sin(turn))


def _chosen(
    recipe: AlertRecipe, group: Group, plane: WCS, sky: Sources, rng: np.random.Generator
) -> Iterator[tuple[tuple[float, float], _Supernova | _Variable]]:
    """Choose places (arcsec east and north on the plane) and what happens there, the showpiece first."""
    half = 0.45 * recipe.sky.tile_px * recipe.sky.pixel_scale_arcsec * group.columns
    inside = (np.abs(sky.east) < half) & (np.abs(sky.north) < half)
    r = ZEROPOINT - 2.5 * np.log10(np.maximum(sky.flux[:, _R], 1e-3))
    galaxies = np.flatnonzero(inside & (sky.profile != Profile.POINT) & (r > 17.5) & (r < 20.5))
    stars = np.flatnonzero(inside & (sky.profile == Profile.POINT) & (r > 16.0) & (r < 18.5))
    span = recipe.nights * recipe.nights_apart
    hosts = [(float(sky.east[one]), float(sky.north[one])) for one in rng.permutation(galaxies)]
    if group.showpiece is not None:
        east, north = plane.all_world2pix(*group.showpiece, 0)
        hosts.insert(0, (float(east) + 9.0, float(north) - 5.0))
    for east, north in hosts[: recipe.supernovae]:
        off = rng.normal(0, 1.5, 2)
        yield (east + float(off[0]), north + float(off[1])), _Supernova(rng, span)
    for star in rng.permutation(stars)[: recipe.variables]:
        yield (float(sky.east[star]), float(sky.north[star])), _Variable(rng, sky.flux[star])


def _grid(ra_deg: float, dec_deg: float) -> WCS:
    """Pixels of a stamp about a place, north up and east left: it is turned when it is stored."""
    grid = tangent_plane(ra_deg, dec_deg)
    grid.wcs.crpix = [(SIDE + 1) / 2] * 2
    grid.wcs.cdelt = [-SCALE_ARCSEC / 3600, SCALE_ARCSEC / 3600]
    grid.wcs.set()
    return grid


def _still(sources: Sources, band: str, plane: WCS, grid: WCS) -> Image:
    """Light of all that does not change."""
    faintest = 0.05 * _sky_sigma()
    return render(sources, BANDS.index(band), plane, grid, (SIDE, SIDE), FWHM_PX, faintest)


def _stamps(still: Image, flux: float, off: Floats, rng: np.random.Generator) -> tuple[bytes, ...]:
    """Science, Template and Difference as they are stored; `off`: the source from the middle, arcsec."""
    sigma = _sky_sigma()
    noise = rng.normal(0, sigma, (2, SIDE, SIDE))
    science = still + flux * _psf(off) + noise[0]
    template = still + TEMPLATE_NOISE * noise[1]
    return tuple(_stored(pixels.astype(np.float32)) for pixels in (science, template, science - template))


def _psf(off: Floats) -> Floats:
    """Moffat law of beta = 3, of unit flux."""
    width = FWHM_PX / (2 * np.sqrt(2 ** (1 / 3) - 1))
    y, x = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    distance2 = (x + off[0] / SCALE_ARCSEC) ** 2 + (y - off[1] / SCALE_ARCSEC) ** 2
    return np.asarray(2 / (np.pi * width**2) * (1 + distance2 / width**2) ** -3)


def _point_sigma() -> float:
    return float(10 ** (-0.4 * (DEPTH_AB - ZEROPOINT))) / 5


def _sky_sigma() -> float:
    """Noise of a pixel by which a star of the depth stands out by five."""
    return _point_sigma() / float(np.sqrt(4 * np.pi * (FWHM_PX / 2.3548) ** 2))


_HEADER = fits.Header([
    ("SIMPLE", True),
    ("BITPIX", -32),
    ("NAXIS", 2),
    ("NAXIS1", SIDE),
    ("NAXIS2", SIDE),
    ("BUNIT", "DN"),
])  # fmt: skip


def _stored(pixels: Image) -> bytes:
    """FITS, north down, deflated: the same bytes whenever it is done."""
    data = pixels[::-1].astype(">f4").tobytes()
    plain = _HEADER.tostring().encode() + data + bytes(-len(data) % 2880)
    return gzip.compress(plain, 6, mtime=0)


def _name(number: int) -> str:
    """``FS26aaaaaab``: seven letters count, as those of ZTF do."""
    letters = ""
    for _ in range(7):
        number, letter = divmod(number, 26)
        letters = chr(ord("a") + letter) + letters
    return f"FS26{letters}"


def _file_of(mjd: float) -> str:
    day = datetime(1858, 11, 17, tzinfo=UTC) + timedelta(days=int(mjd))
    return f"year={day:%Y}/month={day:%m}/day={day:%d}/part-00000.snappy.parquet"


def _stamp_of(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found


def _write(alerts: list[Alert], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, list[object]] = {
        "objectId": [alert.object_id for alert in alerts],
        "candid": [alert.candid for alert in alerts],
        "candidate": [_candidate(alert) for alert in alerts],
    }
    for number, kind in enumerate(KINDS):
        columns[f"cutout{kind}"] = [
            {
                "fileName": f"candid{alert.candid}_{kind.lower()}.fits.gz",
                "stampData": alert.stamps[number],
            }
            for alert in alerts
        ]
    pq.write_table(pa.table(columns), path, compression="snappy")


def _candidate(alert: Alert) -> dict[str, object]:
    magnitude = ZEROPOINT - 2.5 * np.log10(abs(alert.flux))
    return {
        "jd": alert.mjd + 2_400_000.5,
        "fid": "gri".index(alert.band) + 1,
        "ra": alert.ra_deg,
        "dec": alert.dec_deg,
        "magpsf": round(float(magnitude), 3),
        "isdiffpos": "t" if alert.flux > 0 else "f",
    }
