"""From a search to stamps of alerts, as pyvo goes."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from astropy import units as u
from astropy.config.paths import set_temp_cache
from astropy.io import fits
from astropy.time import Time
from astropy.utils.data import import_file_to_cache
from isal import igzip
from pyvo.dal import SIA2Service
from pyvo.dal.adhoc import DatalinkResults, SodaQuery

from tests.support.alert_service import RealAlert, make_alert_service, real_alerts
from tests.support.listening import listening
from tests.support.service import did

VOCABULARY = "http://www.ivoa.net/rdf/datalink/core"
KINDS = ("Science", "Template", "Difference")


@pytest.fixture(scope="module", autouse=True)
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The terms of DataLink as astropy's cache has them: pyvo would fetch them from the network."""
    folder = tmp_path_factory.mktemp("vocabulary")
    terms = {"this": [], "auxiliary": [], "progenitor": [], "preview": []}
    told = {"terms": {term: {"label": term, "narrower": narrower} for term, narrower in terms.items()}}
    (folder / "core.json").write_text(json.dumps(told))
    with set_temp_cache(str(folder)):
        import_file_to_cache(VOCABULARY, str(folder / "core.json"))
        yield


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> Iterator[str]:
    environ = {"FOUNTAIN_SYNC__MAX_PIXELS": "1000000"}
    with listening(make_alert_service(tmp_path_factory.mktemp("alerts"), real_data, environ)) as served:
        yield served


@pytest.fixture(scope="module")
def alert(real_data: Path) -> RealAlert:
    return real_alerts(real_data, "ztf-alerts")[0]


def test_pyvo_comes_from_a_position_to_stamps_as_they_are_stored(url: str, alert: RealAlert) -> None:
    place = (alert.ra_deg * u.deg, alert.dec_deg * u.deg, 1 * u.arcsec)
    seen = Time(alert.time, format="jd", scale="utc")
    found = SIA2Service(url).search(pos=place, time=(seen - 1 * u.s, seen + 1 * u.s))
    (row,) = (one for one in found if one.obs_publisher_did == did(alert.dataset))
    assert row.target_name == alert.object_id
    with fits.open(io.BytesIO(row.getdataset().read())) as hdus:
        assert [hdu.name for hdu in hdus] == [kind.upper() for kind in KINDS]
    links = row.getdatalink()
    for kind, link in zip(KINDS, links.bysemantics("#auxiliary", include_narrower=False), strict=True):
        assert link.getdataset().read() == igzip.decompress(alert.stamps[kind])


def test_links_of_an_object_lead_to_each_of_its_alerts(url: str, real_data: Path) -> None:
    alerts = real_alerts(real_data, "ztf-alerts")
    names = [one.object_id for one in alerts]
    most = max(names, key=names.count)
    links = DatalinkResults.from_result_url(f"{url}/links?ID={did(f'ztf-alerts/object/{most}')}")
    epochs = list(links.bysemantics("#progenitor", include_narrower=False))
    assert len(epochs) == names.count(most)
    with fits.open(io.BytesIO(epochs[0].getdataset().read())) as hdus:
        assert len(hdus) == len(KINDS)


def test_pyvo_asks_for_stamps_by_their_identifier(url: str, alert: RealAlert) -> None:
    query = SodaQuery(f"{url}/sync")
    query["ID"] = did(f"{alert.dataset}/Science")
    assert query.execute_stream().read() == igzip.decompress(alert.stamps["Science"])
    links = DatalinkResults.from_result_url(f"{url}/links?ID={did(f'ztf-alerts/object/{alert.object_id}')}")
    described = links.get_adhocservice_by_ivoid("ivo://ivoa.net/std/SODA#sync-1.0")
    picked = SodaQuery.from_resource(links[0], described)
    picked["FILTER"] = alert.band
    with fits.open(io.BytesIO(picked.execute_stream().read())) as hdus:
        assert set(hdus["EPOCHS"].data["band"]) == {alert.band}
