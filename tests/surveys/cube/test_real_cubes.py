"""Channels and polarizations of real cubes: the pixels of the parent, at the coordinates of the parent."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import FK4, SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from surveys.cube.axes import the_axis
from surveys.cube.spectral import channels_of
from surveys.declaration import parse_survey
from surveys.errors import RequestFault
from surveys.execute import execute
from surveys.fits.source import Source
from surveys.image import ImageRecord
from surveys.index.catalog import Catalog
from surveys.index.ingest import index_survey
from surveys.plan import CutoutPlan
from surveys.planner import Limits, plan_cutout
from surveys.request import CutoutRequest, Interval
from tests.support.databases import sqlite

LIMITS = Limits(max_pixels=10**9, max_bytes=10**10)
EVERYTHING = {"em_min_m": 1e-20, "em_max_m": 900.0}
C = 299_792_458.0


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> Iterator[Catalog]:
    surveys = [
        parse_survey(
            {
                "title": folder,
                "kind": "exposures",
                "root": folder,
                "bands": {"x": EVERYTHING},
                "layers": {"image": {"path": "*", "hdu": "all"}},
            },
            f"{folder}.toml",
            folder,
            real_data,
        )
        for folder in ("cubes", "stokes")
    ]
    with sqlite(tmp_path_factory.mktemp("db")) as engine:
        for survey in surveys:
            index_survey(engine, survey)
        yield Catalog(engine, surveys)


def cut(catalog: Catalog, dataset: str, **filters: Any) -> tuple[CutoutPlan, fits.HDUList]:
    plan = plan_cutout(CutoutRequest(dataset, **filters), catalog, LIMITS)
    content = execute(plan, catalog, Source()).tobytes()
    assert len(content) == plan.cost.bytes_out
    return plan, fits.open(BytesIO(content))


def assert_same(catalog: Catalog, record: ImageRecord, plan: CutoutPlan, hdus: fits.HDUList) -> None:
    """Pixels equal to a slice of those astropy reads, and every voxel at the place of its parent."""
    (piece,) = plan.pieces
    index = [slice(None)] * len(record.shape)
    first = np.zeros(len(record.shape))
    for axis, begin, end, step in piece.ranges:
        index[-1 - axis] = slice(begin, end, step)
        first[axis] = begin
    with fits.open(catalog.path(record)) as parent, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        original = parent[record.hdu]
        assert np.array_equal(hdus[0].data, original.data[tuple(index)], equal_nan=True)
        ours, theirs = WCS(hdus[0].header, hdus), WCS(original.header, parent)
        step = np.ones(len(record.shape))
        for axis, _, _, each in piece.ranges:
            step[axis] = each
        rng = np.random.default_rng(1)
        voxels = np.stack([rng.integers(0, n, 20) for n in reversed(hdus[0].data.shape)], axis=-1)
        here = ours.wcs_pix2world(voxels, 0)
        there = theirs.wcs_pix2world(first + step * voxels, 0)
        np.testing.assert_allclose(here, there, rtol=1e-12, atol=1e-12)


#: A channel of each, its wavelength known by other means than ours, the channels asked for and expected.
KNOWN: dict[str, tuple[str, float, int]] = {
    # FREQ, LSRK
    "alma": ("cubes/x/alma_m17_freq-0", C / (8.675139618840e10 - 2 * 2.442377011414e5), 2),
    # VRAD about RESTFRQ
    "ccs": ("cubes/x/m025_ccs_vrad-0", 0.0, 200),
    # AWAV in Angstrom
    "muse": ("cubes/x/muse_udf_subcube_awav-DATA", 0.0, 321),
    "miri": ("cubes/x/miri_s3d_wavetab-SCI", 0.0, 7),
    # EBOUNDS, 11 logarithmic channels
    "fermi": ("cubes/x/fermi_3fhl_gc_counts-0", 0.0, 4),
    "askap": ("stokes/x/askap_emu_1743-51_beam00_cube-0", C / (803490740.740741 + 8e6 * 17), 17),
}


def known_wavelength(catalog: Catalog, name: str) -> float:
    dataset, wavelength, channel = KNOWN[name]
    path = catalog.path(catalog.record(dataset, 1))
    match name:
        case "ccs":
            velocity = (-11585.2207406 + 204.706713111 * channel) * u.m / u.s
            return float(velocity.to_value(u.m, u.doppler_radio(22344030000.0 * u.Hz) + u.spectral()))
        case "muse":
            # The refractive index of Ciddor (1996) agrees with that of wcslib to a millionth here.
            air_um = (4750.0 + 1.25 * channel) * 1e-4
            s = 1.0 / air_um**2
            return float(air_um * 1e-6 * (1 + 0.05792105 / (238.0185 - s) + 0.00167917 / (57.362 - s)))
        case "miri":
            with fits.open(path) as hdus:
                return float(hdus["WCS-TABLE"].data["wavelength"].ravel()[channel]) * 1e-6
        case "fermi":
            with fits.open(path) as hdus:
                row = hdus["EBOUNDS"].data[channel]
                return float((np.sqrt(row["E_MIN"] * row["E_MAX"]) * u.keV).to_value(u.m, u.spectral()))
    return wavelength


@pytest.mark.parametrize("name", KNOWN)
def test_soda_62_soda_65_the_channel_of_a_known_wavelength(catalog: Catalog, name: str) -> None:
    dataset, _, channel = KNOWN[name]
    record = catalog.record(dataset, 1)
    wavelength = known_wavelength(catalog, name)
    if name == "alma":
        # By the definition of the LSRK: 20 km/s towards 18h +30d (B1900).
        apex = SkyCoord("18h", "+30d", frame=FK4(equinox="B1900"))
        towards = np.cos(apex.separation(SkyCoord(275.1078, -16.2267, unit="deg").transform_to(apex)))
        wavelength *= 1.0 - 20.0 * float(towards) / 299_792.458
    plan, hdus = cut(catalog, dataset, band_m=Interval(wavelength, wavelength))
    ((_, first, end, _),) = plan.pieces[0].ranges
    assert (first, end) == (channel, channel + 1)
    with hdus:
        assert_same(catalog, record, plan, hdus)


@pytest.mark.parametrize("folder", ["cubes", "stokes"])
def test_soda_10_soda_65_ranges_of_real_cubes(catalog: Catalog, folder: str) -> None:
    done = 0
    for dataset in catalog.datasets(folder, 1):
        record = catalog.record(dataset, 1)
        axis = the_axis("spectral", record.wcs_text, record.shape)
        if axis is None or "l1448" in dataset:
            continue
        channels = channels_of(axis, record.wcs_text, record.tables)
        begin, end = axis.length // 3, axis.length // 3 + max(1, axis.length // 4)
        low = np.minimum(channels.lower[begin], channels.lower[end - 1])
        high = np.maximum(channels.upper[begin], channels.upper[end - 1])
        if channels.frame == "LSRK":
            low, high = (float(value) for value in (record.em_min_m, record.em_max_m))  # type: ignore[arg-type]
            low, high = low + 0.3 * (high - low), low + 0.6 * (high - low)
        plan, hdus = cut(catalog, dataset, band_m=Interval(float(low), float(high)))
        assert plan.parts, dataset
        with hdus:
            assert_same(catalog, record, plan, hdus)
            if channels.frame != "LSRK":
                assert plan.pieces[0].ranges == ((axis.number, begin, end, 1),), dataset
            if record.tables and record.tables[0].kind == "beams":
                assert len(hdus["BEAMS"].data) == end - begin
        done += 1
    assert done == {"cubes": 7, "stokes": 4}[folder]


def test_a_real_velocity_without_a_rest_frequency(catalog: Catalog) -> None:
    with pytest.raises(RequestFault, match=r"VOPT.*neither RESTFRQ nor RESTWAV"):
        cut(catalog, "cubes/x/l1448_13co-0", band_m=Interval(1e-3, 2e-3))


@pytest.mark.parametrize(
    "name", ["pybdsf_iquv_stack-0", "noise_4d_stokes2_velo-0", "noise_4d_velo_stokes2-0"]
)
def test_soda_69_states_of_real_cubes(catalog: Catalog, name: str) -> None:
    record = catalog.record(f"stokes/x/{name}", 1)
    for wanted in (("Q",), ("I", "V"), ("I", "Q"), ("XX", "Q")):
        plan, hdus = cut(catalog, record.dataset, pol=wanted)
        with hdus:
            assert_same(catalog, record, plan, hdus)
            assert plan.remarks == ()
            states = [state for state in record.pol_states if state in wanted]
            stokes = the_axis("stokes", record.wcs_text, record.shape)
            assert stokes is not None
            assert hdus[0].shape[-1 - stokes.number] == len(states)


def test_a_rest_frequency_may_be_declared(real_data: Path, tmp_path: Path) -> None:
    """13CO J = 1-0 of L1448 at 4.5 km/s (optical), in the LSRK."""
    rest = 1.10201354e11
    declared = {
        "title": "L1448",
        "kind": "exposures",
        "root": str(real_data / "cubes"),
        "bands": {"x": EVERYTHING},
        "fix": {"RESTFRQ": rest},
        "layers": {"image": {"path": "l1448_13co.fits"}},
    }
    survey = parse_survey(declared, "l1448.toml", "l1448", tmp_path)
    with sqlite(tmp_path) as engine:
        index_survey(engine, survey)
        fixed = Catalog(engine, [survey])
        apex = SkyCoord("18h", "+30d", frame=FK4(equinox="B1900"))
        target = SkyCoord(51.333767, 30.634167, unit="deg").transform_to(apex)
        towards = float(np.cos(apex.separation(target)))
        wavelength = C / rest * (1 + 4500.0 / C) * (1 - 20e3 * towards / C)
        plan, hdus = cut(fixed, "l1448/x/l1448_13co", band_m=Interval(wavelength, wavelength))
        with hdus:
            header = hdus[0].header
            assert header["RESTFRQ"] == rest
            velocity = header["CRVAL3"] + header["CDELT3"] * (1 - header["CRPIX3"])
    assert plan.remarks == ()
    assert abs(velocity - 4500.0) < 66.42361 / 2
