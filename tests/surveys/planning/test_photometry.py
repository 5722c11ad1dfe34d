"""Zero points are brought together or refused, never silently mixed; layers that are read with images."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from astropy.io import fits

from surveys.declaration import parse_survey
from surveys.errors import RequestFault, SeveralImages
from surveys.execute import execute
from surveys.fits.source import Source
from surveys.index.catalog import Catalog
from surveys.index.ingest import index_survey
from surveys.planner import Limits
from surveys.planning.parts import area_of
from surveys.request import Interval
from surveys.sky.sphere import unit_vectors
from surveys.sky.stencil import Circle
from tests.support.databases import sqlite
from tests.surveys.planning.skies import PX, asked, box, circle, names, png
from tests.surveys.test_real_index import DECLARED

#: On all three tiles of a row.
REGION = box(10.0, 20.0 - 30 * PX, 130, 20)
NIGHTS = circle(100.0, 5.0, 20)


def scales(catalog: Catalog, name: str, **options: object) -> dict[str, float]:
    (part,) = asked(catalog, f"{name}/g", REGION, **options).parts
    return dict(zip(names(part), (piece.scale for piece in part.pieces), strict=True))


@pytest.mark.parametrize(
    ("name", "factors"),
    [
        ("zp", {"a": 10.0, "b": 1.0, "c": 10.0}),  # 2.5 mag brighter than the reference, b
        ("zpexp", {"a": 10.0, "b": 1.0, "c": 10.0}),  # 25 + 2.5 log10(EXPTIME)
        ("zpconst", {"a": 1.0, "b": 1.0, "c": 1.0}),
        ("zpsame", {"a": 1.0, "b": 1.0, "c": 1.0}),
        ("grid", {"t0x0": 1.0, "t60x0": 1.0}),
    ],
)
def test_inputs_are_scaled_to_the_zero_point_of_the_reference(
    catalog: Catalog, name: str, factors: dict[str, float]
) -> None:
    found = scales(catalog, name)
    assert next(iter(found)) in ("b", "t0x0", "t60x0")
    assert found == pytest.approx(factors, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("zpgap", "zero points of these images are not all known.*b: none"),
        ("zpnone", "zero points of these images are not all known.*: none"),
        ("zpcards", r"differ in MAGZP \(zpcards/g/b: 25.1, zpcards/g/[ac]: 25\).*declares no zero point"),
        ("zpsome", r"differ in MAGZP \(zpsome/g/b: none, zpsome/g/[ac]: 25\)"),
    ],
)
def test_zero_points_that_no_rule_explains_are_refused(catalog: Catalog, name: str, told: str) -> None:
    with pytest.raises(RequestFault, match=f"{told}.*PHOTSCALE=none"):
        asked(catalog, f"{name}/g", REGION)
    assert set(scales(catalog, name, photscale="none").values()) == {1.0}
    # One image is nobody's business.
    assert len(asked(catalog, f"{name}/g", circle(10.0, 20.0 - 30 * PX, 5)).pieces) == 1


def test_exposures_never_make_a_mosaic_by_themselves(catalog: Catalog) -> None:
    with pytest.raises(SeveralImages, match=r"3 exposures have data here.*TIME.*COMBINE=mosaic"):
        asked(catalog, "nights/g", NIGHTS)
    only = asked(catalog, "nights/g", NIGHTS, time_mjd=Interval(59000.5, 59001.5))
    assert names(only.parts[0]) == ["two"]


def test_exposures_are_put_together_where_it_is_asked_for(catalog: Catalog) -> None:
    with pytest.raises(RequestFault, match=r"differ in MAGZERO.*29\.9.*three: none.*30\.5.*PHOTSCALE=none"):
        asked(catalog, "nights/g", NIGHTS, combine="mean")
    for combine, count in (("mean", 3), ("mosaic", 1), ("first", 1)):
        (part,) = asked(catalog, "nights/g", NIGHTS, combine=combine, photscale="none").parts
        assert len(part.pieces) == count
    two = asked(catalog, "nights", NIGHTS, combine="mean", photscale="none", time_mjd=Interval(0, 59001.5))
    assert len(two.pieces) == 2


def roles(catalog: Catalog, **options: object) -> list[set[str]]:
    made = asked(catalog, "weighed/g", options.pop("region", REGION), **options)
    for piece in made.pieces:
        for companion in piece.companions:
            assert companion.dataset == f"{piece.dataset}/{companion.role}"
            assert companion.file_size > 0
    return [{companion.role for companion in piece.companions} for piece in made.pieces]


def test_layers_are_read_where_they_tell_which_pixels_have_data(catalog: Catalog) -> None:
    """Tile c has no weight."""
    alone = circle(10.0 + 20 * PX, 20.0 - 30 * PX, 5)
    assert sorted(map(sorted, roles(catalog))) == [[], ["weight"], ["weight"]]
    assert sorted(map(sorted, roles(catalog, detail="full"))) == [
        ["mask"],
        ["mask", "weight"],
        ["mask", "weight"],
    ]
    assert roles(catalog, region=alone) == [set()]
    assert roles(catalog, region=alone, detail="full") == [{"weight", "mask"}]
    assert roles(catalog, region=alone, picture=png()) == [{"weight"}]


def test_layers_that_an_image_is_without_are_told(catalog: Catalog) -> None:
    """Tile c has no weight, so that no mosaic with it has one."""
    made = asked(catalog, "weighed/g", REGION, detail="full", checksum=True)
    assert made.remarks == ("There is no weight: weighed/g/c has none",)
    content = execute(made, catalog, Source()).tobytes()
    with fits.open(BytesIO(content), checksum=True) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "MASK", "INPUTS"]
        assert made.remarks[0] in " ".join(hdus[0].header["HISTORY"])
    near_a = circle(10.0, 20.0, 5)
    assert asked(catalog, "weighed/g", near_a, detail="full").remarks == ()
    assert asked(catalog, "weighed/g", REGION).remarks == ()
    alone = circle(10.0 - 110 * PX, 20.0 - 30 * PX, 5)  # on tile c
    assert asked(catalog, "weighed/g", alone, detail="full").remarks == made.remarks
    assert asked(catalog, "weighed/g", alone, detail="full", picture=png()).remarks == ()
    mask = asked(catalog, "weighed/g/c/mask", alone, detail="full")
    assert mask.remarks == ()
    assert len(execute(mask, catalog, Source()).tobytes()) == mask.cost.bytes_out


def test_weighted_means_need_weights(catalog: Catalog) -> None:
    with pytest.raises(RequestFault, match="weighed/g/c has no weights, which COMBINE=weighted needs"):
        roles(catalog, combine="weighted")
    left = box(10.0 + 30 * PX, 20.0 - 30 * PX, 60, 20)
    assert roles(catalog, combine="weighted", region=left) == [{"weight"}, {"weight"}]
    with pytest.raises(RequestFault, match="grid has no weights, which COMBINE=weighted needs"):
        asked(catalog, "grid/g", REGION, combine="weighted")


def test_layers_count_among_the_pixels_read(catalog: Catalog) -> None:
    plain, full = asked(catalog, "grid/g", REGION), asked(catalog, "weighed/g", REGION, detail="full")
    assert plain.cost.pixels_in == sum(piece.box.pixels for piece in plain.pieces)
    assert full.cost.pixels_in == sum(piece.box.pixels * (1 + len(piece.companions)) for piece in full.pieces)
    # the weight of all cannot be told where one has none
    assert full.cost.pixels_out == 2 * 130 * 20


@pytest.mark.parametrize(
    ("unique", "numbers"),
    [
        (None, ()),
        ({}, ()),
        ({"border_px": 12}, (12.0,)),
        ({"ra_min": 1, "ra_max": 2, "dec_min": -1, "dec_max": 1}, (1.0, 2.0, -1.0, 1.0)),
        ({"region": "POLYGON ICRS 1 2 3 4 5 6"}, (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)),
        ({"region": "Polygon J2000 1 2 3 4 5 6 7 8"}, (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)),
        ({"region": "RANGE 1 2 3 4"}, (1.0, 2.0, 3.0, 4.0)),
        ({"region": "ELLIPSE 1 2 3 4 5"}, ()),
        ({"region": "POLYGON 1 2 3"}, ()),
    ],
)
def test_unique_areas_as_numbers(unique: dict[str, object] | None, numbers: tuple[float, ...]) -> None:
    assert area_of(unique) == numbers


def test_a_unique_circle_becomes_a_polygon() -> None:
    numbers = area_of({"region": "CIRCLE ICRS 10 20 0.5"})
    assert len(numbers) == 64
    rim = Circle(10.0, 20.0, 0.5).signed_distance_deg
    assert abs(rim(unit_vectors(numbers[::2], numbers[1::2]))).max() < 1e-9


@pytest.fixture(scope="module")
def real(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    folder = tmp_path_factory.mktemp("real")
    card = {"MAGZERO": {"card": "MAGZERO"}, "MAGZP": {"card": "MAGZP"}}
    declared = {
        "decam": DECLARED["tiles_decam_tpv"] | {"kind": "exposures", "zeropoint": card["MAGZERO"]},
        "undeclared": DECLARED["tiles_decam_tpv"] | {"kind": "exposures"},
        "m17": DECLARED["tiles_2mass_m17"] | {"zeropoint": card["MAGZP"]},
        "plain17": DECLARED["tiles_2mass_m17"],
    }
    surveys = []
    with sqlite(folder) as engine:
        for name, content in declared.items():
            root = real_data / ("tiles_2mass_m17" if name.endswith("17") else "tiles_decam_tpv")
            content = {"title": name, "root": str(root)} | content
            surveys.append(parse_survey(content, f"{name}.toml", name, folder))
            index_survey(engine, surveys[-1])
        yield Catalog(engine, surveys)


M17 = Circle(275.123, -16.16, 0.03)


def test_m17_is_scaled_by_the_cards_of_its_tiles(real: Catalog) -> None:
    """Two scans meet there; their zero points are 19.9341 both, those beside them 19.9355 and 19.9337."""
    (part,) = asked(real, "m17/Ks", M17).parts
    assert (part.method, part.clipped) == ("resample", False)
    found = dict(zip(names(part), (piece.scale for piece in part.pieces), strict=True))
    assert {"990502s1420186", "990502s1420198"} <= found.keys()
    zeropoints = {"1350080": 19.9355, "1420186": 19.9341, "1420198": 19.9341, "1430080": 19.9337}
    reference = next(iter(found))[-7:]
    for name, scale in found.items():
        assert scale == pytest.approx(
            10 ** (0.4 * (zeropoints[reference] - zeropoints[name[-7:]])), rel=1e-12
        )
    (plain,) = asked(real, "plain17/Ks", M17).parts
    assert {piece.scale for piece in plain.pieces} == {1.0}


#: All exposures lie about here, 250 pixels wide.
DECAM = Circle(186.7418, 25.4635, 0.012)


def test_decam_exposures_are_scaled_or_refused(real: Catalog) -> None:
    how = {"combine": "mosaic", "limits": Limits(10**8, 10**9)}
    with pytest.raises(RequestFault, match=r"not all known.*: none.*PHOTSCALE=none"):
        asked(real, "decam/z", DECAM, **how)
    with pytest.raises(RequestFault, match=r"differ in MAGZERO \(.*: none"):
        asked(real, "undeclared/z", DECAM, **how)
    (unscaled,) = asked(real, "decam/z", DECAM, photscale="none", **how).parts
    assert {piece.scale for piece in unscaled.pieces} == {1.0}
    with pytest.raises(SeveralImages):
        asked(real, "decam/z", DECAM)
    # March 16 to April 19, 2017: 29.915 and 30.537
    (part,) = asked(real, "decam/z", DECAM, time_mjd=Interval(57820.0, 57870.0), **how).parts
    assert part.method == "resample"
    first, second = part.pieces
    assert first.scale == 1.0
    ratio = 10 ** (0.4 * (30.537 - 29.915))
    assert second.scale == pytest.approx(ratio if "S1" in first.dataset else 1 / ratio, rel=1e-9)
