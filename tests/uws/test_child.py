"""The child: real processes that do the rows of the toy job type, and die of them."""

from __future__ import annotations

import mmap
import os
import resource
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.toy import broken_types, content, times, toy_rows, toy_settings, toy_types
from uws.child import Doer, Task
from uws.job import Claim, Row, RowStatus
from uws.jobtype import JobTypes
from uws.memory import own_bytes
from uws.runner import Child
from uws.verdict import Answer, Died, Ended, Halt, Killed, Left

PATIENCE_S = 60.0
MEMORY = 1 << 30

pytestmark = pytest.mark.skipif(not hasattr(os, "setpgid"), reason="processes of another kind")

Runs = Callable[..., Ended]


def until(condition: Callable[[], object], what: str = "it did not come about") -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.005)


def claim_of(rows: tuple[Row, ...], **changes: Any) -> Claim:
    values: dict[str, Any] = {
        "task_id": 1,
        "job_id": "job",
        "job_type": "toy",
        "owner": "",
        "lane": "high",
        "worker_id": "me",
        "fence": 1,
        "attempts": 1,
        "kills": 0,
        "rows": rows,
    }
    return Claim(**{**values, **changes})


def have_done(child: Child, claim: Claim, path: Path, watch: Callable[[], Halt | None]) -> Ended:
    child.begin(claim, path)
    return child.end(watch)


@pytest.fixture
def make_child() -> Iterator[Callable[..., Child]]:
    made: list[Child] = []

    def make(types: Callable[[], JobTypes] = toy_types, **changes: Any) -> Child:
        made.append(Child(types, toy_settings(**{"memory_bytes": MEMORY, **changes})))
        return made[-1]

    yield make
    for child in made:
        child.stop()


@pytest.fixture
def run(make_child: Callable[..., Child], tmp_path: Path) -> Runs:
    """Have a task done by a child that is made ready for it."""
    children: dict[str, Child] = {}

    def do(*do: str, watch: Callable[[], Halt | None] = lambda: None, **changes: Any) -> Ended:
        rows = toy_rows(do, folder=tmp_path, size=changes.pop("size", 16), files=changes.pop("files", 1))
        claim = {name: changes.pop(name) for name in ("job_type",) if name in changes}
        child = children.setdefault("it", make_child(**changes)) if changes else make_child()
        until(lambda: child.ready(1))
        return have_done(child, claim_of(rows, **claim), tmp_path / "it.zip", watch)

    return do


def statuses(ended: Ended) -> list[RowStatus]:
    assert isinstance(ended, Answer)
    return [report.status for report in ended.reports]


def messages(ended: Ended) -> list[str]:
    assert isinstance(ended, Answer)
    return [report.message for report in ended.reports]


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_rows_give_files_in_one_container_or_a_sentence(run: Runs, tmp_path: Path) -> None:
    ended = run("ok", "empty", "fail", "ok", size=100_000)
    assert statuses(ended) == [RowStatus.DONE, RowStatus.EMPTY, RowStatus.FAILED, RowStatus.DONE]
    assert isinstance(ended, Answer)
    assert ended.left is Left.NOTHING
    whole = (tmp_path / "it.zip").read_bytes()
    for report in (ended.reports[0], ended.reports[3]):
        (file,) = report.files
        assert whole[file.offset : file.offset + file.size] == content(report.result_id, 100_000)
    with zipfile.ZipFile(tmp_path / "it.zip") as container:
        assert container.testzip() is None
        assert len(container.namelist()) == 2


def test_a_row_may_give_several_files(run: Runs) -> None:
    ended = run("ok", "ok", files=3)
    assert isinstance(ended, Answer)
    assert [[file.result_id for file in report.files] for report in ended.reports] == [
        ["r0-0", "r0-1", "r0-2"],
        ["r1-0", "r1-1", "r1-2"],
    ]


def test_without_files_there_is_no_container(run: Runs, tmp_path: Path) -> None:
    assert statuses(run("empty", "fail", "halfway")) == [RowStatus.EMPTY, RowStatus.FAILED, RowStatus.FAILED]
    assert not (tmp_path / "it.zip").exists()


