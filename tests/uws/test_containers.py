"""Containers: what other programs read in them, and what is left when writing fails."""

from __future__ import annotations

import errno
import hashlib
import shutil
import subprocess
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from uws.containers import BUFFER_BYTES, ContainerWriter
from uws.job import Stored
from uws.jobtype import File


def file(n: int, *chunks: bytes, name: str = "cutout.fits") -> File:
    return File(f"r{n}", name, "application/fits", chunks)


def noise(size: int, seed: int = 1) -> bytes:
    return Random(seed).randbytes(size)


def breaking(*chunks: bytes) -> Iterator[bytes]:
    yield from chunks
    raise ValueError("no more pixels")


def bytes_of(path: Path, stored: Stored) -> bytes:
    return path.read_bytes()[stored.offset : stored.offset + stored.size]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "7.1.zip"


SIZES = [
    (),
    (0,),
    (1, 2880, 5),
    (BUFFER_BYTES - 1, 1, BUFFER_BYTES, BUFFER_BYTES + 1),
    (3 * BUFFER_BYTES + 7, 0, 10),
]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("chunk", [700_001, 5 * BUFFER_BYTES])
def test_every_file_is_a_range_of_bytes(path: Path, sizes: tuple[int, ...], chunk: int) -> None:
    contents = [noise(size, seed) for seed, size in enumerate(sizes)]
    writer = ContainerWriter(path)
    stored = [
        writer.add(file(n, *(content[at : at + chunk] for at in range(0, len(content), chunk))))
        for n, content in enumerate(contents)
    ]
    writer.seal()
    assert [bytes_of(path, each) for each in stored] == contents
    for each, content in zip(stored, contents, strict=True):
        assert each.size == len(content)
        assert each.crc32 == zlib.crc32(content)
        assert each.sha256 == hashlib.sha256(content).hexdigest()
    with zipfile.ZipFile(path) as read:
        assert read.testzip() is None
        assert [read.read(name) for name in read.namelist()] == contents


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not installed")
def test_unzip_finds_no_fault(path: Path) -> None:
    writer = ContainerWriter(path)
    for n in range(300):
        writer.add(file(n, noise(n * 50), name="größe.fits"))
    writer.seal()
    tested = subprocess.run(["unzip", "-t", path], capture_output=True, timeout=60, check=False)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert b"No errors" in tested.stdout


def test_more_files_than_a_plain_zip_can_hold(path: Path) -> None:
    writer = ContainerWriter(path)
    stored = [writer.add(file(n, b"%d" % n)) for n in range(66_000)]
    writer.seal()
    with zipfile.ZipFile(path) as read:
        assert len(read.infolist()) == 66_000
        assert read.read("r65999/cutout.fits") == b"65999"
    assert bytes_of(path, stored[65_999]) == b"65999"


def test_files_beyond_four_gigabytes(path: Path) -> None:
    # What is overwritten by a rewind leaves a hole: the file is long, and takes no room on the disk.
    writer = ContainerWriter(path)
    writer.add(file(0, b"first"))
    writer._flush()
    writer._written += 5 << 30
    far = writer.add(file(1, b"far away"))
    writer.seal()
    assert far.offset > 5 << 30
    with zipfile.ZipFile(path) as read:
        assert read.read("r0/cutout.fits") == b"first"
        assert read.read("r1/cutout.fits") == b"far away"


def test_equal_files_give_equal_containers(tmp_path: Path) -> None:
    for name in ("a", "b"):
        writer = ContainerWriter(tmp_path / name)
        writer.add(file(0, noise(100_000)))
        writer.add(file(1, b"text", name="b.txt"))
        writer.seal()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("chunks", [(), (b"some",), (noise(BUFFER_BYTES * 3), b"more")], ids=len)
def test_a_file_that_breaks_off_leaves_nothing_behind(tmp_path: Path, chunks: tuple[bytes, ...]) -> None:
    plain, broken = ContainerWriter(tmp_path / "plain"), ContainerWriter(tmp_path / "broken")
    for writer in (plain, broken):
        writer.add(file(0, noise(1000)))
    with pytest.raises(ValueError, match="no more pixels"):
        broken.add(File("r1", "cutout.fits", "application/fits", breaking(*chunks)))
    for writer in (plain, broken):
        writer.add(file(2, noise(2000)))
        writer.seal()
    assert (tmp_path / "plain").read_bytes() == (tmp_path / "broken").read_bytes()


def test_a_row_that_breaks_off_leaves_none_of_its_files_behind(path: Path) -> None:
    writer = ContainerWriter(path)
    row = [file(0, noise(2 * BUFFER_BYTES)), File("r1", "b", "text/plain", breaking(b"x"))]
    with pytest.raises(ValueError, match="no more pixels"):
        writer.add_all(row)
    assert [each.result_id for each in writer.add_all([file(0, b"a"), file(1, b"b")])] == ["r0", "r1"]
    writer.seal()
    with zipfile.ZipFile(path) as read:
        assert read.namelist() == ["r0/cutout.fits", "r1/cutout.fits"]
    assert path.stat().st_size < 1000


@pytest.mark.parametrize(
    ("result_id", "name", "inside"),
    [
        ("a", "x.fits", "a/x.fits"),
        ("..", "../../etc/passwd", "_../.._.._etc_passwd"),
        ("/a", "C:\\x\n", "_a/C__x_"),
        (".", "", "_./_"),
    ],
)
def test_names_inside_lead_nowhere_else(path: Path, result_id: str, name: str, inside: str) -> None:
    writer = ContainerWriter(path)
    stored = writer.add(File(result_id, name, "text/plain", [b"x"]))
    writer.seal()
    assert (stored.result_id, stored.file_name) == (result_id, name)
    with zipfile.ZipFile(path) as read:
        assert read.namelist() == [inside]


def test_a_full_disk_raises_and_discard_leaves_nothing(path: Path) -> None:
    path.symlink_to("/dev/full")
    writer = ContainerWriter(path)
    small = writer.add(file(0, b"still in memory"))
    assert small.size == 15
    for _ in range(2):
        with pytest.raises(OSError, match="No space") as failed:
            writer.add(file(1, noise(2 * BUFFER_BYTES)))
        assert failed.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="No space"):
        writer.seal()
    writer.discard()
    assert not path.is_symlink()
    writer.discard()


def test_a_container_is_for_its_owner_and_begins_anew(path: Path) -> None:
    path.write_bytes(noise(10_000))
    path.chmod(0o600)
    writer = ContainerWriter(path)
    writer.seal()
    assert path.stat().st_size == 22
    writer = ContainerWriter(path.with_name("8.1.zip"))
    writer.discard()
    assert [found.name for found in path.parent.iterdir()] == ["7.1.zip"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_more_pieces_than_are_written_at_a_time(tmp_path: Path) -> None:
    writer = ContainerWriter(tmp_path / "container.zip")
    contents = {f"r{n}": bytes([n % 251]) * (n % 7) for n in range(1500)}
    for name, content in contents.items():
        # Byte by byte: many more pieces than files.
        pieces = (content[i : i + 1] for i in range(len(content)))
        writer.add(File(name, "x", "application/octet-stream", pieces))
    with pytest.raises(ZeroDivisionError):
        writer.add(File("bad", "x", "application/octet-stream", (bytes(1 // n) for n in (1, 1, 0))))
    writer.seal()
    with zipfile.ZipFile(tmp_path / "container.zip") as archive:
        assert archive.testzip() is None
        assert {name.partition("/")[0]: archive.read(name) for name in archive.namelist()} == contents
