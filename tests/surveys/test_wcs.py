"""Pixels to sky and back: astropy is the judge, for every projection, frame and distortion."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import BarycentricMeanEcliptic, SkyCoord, Supergalactic
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame
from hypothesis import given, settings
from hypothesis import strategies as st

from surveys.errors import ImageRefused
from surveys.sky.sphere import Floats, ra_dec_deg, separation_deg, unit_vector, unit_vectors
from surveys.sky.wcs import CelestialWcs, wcs_of
from tests.support.headers import wcs_text
from tests.support.tiles import ramp, record_of, write_plain

SIZE = (40, 30)
MAS_DEG = 1.0 / 3_600_000.0
ROTATED = {"PC1_1": 0.8, "PC1_2": 0.6, "PC2_1": -0.6, "PC2_2": 0.8}
SIP = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-4, "A_1_1": -2e-4, "B_0_2": 1e-4, "B_2_0": 5e-5}
TPV = {"PV1_0": 0.001, "PV1_1": 1.01, "PV1_2": 0.005, "PV1_4": 0.01, "PV2_1": 0.99, "PV2_5": 0.02}

PLAIN_PROJECTIONS = (
    "ARC AZP BON CAR CEA COD COE COO COP CSC CYP HPX MER MOL PAR PCO QSC SFL SIN STG SZP TAN TSC XPH ZEA"
)
EXTRA = {
    "BON": {"PV2_1": 45.0},
    "COD": {"PV2_1": 45.0},
    "COE": {"PV2_1": 45.0},
    "COO": {"PV2_1": 45.0},
    "COP": {"PV2_1": 45.0},
    "SZP": {"PV2_1": 2.0, "PV2_3": 60.0},
    "AZP": {"PV2_1": 2.0},
}


def opened(text: str, size: tuple[int, int] = SIZE) -> CelestialWcs:
    return CelestialWcs.from_text(text, 0, 1, *size)


def grid(size: tuple[int, int], n: int = 5) -> tuple[Floats, Floats]:
    x, y = np.meshgrid(np.linspace(-0.5, size[0] - 0.5, n), np.linspace(-0.5, size[1] - 0.5, n))
    return x, y


def judged(
    header: fits.Header,
    x: Floats,
    y: Floats,
    axes: tuple[int, int] = (0, 1),
    hdus: fits.HDUList | None = None,
) -> Floats:
    """ICRS vectors of pixels as astropy gives them, the frame as it says."""
    wcs = WCS(header, hdus)
    if wcs.naxis > 2:
        wcs = wcs.sub([axis + 1 for axis in axes])
    world = wcs.all_pix2world(np.stack([x.ravel(), y.ravel()], axis=1), 0)
    longitude, latitude = world[:, wcs.wcs.lng], world[:, wcs.wcs.lat]
    known = np.isfinite(longitude)
    vectors = np.full((len(longitude), 3), np.nan)
    frame = "galactic" if wcs.wcs.lngtyp.strip() == "GLON" else wcs_to_celestial_frame(wcs)
    sky = SkyCoord(longitude[known] * u.deg, latitude[known] * u.deg, frame=frame).icrs
    vectors[known] = unit_vectors(sky.ra.deg, sky.dec.deg)
    return vectors.reshape(*x.shape, 3)


def assert_same_sky(actual: Floats, expected: Floats, tolerance_deg: float = 1e-9) -> None:
    assert np.array_equal(np.isnan(actual), np.isnan(expected))
    known = np.isfinite(expected).all(axis=-1)
    assert known.any()
    assert np.max(separation_deg(actual[known], expected[known])) < tolerance_deg


HEADERS = {
    **{
        name: wcs_text((f"RA---{name}", f"DEC--{name}"), (150.0, 30.0), SIZE, **EXTRA.get(name, {}))
        for name in PLAIN_PROJECTIONS.split()
    },
    "AIT": wcs_text(("GLON-AIT", "GLAT-AIT"), (0.0, 0.0), SIZE, CDELT1=-9.0, CDELT2=9.0),
    "ZPN": wcs_text(("RA---ZPN", "DEC--ZPN"), (30.0, -20.0), SIZE, PV2_1=1.0, PV2_3=20.0),
    "SIP": wcs_text(("RA---TAN-SIP", "DEC--TAN-SIP"), (0.0, -20.0), SIZE, **SIP),
    "TPV": wcs_text(("RA---TPV", "DEC--TPV"), (0.0, -20.0), SIZE, **TPV),
    "SCAMP": wcs_text(("RA---TAN", "DEC--TAN"), (0.0, -20.0), SIZE, **TPV),
    "slant SIN": wcs_text(("RA---SIN", "DEC--SIN"), (0.0, -20.0), SIZE, PV2_1=0.02, PV2_2=-0.03),
    "swapped": wcs_text(("DEC--TAN", "RA---TAN"), (-20.0, 30.0), SIZE, **ROTATED),
    "swapped SIN": wcs_text(("DEC--SIN", "RA---SIN"), (-20.0, 30.0), SIZE, **ROTATED),
    "FK5 J1975": wcs_text(("RA---TAN", "DEC--TAN"), (30.0, -20.0), SIZE, RADESYS="FK5", EQUINOX=1975.0),
    "EQUINOX alone": wcs_text(("RA---TAN", "DEC--TAN"), (30.0, -20.0), SIZE, EQUINOX=2000.0),
    "EPOCH 1950": wcs_text(("RA---TAN", "DEC--TAN"), (30.0, -20.0), SIZE, EPOCH=1950.0),
    "FK4": wcs_text(("RA---TAN", "DEC--TAN"), (30.0, -20.0), SIZE, RADESYS="FK4", EQUINOX=1950.0),
    "FK4-NO-E": wcs_text(("RA---SIN", "DEC--SIN"), (30.0, -20.0), SIZE, RADESYS="FK4-NO-E", EQUINOX=1950.0),
    "galactic": wcs_text(("GLON-TAN", "GLAT-TAN"), (30.0, -20.0), SIZE),
    "galactic with RADESYS": wcs_text(("GLON-TAN", "GLAT-TAN"), (30.0, -20.0), SIZE, RADESYS="FK5"),
    "arcsec": wcs_text(("RA---TAN", "DEC--TAN"), (9.0, 9.0), SIZE, CUNIT1="arcsec", CUNIT2="arcsec"),
}


@pytest.mark.parametrize("text", HEADERS.values(), ids=HEADERS.keys())
def test_soda_31_sky_is_that_of_astropy(text: str) -> None:
    wcs, (x, y) = opened(text), grid(SIZE)
    vectors = wcs.to_sky(x, y)
    assert_same_sky(vectors, judged(fits.Header.fromstring(text), x, y))
    back_x, back_y = wcs.to_pixel(vectors)
    known = np.isfinite(vectors).all(axis=-1)
    # wcslib inverts the COBE cube by a fit that is good to some arcseconds
    tolerance = 0.2 if "-CSC" in text else 1e-6
    np.testing.assert_allclose(back_x[known], x[known], atol=tolerance)
    np.testing.assert_allclose(back_y[known], y[known], atol=tolerance)


@pytest.mark.parametrize(
    ("code", "frame"), [("E", BarycentricMeanEcliptic(equinox="J2000")), ("S", Supergalactic())]
)
def test_soda_31_ecliptic_and_supergalactic_images(code: str, frame: object) -> None:
    text = wcs_text((f"{code}LON-TAN", f"{code}LAT-TAN"), (120.0, 20.0), SIZE)
    longitude, latitude = WCS(fits.Header.fromstring(text)).all_pix2world(*grid(SIZE), 0)
    sky = SkyCoord(longitude * u.deg, latitude * u.deg, frame=frame).icrs
    assert_same_sky(opened(text).to_sky(*grid(SIZE)), unit_vectors(sky.ra.deg, sky.dec.deg))


@settings(max_examples=150, deadline=None)
@given(
    crval=st.tuples(st.floats(0.0, 360.0), st.one_of(st.floats(-90.0, 90.0), st.sampled_from([-90.0, 90.0]))),
    scale=st.floats(1e-5, 0.3),
    stretch=st.floats(0.5, 2.0),
    turn=st.floats(-180.0, 180.0),
    lonpole=st.one_of(st.none(), st.floats(-180.0, 180.0)),
    style=st.sampled_from(["CD", "PC", "CROTA2"]),
    crpix=st.tuples(st.floats(-3000.0, 3000.0), st.floats(-3000.0, 3000.0)),
)
def test_closed_form_of_tan_is_that_of_wcslib(
    crval: tuple[float, float],
    scale: float,
    stretch: float,
    turn: float,
    lonpole: float | None,
    style: str,
    crpix: tuple[float, float],
) -> None:
    cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    cards: dict[str, object] = {
        "CRPIX1": crpix[0] * 0.3 / scale / 3000.0,
        "CRPIX2": crpix[1] * 0.3 / scale / 3000.0,
    }
    cards |= {"CDELT1": -scale, "CDELT2": scale * stretch}
    if lonpole is not None:
        cards["LONPOLE"] = lonpole
    if style == "CROTA2":
        cards["CROTA2"] = turn
    elif style == "PC":
        cards |= {"PC1_1": cosine, "PC1_2": -sine, "PC2_1": sine, "PC2_2": cosine}
    else:
        cards |= {
            "CD1_1": -scale * cosine,
            "CD1_2": scale * sine,
            "CD2_1": scale * sine,
            "CD2_2": scale * cosine,
        }
    text = wcs_text(("RA---TAN", "DEC--TAN"), crval, (2000, 1000), **cards)
    wcs, judge = opened(text, (2000, 1000)), WCS(fits.Header.fromstring(text))
    assert wcs.tan is not None
    x, y = grid((2000, 1000))
    lon, lat = judge.wcs_pix2world(x, y, 0)
    pixel_deg = scale * min(1.0, stretch)
    assert_same_sky(wcs.to_sky(x, y), unit_vectors(lon, lat), 1e-6 * pixel_deg)
    their_x, their_y = judge.wcs_world2pix(lon, lat, 0)
    our_x, our_y = wcs.to_pixel(unit_vectors(lon, lat))
    # far from the tangent point both lose digits: there a pixel is tiny on the sky
    loss = 1e-6 * np.maximum(1.0, pixel_deg / wcs.pixel_scale_deg(x, y))
    assert np.all(np.hypot(our_x - their_x, our_y - their_y) < loss)


def test_tan_has_no_pixels_behind_the_plane() -> None:
    for name in ("galactic", "SIP", "FK4"):
        wcs = opened(HEADERS[name])
        x, y = wcs.to_pixel(-wcs.to_sky([20.0, 0.0], [15.0, 0.0]))
        assert np.isnan(x).all()
        assert np.isnan(y).all()


def test_points_that_do_not_converge_are_nan() -> None:
    text = wcs_text(
        ("RA---TAN-SIP", "DEC--TAN-SIP"), (0.0, -20.0), SIZE, **{**SIP, "A_2_0": 5e-3, "B_0_2": 5e-3}
    )
    ra, dec = np.meshgrid(np.linspace(-40.0, 40.0, 60), np.linspace(-60.0, 20.0, 60))
    wcs = opened(text)
    vectors = unit_vectors(ra, dec)
    x, y = wcs.to_pixel(vectors)
    known = np.isfinite(x)
    assert not known.all()
    assert np.array_equal(known, np.isfinite(y))
    assert np.max(separation_deg(wcs.to_sky(x[known], y[known]), vectors[known])) < 1e-8


def test_scale_is_the_side_of_a_pixel() -> None:
    wcs = opened(HEADERS["swapped"])
    assert wcs.pixel_scale_deg(19.5, 14.5) == pytest.approx(0.01, rel=1e-6)
    stretched = opened(wcs_text(("RA---TAN", "DEC--TAN"), (30.0, -20.0), SIZE, CDELT1=-0.01, CDELT2=0.04))
    assert stretched.pixel_scale_deg(19.5, 14.5) == pytest.approx(0.02, rel=1e-6)


def test_shapes_of_arrays_are_kept() -> None:
    for name in ("galactic", "SIN", "FK4"):
        wcs = opened(HEADERS[name])
        assert wcs.to_sky(1.0, 2.0).shape == (3,)
        assert wcs.to_sky(np.zeros((4, 1)), np.zeros((1, 5))).shape == (4, 5, 3)
        assert wcs.to_sky(np.zeros(0), np.zeros(0)).shape == (0, 3)
        assert wcs.to_pixel(np.zeros((0, 3)))[0].shape == (0,)
        assert wcs.to_pixel(np.array(unit_vector(30.0, -20.0)))[0].shape == ()


def test_wcs_is_built_once_for_an_indexed_image(tmp_path: Path) -> None:
    record = record_of(write_plain(tmp_path / "tile.fits", ramp((30, 40))), wcs_text=HEADERS["TAN"])
    assert wcs_of(record) is wcs_of(replace(record))
    touched = replace(record, file=replace(record.file, mtime_ns=record.file.mtime_ns + 1))
    assert wcs_of(touched) is not wcs_of(record)
    assert (wcs_of(record).nx, wcs_of(record).ny) == (40, 30)


def _cube(order: tuple[int, int], third: str, **cards: object) -> str:
    header = fits.Header.fromstring(HEADERS["SIN"])
    cube = fits.Header()
    cube["NAXIS"] = 3
    spectral = ({1, 2, 3} - set(order)).pop()
    for key in ("NAXIS", "CTYPE", "CRVAL", "CRPIX", "CDELT"):
        cube[f"{key}{order[0]}"], cube[f"{key}{order[1]}"] = header[f"{key}1"], header[f"{key}2"]
    cube[f"NAXIS{spectral}"], cube[f"CTYPE{spectral}"] = 7, third
    cube[f"CRPIX{spectral}"], cube[f"CRVAL{spectral}"], cube[f"CDELT{spectral}"] = 1.0, 1.4e9, 1e6
    for key, value in cards.items():
        cube[key] = value
    return str(cube.tostring(sep="", endcard=False, padding=False))


@pytest.mark.parametrize("order", [(1, 2), (1, 3), (2, 3)])
@pytest.mark.parametrize("third", ["FREQ", "STOKES", "", "WAVE-TAB"])
def test_celestial_axes_of_a_cube_stand_anywhere(order: tuple[int, int], third: str) -> None:
    wcs = CelestialWcs.from_text(_cube(order, third), order[0] - 1, order[1] - 1, *SIZE)
    assert_same_sky(wcs.to_sky(*grid(SIZE)), opened(HEADERS["SIN"]).to_sky(*grid(SIZE)), 1e-12)


def test_tan_cube_takes_the_fast_way() -> None:
    text = _cube((1, 2), "FREQ", CTYPE1="RA---TAN", CTYPE2="DEC--TAN")
    wcs = CelestialWcs.from_text(text, 0, 1, *SIZE)
    assert wcs.tan is not None
    assert_same_sky(wcs.to_sky(*grid(SIZE)), opened(HEADERS["TAN"]).to_sky(*grid(SIZE)))


REFUSED: dict[str, tuple[tuple[str, str], dict[str, object], str]] = {
    "no celestial axes": (("", ""), {}, "no celestial WCS"),
    "linear": (("X", "Y"), {}, "no celestial WCS"),
    "singular": (("RA---TAN", "DEC--TAN"), {"CDELT1": 0.0}, "matrix is singular"),
    "look-up table": (("RA---TAN", "DEC--TAN"), {"CPDIS1": "LOOKUP"}, r"look-up table \(CPDIS1\)"),
    "detector table": (("RA---TAN", "DEC--TAN"), {"D2IMDIS1": "LOOKUP"}, r"look-up table \(D2IMDIS1\)"),
    "-TAB": (("RA---TAB", "DEC--TAB"), {}, "-TAB"),
    "solar": (("HPLN-TAN", "HPLT-TAN"), {}, "HPLN are not on the celestial sphere"),
    "planet": (("MELN-CAR", "MELT-CAR"), {}, "not on the celestial sphere"),
    "GAPPT": (("RA---TAN", "DEC--TAN"), {"RADESYS": "GAPPT"}, "RADESYS 'GAPPT'"),
    "mixed": (("RA---TAN", "GLAT-TAN"), {}, "do not belong together"),
    "unknown projection": (("RA---QQQ", "DEC--QQQ"), {}, "WCS"),
    "declination 100": (("RA---TAN", "DEC--TAN"), {"CRVAL2": 100.0}, "not valid"),
    "off the sky": (("RA---SIN", "DEC--SIN"), {"CRPIX1": 40000.0}, "no pixel of it lies on the sky"),
}


@pytest.mark.parametrize(("ctypes", "cards", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_cut_is_refused_with_the_reason(
    ctypes: tuple[str, str], cards: dict[str, object], reason: str
) -> None:
    with pytest.raises(ImageRefused, match=reason):
        opened(wcs_text(ctypes, (1.0, 2.0), SIZE, **cards))


def test_celestial_axes_coupled_with_another_are_refused() -> None:
    with pytest.raises(ImageRefused, match="coupled with another axis"):
        CelestialWcs.from_text(_cube((1, 2), "FREQ", PC1_3=0.1), 0, 1, *SIZE)


def test_sip_beside_the_celestial_axes_is_refused() -> None:
    with pytest.raises(ImageRefused, match="SIP"):
        CelestialWcs.from_text(_cube((1, 3), "FREQ", **SIP), 0, 2, *SIZE)


def _real_images(folder: Path) -> Iterator[tuple[str, fits.HDUList, fits.Header]]:
    """One image of every file of the folder that has a WCS."""
    with open(folder / "manifest.csv", newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["wcs_type"] and row["opens"] == "yes"]
    for row in rows:
        with fits.open(folder / row["file"]) as hdus:
            yield row["file"], hdus, hdus[int(row["primary_image_hdu"])].header


# astropy says which files are cut short and which headers it mended: only what comes out counts here
@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")
def test_soda_31_real_headers_agree_with_astropy(real_data: Path) -> None:
    refused, projections = {}, set()
    for name, hdus, header in _real_images(real_data):
        types = [str(header.get(f"CTYPE{axis + 1}", "")) for axis in range(header["NAXIS"])]
        axes = [axis for axis, kind in enumerate(types) if kind[:4] in {"RA--", "DEC-", "GLON", "GLAT"}]
        if len(axes) != 2:
            continue
        size = header[f"NAXIS{axes[0] + 1}"], header[f"NAXIS{axes[1] + 1}"]
        text = header.tostring(sep="", endcard=False, padding=False)
        try:
            wcs = CelestialWcs.from_text(text, axes[0], axes[1], *size)
        except ImageRefused as error:
            refused[name] = str(error)
            continue
        x, y = grid(size)
        assert_same_sky(wcs.to_sky(x, y), judged(header, x, y, (axes[0], axes[1]), hdus), MAS_DEG)
        projections.add(types[axes[0]][5:])
    assert {"TAN", "SIN", "TPV", "TAN-SIP", "AIT", "ZPN", "CAR", "ARC", "SFL", "HPX"} <= projections
    assert not refused


def test_fk4_south_pole_image(real_data: Path) -> None:
    header = fits.getheader(real_data / "sky_edges" / "iris_f001_south_pole.fits")
    wcs = opened(header.tostring(sep="", endcard=False, padding=False), (header["NAXIS1"], header["NAXIS2"]))
    x, y = wcs.to_pixel(np.array(unit_vector(0.0, -90.0)))
    assert 0.0 < x < header["NAXIS1"]
    assert 0.0 < y < header["NAXIS2"]
    assert ra_dec_deg(wcs.to_sky(x, y))[1] == pytest.approx(-90.0, abs=1e-7)
