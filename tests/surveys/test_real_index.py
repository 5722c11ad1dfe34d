"""Real files of many surveys: each is indexed, or refused for the reason it should be."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from lsst.sphgeom import Angle, Circle, LonLat, UnitVector3d
from sqlalchemy import Engine

from surveys.check import check_survey
from surveys.declaration import parse_survey
from surveys.fits.source import Source
from surveys.index.catalog import Catalog
from surveys.index.ingest import index_survey
from surveys.sky.wcs import CelestialWcs, wcs_of
from surveys.survey import Survey
from tests.support.databases import sqlite


def bands(**words: str) -> dict[str, Any]:
    return {label: {"em_min_m": 4e-7, "em_max_m": 5e-7, "word": word} for label, word in words.items()}


ANY = {"bands": bands(x="x"), "layers": {"image": {"path": "*", "hdu": "all"}}}
DES_LAYERS = {
    "image": {"path": "{tile}_{band}.fits", "hdu": "SCI"},
    "weight": {"hdu": "WGT", "meaning": "invvar"},
    "mask": {"hdu": "MSK"},
}
DECAM_LAYERS = {
    "image": {"path": "c4d_{date}_{time}_ooi_{band}_ls9.{ccd}.fits", "hdu": 1},
    "weight": {"path": "c4d_{date}_{time}_oow_{band}_ls9.{ccd}.fits", "hdu": 1, "meaning": "invvar"},
    "mask": {"path": "c4d_{date}_{time}_ood_{band}_ls9.{ccd}.fits", "hdu": 1},
}

#: The declaration of each folder.
DECLARED: dict[str, dict[str, Any]] = {
    "tiles_2mass_m17": {
        "kind": "coadd",
        "pixel_scale": 1.0,
        "bands": bands(Ks="K"),
        "dataset": "{scan}",
        "layers": {"image": {"path": "a{band}_asky_{scan}.fits.gz"}},
    },
    "tiles_decam_tpv": {"bands": bands(g="g", r="r", z="z"), "layers": DECAM_LAYERS},
    "bands_des_coadd": {
        "kind": "coadd",
        "pixel_scale": 0.263,
        "bands": bands(g="g", r="r", i="i", z="z", Y="Y", det="det"),
        "layers": DES_LAYERS,
        "dataset": "{tile}",
    },
    "bands_unwise": {
        "kind": "coadd",
        "pixel_scale": 2.75,
        "bands": bands(W1="w1", W2="w2", W3="w3", W4="w4"),
        "layers": {"image": {"path": "unwise-{tile}-{band}-img-m.fits"}},
    },
    "compressed_legacysurvey": {
        "kind": "coadd",
        "pixel_scale": 0.262,
        "bands": bands(g="g", z="z"),
        "dataset": "{brick}",
        "layers": {
            "image": {"path": "legacysurvey-{brick}-image-{band}.fits.fz"},
            "weight": {"path": "legacysurvey-{brick}-invvar-{band}.fits.fz", "meaning": "invvar"},
        },
    },
    "bands_2mass_gc": ANY,
    "compressed_decam_fz": ANY,
    "compressed_m13_matrix": ANY,
    "cubes": ANY,
    "integer_blank": ANY,
    "mef": ANY,
    "sky_edges": ANY,
    "stokes": ANY,
    "weird": ANY,
}

#: What is refused, with a part of the reason; everything else of these folders is indexed.
REFUSED = {
    "blast_w75n.fits[2]": "no celestial WCS",
    "miri_s3d_wavetab.fits[2]": "no celestial WCS",
    "miri_s3d_wavetab.fits[3]": "no celestial WCS",
    "miri_s3d_wavetab.fits[4]": "no celestial WCS",
    "git_lfs_pointer.fits": "Git LFS pointer",
    "l1448_equinox0_wrong_crval.fits[0]": "cut short",
    "m51_no_wcs.fits[0]": "no celestial WCS",
    "n2hp_cube_no_celestial.fits[0]": "no celestial WCS",
    "n2hp_radi_lsr.fits": "no image",
    "radio_random_groups.fits": "random groups",
    "rosat_m31_rp600245n00_im1.fits.Z": "Unix compress",
    "sdss_header_only.fits": "no image",
    "smt_hcop_singular_wcs.fits[0]": "singular",
    "zero_bytes.fits": "empty",
}

PARTLY_OFF_THE_SKY = ("allsky_rosat_ait.fits", "wcs_edge_sin.fits")

#: Images of each folder.
IMAGES = {
    "tiles_2mass_m17": 8,
    "tiles_decam_tpv": 9,
    "bands_des_coadd": 6,
    "bands_unwise": 4,
    "compressed_legacysurvey": 2,
    "bands_2mass_gc": 4,
    "compressed_decam_fz": 3,
    "compressed_m13_matrix": 5,
    "cubes": 9,
    "integer_blank": 7,
    "mef": 17,
    "sky_edges": 3,
    "stokes": 10,
    "weird": 16,
}


@pytest.fixture(scope="module")
def surveys(real_data: Path) -> list[Survey]:
    return [
        parse_survey(
            {"title": name, "kind": "exposures", "root": name, **content}, f"{name}.toml", name, real_data
        )
        for name, content in DECLARED.items()
    ]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with sqlite(tmp_path_factory.mktemp("db")) as made:
        yield made


@pytest.fixture(scope="module")
def refused(engine: Engine, surveys: list[Survey]) -> dict[str, str]:
    """Index everything."""
    reports = [index_survey(engine, survey) for survey in surveys]
    return dict(str(refusal).split(": ", 1) for report in reports for refusal in report.refused)


@pytest.fixture(scope="module")
def catalog(engine: Engine, surveys: list[Survey], refused: dict[str, str]) -> Catalog:
    return Catalog(engine, surveys)


def test_every_file_is_indexed_or_refused_for_its_reason(catalog: Catalog, refused: dict[str, str]) -> None:
    assert set(refused) == set(REFUSED)
    for name, reason in REFUSED.items():
        assert reason in refused[name], name
    found = {survey.name: sum(catalog.holdings(survey.name).images.values()) for survey in catalog.surveys}
    assert found == IMAGES


@pytest.mark.parametrize(
    ("dataset", "layers"),
    [
        ("bands_des_coadd/Y/desj035621.6-524840.0", {"mask": ("MSK", 1), "weight": ("WGT", 2)}),
        ("tiles_decam_tpv/r/c4d_170522_005829_ooi_r_ls9.N2", {"mask": ("N2", 1), "weight": ("N2", 1)}),
        ("tiles_decam_tpv/z/c4d_170316_062107_ooi_z_ls9.N2", {}),
        ("compressed_legacysurvey/z/0959p805", {"weight": ("", 1)}),
        ("tiles_2mass_m17/ks/990502s1350080", {}),
    ],
)
def test_images_find_their_layers(catalog: Catalog, dataset: str, layers: dict[str, tuple[str, int]]) -> None:
    generation = catalog.generation(dataset.partition("/")[0])
    found = catalog.companions(catalog.record(dataset, generation), generation)
    assert {role: (layer.extname, layer.hdu) for role, layer in found.items()} == layers


def test_images_of_one_file_are_told_apart(catalog: Catalog) -> None:
    names = {key.rpartition("/")[2] for key in catalog.datasets("mef", catalog.generation("mef"))}
    # By EXTNAME where that is enough; one file repeats it.
    assert {"cfht_megaprime_3ccd-ccd00", "hst_nicmos_ngc4151-SCI", "hsc_0908120_056_sip-1"} < names
    assert {f"hst_nicmos_hdfn_multisci-{hdu}" for hdu in (1, 2, 3, 4)} < names


def test_centres_and_frames_agree_with_the_list_of_the_files(catalog: Catalog, real_data: Path) -> None:
    """The list gives the centre (ICRS) of the main image of each file, by astropy."""
    with (real_data / "manifest.csv").open(newline="") as stream:
        listed = {row["file"]: row for row in csv.DictReader(stream)}
    compared = 0
    for survey in catalog.surveys:
        generation = catalog.generation(survey.name)
        for dataset in catalog.datasets(survey.name, generation):
            record = catalog.record(dataset, generation)
            row = listed[f"{survey.name}/{record.file.path}"]
            if str(record.hdu) != row["primary_image_hdu"] or not row["center_ra"]:
                continue
            place = LonLat.fromDegrees(float(row["center_ra"]) % 360, float(row["center_dec"]))
            cone = Circle(UnitVector3d(place), Angle.fromDegrees(1e-5))
            near = catalog.search(survey.name, [record.band], cone, generation)
            (candidate,) = [one for one in near if one.dataset == dataset]
            if record.file.name in PARTLY_OFF_THE_SKY:
                continue  # its centre is that of its sky, not of its pixels
            # Both mean the middle of the pixels; the list has six decimals.
            center = SkyCoord(candidate.s_ra_deg, candidate.s_dec_deg, unit="deg")
            offset = center.separation(SkyCoord(row["center_ra"], row["center_dec"], unit="deg")).deg
            assert offset < max(1.5 * record.pixel_scale_deg, 2e-6), (dataset, offset)
            compared += 1
    assert compared == 83


@pytest.mark.parametrize("name", DECLARED)
def test_random_cutouts_agree_with_astropy(catalog: Catalog, name: str) -> None:
    checks = check_survey(catalog, Source(), name, stamps=10, seed=11)
    assert [check.problem for check in checks] == [None] * 10
    assert max(check.offset_mas or 0.0 for check in checks) < 1.0


def test_the_stored_wcs_is_that_of_the_whole_header(catalog: Catalog) -> None:
    """What the index keeps of a header must lack nothing that astropy would read."""
    compared = 0
    for survey in catalog.surveys:
        generation = catalog.generation(survey.name)
        for dataset in catalog.datasets(survey.name, generation):
            record = catalog.record(dataset, generation)
            axes = [record.x_axis, record.y_axis]
            whole = CelestialWcs.from_text(catalog.header_text(record), *axes, record.nx, record.ny)
            x, y = np.meshgrid(np.linspace(0, record.nx - 1, 5), np.linspace(0, record.ny - 1, 5))
            apart = np.linalg.norm(wcs_of(record).to_sky(x, y) - whole.to_sky(x, y), axis=-1)
            assert np.nanmax(apart, initial=0.0) < 1e-12, dataset
            compared += 1
    assert compared == sum(IMAGES.values())


def test_what_is_stored_is_as_the_headers_say(catalog: Catalog) -> None:
    blanks = {
        "integer_blank/x/hips_tile_npix8_hpx-0": -32768,  # written as a float
        "weird/x/gc_msx_e_blank_on_float-0": None,  # means nothing for floats
    }
    for dataset, blank in blanks.items():
        assert catalog.record(dataset, 1).blank == blank
    scaled = catalog.record("bands_2mass_gc/x/gc_2mass_j-0", 1)
    assert (scaled.bitpix, scaled.bzero) == (16, 1500.0)
    assert scaled.bscale == pytest.approx(0.045777764213996)
    cube = catalog.record("stokes/x/pybdsf_iquv_stack-0", 1)
    assert (cube.shape, cube.pol_states) == ((1, 4, 129, 129), ("I", "Q", "U", "V"))
    swapped = catalog.record("integer_blank/x/sdss_swapped_axes-0", 1)
    assert (swapped.x_axis, swapped.y_axis) == (0, 1)
    # INHERIT = T: when it was taken is in the primary.
    exposure = catalog.record("tiles_decam_tpv/g/c4d_170329_044212_ooi_g_ls9.N3", 1)
    assert (exposure.t_min_mjd, exposure.t_max_mjd) == pytest.approx(
        (57841.19389557, 57841.19389557 + 131 / 86400)
    )
    assert "MJD-OBS =       57841.19389557" in catalog.header_text(exposure)


def test_compressed_images_have_a_layout(catalog: Catalog) -> None:
    for name, method in {
        "rice": "RICE_1",
        "gzip": "GZIP_1",
        "plio": "PLIO_1",
        "hcomp": "HCOMPRESS_1",
    }.items():
        generation = catalog.generation("compressed_m13_matrix")
        (dataset,) = [d for d in catalog.datasets("compressed_m13_matrix", generation) if f"_{name}-" in d]
        record = catalog.record(dataset, generation)
        assert record.storage == "tiles"
        assert record.ztiles is not None
        assert record.ztiles.method == method
        assert record.shape == (300, 300)
