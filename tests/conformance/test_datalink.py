"""From a search to pixels, the ways that pyvo, STILTS, Aladin and Aladin Lite go."""

from __future__ import annotations

import io
import json
import re
import xml.sax
from collections.abc import Iterator
from pathlib import Path
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl

import numpy as np
import pytest
import requests
from astropy import units as u
from astropy.config.paths import set_temp_cache
from astropy.io import fits
from astropy.utils.data import import_file_to_cache
from numpy.typing import NDArray
from pyvo.dal import SIA2Service
from pyvo.dal.adhoc import DatalinkResults, DatalinkService, SodaQuery
from pyvo.dal.exceptions import DALServiceError
from pyvo.dal.sia2 import ObsCoreRecord, SIA2Results
from pyvo.dal.tap import AsyncTAPJob
from vo_models.vosi.availability import Availability
from vo_models.vosi.capabilities import VOSICapabilities

from tests.conformance.conftest import Target
from tests.support.outside import stilts

TIMEOUT_S = 60
LINKS_TYPE = "application/x-votable+xml;content=datalink"
VOCABULARY = "http://www.ivoa.net/rdf/datalink/core"
ORIGIN = {"Origin": "https://aladin.example", "Accept": "text/html,*/*;q=0.8"}


@pytest.fixture(scope="module", autouse=True)
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The terms of DataLink as astropy's cache has them: pyvo would fetch them from the network."""
    folder = tmp_path_factory.mktemp("vocabulary")
    terms = {"this": [], "proc": ["cutout"], "cutout": []}
    told = {"terms": {term: {"label": term, "narrower": narrower} for term, narrower in terms.items()}}
    (folder / "core.json").write_text(json.dumps(told))
    with set_temp_cache(str(folder)):
        import_file_to_cache(VOCABULARY, str(folder / "core.json"))
        yield


@pytest.fixture(scope="module")
def found(target: Target) -> SIA2Results:
    service = SIA2Service(target.url)
    return service.search(pos=(target.ra_deg * u.deg, target.dec_deg * u.deg, target.radius_deg * u.deg))


@pytest.fixture(scope="module")
def image(target: Target, found: SIA2Results) -> ObsCoreRecord:
    """An image of the band that is asked."""
    return next(row for row in found if str(row.obs_publisher_did).startswith(f"{target.id}/"))


@pytest.fixture(scope="module")
def links(image: ObsCoreRecord) -> DatalinkResults:
    return image.getdatalink()


def circle(target: Target) -> u.Quantity:
    return (target.ra_deg, target.dec_deg, target.radius_deg) * u.deg


def square(target: Target, corners: int) -> list[float]:
    """Corners of a polygon about the middle of the target's circle: RA, Dec one after the other."""
    angles = 2 * np.pi * np.arange(corners) / corners
    ra = target.ra_deg + target.radius_deg * np.cos(angles) / np.cos(np.radians(target.dec_deg))
    dec = target.dec_deg + target.radius_deg * np.sin(angles)
    return [float(value) for vertex in zip(ra, dec, strict=True) for value in vertex]


def pixels(content: bytes) -> NDArray[np.float64]:
    with fits.open(io.BytesIO(content)) as hdus:
        return np.array(next(hdu.data for hdu in hdus if hdu.data is not None))


def sync(target: Target, name: object) -> NDArray[np.float64]:
    """What plain SODA gives for the circle."""
    numbers = f"{target.ra_deg} {target.dec_deg} {target.radius_deg}"
    parameters = {"ID": str(name), "CIRCLE": numbers}
    return pixels(requests.get(f"{target.url}/sync", params=parameters, timeout=TIMEOUT_S).content)


def test_dl_17_pyvo_gets_the_whole_image(image: ObsCoreRecord, links: DatalinkResults) -> None:
    (this,) = links.bysemantics("#this", include_narrower=False)
    whole = image.getdataset().read()
    assert len(whole) == this.content_length
    assert whole.startswith(b"SIMPLE  =")


