"""What any deployment must do, asked from outside: by pyvo, and by plain HTTP."""

from __future__ import annotations

import http.client
import io
import math
import socket
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
from astropy import units as u
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray
from pyvo.dal.adhoc import SodaQuery
from pyvo.dal.exceptions import DALServiceError

from tests.conformance.conftest import Target

TIMEOUT_S = 60


def query(target: Target) -> SodaQuery:
    soda = SodaQuery(f"{target.url}/sync")
    soda["ID"] = target.id
    return soda


def image(content: bytes) -> tuple[fits.Header, NDArray[np.float64]]:
    with fits.open(io.BytesIO(content)) as hdus:
        hdu = next(hdu for hdu in hdus if hdu.data is not None)
        return hdu.header.copy(), np.array(hdu.data)


def holds(header: fits.Header, target: Target) -> bool:
    """Whether the centre of the target lies in the image."""
    x, y = WCS(header).celestial.all_world2pix(target.ra_deg, target.dec_deg, 0)
    return bool(-0.5 <= x <= header["NAXIS1"] - 0.5 and -0.5 <= y <= header["NAXIS2"] - 0.5)


def circle(target: Target) -> str:
    return f"{target.ra_deg} {target.dec_deg} {target.radius_deg}"


def get(target: Target, **parameters: str) -> requests.Response:
    parameters = {"ID": target.id, **parameters}
    return requests.get(f"{target.url}/sync", params=parameters, timeout=TIMEOUT_S, allow_redirects=False)


def test_soda_02_pyvo_circle(target: Target) -> None:
    soda = query(target)
    soda.circle = (target.ra_deg * u.deg, target.dec_deg * u.deg, target.radius_deg * u.deg)
    header, pixels = image(soda.execute_stream().read())
    assert holds(header, target)
    assert pixels.size > 0


def test_soda_20_pyvo_polygon(target: Target) -> None:
    d, e = target.radius_deg / math.cos(math.radians(target.dec_deg)), target.radius_deg
    ra, dec = target.ra_deg, target.dec_deg
    soda = query(target)
    soda.polygon = (ra + d, dec - e, ra - d, dec - e, ra - d, dec + e, ra + d, dec + e) * u.deg
    header, _ = image(soda.execute_stream().read())
    assert holds(header, target)


def test_soda_20_pyvo_range(target: Target) -> None:
    d, e = target.radius_deg / math.cos(math.radians(target.dec_deg)), target.radius_deg
    soda = query(target)
    soda.range = (target.ra_deg - d, target.ra_deg + d, target.dec_deg - e, target.dec_deg + e) * u.deg
    header, _ = image(soda.execute_stream().read())
    assert holds(header, target)


@pytest.mark.parametrize("upper", [1.0, math.inf])
def test_soda_48_pyvo_band(target: Target, upper: float) -> None:
    soda = query(target)
    soda.circle = (target.ra_deg * u.deg, target.dec_deg * u.deg, target.radius_deg * u.deg)
    soda.band = (target.band_m * u.m, max(target.band_m, upper) * u.m)
    header, _ = image(soda.execute_stream().read())
    assert holds(header, target)


def test_soda_03_pyvo_gets_nothing_where_nothing_is(target: Target) -> None:
    soda = query(target)
    soda.circle = (target.ra_deg * u.deg, target.dec_deg * u.deg, target.radius_deg * u.deg)
    soda.band = (target.no_band_m * u.m, target.no_band_m * u.m)
    assert soda.execute_stream().read() == b""


def test_soda_80_pyvo_shows_the_error(target: Target) -> None:
    soda = query(target)
    soda["CIRCLE"] = "1 2"
    soda.execute_stream()
    with pytest.raises(DALServiceError, match="UsageError: CIRCLE needs 3 numbers"):
        soda.raise_if_error()


def test_soda_30_http_03_all_ways_give_the_same_bytes(target: Target) -> None:
    url, data = f"{target.url}/sync", {"ID": target.id, "CIRCLE": circle(target)}
    expected = get(target, CIRCLE=circle(target))
    assert expected.status_code == 200
    multipart = [(name, (None, value)) for name, value in data.items()]
    answers = [
        get(target, POS=f"CIRCLE {circle(target)}"),
        requests.post(url, data, timeout=TIMEOUT_S),
        requests.post(url, files=multipart, timeout=TIMEOUT_S),
        requests.post(f"{url}/", data, timeout=TIMEOUT_S, allow_redirects=False),
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert answer.content == expected.content


def test_http_11_http_15_headers(target: Target) -> None:
    got = get(target, CIRCLE=circle(target))
    head = requests.head(
        f"{target.url}/sync", params={"ID": target.id, "CIRCLE": circle(target)}, timeout=TIMEOUT_S
    )
    assert got.headers["Content-Type"] == "application/fits"
    assert int(got.headers["Content-Length"]) == len(got.content)
    assert head.content == b""
    for name in ("Content-Type", "Content-Length", "ETag", "Last-Modified"):
        assert head.headers[name] == got.headers[name]
    again = requests.get(got.url, headers={"If-None-Match": got.headers["ETag"]}, timeout=TIMEOUT_S)
    assert again.status_code == 304
    canonical = got.headers["Link"].partition(">")[0].removeprefix("<")
    assert requests.get(canonical, timeout=TIMEOUT_S).content == got.content


def test_soda_06_soda_81_unknown_id(target: Target) -> None:
    answer = requests.get(f"{target.url}/sync", params={"ID": f"{target.id}-no-such"}, timeout=TIMEOUT_S)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.text.startswith("UsageError: ")


@pytest.mark.parametrize("child", ["capabilities", "availability"])
def test_http_09_children_are_404(target: Target, child: str) -> None:
    assert requests.get(f"{target.url}/sync/{child}", timeout=TIMEOUT_S).status_code == 404


@pytest.mark.parametrize("resource", ["capabilities", "availability", "healthz"])
def test_vosi_01_vosi_02_resources(target: Target, resource: str) -> None:
    answer = requests.get(f"{target.url}/{resource}", timeout=TIMEOUT_S)
    assert answer.status_code == 200
    assert target.url in answer.text or resource != "capabilities"


def raw(target: Target, sent: bytes) -> tuple[int, str, str]:
    """Send bytes that are no proper request; status, media type and body of the answer."""
    place = urlsplit(target.url)
    with socket.create_connection((place.hostname, place.port or 80), TIMEOUT_S) as connection:
        connection.sendall(sent)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.headers["Content-Type"], answer.read().decode()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /sync?ID=" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /sync HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET /sync HTTP/9.9\r\nHost: x\r\n\r\n", 400),
        (b"POST /sync HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST /sync HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ],
)
def test_soda_83_what_is_no_request_is_refused_in_text(target: Target, sent: bytes, status: int) -> None:
    got, media_type, body = raw(target, sent)
    assert got == status
    assert media_type == "text/plain; charset=utf-8"
    assert body.startswith("UsageError: ")
