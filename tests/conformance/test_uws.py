"""The job resource of any deployment, asked from outside: by pyvo, and as other clients are known to ask."""

from __future__ import annotations

import xml.sax
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import product
from urllib.parse import urlsplit
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl

import pytest
import requests
from lxml import etree
from pyvo.dal.exceptions import DALQueryError, DALServiceError
from pyvo.dal.tap import AsyncTAPJob

from tests.conformance.conftest import Target
from tests.support.outside import Validate

TIMEOUT_S = 90
ACTIVE = ("QUEUED", "EXECUTING")


class Reader(ContentHandler):
    """Knows no namespaces: it takes what stands after a colon, and `xlink:href` to the letter."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}
        self.hrefs: list[str] = []
        self.version = ""
        self._names: list[str] = []

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802
        self._names.append(name.rpartition(":")[2])
        self.texts.setdefault(self._names[-1], "")
        if self._names[-1] in ("job", "jobs"):
            self.version = attrs.get("version", "")
        if self._names[-1] in ("result", "jobref"):
            self.hrefs.append(attrs["xlink:href"])

    def characters(self, content: str) -> None:
        self.texts[self._names[-1]] += content

    def endElement(self, name: str) -> None:  # noqa: N802
        self._names.pop()


def read(url: str, **query: str) -> Reader:
    shown = requests.get(url, params=query, timeout=TIMEOUT_S)
    assert shown.status_code == 200, shown.text
    assert shown.headers["Content-Type"].split(";")[0] in ("text/xml", "application/xml")
    reader = Reader()
    xml.sax.parseString(shown.content, reader)
    return reader


def text(url: str) -> str:
    shown = requests.get(url, timeout=TIMEOUT_S)
    assert shown.status_code == 200, shown.text
    assert shown.headers["Content-Type"].startswith("text/plain")
    return shown.text


def post(url: str, **form: str | list[str]) -> str:
    """Post a form, as clients do that take 303 and nothing else; return the URL it names."""
    answer = requests.post(url, data=form, timeout=TIMEOUT_S, allow_redirects=False)
    assert answer.status_code == 303, answer.text
    location = answer.headers["Location"]
    assert urlsplit(location).scheme in ("http", "https")
    assert urlsplit(location).netloc == urlsplit(url).netloc
    return location


def circle(target: Target) -> str:
    return f"{target.ra_deg} {target.dec_deg} {target.radius_deg}"


def follow(url: str) -> Reader:
    """Poll as TOPCAT does, until the job has ended."""
    shown = read(url)
    for _ in range(20):
        if shown.texts["phase"] not in ACTIVE:
            break
        shown = read(url, WAIT="-1", PHASE=shown.texts["phase"])
    return shown


@pytest.fixture
def job(target: Target) -> Iterator[str]:
    """URL of a job that cuts out the circle; it is deleted in the end."""
    url = post(f"{target.url}/async", ID=target.id, CIRCLE=circle(target))
    yield url
    requests.delete(url, timeout=TIMEOUT_S, allow_redirects=False)


def test_uws_20_63_98_pyvo_runs_a_job(target: Target, job: str) -> None:
    with AsyncTAPJob(job) as pyvo:
        assert (pyvo.phase, pyvo.uws_version, pyvo.owner) == ("PENDING", "1.1", None)
        pyvo.run()
        pyvo.wait(timeout=TIMEOUT_S)
        pyvo.raise_if_error()
        assert pyvo.phase == "COMPLETED"
        assert [result.id_ for result in pyvo.results] == ["result"]
        assert pyvo.result_uri == f"{job}/results/result"
        result = requests.get(pyvo.result_uri, timeout=TIMEOUT_S)
        synced = requests.get(
            f"{target.url}/sync", params={"ID": target.id, "CIRCLE": circle(target)}, timeout=TIMEOUT_S
        )
        assert result.content == synced.content
        assert result.headers["Content-Type"] == synced.headers["Content-Type"]
    assert requests.get(job, timeout=TIMEOUT_S).status_code == 404


def test_uws_91_93_pyvo_changes_limits(job: str) -> None:
    pyvo = AsyncTAPJob(job)
    later = pyvo.destruction.datetime + timedelta(hours=1, microseconds=123_000)
    pyvo.destruction = later
    assert abs(pyvo.destruction.datetime - later) < timedelta(milliseconds=1)
    pyvo.execution_duration = 30
    assert pyvo.execution_duration.to_value("s") == 30
    pyvo.abort()
    assert pyvo.phase == "ABORTED"
    with pytest.raises(DALServiceError):
        pyvo.abort()
    pyvo.delete()


def test_uws_24_99_pyvo_says_what_was_wrong(target: Target) -> None:
    wrong = {"ID": target.id, "CIRCLE": "1 2"}
    sync = requests.get(f"{target.url}/sync", params=wrong, timeout=TIMEOUT_S)
    pyvo = AsyncTAPJob(post(f"{target.url}/async", **wrong))
    assert pyvo.phase == "PENDING"
    pyvo.run()
    pyvo.wait(timeout=TIMEOUT_S)
    sentence = sync.text.splitlines()[0]
    with pytest.raises(DALQueryError) as raised:
        pyvo.raise_if_error()
    assert sentence in str(raised.value)
    assert text(f"{pyvo.url}/error").startswith(sentence)
    pyvo.delete()


def test_uws_03_97_a_reader_without_namespaces_finds_the_results(target: Target, job: str) -> None:
    post(f"{job}/phase", PHASE="RUN")
    shown = follow(job)
    assert shown.texts["phase"] == "COMPLETED"
    assert shown.version == "1.1"
    assert shown.hrefs
    for href in shown.hrefs:
        assert href.startswith(f"{job}/results/")
        assert requests.get(href, timeout=TIMEOUT_S).status_code == 200
    raw = requests.get(job, timeout=TIMEOUT_S).text
    assert raw.count('xlink:href="http') == len(shown.hrefs)
    assert read(f"{job}/results").hrefs == shown.hrefs


def test_uws_32_64_102_a_job_is_named_aborted_and_deleted(target: Target) -> None:
    url = post(f"{target.url}/async", ID=target.id, CIRCLE=circle(target), RUNID="TAPLINT-1")
    assert read(url).texts["jobId"] == url.rpartition("/")[2]
    assert (text(f"{url}/phase"), read(url).texts["phase"]) == ("PENDING", "PENDING")
    assert read(url).texts["runId"] == "TAPLINT-1"
    assert post(f"{url}/parameters", runId="TAPLINT-2") == url
    assert read(url).texts["runId"] == "TAPLINT-2"
    assert post(f"{url}/phase", PHASE="ABORT") == url
    assert (text(f"{url}/phase"), read(url).texts["phase"]) == ("ABORTED", "ABORTED")
    assert post(url, ACTION="DELETE") == f"{target.url}/async"
    assert requests.get(url, timeout=TIMEOUT_S).status_code == 404


def test_uws_101_a_job_is_deleted(job: str) -> None:
    deleted = requests.delete(job, timeout=TIMEOUT_S, allow_redirects=False)
    assert deleted.status_code == 303
    for path in ("", "/phase", "/results", "/parameters"):
        assert requests.get(job + path, timeout=TIMEOUT_S).status_code == 404


def test_uws_62_90_92_95_96_texts_say_what_the_document_says(job: str) -> None:
    document = read(job).texts
    for resource, element in (
        ("phase", "phase"),
        ("quote", "quote"),
        ("executionduration", "executionDuration"),
        ("destruction", "destruction"),
        ("owner", "ownerId"),
    ):
        assert text(f"{job}/{resource}") == document[element]


def test_uws_22_a_job_posted_in_parts_with_its_phase(target: Target) -> None:
    fields = {"ID": target.id, "CIRCLE": circle(target), "PHASE": "RUN"}
    made = requests.post(
        f"{target.url}/async",
        files={name: (None, value) for name, value in fields.items()},
        timeout=TIMEOUT_S,
        allow_redirects=False,
    )
    assert made.status_code == 303
    url = made.headers["Location"]
    assert text(f"{url}/phase") != "PENDING"
    assert follow(url).texts["phase"] == "COMPLETED"


def test_uws_22_25_a_job_made_by_query_changed_and_run(target: Target) -> None:
    made = requests.post(
        f"{target.url}/async", params={"ID": target.id}, timeout=TIMEOUT_S, allow_redirects=False
    )
    assert made.status_code == 303
    url = made.headers["Location"]
    post(f"{url}/parameters", POS=[f"CIRCLE {circle(target)}", f"CIRCLE {circle(target)}"])
    post(f"{url}/phase", phase="RUN")
    shown = follow(url)
    assert shown.texts["phase"] == "COMPLETED"
    assert len(set(shown.hrefs)) == 2


@pytest.mark.parametrize("where", ["params", "data"])
@pytest.mark.parametrize("spell", [str.upper, str.lower])
def test_uws_22_http_02_a_job_run_at_once(target: Target, where: str, spell: Callable[[str], str]) -> None:
    told = {"ID": target.id, "CIRCLE": circle(target), "PHASE": "RUN"}
    sent = {where: {spell(name): value for name, value in told.items()}}
    made = requests.post(f"{target.url}/async", **sent, timeout=TIMEOUT_S, allow_redirects=False)
    assert made.status_code == 303, made.text
    url = made.headers["Location"]
    assert text(f"{url}/phase") != "PENDING"
    assert follow(url).texts["phase"] == "COMPLETED"
    requests.delete(url, timeout=TIMEOUT_S, allow_redirects=False)


def test_soda_101_soda_102_soda_107_values_multiply(target: Target, job: str) -> None:
    """Files are those of sync, bit for bit; what overlaps nothing is a text, in its place."""
    circles = [circle(target), f"{target.ra_deg} {target.dec_deg} {target.radius_deg / 2}"]
    bands = [str(target.band_m), str(target.no_band_m)]
    post(f"{job}/parameters", CIRCLE=circles, BAND=bands, POL=["I", "Q"])
    post(f"{job}/phase", PHASE="RUN")
    shown = follow(job)
    assert shown.texts["phase"] == "COMPLETED"
    assert len(set(shown.hrefs)) == 4
    for href, (region, band) in zip(shown.hrefs, product(circles, bands), strict=True):
        result = requests.get(href, timeout=TIMEOUT_S)
        asked = {"ID": target.id, "CIRCLE": region, "BAND": band, "POL": ["I", "Q"]}
        synced = requests.get(f"{target.url}/sync", params=asked, timeout=TIMEOUT_S)
        assert result.status_code == 200
        if synced.status_code == 204:
            assert result.headers["Content-Type"].startswith("text/plain")
            assert result.text.startswith("UsageError")
        else:
            assert synced.status_code == 200, synced.text
            assert result.content == synced.content
            assert result.headers["Content-Type"] == synced.headers["Content-Type"]


def test_soda_106_a_result_can_be_had_in_parts(target: Target, job: str) -> None:
    post(f"{job}/phase", PHASE="RUN")
    follow(job)
    url = f"{job}/results/result"
    whole = requests.get(url, timeout=TIMEOUT_S)
    part = requests.get(url, headers={"Range": "bytes=80-159"}, timeout=TIMEOUT_S)
    assert part.status_code == 206
    assert part.content == whole.content[80:160]
    assert part.headers["Content-Range"] == f"bytes 80-159/{len(whole.content)}"
    again = requests.get(url, headers={"If-None-Match": whole.headers["ETag"]}, timeout=TIMEOUT_S)
    assert (again.status_code, again.content) == (304, b"")
    head = requests.head(url, timeout=TIMEOUT_S)
    assert head.headers["Content-Length"] == str(len(whole.content))


def test_soda_102_soda_103_nothing_there_is_no_error(target: Target, job: str) -> None:
    post(f"{job}/parameters", BAND=str(target.no_band_m))
    post(f"{job}/phase", PHASE="RUN")
    shown = follow(job)
    assert shown.texts["phase"] == "COMPLETED"
    assert "errorSummary" not in shown.texts
    (href,) = shown.hrefs
    assert text(href).startswith("UsageError: no overlap")


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("RESPONSEFORMAT", ["image/fits", "image/fits"], "MultiValuedParamNotSupported"),
        ("RESPONSEFORMAT", ["image/gif"], "UsageError"),
        ("EDGE", ["wrap"], "UsageError"),
        ("BAND", ["5e-7", "x"], "UsageError"),
        ("CIRCL", ["1 2 3"], "UsageError"),
        ("ID", ["ivo://example.org/no-such?thing"], "UsageError"),
    ],
)
def test_soda_104_uws_24_bad_values_end_the_job(job: str, name: str, values: list[str], said: str) -> None:
    post(f"{job}/parameters", **{name: values})
    assert text(f"{job}/phase") == "PENDING"
    post(f"{job}/phase", PHASE="RUN")
    shown = follow(job)
    assert shown.texts["phase"] == "ERROR"
    assert shown.texts["message"].startswith(said)
    assert text(f"{job}/error").startswith(said)
    assert shown.hrefs == []


def test_uws_24_a_bad_value_can_be_mended(job: str, target: Target) -> None:
    post(f"{job}/parameters", CIRCLE="1 2")
    post(f"{job}/parameters", CIRCLE=circle(target))
    post(f"{job}/phase", PHASE="RUN")
    assert follow(job).texts["phase"] == "COMPLETED"


def test_uws_81_83_84_waiting_for_nothing(job: str) -> None:
    """None of these waits: the time-out is shorter than what they would wait for."""

    def at_once(**query: str) -> int:
        return requests.get(job, params=query, timeout=30).status_code

    assert at_once(WAIT="0") == 200
    assert at_once(WAIT="60", PHASE="QUEUED") == 200
    assert at_once(wait="60", phase="EXECUTING") == 200
    assert at_once(WAIT="soon") == 400
    post(f"{job}/phase", PHASE="ABORT")
    assert at_once(WAIT="60") == 200
    assert at_once(WAIT="-1", PHASE="ABORTED") == 200


def test_uws_80_one_who_waits_hears_of_the_change(job: str) -> None:
    """The job is aborted while a client waits for it to leave PENDING."""
    with ThreadPoolExecutor(1) as pool:
        waiter = pool.submit(read, job, WAIT="60", PHASE="PENDING")
        post(f"{job}/phase", PHASE="ABORT")
        assert waiter.result(30).texts["phase"] == "ABORTED"


def test_uws_21_urls_that_clients_take_apart(target: Target, job: str) -> None:
    job_id = job.removeprefix(f"{target.url}/async/")
    assert job_id.isalnum()
    assert job_id[0] not in "htps"
    for element in ("parameters", "startTime", "endTime", "executionDuration", "destruction", "results"):
        assert element in read(job).texts


def test_uws_26_65_what_comes_too_late_is_refused(target: Target, job: str) -> None:
    post(f"{job}/phase", PHASE="RUN")
    shown = follow(job)
    assert shown.texts["phase"] == "COMPLETED"
    for path, form in (
        ("/phase", {"PHASE": "RUN"}),
        ("/phase", {"PHASE": "ABORT"}),
        ("/parameters", {"CIRCLE": "1 2 3"}),
        ("", {"CIRCLE": "1 2 3"}),
    ):
        refused = requests.post(job + path, data=form, timeout=TIMEOUT_S, allow_redirects=False)
        assert refused.status_code == 403
        assert refused.headers["Content-Type"].startswith("text/plain")
    assert read(job).texts == shown.texts


def test_uws_01_04_jobs_of_nobody_are_listed_to_nobody(target: Target, job: str) -> None:
    assert read(f"{target.url}/async").hrefs == []
    assert read(f"{target.url}/async", PHASE="PENDING", LAST="5").hrefs == []
    for query in ({"LAST": "0"}, {"PHASE": "FOO"}, {"AFTER": "x"}):
        refused = requests.get(f"{target.url}/async", params=query, timeout=TIMEOUT_S)
        assert refused.status_code == 400


def test_uws_40_documents_are_valid(target: Target, job: str, validate: Validate) -> None:
    post(f"{job}/parameters", RUNID="a & b")
    for phase in ("PENDING", "COMPLETED"):
        for url in (job, f"{job}/parameters", f"{job}/results", f"{target.url}/async"):
            content = requests.get(url, timeout=TIMEOUT_S).content
            assert validate(content) == []
        assert etree.fromstring(requests.get(job, timeout=TIMEOUT_S).content).get("version") == "1.1"
        assert read(job).texts["phase"] == phase
        if phase == "PENDING":
            post(f"{job}/phase", PHASE="RUN")
            follow(job)


def test_http_09_http_12_children_and_scripts(target: Target, job: str) -> None:
    for name in ("capabilities", "availability"):
        assert requests.get(f"{target.url}/async/{name}", timeout=TIMEOUT_S).status_code == 404
    for url in (job, f"{job}/phase", f"{target.url}/async/{'0' * 32}"):
        assert requests.get(url, timeout=TIMEOUT_S).headers["Access-Control-Allow-Origin"] == "*"
    assert requests.options(f"{job}/phase", timeout=TIMEOUT_S).status_code in (200, 204)


def test_uws_103_other_methods_are_refused(target: Target, job: str) -> None:
    for url, method in (
        (f"{target.url}/async", "DELETE"),
        (f"{job}/phase", "PUT"),
        (f"{job}/results", "POST"),
    ):
        refused = requests.request(method, url, timeout=TIMEOUT_S)
        assert refused.status_code == 405
        assert "GET" in refused.headers["Allow"]
    assert text(f"{job}/phase") == "PENDING"
