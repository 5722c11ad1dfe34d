"""A declaration becomes a survey, or an error that names the file, the key and what is expected."""

from __future__ import annotations

import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from surveys.declaration import parse_survey, read_survey, read_surveys
from surveys.errors import DeclarationError, UnknownDataset
from surveys.survey import Nodata, Survey, UniqueBorder, UniqueCards, Zeropoint
from surveys.template import PathTemplate

DATA = Path("/data")
GOOD: dict[str, Any] = {
    "title": "A survey",
    "kind": "coadd",
    "pixel_scale": 0.25,
    "root": ["one", "/two"],
    "bands": {
        "g": {"em_min_m": 4e-7, "em_max_m": 5e-7},
        "r": {"em_min_m": 5e-7, "em_max_m": 6e-7, "word": ["R", "R2"]},
    },
    "layers": {
        "image": {"path": "{tile}/{tile}_{band}.fits"},
        "weight": {"path": "{tile}/{tile}_{band}.wt.fits", "meaning": "invvar"},
        "mask": {"hdu": 2, "bits": {"SAT": 1}},
    },
}


def parse(changes: dict[str, Any] | None = None) -> Survey:
    return parse_survey(changed(changes or {}), "good.toml", "good", DATA)


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """The good declaration with keys (``a.b.c``) set, or taken out where the value is `...`."""
    content = deepcopy(GOOD)
    for place, value in changes.items():
        *tables, key = place.split(".")
        table = content
        for name in tables:
            table = table.setdefault(name, {})
        if value is ...:
            del table[key]
        else:
            table[key] = value
    return content


def test_a_declaration_becomes_a_survey() -> None:
    survey = parse()
    assert survey.name == "good"
    assert survey.roots == (Path("/data/one"), Path("/two"))
    assert survey.pixel_scale_deg == pytest.approx(0.25 / 3600)
    assert [band.label for band in survey.bands] == ["g", "r"]
    assert survey.band("R").words == ("R", "R2")
    assert [layer.role for layer in survey.layers] == ["image", "weight", "mask"]
    mask = survey.layer("mask")
    assert mask is not None
    assert (mask.own_files, mask.hdu, mask.path) == (False, 2, survey.image.path)
    assert (survey.obs_collection, survey.calib_level, survey.is_public) == ("A survey", 3, True)
    with pytest.raises(UnknownDataset, match="no band 'i'; it has g, r"):
        survey.band("i")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("bands.g.zeropoint", 25, Zeropoint(constant=25.0)),
        ("bands.g.zeropoint", {"card": "MAGZP"}, Zeropoint(card="MAGZP")),
        ("bands.g.zeropoint", {"constant": 25.0, "exptime": True}, Zeropoint(constant=25.0, exptime=True)),
        ("bands.g.nodata", 0.0, Nodata(value=0.0)),
        ("bands.g.nodata", {"weight": 0}, Nodata(weight_zero=True)),
        ("bands.g.nodata", {"mask_bits": 6}, Nodata(mask_bits=6)),
        ("unique", {"border": 9}, UniqueBorder(9)),
        (
            "unique",
            {"ra_min": "A", "ra_max": "B", "dec_min": "C", "dec_max": "D"},
            UniqueCards("A", "B", "C", "D"),
        ),
    ],
)
def test_values_of_several_shapes(key: str, value: Any, expected: Any) -> None:
    survey = parse({key: value})
    owner: Any = survey.bands[0] if key.startswith("bands") else survey
    assert getattr(owner, key.rpartition(".")[2]) == expected


