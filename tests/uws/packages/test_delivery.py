"""Packages in folders of users: written as the user, past no link, over nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dali.errors import UsageError
from tests.support.packed import BASE, ToyPackage, Toys, file_of
from uws.packages.build import Built
from uws.packages.delivery import Delivered, deliver
from uws.packages.destination import Destination
from uws.packages.folder import PackageFolder
from uws.packages.shop import PackageShop
from uws.store.jobs import Jobs
from uws.store.ledger import Ledger

UID = os.geteuid() or 65534
GID = os.getegid() or 65534


@pytest.fixture(scope="module")
def built(served: Toys) -> Built:
    job = Jobs(served.engine).get(served.make(["ok", "failed", "ok"], size=300_000))
    assert job is not None
    ledger = Ledger(served.engine)
    shop = PackageShop(
        ledger, served.results, {"toy": ToyPackage()}, PackageFolder(served.folder / "packages", 1 << 30)
    )
    return shop.built(job, f"{BASE}/async/{job.job_id}")


@pytest.fixture
def home() -> Iterator[Path]:
    """Folder of the user: below /tmp, as others cannot look into those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="home-", dir="/tmp"))
    os.chown(folder, UID, GID)
    yield folder
    shutil.rmtree(folder)


def delivered(built: Built, served: Toys, folder: Path) -> Delivered:
    return deliver(built, served.results, Destination("home", UID, GID, str(folder)))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_all_files_are_there_and_the_users(built: Built, served: Toys, home: Path) -> None:
    done = delivered(built, served, home)
    assert (done.written, done.there, done.others) == (len(built.members), 0, ())
    found = files(home)
    assert set(found) == {member.name.decode() for member in built.members.some(0, len(built.members))}
    assert found[f"{built.root}/bin/red/r3.bin"] == file_of(2, 300_000)
    for path in home.rglob("*"):
        assert (path.stat().st_uid, path.stat().st_gid) == (UID, GID)
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644)


def test_what_is_there_stays_and_what_is_missing_comes(built: Built, served: Toys, home: Path) -> None:
    delivered(built, served, home)
    (home / built.root / "README.txt").unlink()
    (home / built.root / ".README.txt.part").write_text("half a")
    (home / built.root / "request.json").write_text("mine")
    done = delivered(built, served, home)
    assert (done.written, done.there) == (1, len(built.members) - 2)
    assert done.others == (f"{built.root}/request.json",)
    assert (home / built.root / "request.json").read_text() == "mine"
    assert not list(home.rglob(".*"))


@pytest.mark.parametrize("name", ["bin", "README.txt", "."])
def test_no_link_is_followed(built: Built, served: Toys, home: Path, name: str) -> None:
    elsewhere = Path(tempfile.mkdtemp(prefix="elsewhere-", dir="/tmp"))
    try:
        os.chown(elsewhere, UID, GID)
        folder = home / "inner"
        if name == ".":
            folder.symlink_to(elsewhere)
        else:
            (folder / built.root).mkdir(parents=True)
            (folder / built.root / name).symlink_to(elsewhere / "target")
            for path in (folder, folder / built.root):
                os.chown(path, UID, GID)
        if name == "README.txt":
            assert delivered(built, served, folder).others == (f"{built.root}/README.txt",)
        else:
            with pytest.raises(UsageError, match="cannot write into the folder home"):
                delivered(built, served, folder)
        assert not list(elsewhere.iterdir())
    finally:
        shutil.rmtree(elsewhere)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_rights_are_those_of_the_user(built: Built, served: Toys, home: Path) -> None:
    (home / "closed").mkdir(mode=0o700)  # of root
    with pytest.raises(UsageError, match="Permission denied"):
        delivered(built, served, home / "closed")


@pytest.mark.parametrize(
    "text", ["x", "a:0:0:/home", "a:5:0:/home", "a:5:5:home", "a:x:5:/home", "a:-1:5:/home"]
)
def test_folders_of_nobody_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Destination.parse(text)
