"""Headers of cubes that contradict themselves: left out by the index, or cut as far as they can be told."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from astropy.io import fits

from surveys.declaration import parse_survey
from surveys.execute import execute
from surveys.fits.source import Source
from surveys.index.catalog import Catalog
from surveys.index.ingest import index_survey
from surveys.index.report import IndexReport
from surveys.planner import Limits, plan_cutout
from surveys.request import CutoutRequest, Interval, MosaicOptions, PictureOptions
from surveys.sky.stencil import Circle
from tests.support.databases import sqlite
from tests.support.tiles import ramp, write_plain
from tests.surveys.cube.cubes import DEC, FREQ, RA, STOKES, Axis, cards_of
from tests.surveys.cube.test_product import beams

SHAPE = (4, 6, 16, 20)
SKY = ({**RA, "CRPIX": 10.0}, {**DEC, "CRPIX": 8.0})
LINE = 2.998e-3  # the channel of 100 GHz, the second
DECLARED = {
    "title": "Cubes",
    "kind": "exposures",
    "root": "cubes",
    "pixel_scale": 3.6,
    "bands": {"x": {"em_min_m": 1e-12, "em_max_m": 10.0}},
    "layers": {"image": {"path": "*", "hdu": 0}, "weight": {"hdu": "WEIGHT", "meaning": "invvar"}},
}
#: What no WCS may hold: name of a file -> axes and cards.
REFUSED: dict[str, tuple[Axis, dict[str, Any], str]] = {
    "channels": ({**FREQ, "CRPIX": "abc"}, {}, "CRPIX3"),
    "alternate": (FREQ, {"CRPIX3A": "abc", "CTYPE3A": "VRAD"}, "CRPIX3A"),
    "physical": (FREQ, {"LTV3": "abc"}, "LTV3"),
    "steps": (FREQ, {"CDELT4A": "abc", "CTYPE4A": "STOKES"}, "CDELT4A"),
    "unnamed": ({**FREQ, "CTYPE": "WAVE-TAB"}, {}, "does not name"),
}


class Archive:
    """The cubes of a folder."""

    def __init__(self, catalog: Catalog, report: IndexReport) -> None:
        self.catalog, self.report = catalog, report

    def cut(self, name: str, **filters: Any) -> tuple[str, list[fits.Header]]:
        """Name and headers of a cutout."""
        request = CutoutRequest(f"cubes/x/{name}", **filters)
        plan = plan_cutout(request, self.catalog, Limits(max_pixels=10**6, max_bytes=10**8))
        result = execute(plan, self.catalog, Source())
        if request.picture is not None:
            return result.file_name, []
        with fits.open(BytesIO(result.tobytes())) as hdus:
            hdus.verify("exception")
            return result.file_name, [hdu.header for hdu in hdus]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    root = tmp_path_factory.mktemp("odd")
    folder = root / "cubes"
    folder.mkdir()
    weight = fits.ImageHDU(ramp(SHAPE), name="WEIGHT")

    def write(name: str, axis: Axis, *hdus: Any, **cards: Any) -> None:
        path = write_plain(folder / f"{name}.fits", ramp(SHAPE), cards_of(*SKY, axis, STOKES, **cards))
        others = BytesIO()
        fits.HDUList([fits.PrimaryHDU(), weight, *hdus]).writeto(others)
        path.write_bytes(path.read_bytes() + others.getvalue()[2880:])

    for name, (axis, cards, _) in REFUSED.items():
        write(name, axis, **cards)
    write("beams", FREQ, beams(), CASAMBM=True, SPECSYS="BARYCENT")
    write("no_beams", {**FREQ, "PC4_": "abc"}, CASAMBM=True, SPECSYS="BARYCENT", ALTRPIX="abc")
    survey = parse_survey(DECLARED, "cubes.toml", "cubes", root)
    with sqlite(root) as engine:
        report = index_survey(engine, survey)
        yield Archive(Catalog(engine, [survey]), report)


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_cutout_could_carry_is_not_indexed(archive: Archive, name: str) -> None:
    (reason,) = (str(refusal) for refusal in archive.report.refused if name in str(refusal))
    assert REFUSED[name][2] in reason
    assert "cannot be understood" not in reason


def test_what_says_nothing_of_planes_is_no_reason_to_refuse(archive: Archive) -> None:
    name, (header, *_) = archive.cut("no_beams", band_m=Interval(LINE, LINE), pol=("Q", "V"))
    assert name == "no_beams_ch2_pol2-4s2.fits"
    assert (header["CRPIX3"], header["CRPIX4"], header["CDELT4"]) == (1.0, 0.5, 2.0)
    assert (header["ALTRPIX"], header["PC4_3"]) == ("abc", "abc")


def test_only_who_has_a_table_of_beams_says_so(archive: Archive) -> None:
    channel: dict[str, Any] = {"band_m": Interval(LINE, LINE), "pol": ("Q",)}
    place = {"stencil": Circle(83.8, -5.4, 0.003), "mosaic": MosaicOptions(grid="tan", pixscale_deg=1e-3)}
    assert archive.cut("beams", **channel)[1][0]["CASAMBM"] is True
    assert "CASAMBM" not in archive.cut("no_beams", **channel)[1][0]
    name, (header, _) = archive.cut("beams", **channel, **place)
    assert "CASAMBM" not in header
    assert "Planes of beams.fits[0]: ch2_pol2" in list(header["HISTORY"])
    assert name == "CUBESJ053512.00-052400.0_x_7x7_ch2_pol2.fits"


def test_names_of_products_of_every_kind_tell_their_planes(archive: Archive) -> None:
    channel: dict[str, Any] = {"band_m": Interval(LINE, LINE), "pol": ("Q",)}
    name, headers = archive.cut("beams", detail="full", **channel)
    assert name == "beams_ch2_pol2.fits"
    assert [header.get("EXTNAME") for header in headers] == [None, "WEIGHT", "BEAMS"]
    assert (
        archive.cut("beams", picture=PictureOptions("image/png"), **channel)[0] == "beams_20x16_ch2_pol2.png"
    )
