"""Images and survey bands found by what ObsCore knows of them, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from surveys.declaration import parse_survey
from surveys.index.catalog import Catalog
from surveys.index.hull import BandHull
from surveys.index.ingest import index_survey
from surveys.index.obscore import ObsConstraints
from surveys.index.obsindex import ObsIndex
from surveys.request import Interval
from surveys.sky.sphere import separation_deg, unit_vectors
from surveys.sky.stencil import Circle, Polygon, Range, Shape
from surveys.survey import Survey
from tests.support.databases import postgresql, sqlite
from tests.support.layouts import pixels, tan_cards, write

INF = float("inf")
#: Tiles of 40 x 30 pixels of 36 arcsec, 0.4 x 0.3 degrees.
TILES = {f"t{number:02d}": ((-1.05 + 0.35 * number) % 360, 0.1 * number) for number in range(8)}
TILES |= {"north": (10.0, 89.95), "south": (200.0, -90.0)}
STOKES = {"CTYPE3": "STOKES", "CRPIX3": 1.0, "CRVAL3": 1.0, "CDELT3": 1.0}
WAVES = {"CTYPE3": "WAVE", "CRPIX3": 1.0, "CRVAL3": 5e-7, "CDELT3": 1e-9, "CUNIT3": "m"}


@dataclass(frozen=True)
class Sky:
    index: ObsIndex
    catalog: Catalog
    coadds: Survey
    nights: Survey
    reruns: Survey

    def images(self, survey: Survey, **wanted: Any) -> set[str]:
        found = [image.dataset for image in self.index.images(survey, ObsConstraints(**wanted))]
        assert len(found) == len(set(found))
        return {dataset.partition("/")[2] for dataset in found}

    def bands(self, survey: Survey, **wanted: Any) -> list[str]:
        return [found.band.label for found in self.index.bands(survey, ObsConstraints(**wanted))]


def declared(root: Path, name: str, kind: str, path: str, **more: Any) -> Survey:
    content = {
        "title": name.title(),
        "name": name,
        "kind": kind,
        "root": str(root),
        "pixel_scale": 36.0,
        "dataset": "{tile}",
        "bands": {
            "g": {"em_min_m": 4e-7, "em_max_m": 5.5e-7},
            "r": {"em_min_m": 5.6e-7, "em_max_m": 7e-7},
            "z": {"em_min_m": 8e-7, "em_max_m": 9e-7},
        },
        "layers": {"image": {"path": path}},
        **more,
    }
    return parse_survey(content, f"{name}.toml", name, root)


@pytest.fixture(scope="module")
def surveys(tmp_path_factory: pytest.TempPathFactory) -> list[Survey]:
    root = tmp_path_factory.mktemp("files")
    for tile, (ra, dec) in TILES.items():
        for band in "gr":
            write(root / "coadds" / f"{tile}_{band}.fits", ("", tan_cards(ra, dec, 36.0), pixels()))
    for number in range(4):
        cards = {"MJD-OBS": 59000.0 + number, "EXPTIME": 86.4 * (number + 1)}
        data, extra = pixels(), {}
        if number == 2:
            data, extra = np.stack([pixels()] * 3), STOKES
        elif number == 3:
            data, extra = np.stack([pixels()] * 5), WAVES
        header = tan_cards(30.0, 0.0, 36.0) | cards | extra
        write(root / "nights" / f"n{number}_g.fits", ("", header, data))
    for tile in ("a", "b"):
        for run in ("2", "10"):
            header = tan_cards(60.0, 0.0 if tile == "a" else 0.3, 36.0)
            write(root / "reruns" / f"{tile}_{run}_g.fits", ("", header, pixels()))
    return [
        declared(root / "coadds", "coadds", "coadd", "{tile}_{band}.fits", pol_states=["I"]),
        declared(root / "nights", "nights", "exposures", "{tile}_{band}.fits", pol_states=["XX", "YY"]),
        declared(
            root / "reruns",
            "reruns",
            "coadd",
            "{tile}_{run}_{band}.fits",
            dataset="{tile}_{run}",
            prefer={"field": "run", "order": "highest"},
        ),
    ]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgresql_url: str
) -> Iterator[Engine]:
    made = sqlite(tmp_path_factory.mktemp("db")) if request.param == "sqlite" else postgresql(postgresql_url)
    with made as opened:
        yield opened


@pytest.fixture(scope="module")
def sky(engine: Engine, surveys: list[Survey]) -> Sky:
    for survey in surveys:
        assert index_survey(engine, survey).refused == ()
    catalog = Catalog(engine, surveys)
    return Sky(ObsIndex(catalog), catalog, *surveys)


def test_sia_04_without_a_constraint_everything_is_found(sky: Sky) -> None:
    assert sky.images(sky.coadds) == {f"{band}/{tile}" for band in "gr" for tile in TILES}
    assert sky.images(sky.nights) == {f"g/n{number}" for number in range(4)}
    assert sky.bands(sky.coadds) == ["g", "r"]


def test_single_exposures_have_no_bands(sky: Sky) -> None:
    assert sky.bands(sky.nights) == []


def test_only_the_preferred_reprocessing_is_found(sky: Sky) -> None:
    assert sky.images(sky.reruns) == {"g/a_10", "g/b_10"}
    assert sky.images(sky.reruns, shapes=(Circle(60.0, 0.0, 0.01),)) == {"g/a_10"}


SHAPES: dict[str, Shape] = {
    "circle over RA 0": Circle(0.0, 0.3, 0.4),
    "point": Circle(0.0, 0.3, 0.0),
    "point beside": Circle(0.0, 3.0, 0.0),
    "range over RA 0": Range(359.0, 360.3, -0.5, 0.5),
    "belt": Range(0.0, 360.0, -1.0, 1.0),
    "north": Circle(123.0, 90.0, 0.01),
    "cap": Range(0.0, 360.0, 89.9, 90.0),
    "lune to the pole": Range(100.0, 101.0, 89.0, 90.0),
    "south": Circle(0.0, -89.99, 0.05),
    "polygon": Polygon.of([(359.0, -0.5), (0.5, -0.5), (0.5, 0.9)]),
    "notch": Polygon.of([(359.0, -1.0), (2.0, -1.0), (2.0, 2.0), (0.3, -0.9)]),
    "half": Circle(0.0, 0.0, 90.0),
    "nearly all": Circle(180.0, 0.0, 178.0),
    "all": Range(0.0, 360.0, -90.0, 90.0),
    "nowhere": Circle(100.0, 30.0, 1.0),
}


@pytest.mark.parametrize("name", SHAPES)
def test_sia_05_positions_find_the_images_they_meet(sky: Sky, name: str) -> None:
    shape = SHAPES[name]
    # The tiles are small enough for a grid of points to tell.
    across, along = np.meshgrid(np.linspace(-0.2, 0.2, 161), np.linspace(-0.15, 0.15, 121))
    met = set()
    for tile, (ra, dec) in TILES.items():
        east, north, middle = _frame(ra, dec)
        x, y = np.tan(np.radians(across)), np.tan(np.radians(along))
        points = middle + x[..., None] * east + y[..., None] * north
        points /= np.linalg.norm(points, axis=-1, keepdims=True)
        inside = shape.contains(points).any()
        if isinstance(shape, Circle) and shape.radius_deg == 0:
            spot = unit_vectors(shape.ra_deg, shape.dec_deg)
            inside = separation_deg(points, spot).min() < 0.003
        if inside:
            met.add(tile)
    assert sky.images(sky.coadds, shapes=(shape,)) == {f"{band}/{tile}" for band in "gr" for tile in met}
    assert sky.bands(sky.coadds, shapes=(shape,)) == (["g", "r"] if met else [])


def _frame(ra: float, dec: float) -> tuple[Any, Any, Any]:
    a, d = np.radians(ra), np.radians(dec)
    east = np.array([-np.sin(a), np.cos(a), 0.0])
    north = np.array([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)])
    return east, north, unit_vectors(ra, dec)


def test_sia_02_several_positions_are_alternatives(sky: Sky) -> None:
    both = sky.images(sky.coadds, shapes=(SHAPES["north"], SHAPES["south"], Circle(10.0, 89.95, 0.1)))
    assert both == {"g/north", "r/north", "g/south", "r/south"}
    assert sky.bands(sky.coadds, shapes=(SHAPES["nowhere"], SHAPES["north"])) == ["g", "r"]


def test_a_hull_is_not_enough_for_a_band(sky: Sky) -> None:
    hull = sky.index.hulls(sky.coadds, 1)["g"]
    between = Circle(60.0, 30.0, 1.0)
    assert hull.region.contains(between.region())
    assert sky.bands(sky.coadds, shapes=(between,)) == []


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"em_m": (Interval(5.5e-7, 5.5e-7),)}, {"g"}),
        ({"em_m": (Interval(-INF, 4e-7),)}, {"g"}),
        ({"em_m": (Interval(5.52e-7, 5.58e-7),)}, set()),
        ({"em_m": (Interval(4e-7, 4e-7), Interval(7e-7, INF))}, {"g", "r"}),
        ({"em_m": (Interval(-INF, INF),)}, {"g", "r"}),
        ({"pol": ("I",)}, {"g", "r"}),
        ({"pol": ("V", "I")}, {"g", "r"}),
        ({"pol": ("V",)}, set()),
        ({"calib_levels": (3,)}, {"g", "r"}),
        ({"calib_levels": (2, 1)}, set()),
        ({"product_types": ("image",)}, {"g", "r"}),
        ({"product_types": ("cube", "spectrum")}, set()),
    ],
)
def test_sia_07_constraints_on_bands_and_images_of_a_coadd(
    sky: Sky, wanted: dict[str, Any], found: set[str]
) -> None:
    assert set(sky.bands(sky.coadds, **wanted)) == found
    images = sky.images(sky.coadds, **wanted)
    assert images == {f"{band}/{tile}" for band in found for tile in TILES}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"t_mjd": (Interval(59000.0, 59000.0),)}, {0}),
        ({"t_mjd": (Interval(59000.001, 59000.9),)}, {0}),
        ({"t_mjd": (Interval(59000.0011, 59000.9),)}, set()),
        ({"t_mjd": (Interval(59000.5, 59002.0), Interval(59003.0, INF))}, {1, 2, 3}),
        ({"t_exptime_s": (Interval(86.4, 86.4),)}, {0}),
        ({"t_exptime_s": (Interval(100.0, 260.0),)}, {1, 2}),
        ({"t_exptime_s": (Interval(0.0, 10.0),)}, set()),
        ({"s_fov_deg": (Interval(0.45, 0.55),)}, {0, 1, 2, 3}),
        ({"s_fov_deg": (Interval(0.0, 0.4), Interval(0.6, INF))}, set()),
        ({"product_types": ("cube",)}, {2, 3}),
        ({"product_types": ("image",)}, {0, 1}),
        ({"product_types": ("image", "cube")}, {0, 1, 2, 3}),
        ({"pol": ("X",)}, set()),
        ({"pol": ("XX",)}, {0, 1, 3}),
        ({"pol": ("Q",)}, {2}),
        ({"calib_levels": (2,)}, {0, 1, 2, 3}),
        ({"datasets": ("nights/g/n1",)}, {1}),
        ({"datasets": ("nights/g/n1", "nights/g/n3", "x", "")}, {1, 3}),
        ({"datasets": ("",)}, set()),
        ({"datasets": ("nights/g/n1",), "shapes": (Circle(30.0, 0.0, 0.1),)}, {1}),
        ({"datasets": ("nights/g/n1",), "shapes": (Circle(31.0, 0.0, 0.1),)}, set()),
        ({"t_mjd": (Interval(59001.0, INF),), "product_types": ("image",)}, {1}),
    ],
)
def test_sia_08_sia_09_sia_10_constraints_on_exposures(
    sky: Sky, wanted: dict[str, Any], found: set[int]
) -> None:
    assert sky.images(sky.nights, **wanted) == {f"g/n{number}" for number in found}


def test_sia_03_a_band_knows_no_time(sky: Sky) -> None:
    everything = Interval(-INF, INF)
    assert sky.bands(sky.coadds, t_mjd=(everything,)) == []
    assert sky.bands(sky.coadds, t_exptime_s=(everything,)) == []
    assert sky.images(sky.coadds, t_mjd=(everything,)) == set()


def test_sia_10_a_band_by_its_identifier(sky: Sky) -> None:
    assert sky.bands(sky.coadds, datasets=("coadds/r",)) == ["r"]
    assert sky.images(sky.coadds, datasets=("coadds/r",)) == set()
    assert sky.bands(sky.coadds, datasets=("coadds/r/t00",)) == []


def test_images_say_what_the_files_say(sky: Sky) -> None:
    found = {image.dataset: image for image in sky.index.images(sky.nights, ObsConstraints())}
    cube, stokes = found["nights/g/n3"], found["nights/g/n2"]
    assert (cube.shape, cube.planes, cube.product_type) == ((5, 30, 40), 5, "cube")
    assert "CTYPE3" in cube.wcs_text
    assert stokes.pol_states == ("I", "Q", "U")
    first = found["nights/g/n0"]
    assert (first.s_xel1, first.s_xel2, first.wcs_text) == (40, 30, "")
    assert (first.t_min_mjd, first.t_exptime_s) == (59000.0, 86.4)


def test_a_survey_without_an_index_has_nothing(sky: Sky, tmp_path: Path) -> None:
    with sqlite(tmp_path) as empty:
        index = ObsIndex(Catalog(empty, [sky.coadds]))
        assert not index.holds(sky.coadds)
        assert list(index.images(sky.coadds, ObsConstraints())) == []
        assert list(index.bands(sky.coadds, ObsConstraints(shapes=(SHAPES["north"],)))) == []


def test_hulls_hold_their_images(sky: Sky) -> None:
    hull: BandHull = sky.index.hulls(sky.coadds, 1)["g"]
    assert hull.images == len(TILES)
    assert hull.s_region.startswith("CIRCLE ICRS ")
    assert "z" not in sky.index.hulls(sky.coadds, 1)
    small = sky.index.hulls(sky.reruns, 1)["g"]
    assert small.s_region.startswith("POLYGON ICRS ")
    vertices = np.array(small.s_region.split()[2:], dtype=float).reshape(-1, 2)
    # two tiles of 0.4 x 0.3 degrees, one above the other, each with a pixel around it
    assert np.allclose(sorted(set(np.round(vertices[:, 0] - 60.0, 2))), [-0.21, 0.21])
    assert vertices[:, 1].min() == pytest.approx(-0.16, abs=1e-3)
    assert vertices[:, 1].max() == pytest.approx(0.46, abs=1e-3)
    assert (small.s_ra_deg, small.s_dec_deg) == (pytest.approx(60.0), pytest.approx(0.15, abs=1e-3))
