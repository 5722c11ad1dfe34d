"""Lists of targets as jobs of a service, from the table that is sent to the archive that comes back."""

from __future__ import annotations

import http.client
import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import numpy as np
from numpy.typing import NDArray

from benchmarks.jobs import ENDED, p95_ms
from benchmarks.service import FOUNTAIN, SETTLE_S, did_of, serving
from benchmarks.table import Row

WORKERS = 2
#: How often the service and the bare loop are measured, in turn.
ROUNDS = 3
#: Of 256x256 pixels, with header.
CUTOUT_BYTES = 282_240
PAGES = 20
PAGE_ROWS = 1000
SMALL = "64px"
#: Seconds between looks at the memory of processes.
LOOK_S = 0.2
_BOUNDARY = "a-line-that-is-in-no-table"
#: So much is read at a time, of answers and of files.
_AT_ONCE = 1 << 20

Address = tuple[str, int]
Places = tuple[NDArray[np.float64], NDArray[np.float64]]


def rows(data: Path, results: Path, few: Places, many: Places, bare: Callable[[], float]) -> Iterator[Row]:
    """Measure lists of few and of many targets.

    Lists of many are of small cutouts, or they would tell how much a disk takes.

    Parameters
    ----------
    data
        Folder of a service that has the survey ``stars``.
    results
        Where it keeps its results.
    few, many
        Positions.
    bare
        Measures the cutouts per second of the same number of processes without a service.
    """
    environment = os.environ | {
        "FOUNTAIN_DATA__FOLDER": str(data),
        "FOUNTAIN_SURVEYS__DECLARATIONS": str(data),
        "FOUNTAIN_LOG__LEVEL": "warning",
        "FOUNTAIN_JOBS__RESULTS_URL": str(results),
        "FOUNTAIN_JOBS__WORKERS": str(WORKERS),
        "FOUNTAIN_JOBS__HIGH_WORKERS": "0",
    }
    with serving([FOUNTAIN, "serve", "--port"], environment) as address:
        time.sleep(SETTLE_S)
        run_list(address, (few[0][:2000], few[1][:2000]))  # both workers, and all they import
        count = len(few[0])
        rates, bare_rates = [], []
        for _ in range(ROUNDS):
            bare_rates.append(bare())
            touch(results, count * CUTOUT_BYTES)
            took, job = run_list(address, few)
            rates.append(count / took)
        rate, bare_rate = statistics.median(rates), statistics.median(bare_rates)
        what = f"List: {count:,} cutouts of 256x256, HTTP, from submission to COMPLETED, {WORKERS} workers"
        yield Row(what, rate, bare_rate, "/s", "the bare loop", "rate", 0.6)
        yield Row(f"{what}, for one", 1e6 / rate, None, "µs", "", "below", 1e6 / 3000)
        yield _archive(address, job, results)
        took, _ = run_list(address, few, SMALL)
        with _largest_mb() as largest:
            took_many, job = run_list(address, many, SMALL)
        what = f"List: {len(many[0]):,} targets of {SMALL}, against {count:,}"
        yield Row(what, took_many / took, None, "times", "", "below", 1.1 * len(many[0]) / count)
        yield Row(f"{what}: memory of the largest process", largest[0], None, "MB", "", "below", 400.0)
        yield _ledger_page(address, job, len(many[0]))
        yield _sync_beside(address, few, many)


