"""Packages in their folder: written by few at a time, kept for a while, gone with their job."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dali.errors import ServiceUnavailable
from tests.support.packed import toys
from tests.support.toy import toy_settings, toy_types
from uws.bell import Bell
from uws.packages.folder import AT_ONCE, PackageFolder
from uws.reconcile import Reconciler
from uws.store.jobs import Jobs
from uws.store.upkeep import Upkeep


def test_packages_go_with_their_job(tmp_path: Path) -> None:
    with toys(tmp_path) as served:
        gone, kept = (served.make(["ok"]) for _ in range(2))
        for made in (gone, kept):
            assert served.client.get(f"/async/{made}/results/manifest.csv", buffered=True).status_code == 200
            assert (
                served.client.get(f"/async/{made}/results/archive?STATUS=ok", buffered=True).status_code
                == 200
            )
        folder, bell = tmp_path / "packages", Bell("redis://127.0.0.1:1")
        reconciler = Reconciler(
            Upkeep(served.engine),
            served.results,
            bell,
            toy_types(),
            toy_settings(grace_s=0),
            PackageFolder(folder, 1 << 30),
        )
        reconciler.once()
        assert len([path for path in folder.iterdir() if path.is_dir()]) == 4
        Jobs(served.engine).destroy(gone)
        reconciler.once()
        bell.close()
        assert not [path for path in folder.iterdir() if gone in path.name]
        assert served.client.get(f"/async/{kept}/results/archive", buffered=True).status_code == 200


def test_what_nobody_asks_for_any_more_goes(tmp_path: Path) -> None:
    folder = PackageFolder(tmp_path, 1 << 30)
    for job_id in ("old", "new"):
        assert folder.kept(job_id, (), lambda path: (path / "x").touch(), lambda path: path.is_dir())
    (tmp_path / ".draft-lost").mkdir()
    for path in tmp_path.iterdir():
        if "new" not in path.name:
            os.utime(path, (0, 0))
    folder.sweep()
    assert {path.name.removeprefix(".lock-")[:4] for path in tmp_path.iterdir()} == {"new-"}


def test_packages_wait_for_their_turn(tmp_path: Path) -> None:
    folder, began, go_on = PackageFolder(tmp_path, 1 << 30, 0.01), threading.Semaphore(0), threading.Event()

    def write(path: Path) -> None:
        began.release()
        assert go_on.wait(30)

    def made(number: int) -> bool:
        return folder.kept("job", (number,), write, Path.is_dir)

    with ThreadPoolExecutor() as pool:
        written = [pool.submit(made, number) for number in range(AT_ONCE)]
        for _ in written:
            assert began.acquire(timeout=30)
        with pytest.raises(ServiceUnavailable, match="too many packages"):
            made(AT_ONCE)
        go_on.set()
        assert all(one.result() for one in written)
    assert made(AT_ONCE)
