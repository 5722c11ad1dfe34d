"""The channel that holds a known wavelength, on every type of spectral axis; wcslib and astropy judge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import LSRK, SkyCoord, SpectralCoord
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from surveys.cube.axes import the_axis
from surveys.cube.ranges import axis_ranges
from surveys.cube.spectral import channels_of
from surveys.errors import RequestFault
from surveys.image import ImageRecord
from surveys.request import CutoutRequest, Interval
from surveys.sky.stencil import Circle
from tests.surveys.cube.cubes import DEC, FREQ, RA, Axis, record_with, side_table

C = 299_792_458.0
CO = {"RESTFRQ": 1.15271202e11}
HALPHA = {"RESTWAV": 6.5628e-7}
N = 12

#: CTYPE, CRVAL, CDELT, CUNIT and what else the header says.
AXES: dict[str, tuple[str, float, float, str, dict[str, Any]]] = {
    "frequency": ("FREQ", 1.15e11, 1e9, "Hz", {}),
    "frequency in GHz": ("FREQ", 115.0, 1.0, "GHz", {}),
    "angular frequency": ("AFRQ", 7e11, 1e10, "rad/s", {}),
    "energy": ("ENER", 8e-16, 4e-17, "J", {}),
    "energy in keV": ("ENER", 5.0, 0.25, "keV", {}),
    "wavenumber": ("WAVN", 2e6, 1e5, "m-1", {}),
    "wavenumber per cm": ("WAVN", 2e4, 1e3, "cm-1", {}),
    "radio velocity": ("VRAD", 1e4, 5e5, "m/s", CO),
    "radio velocity in km/s": ("VRAD", 10.0, 500.0, "km/s", CO),
    "optical velocity": ("VOPT", 1e4, 5e5, "m/s", HALPHA),
    "optical velocity of a frequency": ("VOPT", 1e4, 5e5, "m/s", CO),
    "redshift": ("ZOPT", 0.5, 0.01, "", HALPHA),
    "relativistic velocity": ("VELO", 1e7, 3e6, "m/s", HALPHA),
    "beta": ("BETA", 0.1, 0.02, "", HALPHA),
    "wavelength": ("WAVE", 5e-7, 2e-9, "m", {}),
    "wavelength in Angstrom": ("WAVE", 5000.0, 20.0, "Angstrom", {}),
    "wavelength in air": ("AWAV", 5000.0, 20.0, "Angstrom", {}),
    "wavelength, linear in frequency": ("WAVE-F2W", 5e-7, 2e-9, "m", {}),
    "frequency, linear in wavelength": ("FREQ-W2F", 1.15e11, 1e9, "Hz", {}),
    "optical velocity, linear in frequency": ("VOPT-F2W", 1e4, 5e5, "m/s", CO),
    "relativistic velocity, linear in frequency": ("VELO-F2V", 1e6, 5e5, "m/s", CO),
    "wavelength, linear in that of air": ("WAVE-A2W", 5e-7, 2e-9, "m", {}),
}


def cube(tmp_path: Path, spectral: Axis, length: int = N, **others: Any) -> ImageRecord:
    return record_with(tmp_path, (3, 4, length), RA, DEC, spectral, **others)


def spectral_axis(name: str, sign: float = 1.0) -> tuple[Axis, dict[str, Any]]:
    ctype, crval, cdelt, unit, others = AXES[name]
    axis = {"CTYPE": ctype, "CRVAL": crval, "CRPIX": 3.0, "CDELT": sign * cdelt, "CUNIT": unit}
    return axis, {"SPECSYS": "BARYCENT", **others}


def asked(record: ImageRecord, low: float, high: float, **changes: Any) -> tuple[int, int] | None:
    """First and end of the channels that BAND selects; None for nothing, all for all."""
    cut = axis_ranges(record, CutoutRequest(record.dataset, band_m=Interval(low, high), **changes))
    if cut is None:
        return None
    return cut.ranges[0][1:3] if cut.ranges else (0, record.shape[0])


def wavelengths_by_wcslib(record: ImageRecord, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vacuum wavelengths of 0-based pixels: wcslib translates the axis to wavelength."""
    wcs = WCS(fits.Header.fromstring(record.wcs_text), naxis=[3])
    wcs.wcs.set()
    if not wcs.wcs.ctype[0].startswith("WAVE"):
        wcs.wcs.sptr("WAVE-???")
    return np.asarray(wcs.wcs_pix2world(pixels[:, np.newaxis], 0))[:, 0]


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["forwards", "backwards"])
@pytest.mark.parametrize("name", AXES)
def test_soda_62_soda_65_the_channel_of_a_known_wavelength(tmp_path: Path, name: str, sign: float) -> None:
    axis, others = spectral_axis(name, sign)
    record = cube(tmp_path, axis, **others)
    known = wavelengths_by_wcslib(record, np.arange(N) + 0.0)
    assert np.unique(np.sign(np.diff(known))).size == 1
    found = [asked(record, wavelength, wavelength) for wavelength in known]
    assert found == [(channel, channel + 1) for channel in range(N)]


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["forwards", "backwards"])
@pytest.mark.parametrize("name", AXES)
def test_soda_65_channels_end_half_way_to_the_next(tmp_path: Path, name: str, sign: float) -> None:
    axis, others = spectral_axis(name, sign)
    record = cube(tmp_path, axis, **others)
    near = np.array([4.49, 4.51])  # just before and just after the border of channels 4 and 5
    low, high = wavelengths_by_wcslib(record, near)
    far = wavelengths_by_wcslib(record, np.array([2.0, 8.0]))
    channels = [asked(record, *sorted(pair)) for pair in ((far[0], low), (far[0], high), (high, far[1]))]
    assert channels == [(2, 5), (2, 6), (5, 9)]


