"""Cubes from a folder of files to a cutout: what the index says of them, and what a request gets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.time import Time

from surveys.declaration import parse_survey
from surveys.errors import RequestFault, TooLarge
from surveys.execute import execute
from surveys.fits.source import Source
from surveys.index.catalog import Catalog
from surveys.index.ingest import index_survey
from surveys.index.report import IndexReport
from surveys.planner import Limits, plan_cutout
from surveys.request import CutoutRequest, Interval, PictureOptions
from surveys.sky.stencil import CenteredBox, Circle, Size
from tests.support.databases import sqlite
from tests.support.layouts import gzipped
from tests.support.tiles import ramp
from tests.surveys.cube.cubes import DEC, FREQ, RA, STOKES, TIME, Axis, cards_of
from tests.surveys.cube.test_product import beams

C = 299_792_458.0
LIMITS = Limits(max_pixels=10**6, max_bytes=10**8)
NX, NY, NF = 20, 16, 6
EVERYTHING = {"em_min_m": 1e-12, "em_max_m": 10.0}


def hdu_of(kind: Any, lengths: tuple[int, ...], *axes: Axis, **others: Any) -> Any:
    hdu = kind(ramp(lengths[::-1]))
    for keyword, value in cards_of(*axes, **others):
        hdu.header[keyword] = value
    return hdu


def coordinates(name: str = "COORDS") -> fits.BinTableHDU:
    values = np.array([1.0, 1.1, 1.3, 1.6, 2.0, 2.5])
    column = fits.Column("wave", "6D", dim="(1,6)", array=[values[:, np.newaxis]])
    return fits.BinTableHDU.from_columns([column], name=name)


TAB = {"CTYPE": "WAVE-TAB", "CRVAL": 1.0, "CRPIX": 1.0, "CDELT": 1.0, "CUNIT": "um"}
TAB_CARDS = {"PS3_0": "COORDS", "PS3_1": "wave"}


def write_files(folder: Path) -> None:
    folder.mkdir(parents=True)
    sky = ({**RA, "CRPIX": 10.0}, {**DEC, "CRPIX": 8.0})

    def write(name: str, *hdus: Any) -> None:
        fits.HDUList(list(hdus)).writeto(folder / f"{name}.fits")

    def primary(lengths: tuple[int, ...], *axes: Axis, **others: Any) -> fits.PrimaryHDU:
        hdu = hdu_of(fits.PrimaryHDU, (NX, NY, *lengths), *sky, *axes)
        hdu.header.update(others)
        return hdu

    write("lines", primary((NF, 4), FREQ, STOKES, SPECSYS="LSRK", CASAMBM=True), beams())
    write("zipped", primary((NF, 4), FREQ, STOKES, SPECSYS="TOPOCENT", CASAMBM=True), beams())
    gzipped(folder / "zipped.fits")
    write("table", primary((NF,), TAB, SPECSYS="BARYCENT", **TAB_CARDS), coordinates())
    write("orphan", primary((NF,), TAB, **TAB_CARDS), coordinates("OTHER"))
    write("velocity", primary((NF,), {**FREQ, "CTYPE": "VRAD", "CRVAL": 0.0, "CUNIT": "m/s"}))
    write("hours", primary((24,), TIME, MJDREF=59000.0, TIMESYS="TT"))
    write("flat", primary((1, 1), FREQ, STOKES))


@dataclass(frozen=True)
class Archive:
    """The cubes of a folder."""

    catalog: Catalog
    report: IndexReport

    def plan(self, name: str, limits: Limits = LIMITS, **filters: Any) -> Any:
        return plan_cutout(CutoutRequest(f"cubes/x/{name}", **filters), self.catalog, limits)

    def cut(self, name: str, **filters: Any) -> fits.HDUList:
        plan = self.plan(name, **filters)
        result = execute(plan, self.catalog, Source())
        content = result.tobytes()
        assert plan.cost.bytes_out == len(content) == result.size
        return fits.open(BytesIO(content))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    root = tmp_path_factory.mktemp("archive")
    write_files(root / "cubes")
    declared = {
        "title": "Cubes",
        "kind": "exposures",
        "root": "cubes",
        "pixel_scale": 3.6,
        "bands": {"x": EVERYTHING},
        "layers": {"image": {"path": "*"}},
    }
    survey = parse_survey(declared, "cubes.toml", "cubes", root)
    with sqlite(root) as engine:
        report = index_survey(engine, survey)
        yield Archive(Catalog(engine, [survey]), report)


def test_only_a_cube_without_its_table_is_refused(archive: Archive) -> None:
    (refusal,) = archive.report.refused
    assert "orphan" in str(refusal)
    assert "-TAB" in str(refusal)
    assert "COORDS" in str(refusal)


def test_the_index_has_the_wavelengths_of_the_channels(archive: Archive) -> None:
    record = archive.catalog.record("cubes/x/zipped", 1)
    edges = 1e11 + 1e9 * (np.array([0.5, NF + 0.5]) - 2.0)
    assert (record.em_min_m, record.em_max_m) == pytest.approx((C / edges[1], C / edges[0]), rel=1e-12)
    table = archive.catalog.record("cubes/x/table", 1)
    assert (table.em_min_m, table.em_max_m) == pytest.approx((0.95e-6, 2.75e-6), rel=1e-12)
    # In the local standard of rest at RA 83.8, Dec -5.4: 18 km/s more at the barycentre.
    lines = archive.catalog.record("cubes/x/lines", 1)
    assert lines.em_min_m is not None
    assert lines.em_min_m * edges[1] / C - 1.0 == pytest.approx(18.0 / 3e5, rel=0.01)


def test_the_index_falls_back_on_the_declared_band(archive: Archive) -> None:
    for name in ("velocity", "flat", "hours"):
        record = archive.catalog.record(f"cubes/x/{name}", 1)
        assert (record.em_min_m, record.em_max_m) == (1e-12, 10.0)


def test_the_index_has_the_times_and_states_of_axes(archive: Archive) -> None:
    hours = archive.catalog.record("cubes/x/hours", 1)
    known = Time([59000.0 - 0.5 / 24, 59000.0 + 23.5 / 24], format="mjd", scale="tt").utc.mjd
    assert (hours.t_min_mjd, hours.t_max_mjd) == pytest.approx(tuple(known), abs=1e-9)
    assert archive.catalog.record("cubes/x/lines", 1).pol_states == ("I", "Q", "U", "V")


def test_descriptors_tell_the_wavelengths_of_the_channels(archive: Archive) -> None:
    facts = archive.catalog.describe("cubes/x/table")
    assert (facts.band_m.lower, facts.band_m.upper) == pytest.approx((0.95e-6, 2.75e-6), rel=1e-12)


def test_soda_62_soda_69_soda_11_channels_states_and_a_region(archive: Archive) -> None:
    wavelength = C / 1.03e11  # channel 4 of 0 to 5
    region = CenteredBox(83.8, -5.4, Size(4, 3, True))
    cube = {"band_m": Interval(wavelength, wavelength), "pol": ("I", "V"), "stencil": region}
    with archive.cut("zipped", **cube) as hdus:
        assert hdus[0].shape == (2, 1, 3, 4)
        whole = ramp((4, NF, NY, NX))
        x0, y0 = hdus[0].header["X0"] - 1, hdus[0].header["Y0"] - 1
        assert np.array_equal(hdus[0].data, whole[::3, 4:5, y0 : y0 + 3, x0 : x0 + 4])
        assert hdus["BEAMS"].data["BMAJ"].tolist() == [14.0, 314.0]
        assert hdus["BEAMS"].data["CHAN"].tolist() == [0, 0]
        assert hdus["BEAMS"].data["POL"].tolist() == [0, 1]
        assert any("TOPOCENT, not converted" in str(line) for line in hdus[0].header["HISTORY"])


def test_frames_that_are_not_converted_are_in_the_plan(archive: Archive) -> None:
    assert "TOPOCENT" in archive.plan("zipped", band_m=Interval(2.9e-3, 3e-3)).remarks[0]
    assert archive.plan("zipped").remarks == ()
    assert archive.plan("lines", band_m=Interval(2.9e-3, 3e-3)).remarks == ()


def test_soda_65_channels_by_a_table_in_the_file(archive: Archive) -> None:
    with archive.cut("table", band_m=Interval(1.25e-6, 1.7e-6)) as hdus:
        assert np.array_equal(hdus[0].data, ramp((NF, NY, NX))[2:4])
        assert hdus["COORDS"].data["wave"].ravel().tolist() == [1.0, 1.1, 1.3, 1.6, 2.0, 2.5]


def test_soda_66_hours_of_a_time_axis(archive: Archive) -> None:
    start = Time(59000.0 + 7 / 24, format="mjd", scale="tt").utc.mjd
    with archive.cut("hours", time_mjd=Interval(start, start + 2 / 24)) as hdus:
        assert np.array_equal(hdus[0].data, ramp((24, NY, NX))[7:10])


@pytest.mark.parametrize(
    ("name", "filters"),
    [
        ("zipped", {"band_m": Interval(1.0, 2.0)}),
        ("zipped", {"pol": ("XX",)}),
        ("hours", {"time_mjd": Interval(50000.0, 50001.0)}),
        ("table", {"band_m": Interval(2.75e-6, 3e-6)}),
        ("table", {"band_m": Interval(1e-6, 2e-6), "stencil": Circle(10.0, 10.0, 0.001)}),
    ],
)
def test_soda_03_filters_that_select_nothing(archive: Archive, name: str, filters: dict[str, Any]) -> None:
    assert archive.plan(name, **filters).parts == ()


def test_a_velocity_without_a_rest_frequency_is_a_fault_of_the_request(archive: Archive) -> None:
    with pytest.raises(RequestFault, match="neither RESTFRQ nor RESTWAV"):
        archive.plan("velocity", band_m=Interval(1e-3, 2e-3))
    assert archive.plan("velocity").parts


def test_soda_18_a_single_channel_is_kept_as_it_is(archive: Archive) -> None:
    with archive.cut("flat", band_m=Interval(1e-3, 2e-3), pol=("I",)) as hdus:
        assert hdus[0].shape == (1, 1, NY, NX)


def test_costs_and_limits_count_the_planes_that_are_cut(archive: Archive) -> None:
    plan = archive.plan("lines", pol=("Q",))
    assert plan.cost.pixels_out == plan.cost.pixels_in == NX * NY * NF
    tight = Limits(max_pixels=NX * NY * NF, max_bytes=10**8)
    assert archive.plan("lines", tight, pol=("Q",)).parts
    with pytest.raises(TooLarge, match=r"20 x 16 px x 12 planes"):
        archive.plan("lines", tight, pol=("Q", "V"))


def test_one_plane_of_a_cube_makes_a_picture(archive: Archive) -> None:
    options = PictureOptions("image/png")
    one = C / 1.03e11
    plan = archive.plan("zipped", band_m=Interval(one, one), pol=("Q",), picture=options)
    (piece,) = plan.pieces
    assert piece.ranges == ((2, 4, 5, 1), (3, 1, 2, 1))
    with pytest.raises(RequestFault, match="takes 6 planes"):
        archive.plan("zipped", pol=("Q",), picture=options)


def test_wavelengths_may_be_asked_for_in_any_spelling_of_units(archive: Archive) -> None:
    """What a user has in GHz is a wavelength in metres for SODA."""
    limits = (np.array([103.4, 102.6]) * u.GHz).to_value(u.m, u.spectral())
    with archive.cut("zipped", band_m=Interval(*limits)) as hdus:
        assert hdus[0].header["CRPIX3"] == 2.0 - 4
