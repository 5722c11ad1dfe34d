"""Several bands, and pictures: which bands, on which pixels, how large."""

from __future__ import annotations

import math
from io import BytesIO

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from surveys.errors import RequestFault, TooLarge
from surveys.execute import execute
from surveys.fits.source import Source
from surveys.index.catalog import Catalog
from surveys.mosaic.compose import compose
from surveys.picture.size import View, view_of
from surveys.plan import CutoutPlan, Part
from surveys.planner import Limits
from surveys.planning.planes import Plane, text_of, zoomed
from surveys.request import LONGEST_SIDE, Interval
from surveys.sky.pixels import PixelBox
from surveys.sky.sphere import separation_deg, unit_vectors
from surveys.sky.stencil import CenteredBox, Circle, Size
from tests.surveys.planning.skies import PX, N, asked, box, circle, header_of, names, png, sky, wcs_of_part

MIDDLE = circle(10.0, 20.0, 30.2)  # on four tiles of the survey `grid`
CORNER = circle(10.0 + 40 * PX, 20.0 - 40 * PX, 10.2)  # on one
MEETING = circle(30.0, 0.0, 50.2)  # of turned tiles of the survey `own`


def bands_of(made: CutoutPlan) -> list[str]:
    return [part.band for part in made.parts]


def test_each_band_is_an_image_of_its_own(catalog: Catalog) -> None:
    for region, method in ((CORNER, "copy"), (MIDDLE, "paste")):
        made = asked(catalog, "grid", region)
        assert bands_of(made) == ["g", "r", "i"]
        assert {part.method for part in made.parts} == {method}
        alone = [asked(catalog, f"grid/{band}", region) for band in "gri"]
        assert made.parts == tuple(plan.parts[0] for plan in alone)
        assert made.cost.pixels_in == sum(plan.cost.pixels_in for plan in alone)
        assert made.cost.pixels_out == sum(plan.cost.pixels_out for plan in alone)
    assert bands_of(asked(catalog, "grid", MIDDLE, filters=("i", "g"))) == ["g", "i"]
    assert bands_of(asked(catalog, "grid", MIDDLE, band_m=Interval(4.1e-7, 6e-7))) == ["g", "r"]
    assert bands_of(asked(catalog, "many", CORNER, filters=("u", "i"))) == ["u", "i"]


def places(catalog: Catalog, part: Part) -> np.ndarray:
    """Directions of the first and the last pixel, and of one beside the first."""
    wcs = wcs_of_part(part, catalog.artifact(part.pieces[0].artifact_id))
    last = part.grid.box.width - 1, part.grid.box.height - 1
    return unit_vectors(*wcs.all_pix2world([0, last[0], 1], [0, last[1], 0], 0))


def test_a_cube_needs_one_grid(catalog: Catalog) -> None:
    for region in (CORNER, MIDDLE, box(10.0, 20.0, 50, 60)):
        made = asked(catalog, "grid", region, layout="cube")
        first, *others = (places(catalog, part) for part in made.parts)
        for other in others:
            assert separation_deg(first, other).max() < 1e-3 * PX
        assert len({(part.grid.box.width, part.grid.box.height) for part in made.parts}) == 1
    resampled = asked(catalog, "own", MEETING, layout="cube")
    assert {part.method for part in resampled.parts} == {"resample"}
    with pytest.raises(RequestFault, match=r"LAYOUT=cube.*that of r is not that of g: ask for GRID=tan"):
        asked(catalog, "shifted", CORNER, layout="cube")
    tan = asked(catalog, "shifted", CORNER, layout="cube", grid="tan")
    assert tan.parts[0].grid == tan.parts[1].grid
    assert asked(catalog, "shifted", CORNER).parts[0].method == "copy"


