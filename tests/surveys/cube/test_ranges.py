"""What BAND, TIME and POL select of the axes of an image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time

from surveys.cube.axes import axes_in, touched
from surveys.cube.extent import states_of, wavelengths_of
from surveys.cube.ranges import WHOLE, AxisCut, axis_ranges, depth_of, label_of
from surveys.errors import RequestFault
from surveys.request import CutoutRequest, Interval
from surveys.sky.wcs import wcs_of
from tests.surveys.cube.cubes import DEC, FREQ, RA, STOKES, TIME, Axis, record_with, text_of

ALL = ("I", "Q", "U", "V")


def cut(record: Any, **filters: Any) -> AxisCut | None:
    return axis_ranges(record, CutoutRequest(record.dataset, **filters))


def stokes(first: float = 1.0, step: float = 1.0) -> Axis:
    return {**STOKES, "CRVAL": first, "CDELT": step}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (("I",), (0, 1, 1)),
        (("V",), (3, 4, 1)),
        (("I", "V"), (0, 4, 3)),
        (("Q", "V"), (1, 4, 2)),
        (("Q", "U"), (1, 3, 1)),
        (("I", "XX"), (0, 1, 1)),
    ],
)
def test_soda_69_states_are_one_filter(
    tmp_path: Path, wanted: tuple[str, ...], expected: tuple[int, int, int]
) -> None:
    record = record_with(tmp_path, (3, 4, 4), RA, DEC, stokes())
    assert cut(record, pol=wanted) == AxisCut(((2, *expected),))


def test_soda_69_states_that_are_not_evenly_spaced_bring_others_along(tmp_path: Path) -> None:
    record = record_with(tmp_path, (3, 4, 4), RA, DEC, stokes())
    found = cut(record, pol=("I", "Q", "V"))
    assert found is not None
    assert found.ranges == (), "all of them"
    (remark,) = found.remarks
    assert "POL: U came along" in remark
    record = record_with(tmp_path, (3, 4, 8), RA, DEC, stokes(-1.0, -1.0))
    found = cut(record, pol=("RR", "RL", "YX"))
    assert found is not None
    assert found.ranges == ()
    found = cut(record, pol=("RR", "RL", "XY"))
    assert found is not None
    assert found.ranges == ((2, 0, 7, 2),)
    assert "XX came along" in found.remarks[0]


def test_soda_69_no_state_that_exists_selects_nothing(tmp_path: Path) -> None:
    record = record_with(tmp_path, (3, 4, 4), RA, DEC, stokes())
    assert cut(record, pol=("XX", "POLI")) is None
    assert cut(record, pol=ALL) == WHOLE


@pytest.mark.parametrize(
    ("axis", "state", "plane"),
    [
        (stokes(4.0, -1.0), "V", 0),
        (stokes(4.0, -1.0), "I", 3),
        (stokes(-1.0, -1.0), "LR", 3),
        (stokes(-5.0, -1.0), "XX", 0),
        ({**stokes(3.0), "CRPIX": 3.0}, "Q", 1),
    ],
)
def test_soda_68_states_by_their_codes(tmp_path: Path, axis: Axis, state: str, plane: int) -> None:
    record = record_with(tmp_path, (3, 4, 4), RA, DEC, axis)
    assert cut(record, pol=(state,)) == AxisCut(((2, plane, plane + 1, 1),))


def test_codes_of_no_standard_restrict_nothing(tmp_path: Path) -> None:
    record = record_with(tmp_path, (3, 4, 3), RA, DEC, stokes(20.0))
    assert cut(record, pol=("I",)) == WHOLE


def test_soda_66_times_of_a_time_axis(tmp_path: Path) -> None:
    """Seconds of TT since an epoch, to MJD in UTC: 69.184 s less in 2020."""
    record = record_with(tmp_path, (3, 4, 24), RA, DEC, TIME, MJDREF=59000.0, TIMESYS="TT")
    known = Time(59000.0 + np.arange(24) / 24.0, format="mjd", scale="tt").utc.mjd
    found = [cut(record, time_mjd=Interval(moment, moment)) for moment in known]
    assert found == [AxisCut(((2, hour, hour + 1, 1),)) for hour in range(24)]
    assert 86400 * (59000.0 - known[0]) == pytest.approx(69.184, abs=1e-3)
    late = known[20] + 0.5 / 24 + 1e-6
    assert cut(record, time_mjd=Interval(late, np.inf)) == AxisCut(((2, 21, 24, 1),))
    assert cut(record, time_mjd=Interval(-np.inf, np.inf)) == WHOLE
    assert cut(record, time_mjd=Interval(60000.0, 60001.0)) is None


@pytest.mark.parametrize(
    ("axis", "others", "start"),
    [
        ({**TIME, "CUNIT": "d", "CDELT": 1.0}, {"MJDREF": 58000.0}, 58000.0),
        ({**TIME, "CUNIT": "d", "CDELT": 1.0, "CRVAL": 59000.0}, {}, 59000.0),
        ({**TIME, "CTYPE": "UTC", "CUNIT": "d", "CDELT": 1.0}, {"MJDREFI": 58000, "MJDREFF": 0.5}, 58000.5),
        ({**TIME, "CUNIT": "d", "CDELT": 1.0}, {"JDREF": 2458000.5}, 58000.0),
        ({**TIME, "CUNIT": "d", "CDELT": 1.0}, {"DATEREF": "2017-09-04T00:00:00"}, 58000.0),
        (
            {**TIME, "CUNIT": "d", "CDELT": 1.0},
            {"MJDREF": 58000.0, "TIMEOFFS": 10.0, "TIMEUNIT": "d"},
            58010.0,
        ),
        ({**TIME, "CUNIT": "d", "CDELT": 1.0}, {"MJDREF": 58000.0, "TIMEOFFS": 86400.0}, 58001.0),
    ],
)
def test_soda_66_epochs_and_units(tmp_path: Path, axis: Axis, others: dict[str, Any], start: float) -> None:
    record = record_with(tmp_path, (3, 4, 10), RA, DEC, axis, **others)
    assert cut(record, time_mjd=Interval(start + 2.6, start + 4.4)) == AxisCut(((2, 3, 5, 1),))


def test_a_scale_that_is_not_known_is_refused(tmp_path: Path) -> None:
    record = record_with(tmp_path, (3, 4, 10), RA, DEC, TIME, TIMESYS="LOCAL")
    with pytest.raises(RequestFault, match=r"TIME cannot be applied .* scale that is not known"):
        cut(record, time_mjd=Interval(1.0, 2.0))


def test_soda_11_filters_on_several_axes_combine(tmp_path: Path) -> None:
    lengths = (24, 3, 10, 4, 4)
    record = record_with(tmp_path, lengths, TIME, RA, FREQ, DEC, STOKES, MJDREF=59000.0, SPECSYS="BARYCENT")
    hour, c = 1.0 / 24.0, 299_792_458.0
    found = cut(
        record,
        band_m=Interval(c / 1.0412e11, c / 1.0188e11),
        time_mjd=Interval(59000.0 + 5 * hour, 59000.0 + 6 * hour),
        pol=("Q", "V"),
    )
    assert found == AxisCut(((0, 5, 7, 1), (2, 3, 6, 1), (4, 1, 4, 2)))
    assert depth_of(record, found.ranges) == 2 * 3 * 2
    assert depth_of(record) == 24 * 10 * 4
    assert label_of(record, found.ranges) == "t6-7_ch4-6_pol2-4s2"


def test_degenerate_axes_are_kept_and_restrict_nothing(tmp_path: Path) -> None:
    record = record_with(tmp_path, (3, 4, 1, 1), RA, DEC, FREQ, STOKES)
    assert cut(record, band_m=Interval(1.0, 2.0), pol=("V",)) == WHOLE


def test_soda_18_images_without_such_axes_are_left_to_their_metadata(tmp_path: Path) -> None:
    image = record_with(tmp_path, (3, 4), RA, DEC)
    assert cut(image, band_m=Interval(1.0, 2.0), time_mjd=Interval(1.0, 2.0), pol=("V",)) == WHOLE
    record = record_with(tmp_path, (3, 4, 5), RA, DEC, {"CTYPE": "PIXEL", "CRVAL": 1.0, "CDELT": 1.0})
    assert cut(record, band_m=Interval(1.0, 2.0), time_mjd=Interval(1.0, 2.0), pol=("V",)) == WHOLE


def test_axes_are_told_apart_wherever_they_stand() -> None:
    text = text_of(STOKES, {**DEC, "CTYPE": "GLAT-CAR"}, TIME, {**RA, "CTYPE": "GLON-CAR"}, FREQ)
    kinds = [(axis.number, axis.kind, axis.length) for axis in axes_in(text, (6, 5, 4, 3, 2))]
    assert kinds == [(0, "stokes", 2), (2, "time", 4), (4, "spectral", 6)]


def test_pixels_of_no_width_count_where_they_lie() -> None:
    lower = upper = np.array([1.0, 2.0, 3.0])
    assert touched(lower, upper, 2.0, 2.0) == (1, 2)
    assert touched(lower, upper, 2.0, 3.0) == (1, 3)
    assert touched(lower, upper, 2.1, 2.9) is None


def test_pixels_without_a_coordinate_never_count() -> None:
    lower, upper = np.array([np.nan, 1.0, 2.0, np.nan]), np.array([np.nan, 2.0, 3.0, np.nan])
    assert touched(lower, upper, 0.0, np.inf) == (1, 3)
    assert touched(lower, upper, 3.0, 3.0) == (2, 3)


def test_axes_longer_than_anyone_has_are_not_worked_out(tmp_path: Path) -> None:
    record = record_with(tmp_path, (3, 4, 2), RA, DEC, FREQ)
    endless = replace(record, shape=(2**31 - 1, 4, 3))
    with pytest.raises(RequestFault, match=r"BAND cannot be applied .* 2147483647 pixels"):
        cut(endless, band_m=Interval(1e-3, 2e-3))
    assert wavelengths_of(endless.wcs_text, endless.shape, (), wcs_of(record)) is None
    states = record_with(tmp_path, (3, 4, 2), RA, DEC, STOKES)
    assert cut(replace(states, shape=endless.shape), pol=("I",)) == WHOLE
    assert states_of(fits.Header.fromstring(states.wcs_text), endless.shape) == ()
