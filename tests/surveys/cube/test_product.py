"""Headers of cut cubes, and the tables that go with them."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from surveys import execute as engine
from surveys.execute import describe_cutout, execute
from surveys.fits.source import Source
from surveys.image import ImageRecord
from surveys.plan import CutoutPlan, Ranges
from tests.support.tiles import FileCatalog
from tests.surveys.cube.cubes import DEC, FREQ, RA, STOKES, plain_cube, plan_with, side_table

LENGTHS = (3, 4, 6, 4)


def made(plan: CutoutPlan, catalog: FileCatalog) -> fits.HDUList:
    """Make a product, checked as strictly as astropy can."""
    result = execute(plan, catalog, Source())
    content = result.tobytes()
    assert len(content) == result.size == describe_cutout(plan, catalog).size
    hdus = fits.open(BytesIO(content), checksum=True)
    hdus.verify("exception")
    return hdus


def beams() -> fits.BinTableHDU:
    """Beams as CASA writes them, channels of one state after the other's."""
    chan, pol = (axis.ravel() for axis in np.meshgrid(np.arange(6), np.arange(4)))
    columns = [
        fits.Column("BMAJ", "1E", unit="arcsec", array=10.0 + chan + 100 * pol),
        fits.Column("BMIN", "1E", unit="arcsec", array=5.0 + chan),
        fits.Column("BPA", "1E", unit="deg", array=1.0 * pol),
        fits.Column("CHAN", "1J", array=chan),
        fits.Column("POL", "1J", array=pol),
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name="BEAMS")
    hdu.header["NCHAN"], hdu.header["NPOL"] = 6, 4
    hdu.add_checksum()
    return hdu


def with_tables(catalog: FileCatalog, record: ImageRecord, *tables: Any) -> ImageRecord:
    catalog.records[record.artifact_id] = replace(record, tables=tables)
    return catalog.records[record.artifact_id]


@pytest.fixture
def catalog() -> FileCatalog:
    return FileCatalog()


def cube(catalog: FileCatalog, tmp_path: Path, **others: Any) -> ImageRecord:
    return plain_cube(catalog, tmp_path / "cube.fits", LENGTHS, RA, DEC, FREQ, STOKES, **others)


@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize(
    ("ranges", "channels", "states"),
    [
        ((), range(6), range(4)),
        (((2, 2, 5, 1),), range(2, 5), range(4)),
        (((3, 1, 4, 2),), range(6), range(1, 4, 2)),
        (((2, 5, 6, 1), (3, 0, 4, 3)), range(5, 6), range(0, 4, 3)),
    ],
)
def test_beams_of_the_channels_that_are_left(
    catalog: FileCatalog, tmp_path: Path, ranges: Ranges, channels: range, states: range, checksum: bool
) -> None:
    record = cube(catalog, tmp_path, CASAMBM=True)
    record = with_tables(catalog, record, side_table("beams", beams()))
    with made(plan_with(record, ranges, checksum=checksum), catalog) as hdus:
        primary, table = hdus
        assert primary.header["CASAMBM"]
        assert primary.header["EXTEND"]
        assert primary.shape == (len(states), len(channels), 4, 3)
        assert (table.name, table.header["NCHAN"], table.header["NPOL"]) == (
            "BEAMS",
            len(channels),
            len(states),
        )
        found = {(row["CHAN"], row["POL"]): (row["BMAJ"], row["BMIN"], row["BPA"]) for row in table.data}
        assert table.columns["BMAJ"].unit == "arcsec"
        if checksum:
            assert {"CHECKSUM", "DATASUM"} <= set(primary.header) & set(table.header)
    assert found == {
        (i, j): (10.0 + chan + 100 * pol, 5.0 + chan, pol)
        for i, chan in enumerate(channels)
        for j, pol in enumerate(states)
    }