def test_pyvo_cuts_a_row_of_a_search(target: Target, image: ObsCoreRecord) -> None:
    cut = pixels(image.processed(circle=circle(target)).read())
    np.testing.assert_array_equal(cut, sync(target, image.obs_publisher_did))


def test_pyvo_every_row_has_links_and_pixels_of_its_own(target: Target, found: SIA2Results) -> None:
    images = [row for row in found if str(row.obs_publisher_did).count("/") > target.id.count("/")]
    assert len(images) >= 3
    names = {str(row.obs_publisher_did) for row in found}
    met = {}
    for linked in found.iter_datalinks():
        name = str(linked.original_row.obs_publisher_did)
        assert {str(row.id) for row in linked} == {name}
        # pyvo has sorted them, and notebooks take the first.
        cutout, job = linked.bysemantics("#cutout", include_narrower=False)
        assert "async" in job.service_def
        met[name] = pixels(cutout.process(circle=circle(target)).read())
    assert met.keys() == names
    for name, cut in met.items():
        np.testing.assert_array_equal(cut, sync(target, name))
    assert len({cut.tobytes() for cut in met.values()}) > 1


def test_pyvo_keeps_the_order_when_asked(found: SIA2Results) -> None:
    names = [str(row.obs_publisher_did) for row in found]
    linked = found.iter_datalinks(preserve_order=True)
    assert [str(next(iter(one)).id) for one in linked] == names


def test_survey_band_rows_give_the_cutout_at_once(target: Target, found: SIA2Results) -> None:
    row = next(row for row in found if str(row.obs_publisher_did) == target.id)
    assert row.access_format == "application/fits"
    got = pixels(row.getdataset().read())
    np.testing.assert_array_equal(got, sync(target, target.id))
    cut = pixels(row.processed(circle=circle(target)).read())
    np.testing.assert_array_equal(cut, got)


def test_sd_08_pyvo_soda_query_from_the_links(target: Target, links: DatalinkResults) -> None:
    service = links.get_adhocservice_by_ivoid("ivo://ivoa.net/std/SODA#sync-1")
    cutout = links.get_first_proc()
    assert cutout.semantics == "#cutout"
    assert links.get_adhocservice_by_id(cutout.service_def) is service
    query = SodaQuery.from_resource(cutout, service)
    assert query["ID"] == cutout.id
    query.circle = circle(target)
    np.testing.assert_array_equal(pixels(query.execute_stream().read()), sync(target, cutout.id))


@pytest.mark.parametrize("corners", [3, 6])
def test_sd_06_pyvo_polygons(target: Target, image: ObsCoreRecord, corners: int) -> None:
    cut = image.processed(polygon=square(target, corners) * u.deg)
    assert pixels(cut.read()).size > 0


def test_sd_06_pyvo_polygon_of_four_vertices_by_pos(target: Target, image: ObsCoreRecord) -> None:
    """The xtype that DALI gives POLYGON makes pyvo take it for triples."""
    corners = square(target, 4)
    with pytest.raises(DALServiceError, match="multiple of 3"):
        image.processed(polygon=corners * u.deg)
    cut = image.processed(pos=f"POLYGON {' '.join(map(str, corners))}")
    assert pixels(cut.read()).size > 0


def test_dl_08_dl_12_pyvo_asks_for_many(target: Target, found: SIA2Results) -> None:
    names = [str(row.obs_publisher_did) for row in found]
    results = DatalinkService(f"{target.url}/links").run_sync(names)
    assert list(dict.fromkeys(str(row.id) for row in results)) == names


