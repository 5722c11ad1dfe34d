"""Coordinates in pictures, as PyAVM and astropy read them."""

from __future__ import annotations

import warnings
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.wcs import WCS
from numpy.typing import NDArray

from surveys.mosaic.grid import OutputGrid
from surveys.picture.avm import Caption, describe, fit_plane, scale_and_rotation, tan_cards
from surveys.picture.look import Look
from surveys.picture.render import render
from surveys.plan import Grid
from surveys.recipe import Recipe
from surveys.sky.pixels import PixelBox
from surveys.sky.sphere import ra_dec_deg, separation_deg, unit_vectors
from tests.support.headers import wcs_text
from tests.support.tiles import record_of, write_plain
from tests.surveys.picture.sky import PNG, noisy_sky

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pyavm import AVM

TAN, SIP = ("RA---TAN", "DEC--TAN"), ("RA---TAN-SIP", "DEC--TAN-SIP")
GREY = Look(("r",), Recipe("auto", 0, "grey", unit="pixel"), True)
SIZE = (120, 90)


def rotated(angle_deg: float, scale: float = 1e-4, *, mirrored: bool = False) -> dict[str, float]:
    turn = np.radians(angle_deg)
    sign = 1.0 if mirrored else -1.0
    return {
        "CD1_1": sign * scale * np.cos(turn),
        "CD1_2": -scale * np.sin(turn),
        "CD2_1": sign * scale * np.sin(turn),
        "CD2_2": scale * np.cos(turn),
    }


def cards(ctypes: tuple[str, str] = TAN, crval: tuple[float, float] = (150.1, 2.2), **changes: Any) -> str:
    return wcs_text(ctypes, crval, SIZE, **{"CDELT1": -1e-4, "CDELT2": 1e-4} | changes)


def read_back(path: Path) -> WCS:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return AVM.from_image(str(path)).to_wcs()


