"""All services of the compose file at work together."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from urllib.parse import urlencode

import pytest
import requests
from astropy.io import fits
from lxml import etree

from tests.containers.stack import Stack, stack
from tests.containers.support import PATIENCE_S, Outside, until
from tests.support.service import index_all, settings_of, write_surveys

pytestmark = pytest.mark.deployment

CUTOUT = {"ID": "ivo://unregistered.invalid/soda-fountain?tiny/g/a", "CIRCLE": "150 0 0.0027"}
UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"
XLINK = "{http://www.w3.org/1999/xlink}"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    write_surveys(folder / "images")
    with stack(folder, folder / "images") as whole:
        index_all(settings_of(folder / "images", whole.environ("worker")))
        yield whole


@pytest.fixture(scope="module")
def outside(whole: Stack) -> Outside:
    assert whole.outside is not None
    outside = whole.outside
    until(lambda: b"available>true<" in outside.get("/availability").data, whole.told)
    return outside


def submit(outside: Outside, **more: str) -> str:
    created = outside.post("/async", urlencode({**CUTOUT, **more}).encode())
    assert created.status == 303, created.data
    assert created.headers["Location"].startswith(f"{outside.base}/async/")
    return created.headers["Location"]


def finished(outside: Outside, url: str) -> etree._Element:
    """Wait for a job as clients do."""
    for _ in range(5):
        job = etree.fromstring(outside.get(url, {"WAIT": "20"}).data)
        if job.findtext(f"{UWS}phase") not in ("QUEUED", "EXECUTING"):
            break
    assert job.findtext(f"{UWS}phase") == "COMPLETED", etree.tostring(job).decode()
    return job


@pytest.mark.timeout(300)
def test_a_job_from_submission_to_download(whole: Stack, outside: Outside) -> None:
    job = finished(outside, submit(outside, PHASE="RUN"))
    (url,) = [result.get(f"{XLINK}href") for result in job.iter(f"{UWS}result")]
    assert url.startswith(outside.base)
    downloaded = outside.get(url)
    assert downloaded.status == 200
    assert fits.getdata(BytesIO(downloaded.data)).shape == (20, 20)
    part = outside.get(url, headers={"Range": "bytes=2880-"})
    assert (part.status, part.data) == (206, downloaded.data[2880:])


@pytest.mark.timeout(300)
def test_the_engine_finds_web_servers_and_workers_well(whole: Stack, outside: Outside) -> None:
    for service in ("web-1", "web-2", "worker", "worker-high"):
        checked = whole.check(service)
        assert checked.returncode == 0, checked.stderr


@pytest.mark.timeout(300)
def test_prometheus_is_told_what_the_workers_are_scaled_by(whole: Stack, outside: Outside) -> None:
    for port in whole.ports.values():
        told = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S).text
        for lane in ("high", "low"):
            assert f'fountain_queue_depth{{lane="{lane}"}}' in told
            assert f'fountain_oldest_wait_seconds{{lane="{lane}"}}' in told


@pytest.mark.timeout(300)
def test_no_password_is_in_a_log(whole: Stack, outside: Outside) -> None:
    finished(outside, submit(outside, PHASE="RUN"))
    for name in ("postgres-password", "redis-password", "links-secret"):
        password = (whole.secrets / name).read_text()
        assert len(password) == 64
        assert password not in "".join(log.read_text() for log in whole.folder.glob("*.log"))


@pytest.mark.timeout(300)
@pytest.mark.faults
def test_one_web_server_dies_and_the_other_serves_on(whole: Stack, outside: Outside) -> None:
    url = submit(outside)
    waited: list[int] = []
    waiting = [
        threading.Thread(target=lambda: waited.append(outside.get(url, {"WAIT": "8"}).status))
        for _ in range(4)
    ]
    for thread in waiting:
        thread.start()
    # Some of them wait at either server: nginx gives a request to the one that has fewer.
    until(lambda: all(waiting_at(port) for port in whole.ports.values()), whole.told)
    whole.kill("web-1")
    for _ in range(10):
        assert outside.get("/sync", CUTOUT).status == 200
    for thread in waiting:
        thread.join()
    assert waited == [200] * 4  # asked again of the other
    finished(outside, submit(outside, PHASE="RUN"))


def waiting_at(port: int) -> bool:
    """Whether somebody is connected to a port of this machine."""
    ends = Path("/proc/net/tcp").read_text()
    return re.search(rf"0100007F:{port:04X} \w+:\w+ 01 ", ends) is not None


@pytest.mark.timeout(300)
@pytest.mark.faults
def test_workers_stop_when_they_are_told_to(whole: Stack, outside: Outside) -> None:
    for name in ("worker", "worker-high", "reconciler"):
        whole.processes[name].send_signal(signal.SIGTERM)
    ended = {name: whole.processes[name].wait(PATIENCE_S) for name in ("worker", "worker-high", "reconciler")}
    assert set(ended.values()) == {0}, f"{ended}\n{whole.told()}"