@pytest.mark.parametrize("of", ["row", "links"])
def test_sd_10_pyvo_has_a_row_cut_by_a_job(
    target: Target, image: ObsCoreRecord, links: DatalinkResults, of: str
) -> None:
    """As a notebook does it; the descriptor of a search names no dataset, so it is asked of a row."""
    described, row = (links, links[0]) if of == "links" else (image._results, image)
    service = described.get_adhocservice_by_ivoid("ivo://ivoa.net/std/SODA#async-1")
    query = SodaQuery.from_resource(row, service, circle=circle(target))
    made = query.submit(post=True)
    made.raise_for_status()
    with AsyncTAPJob(made.url) as job:
        assert job.phase == "PENDING"
        job.run().wait(timeout=TIMEOUT_S)
        job.raise_if_error()
        content = requests.get(job.result_uri, timeout=TIMEOUT_S).content
    np.testing.assert_array_equal(pixels(content), sync(target, image.obs_publisher_did))


def test_sd_10_pyvo_has_many_circles_cut_by_a_job(target: Target, links: DatalinkResults) -> None:
    service = links.get_adhocservice_by_ivoid("ivo://ivoa.net/std/SODA#async-1")
    query = SodaQuery.from_resource(links[0], service)
    circles = [f"{target.ra_deg} {target.dec_deg} {target.radius_deg / part}" for part in (1, 2, 3)]
    query["CIRCLE"] = circles
    with AsyncTAPJob(query.submit(post=True).url) as job:
        job.run().wait(timeout=TIMEOUT_S)
        cuts = [requests.get(result.href, timeout=TIMEOUT_S).content for result in job.results]
    asked = [{"ID": str(links[0].id), "CIRCLE": numbers} for numbers in circles]
    assert cuts == [
        requests.get(f"{target.url}/sync", params=parameters, timeout=TIMEOUT_S).content
        for parameters in asked
    ]


def test_sd_10_a_client_that_can_only_get_is_told(target: Target, links: DatalinkResults) -> None:
    _, job = links.bysemantics("#cutout", include_narrower=False)
    assert "async" in job.service_def
    refused = requests.get(job.access_url, params={"ID": job.id, "CIRCLE": "1 2 3"}, timeout=TIMEOUT_S)
    assert refused.status_code == 400
    assert "POST" in refused.text


def test_every_example_url_of_a_descriptor_gives_data(target: Target) -> None:
    results = DatalinkResults.from_result_url(f"{target.url}/links?ID={target.id}")
    examples = {
        str(service.ID): [str(param.value) for param in service.params if param.name == "exampleURL"]
        for service in results.votable.resources
        if service.utype == "adhoc:service"
    }
    assert list(examples) == ["soda", "soda_async"]
    assert len(examples["soda"]) == 1
    for url in [url for urls in examples.values() for url in urls]:
        answer = requests.get(url, timeout=TIMEOUT_S)
        assert answer.status_code == 200
        assert pixels(answer.content).size > 0


@pytest.mark.parametrize("query", ["ID={id}", "ID={id}&ID={id}/no-such", ""])
def test_dl_02_stilts_datalinklint(target: Target, query: str) -> None:
    url = f"{target.url}/links?{query.format(id=target.id)}"
    assert stilts("datalinklint", votable=url) == []


@pytest.mark.parametrize("path", ["links?ID={id}", "links", "query?POS=CIRCLE {circle}", "query?MAXREC=0"])
def test_vot_01_stilts_votlint(target: Target, tmp_path: Path, path: str) -> None:
    numbers = f"{target.ra_deg} {target.dec_deg} {target.radius_deg}"
    answer = requests.get(f"{target.url}/{path.format(id=target.id, circle=numbers)}", timeout=TIMEOUT_S)
    document = tmp_path / "answer.xml"
    document.write_bytes(answer.content)
    assert stilts("votlint", votable=str(document)) == []


def test_vosi_01_vosi_03_vo_models_reads_them(target: Target) -> None:
    read = VOSICapabilities.from_xml(requests.get(f"{target.url}/capabilities", timeout=TIMEOUT_S).content)
    standards = {str(capability.standard_id) for capability in read.capability}
    assert standards >= {
        "ivo://ivoa.net/std/VOSI#capabilities",
        "ivo://ivoa.net/std/VOSI#availability",
        "ivo://ivoa.net/std/VOSI#tables-1.1",
        "ivo://ivoa.net/std/DALI#examples",
        "ivo://ivoa.net/std/SODA#sync-1.0",
        "ivo://ivoa.net/std/SODA#async-1.0",
        "ivo://ivoa.net/std/SIA#query-2.0",
        "ivo://ivoa.net/std/DataLink#links-1.1",
    }
    state = requests.get(f"{target.url}/availability", timeout=TIMEOUT_S).content
    assert Availability.from_xml(state).available


