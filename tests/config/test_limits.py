"""The commands about quotas."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine

from accounts.audit import OPERATOR, Audit
from accounts.people import Identity, People
from config.accounts import make_accounts
from config.cli import main
from config.database import make_engine, prepare
from config.quotas import make_quotas
from dali.caller import Caller
from tests.support.service import settings_of
from tests.support.stored import new_job, plan
from uws.store.jobs import Jobs

Run = Callable[..., str]
ADA = "local:ada"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = make_engine(f"sqlite:///{tmp_path / 'fountain.db'}")
    prepare(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def people(tmp_path: Path, engine: Engine) -> People:
    people = make_accounts(settings_of(tmp_path), engine).people
    people.add(Identity("local", "ada", title="Ada", kind="person"), by=OPERATOR)
    return people


@pytest.fixture
def run(tmp_path: Path, engine: Engine) -> Run:
    def run(*arguments: str, status: int = 0) -> str:
        environ = {**os.environ, "FOUNTAIN_DATA__FOLDER": str(tmp_path), "COLUMNS": "200"}
        done = CliRunner(env=environ).invoke(main, ["quota", *arguments])
        assert done.exit_code == status, done.output
        return done.output

    return run


def test_a_limit_is_set_shown_and_unset(run: Run, engine: Engine, people: People, tmp_path: Path) -> None:
    assert run("list").split() == ["subject", "kind", "limit", "until", "by", "reason"]
    told = run("set", f"user:{ADA}", "cutouts", "7", "--days", "2", "--reason", "a release")
    assert told == f"user:{ADA} has 7 cutouts\n"
    assert run("set", "anonymous", "jobs", "0") == "anonymous has no limit of jobs\n"
    listed = run("list").splitlines()
    assert listed[1].split()[:3] == ["role:anonymous", "jobs", "none"]
    assert listed[2].endswith("operator  a release")
    jobs = Jobs(engine, make_quotas(settings_of(tmp_path), engine))
    jobs.create(new_job(ADA), plan(2), Caller(ADA))
    shown = run("show", ADA).splitlines()
    assert shown[0] == f"Quotas of {ADA} (class user)"
    assert shown[1].startswith("your cutouts a day: 0 used of 7, 2 reserved by jobs; anew at ")
    assert "the public's active jobs: 0 used without a limit" in run("show")
    assert run("unset", f"user:{ADA}", "cutouts") == f"user:{ADA} has the cutouts of the settings\n"
    assert run("unset", f"user:{ADA}", "cutouts") == "there was no such limit\n"
    acts = [(entry.account, entry.act, entry.object, entry.reason) for entry in Audit(engine).read(9)]
    assert ("operator", "quota set", f"user:{ADA}", "a release") in acts
    assert ("operator", "quota unset", f"user:{ADA}", "") in acts


def test_what_is_no_limit_is_said(run: Run, people: People) -> None:
    assert "is not CLASS=NUMBER" in run("set", "everybody", "jobs", "3", status=2)
    assert "is not CLASS=NUMBER" in run("set", "group:", "jobs", "3", status=2)
    assert "'pixels' is not one of" in run("set", f"user:{ADA}", "pixels", "3", status=2)
    assert "there is no account 'local:nobody'" in run("show", "local:nobody", status=1)
    assert "Traceback" not in run("set", f"user:{ADA}", "jobs", "-1", status=2)
