"""Documents: valid against the schema, and read alike by a library nobody here wrote."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from lxml import etree
from vo_models.uws import models

from tests.support.outside import Validate
from tests.uws.conftest import HREF, NAMES, Client, House, id_of
from uws.job import Counts, Job, JobError, JobRef, Parameter, ResultRef
from uws.phase import Phase
from uws.xml import job_document, jobs_document, parameters_document, results_document

URL = "https://example.org/soda/async/0a1b"
NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
NOON_MS = 1_767_268_800_000
NOON = "2026-01-01T12:00:00.000Z"
ORDER = [
    *("jobId", "runId", "ownerId", "phase", "quote", "creationTime", "startTime", "endTime"),
    *("executionDuration", "destruction", "parameters", "results", "errorSummary", "jobInfo"),
]

PENDING = Job(
    job_id="0a1b",
    type="toy",
    owner="",
    phase=Phase.PENDING,
    run_id="",
    lane="low",
    hidden=False,
    created_ms=NOON_MS,
    started_ms=None,
    ended_ms=None,
    destruction_ms=NOON_MS + 60_000,
    quote_ms=None,
    execution_duration_s=3600,
    parameters=(),
    fault=None,
    error=None,
    counts=Counts(),
    bytes_out=0,
    seconds=None,
    event_seq=0,
)
FULL = replace(
    PENDING,
    owner="ann",
    phase=Phase.ERROR,
    run_id="run <1>",
    started_ms=NOON_MS + 1_000,
    ended_ms=NOON_MS + 5_000,
    quote_ms=NOON_MS + 2_000,
    parameters=(Parameter("ID", "ivo://example.org/x?a&b"), Parameter("POS", "1"), Parameter("POS", "2")),
    error=JobError("Error: nothing <could> be made", "more\nof it"),
    counts=Counts(10, 5, 1, 1, 1),
)
RESULTS = [
    ResultRef("result", "application/fits", 2880),
    ResultRef("a & <b>", "text/plain; charset=utf-8", 0),
]
PHASES = [replace(FULL, phase=phase) for phase in Phase]


def read(document: bytes) -> etree._Element:
    return etree.fromstring(document)


def names(element: etree._Element) -> list[str]:
    return [etree.QName(child).localname for child in element]


@pytest.mark.parametrize("job", [PENDING, *PHASES], ids=lambda job: job.phase)
def test_uws_40_60_job_documents_are_valid(job: Job, validate: Validate) -> None:
    for results in ([], RESULTS):
        document = job_document(job, results, URL, NOON_MS + 9_000)
        assert validate(document) == []
        root = read(document)
        assert (root.tag, root.get("version")) == (f"{{{NAMES['uws']}}}job", "1.1")


def test_uws_01_02_lists_are_valid(validate: Validate) -> None:
    refs = [
        JobRef("0a1b", Phase.COMPLETED, "a & b", "ann", NOON_MS),
        JobRef("1c", Phase.PENDING, "", "", NOON_MS + 1),
    ]
    for document in (jobs_document(refs, URL), jobs_document([], URL)):
        assert validate(document) == []
    first, second = read(jobs_document(refs, URL))
    assert names(first) == ["phase", "runId", "ownerId", "creationTime"]
    assert names(second) == ["phase", "ownerId", "creationTime"]
    assert second[1].get(NIL) == "true"


def test_uws_29_97_parameters_and_results_are_valid(validate: Validate) -> None:
    for results in ([], RESULTS):
        assert validate(results_document(results, URL)) == []
    assert validate(parameters_document(FULL.parameters, URL)) == []
    assert validate(parameters_document([], URL)) == []


def test_uws_41_elements_stand_in_order() -> None:
    assert names(read(job_document(FULL, RESULTS, URL, NOON_MS))) == ORDER
    assert names(read(job_document(PENDING, [], URL, NOON_MS))) == [
        name for name in ORDER if name not in ("runId", "errorSummary", "jobInfo")
    ]


def test_uws_42_43_44_what_is_not_known_is_nil() -> None:
    root = read(job_document(PENDING, [], URL, NOON_MS))
    for name in ("ownerId", "quote", "startTime", "endTime"):
        element = root.find(f"uws:{name}", NAMES)
        assert element is not None
        assert (element.get(NIL), element.text) == ("true", None)
    assert root.findtext("uws:creationTime", namespaces=NAMES) == NOON
    assert root.findtext("uws:destruction", namespaces=NAMES) == "2026-01-01T12:01:00.000Z"
    assert root.find("uws:results", NAMES) is not None
    assert root.find("uws:parameters", NAMES) is not None


def test_uws_45_times_are_utc_with_milliseconds() -> None:
    times = re.findall(rb">(\d{4}-[^<]*)<", job_document(FULL, [], URL, NOON_MS))
    assert len(times) == 5
    assert all(re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time) for time in times)


def test_uws_46_words_have_no_spaces_around() -> None:
    document = job_document(FULL, RESULTS, URL, NOON_MS)
    assert b"<uws:phase>ERROR</uws:phase>" in document
    assert b"<uws:jobId>0a1b</uws:jobId>" in document
    assert b"<uws:runId>run &lt;1&gt;</uws:runId>" in document


def test_uws_47_execution_duration_is_whole_seconds() -> None:
    for seconds in (0, 3600, 2**31 - 1):
        document = job_document(replace(PENDING, execution_duration_s=seconds), [], URL, NOON_MS)
        assert f"<uws:executionDuration>{seconds}</uws:executionDuration>".encode() in document


def test_uws_48_a_job_in_error_is_shown_as_any_other(
    house: House, client: Client, validate: Validate
) -> None:
    url = client.make(DO="fail", PHASE="RUN")
    house.work()
    shown = client.get(url)
    assert shown.status_code == 200
    assert validate(shown.data) == []
    assert b"<uws:phase>ERROR</uws:phase>" in shown.data


def test_uws_51_job_info_is_in_a_namespace_of_its_own() -> None:
    info = read(job_document(FULL, [], URL, NOON_MS)).find("uws:jobInfo", NAMES)
    assert info is not None
    assert {etree.QName(element).namespace for element in info.iterdescendants()} == {NAMES["job"]}


def test_job_info_tells_how_far_a_job_is() -> None:
    running = replace(FULL, phase=Phase.EXECUTING, ended_ms=None, error=None)
    info = read(job_document(running, [], URL, NOON_MS + 5_000)).find("uws:jobInfo", NAMES)
    assert info is not None
    rows = info.find("job:rows", NAMES)
    assert rows is not None
    assert dict(rows.attrib) == {"total": "10", "done": "5", "empty": "1", "failed": "1", "poison": "1"}
    assert info.findtext("job:rate", namespaces=NAMES) == "2.000"
    # 8 rows took 4 seconds: the other 2 will take one.
    assert info.findtext("job:estimatedEnd", namespaces=NAMES) == "2026-01-01T12:00:06.000Z"
    ended = read(job_document(FULL, [], URL, NOON_MS + 99_000)).find("uws:jobInfo", NAMES)
    assert ended is not None
    assert names(ended) == ["rows", "rate"]


def test_job_info_tells_what_is_wrong_with_parameters(validate: Validate) -> None:
    wrong = replace(PENDING, fault=JobError("UsageError: CIRCLE is wrong.", "Write it so.\nAlso: TIME is."))
    document = job_document(wrong, [], URL, NOON_MS)
    assert validate(document) == []
    fault = read(document).find("uws:jobInfo/job:fault", NAMES)
    assert fault is not None
    assert fault.get("label") == "UsageError"
    assert [child.text for child in fault] == ["CIRCLE is wrong.", "Write it so.\nAlso: TIME is."]


def test_uws_100_error_summary() -> None:
    for error, kind, detail in (
        (JobError("Error: x", "more"), "fatal", "true"),
        (JobError("ServiceUnavailable: x", transient=True), "transient", "false"),
    ):
        root = read(job_document(replace(FULL, error=error), [], URL, NOON_MS))
        summary = root.find("uws:errorSummary", NAMES)
        assert summary is not None
        assert dict(summary.attrib) == {"type": kind, "hasDetail": detail}
        assert summary.findtext("uws:message", namespaces=NAMES) == error.message


def test_uws_97_results_have_absolute_urls_size_and_type() -> None:
    for document in (job_document(FULL, RESULTS, URL, NOON_MS), results_document(RESULTS, URL)):
        first, second = read(document).iter(f"{{{NAMES['uws']}}}result")
        assert (first.get("id"), first.get(HREF)) == ("result", f"{URL}/results/result")
        assert (first.get("mime-type"), first.get("size")) == ("application/fits", "2880")
        assert (second.get("id"), second.get(HREF)) == ("a & <b>", f"{URL}/results/a%20%26%20%3Cb%3E")


def test_uws_03_clients_that_know_no_namespaces_find_what_they_look_for() -> None:
    document = job_document(FULL, RESULTS, URL, NOON_MS).decode()
    assert document.count('xlink:href="https://example.org/soda/async/0a1b/results/') == 2
    assert "<uws:job " in document
    assert "<uws:results>" in document


def test_what_xml_cannot_hold_is_given_by_reference(client: Client, validate: Validate) -> None:
    url = client.make(DO="a\x01b", BYTES="é <&>")
    for resource in (url, f"{url}/parameters"):
        shown = client.get(resource)
        assert validate(shown.data) == []
        by_id = {found.get("id"): found for found in read(shown.data).iter(f"{{{NAMES['uws']}}}parameter")}
        assert (by_id["DO"].get("byReference"), by_id["DO"].text) == ("true", f"{url}/parameters/DO")
        assert (by_id["BYTES"].get("byReference"), by_id["BYTES"].text) == (None, "é <&>")
    assert client.get(f"{url}/parameters/DO").text == "a\x01b"


def test_texts_of_clients_cannot_break_a_document(client: Client, validate: Validate) -> None:
    url = client.make(DO='"/><uws:results/>]]>', RUNID="<uws:results/>", **{"<b>": "1"})
    shown = client.get(url)
    assert validate(shown.data) == []
    assert client.value(url, "runId") == "<uws:results/>"


def test_vo_models_reads_the_same(house: House) -> None:
    ann = house.client("ann")
    url = ann.make(ROWS="2", RUNID="mine", PHASE="RUN")
    house.work()
    job = models.JobSummary[models.Parameters].from_xml(ann.get(url).data)
    stored = house.job(id_of(url))
    assert (job.job_id, job.run_id, job.owner_id) == (stored.job_id, "mine", "ann")
    assert (job.phase, job.execution_duration) == ("COMPLETED", stored.execution_duration_s)
    for read_time, moment_ms in (
        (job.creation_time, stored.created_ms),
        (job.start_time, stored.started_ms),
        (job.end_time, stored.ended_ms),
        (job.destruction, stored.destruction_ms),
    ):
        assert read_time is not None
        assert moment_ms is not None
        assert round(read_time.timestamp() * 1000) == moment_ms
    assert job.results is not None
    assert [(result.id, result.href) for result in job.results.results or ()] == [
        (name, f"{url}/results/{name}") for name in ("r0", "r1")
    ]
    refs = models.Jobs.from_xml(ann.get().data).jobref or []
    assert [(ref.job_id, ref.href, ref.owner_id) for ref in refs] == [(id_of(url), url, "ann")]
    pending = models.JobSummary[models.Parameters].from_xml(ann.get(ann.make()).data)
    assert (pending.start_time, pending.end_time, pending.results) == (None, None, models.Results())
