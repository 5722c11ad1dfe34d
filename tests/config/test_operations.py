"""The commands that run workers and look after jobs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from config.cli import main
from config.database import make_engine, prepare
from config.jobs import JobParts, job_types_of, make_jobs, redis_url
from config.settings import Settings, SettingsError, load_settings
from dali.caller import ANONYMOUS, Caller
from dali.parameters import Parameters
from tests.support.redis import OwnRedis, own_redis
from tests.support.service import BASE, index_all, settings_of, write_surveys
from uws.phase import Phase

pytestmark = pytest.mark.deployment

DEADLINE_S = 60
CUTOUT = {"ID": (f"{BASE}?tiny/g/a",), "CIRCLE": ("150 0 0.0027",)}

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def redis() -> Iterator[OwnRedis]:
    with own_redis() as server:
        yield server


@pytest.fixture
def environ(tmp_path: Path, redis: OwnRedis) -> dict[str, str]:
    folder = tmp_path / "service"
    write_surveys(folder)
    index_all(settings_of(folder))
    return {
        "FOUNTAIN_DATA__FOLDER": str(folder),
        "FOUNTAIN_SURVEYS__DECLARATIONS": str(folder / "declarations"),
        "FOUNTAIN_IDENTIFIERS__BASE": BASE,
        "FOUNTAIN_JOBS__REDIS_URL": redis.url,
        "FOUNTAIN_JOBS__RESULTS_RESERVE_BYTES": "0",
    }


@pytest.fixture
def settings(environ: dict[str, str]) -> Settings:
    return load_settings(environ)


@pytest.fixture
def parts(settings: Settings) -> Iterator[JobParts]:
    engine = make_engine(settings.data.engine_url)
    prepare(engine)
    parts = make_jobs(settings, engine)
    yield parts
    parts.close()
    engine.dispose()


@pytest.fixture
def run(environ: dict[str, str]) -> Run:
    def run(*arguments: str) -> Result:
        return CliRunner(env=environ).invoke(main, arguments)

    return run


@contextmanager
def process(environ: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command in a process of its own until the block ends."""
    command = [sys.executable, "-c", "from config.cli import main; main()", *arguments]
    with subprocess.Popen(
        command, env={**os.environ, **environ}, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def stop(running: subprocess.Popen[str], how: int) -> str:
    """Stop a process; return its log."""
    running.send_signal(how)
    log = running.communicate(timeout=DEADLINE_S)[1]
    assert running.returncode == 0, log
    return log


def eventually(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def phase_of(parts: JobParts, job_id: str) -> Phase | None:
    job = parts.jobs.get(job_id)
    return job and job.phase


@pytest.mark.parametrize(
    "command", [["worker"], ["reconcile"], ["jobs"], ["jobs", "list"], ["jobs", "purge"], ["serve"]]
)
def test_help_is_quick_since_it_loads_nothing(command: list[str]) -> None:
    code = (
        "import sys; from config.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print('LOADED', *sorted({'numpy', 'sqlalchemy', 'flask', 'rq'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, *command, "--help"], capture_output=True, text=True, check=True
    )
    assert "Usage: " in ran.stdout
    assert ran.stdout.splitlines()[-1] == "LOADED"


@pytest.mark.parametrize("lanes", [(), ("--lane", "high")])
def test_a_worker_does_a_cutout(environ: dict[str, str], parts: JobParts, lanes: tuple[str, ...]) -> None:
    job = parts.service.submissions.create("soda", Parameters(CUTOUT), ANONYMOUS, run=True)
    with process(environ, "worker", *lanes) as running:
        eventually(lambda: phase_of(parts, job.job_id) is Phase.COMPLETED)
        again = parts.service.submissions.create("soda", Parameters(CUTOUT), ANONYMOUS, run=True)
        eventually(lambda: phase_of(parts, again.job_id) is Phase.COMPLETED)
        assert "the worker serves" in stop(running, signal.SIGTERM)
    (result,) = parts.jobs.results(job.job_id)
    assert b"".join(parts.results.read(result)).startswith(b"SIMPLE  =")


def test_workers_wait_for_a_database_that_does_not_answer(environ: dict[str, str]) -> None:
    environ["FOUNTAIN_DATA__DATABASE_URL"] = "postgresql://nobody:secret@127.0.0.1:1/nothing"
    with process(environ, "worker") as running:
        assert running.stderr is not None
        lines = (line for line in running.stderr if "the database does not answer" in line)
        told = [next(lines), next(lines)]
        assert running.poll() is None
    assert "secret" not in "".join(told)


def test_a_worker_says_that_redis_is_silent_and_works(environ: dict[str, str], parts: JobParts) -> None:
    environ["FOUNTAIN_JOBS__REDIS_URL"] = f"unix://{environ['FOUNTAIN_DATA__FOLDER']}/nothing"
    job = parts.service.submissions.create("soda", Parameters(CUTOUT), ANONYMOUS, run=True)
    with process(environ, "worker") as running:
        eventually(lambda: phase_of(parts, job.job_id) is Phase.COMPLETED)
        assert "the queue (Redis) does not answer" in stop(running, signal.SIGTERM)


def test_the_reconciler_does_what_time_does(environ: dict[str, str], parts: JobParts, run: Run) -> None:
    job = parts.service.submissions.create("soda", Parameters(CUTOUT), ANONYMOUS)
    parts.jobs.change_destruction(job.job_id, 0, 1000)
    ran = run("reconcile", "--once")
    assert ran.exit_code == 0, ran.output
    assert parts.jobs.get(job.job_id) is None
    job = parts.service.submissions.create("soda", Parameters(CUTOUT), ANONYMOUS)
    parts.jobs.change_destruction(job.job_id, 0, 1000)
    with process(environ, "reconcile") as running:
        eventually(lambda: parts.jobs.get(job.job_id) is None)
        stop(running, signal.SIGTERM)


def test_jobs_are_listed_the_newest_first(parts: JobParts, run: Run) -> None:
    first = parts.service.submissions.create("soda", Parameters(CUTOUT), Caller("ann"), run_id="m31")
    second = parts.service.submissions.create("soda", Parameters(CUTOUT), ANONYMOUS)
    parts.service.abort(second)
    lines = run("jobs", "list").output.splitlines()
    assert [line.split()[0] for line in lines] == ["job", second.job_id, first.job_id]
    assert re.search(r"PENDING +20\d\d-\d\d-\d\dT\S+Z +ann +m31", lines[2])
    assert len(run("jobs", "list", "--last", "1").output.splitlines()) == 2
    aborted = run("jobs", "list", "--phase", "aborted").output
    assert second.job_id in aborted
    assert first.job_id not in aborted
    assert run("jobs", "list", "--phase", "nonsense").exit_code == 2
    assert run("jobs", "list", "--last", "0").exit_code == 2


def test_the_list_of_jobs_is_whole_where_no_terminal_is(
    settings: Settings, parts: JobParts, run: Run
) -> None:
    job = parts.service.submissions.create("soda", Parameters(CUTOUT), ANONYMOUS)
    engine = make_engine(settings.data.engine_url)
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(text("UPDATE job SET phase = 'COMPLETED'"))
    engine.dispose()
    (line,) = run("jobs", "list").output.splitlines()[1:]
    assert re.fullmatch(rf"{job.job_id}  COMPLETED  20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ  - +- *", line)


def test_a_data_folder_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOUNTAIN_DATA__FOLDER", "/dev/null/data")
    ran = CliRunner().invoke(main, ["jobs", "list"])
    assert (ran.exit_code, ran.output) == (1, "Error: /dev/null/data: Not a directory\n")


def test_a_job_is_shown(parts: JobParts, run: Run) -> None:
    job = parts.service.submissions.create(
        "soda", Parameters({"ID": ("nonsense",)}), Caller("ann"), run_id="\x1b[31m[red]x"
    )
    shown = run("jobs", "show", job.job_id)
    assert shown.exit_code == 0, shown.output
    assert job.job_id in shown.output
    assert re.search(r"phase +PENDING", shown.output)
    assert re.search(r"ID +nonsense", shown.output)
    assert re.search(r"error +\w+: ", shown.output)
    # What clients send does not steer the terminal of those who look.
    assert "\x1b" not in shown.output
    assert "[red]x" in shown.output


def test_a_job_is_aborted_once(parts: JobParts, run: Run) -> None:
    job = parts.service.submissions.create("soda", Parameters(CUTOUT), ANONYMOUS)
    assert run("jobs", "abort", job.job_id).exit_code == 0
    assert phase_of(parts, job.job_id) is Phase.ABORTED
    again = run("jobs", "abort", job.job_id)
    assert again.exit_code == 1
    assert "Error: " in again.output
    assert "ABORTED" in again.output


def test_a_job_is_retried_as_a_new_one(parts: JobParts, run: Run) -> None:
    job = parts.service.submissions.create("soda", Parameters(CUTOUT), Caller("ann"), run_id="m31")
    ran = run("jobs", "retry", job.job_id)
    assert ran.exit_code == 0, ran.output
    again = parts.jobs.get(ran.output.strip())
    assert again is not None
    assert (again.phase, again.owner, again.run_id) == (Phase.QUEUED, "ann", "m31")
    assert again.parameters == job.parameters
    assert again.job_id != job.job_id


def test_jobs_are_purged_by_id_and_by_age(parts: JobParts, run: Run, settings: Settings) -> None:
    old, young, waiting, named = (
        parts.service.submissions.create("soda", Parameters(CUTOUT), ANONYMOUS) for _ in range(4)
    )
    for job in (old, young):
        parts.service.abort(job)
    engine = make_engine(settings.data.engine_url)
    with engine.execution_options(writes=True).begin() as connection:
        for job in (old, waiting):
            made = {"job_id": job.job_id, "ms": 3 * 86_400_000}
            connection.execute(
                text("UPDATE job SET created_ms = created_ms - :ms WHERE job_id = :job_id"), made
            )
    engine.dispose()
    assert run("jobs", "purge").exit_code == 2
    assert run("jobs", "purge", "--older-than", "-1").exit_code == 2
    ran = run("jobs", "purge", "--older-than", "2", named.job_id)
    assert ran.output == "2 jobs destroyed\n"
    assert [parts.jobs.get(job.job_id) is None for job in (old, young, waiting, named)] == [
        True,
        False,
        False,
        True,
    ]


@pytest.mark.parametrize("command", ["show", "abort", "retry", "purge"])
def test_a_job_that_is_not_there(parts: JobParts, run: Run, command: str) -> None:
    ran = run("jobs", command, "0" * 32)
    assert ran.exit_code == 1
    assert "Error: " in ran.output
    assert "Traceback" not in ran.output


def test_settings_of_results_that_do_not_fit(environ: dict[str, str]) -> None:
    for wrong in (
        {"FOUNTAIN_JOBS__RESULTS_OPTIONS": "{"},
        {"FOUNTAIN_JOBS__RESULTS_OPTIONS": "[1]"},
        {"FOUNTAIN_JOBS__RESULTS_URL": "ftp://x/y"},
        {"FOUNTAIN_JOBS__RESULTS_REDIRECT": "true"},
    ):
        settings = load_settings({**environ, **wrong})
        engine = make_engine(settings.data.engine_url)
        with pytest.raises(SettingsError, match=r"^jobs\.results_"):
            make_jobs(settings, engine)
        engine.dispose()


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("worker",), ("reconcile", "--once")])
def test_what_is_wrong_with_settings_of_jobs_is_said_once(
    environ: dict[str, str], command: tuple[str, ...]
) -> None:
    wrong = {"FOUNTAIN_JOBS__RESULTS_OPTIONS": '{"key": "hunter2"', "FOUNTAIN_LOG__LEVEL": "error"}
    ran = subprocess.run(
        [sys.executable, "-c", "from config.cli import main; main()", *command],
        env={**os.environ, **environ, **wrong},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    (said,) = ran.stderr.splitlines()
    assert said.startswith("Error: jobs.results_options must be a JSON object")


def test_no_safe_place_for_the_private_redis_is_said_in_a_sentence(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "nowhere"))
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    ran = CliRunner(
        env={**environ, "FOUNTAIN_JOBS__REDIS_URL": "", "FOUNTAIN_DATA__FOLDER": str(deep)}
    ).invoke(main, ["worker"])
    assert ran.exit_code == 1, ran.output
    assert "Error: the folder" in ran.output
    assert "cannot be made" in ran.output


def test_processes_agree_on_the_private_redis(settings: Settings, tmp_path: Path) -> None:
    private = load_settings({"FOUNTAIN_DATA__FOLDER": "/tmp/x"})
    assert redis_url(private) == "unix:///tmp/x/redis/redis.sock"
    assert redis_url(settings) == settings.jobs.redis_url


def test_job_types_can_be_made_elsewhere(settings: Settings) -> None:
    import pickle

    make = pickle.loads(pickle.dumps(job_types_of(settings)))
    assert "soda" in make()