def test_photometry_of_the_survey_is_that_of_its_bands_unless_they_say_otherwise() -> None:
    survey = parse({"zeropoint": 22.5, "bands.r.zeropoint": 30, "nodata": "nan"})
    assert [band.zeropoint for band in survey.bands] == [Zeropoint(22.5), Zeropoint(30.0)]
    assert all(band.nodata is not None and math.isnan(band.nodata.value or 0) for band in survey.bands)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"titel": "x"}, "good.toml: titel: unknown key; the nearest known one is title"),
        (
            {"bands.g.em_mim_m": 1},
            "good.toml: bands.g.em_mim_m: unknown key; the nearest known one is em_min_m",
        ),
        ({"title": ...}, "good.toml: title: expected a value: this key is required, got nothing"),
        ({"kind": "cube"}, "good.toml: kind: expected one of coadd, exposures, alerts, got 'cube'"),
        ({"pixel_scale": ...}, "good.toml: pixel_scale: expected a value"),
        ({"pixel_scale": "0.25"}, "good.toml: pixel_scale: expected a number, got '0.25'"),
        ({"pixel_scale": -1}, "good.toml: pixel_scale: expected a number above 0, got -1"),
        ({"pixel_scale": True}, "good.toml: pixel_scale: expected a number, got True"),
        ({"pixel_scale": math.inf}, "good.toml: pixel_scale: expected a number, got inf"),
        ({"name": "a/b"}, "good.toml: name: expected a name of letters, digits"),
        ({"root": []}, "good.toml: root: expected at least one text"),
        ({"bands": {}}, "good.toml: bands: expected a table"),
        ({"bands.G": {"em_min_m": 1e-7, "em_max_m": 2e-7}}, "the bands g and G differ by case alone"),
        ({"bands.a b": {"em_min_m": 1e-7, "em_max_m": 2e-7}}, "bands.a b: expected a band label of letters"),
        ({"bands.g.em_max_m": 3e-7}, "bands.g.em_max_m: expected a wavelength in metres above em_min_m"),
        ({"bands.g.word": "R"}, "expected a word of its own, 'R' is one of"),
        ({"bands.g.zeropoint": {"exptime": True}}, "bands.g.zeropoint: expected a number, {card"),
        ({"bands.g.nodata": "none"}, 'bands.g.nodata: expected "nan", a number'),
        ({"bands.g.pixel_value": "counts"}, "expected one of flux, surface-brightness, got 'counts'"),
        ({"layers.image.path": "../{band}.fits"}, "layers.image.path: expected a path relative to the root"),
        ({"layers.image.path": "{band.fits"}, "layers.image.path: expected every { closed by a }"),
        ({"layers.image.path": "a**/{band}.fits"}, "expected ** standing alone"),
        (
            {"layers.image.path": "{tile}.fits", "layers.weight": ...},
            "layers.image.path: expected a {band} in the path",
        ),
        ({"layers.image.hdu": -1}, "layers.image.hdu: expected the number or name of an HDU"),
        ({"layers.image.hdu": "all"}, '"all" for the image and its other layers'),
        ({"layers.weight.path": "{brick}.fits"}, "among those of the image: tile, band"),
        ({"layers.weight.meaning": "sigma"}, "expected one of invvar, variance, stddev, relative"),
        ({"layers.mask.hdu": ...}, "layers.mask.hdu: expected a value"),
        ({"layers.mask.bits": {"SAT": 64}}, "layers.mask.bits.SAT: expected a whole number from 0 to 63"),
        ({"layers.flags": {"hdu": 1}}, "layers.flags: unknown key; the nearest known one is"),
        ({"dataset": "{brick}"}, "dataset: expected fields of the image's path: stem, tile, band"),
        ({"prefer": {"field": "run", "order": "highest"}}, "prefer: expected a field of the image's path"),
        ({"fix": {"RADESYS": [1]}}, "fix.RADESYS: expected a text in ASCII, a finite number, true or false"),
        ({"title": "a\x00b"}, "title: expected a text without control characters"),
        ({"fix": {"RADESYS": math.nan}}, "fix.RADESYS: expected a text in ASCII, a finite number"),
        ({"fix": {"OBJECT": "two\nlines"}}, "fix.OBJECT: expected a text in ASCII"),
        ({"fix": {"OBJECT": "é"}}, "fix.OBJECT: expected a text in ASCII"),
        (
            {"fix": {"NAXIS1": 3}},
            "fix.NAXIS1: expected a FITS card that says nothing of how the file is stored",
        ),
        ({"fix": {"lower": 1}}, "fix.lower: expected a FITS card"),
        ({"linearise": "log"}, "linearise: expected one of asinh"),
        ({"overviews": [8, 12]}, "overviews: expected whole numbers from 2 to 1024, each a multiple"),
        ({"overviews": [8, 8]}, "overviews: expected whole numbers"),
        ({"overviews": [1]}, "overviews: expected whole numbers"),
        ({"overviews": [True]}, "overviews: expected whole numbers"),
        ({"overviews": 8}, "overviews: expected whole numbers"),
        ({"pol_states": ["I", "W"]}, "pol_states: expected polarization states"),
        ({"access": "private"}, 'access: expected "public" or a table'),
        ({"unique": {"border": -3}}, "unique.border: expected a whole number"),
        ({"time": {"t_min": "mjd"}}, "time.t_min: expected the name of a FITS card"),
        ({"layers.weight": ..., "nodata": {"weight": 0}}, "nodata: expected a layer weight"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DeclarationError) as error:
        parse(changes)
    assert str(error.value).startswith("good.toml: ")
    assert sentence in str(error.value)