def test_an_exception_ends_its_row_alone_and_tells_nothing(run: Runs, tmp_path: Path) -> None:
    ended = run("ok", "raise", "ok", "exit", "halfway", "ok")
    assert [status.value for status in statuses(ended)] == [
        "done",
        "failed",
        "done",
        "failed",
        "failed",
        "done",
    ]
    assert messages(ended)[1] == "Error: the row failed for an unexpected reason (ValueError)"
    assert messages(ended)[3] == "Error: the row failed for an unexpected reason (SystemExit)"
    assert messages(ended)[4] == "Error: the row failed for an unexpected reason (OSError)"
    assert [times(tmp_path, n) for n in range(6)] == [1] * 6
    with zipfile.ZipFile(tmp_path / "it.zip") as container:
        assert len(container.namelist()) == 3


def test_errors_of_the_protocol_are_said_as_sync_says_them(run: Runs) -> None:
    ended = run("usage", "unavailable")
    assert messages(ended) == ["UsageError: ROWS is wrong.", "ServiceUnavailable: the images are elsewhere."]
    assert isinstance(ended, Answer)
    assert [report.transient for report in ended.reports] == [False, True]


@pytest.mark.parametrize("word", ["silent", "twice"])
def test_a_wrong_number_of_outcomes_gives_no_row_another_ones_result(run: Runs, word: str) -> None:
    ended = run("ok", "raise", "ok", word, "ok")
    # Before the exception it is known what is of whom.
    assert statuses(ended)[:2] == [RowStatus.DONE, RowStatus.FAILED]
    assert statuses(ended)[2:] == [RowStatus.FAILED] * 3
    assert "number of outcomes" in messages(ended)[2]


def test_files_belong_to_rows_that_are_done(run: Runs) -> None:
    assert messages(run("fileless")) == ["Error: the row failed for an unexpected reason (ValueError)"]


def test_an_unknown_type_fails_its_rows(run: Runs) -> None:
    ended = run("ok", "ok", job_type="other")
    assert messages(ended) == ["Error: jobs of type other are not known here."] * 2


@pytest.mark.faults
def test_f11_a_row_beyond_the_memory_limit_fails_alone(run: Runs) -> None:
    ended = run("ok", "allocate", "ok")
    assert statuses(ended) == [RowStatus.DONE, RowStatus.FAILED, RowStatus.DONE]
    assert messages(ended)[1] == "Error: the row needs more memory than the limit of 1024 MiB"


@pytest.mark.faults
@pytest.mark.parametrize(
    ("word", "cause"), [("crash", "SIGKILL"), ("segfault", "SIGSEGV"), ("sigbus", "SIGBUS")]
)
def test_f12_f13_a_death_names_its_row_and_its_cause(run: Runs, word: str, cause: str) -> None:
    assert run("ok", "ok", word, "ok") == Died(2, cause)


@pytest.mark.faults
@pytest.mark.parametrize("word", ["loop", "deaf"])
def test_f14_f15_a_row_over_its_limit_is_killed_whatever_it_does(
    run: Runs, tmp_path: Path, word: str
) -> None:
    assert run("ok", word, row_limit_s=0.3) == Killed(1, Halt.ROW_LIMIT)
    assert times(tmp_path, 1, "done") == 0


@pytest.mark.faults
def test_f16_what_a_row_has_started_goes_with_it(run: Runs, tmp_path: Path) -> None:
    assert run("fork") == Died(0, "SIGKILL")
    left = int((tmp_path / "0.left").read_text())
    until(lambda: not is_alive(left))


@pytest.mark.faults
def test_the_worker_may_kill_it_at_any_time(run: Runs, tmp_path: Path) -> None:
    def watch() -> Halt | None:
        return Halt.CLAIM if times(tmp_path, 1) else None

    assert run("ok", "wait", watch=watch) == Killed(1, Halt.CLAIM)
    assert times(tmp_path, 1, "done") == 0


