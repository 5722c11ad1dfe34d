"""What the index reads of a file: its image header, its times, its layers, how its pixels are stored."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from surveys.declaration import parse_survey
from surveys.index.cards import celestial_axes, image_header, split_cards, wcs_cards
from surveys.index.files import Walk
from surveys.index.fitsfile import FitsFile
from surveys.index.metadata import Times, pol_states_of, times_of
from surveys.index.scan import FileScan, ScannedHdu, scan_file
from surveys.survey import Survey
from tests.support.layouts import pixels, tan_cards, write


def survey_of(root: Path, **changes: Any) -> Survey:
    content = {
        "title": "Tiles",
        "kind": "exposures",
        "root": str(root),
        "bands": {"g": {"em_min_m": 4e-7, "em_max_m": 5e-7}},
        "layers": {"image": {"path": "**/*.fits*"}},
    }
    return parse_survey(content | changes, "tiles.toml", "tiles", root)


def scan(root: Path, **changes: Any) -> FileScan:
    survey = survey_of(root, **changes)
    (found,) = Walk(survey)
    return scan_file(survey, found, checksum=False)


def only(scanned: FileScan) -> ScannedHdu:
    assert scanned.refused == ()
    (hdu,) = scanned.hdus
    return hdu


def header(**cards: Any) -> fits.Header:
    made = fits.Header()
    for keyword, value in cards.items():
        made[keyword.replace("_", "-")] = value
    return made


@pytest.mark.parametrize("zipped", [False, True])
def test_pixels_lie_where_the_index_says(tmp_path: Path, zipped: bool) -> None:
    path = write(tmp_path / "a.fits", ("", tan_cards(10, 20, 1), pixels()), ("B", {}, pixels() + 1))
    content = path.read_bytes()
    if zipped:
        path.write_bytes(gzip.compress(content))
    for number in (0, 1):
        found = scan(tmp_path, layers={"image": {"path": "*", "hdu": number}}, fix=tan_cards(10, 20, 1))
        stored = only(found).pixels
        assert stored.storage == ("gzip" if zipped else "plain")
        assert stored.shape == (30, 40)
        data = np.frombuffer(content, ">f4", 1200, stored.data_offset).reshape(30, 40)
        assert np.array_equal(data, pixels() + number)


def test_the_layout_of_a_compressed_image(tmp_path: Path) -> None:
    data = np.random.default_rng(1).normal(size=(30, 40)).astype("f4")
    hdu = fits.CompImageHDU(
        data,
        fits.Header(tan_cards(10, 20, 1)),
        compression_type="RICE_1",
        tile_shape=(10, 20),
        quantize_level=16,
    )
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "a.fits.fz")
    scanned = only(scan(tmp_path))
    layout = scanned.pixels.ztiles
    assert layout is not None
    assert (scanned.pixels.storage, scanned.pixels.shape, scanned.pixels.bitpix) == ("tiles", (30, 40), -32)
    assert (layout.rows, layout.ztile, layout.method) == (6, (10, 20), "RICE_1")
    assert (layout.parameters["BLOCKSIZE"], layout.parameters["BYTEPIX"]) == (32, 4)
    assert {"COMPRESSED_DATA", "ZSCALE", "ZZERO"} <= set(layout.columns)
    with fits.open(tmp_path / "a.fits.fz", disable_image_compression=True) as raw:
        table = raw[1]
        assert layout.table_offset == raw.fileinfo(1)["datLoc"]
        assert layout.row_bytes == table.header["NAXIS1"]
        assert layout.heap_offset == layout.table_offset + layout.rows * layout.row_bytes
        content = (tmp_path / "a.fits.fz").read_bytes()
        for row in range(layout.rows):
            place = layout.table_offset + row * layout.row_bytes + layout.columns["ZSCALE"][0]
            assert np.frombuffer(content, ">f8", 1, place)[0] == table.data["ZSCALE"][row]
    assert "NAXIS1  =                   40" in scanned.pixels.text
    assert "TFORM1" not in scanned.pixels.text


@pytest.mark.parametrize(
    ("cards", "reason"),
    [
        ({"ZCMPTYPE": "ZSTD_1"}, "the compression 'ZSTD_1' is not read"),
        ({"ZTILE1": 7}, "the number of compression tiles does not fit"),
        ({"ZTILE1": 0}, "a ZTILE is below 1"),
        ({"TFORM1": "3Z"}, "TFORM1 is malformed"),
        ({"NAXIS1": 9}, "contradicts its header"),
        ({"ZBITPIX": 7}, "ZBITPIX is 7"),
    ],
)
def test_contradictions_in_compressed_images_are_refused(
    tmp_path: Path, cards: dict[str, Any], reason: str
) -> None:
    write(tmp_path / "a.fits", ("", tan_cards(10, 20, 1), pixels()), tiled=True)
    with fits.open(tmp_path / "a.fits", mode="update", disable_image_compression=True) as hdus:
        hdus[1].header.update({key: value for key, value in cards.items() if key != "NAXIS1"})
    if "NAXIS1" in cards:
        content = (tmp_path / "a.fits").read_bytes()
        place = content.index(b"NAXIS1  =", 2880)
        wrong = f"NAXIS1  = {cards['NAXIS1']:>20}".encode()
        (tmp_path / "a.fits").write_bytes(content[:place] + wrong + content[place + 30 :])
    ((number, said),) = scan(tmp_path).refused
    assert number == 1
    assert reason in said


def test_an_extension_inherits_what_is_not_about_its_structure_or_geometry(tmp_path: Path) -> None:
    primary = {
        "OBSERVER": "someone",
        "MJD-OBS": 58000.5,
        "EXPTIME": 86400.0,
        "RADESYS": "FK5",
        "CROTA2": 45.0,
    }
    primary |= {"EXTNAME": "PRIMARY", "BUNIT": "adu", "HIERARCH ESO INS ID": "x", "LONG": "y" * 100}
    cards = tan_cards(10, 20, 1) | {"INHERIT": True, "OBSERVER": "another"}
    write(tmp_path / "a.fits", ("CCD1", cards, pixels()), primary=primary)
    scanned = only(scan(tmp_path))
    merged = fits.Header.fromstring(scanned.pixels.text)
    assert (merged["OBSERVER"], merged["MJD-OBS"], merged["RADESYS"]) == ("another", 58000.5, "FK5")
    assert (merged["ESO INS ID"], merged["LONG"], merged["EXTNAME"]) == ("x", "y" * 100, "CCD1")
    assert merged["XTENSION"] == "IMAGE"
    assert not {"CROTA2", "BUNIT", "SIMPLE", "EXTEND"} & set(merged)
    assert "RADESYS = 'FK5     '" in scanned.wcs_text
    assert scanned.sky is not None
    assert scanned.sky.times == Times(58000.5, 58001.5, 86400.0)


def test_without_inherit_only_times_and_bands_are_looked_for_in_the_primary(tmp_path: Path) -> None:
    primary = {"MJD-OBS": 58000.5, "EXPTIME": 86400.0, "FILTER": "r DECam SDSS c0002", "RADESYS": "FK5"}
    write(tmp_path / "a.fits", ("CCD1", tan_cards(10, 20, 1), pixels()), primary=primary)
    bands = {band: {"em_min_m": 4e-7, "em_max_m": 5e-7} for band in "gr"}
    scanned = only(scan(tmp_path, bands=bands, band_card="FILTER"))
    assert scanned.band == "r"
    assert scanned.sky is not None
    assert scanned.sky.times.t_min == 58000.5
    assert "RADESYS" not in scanned.pixels.text + scanned.wcs_text
    refused = scan(tmp_path, bands={"g": bands["g"]}, band_card="FILTER").refused
    assert refused == ((1, "FILTER = 'r DECam SDSS c0002' is no band of the survey"),)


def test_fixes_are_put_in_the_place_of_cards_or_added() -> None:
    text = fits.Header([("A", 1), ("RADESYS", "FK5"), ("B", 2), ("A", 3)]).tostring(
        sep="", endcard=False, padding=False
    )
    fixed = image_header(text, None, {"RADESYS": "ICRS", "EQUINOX": 2000.0, "A": 9})
    assert [(keyword, card[10:30].strip()) for keyword, card in split_cards(fixed)] == [
        ("A", "9"),
        ("RADESYS", "'ICRS    '"),
        ("B", "2"),
        ("EQUINOX", "2000.0"),
    ]


def test_every_hdu_is_an_image_or_is_told_why_not(tmp_path: Path) -> None:
    write(
        tmp_path / "a.fits",
        ("CCD", tan_cards(10, 20, 1), pixels()),
        ("CCD", tan_cards(11, 20, 1), pixels()),
        ("BEAM", {}, pixels()),
        ("ONE", tan_cards(12, 20, 1), pixels()),
        primary={},
    )
    scanned = scan(tmp_path, layers={"image": {"path": "*", "hdu": "all"}})
    assert [(hdu.hdu, hdu.name) for hdu in scanned.hdus] == [(1, "a-1"), (2, "a-2"), (4, "a-ONE")]
    assert scanned.refused == ((3, "its header has no celestial WCS"),)
    assert scan(tmp_path, layers={"image": {"path": "*", "hdu": "none"}}).refused == (
        (None, "it has no image HDU 'none' for the layer image"),
    )
    assert scan(tmp_path, layers={"image": {"path": "*", "hdu": 0}}).refused == ((None, "HDU 0 is no image"),)
    assert only(scan(tmp_path, layers={"image": {"path": "*"}})).hdu == 1


def test_a_limit_of_the_unique_area_must_be_there(tmp_path: Path) -> None:
    cards = tan_cards(10, 20, 1) | {"RA0": 9.9, "RA1": 10.1, "DEC0": 19.9}
    write(tmp_path / "a.fits", ("", cards, pixels()))
    unique = {"ra_min": "RA0", "ra_max": "RA1", "dec_min": "DEC0", "dec_max": "DEC1"}
    ((_, reason),) = scan(tmp_path, unique=unique).refused
    assert reason == "the card DEC1, a limit of its unique area, is missing or no number"
    with fits.open(tmp_path / "a.fits", mode="update") as hdus:
        hdus[0].header["DEC1"] = 20.1
    sky = only(scan(tmp_path, unique=unique)).sky
    assert sky is not None
    assert sky.attributes["unique"] == {"ra_min": 9.9, "ra_max": 10.1, "dec_min": 19.9, "dec_max": 20.1}


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"MJD_OBS": 58000.0, "EXPTIME": 8640.0}, (58000.0, 58000.1, 8640.0)),
        ({"DATE_OBS": "2017-09-04T12:00:00", "EXPTIME": 0}, (58000.5, 58000.5, 0.0)),
        ({"DATE_OBS": "04/09/97", "EXPTIME": 0}, (50695.0, 50695.0, 0.0)),
        ({"DATE_OBS": "2017-09-04"}, (None, None, None)),
        ({"DATE_OBS": "yesterday", "EXPTIME": 10.0}, (None, None, 10.0)),
        ({"MJD_OBS": 0.0, "EXPTIME": 10.0}, (None, None, 10.0)),
        ({"MJD_OBS": 2458000.5, "EXPTIME": 10.0}, (None, None, 10.0)),
        ({"MJD_BEG": 58000.0, "MJD_END": 58001.0}, (58000.0, 58001.0, None)),
        ({"MJD_BEG": 58001.0, "MJD_END": 58000.0}, (None, None, None)),
        ({"MJD_AVG": 58000.5, "EXPTIME": 86400.0}, (58000.0, 58001.0, 86400.0)),
        ({"MJD_OBS": 58000.0, "EXPTIME": 0, "TIMESYS": "TAI"}, (58000 - 37 / 86400,) * 2 + (0.0,)),
        ({"MJD_OBS": 58000.0, "EXPTIME": 0, "TIMESYS": "LOCAL"}, (None, None, 0.0)),
    ],
)
def test_times_of_exposures(tmp_path: Path, cards: dict[str, Any], expected: tuple[Any, ...]) -> None:
    times = times_of(header(**cards), survey_of(tmp_path))
    assert (times.t_min, times.t_max, times.t_exptime) == pytest.approx(expected, abs=1e-9)


def test_a_coadd_was_not_taken_when_one_of_its_inputs_was(tmp_path: Path) -> None:
    coadd = survey_of(tmp_path, kind="coadd", pixel_scale=1.0)
    assert times_of(header(MJD_OBS=58000.0, EXPTIME=10.0), coadd) == Times(None, None, 10.0)
    assert times_of(header(MJDMIN=58000.0, MJDMAX=58009.0), coadd) == Times(58000.0, 58009.0, None)
    declared = survey_of(tmp_path, kind="coadd", pixel_scale=1.0, time={"t_min": "FIRST", "t_max": "LAST"})
    assert times_of(header(FIRST=58000.0, LAST="2017-09-05"), declared) == Times(58000.0, 58001.0, None)


@pytest.mark.parametrize(
    ("cards", "shape", "expected"),
    [
        ({}, (2, 2), ()),
        ({"CTYPE3": "STOKES", "CRVAL3": 1, "CDELT3": 1, "CRPIX3": 1}, (4, 2, 2), ("I", "Q", "U", "V")),
        ({"CTYPE3": "STOKES", "CRVAL3": -5, "CDELT3": -1, "CRPIX3": 1}, (2, 2, 2), ("XX", "YY")),
        ({"CTYPE4": "STOKES", "CRVAL4": 2, "CDELT4": 1, "CRPIX4": 2}, (3, 1, 2, 2), ("I", "Q", "U")),
        ({"CTYPE3": "STOKES", "CRVAL3": 0.5, "CDELT3": 1, "CRPIX3": 1}, (1, 2, 2), ()),
        ({"CTYPE3": "STOKES", "CRVAL3": 4, "CDELT3": 1, "CRPIX3": 1}, (2, 2, 2), ()),
    ],
)
def test_polarization_states(
    tmp_path: Path, cards: dict[str, Any], shape: tuple[int, ...], expected: tuple[str, ...]
) -> None:
    assert pol_states_of(header(**cards), shape, survey_of(tmp_path)) == expected


def test_polarization_declared_where_no_axis_tells_it(tmp_path: Path) -> None:
    assert pol_states_of(header(), (2, 2), survey_of(tmp_path, pol_states=["I"])) == ("I",)


def test_celestial_axes_may_stand_anywhere() -> None:
    assert celestial_axes(header(CTYPE1="FREQ", CTYPE2="DEC--SIN", CTYPE4="RA---SIN"), 4) == (1, 3)
    assert celestial_axes(header(CTYPE1="GLON-CAR", CTYPE2="GLAT-CAR"), 2) == (0, 1)


def test_a_distortion_by_table_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.fits", ("", tan_cards(10, 20, 1) | {"CPDIS1": "LOOKUP"}, pixels()))
    ((_, reason),) = scan(tmp_path).refused
    assert "distortion by look-up table" in reason


def test_the_wcs_keeps_what_makes_it_and_nothing_else() -> None:
    kept = [
        "CTYPE1",
        "CD1_1",
        "PC001002",
        "PV2_13",
        "A_0_2",
        "AP_ORDER",
        "LONPOLE",
        "RADESYS",
        "MJD-OBS",
        "NAXIS2",
    ]
    dropped = ["CTYPE1A", "OBJECT", "AIRMASS", "A_B", "CDS", "PVX"]
    cards = "".join(f"{keyword:<8}= {1:>20}".ljust(80) for keyword in kept + dropped)
    assert [keyword for keyword, _ in split_cards(wcs_cards(cards))] == kept


def test_headers_of_any_bytes_are_read_or_refused(tmp_path: Path) -> None:
    content = write(tmp_path / "a.fits", ("", tan_cards(10, 20, 1), pixels())).read_bytes()
    (tmp_path / "a.fits").write_bytes(content.replace(b"'deg     '", b"'d\xe9g\x00    '"))
    with (tmp_path / "a.fits").open("rb") as stream:
        (hdu,) = FitsFile(stream, len(content)).hdus()
    assert "'d?g?    '" in hdu.text
    assert hdu.text.isascii()