@pytest.mark.parametrize("checksum", [False, True])
def test_large_cubes_are_streamed_with_their_tables(
    catalog: FileCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checksum: bool
) -> None:
    record = with_tables(catalog, cube(catalog, tmp_path, CASAMBM=True), side_table("beams", beams()))
    plan = plan_with(record, ((2, 1, 4, 1),), checksum=checksum)
    at_once = execute(plan, catalog, Source()).tobytes()
    monkeypatch.setattr(engine, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(engine, "STRIP_BYTES", 40)
    chunks = list(execute(plan, catalog, Source()).chunks())
    assert len(chunks) > 10
    assert b"".join(chunks) == at_once


def test_energies_of_the_channels_that_are_left(catalog: FileCatalog, tmp_path: Path) -> None:
    columns = [
        fits.Column("CHANNEL", "1I", array=np.arange(1, 7)),
        fits.Column("E_MIN", "1D", unit="keV", array=10.0 ** np.arange(6)),
        fits.Column("E_MAX", "1D", unit="keV", array=10.0 ** np.arange(1, 7)),
    ]
    table = side_table("bounds", fits.BinTableHDU.from_columns(columns, name="EBOUNDS"))
    axes = (RA, DEC, {**FREQ, "CTYPE": "Energy", "CUNIT": "MeV"})
    record = plain_cube(catalog, tmp_path / "cube.fits", LENGTHS[:3], *axes)
    record = with_tables(catalog, record, table)
    with made(plan_with(record, ((2, 2, 5, 1),)), catalog) as hdus:
        rows = hdus["EBOUNDS"].data
        assert rows["CHANNEL"].tolist() == [1, 2, 3]
        assert rows["E_MIN"].tolist() == [1e2, 1e3, 1e4]
        assert rows["E_MAX"].tolist() == [1e3, 1e4, 1e5]


def test_a_table_of_coordinates_goes_along_whole(catalog: FileCatalog, tmp_path: Path) -> None:
    values = np.array([1.0, 1.1, 1.3, 1.6, 2.0, 2.5])
    column = fits.Column("wave", "6D", dim="(1,6)", array=[values[:, np.newaxis]])
    table = fits.BinTableHDU.from_columns([column], name="WCS-TABLE")
    axis = {"CTYPE": "WAVE-TAB", "CRVAL": 1.0, "CRPIX": 1.0, "CDELT": 1.0, "CUNIT": "um"}
    others = {"PS3_0": "WCS-TABLE", "PS3_1": "wave"}
    path = tmp_path / "cube.fits"
    record = plain_cube(catalog, path, LENGTHS[:3], RA, DEC, axis)
    extra = fits.Header(others).tostring(endcard=False, padding=False)
    catalog.texts[record.artifact_id] += extra
    record = with_tables(
        catalog, replace(record, wcs_text=record.wcs_text + extra), side_table("lookup", table)
    )
    with made(plan_with(record, ((2, 2, 5, 1),)), catalog) as hdus:
        world = WCS(hdus[0].header, hdus).wcs_pix2world([[0.0, 0.0, channel] for channel in range(3)], 0)
    assert world[:, 2].tolist() == [1.3, 1.6, 2.0]


def test_every_description_of_an_axis_is_shifted(catalog: FileCatalog, tmp_path: Path) -> None:
    others = {"CTYPE3A": "VRAD", "CRVAL3A": 0.0, "CRPIX3A": 3.0, "CDELT3A": 1000.0, "CTYPE4A": "STOKES"}
    record = cube(catalog, tmp_path, ALTRPIX=4.0, ALTRVAL=1e4, LTV3=10.0, **others)
    with made(plan_with(record, ((2, 2, 5, 1), (3, 0, 4, 3))), catalog) as hdus:
        header = hdus[0].header
    assert (header["CRPIX3"], header["CRPIX3A"], header["ALTRPIX"], header["LTV3"]) == (0.0, 1.0, 2.0, 8.0)
    # I and V: pixels three states apart, the first of them at the same place.
    assert (header["CRPIX4"], header["CDELT4"], header["CRVAL4"]) == (1.0, 3.0, 1.0)
    # An alternate without CRPIX and CDELT has 0 and 1: pixel 1 of ours is pixel 1 of the source.
    assert header["CDELT4A"] * (1.0 - header["CRPIX4A"]) == pytest.approx(1.0, abs=1e-15)
    assert header["CDELT4A"] * (2.0 - header["CRPIX4A"]) == pytest.approx(4.0, abs=1e-15)
    assert (header["ALTRVAL"], header["CRVAL3A"]) == (1e4, 0.0)


def test_steps_with_a_cd_matrix(catalog: FileCatalog, tmp_path: Path) -> None:
    sky = [
        {name: value for name, value in axis.items() if name != "CDELT"} for axis in (RA, DEC, FREQ, STOKES)
    ]
    record = plain_cube(catalog, tmp_path / "cube.fits", LENGTHS, *sky)
    matrix = {"CD1_1": -1e-3, "CD2_2": 1e-3, "CD3_3": 1e9, "CD4_4": 1.0}
    extra = fits.Header(matrix).tostring(endcard=False, padding=False)
    catalog.texts[record.artifact_id] += extra
    with made(plan_with(record, ((3, 1, 4, 2),)), catalog) as hdus:
        header = hdus[0].header
    assert (header["CD4_4"], header["CRPIX4"], header["CD3_3"]) == (2.0, 0.5, 1e9)
    assert "CDELT4" not in header


def test_steps_with_an_alternate_whose_axes_are_coupled(catalog: FileCatalog, tmp_path: Path) -> None:
    others: dict[str, Any] = {f"CTYPE{axis}A": "LINEAR" for axis in range(1, 5)}
    others |= {f"CDELT{axis}A": 0.5 * axis for axis in range(1, 5)} | {"CRPIX4A": 2.0}
    matrix = {f"PC{row}_{axis}A": row + 0.1 * axis**2 for row in range(1, 5) for axis in range(1, 5)}
    record = cube(catalog, tmp_path, **others)
    catalog.texts[record.artifact_id] += fits.Header(matrix).tostring(endcard=False, padding=False)
    with made(plan_with(record, ((3, 1, 4, 2),)), catalog) as hdus:
        ours = WCS(hdus[0].header, key="A").wcs_pix2world([[0.0, 1.0, 2.0, 0.0], [1.0, 0.0, 3.0, 1.0]], 0)
    source = fits.Header.fromstring(catalog.texts[record.artifact_id])
    theirs = WCS(source, key="A").wcs_pix2world([[0.0, 1.0, 2.0, 1.0], [1.0, 0.0, 3.0, 3.0]], 0)
    np.testing.assert_allclose(ours, theirs, rtol=1e-14)


def test_what_was_done_is_told(catalog: FileCatalog, tmp_path: Path) -> None:
    record = cube(catalog, tmp_path)
    plan = plan_with(record, ((2, 2, 5, 1), (3, 0, 4, 3)))
    plan = replace(plan, parts=(replace(plan.parts[0], remarks=("BAND: so it was",)),))
    with made(plan, catalog) as hdus:
        told = [str(line) for line in hdus[0].header["HISTORY"]]
    assert any("pixels [1:3,1:4,3:5,1:4:3] of cube.fits[0]" in line for line in told)
    assert "BAND: so it was" in told
    assert execute(plan, catalog, Source()).file_name == "cube_ch3-5_pol1-4s3.fits"


def test_plans_with_ranges_survive_json(catalog: FileCatalog, tmp_path: Path) -> None:
    plan = plan_with(cube(catalog, tmp_path), ((2, 2, 5, 1), (3, 0, 4, 3)))
    plan = replace(plan, parts=(replace(plan.parts[0], remarks=("one", "two")),))
    assert CutoutPlan.from_json(plan.to_json()) == plan
    assert plan.remarks == ("one", "two")
