"""Administration of a service whose database is PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.portal.admin.conftest import AREAS, Script, Site
from tests.support.accounts import somebody
from tests.support.databases import postgresql
from tests.support.service import make_service
from tests.support.stored import all_of, finish, new_job, plan, take
from uws.job import RowStatus

FILTERS = {
    "/jobs": "?owner=ada&words=é&phase=COMPLETED&type=toy&hidden=1&since=2020-01-01&until=2999-01-01",
    "/failures": "?hours=1",
    "/accounts": "?words=RO",
    "/quotas": "?account=local:root",
    "/usage": "?account=local:ada&survey=demo&amount=bytes&by=survey",
    "/log": "?words=why&by=local:robot",
}


@pytest.fixture(scope="module")
def pg_site(tmp_path_factory: pytest.TempPathFactory, redis_url: str, postgresql_url: str) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("admin-pg")
    with postgresql(postgresql_url) as engine:
        url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        environ = {"FOUNTAIN_JOBS__REDIS_URL": redis_url, "FOUNTAIN_DATA__DATABASE_URL": url}
        yield Site(make_service(folder, environ), engine)


@pytest.fixture(scope="module")
def pg_script(pg_site: Site) -> Script:
    return Script(pg_site.app.test_client(), somebody(pg_site.app, "robot", admin=True).headers)


@pytest.fixture(scope="module")
def pg_root(pg_site: Site) -> FlaskClient:
    job_id = pg_site.jobs.create(new_job("local:ada", estimate={"p50_s": 1.0, "p90_s": 2.0}), plan(2)).job_id
    for status in (RowStatus.FAILED, RowStatus.EMPTY):
        claim = take(pg_site.claims)
        assert claim.job_id == job_id
        pg_site.claims.settle(claim, all_of(claim, status), finish)
    return pg_site.browser()


@pytest.mark.parametrize("area", [*AREAS, *(area + query for area, query in FILTERS.items())])
def test_each_area_is_shown(pg_root: FlaskClient, area: str) -> None:
    answer = pg_root.get(f"/admin{area}")
    assert answer.status_code == 200, answer.text


def test_acts_are_done_and_written_down(pg_site: Site, pg_script: Script) -> None:
    ada = somebody(pg_site.app, "ada").name
    job_id = pg_site.jobs.create(new_job(ada), plan(1)).job_id
    acts = (
        ("queues", "pause", "low", {}),
        ("queues", "resume", "low", {}),
        ("jobs", "prioritise", job_id, {"class": "internal"}),
        ("jobs", "keep", job_id, {"days": 30}),
        ("jobs", "abort", job_id, {}),
        ("retention", "destroy", job_id, {}),
        ("accounts", "join", ada, {"group": "g", "days": 3}),
        ("accounts", "disable", ada, {}),
        ("accounts", "revoke-tokens", ada, {}),
        ("quotas", "set", "", {"subject": f"user:{ada}", "kind": "jobs", "value": 3, "days": 1}),
        ("quotas", "unset", f"jobs user:{ada}", {}),
        ("announcements", "announce", "", {"text": "disks are moved", "days": 1}),
        ("announcements", "withdraw", "1", {}),
    )
    for area, act, of, more in acts:
        before = pg_site.accounts.audit.read(1)[0].audit_id
        pg_script.act(area, act, *filter(None, [of]), **more)
        entry = pg_site.accounts.audit.read(1)[0]
        assert (entry.audit_id > before, entry.account, entry.reason) == (True, "local:robot", "why")
