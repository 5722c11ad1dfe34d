"""Downloads that break, go on, and are checked."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from config.batch import archive
from config.batch.download import CHUNK_BYTES, Download
from config.batch.faults import BatchFault, Refused, Unreachable
from config.batch.service import Service
from tests.support.breaking import Breaking, breaking

CONTENT = os.urandom(300_000)
NO_PAUSES = (0.0,) * 3


def fetch(told: Breaking, path: Path, etag: str = "") -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    service = Service(told.url, NO_PAUSES)
    Download(service, f"{told.url}/archive", path, etag).run(lambda done, total: seen.append((done, total)))
    service.close()
    return seen


def test_what_breaks_off_goes_on_where_it_broke(tmp_path: Path) -> None:
    with breaking(Breaking(CONTENT, most=CHUNK_BYTES)) as told:
        seen = fetch(told, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert told.asked == ["", *(f"bytes={n * CHUNK_BYTES}-" for n in range(1, 5))]


def test_a_beginning_is_gone_on_with_if_it_is_one_of_the_same_file(tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.write_bytes(CONTENT[:1000])
    with breaking(Breaking(CONTENT)) as told:
        fetch(told, part, told.etag)
        assert told.asked == ["bytes=1000-"]
    assert part.read_bytes() == CONTENT


@pytest.mark.parametrize("etag", ["", '"that of another file"'])
def test_a_beginning_of_another_file_is_not_used(tmp_path: Path, etag: str) -> None:
    part = tmp_path / "part"
    part.write_bytes(b"x" * 1000)
    with breaking(Breaking(CONTENT)) as told:
        fetch(told, part, etag)
    assert part.read_bytes() == CONTENT


def test_what_is_there_already_is_not_fetched_again(tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.write_bytes(CONTENT)
    with breaking(Breaking(CONTENT)) as told:
        fetch(told, part, told.etag)
    assert part.read_bytes() == CONTENT


def test_more_than_there_is_begins_anew(tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.write_bytes(CONTENT + b"more")
    with breaking(Breaking(CONTENT)) as told:
        fetch(told, part, told.etag)
    assert part.read_bytes() == CONTENT


def test_a_server_without_ranges_begins_anew(tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.write_bytes(CONTENT[:1000])
    with breaking(Breaking(CONTENT, takes_ranges=False)) as told:
        fetch(told, part, told.etag)
    assert part.read_bytes() == CONTENT


def test_patience_with_a_service_that_is_out_of_order(tmp_path: Path) -> None:
    with breaking(Breaking(CONTENT, unavailable=3)) as told:
        fetch(told, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == CONTENT


def test_patience_has_an_end(tmp_path: Path) -> None:
    with breaking(Breaking(CONTENT, unavailable=100)) as told, pytest.raises(Unreachable, match="503"):
        fetch(told, tmp_path / "part")
    with breaking(Breaking(CONTENT, most=0)) as told, pytest.raises(Unreachable):
        fetch(told, tmp_path / "part")
    with pytest.raises(Unreachable, match="does not answer"):
        fetch(told, tmp_path / "part")


@pytest.mark.parametrize("url", ["", "ftp://example.org", "http://", "file:///etc/passwd"])
def test_a_service_has_a_url(url: str) -> None:
    with pytest.raises(Refused, match="--url"):
        Service(url)


def test_urls_of_services() -> None:
    assert Service("http://example.org/soda/").url == "http://example.org/soda"
    assert Service("https://example.org/soda/async").url == "https://example.org/soda"
    assert Service("localhost:8080").url == "http://localhost:8080"
    assert str(Service("https://me:secret@example.org")) == "https://example.org"


FILES = {"manifest.csv": b"row,status\n1,ok\n", "fits/a/g/one.fits": b"1" * 5000, "fits/a/g/two.fits": b"2"}


def sums(files: dict[str, bytes]) -> bytes:
    return "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in files).encode()


def pack(path: Path, files: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as packed:
            for name, content in files.items():
                packed.writestr(name, content)
        return path
    with tarfile.open(path, "w") as packed_tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed_tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
@pytest.mark.parametrize("top", ["", "job/"])
def test_archives_are_checked_and_taken_apart(tmp_path: Path, suffix: str, top: str) -> None:
    whole = {**FILES, "SHA256SUMS": sums(FILES)}
    path = pack(tmp_path / f"a{suffix}", {top + name: content for name, content in whole.items()})

    into, seen = tmp_path / "into", []
    with archive.opened(path) as packed:
        assert packed.names == [*FILES, "SHA256SUMS"]
        assert archive.check(packed, lambda done, total: seen.append((done, total))) == 3
        archive.check(packed, lambda done, total: None, into)
        assert list(archive.manifest_of(packed)) == [{"row": "1", "status": "ok"}]
    assert seen[-1] == (4, 4)
    found = {str(file.relative_to(into)): file.read_bytes() for file in into.rglob("*") if file.is_file()}
    assert found == whole


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_damaged_archives(tmp_path: Path, suffix: str) -> None:
    wrong = pack(tmp_path / f"w{suffix}", {**FILES, "fits/a/g/two.fits": b"3", "SHA256SUMS": sums(FILES)})
    with pytest.raises(archive.Damaged, match=r"two\.fits"), archive.opened(wrong) as packed:
        archive.check(packed, lambda done, total: None, tmp_path / "into")
    assert not (tmp_path / "into/fits/a/g/two.fits").exists()
    missing = pack(tmp_path / f"m{suffix}", {"SHA256SUMS": sums(FILES)})
    with pytest.raises(archive.Damaged, match="not in the archive"), archive.opened(missing) as packed:
        archive.check(packed, lambda done, total: None)
    (tmp_path / f"cut{suffix}").write_bytes(wrong.read_bytes()[:700])
    with (
        pytest.raises(archive.Damaged, match="came damaged"),
        archive.opened(tmp_path / f"cut{suffix}") as p,
    ):
        archive.check(p, lambda done, total: None)


@pytest.mark.parametrize("name", ["../out", "/out", "a/../../out", "a\\b", "C:out"])
def test_nothing_is_written_elsewhere(tmp_path: Path, name: str) -> None:
    path = pack(tmp_path / "a.tar", {name: b"x"})
    with pytest.raises(BatchFault, match="elsewhere"), archive.opened(path) as packed:
        archive.check(packed, lambda done, total: None, tmp_path / "into")
    assert not (tmp_path / "out").exists()
