"""From a request to a plan: which image, which pixels, at what price, and what is refused in which words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from surveys.access import OPERATOR
from surveys.declaration import parse_survey
from surveys.errors import AccessDenied, NeedsStencil, RequestFault, SeveralImages, TooLarge, UnknownDataset
from surveys.execute import execute
from surveys.fits.source import Source
from surveys.index.catalog import Catalog
from surveys.index.ingest import index_survey
from surveys.plan import PLAN_VERSION, CutoutPlan
from surveys.planner import MOST_IMAGES, Limits, plan_cutout
from surveys.request import CutoutRequest, Interval
from surveys.sky.pixels import PixelBox
from surveys.sky.stencil import CenteredBox, Circle, Polygon, Range, Size, Stencil
from surveys.survey import Survey
from tests.support.databases import sqlite
from tests.support.layouts import tan_cards, write

PX = 1 / 3600
NX, NY = 200, 160
#: Tiles of the survey `sky`, by the column of their first pixel on one common grid: 40 columns overlap.
COLUMNS = {"west": 0, "east": -160}
LIMITS = Limits(max_pixels=10**6, max_bytes=10**8)


def tile(column: int) -> dict[str, Any]:
    """Cards of a tile: both have the grid whose pixel (99.5, 79.5) is at 10 +20."""
    return tan_cards(10.0, 20.0, 1.0, NX, NY) | {"CRPIX1": (NX + 1) / 2 + column}


def ramp(*shape: int, dtype: str = "f4") -> np.ndarray[Any, Any]:
    return np.arange(math.prod(shape)).reshape(shape).astype(dtype)


def bands(*labels: str) -> dict[str, Any]:
    edges = {"g": (400e-9, 550e-9), "r": (550e-9, 700e-9), "i": (700e-9, 850e-9)}
    return {label: {"em_min_m": edges[label][0], "em_max_m": edges[label][1]} for label in labels}


DECLARED: dict[str, dict[str, Any]] = {
    "sky": {"kind": "coadd", "pixel_scale": 1.0, "bands": bands("g", "r", "i")},
    "nights": {"kind": "exposures", "bands": bands("g")},
    "crowd": {"kind": "exposures", "bands": bands("g"), "pixel_scale": 1.0},
    "closed": {"kind": "coadd", "pixel_scale": 1.0, "bands": bands("g"), "access": {"groups": ["few"]}},
    "kinds": {"kind": "exposures", "bands": bands("g"), "pol_states": ["Q", "U"]},
}


def write_files(root: Path) -> None:
    for name, column in COLUMNS.items():
        for band in "gr":
            write(root / "sky" / f"{name}_{band}.fits", ("", tile(column), ramp(NY, NX)))
    for night, mjd in (("first", 59000.0), ("second", 59001.0)):
        cards = tile(0) | {"MJD-OBS": mjd, "EXPTIME": 864.0}
        write(root / "nights" / f"{night}_g.fits", ("", cards, ramp(NY, NX)))
    for number in range(MOST_IMAGES + 2):
        cards = tan_cards(10.0, 20.0, 1.0, 8, 8) | {"MJD-OBS": 59000.0 + number, "EXPTIME": 1.0}
        write(root / "crowd" / f"n{number:03d}_g.fits", ("", cards, ramp(8, 8)))
    write(root / "closed" / "a_g.fits", ("", tile(0), ramp(NY, NX)))
    write(root / "kinds" / "bytes_g.fits", ("", tile(0), ramp(NY, NX, dtype="u1")))
    write(root / "kinds" / "cube_g.fits", ("", tile(0), ramp(3, NY, NX)))
    write(root / "kinds" / "sip_g.fits", ("", sip(tile(0)), ramp(NY, NX)))
    write(root / "kinds" / "wide_g.fits", ("", tan_cards(0.0, 90.0, 3600.0, 100, 100), ramp(100, 100)))


def sip(cards: dict[str, Any]) -> dict[str, Any]:
    distortion = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-5, "B_0_2": -1e-5}
    return cards | distortion | {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    root = tmp_path_factory.mktemp("files")
    write_files(root)
    surveys: list[Survey] = []
    with sqlite(root) as engine:
        for name, declared in DECLARED.items():
            content = {"title": name, "root": name, "dataset": "{tile}"} | declared
            content["layers"] = {"image": {"path": "{tile}_{band}.fits"}}
            surveys.append(parse_survey(content, f"{name}.toml", name, root))
            assert index_survey(engine, surveys[-1]).refused == ()
        yield Catalog(engine, surveys)


def at(x: float, y: float = 79.5) -> tuple[float, float]:
    """Sky position of a pixel of the common grid, near enough: the tiles are small."""
    dec = 20.0 + (y - 79.5) * PX
    return 10.0 - (x - 99.5) * PX / math.cos(math.radians(dec)), dec


def circle(x: float, y: float = 79.5, radius_px: float = 5.2) -> Circle:
    return Circle(*at(x, y), radius_px * PX)


def box_of(x: float, y: float, width: int, height: int) -> CenteredBox:
    return CenteredBox(*at(x, y), Size(width, height, in_pixels=True))


def plan(catalog: Catalog, dataset: str, stencil: Stencil | None = None, **asked: Any) -> CutoutPlan:
    limits = asked.pop("limits", LIMITS)
    return plan_cutout(CutoutRequest(dataset, stencil, **asked), catalog, limits)


def chosen(catalog: Catalog, dataset: str, stencil: Stencil, **asked: Any) -> str:
    (piece,) = plan(catalog, dataset, stencil, **asked).pieces
    return piece.dataset


def test_an_image_is_cut_where_the_stencil_is(catalog: Catalog) -> None:
    made = plan(catalog, "sky/g/west", circle(60, 50))
    (piece,) = made.pieces
    assert (piece.dataset, piece.box, made.grid) == ("sky/g/west", PixelBox(55, 66, 45, 56), piece.box)
    assert (made.clipped, made.padded, made.cost.pixels_in, made.cost.pixels_out) == (False, False, 121, 121)
    assert plan(catalog, "SKY/G/West", circle(60, 50)).pieces == made.pieces


def test_soda_04_an_image_without_a_stencil_is_whole(catalog: Catalog) -> None:
    made = plan(catalog, "sky/g/west")
    assert made.grid == PixelBox(0, NX, 0, NY)
    assert not made.clipped


@pytest.mark.parametrize("dataset", ["sky", "sky/g", "nights", "nights/g"])
def test_a_survey_has_no_whole(catalog: Catalog, dataset: str) -> None:
    with pytest.raises(
        NeedsStencil,
        match=f"{dataset} is a survey.*no whole.*add POS, CIRCLE, POLYGON or CENTER.*of at most 1000000 px",
    ):
        plan(catalog, dataset)


@pytest.mark.parametrize("dataset", ["", "no", "sky/u", "sky/", "sky/g/none", "sky/g/west/x", "sky//west"])
def test_soda_06_what_is_not_known(catalog: Catalog, dataset: str) -> None:
    with pytest.raises(UnknownDataset):
        plan(catalog, dataset, circle(60))


def test_a_survey_that_is_not_open(catalog: Catalog) -> None:
    for dataset in ("closed", "closed/g", "closed/g/a", "closed/g/none"):
        with pytest.raises(AccessDenied):
            plan(catalog, dataset, circle(60))
    open_to_all = plan_cutout(CutoutRequest("closed/g", circle(60)), catalog, LIMITS, OPERATOR)
    assert open_to_all.pieces[0].dataset == "closed/g/a"


@pytest.mark.parametrize(
    ("stencil", "tile_name"),
    [
        (circle(60), "west"),
        (circle(300), "east"),
        (circle(175), "west"),  # both hold it: the nearer centre
        (circle(185), "east"),
        (circle(175, radius_px=20), "west"),  # only one holds all of it
        (circle(185, radius_px=20), "east"),
        (circle(162, radius_px=12), "west"),
        (circle(-3), "west"),  # no other tile has any of it
        (Range(at(330)[0], at(300)[0], 20.0 - 5 * PX, 20.0 + 5 * PX), "east"),
        (box_of(175, 79.5, 20, 20), "west"),
        (box_of(190, 79.5, 60, 20), "east"),
    ],
)
@pytest.mark.parametrize(
    "asked", [{}, {"dataset": "sky", "filters": ("g",)}, {"dataset": "sky", "band_m": 5e-7}]
)
def test_the_tile_that_holds_all_is_chosen_then_the_nearest(
    catalog: Catalog, stencil: Stencil, tile_name: str, asked: dict[str, Any]
) -> None:
    asked = {"dataset": "sky/g"} | asked
    if "band_m" in asked:
        asked["band_m"] = Interval(asked["band_m"], asked["band_m"])
    assert chosen(catalog, asked.pop("dataset"), stencil, **asked) == f"sky/g/{tile_name}"


def test_tiles_of_one_pixel_grid_are_pasted_where_none_holds_all(catalog: Catalog) -> None:
    for stencil, width in ((circle(180, radius_px=30), 61), (box_of(180, 79.5, 100, 10), 100)):
        made = plan(catalog, "sky/g", stencil)
        (part,) = made.parts
        assert [piece.dataset for piece in part.pieces] == ["sky/g/east", "sky/g/west"]
        assert (part.method, part.grid.box.width, part.clipped) == ("paste", width, False)
        assert (made.resampled, made.padded) == (False, False)


def test_each_band_is_an_image_where_there_are_several(catalog: Catalog) -> None:
    for wide in ({}, {"band_m": Interval(-math.inf, math.inf)}, {"filters": ("g", "r")}):
        made = plan(catalog, "sky", circle(60), **wide)
        assert [(part.band, part.method) for part in made.parts] == [("g", "copy"), ("r", "copy")]
        assert [piece.dataset for piece in made.pieces] == ["sky/g/west", "sky/r/west"]
    assert chosen(catalog, "sky", circle(60), filters=("r", "i")) == "sky/r/west"


def test_exposures_are_told_apart_by_time(catalog: Catalog) -> None:
    for dataset in ("nights", "nights/g"):
        with pytest.raises(SeveralImages, match=r"2 exposures have data here.*TIME") as error:
            plan(catalog, dataset, circle(60))
        assert error.value.datasets == ("nights/g/first", "nights/g/second")
        assert chosen(catalog, dataset, circle(60), time_mjd=Interval(59001.0, 59002.0)) == "nights/g/second"
        assert not plan(catalog, dataset, circle(60), time_mjd=Interval(59000.5, 59000.6)).pieces


def test_more_images_than_can_be_looked_at_are_some_of_them_named(catalog: Catalog) -> None:
    with pytest.raises(SeveralImages, match=f"more than {MOST_IMAGES} images of crowd") as error:
        plan(catalog, "crowd", circle(99.5))
    assert len(error.value.datasets) == MOST_IMAGES + 1
    assert chosen(catalog, "crowd", circle(99.5), time_mjd=Interval(59101.0, 59101.5)) == "crowd/g/n101"


@pytest.mark.parametrize("dataset", ["sky/g/west", "sky/g", "sky"])
@pytest.mark.parametrize(
    ("stencil", "asked"),
    [
        (Circle(100.0, -50.0, 1.0), {}),
        (Polygon(((100.0, -50.0), (101.0, -50.0), (100.0, -49.0))), {}),
        (Range(100.0, 101.0, -50.0, -49.0), {}),
        (CenteredBox(100.0, -50.0, Size(5, 5, in_pixels=True)), {}),
        (CenteredBox(190.0, -20.0, Size(5, 5, in_pixels=True)), {}),  # behind the tangent plane
        (circle(60), {"band_m": Interval(1e-6, 2e-6)}),
        (circle(60), {"filters": ("i",)}),
    ],
)
def test_soda_03_a_plan_may_be_empty(
    catalog: Catalog, dataset: str, stencil: Stencil, asked: dict[str, Any]
) -> None:
    made = plan(catalog, dataset, stencil, **asked)
    assert (made.pieces, made.grid, made.clipped, made.padded) == ((), None, False, False)
    assert (made.cost.pixels_in, made.cost.pixels_out, made.cost.bytes_out) == (0, 0, 0)


def test_soda_18_what_is_unknown_does_not_restrict(catalog: Catalog) -> None:
    assert plan(catalog, "sky/g", circle(60), time_mjd=Interval(1.0, 2.0)).pieces
    assert plan(catalog, "sky/g", circle(60), pol=("V",)).pieces
    assert plan(catalog, "kinds/g/cube", circle(60), pol=("V", "U")).pieces
    assert not plan(catalog, "kinds/g/cube", circle(60), pol=("V", "I")).pieces


def test_a_filter_that_is_no_band_is_refused_with_those_there_are(catalog: Catalog) -> None:
    for dataset in ("sky", "sky/g", "sky/g/west"):
        with pytest.raises(RequestFault, match="FILTER 'z' is no band of sky; it has g, r, i"):
            plan(catalog, dataset, circle(60), filters=("g", "z"))


def test_soda_09_a_stencil_over_the_edge_is_clipped(catalog: Catalog) -> None:
    made = plan(catalog, "sky/g/west", circle(2, 3))
    assert made.grid == made.pieces[0].box == PixelBox(0, 8, 0, 9)
    assert (made.clipped, made.padded) == (True, False)


def test_a_box_over_the_edge_is_padded(catalog: Catalog) -> None:
    made = plan(catalog, "sky/g/west", box_of(2, 3, 21, 11))
    assert made.grid == PixelBox(-8, 13, -2, 9)
    assert made.pieces[0].box == PixelBox(0, 13, 0, 9)
    assert (made.clipped, made.padded) == (True, True)
    assert (made.cost.pixels_in, made.cost.pixels_out) == (13 * 9, 21 * 11)


def test_a_size_on_the_sky_goes_by_the_scale_of_the_survey(catalog: Catalog) -> None:
    for dataset in ("sky/g/west", "sky/g"):
        grid = plan(catalog, dataset, CenteredBox(*at(60), Size(30 * PX, 10.4 * PX, in_pixels=False))).grid
        assert grid is not None
        assert (grid.width, grid.height) == (30, 10)
    with pytest.raises(RequestFault, match="nights declares no pixel scale: give SIZE in arcsec"):
        plan(catalog, "nights", box_of(60, 79.5, 5, 5))


PRICED: list[tuple[str, Stencil | None, dict[str, Any]]] = [
    ("sky/g/west", None, {}),
    ("sky/g", circle(60), {"checksum": True, "canonical": "sync?ID=" + "x" * 300}),
    ("sky/g", circle(60), {"mask": True}),
    ("sky/g/west", box_of(2, 3, 21, 11), {}),
    ("kinds/g/bytes", box_of(2, 3, 21, 11), {}),
    ("kinds/g/bytes", circle(60), {"mask": True}),
    ("kinds/g/bytes", circle(60), {}),
    ("kinds/g/cube", circle(60), {}),
    ("kinds/g/sip", Polygon((at(20, 20), at(60, 20), at(60, 60))), {}),
]


@pytest.mark.parametrize(("dataset", "stencil", "asked"), PRICED)
def test_the_price_is_the_size_of_the_product(
    catalog: Catalog, dataset: str, stencil: Stencil | None, asked: dict[str, Any]
) -> None:
    made = plan(catalog, dataset, stencil, **asked)
    content = execute(made, catalog, Source()).tobytes()
    assert made.cost.bytes_out == len(content)
    header = fits.Header.fromstring(content)
    assert made.cost.pixels_out == math.prod(header[f"NAXIS{axis + 1}"] for axis in range(header["NAXIS"]))


STENCILS: list[Stencil | None] = [
    None,
    circle(60),
    Polygon((at(20, 20), at(60, 20), at(60, 60))),
    Range(359.5, 360.5, -90.0, 90.0),
    box_of(60, 79.5, 5, 7),
    CenteredBox(*at(60), Size(0.1, 1 / 3, in_pixels=False)),
]


@pytest.mark.parametrize("stencil", STENCILS)
def test_a_plan_survives_json(catalog: Catalog, stencil: Stencil | None) -> None:
    made = plan(
        catalog,
        "sky/g/west",
        stencil,
        band_m=Interval(-math.inf, 5e-7),
        time_mjd=Interval(59000.1, math.inf),
        pol=("I", "Q"),
        filters=("g",),
        mask=True,
        checksum=True,
        canonical="sync?ID=a'\"\\é",
    )
    text = made.to_json()
    assert "\n" not in text
    assert CutoutPlan.from_json(text) == made
    assert CutoutPlan.from_json(text).to_json() == text


def test_an_empty_plan_survives_json_and_another_version_is_refused(catalog: Catalog) -> None:
    made = plan(catalog, "sky/g/west", Circle(100.0, -50.0, 1.0))
    assert CutoutPlan.from_json(made.to_json()) == made
    with pytest.raises(ValueError, match=f"plan of version {PLAN_VERSION + 1}"):
        CutoutPlan.from_json(replace(made, plan_version=PLAN_VERSION + 1).to_json())


LARGE: list[tuple[str, Stencil | None]] = [
    ("sky/g/west", circle(99.5, radius_px=70)),
    ("sky/g/west", circle(1, 2, radius_px=150)),
    ("sky/g/west", Circle(10.0, 20.0, 180.0)),
    ("sky/g", circle(60, 60, radius_px=59)),
    ("sky/g/west", circle(-500, radius_px=690)),
    ("kinds/g/sip", circle(99.5, radius_px=70)),
    ("kinds/g/cube", circle(99.5, radius_px=70)),
    ("kinds/g/wide", Circle(0.0, 90.0, 40.0)),
    ("sky/g/west", Polygon((at(10, 10), at(190, 12), at(100, 150)))),
    ("kinds/g/sip", Polygon((at(10, 10), at(190, 12), at(100, 150)))),
    ("sky/g/west", Range(at(190)[0], at(10)[0], 20.0 - 60 * PX, 20.0 + 60 * PX)),
    ("sky/g/west", Range(0.0, 360.0, -90.0, 90.0)),
    ("kinds/g/cube", None),
    ("kinds/g/wide", None),
    ("sky/g/west", None),
    ("sky/g/west", box_of(99.5, 79.5, 150, 130)),
    ("sky/g", box_of(60, 79.5, 1, 10**9)),
    ("kinds/g/bytes", box_of(2, 3, 10**9, 10**9)),
    ("kinds/g/bytes", circle(99.5, radius_px=70)),
    ("kinds/g/cube", box_of(99.5, 79.5, 150, 130)),
]


def nearest(said: str, dataset: str, stencil: Stencil | None) -> CutoutRequest:
    """The request that an error proposes."""
    if radius := re.search(r"a radius of at most (\S+) deg$", said):
        assert isinstance(stencil, Circle)
        return CutoutRequest(dataset, replace(stencil, radius_deg=float(radius[1])))
    if box := re.search(r"such as CENTER=(\S+) (\S+) with SIZE=(\d+)px (\d+)px$", said):
        ra, dec, width, height = (float(word) for word in box.groups())
        return CutoutRequest(dataset, CenteredBox(ra, dec, Size(width, height, in_pixels=True)))
    size = re.search(r"ask for SIZE=(\d+)px (\d+)px at most$", said)
    assert size, said
    assert isinstance(stencil, CenteredBox)
    return CutoutRequest(dataset, replace(stencil, size=Size(int(size[1]), int(size[2]), in_pixels=True)))


@pytest.mark.parametrize(("dataset", "stencil"), LARGE)
@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        (Limits(3000, 10**9), "3000 px"),
        (Limits(10**9, 4500), r"\d+ px \(0.0 MB\)"),
        (Limits(3, 10**9), "3 px"),
    ],
)
def test_what_is_too_large_is_told_the_nearest_that_is_allowed(
    catalog: Catalog, dataset: str, stencil: Stencil | None, limits: Limits, limit: str
) -> None:
    with pytest.raises(TooLarge, match=rf"would be \d+ x \d+ px.*the limit is {limit}") as error:
        plan(catalog, dataset, stencil, limits=limits)
    said = str(error.value)
    request = nearest(said, dataset, stencil)
    allowed = plan_cutout(request, catalog, limits)
    assert allowed.cost.pixels_out <= limits.max_pixels
    assert allowed.grid is not None
    header = fits.Header.fromstring(execute(allowed, catalog, Source()).tobytes())
    assert allowed.cost.pixels_out * abs(header["BITPIX"]) // 8 <= limits.max_bytes
    most = min(limits.max_pixels, limits.max_bytes * 8 // abs(header["BITPIX"]))
    if isinstance(request.stencil, Circle) and most > 500:
        larger = replace(request.stencil, radius_deg=1.1 * request.stencil.radius_deg)
        with pytest.raises(TooLarge):
            plan(catalog, dataset, larger, limits=limits)


def test_a_cube_of_which_one_pixel_is_too_much(catalog: Catalog) -> None:
    with pytest.raises(TooLarge, match=r"x 3 planes .* one pixel with all its planes is more than that"):
        plan(catalog, "kinds/g/cube", circle(60), limits=Limits(2, 10**9))


def test_bytes_are_those_of_the_product(catalog: Catalog) -> None:
    """Integers without BLANK become floats where pixels are blanked: four times the bytes."""
    limits = Limits(10**9, 121 * 4 - 1)
    assert plan(catalog, "kinds/g/bytes", circle(60), limits=limits).pieces
    with pytest.raises(TooLarge):
        plan(catalog, "kinds/g/bytes", circle(60), limits=limits, mask=True)