def test_soda_61_open_ends_and_limits_that_only_touch(tmp_path: Path) -> None:
    axis = {"CTYPE": "WAVE", "CRVAL": 500.0, "CRPIX": 1.0, "CDELT": 2.0, "CUNIT": "nm"}
    record = cube(tmp_path, axis, SPECSYS="BARYCENT")
    edges = 1e-9 * (499.0 + 2.0 * np.arange(N + 1))
    assert asked(record, -np.inf, np.inf) == (0, N)
    assert asked(record, -np.inf, 5.035e-7) == (0, 3)
    assert asked(record, 5.035e-7, np.inf) == (2, N)
    between = channels_of(the_axis("spectral", record.wcs_text, record.shape), record.wcs_text, ())  # type: ignore[arg-type]
    np.testing.assert_allclose(between.lower, edges[:-1], rtol=1e-14)
    # From edge to edge: neighbours have only a point in common with it.
    assert asked(record, between.upper[2], between.lower[6]) == (3, 6)
    assert asked(record, 0.0, between.lower[0]) is None
    assert asked(record, between.upper[-1], 1.0) is None
    # A single value on a border is in one channel, and the last border belongs to the last channel.
    assert asked(record, between.lower[3], between.lower[3]) == (3, 4)
    assert asked(record, between.upper[-1], between.upper[-1]) == (N - 1, N)
    assert asked(record, 6e-7, 6e-7) is None


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_soda_65_logarithmic_axes(tmp_path: Path, sign: float) -> None:
    axis = {"CTYPE": "WAVE-LOG", "CRVAL": 5e-7, "CRPIX": 3.0, "CDELT": sign * 2e-8, "CUNIT": "m"}
    record = cube(tmp_path, axis, SPECSYS="BARYCENT")
    # Greisen et al. 2006, equation 5: S = Sr exp(w / Sr).
    known = 5e-7 * np.exp(sign * 2e-8 * (np.arange(N) + 1 - 3.0) / 5e-7)
    assert [asked(record, value, value) for value in known] == [(i, i + 1) for i in range(N)]


