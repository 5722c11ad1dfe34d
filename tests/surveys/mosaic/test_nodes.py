"""Maps of nodes are right everywhere, not only where they are checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from surveys.errors import ImageRefused
from surveys.kernels.resample_plain import map_plain
from surveys.mosaic.grid import OutputGrid
from surveys.mosaic.nodes import Area, NodeMap, make_map, reach_of
from surveys.sky.wcs import CelestialWcs
from tests.surveys.mosaic.skies import SCALE, tan, text_of
from tests.surveys.mosaic.test_grids import sip, tpv

BOUND_PX = 1e-4
NX, NY = 700, 600


def wcs_of(cards: dict[str, Any]) -> CelestialWcs:
    return CelestialWcs.from_text(text_of(cards), 0, 1, NX, NY)


def grid_of(cards: dict[str, Any]) -> OutputGrid:
    return OutputGrid(wcs_of(cards), 0, 0, NX, NY)


def largest_error(grid: OutputGrid, wcs: CelestialWcs, map_: NodeMap, area: Area) -> tuple[float, int]:
    """Largest error of interpolated positions on the image, and how many there are."""
    x, y, _, _ = map_plain(map_.nodes, map_.step, map_.u0, map_.v0, (area.u0, area.u1, area.v0, area.v1))
    u, v = np.meshgrid(np.arange(area.u0, area.u1), np.arange(area.v0, area.v1))
    true_x, true_y = wcs.to_pixel(grid.to_sky(u, v))
    on_image = (true_x > -0.5) & (true_x < NX - 0.5) & (true_y > -0.5) & (true_y < NY - 0.5)
    guessed = (x > -0.5) & (x < NX - 0.5) & (y > -0.5) & (y < NY - 0.5)
    error = np.hypot(x - true_x, y - true_y)
    error[np.isnan(error)] = np.inf
    both = on_image | guessed
    return float(error[both].max(initial=0.0)), int(on_image.sum())


def projected(code: str, ra: float, dec: float, scale: float, angle: float) -> dict[str, Any]:
    cards = tan(ra, dec, (NX, NY), scale=scale, angle=angle)
    if code == "SIP":
        return sip(cards)
    if code == "TPV":
        return tpv(cards)
    cards |= {"CTYPE1": f"RA---{code}", "CTYPE2": f"DEC--{code}"}
    if code in ("CAR", "AIT", "MOL"):  # their reference point lies on the equator
        cards["CRVAL2"] = 0.0
        cards["CRPIX2"] -= dec / scale
    return cards


PROJECTIONS = st.sampled_from(["TAN", "SIP", "TPV", "SIN", "ZEA", "STG", "CAR", "AIT"])


@given(
    PROJECTIONS,
    PROJECTIONS,
    st.floats(0, 360),
    st.sampled_from([-90.0, -70.0, 0.0, 1.3, 60.0, 89.9]),
    st.floats(1e-5, 2e-3),
    st.floats(-180, 180),
    st.floats(0.3, 3.0),
    st.floats(-1.0, 1.0),
)
@example("CAR", "TAN", 0.0, 89.9, 0.00023152081266973148, 0.0, 1.0, 0.0)  # as wide as a pixel, at a pole
@settings(max_examples=40, deadline=None)
def test_positions_are_right_to_a_ten_thousandth_of_a_pixel(
    code: str, other: str, ra: float, dec: float, scale: float, angle: float, ratio: float, shift: float
) -> None:
    try:
        wcs = wcs_of(projected(code, ra, dec, scale, 0.0))
        there = (ra + shift * 0.3 * NX * scale / max(np.cos(np.radians(dec)), 0.01)) % 360
        grid = grid_of(projected(other, there, dec, scale * ratio, angle))
    except ImageRefused:
        return
    area = reach_of(grid, wcs)
    if area is None:
        return
    area = Area(area.u0, min(area.u1, area.u0 + 300), area.v0, min(area.v1, area.v0 + 200))
    map_ = make_map(grid, wcs, wcs.to_sky(NX / 2, NY / 2), grid.middle(), area)
    assert largest_error(grid, wcs, map_, area)[0] < BOUND_PX


@pytest.mark.parametrize(("scale", "step"), [(SCALE, 64), (0.002, 16), (0.01, 4)])
def test_nodes_are_as_far_apart_as_they_may_be(scale: float, step: int) -> None:
    wcs = wcs_of(tan(150.0, 40.0, (NX, NY), scale=scale))
    grid = grid_of(tan(150.0 + 100 * scale, 40.0, (NX, NY), scale=scale))
    area = Area(0, NX, 0, NY)
    map_ = make_map(grid, wcs, wcs.to_sky(NX / 2, NY / 2), grid.middle(), area)
    assert map_.step >= step
    error, pixels = largest_error(grid, wcs, map_, area)
    assert pixels > NX * NY / 4
    assert error < BOUND_PX


def test_the_edge_of_the_sky_and_a_seam_have_a_node_at_every_pixel() -> None:
    allsky = {
        "CTYPE1": "RA---AIT", "CTYPE2": "DEC--AIT", "CUNIT1": "deg", "CUNIT2": "deg", "CRPIX1": 350.0,
        "CRPIX2": 300.0, "CRVAL1": 0.0, "CRVAL2": 0.0, "CDELT1": -0.5, "CDELT2": 0.5, "RADESYS": "ICRS",
    }  # fmt: skip
    wcs = wcs_of(allsky)
    for grid in (grid_of(tan(180.0, 30.0, (NX, NY), scale=0.05)), grid_of(allsky | {"CRVAL1": 30.0})):
        area = Area(0, 400, 200, 420)
        map_ = make_map(grid, wcs, wcs.to_sky(350, 300), grid.middle(), area)
        assert map_.step == 1
        error, pixels = largest_error(grid, wcs, map_, area)
        assert pixels > 1000
        assert error < 1e-9


def test_reach_holds_every_pixel_of_the_image() -> None:
    size = (NX, NY)
    for cards in (tan(size=size), sip(tan(150.01, 2.01, size, angle=30.0)), tpv(tan(149.99, size=size))):
        wcs, grid = wcs_of(cards), grid_of(tan(150.02, 2.01, (NX, NY), scale=0.8 * SCALE))
        reach = reach_of(grid, wcs)
        assert reach is not None
        u, v = np.meshgrid(np.arange(NX), np.arange(NY))
        x, y = wcs.to_pixel(grid.to_sky(u, v))
        inside = (x > -0.5) & (x < NX - 0.5) & (y > -0.5) & (y < NY - 0.5)
        rows, columns = np.nonzero(inside)
        assert reach.u0 <= columns.min()
        assert columns.max() < reach.u1
        assert reach.v0 <= rows.min()
        assert rows.max() < reach.v1
    assert reach_of(grid, wcs_of(tan(150.5, 2.0, (NX, NY)))) is None


@pytest.mark.parametrize("length", [1, 2, 64, 65, 128, 129, 256, 257])
def test_every_pixel_lies_in_a_cell(length: int) -> None:
    wcs, grid = wcs_of(tan(size=(NX, NY))), grid_of(tan(size=(NX, NY), angle=3.0))
    map_ = make_map(grid, wcs, wcs.to_sky(NX / 2, NY / 2), grid.middle(), Area(7, 7 + length, 9, 9 + length))
    assert (length - 1) // map_.step + 1 < map_.nodes.shape[1] == map_.nodes.shape[2]
