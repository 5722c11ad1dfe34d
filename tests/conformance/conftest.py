"""Which service is asked: the one that --base-url names, or a small one started here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.server import serve
from tests.support.service import did, index_all, settings_of, write_surveys


@dataclass(frozen=True, slots=True)
class Target:
    """A service, and a circle in one of its survey bands that one image holds.

    `band_m` lies inside the band, `no_band_m` far from it.
    """

    url: str
    id: str
    ra_deg: float
    dec_deg: float
    radius_deg: float
    band_m: float
    no_band_m: float = 1.0


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance", "which service the conformance tests ask")
    group.addoption("--base-url", help="URL of a running service; without it a small one is started")
    group.addoption(
        "--id", default="ivo://unregistered.invalid/soda-fountain?demo/r", help="a survey band in it"
    )
    group.addoption("--circle", default="150.1 2.2 0.01", help="'ra dec radius' in it, held by one image")
    group.addoption("--band", default=6e-7, type=float, help="a wavelength of it, metres")


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    base_url = request.config.getoption("--base-url", default=None)
    if base_url:
        ra, dec, radius = map(float, request.config.getoption("--circle").split())
        name, band = request.config.getoption("--id"), request.config.getoption("--band")
        yield Target(base_url.rstrip("/"), name, ra, dec, radius, band)
        return
    folder = tmp_path_factory.mktemp("conformance")
    write_surveys(folder)
    settings = settings_of(folder)
    index_all(settings)
    environ = {
        "FOUNTAIN_DATA__FOLDER": str(folder),
        "FOUNTAIN_SURVEYS__DECLARATIONS": str(folder / "declarations"),
        "FOUNTAIN_IDENTIFIERS__BASE": settings.identifiers.base,
        "FOUNTAIN_SERVER__WORKERS": "1",
    }
    with serve(folder, environ, "--port", "0") as served:
        yield Target(served.url, did("tiny/g"), 150.0, 0.0, 0.0027, 5e-7)