class OldReader(ContentHandler):
    """Knows no namespaces: tags and attributes as they are spelled."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: dict[str, str] = {}
        self._standard, self._reading = "", False

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802
        if name == "capability":
            self._standard = attrs["standardID"]
        self._reading = name == "accessURL" and "use" in attrs

    def endElement(self, name: str) -> None:  # noqa: N802
        self._reading = False

    def characters(self, content: str) -> None:
        if self._reading:
            self.urls[self._standard] = self.urls.get(self._standard, "") + content


def test_cap_02_cap_07_a_reader_without_namespaces(target: Target) -> None:
    reader = OldReader()
    xml.sax.parseString(requests.get(f"{target.url}/capabilities", timeout=TIMEOUT_S).content, reader)
    assert reader.urls["ivo://ivoa.net/std/SODA#sync-1.0"] == f"{target.url}/sync"
    assert reader.urls["ivo://ivoa.net/std/SODA#async-1.0"] == f"{target.url}/async"
    assert reader.urls["ivo://ivoa.net/std/DataLink#links-1.1"] == f"{target.url}/links"
    for url in reader.urls.values():
        assert requests.get(url, params={"MAXREC": "0"}, timeout=TIMEOUT_S).status_code in (200, 400)


def attribute(element: str, name: str) -> str:
    match = re.search(rf'\b{name}="([^"]*)"', element)
    return match[1] if match else ""


def test_http_12_sd_09_aladin_lite(target: Target, image: ObsCoreRecord) -> None:
    """A click on a row, the form it makes, and its request; all as a browser of another site sends them."""
    assert image.access_format == LINKS_TYPE
    answer = requests.get(str(image.access_url), headers=ORIGIN, timeout=TIMEOUT_S)
    assert answer.headers["Content-Type"] == LINKS_TYPE
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    text = answer.text
    assert ">#cutout<" in text
    service = next(part for part in text.split("<RESOURCE ")[1:] if "service" in attribute(part, "utype"))
    assert f"<TD>{attribute(service, 'ID')}</TD>" in text
    params = {attribute(param, "name"): param for param in service.split("<PARAM ")[1:]}
    url = attribute(params["accessURL"], "value")
    assert "?" not in url
    assert "RANGE" not in params
    ra, dec, radius = (
        float(number) for number in attribute(params["CIRCLE"].split("<MAX")[1], "value").split(" ")
    )
    bare = requests.get(url, headers=ORIGIN, timeout=TIMEOUT_S)
    assert bare.status_code == 400
    assert bare.headers["Access-Control-Allow-Origin"] == "*"
    low, high = (attribute(params["BAND"].split(mark)[1], "value") for mark in ("<MIN", "<MAX"))
    form = {
        "ID": attribute(params["ID"], "value"),
        "CIRCLE": f"{ra} {dec} {radius / 20}",
        "BAND": f"{low} {high}",
    }
    cut = requests.get(url, params=form, headers=ORIGIN, timeout=TIMEOUT_S)
    assert cut.status_code == 200
    assert cut.headers["Content-Type"] == "application/fits"
    assert cut.headers["Access-Control-Allow-Origin"] == "*"
    assert pixels(cut.content).size > 0


def test_soda_05_aladin_desktop(target: Target) -> None:
    numbers = f"{target.ra_deg}+{target.dec_deg}+{target.radius_deg}"
    url = f"{target.url}/sync?POS=CIRCLE+{numbers}&BAND={target.band_m}+{target.band_m}&ID={target.id}"
    np.testing.assert_array_equal(
        pixels(requests.get(url, timeout=TIMEOUT_S).content), sync(target, target.id)
    )
