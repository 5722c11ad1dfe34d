"""Regions over several tiles: which grid, which tiles, which of their pixels; judged by astropy."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from surveys.errors import RequestFault, TooLarge
from surveys.fits.source import Source
from surveys.index.catalog import Catalog
from surveys.mosaic.compose import compose
from surveys.plan import CutoutPlan
from surveys.planner import Limits
from surveys.sky.pixels import PixelBox
from surveys.sky.sphere import unit_vectors
from surveys.sky.stencil import CenteredBox, Circle, Polygon, Range, Stencil
from tests.surveys.planning.skies import (
    PX,
    STEP,
    N,
    asked,
    box,
    circle,
    header_of,
    names,
    sampled,
    sky,
    wcs_of_part,
    written,
)

TILES = written()
#: A place where tiles of each survey meet, and how wide they are there.
PLACES = {
    "grid": (10.0, 20.0, 70),
    "own": (30.0, 0.0, 100),
    "wrap": (0.0, -40.0, 70),
    "pole": (0.0, 90.0, 70),
    "south": (0.0, -90.0, 50),
    "sip": (60.0 + STEP * PX / 2, 10.0, 60),
    "mixed": (70.0 - 15 * PX, 0.0, 60),
    "gap": (80.0 + 0.6 * N * PX, 0.0, 90),
}


def test_one_tile_that_holds_it_all_is_copied(catalog: Catalog) -> None:
    for name, (ra, dec, _) in PLACES.items():
        tile, cards = next(iter(TILES[name].items()))
        near = circle(cards["CRVAL1"], cards["CRVAL2"], 5.3) if name != "grid" else circle(ra, dec, 5.3)
        (part,) = asked(catalog, f"{name}/g", near).parts
        assert (part.method, len(part.pieces), part.grid.wcs_text) == ("copy", 1, ""), name
        assert part.grid.box == part.pieces[0].box
        assert name == "grid" or names(part) == [tile]


def test_tiles_of_one_grid_are_pasted_to_the_pixel(catalog: Catalog) -> None:
    made = asked(catalog, "grid/g", circle(10.0, 20.0, 30.2))
    (part,) = made.parts
    assert part.method == "paste"
    assert sorted(names(part)) == ["t0x0", "t0x60", "t60x0", "t60x60"]
    reference = catalog.artifact(part.pieces[0].artifact_id)
    # the place is pixel 69.5 of the common grid
    left, bottom = (int(70.5 - header_of(reference)[f"CRPIX{axis}"]) for axis in (1, 2))
    assert part.grid.box == PixelBox(39 - left, 101 - left, 39 - bottom, 101 - bottom)
    assert not made.clipped
    for piece in part.pieces:
        own = header_of(catalog.artifact(piece.artifact_id))
        x, y = int(70.5 - own["CRPIX1"]), int(70.5 - own["CRPIX2"])
        assert piece.box == PixelBox(max(39 - x, 0), min(101 - x, N), max(39 - y, 0), min(101 - y, N))
    image = compose(part, made.request, catalog, Source()).image
    common = sampled(TILES["grid"]["t0x0"], 140, 140)
    np.testing.assert_array_equal(image, common[39:101, 39:101])


def test_the_grid_is_that_of_the_tile_nearest_the_centre(catalog: Catalog) -> None:
    for ra, dec, nearest in ((30.001, 0.001, "t11"), (30.0 + STEP * PX, 0.002, "t21"), (29.985, 0.0, "t01")):
        (part,) = asked(catalog, "own/g", circle(ra, dec, 50)).parts
        assert (part.method, names(part)[0], part.grid.wcs_text) == ("resample", nearest, "")


def test_only_tiles_that_contribute_are_read(catalog: Catalog) -> None:
    (part,) = asked(catalog, "own/g", box(30.0 + STEP / 2 * PX, 0.0, 40, 10)).parts
    assert sorted(names(part)) == ["t11", "t21"]
    for piece in part.pieces:
        assert piece.box.pixels < 0.4 * N * N


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("grid", ["native", "tan"])
def test_a_mosaic_is_the_sky(catalog: Catalog, name: str, grid: str) -> None:
    ra, dec, width = PLACES[name]
    made = asked(catalog, f"{name}/g", circle(ra, dec, 0.45 * width), grid=grid, resample="bilinear")
    (part,) = made.parts
    assert part.method == ("paste" if (name, grid) == ("grid", "native") else "resample")
    composed = compose(part, made.request, catalog, Source())
    x, y = np.meshgrid(np.arange(part.grid.box.width), np.arange(part.grid.box.height))
    place = wcs_of_part(part, catalog.artifact(part.pieces[0].artifact_id))
    expected = sky(*place.all_pix2world(x, y, 0))
    known = np.isfinite(composed.image)
    assert known.mean() > (0.4 if made.clipped else 0.8)
    # what a bilinear kernel misses of a sky that bends by so much, by pixels of two arcseconds at most
    assert np.abs(composed.image - expected)[known].max() < (0.5 if name != "mixed" else 2.0)
    assert made.clipped == (name in ("gap", "mixed"))


def stencils(ra: float, dec: float, width: int) -> st.SearchStrategy[Stencil]:
    """Shapes about a place, near it and of its size."""
    off = st.floats(-0.6 * width, 0.6 * width).map(lambda px: px * PX)
    size = st.floats(0.3, 0.8 * width)
    limit = 90.0 - 1e-6

    def moved(x: float, y: float) -> tuple[float, float]:
        if abs(dec) == 90.0:
            from_pole = float(np.hypot(x, y))
            return float(np.degrees(np.arctan2(y, x))) % 360, float(np.copysign(90.0 - from_pole, dec))
        return float((ra + x / np.cos(np.radians(dec))) % 360), float(np.clip(dec + y, -limit, limit))

    centre = st.tuples(off, off).map(lambda point: moved(*point))
    circles = st.builds(lambda at, r: Circle(*at, r * PX), centre, size)
    boxes = st.builds(lambda at, w, h: box(*at, max(1, round(w)), max(1, round(h))), centre, size, size)

    def polygon(at: tuple[float, float], radii: list[float]) -> Stencil | None:
        rim = Circle(*at, 1.0)
        angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
        turns = [Circle(rim.ra_deg, rim.dec_deg, r * PX).boundary(len(radii))[k] for k, r in enumerate(radii)]
        vertices = [
            (float(np.degrees(np.arctan2(v[1], v[0])) % 360), float(np.degrees(np.arcsin(v[2]))))
            for v, _ in zip(turns, angles, strict=True)
        ]
        try:
            return Polygon.of(vertices)
        except ValueError:
            return None

    polygons = st.builds(polygon, centre, st.lists(size.filter(lambda r: r > 1), min_size=3, max_size=6))

    def ranged(at: tuple[float, float], w: float, h: float) -> Range:
        half, tall = w * PX / 2 / max(np.cos(np.radians(at[1])), 1e-6), h * PX / 2
        half = float(half)
        west = (at[0] - min(half, 180.0)) % 360
        low, high = max(at[1] - tall, -90.0), min(at[1] + tall, 90.0)
        return Range(west, west + min(2 * half, 360.0), low, high)

    ranges = st.builds(ranged, centre, size, size)
    return st.one_of(circles, boxes, ranges, polygons.filter(lambda found: found is not None))


def tile_pixels(name: str, tile: str) -> tuple[WCS, np.ndarray, np.ndarray, np.ndarray]:
    wcs = WCS(fits.Header(TILES[name][tile]))
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(N), np.arange(N)))
    return wcs, x, y, unit_vectors(*wcs.all_pix2world(x, y, 0))


def check(catalog: Catalog, name: str, stencil: Stencil, made: CutoutPlan) -> None:
    (part,) = made.parts
    records = [catalog.artifact(piece.artifact_id) for piece in part.pieces]
    place = wcs_of_part(part, records[0])
    grid = part.grid.box
    missed = np.zeros(0, bool)
    for tile in TILES[name]:
        _, _, _, vectors = tile_pixels(name, tile)
        if isinstance(stencil, CenteredBox):
            continue
        inside = stencil.contains(vectors)
        ra, dec = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])), np.degrees(np.arcsin(vectors[:, 2]))
        if not inside.any():
            continue
        x, y = place.all_world2pix(ra[inside], dec[inside], 0)
        missed = (x < -0.501) | (y < -0.501) | (x > grid.width - 0.499) | (y > grid.height - 0.499)
        assert not missed.any(), "a pixel of the region is not on the grid"
    # Every output pixel that a tile has is read of it.
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(grid.width), np.arange(grid.height)))
    ra, dec = place.all_pix2world(x, y, 0)
    covered = np.zeros(x.size, bool)
    for tile in TILES[name]:
        wcs = WCS(fits.Header(TILES[name][tile]))
        vectors = unit_vectors(ra, dec)
        near = vectors @ unit_vectors(wcs.wcs.crval[0], wcs.wcs.crval[1]) > 0.99
        tx, ty = wcs.all_world2pix(ra[near], dec[near], 0, quiet=True)
        here = (tx > -0.49) & (ty > -0.49) & (tx < N - 0.51) & (ty < N - 0.51)
        covered[np.nonzero(near)[0][here]] = True
        piece = next((piece for piece in part.pieces if piece.dataset.endswith(f"/{tile}")), None)
        if not here.any() or part.method == "copy":
            continue
        assert piece is not None, f"{tile} is left out"
        column, row = np.round(tx[here]), np.round(ty[here])
        assert column.min() >= piece.box.x0
        assert column.max() < piece.box.x1
        assert row.min() >= piece.box.y0
        assert row.max() < piece.box.y1
    if not isinstance(stencil, CenteredBox) and part.method != "copy":
        # What a stencil has of the grid and no tile has, and more than half a pixel of it, is told.
        empty = stencil.contains(unit_vectors(ra, dec)) & ~covered
        thick = empty.reshape(grid.height, grid.width)
        if thick.shape[0] > 2 and thick.shape[1] > 2:
            core = thick[1:-1, 1:-1] & thick[2:, 1:-1] & thick[:-2, 1:-1] & thick[1:-1, 2:] & thick[1:-1, :-2]
            assert made.clipped or not core.any()


@pytest.mark.parametrize("name", PLACES)
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_stencil_has_a_grid_that_holds_it(catalog: Catalog, name: str, data: st.DataObject) -> None:
    stencil = data.draw(stencils(*PLACES[name]))
    options = data.draw(
        st.sampled_from([{}, {"edge": "pad"}, {"grid": "tan"}, {"grid": "tan", "edge": "clip"}])
    )
    made = asked(catalog, f"{name}/g", stencil, **options)
    assert CutoutPlan.from_json(made.to_json()) == made
    if made.parts:
        check(catalog, name, stencil, made)


def test_clip_cuts_down_to_what_tiles_cover(catalog: Catalog) -> None:
    """The region sticks out of the pasted tiles, which end at pixel 0 and 140, at the left and at the top."""
    far = circle(10.0 + 60 * PX / np.cos(np.radians(20.0)), 20.0 + 50 * PX, 40.2)
    clipped, padded = (asked(catalog, "grid/g", far, edge=edge) for edge in ("clip", "pad"))
    (part,) = clipped.parts
    reference = header_of(catalog.artifact(part.pieces[0].artifact_id))
    left, bottom = int(70.5 - reference["CRPIX1"]), int(70.5 - reference["CRPIX2"])
    grid = part.grid.box
    assert (grid.x0 + left, grid.y1 + bottom) == (0, 140)
    assert clipped.clipped
    assert padded.clipped
    assert padded.parts[0].grid.box.width in (81, 82)
    assert padded.parts[0].grid.box.height in (81, 82)
    with pytest.raises(RequestFault, match=r"^\d+ % of the region lies outside.*EDGE=clip.*EDGE=pad"):
        asked(catalog, "grid/g", far, edge="error")
    within = asked(catalog, "grid/g", circle(10.0, 20.0, 30.0), edge="error")
    assert not within.clipped


def test_edges_of_one_image(catalog: Catalog) -> None:
    ra, dec = 10.0 + 70 * PX / np.cos(np.radians(20.0)), 20.0 - 40 * PX
    half = circle(ra, dec, 10.2)
    clip, pad = (asked(catalog, "grid/g/t0x0", half, edge=edge) for edge in ("clip", "pad"))
    assert clip.grid == asked(catalog, "grid/g/t0x0", half).grid == clip.pieces[0].box
    assert clip.grid is not None
    assert clip.grid.x0 == 0
    assert pad.grid is not None
    assert (pad.grid.width, pad.grid.height) in {(21, 21), (22, 21), (21, 22), (22, 22)}
    assert pad.pieces[0].box == clip.pieces[0].box
    assert (clip.clipped, pad.clipped, clip.padded, pad.padded) == (True, True, False, True)
    with pytest.raises(RequestFault, match=r"^(4\d|5\d) % of the region lies outside"):
        asked(catalog, "grid/g/t0x0", half, edge="error")
    square = box(ra, dec, 20, 20)
    padded, cut = asked(catalog, "grid/g/t0x0", square), asked(catalog, "grid/g/t0x0", square, edge="clip")
    assert padded.grid is not None
    assert (padded.grid.width, padded.grid.height) == (20, 20)
    assert cut.grid == padded.pieces[0].box == cut.pieces[0].box
    with pytest.raises(RequestFault, match="EDGE=error"):
        asked(catalog, "grid/g/t0x0", square, edge="error")


def test_fixed_boxes_keep_their_size_on_mosaics(catalog: Catalog) -> None:
    for name, (ra, dec, width) in PLACES.items():
        for grid in ("native", "tan"):
            (part,) = asked(catalog, f"{name}/g", box(ra, dec, width + 1, width - 10), grid=grid).parts
            assert (part.grid.box.width, part.grid.box.height) == (width + 1, width - 10)


def test_a_tan_grid_is_north_up_about_the_region(catalog: Catalog) -> None:
    for ra, dec in ((30.0, 0.0), (30.01, -0.013)):
        made = asked(catalog, "own/g", circle(ra, dec, 30), grid="tan", pixscale_deg=2 * PX)
        (part,) = made.parts
        header = fits.Header.fromstring(part.grid.wcs_text)
        assert (header["CTYPE1"], header["CRVAL1"], header["CRVAL2"]) == ("RA---TAN", ra, dec)
        assert (header["CD1_1"], header["CD1_2"], header["CD2_2"]) == (-2 * PX, 0.0, 2 * PX)
        assert (part.grid.box.x0, part.grid.box.y0) == (0, 0)
        assert part.grid.box.width == part.grid.box.height == 31
        assert (header["CRPIX1"], header["CRPIX2"]) == (16, 16)
    (single,) = asked(catalog, "own/g/t11", circle(30, 0, 10), grid="tan").parts
    assert (single.method, names(single)) == ("resample", ["t11"])
    (whole,) = asked(catalog, "own/g/t11", grid="tan").parts
    assert whole.grid.box.width in (N, N + 1)


def test_combining_all_needs_all(catalog: Catalog) -> None:
    middle = circle(10.0, 20.0, 4.0)  # on all four tiles
    for combine, count in (("auto", 1), ("first", 1), ("mosaic", 1), ("mean", 4)):
        (part,) = asked(catalog, "grid/g", middle, combine=combine).parts
        assert (len(part.pieces), part.method) == (count, "copy" if count == 1 else "paste")


def test_unique_areas_travel(catalog: Catalog) -> None:
    region = box(10.0, 20.0 - 30 * PX, 120, 20)
    (bordered,) = asked(catalog, "bordered/g", region).parts
    assert {piece.unique for piece in bordered.pieces} == {(10.0,)}
    (limited,) = asked(catalog, "limited/g", region).parts
    found = dict(zip(names(limited), (piece.unique for piece in limited.pieces), strict=True))
    assert found == {tile: (10.0 + k, 10.5 + k, 19.0, 21.0) for k, tile in enumerate("abc") if tile in found}
    assert len(found) >= 2


def test_cubes_make_no_mosaic(catalog: Catalog) -> None:
    with pytest.raises(RequestFault, match=r"cubes/g/\w is a cube.* takes 3 planes.*name the cube as ID"):
        asked(catalog, "cubes/g", box(10.0, 20.0 - 30 * PX, 120, 20))
    with pytest.raises(RequestFault, match="takes 3 planes"):
        asked(catalog, "cubes/g/a", circle(10.0, 20.0 - 30 * PX, 5), grid="tan")
    whole = asked(catalog, "cubes/g", circle(10.0, 20.0 - 30 * PX, 5))
    assert whole.grid is not None
    assert whole.cost.pixels_out == 3 * whole.grid.pixels


def test_a_grid_that_cannot_be_extended_is_refused_with_the_way_out(catalog: Catalog) -> None:
    """The tiles lie on one map, whose edge at RA 0 runs through the region."""
    seam = Circle(0.0, 0.0, 10.0)
    with pytest.raises(RequestFault, match="cannot be extended over the region: ask for GRID=tan"):
        asked(catalog, "map/g", seam)
    (part,) = asked(catalog, "map/g", seam, grid="tan").parts
    assert sorted(names(part)) == ["after", "before"]
    with pytest.raises(RequestFault, match="too large for one gnomonic plane"):
        asked(catalog, "map/g", Circle(0.0, 0.0, 120.0), grid="tan", edge="pad")


def test_a_box_that_misses_the_images_on_another_grid_is_empty(catalog: Catalog) -> None:
    """Five pixels of the coarse tile reach its edge, five of the survey's nominal scale do not."""
    at_the_side = box(69.9980555, 21 * PX, 5, 1)
    assert len(asked(catalog, "mixed/g", at_the_side).pieces) == 1
    assert asked(catalog, "mixed/g", at_the_side, grid="tan").parts == ()