def sky_of(wcs: WCS, x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    return unit_vectors(*wcs.all_pix2world(x, y, 0)[:2])


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg"])
@pytest.mark.parametrize(
    ("text", "tolerance_px"),
    [
        (cards(), 1e-6),
        (cards(crval=(359.99, -89.5), CRPIX1=-4000.0, CRPIX2=12345.5, RADESYS="ICRS"), 1e-6),
        (cards(**rotated(33.0), RADESYS="ICRS"), 1e-6),
        (cards(**rotated(178.0), RADESYS="ICRS"), 1e-6),
        (cards(**rotated(-70.0, mirrored=True), RADESYS="ICRS"), 1e-6),
        (cards(CDELT1=-2e-4, RADESYS="ICRS"), 1e-6),  # pixels that are no squares
        (cards(CD1_1=-1e-4, CD1_2=2e-5, CD2_1=0.0, CD2_2=1e-4, RADESYS="ICRS"), 1e-6),  # skew
        (cards(("RA---SIN", "DEC--SIN"), RADESYS="ICRS"), 0.01),
        (cards(SIP, A_ORDER=2, B_ORDER=2, A_2_0=1e-5, B_1_1=-1e-5), 0.1),
        (cards(("DEC--TAN", "RA---TAN"), (2.2, 150.1), CDELT1=1e-4, CDELT2=-1e-4), 1e-6),
    ],
)  # fmt: skip
def test_pyavm_reads_the_coordinates_of_the_wcs(
    text: str, tolerance_px: float, media_type: str, tmp_path: Path
) -> None:
    nx, ny = SIZE
    picture = render(
        [noisy_sky(120)[0][:ny]], GREY, OutputGrid.of_text(text, nx, ny), replace(PNG, media_type=media_type)
    )
    path = tmp_path / "picture"
    path.write_bytes(picture.content)
    ours, x, y = read_back(path), *(a.ravel() for a in np.mgrid[0:nx:7, 0:ny:7].astype(float))
    place = OutputGrid.of_text(text, nx, ny)
    apart = separation_deg(sky_of(ours, x, y), place.to_sky(x, y))
    assert apart.max() < tolerance_px * place.scale_deg
    assert list(AVM.from_image(str(path)).Spatial.ReferenceDimension) == [nx, ny]


@pytest.mark.parametrize("frame", [("GLON-TAN", "GLAT-TAN"), ("RA---TAN", "DEC--TAN")])
def test_other_frames_become_icrs(frame: tuple[str, str], tmp_path: Path) -> None:
    extra = {"EQUINOX": 1975.0, "RADESYS": "FK5"} if frame == TAN else {}
    text = cards(frame, (12.0, 34.0), **extra)
    path = tmp_path / "picture.png"
    path.write_bytes(render([noisy_sky(120)[0][:90]], GREY, OutputGrid.of_text(text, *SIZE), PNG).content)
    x, y = (a.ravel() for a in np.mgrid[0:120:11, 0:90:11].astype(float))
    there = WCS(_header(text)).pixel_to_world(x, y).icrs
    apart = separation_deg(sky_of(read_back(path), x, y), unit_vectors(there.ra.deg, there.dec.deg))
    assert apart.max() < 1e-6 * 1e-4


def _header(text: str) -> Any:
    from astropy.io import fits

    return fits.Header.fromstring(text)


def test_a_part_of_an_image_has_its_reference_pixel_moved(tmp_path: Path) -> None:
    path = write_plain(tmp_path / "tile.fits", np.zeros((60, 50), np.float32))
    record = record_of(path, wcs_text=cards())
    whole = fit_plane(OutputGrid.of(Grid(PixelBox(0, 50, 0, 60)), record))
    part = fit_plane(OutputGrid.of(Grid(PixelBox(-7, 20, 11, 40)), record))
    assert part.crpix == (whole.crpix[0] + 7, whole.crpix[1] - 11)
    assert (part.ra_deg, part.dec_deg, part.cd) == (whole.ra_deg, whole.dec_deg, whole.cd)


def test_a_smaller_picture_has_crpix_scaled_about_the_edge(tmp_path: Path) -> None:
    # half the pixels: CRPIX' = (CRPIX - 1/2) / 2 + 1/2
    half = fit_plane(
        OutputGrid.of_text(cards(CRPIX1=(33.0 - 0.5) / 2 + 0.5, CDELT1=-2e-4, CDELT2=2e-4), 60, 45)
    )
    whole = fit_plane(OutputGrid.of_text(cards(CRPIX1=33.0), *SIZE))
    assert half.crpix[0] == pytest.approx((whole.crpix[0] - 0.5) / 2 + 0.5)
    x, y = ra_dec_deg(OutputGrid.of_text(cards(CRPIX1=33.0), *SIZE).to_sky(-0.5, -0.5)[None])
    assert np.isfinite([x, y]).all()


@pytest.mark.parametrize(
    ("text", "is_avm"),
    [
        (cards(), True),
        (cards(SIP, A_ORDER=2, B_ORDER=2, A_2_0=1e-5, B_0_2=1e-5), True),
        (cards(SIP, A_ORDER=2, B_ORDER=2, A_2_0=1e-3, B_0_2=1e-3), False),
        (cards(("RA---CAR", "DEC--CAR"), (150.0, 0.0)), True),
        (wcs_text(("RA---CAR", "DEC--CAR"), (150.0, 0.0), SIZE, CDELT1=-0.2, CDELT2=0.2), False),
        (wcs_text(("RA---AIT", "DEC--AIT"), (0.0, 0.0), SIZE, CDELT1=-3.0, CDELT2=3.0), False),
    ],
)  # fmt: skip
def test_whether_avm_can_tell_a_picture(text: str, is_avm: bool) -> None:
    place = OutputGrid.of_text(text, *SIZE)
    plane = fit_plane(place)
    assert plane.is_avm == is_avm
    packet = describe(Caption(), plane, *SIZE)
    assert (b"Spatial" in packet) == is_avm


def test_the_cards_of_a_fitted_plane_are_that_plane() -> None:
    text = cards(SIP, A_ORDER=2, B_ORDER=2, A_2_0=1e-3, B_0_2=1e-3)
    fitted = fit_plane(OutputGrid.of_text(text, *SIZE))
    again = fit_plane(OutputGrid.of_text(tan_cards(fitted), *SIZE))
    assert again.error_px == 0.0
    assert again.crpix == pytest.approx(fitted.crpix)
    assert again.cd == pytest.approx(fitted.cd, rel=1e-9, abs=1e-15)
    assert (again.ra_deg, again.dec_deg) == pytest.approx((fitted.ra_deg, fitted.dec_deg))


def test_scale_and_rotation_are_those_of_fits() -> None:
    plane = fit_plane(OutputGrid.of_text(cards(CROTA2=25.0, RADESYS="ICRS"), *SIZE))
    turned = scale_and_rotation(plane, *SIZE)
    assert turned == pytest.approx((-1e-4, 1e-4, 25.0))


def test_metadata_tell_what_the_picture_is() -> None:
    caption = Caption(
        title="Sky & stars",
        credit="A <team>",
        facility="Big eye",
        instrument="Camera",
        reference_url="https://sky.test/?a=1&b=2",
        dataset="sky",
        recipe="gri/1: lupton of i,r,g",
        bands=("i", "r", "g"),
    )
    packet = describe(caption, None, 10, 10)
    ElementTree.fromstring(packet.split(b"?>", 1)[1].rsplit(b"<?xpacket", 1)[0])
    avm = AVM.from_xml(packet)
    assert avm.Title == "Sky & stars"
    assert avm.Credit == "A <team>"
    assert avm.Description == "gri/1: lupton of i,r,g"
    assert avm.ReferenceURL == "https://sky.test/?a=1&b=2"
    assert list(avm.Spectral.Bandpass) == ["i", "r", "g"]
    assert list(avm.Spectral.ColorAssignment) == ["Red", "Green", "Blue"]
    assert list(avm.Facility) == ["Big eye"] * 3
    assert avm.Type == "Observation"