@pytest.mark.parametrize(
    ("dataset", "region", "how"),
    [
        ("grid/g", CORNER, {}),
        ("grid/g", MIDDLE, {}),
        ("grid", MIDDLE, {}),
        ("grid", CORNER, {"layout": "cube"}),
        ("grid", MIDDLE, {"layout": "cube"}),
        ("own", MEETING, {}),
        ("own/g", MEETING, {"grid": "tan", "combine": "mean"}),
        ("own/g", circle(30.0, 0.0, 150), {"edge": "pad", "checksum": True}),
        ("weighed/g", box(10.0, 20.0 - 30 * PX, 130, 20), {"detail": "full"}),
        ("weighed/g/a", CORNER, {"detail": "full"}),
        ("own/g/t11", None, {"grid": "tan"}),
    ],
)
def test_the_size_of_a_file_is_known_before_a_pixel_is_read(
    catalog: Catalog, dataset: str, region: Circle | None, how: dict[str, object]
) -> None:
    made = asked(catalog, dataset, region, **how)
    content = execute(made, catalog, Source()).tobytes()
    assert len(content) == made.cost.bytes_out
    with fits.open(BytesIO(content)) as hdus:
        hdus.verify("exception")
        images = sum(hdu.data.size for hdu in hdus if hdu.is_image and hdu.data is not None)
    assert images == made.cost.pixels_out
    if not made.is_plain:
        with pytest.raises(TooLarge, match="the limit is"):
            asked(catalog, dataset, region, **how, limits=Limits(10**6, made.cost.bytes_out - 1))


def test_bands_of_a_picture(catalog: Catalog) -> None:
    assert bands_of(asked(catalog, "grid", CORNER, picture=png())) == ["i", "r", "g"]
    assert bands_of(asked(catalog, "grid", CORNER, picture=png(bands=("g", "r", "i")))) == ["g", "r", "i"]
    twice = asked(catalog, "many", CORNER, picture=png(bands=("i", "u", "i")))
    assert bands_of(twice) == ["i", "u"]
    assert bands_of(asked(catalog, "grid/r", CORNER, picture=png())) == ["r"]
    assert bands_of(asked(catalog, "grid", CORNER, picture=png(), filters=("r",))) == ["r"]


def test_a_picture_of_its_natural_size_has_the_pixels_as_they_are(catalog: Catalog) -> None:
    for region, method in ((CORNER, "copy"), (MIDDLE, "paste")):
        alone = asked(catalog, "grid/r", region)
        picture = asked(catalog, "grid/r", region, picture=png())
        assert picture.parts == alone.parts
        colour = asked(catalog, "grid", region, picture=png())
        assert {part.method for part in colour.parts} == {method}
        assert {part.grid.wcs_text for part in colour.parts} == {""}


def test_bands_on_other_pixels_are_brought_to_those_of_the_first(catalog: Catalog) -> None:
    made = asked(catalog, "shifted", CORNER, picture=png(bands=("r", "g", "g")))
    red, blue = made.parts
    assert (red.method, blue.method) == ("copy", "resample")
    assert (red.grid.box.width, red.grid.box.height) == (blue.grid.box.width, blue.grid.box.height)
    assert separation_deg(places(catalog, red), places(catalog, blue)).max() < 1e-6 * PX


