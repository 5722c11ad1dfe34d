"""Opened files: found again, checked, shared between threads, never served when they have changed."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from surveys.errors import BrokenImage, StaleImage
from surveys.fits.source import OpenFile, Source

CONTENT = np.random.default_rng(1).integers(0, 256, 100_000, dtype=np.uint8)
READS: tuple[Literal["mmap", "pread"], ...] = ("mmap", "pread")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tile.fits"
    path.write_bytes(CONTENT.tobytes())
    return path


def opened(source: Source, path: Path) -> OpenFile:
    stat = path.stat()
    return source.open(path, stat.st_size, stat.st_mtime_ns)


def forget(path: Path) -> None:
    """Ask the kernel to drop the file from its cache, so that the next read is cold where it can be."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("cold", [False, True])
def test_lines_are_those_of_the_file(path: Path, read: Literal["mmap", "pread"], cold: bool) -> None:
    file = opened(Source(read), path)
    if cold:
        forget(path)
    out = np.zeros((3, 40, 2, 7), np.uint8)
    file.copy_lines(123, (30_000, 500, 200), out)
    for p, r, n in np.ndindex(3, 40, 2):
        start = 123 + 30_000 * p + 500 * r + 200 * n
        np.testing.assert_array_equal(out[p, r, n], CONTENT[start : start + 7])


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("cold", [False, True])
def test_ranges_are_those_of_the_file(path: Path, read: Literal["mmap", "pread"], cold: bool) -> None:
    file = opened(Source(read), path)
    if cold:
        forget(path)
    offsets, sizes = np.array([5, 99_990, 50, 0, 7]), np.array([3, 10, 900, 0, 0])
    data, starts = file.gather(offsets, sizes)
    assert not data.flags.writeable
    for offset, start, size in zip(offsets, starts, sizes, strict=True):
        np.testing.assert_array_equal(data[start : start + size], CONTENT[offset : offset + size])


@pytest.mark.parametrize("read", READS)
def test_nothing_is_read_beyond_the_end(path: Path, read: Literal["mmap", "pread"]) -> None:
    file = opened(Source(read), path)
    with pytest.raises(BrokenImage, match=r"^tile\.fits is shorter"):
        file.copy_lines(99_000, (0, 100, 0), np.zeros((1, 11, 1, 1), np.uint8))
    with pytest.raises(BrokenImage, match=r"^tile\.fits is shorter"):
        file.gather(np.array([99_999]), np.array([2]))
    with pytest.raises(BrokenImage, match="points outside"):
        file.gather(np.array([-1]), np.array([2]))


def test_a_file_stays_open_and_is_found_again(path: Path) -> None:
    source = Source()
    assert opened(source, path) is opened(source, path)


def test_only_some_files_stay_open(tmp_path: Path) -> None:
    source = Source(max_open=3)
    for i in range(10):
        path = tmp_path / f"{i}.fits"
        path.write_bytes(b"x" * 10)
        opened(source, path)
    held = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_open(fd)]
    # a mapping has a descriptor of its own
    assert {name for name in held if name.startswith(str(tmp_path))} == {
        str(tmp_path / f"{i}.fits") for i in (7, 8, 9)
    }


