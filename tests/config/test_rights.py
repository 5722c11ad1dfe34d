"""Rights as they are at the moment something is used: lost ones, new ones, and those of owners."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import pytest
from flask.testing import FlaskClient
from lxml import etree

from config.app import JOBS
from dali.caller import ANONYMOUS, Caller
from surveys.access import Access, DatasetRule, Rule
from tests.support.accounts import MAKER, Somebody, parts_of, somebody
from tests.support.redis import own_redis
from tests.support.rights import RIGHTS
from tests.support.service import did
from tests.support.soda_jobs import JobbingService, jobbing, until
from uws.job import Job, RowStatus
from uws.phase import TERMINAL, Phase
from uws.service import JobService

CUTOUT = {"ID": did("secret/g/a"), "CIRCLE": "150 0 0.005"}
LIST = {"ID": did("secret/g"), "SIZE": "5px", "UPLOAD": "targets,param:t"}
TARGETS = b"ra,dec\n150,0\n150.0005,0\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobbingService]:
    folder = tmp_path_factory.mktemp("rights") / "service"
    with own_redis() as redis, jobbing(folder, redis.url, worker=False) as made:
        yield made


@pytest.fixture
def client(service: JobbingService) -> FlaskClient:
    return service.app.test_client()


def jobs_of(service: JobbingService) -> JobService:
    found: JobService = service.app.extensions[JOBS]
    return found


def make(client: FlaskClient, who: Somebody | None, **values: str) -> str:
    """Have a job made and run; give its id."""
    data: dict[str, object] = {**values, "PHASE": "RUN"}
    if "UPLOAD" in values:
        data["t"] = (BytesIO(TARGETS), "targets.csv")
    answer = client.post("/async", data=data, headers=who.headers if who else {})
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"].rpartition("/")[2]


def ended(service: JobbingService, *job_ids: str) -> list[Job]:
    """Wait for jobs."""
    jobs, operator = jobs_of(service), Caller(is_admin=True)
    until(
        lambda: all(jobs.find(one, operator, action="see").phase in TERMINAL for one in job_ids), service.told
    )
    return [jobs.find(one, operator, action="see") for one in job_ids]


def leave(service: JobbingService, who: Somebody) -> None:
    parts_of(service.app).people.leave(who.name, "members", by=MAKER)


def status(client: FlaskClient, who: Somebody, path: str, **headers: str) -> int:
    with client.get(path, headers={**who.headers, **headers}) as answer:
        return answer.status_code


@pytest.mark.deployment
def test_rights_that_are_lost_are_lost_at_once(service: JobbingService, client: FlaskClient) -> None:
    ann = somebody(service.app, "ann", groups=("members",))
    etag = client.get("/sync", query_string=CUTOUT, headers=ann.headers).headers["ETag"]
    known = {**ann.headers, "If-None-Match": etag}
    assert client.get("/sync", query_string=CUTOUT, headers=known).status_code == 304
    single, several = make(client, ann, **CUTOUT), make(client, ann, **LIST)
    waiting, waiting_list = (make(client, ann, **one) for one in (CUTOUT, LIST))
    planned = client.post("/async", data=CUTOUT, headers=ann.headers).headers["Location"].rpartition("/")[2]
    jobs = jobs_of(service)
    jobs.abort(jobs.find(waiting, Caller(is_admin=True), action="see"))
    jobs.abort(jobs.find(waiting_list, Caller(is_admin=True), action="see"))
    service.start_worker()
    done = ended(service, single, several)
    assert {job.phase for job in done} == {Phase.COMPLETED}, [job.error for job in done]
    assert all(job.sources == ("secret/g/a",) for job in done)
    paths = [
        f"/async/{single}/results/result",
        *(
            f"/async/{several}/{path}"
            for path in ("ledger", "results/r1", "results/result", "results/archive")
        ),
    ]
    assert [status(client, ann, path) for path in paths] == [200] * len(paths)
    leave(service, ann)
    assert [status(client, ann, path) for path in paths] == [403] * len(paths)
    assert [status(client, ann, f"/async/{job}") for job in (single, several)] == [200, 200]
    assert client.get("/sync", query_string=CUTOUT, headers=known).status_code == 403
    # What was planned before is not done any more, whoever has it done.
    tried = client.post(f"/async/{waiting}", data={"ACTION": "RETRY"}, headers=ann.headers)
    again = client.post(f"/async/{waiting_list}", data={"ACTION": "RETRY"}, headers=ann.headers)
    admin = Caller("local:admin", is_admin=True)
    jobs.submissions.start(jobs.find(planned, admin, action="see"), admin)
    ids = [answer.headers["Location"].rpartition("/")[2] for answer in (tried, again)]
    row, split, never = ended(service, *ids, planned)
    assert [job.phase for job in (row, split, never)] == [Phase.ERROR] * 3, service.told()
    (result,) = jobs.results(row)
    assert result.status is RowStatus.FAILED
    assert result.message.startswith("AuthorizationError: the survey secret is not open to you")
    for job in (row, split, never):
        assert job.error is not None
        assert "the survey secret is not open to you" in f"{job.error.message} {job.error.detail}"
    # Whoever is a member again has them again.
    parts_of(service.app).people.join(ann.name, "members", by=MAKER)
    assert status(client, ann, paths[0]) == 200


def test_who_acts_for_an_administrator_administers_nothing(service: JobbingService) -> None:
    admin = somebody(service.app, "chief", admin=True)
    rights, rule = service.parts.rights, Rule()
    assert rights.owner(admin.name).may(rule)
    assert not rights.owner(admin.name, "local:portal").may(rule)
    assert not rights.owner("local:nobody").may(rule)


def test_a_job_is_shared_with_groups_of_its_owner(service: JobbingService, client: FlaskClient) -> None:
    carl = somebody(service.app, "carl", groups=("members", "team"))
    dora = somebody(service.app, "dora", groups=("team",))
    refused = client.post("/async", data={**CUTOUT, "SHARE": "others"}, headers=carl.headers)
    assert refused.status_code == 403
    assert 'you are not in "others"' in refused.text
    assert client.post("/async", data={**CUTOUT, "SHARE": "team"}).status_code == 401
    made = client.post("/async", data={**CUTOUT, "SHARE": "team"}, headers=carl.headers)
    url = made.headers["Location"]
    shown = etree.fromstring(client.get(url, headers=dora.headers).data)
    assert shown.findtext(".//{*}sharedWith") == "team"
    assert status(client, dora, f"{url}/parameters") == 200
    assert client.delete(url, headers=dora.headers).status_code == 403
    assert client.post(url, data={"ACTION": "SHARE"}, headers=carl.headers).status_code == 303
    assert status(client, dora, url) == 403


def test_who_sees_a_job_may_not_have_what_is_closed_to_them() -> None:
    """The results of a shared job are for those who may read what they are made of."""
    from dataclasses import replace

    from config.rights import AccountRights
    from tests.uws.test_xml import FULL

    class Declared:
        name = "Secret"
        access = Access(Rule(groups=frozenset({"members"})), (DatasetRule("g/open", Rule(public=True)),))

    rights = AccountRights(lambda name, actor: None, [Declared()])  # type: ignore[list-item]
    job = replace(FULL, owner="local:ann", shared_with=("team",), sources=("secret/g/a",))
    member = Caller("local:bob", groups=frozenset({"team", "members"}))
    mate = Caller("local:dora", groups=frozenset({"team"}))
    assert rights.can(mate, "see", job)
    assert not rights.can(mate, "change", job)
    assert (rights.may_have(member, job), rights.may_have(mate, job)) == (True, False)
    assert rights.may_have(mate, replace(job, sources=("secret/g/open",)))
    assert not rights.may_have(ANONYMOUS, job)
    assert rights.may_have(Caller(is_admin=True), job)
    # A survey that is no longer declared is open to nobody.
    assert not RIGHTS.may_have(member, job)