def image_of(catalog: Catalog, made: CutoutPlan, part: Part) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of a part, and the sky where they are."""
    image = compose(part, made.request, catalog, Source()).image
    x, y = np.meshgrid(np.arange(part.grid.box.width), np.arange(part.grid.box.height))
    wcs = wcs_of_part(part, catalog.artifact(part.pieces[0].artifact_id))
    return image, sky(*wcs.all_pix2world(x, y, 0))


@pytest.mark.parametrize(
    ("asked_for", "size"),
    [
        ({"width": 50}, (50, 50)),
        ({"height": 25}, (25, 25)),
        ({"width": 200}, (200, 200)),
        ({"width": 60, "height": 30}, (60, 30)),
        ({"orient": "north"}, None),
        ({"orient": "north", "width": 64}, (64, 64)),
    ],
)
@pytest.mark.parametrize("survey", ["grid", "own"])
def test_pictures_of_any_size_show_the_sky(
    catalog: Catalog, survey: str, asked_for: dict[str, object], size: tuple[int, int] | None
) -> None:
    region = MIDDLE if survey == "grid" else MEETING
    made = asked(catalog, survey, region, picture=png(**asked_for), resample="bilinear")
    assert bands_of(made) == ["i", "r", "g"]
    assert len({part.grid for part in made.parts}) == 1
    assert {part.method for part in made.parts} == {"resample"}
    part = made.parts[0]
    assert size is None or (part.grid.box.width, part.grid.box.height) == size
    image, expected = image_of(catalog, made, part)
    known = np.isfinite(image)
    assert known.mean() > 0.9
    # averages of up to 4 x 4 pixels of a sky that bends
    assert np.abs(image - expected)[known].max() < 3.0
    if asked_for.get("orient") == "north":
        header = fits.Header.fromstring(part.grid.wcs_text)
        assert (header["CD1_2"], header["CD2_1"]) == (0.0, 0.0)
        assert header["CD1_1"] < 0.0 < header["CD2_2"]


def test_a_picture_holds_the_region_whatever_its_shape(catalog: Catalog) -> None:
    for shape in ({"width": 90, "height": 30}, {"width": 30, "height": 90}, {"width": 47}):
        (part,) = asked(catalog, "own/g", MEETING, picture=png(**shape)).parts
        wcs = WCS(fits.Header.fromstring(part.grid.wcs_text))
        rim = MEETING.boundary(64)
        ra, dec = np.degrees(np.arctan2(rim[:, 1], rim[:, 0])) % 360, np.degrees(np.arcsin(rim[:, 2]))
        x, y = wcs.all_world2pix(ra, dec, 0)
        assert x.min() > -0.51
        assert y.min() > -0.51
        assert x.max() < part.grid.box.width - 0.49
        assert y.max() < part.grid.box.height - 0.49


def test_the_scale_of_a_picture_may_be_given(catalog: Catalog) -> None:
    made = asked(catalog, "own/g", MEETING, picture=png(width=40, height=20), pixscale_deg=1.5 * PX)
    (part,) = made.parts
    assert (part.grid.box.width, part.grid.box.height) == (40, 20)
    wcs = WCS(fits.Header.fromstring(part.grid.wcs_text))
    assert math.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix))) == pytest.approx(1.5 * PX, rel=1e-4)
    centre = unit_vectors(*wcs.all_pix2world(19.5, 9.5, 0))
    assert separation_deg(centre, unit_vectors(30.0, 0.0)) < 0.51 * PX


@pytest.mark.parametrize("pixscale", [0.1, 0.262, 0.9, 3.0])
def test_pixels_of_a_picture_are_counted_in_its_own_scale(catalog: Catalog, pixscale: float) -> None:
    size = Size(61 * pixscale * PX, 40 * pixscale * PX, in_pixels=False)
    made = asked(
        catalog, "own/g", CenteredBox(30.0, 0.0, size), picture=png(), grid="tan", pixscale_deg=pixscale * PX
    )
    (part,) = made.parts
    assert (part.grid.box.width, part.grid.box.height) == (61, 40)
    assert fits.Header.fromstring(part.grid.wcs_text)["CD2_2"] == pytest.approx(pixscale * PX, rel=1e-12)


def test_whole_images_are_made_into_pictures(catalog: Catalog) -> None:
    (part,) = asked(catalog, "own/g/t11", picture=png()).parts
    assert (part.method, part.grid.box) == ("copy", PixelBox(0, N, 0, N))
    (small,) = asked(catalog, "own/g/t11", picture=png(width=20)).parts
    assert (small.method, small.grid.box, names(small)) == ("resample", PixelBox(0, 20, 0, 20), ["t11"])
    header = fits.Header.fromstring(small.grid.wcs_text)
    # the middle stays the middle: CRPIX' = (CRPIX - 1/2) s + 1/2
    assert (header["CRPIX1"], header["CRPIX2"]) == (pytest.approx(10.5), pytest.approx(10.5))


def test_pictures_are_bounded(catalog: Catalog) -> None:
    with pytest.raises(TooLarge, match=r"have 3000 x \d+ px; the limit is 333333 px.*WIDTH=577"):
        asked(catalog, "grid", CORNER, picture=png(width=3000))
    with pytest.raises(RequestFault, match=r"takes 3 planes, and a picture shows one"):
        asked(catalog, "cubes/g", circle(10.0, 20.0 - 30 * PX, 5), picture=png())
    large = Circle(30.0, 0.0, 0.03)
    with pytest.raises(TooLarge, match=r"would read \d+ px of 9 images"):
        asked(catalog, "own/g", large, picture=png(width=10), limits=Limits(10**6, 10**9, 50, 10_000))


@pytest.mark.parametrize(
    ("width", "height", "options", "scale", "expected"),
    [
        (300, 200, {}, None, View(10, 20, 1.0, 300, 200)),
        (4096, 1024, {}, None, View(10, 20, 0.5, LONGEST_SIDE, 512)),
        (300, 200, {"width": 600}, None, View(10, 20, 2.0, 600, 400)),
        (300, 200, {"height": 100}, None, View(10, 20, 0.5, 150, 100)),
        (300, 200, {"width": 100, "height": 100}, None, View(10, -30, 1 / 3, 100, 100)),
        (300, 200, {}, 2.0, View(10, 20, 0.5, 150, 100)),
        (300, 200, {}, 1.0 + 1e-9, View(10, 20, 1.0, 300, 200)),
        (300, 200, {"width": 100, "height": 50}, 1.0, View(110, 95, 1.0, 100, 50)),
        (300, 200, {"width": 101}, 1.0, View(110, 20, 1.0, 101, 200)),
        (3000, 2, {"width": 100}, None, View(10, 20 - 14, 1 / 30, 100, 1)),
    ],
)
def test_sizes_of_pictures(
    width: int, height: int, options: dict[str, int], scale: float | None, expected: View
) -> None:
    made = view_of(PixelBox(10, 10 + width, 20, 20 + height), png(**options), 1.0, scale)
    assert (made.width, made.height, made.zoom) == (
        expected.width,
        expected.height,
        pytest.approx(expected.zoom),
    )
    assert (made.left, made.bottom) == (pytest.approx(expected.left), pytest.approx(expected.bottom))


@pytest.mark.parametrize("dataset", ["own/g/t21", "sip/g/bent", "map/g/after", "pole/g/q1"])
@pytest.mark.parametrize(
    ("left", "bottom", "zoom"), [(0, 0, 1.0), (13, -7, 1.0), (4.5, 10.3, 0.3), (-3, 2, 2.5)]
)
def test_zoomed_planes_are_the_same_sky(
    catalog: Catalog, dataset: str, left: float, bottom: float, zoom: float
) -> None:
    record = catalog.record(dataset, 1)
    text = zoomed(text_of(record), left, bottom, zoom)
    ours, original = WCS(fits.Header.fromstring(text)), WCS(header_of(record))
    x, y = np.meshgrid(np.linspace(0, 79, 5), np.linspace(0, 79, 5))
    x, y = x.ravel(), y.ravel()
    there = (x + 0.5 - left) * zoom - 0.5, (y + 0.5 - bottom) * zoom - 0.5
    expected = unit_vectors(*original.all_pix2world(x, y, 0))
    found = unit_vectors(*ours.all_pix2world(*there, 0))
    assert separation_deg(found, expected).max() < 1e-7 * record.pixel_scale_deg
    plane = Plane.of(record).in_own_words(record)
    assert plane.wcs.to_pixel(expected)[0] == pytest.approx(x, abs=1e-6)
