"""Queries from outside: by pyvo, as TOPCAT and Aladin ask, and by plain HTTP."""

from __future__ import annotations

import io
import math
import shutil
import subprocess
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from astropy import units as u
from astropy.io import fits
from astropy.io.votable import parse
from astropy.time import Time
from astropy.wcs import WCS
from pyvo.dal import SIA2Service
from pyvo.dal.exceptions import DALQueryError

from tests.conformance.conftest import Target

TIMEOUT_S = 60
VOTABLE = "application/x-votable+xml"
LINKS = "application/x-votable+xml;content=datalink"


@pytest.fixture
def service(target: Target) -> Iterator[SIA2Service]:
    made = SIA2Service(target.url)
    yield made
    made._session.close()


def position(target: Target) -> tuple[u.Quantity, u.Quantity, u.Quantity]:
    return (target.ra_deg * u.deg, target.dec_deg * u.deg, target.radius_deg * u.deg)


def get(target: Target, **parameters: object) -> requests.Response:
    return requests.get(f"{target.url}/query", params=parameters, timeout=TIMEOUT_S, allow_redirects=False)


def test_sia_22_pyvo_finds_the_query(service: SIA2Service, target: Target) -> None:
    assert service.query_ep == f"{target.url}/query"


def test_sia_05_pyvo_by_position(service: SIA2Service, target: Target) -> None:
    found = service.search(pos=position(target))
    assert len(found) > 1
    assert target.id in {row.obs_publisher_did for row in found}
    first = found[0]
    assert first.dataproduct_type == "image"
    assert first.calib_level == 3


def test_sia_05_pyvo_by_range_and_polygon(service: SIA2Service, target: Target) -> None:
    ra, dec, radius = target.ra_deg, target.dec_deg, target.radius_deg
    wide = radius / math.cos(math.radians(dec))
    box = tuple(value * u.deg for value in (ra - wide, ra + wide, dec - radius, dec + radius))
    corners = (ra - wide, dec - radius, ra + wide, dec - radius, ra, dec + radius)
    polygon = tuple(value * u.deg for value in corners)
    for shape in (box, polygon):
        assert target.id in {row.obs_publisher_did for row in service.search(pos=shape)}


def test_sia_02_pyvo_sends_several_values(service: SIA2Service, target: Target) -> None:
    here, there = (
        position(target),
        (target.ra_deg * u.deg, -target.dec_deg * u.deg + 20 * u.deg, 0.001 * u.deg),
    )
    found = service.search(pos=[here, there], band=(target.band_m, math.inf), calib_level=[2, 3])
    assert target.id in {row.obs_publisher_did for row in found}
    nothing = service.search(pos=here, band=target.no_band_m)
    assert len(nothing) == 0


@pytest.mark.parametrize(
    "unknown",
    [
        {"time": Time(1000.0, format="mjd")},
        {"data_type": "cube"},
        {"collection": "No such"},
        {"target_name": "x"},
        {"instrument": "x"},
    ],
)
def test_sia_03_pyvo_finds_nothing(service: SIA2Service, unknown: dict[str, object]) -> None:
    assert len(service.search(**unknown)) == 0


def test_sia_10_pyvo_by_identifier(service: SIA2Service, target: Target) -> None:
    (only,) = service.search(publisher_did=target.id)
    assert only.obs_publisher_did == target.id
    assert only["dataproduct_subtype"] == "survey"


def test_a_survey_band_gives_its_cutout_at_once(service: SIA2Service, target: Target) -> None:
    found = service.search(pos=position(target))
    (band,) = [row for row in found if row.obs_publisher_did == target.id]
    assert band.access_format == "application/fits"
    with fits.open(io.BytesIO(requests.get(band["access_url"], timeout=TIMEOUT_S).content)) as hdus:
        image = next(hdu for hdu in hdus if hdu.data is not None)
        x, y = WCS(image.header).celestial.all_world2pix(target.ra_deg, target.dec_deg, 0)
        assert -0.5 <= x <= image.header["NAXIS1"] - 0.5
        assert -0.5 <= y <= image.header["NAXIS2"] - 0.5


def test_sia_17_pyvo_goes_from_a_row_to_its_links(service: SIA2Service, target: Target) -> None:
    found = service.search(pos=position(target), res_format=LINKS)
    images = [row for row in found if row["dataproduct_subtype"] != "survey"]
    assert images
    links = images[0].getdatalink()
    assert {link.id for link in links} == {images[0].obs_publisher_did}


def test_dali_05_pyvo_sees_an_overflow(service: SIA2Service) -> None:
    found = service.search(maxrec=1)
    assert (len(found), found._status[0]) == (1, "OVERFLOW")


def test_sia_15_pyvo_shows_the_error(service: SIA2Service) -> None:
    with pytest.raises(DALQueryError, match=r"UsageFault: BAD is not a parameter .* Did you mean BAND\?"):
        service.search(bad="blue")


@pytest.mark.parametrize("formats", [["image/fits", LINKS], ["image/png", "image/jpeg", "image/gif"]])
def test_sia_14_as_topcat_asks(target: Target, formats: list[str]) -> None:
    pos = f"CIRCLE {target.ra_deg} {target.dec_deg} 0"
    query = urllib.parse.urlencode([("POS", pos), *(("FORMAT", one) for one in formats)])
    response = requests.get(f"{target.url}/query?{query}", timeout=TIMEOUT_S)
    assert (response.status_code, response.headers["Content-Type"]) == (200, VOTABLE)
    rows = parse(io.BytesIO(response.content), verify="exception").get_first_table().array
    assert {str(one) for one in rows["access_format"]} == ({LINKS} if LINKS in formats else set())


def test_http_03_a_streamed_answer_is_the_same_by_get_and_post(target: Target) -> None:
    parameters = {"POS": f"CIRCLE {target.ra_deg} {target.dec_deg} {target.radius_deg}", "MAXREC": "100"}
    posted = requests.post(f"{target.url}/query", data=parameters, timeout=TIMEOUT_S)
    assert posted.status_code == 200
    assert posted.content == get(target, **parameters).content


def test_http_12_http_15_browsers(target: Target) -> None:
    head = requests.head(f"{target.url}/query", timeout=TIMEOUT_S)
    assert (head.status_code, head.headers["Content-Type"], head.content) == (200, VOTABLE, b"")
    options = requests.options(
        f"{target.url}/query", headers={"Origin": "https://x.example"}, timeout=TIMEOUT_S
    )
    assert options.headers["Access-Control-Allow-Origin"] == "*"
    wrong = get(target, POS="x")
    assert (wrong.status_code, wrong.headers["Content-Type"]) == (400, VOTABLE)


def test_sia_06_stilts_reads_a_query_as_topcat_sends_it(target: Target, tmp_path: Path) -> None:
    program = shutil.which("stilts")
    if program is None:
        pytest.skip("stilts is not installed (a Debian package)")
    pairs = [
        ("POS", f"CIRCLE {target.ra_deg} {target.dec_deg} 0"),
        ("FORMAT", "image/fits"),
        ("MAXREC", "50"),
    ]
    url = f"{target.url}/query?{urllib.parse.urlencode(pairs)}"
    out = tmp_path / "rows.csv"
    words = [f"in={url}", "ifmt=votable", "cmd=keepcols 'obs_publisher_did access_format'", "ofmt=csv"]
    subprocess.run([program, "tpipe", *words, f"out={out}"], check=True, timeout=100)
    header, *rows = out.read_text().splitlines()
    assert header == "obs_publisher_did,access_format"
    assert rows
    assert all(row.endswith(("application/fits", "image/fits")) for row in rows)