def test_limits(catalog: Catalog) -> None:
    region = circle(30.0, 0.0, 60)
    with pytest.raises(TooLarge, match=r"the limit is 5000 px.*a radius of at most ") as refused:
        asked(catalog, "own/g", region, limits=Limits(5000, 10**9))
    radius = float(str(refused.value).split("at most ")[-1].split()[0])
    smaller = asked(catalog, "own/g", Circle(30.0, 0.0, radius), limits=Limits(5000, 10**9))
    assert 4000 < smaller.cost.pixels_out <= 5000
    with pytest.raises(TooLarge, match="SIZE=70px 70px at most"):
        asked(catalog, "own/g", box(30.0, 0.0, 120, 120), limits=Limits(5000, 10**9))
    with pytest.raises(TooLarge, match=r"more than 3 images of own.*smaller region"):
        asked(catalog, "own/g", region, limits=Limits(10**6, 10**9, max_inputs=3))
    made = asked(catalog, "own/g", region)
    assert made.cost.pixels_in == sum(piece.box.pixels for piece in made.pieces)
    tight = Limits(10**6, 10**9, max_pixels_in=made.cost.pixels_in)
    assert asked(catalog, "own/g", region, limits=tight) == made
    with pytest.raises(TooLarge, match=f"would read {made.cost.pixels_in} px of 9 images; the limit is"):
        asked(catalog, "own/g", region, limits=Limits(10**6, 10**9, max_pixels_in=made.cost.pixels_in - 1))
