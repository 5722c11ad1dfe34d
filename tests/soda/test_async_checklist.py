"""SODA async over HTTP, with real workers: checklist SODA-100 to SODA-108, and how it is found."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import numpy as np
import pytest
from astropy.io import fits
from flask.testing import FlaskClient
from lxml import etree

from tests.support.redis import own_redis
from tests.support.service import did, pixels_of
from tests.support.soda_jobs import JobbingService, jobbing

UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"
HREF = "{http://www.w3.org/1999/xlink}href"
CIRCLE = "150.0 0.0 0.0027"
NOWHERE = "10.0 0.0 0.0027"
INSIDE = (slice(90, 110), slice(90, 110))

Values = str | list[str]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobbingService]:
    environ = {"FOUNTAIN_JOBS__MAX_ROWS": "30"}
    with own_redis() as redis, jobbing(tmp_path_factory.mktemp("jobs"), redis.url, environ) as made:
        yield made


@pytest.fixture
def client(service: JobbingService) -> FlaskClient:
    return service.app.test_client()


@dataclass(frozen=True)
class Ended:
    """A job that has ended, as its document says."""

    phase: str
    results: dict[str, str]
    message: str
    url: str


def submit(client: FlaskClient, **parameters: Values) -> str:
    answer = client.post("/async", data={**parameters, "PHASE": "RUN"})
    assert answer.status_code == 303, answer.text
    return urlsplit(answer.headers["Location"]).path


def job(client: FlaskClient, **parameters: Values) -> Ended:
    """Run a job to its end."""
    url = submit(client, **parameters)
    for _ in range(20):
        document = etree.fromstring(client.get(f"{url}?WAIT=10").data)
        phase = document.findtext(f"{UWS}phase")
        if phase not in ("QUEUED", "EXECUTING"):
            break
    results = {str(r.get("id")): urlsplit(str(r.get(HREF))).path for r in document.iter(f"{UWS}result")}
    message = document.findtext(f"{UWS}errorSummary/{UWS}message") or ""
    return Ended(str(phase), results, message, url)


def sync(client: FlaskClient, **parameters: Values) -> bytes:
    answer = client.get("/sync", query_string=urlencode(parameters, doseq=True))
    assert answer.status_code == 200, answer.text
    return answer.data


def pixels(content: bytes) -> np.ndarray:
    with fits.open(io.BytesIO(content)) as hdus:
        hdus.verify("exception")
        return np.array(hdus[0].data)


@pytest.mark.parametrize(
    "parameters",
    [
        {"ID": did("tiny/g/a"), "CIRCLE": CIRCLE},
        {"ID": did("tiny/g"), "CIRCLE": CIRCLE, "MASK": "true", "CHECKSUM": "true"},
        {"ID": did("tiny"), "POS": "RANGE 149.99 150.01 -0.01 0.01", "BAND": "6e-7"},
        {"ID": did("tiny"), "POLYGON": "150 0 150.01 0 150.01 0.01", "FILTER": "r", "POL": ["I", "Q"]},
        {"ID": did("tiny/g/a"), "CENTER": "149.972 0", "SIZE": "30px"},
        {"ID": did("nights"), "CIRCLE": CIRCLE, "TIME": "58999 59000.5"},
        {"id": did("tiny/g/zero"), "circle": "360 -10 0.005", "responseformat": "image/fits"},
        {"ID": did("tiny/g/pole"), "CIRCLE": "77 89.99 0.02"},
    ],
)
def test_soda_100_soda_106_the_bytes_of_sync_in_a_result_called_result(
    client: FlaskClient, parameters: dict[str, Values]
) -> None:
    ended = job(client, **parameters)
    assert ended.phase == "COMPLETED"
    assert list(ended.results) == ["result"]
    assert ended.results["result"].endswith("/results/result")
    answer = client.get(ended.results["result"])
    by_sync = client.get("/sync", query_string=urlencode(parameters, doseq=True))
    assert answer.data == by_sync.data
    for name in ("Content-Type", "Content-Length", "Content-Disposition"):
        assert answer.headers[name] == by_sync.headers[name]


def test_soda_101_soda_105_soda_107_each_combination_is_a_result(client: FlaskClient) -> None:
    ids, circles = ["tiny/g/a", "tiny/r/a"], [CIRCLE, "150.0 0.0 0.005"]
    bands = ["4e-7 5e-7", "6e-7 7e-7"]
    parameters = {"ID": [did(name) for name in ids], "CIRCLE": circles, "BAND": bands, "POL": ["I", "Q"]}
    ended = job(client, **parameters)
    assert ended.phase == "COMPLETED"
    assert list(ended.results) == [f"id{i}-circle{c}-band{b}" for i in (1, 2) for c in (1, 2) for b in (1, 2)]
    listed = etree.fromstring(client.get(f"{ended.url}/results").data)
    assert [result.get("id") for result in listed] == list(ended.results)
    names = set()
    for name, url in ended.results.items():
        i, c, b = (int(number) - 1 for number in re.findall(r"\d", name))
        answer = client.get(url)
        if i == b:
            asked = {"ID": did(ids[i]), "CIRCLE": circles[c], "BAND": bands[b], "POL": ["I", "Q"]}
            assert answer.data == sync(client, **asked)
            found = re.search(r'filename="(.+)"', answer.headers["Content-Disposition"])
            assert found is not None
            assert name in found[1]
            names.add(found[1])
        else:
            assert answer.text.startswith("UsageError: no overlap")
    assert len(names) == 4


def test_soda_101_regions_of_several_kinds(client: FlaskClient) -> None:
    ended = job(
        client,
        ID=did("tiny/g/a"),
        CIRCLE=CIRCLE,
        POS=["CIRCLE 150 0 0.0027", "RANGE 149.99 150.01 -0.01 0.01"],
        CENTER=["150.0 0.0"],
        SIZE="20px",
    )
    assert list(ended.results) == ["pos1", "pos2", "circle1", "center1"]
    for name in ("pos1", "circle1", "center1"):
        np.testing.assert_array_equal(pixels(client.get(ended.results[name]).data), pixels_of("a")[INSIDE])


def test_soda_102_no_overlap_has_a_result_of_its_own(client: FlaskClient) -> None:
    ended = job(client, ID=did("tiny/g/a"), CIRCLE=[CIRCLE, NOWHERE])
    assert ended.phase == "COMPLETED"
    answer = client.get(ended.results["circle2"])
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain")
    assert answer.text.startswith("UsageError: no overlap")
    assert "10 0 0.0027" in answer.text


@pytest.mark.parametrize("circles", [[NOWHERE], [NOWHERE, "11 0 1"]])
def test_soda_103_nothing_but_empty_combinations_is_completed(
    client: FlaskClient, circles: list[str]
) -> None:
    ended = job(client, ID=did("tiny/g/a"), CIRCLE=circles)
    assert ended.phase == "COMPLETED"
    assert len(ended.results) == len(circles)
    for url in ended.results.values():
        assert client.get(url).text.startswith("UsageError: no overlap")


def test_soda_104_multiplicity_that_is_not_supported(client: FlaskClient) -> None:
    ended = job(client, ID=did("tiny/g/a"), CIRCLE=CIRCLE, MASK=["true", "false"])
    assert ended.phase == "ERROR"
    assert ended.message.startswith("MultiValuedParamNotSupported: MASK")
    assert client.get(f"{ended.url}/error").text.startswith("MultiValuedParamNotSupported: MASK")


@pytest.mark.parametrize(
    "parameters",
    [
        {"ID": did("tiny/g/a"), "CIRCLE": "150 0 -1"},
        {"ID": did("tiny/g/none"), "CIRCLE": CIRCLE},
        {"ID": did("tiny/g")},
        {"ID": did("tiny/g"), "CIRCLE": "150.025 0.028 0.005", "EDGE": "error"},
        {"ID": did("secret/g/a"), "CIRCLE": CIRCLE},
        {"ID": did("tiny/g/a"), "CIRCEL": CIRCLE},
    ],
)
def test_soda_100_a_fault_is_told_in_the_words_of_sync(
    client: FlaskClient, parameters: dict[str, str]
) -> None:
    ended = job(client, **parameters)
    assert ended.phase == "ERROR"
    by_sync = client.get("/sync", query_string=parameters)
    assert by_sync.status_code >= 400
    # A limit is told in other numbers; apart from that the first line is the same.
    assert ended.message.split(" of at most ")[0] == by_sync.text.splitlines()[0].split(" of at most ")[0]


def test_soda_108_a_combination_that_fails_leaves_the_others(client: FlaskClient) -> None:
    ended = job(client, ID=did("tiny/g"), CIRCLE=[CIRCLE, "150.025 0.028 0.005"], EDGE="error")
    assert ended.phase == "COMPLETED"
    np.testing.assert_array_equal(pixels(client.get(ended.results["circle1"]).data), pixels_of("a")[INSIDE])
    failed = client.get(ended.results["circle2"])
    assert failed.content_type.startswith("text/plain")
    assert failed.text.startswith("UsageError: ")


def test_soda_108_nothing_usable_is_an_error(client: FlaskClient, service: JobbingService) -> None:
    file = service.folder / "tiny" / "b_r.fits"
    aside = file.rename(file.with_suffix(".aside"))
    try:
        ended = job(client, ID=did("tiny/r/b"), CIRCLE=["150.05 0 0.001", "150.05 0 0.002"])
        assert ended.phase == "ERROR"
        assert ended.message.startswith("Error: ")
        for url in ended.results.values():
            assert client.get(url).text.startswith("Error: the image tiny/r/b cannot be read")
    finally:
        aside.rename(file)


def test_exposures_of_a_survey_are_a_result_each(client: FlaskClient) -> None:
    ended = job(client, ID=did("nights"), CIRCLE=CIRCLE)
    assert list(ended.results) == ["exposure1", "exposure2"]
    for name, night in (("exposure1", "first"), ("exposure2", "second")):
        by_sync = sync(client, ID=did(f"nights/g/{night}"), CIRCLE=CIRCLE)
        assert client.get(ended.results[name]).data == by_sync


def test_too_many_combinations_make_no_job(client: FlaskClient) -> None:
    values = [f"150 0 0.00{n}" for n in range(1, 7)]
    answer = client.post("/async", data={"ID": [did("tiny/g/a")] * 6, "CIRCLE": values})
    assert answer.status_code == 403
    assert "36 cutouts (6 ID x 6 region); the limit for one job is 30" in answer.text


def test_what_sync_refuses_is_offered_as_a_job(client: FlaskClient) -> None:
    refused = client.get("/sync", query_string={"ID": did("tiny/g/a")})
    assert refused.status_code == 400
    command = re.search(r"curl -d '(.+)' (http\S+/async)$", refused.text, re.MULTILINE)
    assert command is not None, refused.text
    answer = client.post(
        urlsplit(command[2]).path, data=command[1], content_type="application/x-www-form-urlencoded"
    )
    assert answer.status_code == 303
    url = urlsplit(answer.headers["Location"]).path
    client.get(f"{url}?WAIT=30&PHASE=QUEUED")
    client.get(f"{url}?WAIT=30&PHASE=EXECUTING")
    result = client.get(f"{url}/results/result")
    np.testing.assert_array_equal(pixels(result.data), pixels_of("a"))


def test_what_no_job_could_make_is_not_offered(client: FlaskClient) -> None:
    beyond = {"ID": did("tiny/g"), "CIRCLE": "150 0.02 0.01", "EDGE": "error"}
    for parameters, status in (({"ID": did("tiny/g/none")}, 404), (beyond, 400)):
        answer = client.get("/sync", query_string=parameters)
        assert answer.status_code == status
        assert "curl" not in answer.text


def test_a_descriptor_tells_of_async(service: JobbingService) -> None:
    facts = service.parts.catalog.describe("tiny/g/a")
    found = service.parts.descriptors.of_dataset(facts, did("tiny/g/a"), "https://x.org/soda")
    of_sync, of_async = found
    assert "async" in of_async.id
    assert "async" not in of_sync.id
    params = {param.name: param.value for param in of_async.params}
    assert params["standardID"] == "ivo://ivoa.net/std/SODA#async-1.0"
    assert params["accessURL"] == "https://x.org/soda/async"
    assert params["contentType"] == "application/xml"
    assert "exampleURL" not in params
    assert of_async.inputs[: len(of_sync.inputs)] == of_sync.inputs
    (formats,) = (param.values for param in of_async.inputs if param.name == "RESPONSEFORMAT")
    assert formats is not None
    assert {"application/fits", "image/png", "image/jpeg"} < set(formats.options)
