"""From files to pictures: stars lie where the coordinates in the picture say, in the colours they have."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray
from PIL import Image as Pillow

from surveys.declaration import parse_survey
from surveys.errors import RequestFault
from surveys.execute import CutoutResult, describe_cutout, execute
from surveys.fits.source import Source
from surveys.index.catalog import Catalog
from surveys.index.ingest import index_survey
from surveys.plan import CutoutPlan
from surveys.planner import Limits, plan_cutout
from surveys.request import CutoutRequest, Cuts, PictureOptions
from surveys.sky.stencil import CenteredBox, Circle, Size, Stencil
from tests.support.databases import sqlite
from tests.support.layouts import write
from tests.surveys.picture.sky import PNG

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pyavm import AVM

RA, DEC, SCALE = 150.0, 2.0, 1.0 / 3600
NX, NY = 160, 120
LIMITS = Limits(max_pixels=10**7, max_bytes=10**9)

#: Stars: arcsec east and north of the centre, and fluxes (nanomaggies) in i, r and g.
STARS = ((35.0, 20.0, (60.0, 20.0, 5.0)), (-25.0, 30.0, (5.0, 20.0, 60.0)), (10.0, -30.0, (40.0, 40.0, 40.0)))
#: Tiles by the east offset of their centre, arcsec, and their zero point.
TILES = {"east": (50.0, 25.0), "west": (-50.0, 27.5)}

RECIPE = {
    "version": 1, "algorithm": "lupton", "bands": ["i", "r", "g"], "softening": 1.0,
    "black": {"i": -0.1, "r": -0.1, "g": -0.1},
}  # fmt: skip
GREY = {"version": 1, "algorithm": "grey", "stretch": "asinh", "softening": 2.0, "cuts": [-1, 80]}
BANDS = {
    "g": {"em_min_m": 4e-7, "em_max_m": 5.5e-7},
    "r": {"em_min_m": 5.6e-7, "em_max_m": 7e-7},
    "i": {"em_min_m": 7e-7, "em_max_m": 8.5e-7},
}


@dataclass(frozen=True)
class Shop:
    catalog: Catalog

    def plan(
        self, dataset: str, stencil: Stencil | None, options: PictureOptions, **changes: Any
    ) -> CutoutPlan:
        request = CutoutRequest(dataset, stencil, picture=options, **changes)
        return CutoutPlan.from_json(plan_cutout(request, self.catalog, LIMITS).to_json())

    def make(
        self, dataset: str, stencil: Stencil | None, options: PictureOptions, **changes: Any
    ) -> CutoutResult:
        return execute(self.plan(dataset, stencil, options, **changes), self.catalog, Source())


def cards_of(east_arcsec: float) -> dict[str, Any]:
    return {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": RA, "CRVAL2": DEC, "RADESYS": "ICRS",
        "CRPIX1": (NX + 1) / 2 + east_arcsec, "CRPIX2": (NY + 1) / 2,
        "CD1_1": -SCALE, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": SCALE,
    }  # fmt: skip


def drawn(cards: dict[str, Any], band: str, zeropoint: float) -> NDArray[np.float32]:
    """Pixels of a tile: the stars as Gaussians of 1.5 px, in units of its zero point."""
    pixels = np.zeros((NY, NX))
    y, x = np.mgrid[:NY, :NX]
    wcs = WCS(fits.Header(cards.items()))
    for east, north, fluxes in STARS:
        px, py = wcs.all_world2pix(*place(east, north), 0)
        pixels += fluxes["irg".index(band)] * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 4.5)
    return (pixels * 10 ** (0.4 * (zeropoint - 22.5))).astype(np.float32)


def place(east_arcsec: float, north_arcsec: float) -> tuple[float, float]:
    return RA + east_arcsec / 3600 / math.cos(math.radians(DEC)), DEC + north_arcsec / 3600


SIP = {
    "A_ORDER": 2,
    "B_ORDER": 2,
    "A_2_0": 5e-4,
    "B_0_2": -5e-4,
    "CTYPE1": "RA---TAN-SIP",
    "CTYPE2": "DEC--TAN-SIP",
}
DOWN = {"CD1_1": SCALE, "CD2_2": -SCALE}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    root = tmp_path_factory.mktemp("pictures")
    for band in "irg":
        for name, (east, zeropoint) in TILES.items():
            if (band, name) == ("g", "west"):
                continue  # it has no g
            cards = cards_of(east) | {"MAGZERO": zeropoint}
            write(root / "sky" / f"{name}_{band}.fits", ("", cards, drawn(cards, band, zeropoint)))
        for name, changes in (("sip", SIP), ("down", DOWN)):
            cards = cards_of(0.0) | changes | {"MAGZERO": 25.0}
            write(root / name / f"one_{band}.fits", ("", cards, drawn(cards, band, 25.0)))
    surveys = []
    for name in ("sky", "sip", "down"):
        declared = {
            "title": "A sky", "kind": "coadd", "root": name, "pixel_scale": 1.0, "bands": BANDS,
            "zeropoint": {"card": "MAGZERO"}, "pixel_value": "flux", "background": "subtracted",
            "layers": {"image": {"path": "{tile}_{band}.fits"}}, "dataset": "{tile}",
            "facility_name": "A telescope", "recipes": {"gri": RECIPE, "grey": GREY},
        }  # fmt: skip
        surveys.append(parse_survey(declared, f"{name}.toml", name, root))
    with sqlite(root) as engine:
        for survey in surveys:
            index_survey(engine, survey)
        yield Shop(Catalog(engine, surveys))


def box(width: float, height: float, east: float = 0.0, north: float = 0.0) -> CenteredBox:
    return CenteredBox(*place(east, north), Size(width / 3600, height / 3600, in_pixels=False))


def stars_in(content: bytes, path: Path) -> list[tuple[float, float, NDArray[np.float64]]]:
    """RA, Dec by the coordinates in the picture, and colour, of each of the stars it shows."""
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wcs = AVM.from_image(str(path)).to_wcs()
    pixels = np.asarray(Pillow.open(BytesIO(content)).convert("RGB"), float)[::-1]
    light = pixels.sum(axis=2) - np.median(pixels.sum(axis=2))
    found = []
    while len(found) < len(STARS):
        y, x = np.unravel_index(light.argmax(), light.shape)
        if light[y, x] < 60:
            break
        reach = 10 * max(1, light.shape[1] // 100)
        window = np.s_[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
        yy, xx = np.mgrid[window]
        weight = np.clip(light[window], 0, None)
        ra, dec = wcs.all_pix2world((xx * weight).sum() / weight.sum(), (yy * weight).sum() / weight.sum(), 0)
        found.append((float(ra), float(dec), pixels[y, x]))
        light[window] = 0
    return found


def near(
    found: list[tuple[float, float, NDArray[np.float64]]], star: int
) -> tuple[float, NDArray[np.float64]]:
    """How far (arcsec) from a star something is found, and in which colour."""
    ra, dec = place(*STARS[star][:2])
    return min(
        (math.hypot((r - ra) * math.cos(math.radians(DEC)), d - dec) * 3600, tuple(c)) for r, d, c in found
    )  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("dataset", "options"),
    [
        ("sky", PNG),
        ("sky", replace(PNG, orient="north")),
        ("sky", replace(PNG, width=75)),
        ("sky", replace(PNG, width=333, orient="north")),
        ("sky", replace(PNG, media_type="image/jpeg", quality=95)),
        ("sip", PNG),
        ("sip", replace(PNG, orient="north")),
        ("down", PNG),
        ("down", replace(PNG, orient="north", width=260)),
    ],
)
def test_stars_lie_where_the_coordinates_in_the_picture_say(
    shop: Shop, tmp_path: Path, dataset: str, options: PictureOptions
) -> None:
    result = shop.make(dataset, box(100, 90), options)
    found = stars_in(result.tobytes(), tmp_path / "picture")
    assert len(found) == len(STARS)
    for star in range(len(STARS)):
        assert near(found, star)[0] < 0.5


def test_stars_have_their_colours_across_tiles_of_different_zero_points(shop: Shop, tmp_path: Path) -> None:
    found = stars_in(shop.make("sky", box(100, 90), PNG).tobytes(), tmp_path / "picture.png")
    red, blue, white = (near(found, star)[1] for star in range(3))
    assert red[0] > 2 * red[1] > 4 * red[2]
    assert blue == red[::-1]  # its g is of the other tile: this one has none
    assert max(white) - min(white) <= 1
    swapped = shop.make("sky", box(100, 90), replace(PNG, bands=("g", "r", "i"))).tobytes()
    assert near(stars_in(swapped, tmp_path / "swapped.png"), 0)[1] == (red[2], red[1], red[0])


def test_a_tile_that_is_upside_down_is_shown_so_unless_north_is_asked_for(shop: Shop) -> None:
    centred = box(99, 89, 0.5, 0.5)  # on the middle of a pixel
    native, north = (
        np.asarray(Pillow.open(BytesIO(shop.make("down/r", centred, options).tobytes())), float)
        for options in (PNG, replace(PNG, orient="north"))
    )
    assert native.shape == north.shape == (89, 99)
    assert np.abs(native - north[::-1, ::-1]).max() <= 1
    # the brightest star of r is south of the centre
    assert north[44:].max() > north[:44].max()


def test_no_band_is_drawn_that_is_not_there_and_that_is_said(shop: Shop) -> None:
    result = shop.make("sky", box(40, 40, east=-60), PNG)
    assert result.facts.remarks == ("there are no data in the band g",)
    assert result.facts.recipe.startswith("gri/1: lupton of i,r,g")
    assert [part.band for part in shop.plan("sky", box(40, 40, east=-60), PNG).parts] == ["i", "r"]


def test_what_no_tile_holds_is_transparent_and_told(shop: Shop) -> None:
    result = shop.make("sky/r", box(40, 40, north=60), PNG)
    alpha = np.asarray(Pillow.open(BytesIO(result.tobytes())).convert("RGBA"))[..., 3]
    assert result.facts.covered == (alpha > 0).mean() == 0.5
    assert (alpha[:20] == 0).all()  # north of it there is nothing


def test_a_picture_is_named_before_it_is_made(shop: Shop) -> None:
    plan = shop.plan("sky", Circle(RA, DEC, 20 / 3600), replace(PNG, media_type="image/jpeg"))
    described = describe_cutout(plan, shop.catalog)
    result = execute(plan, shop.catalog, Source())
    assert described.size is None
    assert described.file_name == result.file_name == "SKYJ100000.00+020000.0_irg_40x40.jpg"
    assert result.media_type == "image/jpeg"
    assert result.size == len(result.tobytes())


def test_a_picture_that_avm_cannot_tell_is_put_on_a_plane_it_can(shop: Shop) -> None:
    (straight,), (bent,) = (
        {part.method for part in shop.plan(name, box(100, 90), PNG).parts} for name in ("down", "sip")
    )
    assert (straight, bent) == ("copy", "resample")
    small = shop.plan("sip", box(10, 10), PNG).parts
    assert {part.method for part in small} == {"copy"}  # bent by less than half a pixel


def test_levels_of_the_recipe_do_not_depend_on_the_size(shop: Shop) -> None:
    large, small = (
        np.asarray(
            Pillow.open(BytesIO(shop.make("sky/i", box(80, 80), replace(PNG, width=width)).tobytes())), float
        )
        for width in (80, 40)
    )
    means = large.reshape(40, 2, 40, 2).mean(axis=(1, 3))
    assert abs(np.median(small) - np.median(means)) <= 1


@pytest.mark.parametrize(("side", "width"), [(60, 30), (60, 20), (60, 12), (63, 9)])
def test_a_smaller_picture_has_the_means_over_its_pixels(shop: Shop, side: int, width: int) -> None:
    """Nothing is brighter or darker than what it is made of: no dark rings about stars."""
    region = box(side, side, 1.0, 4.0)
    stored = execute(
        plan_cutout(CutoutRequest("down/r", region), shop.catalog, LIMITS), shop.catalog, Source()
    )
    pixels = fits.getdata(BytesIO(stored.tobytes())).astype(float)
    means = pixels.reshape(width, side // width, width, side // width).mean(axis=(1, 3))
    options = replace(PNG, stretch="linear", cuts=Cuts("values", -1.0, 8.0), width=width)
    picture = np.asarray(Pillow.open(BytesIO(shop.make("down/r", region, options).tobytes())), float)
    # zero point 25: nanomaggies are a tenth
    expected = np.rint(255 * np.clip((0.1 * means + 1.0) / 9.0, 0.0, 1.0))
    assert means.max() > 30
    assert np.abs(picture[::-1] - expected).max() <= 1


@pytest.mark.parametrize(
    ("dataset", "options", "words"),
    [
        ("sky/r", replace(PNG, recipe="gri"), "makes colour of i, r, g"),
        ("sky", replace(PNG, recipe="sdss"), "is no recipe of sky; it has gri, grey, auto"),
        ("sky/r/east", replace(PNG, algorithm="lupton"), "makes colour of three bands"),
        ("sky", replace(PNG, bands=("z", "r", "g")), "has no band 'z'"),
        ("sky", replace(PNG, stretch="log"), "is for pictures of one band"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_anything_is_read(
    shop: Shop, dataset: str, options: PictureOptions, words: str
) -> None:
    with pytest.raises(RequestFault, match=words):
        shop.plan(dataset, box(30, 30), options)