def test_soda_65_air_is_that_of_wcslib(tmp_path: Path) -> None:
    """To 1e-12, far below the 2.8e-4 between vacuum and air."""
    axis, others = spectral_axis("wavelength in air")
    record = cube(tmp_path, axis, **others)
    channels = channels_of(the_axis("spectral", record.wcs_text, record.shape), record.wcs_text, ())  # type: ignore[arg-type]
    known = wavelengths_by_wcslib(record, np.arange(N + 1) - 0.5)
    np.testing.assert_allclose(channels.lower, known[:-1], rtol=1e-12)
    assert known[0] / 4.95e-7 == pytest.approx(1.000278, abs=2e-6)


@pytest.mark.parametrize("ctype", ["VRAD", "VOPT", "VELO", "ZOPT", "BETA", "VELO-LSR"])
def test_a_velocity_without_a_rest_frequency_is_refused(tmp_path: Path, ctype: str) -> None:
    unit = "" if ctype in ("ZOPT", "BETA") else "m/s"
    axis = {"CTYPE": ctype, "CRVAL": 0.0, "CRPIX": 1.0, "CDELT": 1e-3, "CUNIT": unit}
    record = cube(tmp_path, axis)
    with pytest.raises(RequestFault, match=r"neither RESTFRQ nor RESTWAV; leave BAND out"):
        asked(record, 1e-3, 2e-3)
    assert asked(record, -np.inf, np.inf) == (0, N), "which asks for nothing in particular"
    assert axis_ranges(record, CutoutRequest(record.dataset)) is not None


def test_an_unknown_kind_of_velocity_is_refused(tmp_path: Path) -> None:
    record = cube(tmp_path, {**FREQ, "CTYPE": "VELOCITY", "CUNIT": "m/s"}, RESTFRQ=1e11)
    with pytest.raises(RequestFault, match="does not say which kind of velocity"):
        asked(record, 1e-3, 2e-3)


def test_a_spectral_axis_coupled_with_the_sky_is_refused(tmp_path: Path) -> None:
    record = cube(tmp_path, FREQ, PC1_3=0.1)
    coupled = replace(record, wcs_text=record.wcs_text.replace("PC1-3", "PC1_3"))
    with pytest.raises(RequestFault, match="coupled with another axis"):
        asked(coupled, 1e-3, 2e-3)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(AXES)),
    sign=st.sampled_from((1.0, -1.0)),
    crpix=st.floats(-3.0, 9.0),
    limits=st.tuples(st.floats(-1.0, N), st.floats(-1.0, N)).map(sorted),
)
def test_soda_10_channels_are_those_between_the_limits(
    tmp_path_factory: pytest.TempPathFactory, name: str, sign: float, crpix: float, limits: list[float]
) -> None:
    """Any interval, given by two places along the axis, has the channels between them, by wcslib."""
    axis, others = spectral_axis(name, sign)
    record = cube(tmp_path_factory.mktemp("any"), axis | {"CRPIX": crpix}, **others)
    places = np.array(limits) + 0.5
    assume(np.abs(places - np.round(places)).min() > 1e-3)
    low, high = sorted(wavelengths_by_wcslib(record, np.array(limits)))
    assume(0 < low < high and np.isfinite(high))
    expected = max(int(np.floor(places[0])), 0), min(int(np.floor(places[1])) + 1, N)
    assert asked(record, low, high) == (expected if expected[0] < expected[1] else None)


@pytest.mark.parametrize("name", ["LAMBDA", "WAVELENGTH", "Energy", "FREQUENCY"])
def test_old_names_are_understood(tmp_path: Path, name: str) -> None:
    units = {"L": "m", "W": "m", "E": "keV", "F": "Hz"}
    axis = {"CTYPE": name, "CRVAL": 5.0, "CRPIX": 1.0, "CDELT": 0.5, "CUNIT": units[name[0]]}
    record = cube(tmp_path, axis)
    equivalent = (7.0 * u.Unit(units[name[0]])).to_value(u.m, u.spectral())
    assert asked(record, equivalent, equivalent) == (4, 5)


PLACES = {"Orion": (83.8, -5.4), "apex": (270.9, 30.0), "north": (10.0, 89.0)}