def test_f04_a_drained_child_finishes_the_row_in_hand(
    make_child: Callable[..., Child], tmp_path: Path
) -> None:
    child = make_child()
    until(lambda: child.ready(1))

    def watch() -> None:
        if times(tmp_path, 1) and not (tmp_path / "go").exists():
            child.drain()
            (tmp_path / "go").touch()

    rows = toy_rows(("ok", "wait", "ok", "ok"), folder=tmp_path)
    ended = have_done(child, claim_of(rows), tmp_path / "it.zip", watch)
    assert isinstance(ended, Answer)
    assert ended.left is Left.DRAIN
    assert [report.n for report in ended.reports] == [0, 1]
    assert times(tmp_path, 2) == 0
    assert zipfile.is_zipfile(tmp_path / "it.zip")
    # The next task is none of it.
    again = have_done(child, claim_of(rows), tmp_path / "again.zip", lambda: None)
    assert statuses(again) == [RowStatus.DONE] * 4


def test_one_process_does_many_tasks_and_is_replaced_in_time(
    make_child: Callable[..., Child], tmp_path: Path
) -> None:
    child = make_child(child_tasks=3)
    pids = []
    for _ in range(6):
        until(lambda: child.ready(1))
        pids.append(child.pid)
        have_done(child, claim_of(toy_rows(("ok",))), tmp_path / "it.zip", lambda: None)
    assert len(set(pids[:3])) == len(set(pids[3:])) == 1
    assert len(set(pids)) == 2


def test_a_process_that_keeps_memory_is_replaced(make_child: Callable[..., Child], tmp_path: Path) -> None:
    child = make_child(memory_bytes=300 << 20)
    until(lambda: child.ready(1))
    first = child.pid
    have_done(child, claim_of(toy_rows(("ok",))), tmp_path / "it.zip", lambda: None)
    assert child.pid == first
    have_done(child, claim_of(toy_rows(("keep",))), tmp_path / "it.zip", lambda: None)
    assert child.pid is None
    assert first is not None
    assert not is_alive(first)


@pytest.mark.faults
def test_one_that_died_in_between_is_replaced(make_child: Callable[..., Child], tmp_path: Path) -> None:
    child = make_child()
    until(lambda: child.ready(1))
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(lambda: not is_alive(first))
    until(lambda: child.ready(1))
    assert child.pid != first
    assert statuses(have_done(child, claim_of(toy_rows(("ok",))), tmp_path / "it.zip", lambda: None)) == [
        RowStatus.DONE
    ]


@pytest.mark.faults
def test_one_that_dies_with_the_task_says_so(make_child: Callable[..., Child], tmp_path: Path) -> None:
    child = make_child()
    until(lambda: child.ready(1))
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    assert have_done(child, claim_of(toy_rows(("ok",))), tmp_path / "it.zip", lambda: None) == Died(
        None, "SIGKILL"
    )


def test_an_answer_is_never_taken_for_that_of_another_task(
    make_child: Callable[..., Child], tmp_path: Path
) -> None:
    child = make_child()
    until(lambda: child.ready(1))

    def watch() -> None:
        raise RuntimeError("the watch has stopped")

    with pytest.raises(RuntimeError, match="the watch has stopped"):
        have_done(child, claim_of(toy_rows(("wait",), folder=tmp_path)), tmp_path / "it.zip", watch)
    (tmp_path / "go").touch()
    until(lambda: child.ready(1))
    ended = have_done(child, claim_of(toy_rows(("empty",))), tmp_path / "it.zip", lambda: None)
    assert statuses(ended) == [RowStatus.EMPTY]


def test_f06_one_that_is_frozen_before_its_first_row_is_not_waited_for_without_end(
    make_child: Callable[..., Child], tmp_path: Path
) -> None:
    child = make_child(row_limit_s=0.5)
    until(lambda: child.ready(1))
    assert child.pid is not None
    os.kill(child.pid, signal.SIGSTOP)
    ended = have_done(child, claim_of(toy_rows(("ok",))), tmp_path / "it.zip", lambda: None)
    assert ended == Killed(None, Halt.ROW_LIMIT)