def _is_open(fd: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{fd}")


def test_a_changed_file_is_stale(path: Path) -> None:
    source, stat = Source(), path.stat()
    source.open(path, stat.st_size, stat.st_mtime_ns)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    with pytest.raises(StaleImage, match=r"^tile\.fits changed since it was indexed\.$"):
        source.open(path, stat.st_size, stat.st_mtime_ns)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    os.truncate(path, stat.st_size - 1)
    with pytest.raises(StaleImage):
        source.open(path, stat.st_size, stat.st_mtime_ns)


def test_a_file_that_is_gone_is_broken(path: Path) -> None:
    source, stat = Source(), path.stat()
    source.open(path, stat.st_size, stat.st_mtime_ns)
    path.unlink()
    with pytest.raises(BrokenImage, match=r"^tile\.fits cannot be opened: No such file"):
        source.open(path, stat.st_size, stat.st_mtime_ns)


def test_a_file_replaced_by_its_like_is_opened_anew(path: Path) -> None:
    source, stat = Source(), path.stat()
    before = source.open(path, stat.st_size, stat.st_mtime_ns)
    other = path.with_name("other")
    other.write_bytes(CONTENT[::-1].tobytes())
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.rename(path)
    after = source.open(path, stat.st_size, stat.st_mtime_ns)
    for file, first in ((before, CONTENT[0]), (after, CONTENT[-1])):
        data, starts = file.gather(np.array([0]), np.array([1]))
        assert data[starts[0]] == first
    with pytest.raises(StaleImage, match="replaced"):
        before.stream()


def test_a_link_is_resolved_when_it_leads_to_another_file(path: Path) -> None:
    source, stat, link = Source(), path.stat(), path.with_name("link.fits")
    link.symlink_to(path)
    asked: list[Path] = []

    def resolve() -> Path:
        asked.append(link.resolve())
        if link.resolve().name == "secret":
            raise BrokenImage("it leads out of the survey's folders")
        return link.resolve()

    def reopened() -> OpenFile:
        return source.open(str(link), stat.st_size, stat.st_mtime_ns, resolve)

    assert reopened() is reopened()
    assert asked == [path]
    for name in ("like", "secret"):
        like = path.with_name(name)
        like.write_bytes(CONTENT[::-1].tobytes())
        os.utime(like, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        link.unlink()
        link.symlink_to(like)
        if name == "like":
            data, starts = reopened().gather(np.array([0]), np.array([1]))
            assert data[starts[0]] == CONTENT[-1]
    with pytest.raises(BrokenImage, match="leads out"):
        reopened()
    link.unlink()
    with pytest.raises(BrokenImage, match=r"^link\.fits cannot be opened: No such file"):
        reopened()


@pytest.mark.parametrize("read", READS)
def test_an_empty_file_can_be_opened_but_not_read(tmp_path: Path, read: Literal["mmap", "pread"]) -> None:
    path = tmp_path / "empty.fits"
    path.touch()
    with pytest.raises(BrokenImage):
        opened(Source(read), path).copy_lines(0, (0, 0, 0), np.zeros((1, 1, 1, 1), np.uint8))


def test_threads_share_few_files(tmp_path: Path) -> None:
    source = Source(max_open=2)
    paths = [tmp_path / f"{i}" for i in range(8)]
    for i, path in enumerate(paths):
        path.write_bytes(bytes([i]) * 1000)

    def read(n: int) -> bool:
        file = opened(source, paths[n % 8])
        data, starts = file.gather(np.array([n % 1000]), np.array([1]))
        return bool(data[starts[0]] == n % 8)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(2000)))


def test_a_file_that_was_always_warm_is_asked_about_now_and_then(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cold, asked, file = False, 0, opened(Source(), path)
    out = np.empty((1, 4, 1, 8), np.uint8)

    def preadv(fd: int, buffers: list[bytearray], offset: int, flags: int = 0) -> int:
        nonlocal asked
        asked += bool(flags)
        if flags and cold:
            raise BlockingIOError
        return real(fd, buffers, offset)

    real = os.preadv
    monkeypatch.setattr(os, "preadv", preadv)

    def times_asked(reads: int) -> int:
        before = asked
        for _ in range(reads):
            file.copy_lines(100, (0, 50, 0), out)
        return asked - before

    assert times_asked(64) == 3 * 64
    assert 0 < times_asked(64) < 3 * 10
    cold = True
    assert times_asked(64) > 40  # once it is noticed, each time
    for row in range(4):
        assert (out[0, row, 0] == CONTENT[100 + 50 * row :][:8]).all()
