"""Archives that are nowhere on the disk: every byte has its place, and real programs read them."""

from __future__ import annotations

import io
import random
import subprocess
import tarfile
import zipfile
import zlib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uws import zips
from uws.packages.archives import Archive, divide, make_archive
from uws.packages.joined import read_archive
from uws.packages.members import Member, Members, Piece
from uws.results import ResultStore

MOMENT = datetime(2026, 3, 4, 5, 6, 8, tzinfo=UTC)
LONG = "a/" * 60 + "name_that_no_plain_header_of_a_tar_has_room_for.fits"
FORMATS = ("zip", "tar")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files of many sizes, one of them empty, one larger than what is read at once."""
    random.seed(7)
    sizes = [0, 1, 511, 512, 513, 3_000_000, *(random.randrange(5000) for _ in range(40))]
    contents = {f"root/fits/{n:03}.fits": random.randbytes(size) for n, size in enumerate(sizes)}
    return {**contents, LONG: b"long"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archives")


@pytest.fixture(scope="module")
def store(folder: Path) -> ResultStore:
    return ResultStore(str(folder / "results"), folder / "spool")


@pytest.fixture(scope="module")
def members(folder: Path, store: ResultStore, files: dict[str, bytes]) -> Members:
    """Have the files in two containers, not in the order of their names, with gaps between them."""
    job, made = "0f" * 16, {}
    (folder / "results" / job).mkdir(parents=True)
    names = sorted(files, key=lambda name: zlib.crc32(name.encode()))
    for number in (0, 1):
        container, blob = f"{job}/{number}.1.zip", bytearray()
        for name in names[number::2]:
            blob += random.randbytes(random.choice([30, 9000]))
            made[name] = Member(
                name.encode(), container, len(blob), len(files[name]), zlib.crc32(files[name])
            )
            blob += files[name]
        (folder / "results" / container).write_bytes(blob)
    return Members.of([made[name] for name in files])


def content(archive: Archive, store: ResultStore, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join(read_archive(archive, store, start, archive.size if stop is None else stop))


@pytest.fixture(scope="module", params=FORMATS)
def whole(request: pytest.FixtureRequest, members: Members, store: ResultStore) -> tuple[Archive, bytes]:
    archive = make_archive(request.param, members, 0, len(members), MOMENT)
    return archive, content(archive, store)


def unpacked(data: bytes) -> dict[str, bytes]:
    """Read an archive by Python's own modules, which check what there is to be checked."""
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
            assert {entry.date_time for entry in archive.infolist()} == {(2026, 3, 4, 5, 6, 8)}
            return {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = {}
        for entry in archive:
            assert (entry.mtime, entry.mode) == (int(MOMENT.timestamp()), 0o644)
            file = archive.extractfile(entry)
            assert file is not None
            found[entry.name] = file.read()
        return found


def test_an_archive_has_the_size_that_was_told_and_all_files(
    whole: tuple[Archive, bytes], files: dict[str, bytes]
) -> None:
    archive, data = whole
    assert archive.size == len(data)
    found = unpacked(data)
    assert found == files
    assert list(found) == list(files)


def test_programs_of_others_read_it(
    whole: tuple[Archive, bytes], tmp_path: Path, files: dict[str, bytes]
) -> None:
    path = tmp_path / "archive"
    path.write_bytes(whole[1])
    command = ["unzip", "-tq"] if whole[1][:2] == b"PK" else ["tar", "tf"]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    if command[0] == "tar":
        assert done.stdout.split() == list(files)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_range_is_that_of_the_whole(
    data: st.DataObject, whole: tuple[Archive, bytes], store: ResultStore
) -> None:
    archive, expected = whole
    start = data.draw(st.integers(0, archive.size - 1))
    stop = data.draw(st.integers(start, archive.size) | st.integers(start, min(start + 700, archive.size)))
    assert content(archive, store, start, stop) == expected[start:stop]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("part_bytes", [2000, 20_000, 1 << 22, 1 << 40])
def test_parts_are_archives_and_hold_all_files(
    form: str, part_bytes: int, members: Members, store: ResultStore, files: dict[str, bytes]
) -> None:
    parts = divide(form, members, 3, part_bytes)
    assert parts[0][0] == 0
    assert parts[0][1] >= 3
    assert [last for _, last in parts] == [*(first for first, _ in parts[1:]), len(members)]
    found: dict[str, bytes] = {}
    for first, last in parts:
        archive = make_archive(form, members, first, last, MOMENT)
        assert archive.size <= part_bytes or last - first == 1 or first == 0
        found |= unpacked(content(archive, store))
    assert found == files


@pytest.mark.parametrize("form", FORMATS)
def test_files_and_archives_of_many_gigabytes(form: str, tmp_path: Path) -> None:
    """Nothing of this size is read: the bytes around the files say where they would be."""
    sizes, crc32 = [5 << 30, 9 << 30, 100, 4 << 30], zlib.crc32(bytes(100))
    members = Members.of(
        [Member(f"{n}.fits".encode(), str(tmp_path), 0, size, crc32) for n, size in enumerate(sizes)]
    )
    archive = make_archive(form, members, 0, len(members), MOMENT)
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        for segment in archive.segments(0, archive.size):
            if isinstance(segment, Piece):
                file.seek(segment.stop - segment.start, io.SEEK_CUR)
            else:
                file.write(segment)
        file.truncate(archive.size)
    if form == "zip":
        with zipfile.ZipFile(path) as opened:
            assert [entry.file_size for entry in opened.infolist()] == sizes
            with opened.open("2.fits") as third:
                assert third.read() == bytes(100)
    else:
        with tarfile.open(path) as tar:
            assert [entry.size for entry in tar] == sizes


def test_more_files_than_a_plain_zip_has_room_for() -> None:
    count = 65_537
    none = np.zeros(count, np.int64)
    members = Members(
        b"n" * count,
        np.arange(1, count + 1),
        ["c"],
        none.astype(np.int32),
        none,
        none,
        none.astype(np.uint32),
    )
    archive = make_archive("zip", members, 0, count, MOMENT)
    (end,) = archive.segments(archive.size - 98, archive.size)
    assert isinstance(end, bytes)
    assert end[:4] == b"PK\6\6"
    assert int.from_bytes(end[24:32], "little") == int.from_bytes(end[32:40], "little") == count


def test_a_moment_that_a_zip_does_not_know() -> None:
    assert zips.dos_moment(datetime(1970, 1, 1, tzinfo=UTC)) == zips.BEGINNING
