"""Administration on the command line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine

from accounts.audit import Audit
from accounts.people import Identity
from config.admin_commands import AREAS
from config.cli import main
from config.database import make_engine, prepare
from config.settings import load_settings
from tests.support.accounts import MAKER
from tests.support.redis import own_redis
from tests.support.stored import all_of, finish, job_of, new_job, plan, run_job, take
from uws.job import RowStatus
from uws.phase import Phase
from uws.store.claims import Claims
from uws.store.jobs import Jobs

Run = Callable[..., str]


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with own_redis() as server:
        yield server.url


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = make_engine(f"sqlite:///{tmp_path / 'fountain.db'}")
    prepare(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def run(tmp_path: Path, engine: Engine, redis_url: str) -> Run:
    environ = {
        **os.environ,
        "FOUNTAIN_DATA__FOLDER": str(tmp_path),
        "FOUNTAIN_JOBS__REDIS_URL": redis_url,
        "COLUMNS": "200",
    }

    def run(*arguments: str, status: int = 0) -> str:
        done = CliRunner(env=environ).invoke(main, arguments)
        assert done.exit_code == status, done.output
        return done.output

    return run


def acts(engine: Engine) -> list[tuple[str, str, str, str]]:
    return [(entry.account, entry.act, entry.object, entry.reason) for entry in Audit(engine).read(9)]


@pytest.mark.parametrize("area", [area for area in AREAS if area != "account"])
def test_each_area_is_written_as_json(run: Run, area: str) -> None:
    assert json.loads(run("admin", "show", area))


def test_areas_are_those_of_the_pages(run: Run) -> None:
    assert "is one of" in run("admin", "show", "usage", "by=year", status=1)
    assert "there is no account" in run("admin", "show", "account", "name=local:x", status=1)
    assert "is not NAME=VALUE" in run("admin", "show", "jobs", "owner", status=2)
    assert run("admin", "show", "usage", "days=2", "--csv").startswith("day,cutouts")
    assert "there is no table" in run("admin", "show", "queues", "--csv", status=2)


def test_jobs_are_aborted_and_kept(run: Run, engine: Engine) -> None:
    jobs = Jobs(engine)
    one, two = run_job(jobs, owner="local:ada"), run_job(jobs)
    assert run("admin", "act", "jobs", "abort", one, two, "--reason", "disk") == f"{one}\n{two}\n"
    assert job_of(jobs, one).phase is Phase.ABORTED
    told = run("admin", "act", "jobs", "abort", one, two, "--reason", "again", status=1)
    assert told.count("PHASE=ABORT is taken") == 2
    run("admin", "act", "jobs", "keep", one, "--with", "days=90", "--reason", "paper")
    assert acts(engine) == [
        ("operator", "job kept", one, "paper"),
        ("operator", "job aborted", two, "disk"),
        ("operator", "job aborted", one, "disk"),
    ]
    assert "Missing option '--reason'" in run("admin", "act", "jobs", "abort", one, status=2)


def test_accounts_and_quotas_are_changed(run: Run, engine: Engine) -> None:
    from config.accounts import make_accounts

    parts = make_accounts(load_settings({}), engine)
    parts.people.add(Identity("ldap", "ada"), by=MAKER)
    run("admin", "act", "accounts", "promote", "ldap:ada", "--reason", "she asked")
    told = json.loads(run("admin", "show", "account", "name=ldap:ada"))
    assert told["account"]["role"] == "admin"
    limit = ("subject=user:ldap:ada", "kind=jobs", "value=3", "days=2")
    with_them = [word for text in limit for word in ("--with", text)]
    assert run("admin", "act", "quotas", "set", *with_them, "--reason", "course") == "done\n"
    (one,) = json.loads(run("admin", "show", "quotas"))["decided"]
    assert (one["subject"], one["value"], one["reason"]) == ("user:ldap:ada", 3, "course")


def test_failures_are_listed_by_cause(run: Run, engine: Engine) -> None:
    claims = Claims(engine, "me", 30.0)
    job_id = Jobs(engine).create(new_job("local:ada"), plan(2, per_task=2)).job_id
    claim = take(claims)
    claims.settle(claim, all_of(claim, RowStatus.FAILED), finish)
    shown = run("admin", "failures")
    assert "2 rows failed, and 1 jobs ended in ERROR" in shown
    assert job_id in shown


def test_something_is_announced_and_taken_back(run: Run, engine: Engine) -> None:
    told = run("admin", "announce", "disks are moved", "--warning", "--days", "2", "--reason", "so")
    assert told == "announced, with the number 1\n"
    (one,) = json.loads(run("admin", "show", "announcements"))["announcements"]
    assert (one["text"], one["level"], one["account"]) == ("disks are moved", "warning", "operator")
    assert run("admin", "act", "announcements", "withdraw", "1", "--reason", "over") == "1\n"
    assert [entry[1] for entry in acts(engine)] == ["announcement withdrawn", "announced"]


def test_what_is_done_to_jobs_by_their_commands_is_written_down(run: Run, engine: Engine) -> None:
    job_id = run_job(Jobs(engine), owner="local:ada")
    run("jobs", "abort", job_id, "--reason", "it is too large")
    run("jobs", "purge", job_id)
    assert acts(engine) == [
        ("operator", "job destroyed", job_id, ""),
        ("operator", "job aborted", job_id, "it is too large"),
    ]
