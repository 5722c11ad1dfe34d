"""The job resource over HTTP, line by line of the checklist."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from lxml import etree
from werkzeug.test import TestResponse

from tests.support.toy import content
from tests.uws.conftest import HREF, NAMES, Client, House, id_of

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
SUBRESOURCES = (
    "phase",
    "executionduration",
    "destruction",
    "quote",
    "owner",
    "error",
    "parameters",
    "parameters/ROWS",
    "results",
    "results/result",
)


def ids(listed: TestResponse) -> list[str | None]:
    assert listed.status_code == 200, listed.text
    return [ref.get("id") for ref in etree.fromstring(listed.data).findall("uws:jobref", NAMES)]


def is_refused(answer: TestResponse, status: int = 403) -> bool:
    return answer.status_code == status and answer.content_type.startswith("text/plain")


# The list


def test_uws_01_list_without_jobs(client: Client) -> None:
    listed = client.get()
    root = etree.fromstring(listed.data)
    assert (listed.status_code, listed.content_type) == (200, "application/xml")
    assert (root.tag, root.get("version"), len(root)) == (f"{{{NAMES['uws']}}}jobs", "1.1", 0)


def test_uws_02_03_a_job_in_the_list(house: House) -> None:
    ann = house.client("ann")
    url = ann.make(ROWS="2", RUNID="mine")
    listed = ann.get()
    (ref,) = etree.fromstring(listed.data)
    assert [etree.QName(child).localname for child in ref] == ["phase", "runId", "ownerId", "creationTime"]
    assert [child.text for child in ref][:3] == ["PENDING", "mine", "ann"]
    assert ISO.fullmatch(ref[3].text or "")
    assert (ref.get("id"), ref.get(HREF)) == (id_of(url), url)
    assert f'xlink:href="{url}"' in listed.text


def test_uws_04_only_jobs_of_ones_own_are_listed(house: House) -> None:
    ann, bob, unknown = house.client("ann"), house.client("bob"), house.client()
    url = ann.make()
    bob.make()
    unknown.make()
    assert ids(ann.get()) == [id_of(url)]
    assert len(ids(bob.get())) == 1
    assert ids(unknown.get()) == []
    assert ids(house.client("admin").get()) == []


def test_jobs_of_another_type_are_not_listed(house: House) -> None:
    ann = house.client("ann")
    ann.make()
    assert ids(ann.at("/others").get()) == []


def test_uws_05_no_job_is_ever_archived(house: House) -> None:
    ann = house.client("ann")
    url = ann.make()
    assert ids(ann.get("?PHASE=ARCHIVED")) == []
    ann.send("DELETE", url)
    assert ids(ann.get("?PHASE=ARCHIVED")) == ids(ann.get()) == []


def test_uws_06_repeated_phase_is_a_union(house: House) -> None:
    ann = house.client("ann")
    pending, queued, aborted = ann.make(), ann.make(PHASE="RUN"), ann.make()
    ann.post(f"{aborted}/phase", PHASE="ABORT")
    assert ids(ann.get("?PHASE=PENDING")) == [id_of(pending)]
    assert ids(ann.get("?phase=QUEUED&PHASE=ABORTED")) == [id_of(aborted), id_of(queued)]
    assert ids(ann.get("?PHASE=HELD")) == []


def test_uws_07_11_after_is_strictly_later_with_or_without_z(house: House) -> None:
    ann = house.client("ann")
    first = ann.make()
    created = ann.value(first, "creationTime") or ""
    second = ann.make()
    later = [id_of(second)] if ann.value(second, "creationTime") != created else []
    assert ids(ann.get(f"?AFTER={created}")) == later
    assert ids(ann.get(f"?AFTER={created.rstrip('Z')}")) == later
    assert len(ids(ann.get("?AFTER=2020-01-01T00:00:00"))) == 2
    assert ids(ann.get("?AFTER=2999-01-01T00:00:00.5Z")) == []


def test_uws_08_last_gives_the_newest_first(house: House) -> None:
    ann = house.client("ann")
    made = [id_of(ann.make()) for _ in range(4)]
    listed = ids(ann.get("?LAST=3"))
    times = [ref.created_ms for ref in house.jobs.refs("ann", last=3)]
    assert len(listed) == 3
    assert times == sorted(times, reverse=True)
    assert set(ids(ann.get("?LAST=99"))) == set(made)


def test_uws_09_filters_hold_together(house: House) -> None:
    ann = house.client("ann")
    queued = [id_of(ann.make(PHASE="RUN")) for _ in range(2)]
    ann.make()
    assert set(ids(ann.get("?PHASE=QUEUED&LAST=2&AFTER=2020-01-01"))) == set(queued)
    assert len(ids(ann.get("?PHASE=QUEUED&LAST=1"))) == 1


# Making a job


def test_uws_20_creation_answers_303_to_a_pending_job(client: Client) -> None:
    made = client.post(ROWS="2")
    assert made.status_code == 303
    assert made.headers["Location"].startswith("http://localhost/async/")
    assert client.phase(made.headers["Location"]) == "PENDING"


def test_uws_21_job_url_is_plain(client: Client) -> None:
    url = client.make()
    assert re.fullmatch(r"http://localhost/async/[0-9a-f]{32}", url)
    assert client.get(f"{url}/phase").status_code == 200
    assert id_of(url)[0] not in "htps"


@pytest.mark.parametrize("name", ["PHASE", "phase", "Phase"])
def test_uws_22_a_job_is_run_as_it_is_made(client: Client, name: str) -> None:
    assert client.phase(client.make(**{name: "RUN", "ROWS": "1"})) == "QUEUED"
    by_query = client.post(f"?{name}=RUN", ROWS="1")
    assert client.phase(by_query.headers["Location"]) == "QUEUED"


def test_parameters_in_the_query_of_a_post_count_too(client: Client) -> None:
    made = client.post("?rows=3")
    assert client.get(f"{made.headers['Location']}/parameters/ROWS").text == "3"


def test_uws_23_a_refused_job_leaves_nothing_behind(house: House) -> None:
    ann = house.client("ann")
    refused = ann.post(ROWS="100001", PHASE="RUN")
    assert is_refused(refused)
    assert "at most 100000 rows" in refused.text
    assert ids(ann.get()) == []


def test_uws_24_wrong_values_make_a_pending_job_that_ends_in_error(client: Client) -> None:
    sentence = 'UsageError: ROWS is a whole number, 0 or more; got "x".'
    url = client.make(ROWS="x")
    job = client.document(url)
    assert job.findtext("uws:phase", namespaces=NAMES) == "PENDING"
    fault = job.find("uws:jobInfo/job:fault", NAMES)
    assert fault is not None
    assert f"{fault.get('label')}: {fault.findtext('job:sentence', namespaces=NAMES)}" == sentence
    assert client.value(url, "quote") is None
    assert client.post(f"{url}/phase", PHASE="RUN").status_code == 303
    assert client.phase(url) == "ERROR"
    assert client.get(f"{url}/error").text == sentence
    assert client.phase(client.make(ROWS="x", PHASE="RUN")) == "ERROR"


def test_uws_24_wrong_values_can_be_mended(house: House, client: Client) -> None:
    url = client.make(ROWS="x")
    assert client.post(f"{url}/parameters", ROWS="2").status_code == 303
    assert client.document(url).find("uws:jobInfo/job:fault", NAMES) is None
    assert client.value(url, "quote")
    client.post(f"{url}/phase", PHASE="RUN")
    house.work()
    assert client.phase(url) == "COMPLETED"


@pytest.mark.parametrize("is_multipart", [False, True])
def test_uws_25_parameters_replace_those_of_the_same_name(client: Client, is_multipart: bool) -> None:
    url = client.make(ROWS="1", BYTES="5")
    encoding = "multipart/form-data" if is_multipart else "application/x-www-form-urlencoded"
    sent = client.send("POST", f"{url}/parameters", data={"rows": "7"}, content_type=encoding)
    assert (sent.status_code, sent.headers["Location"]) == (303, url)
    values = [(p.get("id"), p.text) for p in client.document(url).findall(".//uws:parameter", NAMES)]
    assert values == [("ROWS", "7"), ("BYTES", "5")]


def test_uws_26_parameters_stay_once_the_job_was_run(house: House, client: Client) -> None:
    url = client.make(ROWS="1", PHASE="RUN")
    refused = client.post(f"{url}/parameters", ROWS="2")
    assert is_refused(refused)
    assert "QUEUED" in refused.text
    house.work()
    assert is_refused(client.post(f"{url}/parameters", ROWS="2"))
    assert client.get(f"{url}/parameters/ROWS").text == "1"


def test_uws_27_the_job_itself_takes_no_parameters(client: Client) -> None:
    url = client.make(ROWS="1")
    refused = client.post(url, ROWS="2")
    assert is_refused(refused)
    assert "/parameters" in refused.text
    assert is_refused(client.post(url, PHASE="RUN"))
    assert client.get(f"{url}/parameters/ROWS").text == "1"
    assert client.phase(url) == "PENDING"


def test_uws_28_put_replaces_a_parameter_that_is_there(client: Client) -> None:
    url = client.make(ROWS="1")
    put = client.send("PUT", f"{url}/parameters/rows", data="4", content_type="text/plain")
    assert (put.status_code, put.headers["Location"]) == (303, url)
    assert client.get(f"{url}/parameters/ROWS").text == "4"
    assert is_refused(client.send("PUT", f"{url}/parameters/BYTES", data="4"), 404)
    assert is_refused(client.send("PUT", f"{url}/parameters/ROWS", data=""), 400)
    assert is_refused(client.send("PUT", f"{url}/parameters/ROWS", data=b"\xff"), 400)
    client.post(f"{url}/phase", PHASE="RUN")
    assert is_refused(client.send("PUT", f"{url}/parameters/ROWS", data="5"))


def test_uws_29_30_parameters_one_element_for_each_value(client: Client) -> None:
    url = client.make(rows=["1", "2"], Do="ok <&> é")
    shown = client.get(f"{url}/parameters")
    root = etree.fromstring(shown.data)
    assert (shown.content_type, root.tag) == ("application/xml", f"{{{NAMES['uws']}}}parameters")
    assert [(p.get("id"), p.text) for p in root] == [("ROWS", "1"), ("ROWS", "2"), ("DO", "ok <&> é")]
    one = client.get(f"{url}/parameters/rows")
    assert (one.text, one.content_type) == ("1\n2", "text/plain; charset=utf-8")
    assert is_refused(client.get(f"{url}/parameters/NONE"), 404)


def test_uws_31_uploads_are_refused(house: House) -> None:
    ann = house.client("ann")
    refused = ann.post(UPLOAD="t,http://example.org/", ROWS="1")
    assert is_refused(refused)
    assert refused.text.startswith("UsageError: UPLOAD is not supported")
    sent = ann.send(
        "POST", data={"UPLOAD": "t,param:t", "t": (__file__, "t.csv")}, content_type="multipart/form-data"
    )
    assert is_refused(sent)
    assert ids(ann.get()) == []
    url = ann.make()
    assert is_refused(ann.post(f"{url}/parameters", UPLOAD="t,http://example.org/"))


def test_uws_32_run_id_is_given_back_verbatim(client: Client) -> None:
    url = client.make(RUNID=" my <run> é&1 ")
    assert client.value(url, "runId") == " my <run> é&1 "
    assert client.get(f"{url}/parameters").data.count(b"parameter ") == 0
    assert client.post(f"{url}/parameters", runId="other").status_code == 303
    assert client.value(url, "runId") == "other"
    client.post(f"{url}/phase", PHASE="RUN")
    assert is_refused(client.post(f"{url}/parameters", runId="third"))
    assert client.value(url, "runId") == "other"


# The job


def test_uws_49_jobs_of_nobody_and_of_somebody_else(house: House) -> None:
    ann, bob = house.client("ann"), house.client("bob")
    url = ann.make()
    for path in ("", *(f"/{name}" for name in SUBRESOURCES)):
        foreign = bob.get(url + path)
        assert is_refused(foreign)
        assert foreign.text.startswith("AuthorizationError:")
        assert is_refused(ann.get(f"/{'0' * 32}{path}"), 404)
        assert is_refused(ann.at("/others").get(f"/{id_of(url)}{path}"), 404)
    for path, form in (
        ("/phase", {"PHASE": "RUN"}),
        ("", {"ACTION": "DELETE"}),
        ("/parameters", {"ROWS": "2"}),
    ):
        assert is_refused(bob.post(url + path, **form))
        assert is_refused(bob.post(f"/{'0' * 32}{path}", **form), 404)
    assert is_refused(bob.send("DELETE", url))
    assert is_refused(house.client().get(url), 401)
    assert ann.phase(url) == house.client("admin").phase(url) == "PENDING"


@pytest.mark.parametrize("name", ["%00", "x" * 3000, "..", "%ff", "a b", "é", "'--"])
def test_uws_49_what_can_be_no_job(client: Client, name: str) -> None:
    assert is_refused(client.get(f"/{name}"), 404)
    assert is_refused(client.get(f"/{name}/phase"), 404)


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "application/xml,text/plain",
        "text/xml",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "",
    ],
)
def test_uws_50_documents_are_xml_for_everybody(client: Client, accept: str) -> None:
    url = client.make()
    for resource in (url, f"{url}/results", f"{url}/parameters", ""):
        assert client.get(resource, headers={"Accept": accept}).content_type == "application/xml"


def test_uws_52_owner(house: House) -> None:
    ann, unknown = house.client("ann"), house.client()
    url = ann.make()
    assert (ann.get(f"{url}/owner").text, ann.value(url, "ownerId")) == ("ann", "ann")
    url = unknown.make()
    owner = unknown.get(f"{url}/owner")
    assert (owner.text, owner.content_type) == ("", "text/plain; charset=utf-8")
    assert unknown.value(url, "ownerId") is None


# Phases


def test_uws_62_phase_is_one_word(client: Client) -> None:
    url = client.make()
    shown = client.get(f"{url}/phase")
    assert (shown.status_code, shown.text) == (200, "PENDING")
    assert shown.content_type.startswith("text/plain")
    assert client.value(url, "phase") == "PENDING"


def test_uws_63_run(house: House, client: Client) -> None:
    url = client.make(ROWS="2")
    ran = client.post(f"{url}/phase", PHASE="RUN")
    assert (ran.status_code, ran.headers["Location"]) == (303, url)
    assert client.phase(url) == "QUEUED"
    house.claim()
    assert client.phase(url) == "EXECUTING"
    assert house.bell.depth("high") != 0


@pytest.mark.parametrize("is_executing", [None, False, True])
def test_uws_64_abort_at_once_and_results_stay(
    house: House, client: Client, is_executing: bool | None
) -> None:
    url = client.make(ROWS="2", PER_TASK="1")
    if is_executing is not None:
        client.post(f"{url}/phase", PHASE="RUN")
    if is_executing:
        house.finish(house.claim())
    aborted = client.post(f"{url}/phase", PHASE="ABORT")
    assert (aborted.status_code, aborted.headers["Location"]) == (303, url)
    assert client.phase(url) == "ABORTED"
    assert client.value(url, "endTime")
    if is_executing:
        assert client.get(f"{url}/results/r0").data == content("r0", 16)


def test_uws_65_illegal_transitions_change_nothing(house: House, client: Client) -> None:
    url = client.make(ROWS="1", PHASE="RUN")
    for phase, commands in (("QUEUED", ["RUN"]), ("EXECUTING", ["RUN"]), ("COMPLETED", ["RUN", "ABORT"])):
        if phase == "EXECUTING":
            claim = house.claim()
        if phase == "COMPLETED":
            house.finish(claim)
        before = client.get(url).data
        for command in commands:
            refused = client.post(f"{url}/phase", PHASE=command)
            assert is_refused(refused)
            assert f"this one is {phase}" in refused.text
        assert client.phase(url) == phase
        if phase != "EXECUTING":
            assert client.get(url).data == before
    aborted = client.make()
    client.post(f"{aborted}/phase", PHASE="ABORT")
    assert is_refused(client.post(f"{aborted}/phase", PHASE="ABORT"))
    assert is_refused(client.post(f"{aborted}/phase", PHASE="RUN"))


# Limits


def test_uws_90_91_execution_duration(house: House, client: Client) -> None:
    url = client.make()
    duration = client.get(f"{url}/executionduration")
    assert duration.content_type.startswith("text/plain")
    assert duration.text == client.value(url, "executionDuration") == str(house.settings.execution_duration_s)
    most = str(house.settings.max_execution_duration_s)
    for sent, kept in (("60", "60"), ("3600.0", "3600"), ("0.2", "1"), ("0", most), ("9" * 18, most)):
        changed = client.post(f"{url}/executionduration", EXECUTIONDURATION=sent)
        assert (changed.status_code, changed.headers["Location"]) == (303, url)
        assert client.get(f"{url}/executionduration").text == kept
        assert client.value(url, "executionDuration") == kept
    client.post(f"{url}/phase", PHASE="ABORT")
    assert is_refused(client.post(f"{url}/executionduration", EXECUTIONDURATION="5"))


def test_uws_92_93_destruction(house: House, client: Client) -> None:
    url = client.make()
    shown = client.get(f"{url}/destruction")
    assert ISO.fullmatch(shown.text)
    assert shown.content_type.startswith("text/plain")
    assert shown.text == client.value(url, "destruction")
    # Whatever lies beyond what policy allows is shown as what was set.
    for sent in ("2999-05-06T07:08:09.000000Z", "2999-05-06T07:08:09", "2999-05-06T07:08:09.5"):
        changed = client.post(f"{url}/destruction", DESTRUCTION=sent)
        assert (changed.status_code, changed.headers["Location"]) == (303, url)
        assert client.get(f"{url}/destruction").text < "2999"
    job = house.job(id_of(url))
    assert job.destruction_ms - job.created_ms >= house.settings.max_destruction_s * 1000
    wanted = client.get(f"{url}/destruction").text[:11] + "00:00:00.123456Z"
    client.post(f"{url}/destruction", DESTRUCTION=wanted)
    assert client.get(f"{url}/destruction").text == wanted[:23] + "Z"


def test_a_destruction_in_the_past_destroys_nothing(client: Client) -> None:
    url = client.make()
    refused = client.post(f"{url}/destruction", DESTRUCTION="2020-01-01T00:00:00Z")
    assert is_refused(refused, 400)
    assert "2020-01-01" in refused.text
    assert client.phase(url) == "PENDING"


def test_uws_95_quote(client: Client) -> None:
    url = client.make(SECONDS="5000")
    quote = client.get(f"{url}/quote")
    assert quote.content_type.startswith("text/plain")
    assert ISO.fullmatch(quote.text)
    assert quote.text == client.value(url, "quote")
    url = client.make(ROWS="x")
    assert client.get(f"{url}/quote").text == ""
    assert client.value(url, "quote") is None


def test_uws_95_quote_tells_of_the_work_before(house: House, client: Client) -> None:
    first = client.make(SECONDS="5000", ROWS="100", PER_TASK="1", PHASE="RUN")
    second = client.make(SECONDS="10", ROWS="100", PHASE="RUN")
    third = client.make(SECONDS="10", LANE="low")

    def ahead_s(url: str) -> float:
        job = house.job(id_of(url))
        return ((job.quote_ms or 0) - job.created_ms) / 1000

    # Nothing is known of the past: by these times nine of ten have ended.
    workers = house.settings.workers + house.settings.high_workers
    assert 5000 / workers <= ahead_s(first) < 10_000
    assert 4900 / workers <= ahead_s(second) < 10_000
    assert 10 <= ahead_s(third) < 60


# Results and errors


def test_uws_97_98_results(house: House, client: Client) -> None:
    url = client.make(ROWS="3", DO="ok,empty,ok", BYTES="10", PHASE="RUN")
    assert len(etree.fromstring(client.get(f"{url}/results").data)) == 0
    house.work()
    listed = client.get(f"{url}/results")
    root = etree.fromstring(listed.data)
    assert (listed.content_type, root.tag) == ("application/xml", f"{{{NAMES['uws']}}}results")
    assert [result.get("id") for result in root] == ["r0", "r1", "r2"]
    for result in root:
        href = result.get(HREF) or ""
        assert urlsplit(href).netloc
        got = client.get(href)
        assert got.status_code == 200
        assert got.content_type == result.get("mime-type")
        assert str(len(got.data)) == result.get("size")
    assert client.get(f"{url}/results/r2").data == content("r2", 10)
    assert client.get(f"{url}/results/r1").text == "NoOverlap: there is nothing here"
    assert is_refused(client.get(f"{url}/results/r3"), 404)
    assert is_refused(client.get(f"{url}/results/%00"), 404)


def test_a_single_result_is_called_result(house: House, client: Client) -> None:
    url = client.make(PHASE="RUN")
    house.work()
    assert client.get(f"{url}/results/result").data == content("result", 16)


def test_a_download_is_written_down(house: House, client: Client) -> None:
    url = client.make(PHASE="RUN")
    house.work()
    before = house.job(id_of(url)).event_seq
    client.get(f"{url}/results/result")
    assert house.job(id_of(url)).event_seq == before + 1


def test_uws_99_100_error(house: House, client: Client) -> None:
    url = client.make(ROWS="2", DO="fail", PHASE="RUN")
    assert is_refused(client.get(f"{url}/error"), 404)
    house.work()
    error = client.get(f"{url}/error")
    assert (error.status_code, error.text) == (200, "Error: every row failed\n2 rows")
    assert error.content_type.startswith("text/plain")
    summary = client.document(url).find("uws:errorSummary", NAMES)
    assert summary is not None
    assert dict(summary.attrib) == {"type": "fatal", "hasDetail": "true"}
    assert summary.findtext("uws:message", namespaces=NAMES) == "Error: every row failed"


# The end of a job


@pytest.mark.parametrize("by_post", [False, True])
def test_uws_101_102_delete(house: House, client: Client, by_post: bool) -> None:
    url = client.make(ROWS="2", PER_TASK="1", PHASE="RUN")
    house.finish(house.claim())
    deleted = client.post(url, ACTION="DELETE") if by_post else client.send("DELETE", url)
    assert (deleted.status_code, deleted.headers["Location"]) == (303, "http://localhost/async")
    for path in ("", *(f"/{name}" for name in SUBRESOURCES), "/results/r0"):
        assert is_refused(client.get(url + path), 404)
    assert is_refused(client.send("DELETE", url), 404)
    assert is_refused(client.post(f"{url}/phase", PHASE="RUN"), 404)
    assert house.claims.claim(("high", "low")) is None


def test_uws_103_other_methods_are_refused(client: Client) -> None:
    url = client.make(ROWS="1")
    cases = {("", "DELETE"), ("", "PUT"), (url, "PUT"), (url, "PATCH"), (f"{url}/results", "POST")}
    cases |= {(f"{url}/{name}", "DELETE") for name in SUBRESOURCES}
    cases |= {(f"{url}/{name}", "PUT") for name in SUBRESOURCES if name != "parameters/ROWS"}
    cases |= {(f"{url}/{name}", "POST") for name in ("quote", "owner", "error", "results/result")}
    for resource, method in sorted(cases):
        refused = client.send(method, resource)
        assert is_refused(refused, 405), (method, resource)
        assert {"GET", "HEAD", "OPTIONS"} <= set(refused.headers["Allow"].split(", "))
        assert method not in refused.headers["Allow"].split(", ")
    assert client.get(f"{url}/parameters/ROWS").text == "1"
    assert client.phase(url) == "PENDING"


def test_uws_104_every_change_answers_303(client: Client) -> None:
    url = client.make(ROWS="1")
    for path, form in (
        ("/parameters", {"ROWS": "2"}),
        ("/executionduration", {"EXECUTIONDURATION": "60"}),
        ("/destruction", {"DESTRUCTION": "2999-01-01T00:00:00Z"}),
        ("/phase", {"PHASE": "RUN"}),
        ("/phase", {"PHASE": "ABORT"}),
        ("", {"ACTION": "DELETE"}),
    ):
        changed = client.post(url + path, **form)
        assert changed.status_code == 303
        assert urlsplit(changed.headers["Location"]).netloc == "localhost"
        assert changed.data == b""


# What clients rely on beyond that


def test_http_08_a_slash_at_the_end_makes_no_difference(client: Client) -> None:
    assert client.get("/").status_code == 200
    made = client.post("/", ROWS="1")
    assert made.status_code == 303
    url = made.headers["Location"]
    for name in ("phase", "quote", "parameters", "parameters/ROWS", "results", "owner"):
        assert client.get(f"{url}/{name}/").data == client.get(f"{url}/{name}").data
    assert client.get(f"{url}/").status_code == 200
    assert client.post(f"{url}/phase/", phase="RUN").status_code == 303
    assert client.send("DELETE", f"{url}/").status_code == 303


def test_http_09_nothing_is_described_below_the_resource(client: Client) -> None:
    for name in ("capabilities", "availability", "tables"):
        assert is_refused(client.get(f"/{name}"), 404)
        assert is_refused(client.get(f"{client.make()}/{name}"), 404)


def test_http_04_a_job_is_made_and_run_by_either_encoding(client: Client) -> None:
    for encoding in ("multipart/form-data", "application/x-www-form-urlencoded"):
        made = client.send("POST", data={"ROWS": "1"}, content_type=encoding)
        url = made.headers["Location"]
        ran = client.send("POST", f"{url}/phase", data={"PHASE": "RUN"}, content_type=encoding)
        assert (made.status_code, ran.status_code, client.phase(url)) == (303, 303, "QUEUED")


def test_http_07_urls_are_those_of_the_public_address(house: House) -> None:
    ann = house.client("ann")
    made = ann.http.post("/async", base_url="https://example.org", headers=ann.headers)
    assert made.headers["Location"].startswith("https://example.org/async/")
    assert 'xlink:href="https://example.org/async/' in ann.get(base_url="https://example.org").text


def test_get_changes_nothing(client: Client) -> None:
    url = client.make(ROWS="1")
    for resource, query in (
        ("", "PHASE=RUN"),
        ("", "ROWS=1"),
        (url, "PHASE=RUN"),
        (url, "ACTION=DELETE"),
        (f"{url}/phase", "PHASE=RUN"),
        (f"{url}/phase", "phase=ABORT"),
        (f"{url}/executionduration", "EXECUTIONDURATION=5"),
        (f"{url}/destruction", "DESTRUCTION=2999-01-01"),
    ):
        before = client.get(url).data
        assert is_refused(client.get(f"{resource}?{query}"), 400), query
        assert client.get(url).data == before


def test_documents_are_not_kept_by_caches(client: Client) -> None:
    url = client.make()
    for resource in ("", url, f"{url}/phase", f"{url}/results"):
        assert client.get(resource).headers["Cache-Control"] == "no-store"


def test_head_says_what_get_says(client: Client) -> None:
    url = client.make()
    for resource in ("", url, f"{url}/phase"):
        head = client.send("HEAD", resource)
        assert (head.status_code, head.data) == (200, b"")
        assert head.headers["Content-Length"] == client.get(resource).headers["Content-Length"]