@pytest.mark.parametrize("place", PLACES)
def test_lsrk_is_converted_to_the_barycentre(tmp_path: Path, place: str) -> None:
    """Astropy gives the wavelength at the barycentre of each channel; channels are 1 km/s wide."""
    ra, dec = PLACES[place]
    rest = 1.15271202e11
    axis = {"CTYPE": "FREQ", "CRVAL": rest, "CRPIX": 40.0, "CDELT": -rest * 1e3 / C, "CUNIT": "Hz"}
    sky = ({**RA, "CRVAL": ra}, {**DEC, "CRVAL": dec})
    record = record_with(tmp_path, (3, 4, 80), *sky, axis, SPECSYS="LSRK")
    rest_of_target = dict.fromkeys(("pm_ra_cosdec", "pm_dec"), 0 * u.mas / u.yr)
    still = [0 * u.pc] * 3 + [0 * u.km / u.s] * 3
    kinds = {"representation_type": "cartesian", "differential_type": "cartesian"}
    frequencies = SpectralCoord(
        (rest - rest * 1e3 / C * (np.arange(80) + 1 - 40.0)) * u.Hz,
        observer=LSRK(*still, **kinds),
        target=SkyCoord(
            ra * u.deg, dec * u.deg, distance=1 * u.Mpc, radial_velocity=0 * u.km / u.s, **rest_of_target
        ),
    )
    at_barycentre = frequencies.with_observer_stationary_relative_to("icrs").to_value(u.m)
    shift = C * (at_barycentre / frequencies.to_value(u.m) - 1.0)
    assert abs(shift[0]) == pytest.approx({"Orion": 18e3, "apex": 20e3, "north": 10e3}[place], rel=0.1)
    at = Circle(ra, dec, 0.001)
    found = [asked(record, value, value, stencil=at) for value in at_barycentre]
    assert found == [(channel, channel + 1) for channel in range(80)]
    # Without a region it is the centre of the image, 2e-3 deg away.
    found = [asked(record, value, value) for value in at_barycentre]
    assert found == [(channel, channel + 1) for channel in range(80)]


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"SPECSYS": "BARYCENT"}, ""),
        ({"SPECSYS": "LSRK"}, ""),
        ({"SPECSYS": "TOPOCENT"}, "is TOPOCENT, not converted to barycentric"),
        ({"SPECSYS": "GEOCENTR"}, "is GEOCENTR, not converted"),
        ({"VELREF": 257}, ""),
        ({"VELREF": 3}, "is TOPOCENT, not converted"),
        ({}, "no SPECSYS in the header"),
    ],
)
def test_soda_60_frames_that_are_not_converted_are_named(
    tmp_path: Path, others: dict[str, Any], said: str
) -> None:
    record = cube(tmp_path, FREQ, **others)
    cut = axis_ranges(record, CutoutRequest(record.dataset, band_m=Interval(2.7e-3, 2.9e-3)))
    assert cut is not None
    (remark,) = cut.remarks or ("",)
    assert bool(remark) == bool(said)
    assert said in remark


def table_axis(**others: Any) -> Axis:
    return {"CTYPE": "WAVE-TAB", "CRVAL": 1.0, "CRPIX": 1.0, "CDELT": 1.0, "CUNIT": "um"} | others


def lookup(values: list[float], index: list[float] | None = None) -> fits.BinTableHDU:
    form, stored = f"{len(values)}D", [np.array(values)[:, np.newaxis]]
    columns = [fits.Column("wave", form, dim=f"(1,{len(values)})", array=stored)]
    if index is not None:
        columns.append(fits.Column("index", form, array=[index]))
    return fits.BinTableHDU.from_columns(columns, name="COORDS")