def touch(folder: Path, size: int) -> None:
    """Write as much as is about to be written, and remove it.

    A virtual machine is given memory when it touches it first, slower than anything here writes;
    what the host has to spare is not what is measured.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        block = bytes(_AT_ONCE)
        for _ in range(-(-size // _AT_ONCE)):
            file.write(block)


def run_list(address: Address, places: Places, size: str = "256px") -> tuple[float, str]:
    """Send a table of targets, and wait until all is made: seconds, and the path of the job."""
    start = time.perf_counter()
    path = submit_list(address, places, size)
    phase = "QUEUED"
    with closing(http.client.HTTPConnection(*address)) as connection:
        while phase not in ENDED:
            connection.request("GET", f"{path}?WAIT=60&PHASE={phase}")
            text = connection.getresponse().read().decode()
            phase = text.partition("<uws:phase>")[2].partition("<")[0]
    assert phase == "COMPLETED", text
    return time.perf_counter() - start, path


def submit_list(address: Address, places: Places, size: str) -> str:
    """Send a table of targets; the path of its job."""
    targets = "id,ra,dec\n" + "".join(
        f"t{number},{ra:.8f},{dec:.8f}\n" for number, (ra, dec) in enumerate(zip(*places, strict=True))
    )
    fields = {"UPLOAD": "targets,param:t", "ID": did_of("stars/r"), "SIZE": size, "PHASE": "RUN"}
    parts = [f'form-data; name="{name}"\r\n\r\n{value}' for name, value in fields.items()]
    parts.append(f'form-data; name="t"; filename="targets.csv"\r\nContent-Type: text/csv\r\n\r\n{targets}')
    body = "".join(f"--{_BOUNDARY}\r\nContent-Disposition: {part}\r\n" for part in parts)
    with closing(http.client.HTTPConnection(*address)) as connection:
        headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
        connection.request("POST", "/async", f"{body}--{_BOUNDARY}--\r\n".encode(), headers)
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status == 303, said
        return urlsplit(str(answer.headers["Location"])).path


def _archive(address: Address, job: str, results: Path) -> Row:
    """Compare the archive as it is sent with a copy of the containers it is joined of."""
    _archive_mb_s(address, job)  # its tables are made when it is asked for the first time
    rate = statistics.median(_archive_mb_s(address, job) for _ in range(3))
    copied = statistics.median(_copy_mb_s(results, job) for _ in range(3))
    return Row("List: zip of all files, sent over HTTP", rate, copied, "MB/s", "copies of files", "rate", 0.5)


def _archive_mb_s(address: Address, job: str) -> float:
    """Megabytes per second of an archive that is thrown away as it comes."""
    start, size = time.perf_counter(), 0
    with closing(http.client.HTTPConnection(*address)) as connection:
        connection.request("GET", f"{job}/results/archive")
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        buffer = bytearray(_AT_ONCE)
        while count := answer.readinto(buffer):
            size += count
    return size / 1e6 / (time.perf_counter() - start)


def _copy_mb_s(results: Path, job: str) -> float:
    job_id = job.rpartition("/")[2]
    files = [path for path in results.rglob("*") if path.is_file() and job_id in str(path)]
    assert files, f"the containers of {job_id} are not where they were expected"
    copy = results / "copies"
    copy.mkdir()
    start = time.perf_counter()
    for number, path in enumerate(files):
        shutil.copyfile(path, copy / str(number))
    spent = time.perf_counter() - start
    shutil.rmtree(copy)
    return sum(path.stat().st_size for path in files) / 1e6 / spent


def _ledger_page(address: Address, job: str, count: int) -> Row:
    """Read pages one after the other, as they name each other, from the middle on."""
    query = f"LIMIT={PAGE_ROWS}&AFTER={count // 2}&FORMAT=json"
    spent = []
    with closing(http.client.HTTPConnection(*address)) as connection:
        for _ in range(PAGES):
            start = time.perf_counter()
            connection.request("GET", f"{job}/ledger?{query}")
            answer = connection.getresponse()
            said = answer.read()
            spent.append(1e3 * (time.perf_counter() - start))
            assert answer.status == 200, said
            query = urlsplit(str(answer.headers["Link"]).partition("<")[2].partition(">")[0]).query
    what = f"List: page of {PAGE_ROWS:,} rows of a ledger of {count:,}"
    return Row(what, statistics.median(spent), None, "ms", "", "below", 100.0)


def _sync_beside(address: Address, few: Places, many: Places) -> Row:
    """Compare the 95th percentile of sync cutouts with and without a list that runs."""
    ra, dec = few
    paths = [
        f"/sync?ID={quote(did_of('stars/r'))}&CENTER={a:.8f}%20{d:.8f}&SIZE=64px"
        for a, d in zip(ra[:500], dec[:500], strict=True)
    ]
    idle = p95_ms(address, paths)
    job = submit_list(address, many, SMALL)
    busy = p95_ms(address, paths)
    with closing(http.client.HTTPConnection(*address)) as connection:
        connection.request("GET", f"{job}/phase")
        phase = connection.getresponse().read().decode().strip()
        assert phase == "EXECUTING", f"the list was {phase} before sync had been measured"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", f"{job}/phase", "PHASE=ABORT", headers)
        connection.getresponse().read()
    return Row(
        "p95 of sync beside a list that runs, against none", busy / idle, None, "times", "", "below", 2.0
    )


@contextmanager
def _largest_mb() -> Iterator[list[float]]:
    """Look at the memory of all processes of ours meanwhile; files that are mapped do not count."""
    largest, over = [0.0], threading.Event()

    def look() -> None:
        while not over.wait(LOOK_S):
            largest[0] = max([largest[0], *map(_own_mb, _descendants(os.getpid()))])

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield largest
    finally:
        over.set()
        thread.join()


def _descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in task.read_text().split()]
        except OSError:  # it has ended
            continue
        for child in children:
            yield child
            yield from _descendants(child)


def _own_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it has ended
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem"))) / 1024