def test_files_are_read_and_named_without_their_folder(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("title = ")
    with pytest.raises(DeclarationError, match=r"^broken.toml is not valid TOML"):
        read_survey(tmp_path / "broken.toml", DATA)


def test_surveys_that_differ_by_case_alone_are_refused(tmp_path: Path) -> None:
    text = """
title = "x"
kind = "exposures"
root = "x"
bands = { g = { em_min_m = 1e-7, em_max_m = 2e-7 } }
layers = { image = { path = "*.fits" } }
"""
    (tmp_path / "a.toml").write_text(text + 'name = "ABC"\n')
    (tmp_path / "b.toml").write_text(text + 'name = "abc"\n')
    with pytest.raises(DeclarationError, match="the surveys ABC and abc differ by case alone"):
        read_surveys(tmp_path, DATA)
    (tmp_path / "b.toml").write_text(text)
    assert [survey.name for survey in read_surveys(tmp_path, DATA)] == ["ABC", "b"]


@pytest.mark.parametrize(
    ("template", "path", "fields"),
    [
        ("{a}_{b}.fits", "x_y_z.fits", {"a": "x", "b": "y_z"}),
        ("{a}/{a}_{band}.fits", "t1/t1_g.fits", {"a": "t1", "band": "g"}),
        ("{a}/{a}_{band}.fits", "t1/t2_g.fits", None),
        ("{a}_{band}.fits", "t_i.fits", None),
        ("{a}{band}.fits", "xzSDSS.fits", {"a": "x", "band": "zSDSS"}),
        ("**/{a}.fits", "x.fits", {"a": "x"}),
        ("**/{a}.fits", "p/q/x.fits", {"a": "x"}),
        ("p/**/{a}.fits", "p/q/r/x.fits", {"a": "x"}),
        ("p/*/{a}.fits", "p/q/r/x.fits", None),
        ("{a}-*.fits.fz", "x-y.fits.fz", {"a": "x"}),
        ("{a}.fits", "x.fits.gz", None),
        ("a.b", "axb", None),
    ],
)
def test_templates_match_whole_paths(template: str, path: str, fields: dict[str, str] | None) -> None:
    assert PathTemplate(template, ("g", "z", "zSDSS")).match(path) == fields


@pytest.mark.parametrize(
    ("template", "folder", "may"),
    [
        ("coadd/{p}/{b}/x.fits", "coadd", True),
        ("coadd/{p}/{b}/x.fits", "other", False),
        ("coadd/{p}/{b}/x.fits", "coadd/1/2", True),
        ("coadd/{p}/{b}/x.fits", "coadd/1/2/3", False),
        ("coadd/**/x.fits", "coadd/1/2/3", True),
        ("p*/x.fits", "pq", True),
        ("p*/x.fits", "q", False),
    ],
)
def test_templates_tell_which_folders_are_worth_a_look(template: str, folder: str, may: bool) -> None:
    assert PathTemplate(template).may_hold(folder.split("/")) is may