@pytest.mark.parametrize("kind", ["plain", "indexed", "falling"])
def test_soda_65_tables_of_wavelengths(tmp_path: Path, kind: str) -> None:
    """Every channel is found by its own wavelength, which astropy reads from the table."""
    values = [1.0, 1.1, 1.3, 1.6, 2.0, 2.5, 3.1, 3.8, 4.6, 5.5, 6.5, 7.6]
    if kind == "falling":
        values.reverse()
    index = [10.0 * i for i in range(N)] if kind == "indexed" else None
    hdu = lookup(values, index)
    others = {"PS3_0": "COORDS", "PS3_1": "wave"} | ({"PS3_2": "index"} if index else {})
    axis = table_axis(CRVAL=0.0, CDELT=10.0) if index else table_axis()
    record = cube(tmp_path, axis, SPECSYS="BARYCENT")
    text = record.wcs_text + fits.Header(others).tostring(endcard=False, padding=False)
    record = replace(record, wcs_text=text, tables=(side_table("lookup", hdu),))
    wcs = WCS(fits.Header.fromstring(text), fits.HDUList([fits.PrimaryHDU(), hdu]))
    # wcslib leaves what a table says in its own unit
    known = 1e-6 * wcs.wcs_pix2world([[0.0, 0.0, channel] for channel in range(N)], 0)[:, 2]
    np.testing.assert_allclose(known, np.array(values) * 1e-6, rtol=1e-12)
    assert [asked(record, value, value) for value in known] == [(i, i + 1) for i in range(N)]
    # Half way between two values is where channels meet, and half a cell beyond the ends.
    channels = channels_of(the_axis("spectral", text, record.shape), text, record.tables)  # type: ignore[arg-type]
    rising = np.sort(np.array(values)) * 1e-6
    edges = np.concatenate([[0.95e-6], (rising[1:] + rising[:-1]) / 2, [8.15e-6]])
    np.testing.assert_allclose(np.sort(channels.lower), edges[:-1], rtol=1e-12)


def test_limits_that_differ_from_those_of_channels_by_rounding(tmp_path: Path) -> None:
    """As from a client that computes them in another unit."""
    axis = {"CTYPE": "FREQ", "CRVAL": 1e11, "CRPIX": 1.0, "CDELT": 1e4, "CUNIT": "Hz"}
    record = cube(tmp_path, axis, 200, SPECSYS="BARYCENT")
    for begin in range(190):
        low, high = 1e11 + 1e4 * (begin - 0.5), 1e11 + 1e4 * (begin + 9.5)
        for shift in (0.0, 1e-16, -1e-16):
            assert asked(record, C / high * (1 + shift), C / low * (1 - shift)) == (begin, begin + 10)
    edge = C / (1e11 + 1e4 * 49.5)
    found = asked(record, edge * (1 - 1e-15), edge * (1 + 1e-15))
    assert found in ((49, 50), (50, 51)), "a sliver about an edge is one of both"


def test_a_table_that_is_not_there_is_missed(tmp_path: Path) -> None:
    record = cube(tmp_path, table_axis())
    with pytest.raises(RequestFault, match="its file lacks the table"):
        asked(record, 1e-6, 2e-6)


def test_energies_are_those_of_ebounds(tmp_path: Path) -> None:
    """The header of such cubes tells a linear axis where channels are logarithmic."""
    limits = np.geomspace(1.0, 4096.0, N + 1)
    columns = [fits.Column("CHANNEL", "I", array=np.arange(N))]
    columns += [
        fits.Column(name, "E", unit="keV", array=part)
        for name, part in (("E_MIN", limits[:-1]), ("E_MAX", limits[1:]))
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name="EBOUNDS")
    record = cube(tmp_path, {**FREQ, "CTYPE": "Energy", "CRVAL": 10.0, "CUNIT": "MeV"})
    record = replace(record, tables=(side_table("bounds", hdu),))
    middle = (np.sqrt(limits[1:] * limits[:-1]) * u.keV).to_value(u.m, u.spectral())
    assert [asked(record, value, value) for value in middle] == [(i, i + 1) for i in range(N)]


def test_channels_without_a_frequency_have_no_wavelength(tmp_path: Path) -> None:
    """An axis may reach below 0 Hz; what is left of it can be asked for."""
    axis = {"CTYPE": "FREQ", "CRVAL": -3e9, "CRPIX": 1.0, "CDELT": 1e9, "CUNIT": "Hz"}
    record = cube(tmp_path, axis, SPECSYS="BARYCENT")
    assert asked(record, C / 2.2e9, C / 1.8e9) == (5, 6)
    assert asked(record, C / 1.2e9, np.inf) == (3, 5)
    assert asked(record, 0.0, np.inf) == (3, N)