@pytest.mark.faults
def test_one_that_does_not_start_is_replaced(
    make_child: Callable[..., Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    child = make_child()
    assert not child.ready(0)
    assert child.pid is not None
    first = child.pid
    os.kill(first, signal.SIGSTOP)
    monkeypatch.setattr("uws.runner.START_S", 0.0)
    assert not child.ready(0)
    assert not is_alive(first)
    monkeypatch.undo()
    until(lambda: child.ready(1))
    assert child.pid != first


def test_without_job_types_it_is_never_ready(make_child: Callable[..., Child]) -> None:
    child = make_child(broken_types)
    pids = set()

    def is_replaced() -> bool:
        assert not child.ready(0.1)
        pids.add(child.pid)
        return len(pids) > 1

    until(is_replaced)


def test_it_is_a_group_of_its_own_and_deaf_to_the_terminal(make_child: Callable[..., Child]) -> None:
    child = make_child()
    until(lambda: child.ready(1))
    assert child.pid is not None
    assert os.getpgid(child.pid) == child.pid
    status = Path(f"/proc/{child.pid}/status").read_text()
    ignored = int(next(line for line in status.splitlines() if line.startswith("SigIgn")).split()[1], 16)
    for number in (signal.SIGINT, signal.SIGTERM):
        assert ignored & 1 << (number - 1)
    assert resource.prlimit(child.pid, resource.RLIMIT_CORE)[0] == 0
    assert resource.prlimit(child.pid, resource.RLIMIT_DATA)[0] == MEMORY


class TestStorage:
    """Disk full, by a limit on the size of files."""

    @pytest.fixture
    def answer(self, tmp_path: Path) -> Callable[..., Answer]:
        def do(*words: str, size: int) -> Answer:
            rows = toy_rows(words, size=size, folder=tmp_path)
            task = Task("toy", "job", "", rows, tmp_path / "it.zip")
            return Doer(toy_types(), [0, 0, 0], MEMORY).do(task)

        return do

    @pytest.fixture
    def full(self) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, before[1]))
        yield
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    @pytest.mark.faults
    @pytest.mark.usefixtures("full")
    def test_f40_rows_that_do_not_fit_are_not_lost(
        self, answer: Callable[..., Answer], tmp_path: Path
    ) -> None:
        ended = answer("ok", "empty", "ok", "ok", size=1_500_000)
        assert ended.left is Left.STORAGE
        assert [report.n for report in ended.reports] == [0, 1, 2]
        with zipfile.ZipFile(tmp_path / "it.zip") as container:
            assert container.testzip() is None
            assert len(container.namelist()) == 2

    @pytest.mark.faults
    def test_f40_no_container_at_all(self, answer: Callable[..., Answer], tmp_path: Path) -> None:
        (tmp_path / "it.zip").mkdir()
        ended = answer("empty", "ok", "empty", size=16)
        assert ended.left is Left.STORAGE
        assert [report.n for report in ended.reports] == [0]


def test_the_child_goes_with_its_parent(tmp_path: Path) -> None:
    """A worker that is killed leaves no process behind."""
    script = (
        "import sys, time\n"
        "from tests.support.toy import *\n"
        "from uws.runner import Child\n"
        "child = Child(toy_types, toy_settings())\n"
        "while not child.ready(1): pass\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
    until(lambda: not is_alive(pid))


def test_images_that_are_mapped_are_no_memory_of_the_child(tmp_path: Path) -> None:
    """Else it is taken for worn after a few of them, and started anew for each task."""
    path, size = tmp_path / "image", 64 << 20
    with path.open("wb") as file:
        file.truncate(size)
    before = own_bytes()
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as mapped:
        assert sum(mapped[at] for at in range(0, size, mmap.PAGESIZE)) == 0
        assert own_bytes() - before < size // 4
