"""The results store, in a folder and in a bucket: what is kept, what is found, what is left when it fails."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest

from tests.support.s3 import BUCKET, ObjectStore, object_store
from uws.containers import ContainerWriter
from uws.job import Claim, Result, Row, RowReport, RowStatus, Stored, Upload
from uws.jobtype import File
from uws.results import ResultStore, StorageError, disposition
from uws.shelves import CHUNK_BYTES, PART_BYTES, Window
from uws.uploads import as_result

JOB = "0f" * 16


def claim(task_id: int = 7, fence: int = 2, job_id: str = JOB) -> Claim:
    return Claim(task_id, job_id, "toy", "", "low", "w", fence, 1, 0, None, (Row(0, "r0"),))


def result_of(stored: Stored, row: int = 0) -> Result:
    return Result(
        stored.result_id,
        row,
        0,
        RowStatus.DONE,
        "",
        stored.media_type,
        stored.file_name,
        stored.container,
        stored.offset,
        stored.size,
        stored.crc32,
        stored.sha256,
    )


def sentence(message: str) -> Result:
    return Result(
        "r9", 9, 0, RowStatus.EMPTY, message, "text/plain; charset=utf-8", "r9.txt", "", 0, 0, 0, ""
    )


def write(store: ResultStore, mine: Claim, contents: Sequence[bytes]) -> tuple[Path, list[RowReport]]:
    path = store.spool(mine)
    writer = ContainerWriter(path)
    reports = []
    for n, content in enumerate(contents):
        kept = writer.add(File(f"r{n}", f"cut out {n}.fits", "application/fits", [content]))
        reports.append(RowReport(n, f"r{n}", RowStatus.DONE, files=(kept,)))
    writer.seal()
    return path, [*reports, RowReport(len(reports), "r9", RowStatus.EMPTY, "UsageError: no overlap")]


def published(store: ResultStore, mine: Claim, contents: Sequence[bytes]) -> list[Result]:
    path, reports = write(store, mine, contents)
    after = store.publish(mine, path, reports)
    assert after[-1] == reports[-1]
    return [result_of(file) for report in after for file in report.files]


def content(store: ResultStore, result: Result, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join(store.read(result, start, stop))


@dataclass(frozen=True)
class Kind:
    """A store, and what is in it as seen from outside."""

    store: ResultStore
    names: Callable[[], list[str]]


@pytest.fixture(scope="session")
def s3() -> Iterator[ObjectStore]:
    with object_store() as store:
        yield store


@pytest.fixture(params=["folder", "bucket", "redirect"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    if request.param == "folder":
        root = tmp_path / "results"

        def names() -> list[str]:
            return sorted(str(found.relative_to(root)) for found in root.rglob("*") if found.is_file())

        return Kind(ResultStore(str(root), tmp_path / "unused"), names)
    s3: ObjectStore = request.getfixturevalue("s3")
    url = f"{s3.url}/{request.node.name}".replace("[", "-").replace("]", "")
    store = ResultStore(url, tmp_path / "spool", s3.options, redirect=request.param == "redirect")
    prefix = url.removeprefix(f"s3://{BUCKET}/") + "/"

    def keys() -> list[str]:
        return [key.removeprefix(prefix) for key in s3.names() if key.startswith(prefix)]

    return Kind(store, keys)


def files_below(folder: Path) -> list[Path]:
    return [found for found in folder.rglob("*") if found.is_file()]


CONTENTS = [b"", b"SIMPLE  =" * 320, os.urandom(3 * CHUNK_BYTES + 17)]


def test_what_is_published_can_be_read(kind: Kind, tmp_path: Path) -> None:
    results = published(kind.store, claim(), CONTENTS)
    assert [content(kind.store, result) for result in results] == CONTENTS
    whole = CONTENTS[2]
    for start, stop in ((0, 1), (10, 20), (CHUNK_BYTES - 1, 2 * CHUNK_BYTES + 1), (len(whole) - 1, None)):
        assert content(kind.store, results[2], start, stop) == whole[start:stop]
    assert content(kind.store, results[2], 0, 10**12) == whole
    assert max(map(len, kind.store.read(results[2]))) <= CHUNK_BYTES
    assert files_below(tmp_path / "spool") == []


def test_names_are_of_the_documented_shape(kind: Kind, request: pytest.FixtureRequest) -> None:
    results = published(kind.store, claim(), CONTENTS)
    if "redirect" in request.node.name:
        assert kind.names() == [f"{JOB}/7.2/{n}-cut_out_{n}.fits" for n in range(3)]
        assert [result.offset for result in results] == [0, 0, 0]
    else:
        assert kind.names() == [f"{JOB}/7.2.zip"]
    assert {result.container for result in results} == set(kind.names())


def test_a_sentence_is_its_own_content(kind: Kind) -> None:
    assert content(kind.store, sentence("UsageError: größer")) == "UsageError: größer".encode()
    assert content(kind.store, sentence("UsageError: no"), 0, 5) == b"Usage"
    assert kind.store.local(sentence("no")) is None
    assert kind.store.signed_url(sentence("no")) is None


def test_a_task_without_files_leaves_nothing(kind: Kind, tmp_path: Path) -> None:
    assert published(kind.store, claim(), []) == []
    assert kind.names() == []
    assert files_below(tmp_path) == []


def test_a_discarded_claim_leaves_nothing_and_others_stay(kind: Kind, tmp_path: Path) -> None:
    kept = [*published(kind.store, claim(7, 1), CONTENTS), *published(kind.store, claim(7, 20), CONTENTS)]
    published(kind.store, claim(7, 2), CONTENTS)
    write(kind.store, claim(7, 3), CONTENTS)
    kind.store.discard(claim(7, 2))
    kind.store.discard(claim(7, 3))
    kind.store.discard(claim(7, 4))
    assert set(kind.names()) == {result.container for result in kept}
    assert files_below(tmp_path / "spool") == []


def test_objects_are_listed_with_their_ages_and_removed(kind: Kind) -> None:
    assert list(kind.store.jobs()) == []
    other = published(kind.store, claim(8, 1, "e" * 32), CONTENTS)
    published(kind.store, claim(), CONTENTS)
    assert sorted(kind.store.jobs()) == [JOB, "e" * 32]
    found = dict(kind.store.objects(JOB))
    assert sorted(found) == [name for name in kind.names() if name.startswith(JOB)]
    assert all(0 <= age_s < 60 for age_s in found.values())
    assert list(kind.store.objects("f" * 32)) == []
    for name in found:
        kind.store.remove(name)
        kind.store.remove(name)
    assert dict(kind.store.objects(JOB)) == {}
    assert set(kind.names()) == {result.container for result in other}


def test_a_job_is_removed_whole(kind: Kind, tmp_path: Path) -> None:
    [*_, gone] = published(kind.store, claim(), CONTENTS)
    published(kind.store, claim(8), CONTENTS)
    write(kind.store, claim(9), CONTENTS)
    kind.store.remove_job(JOB)
    kind.store.remove_job(JOB)
    assert kind.names() == []
    assert list(kind.store.jobs()) == []
    assert files_below(tmp_path) == []
    with pytest.raises(FileNotFoundError):
        content(kind.store, gone)


STRANGE = [
    "../../etc/passwd",
    "/etc/passwd",
    f"{JOB}/../{JOB}/7.2.zip",
    f"{JOB}/7.2.zip\n",
    f"{JOB}/7.2.zip/..",
    f"{JOB}//7.2.zip",
    f"{JOB}/7.2/../../x",
    f"{JOB}/7.2/0-a/b",
    f"{JOB}/٧.2.zip",
    f".{JOB}/7.2.zip",
    "7.2.zip",
    JOB,
]


@pytest.mark.parametrize("name", STRANGE)
def test_no_other_name_is_ever_opened(kind: Kind, name: str) -> None:
    [result] = published(kind.store, claim(), [b"content"])
    forged = replace(result, container=name)
    for use in (
        lambda: content(kind.store, forged),
        lambda: kind.store.remove(name),
        lambda: kind.store.remove_job(f"{JOB}/.."),
        lambda: list(kind.store.objects("..")),
    ):
        with pytest.raises(FileNotFoundError):
            use()
    assert kind.store.signed_url(forged) is None
    assert content(kind.store, result) == b"content"


def test_a_container_that_is_shorter_than_reported_is_refused(kind: Kind) -> None:
    path, reports = write(kind.store, claim(), CONTENTS)
    os.truncate(path, 1000)
    with pytest.raises(StorageError, match="shorter"):
        kind.store.publish(claim(), path, reports)
    kind.store.discard(claim())
    assert kind.names() == []


def test_a_result_that_is_shorter_than_the_ledger_says_is_never_sent_as_whole(kind: Kind) -> None:
    [result] = published(kind.store, claim(), [b"x" * 5000])
    with pytest.raises(StorageError):
        content(kind.store, replace(result, size=100_000))


def test_a_container_that_vanished_is_an_error_of_the_store(kind: Kind) -> None:
    path, reports = write(kind.store, claim(), CONTENTS)
    path.unlink()
    with pytest.raises(StorageError) as failed:
        kind.store.publish(claim(), path, reports)
    assert str(path.parent) not in str(failed.value)


def test_a_store_that_works_says_so(kind: Kind) -> None:
    assert kind.store.check() is None
    assert kind.store.has_room()
    assert kind.names() == []


def test_redirect_gives_large_files_in_parts(s3: ObjectStore, tmp_path: Path) -> None:
    store = ResultStore(f"{s3.url}/large", tmp_path, s3.options, redirect=True)
    contents = [b"a" * 10, os.urandom(2 * PART_BYTES + 5), *[b"%d" % n for n in range(100)]]
    results = published(store, claim(), contents)
    assert [content(store, result) for result in results] == contents


def test_large_containers_are_stored_in_parts(s3: ObjectStore, tmp_path: Path) -> None:
    store = ResultStore(f"{s3.url}/parts/", tmp_path, s3.options)
    contents = [os.urandom(PART_BYTES), os.urandom(PART_BYTES + 3)]
    results = published(store, claim(), contents)
    assert [content(store, result) for result in results] == contents
    told = s3.client.head_object(Bucket=BUCKET, Key=f"fountain/parts/{JOB}/7.2.zip")
    assert told["ETag"].strip('"').endswith("-3")  # so S3 marks what came in three parts


def test_what_was_lost_on_its_way_to_a_bucket_is_swept(s3: ObjectStore, tmp_path: Path) -> None:
    store = ResultStore(f"{s3.url}/swept", tmp_path, s3.options)
    old, _ = write(store, claim(1), CONTENTS)
    os.utime(old, (1, 1))
    new, _ = write(store, claim(2), CONTENTS)
    store.sweep_spool(3600)
    assert files_below(tmp_path) == [new]


def test_a_bucket_that_does_not_answer(tmp_path: Path) -> None:
    once = {"retries": {"total_max_attempts": 1}}
    options = {"key": "k", "secret": "s", "endpoint_url": "http://127.0.0.1:9", "config_kwargs": once}
    store = ResultStore("s3://gone/here", tmp_path, options)
    assert store.check() == "results cannot be stored"
    assert store.has_room()
    path, reports = write(store, claim(), [b"content"])
    with pytest.raises(StorageError) as failed:
        store.publish(claim(), path, reports)
    assert "127.0.0.1" not in str(failed.value)
    store.discard(claim())
    assert files_below(tmp_path) == []


def test_folders_are_for_their_owner_alone(tmp_path: Path) -> None:
    store = ResultStore(f"file://{tmp_path}/results", tmp_path / "unused")
    path = store.spool(claim())
    assert path == tmp_path / "results" / JOB / "7.2.zip"
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.parent.parent.stat().st_mode & 0o777 == 0o700


def test_an_open_part_of_a_file_outlives_the_file(tmp_path: Path) -> None:
    store = ResultStore(str(tmp_path), tmp_path / "unused")
    [_, result] = published(store, claim(), [b"before", b"0123456789"])
    assert store.local(result) == tmp_path / JOB / "7.2.zip"
    window = store.open(result, 2, 8)
    assert isinstance(window, Window)
    with window:
        store.remove_job(JOB)
        assert (window.read(4), window.read(), window.read()) == (b"2345", b"67", b"")


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    store = ResultStore(str(tmp_path), tmp_path / "unused")
    [result] = published(store, claim(), [b"content"])
    path = store.local(result)
    assert path is not None
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError):
        content(store, result)


def test_a_missing_folder_is_not_a_missing_result(tmp_path: Path) -> None:
    root = tmp_path / "results"
    store = ResultStore(str(root), tmp_path / "unused")
    [result] = published(store, claim(), [b"content"])
    root.rename(tmp_path / "unmounted")
    with pytest.raises(StorageError, match="missing"):
        content(store, result)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("no folder")
    store = ResultStore(str(tmp_path / "results"), tmp_path / "unused")
    with pytest.raises(StorageError) as failed:
        store.spool(claim())
    assert str(tmp_path) not in str(failed.value)
    assert store.check() == "results cannot be stored"
    assert not store.has_room()


def test_room_is_kept_in_reserve(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path)
    total = free.f_blocks * free.f_frsize
    assert not ResultStore(str(tmp_path), tmp_path, reserve_bytes=total + 1).has_room()
    assert ResultStore(str(tmp_path), tmp_path, reserve_bytes=1).has_room()


@pytest.mark.parametrize("url", ["ftp://host/results", "s3://", "http://host/"])
def test_other_kinds_of_stores_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a folder, or in s3"):
        ResultStore(url, tmp_path)


def test_a_folder_sends_nobody_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not to a folder"):
        ResultStore(str(tmp_path), tmp_path, redirect=True)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cut.fits", 'attachment; filename="cut.fits"'),
        (
            'a"b\\c.fits',
            "attachment; filename=\"a_b_c.fits\"; filename*=UTF-8''a%22b_c.fits",
        ),
        ("größe.fits", "attachment; filename=\"gr__e.fits\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.fits"),
        ("50%.fits", "attachment; filename=\"50_.fits\"; filename*=UTF-8''50%25.fits"),
        ("a\r\nX: y", 'attachment; filename="a__X: y"'),
        ("../x", 'attachment; filename=".._x"'),
    ],
)
def test_file_names_in_headers(name: str, said: str) -> None:
    stored = Stored("r0", name, "application/fits", 0, 1, 0, "", f"{JOB}/7.2.zip")
    assert disposition(result_of(stored)) == said


FILL = """
import sys
from pathlib import Path
from tests.uws.test_results import claim, write
from uws.results import ResultStore
store = ResultStore(sys.argv[1], Path(sys.argv[1]), reserve_bytes=1 << 20)
print(store.has_room())
try:
    write(store, claim(), [b"x" * 100_000, b"y" * (4 << 20)])
except OSError as fault:
    print(fault.errno)
print(store.has_room())
store.discard(claim())
print(store.has_room(), [p.name for p in Path(sys.argv[1]).rglob("*.zip")])
"""


def test_a_disk_that_fills_up(tmp_path: Path) -> None:
    mounted = f"mount -t tmpfs -o size=2m tmpfs {tmp_path} && exec "
    own = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*own, f"{mounted} true"], capture_output=True, timeout=30, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    command = f"{mounted} {sys.executable} -c '{FILL}' {tmp_path}"
    done = subprocess.run([*own, command], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split("\n")[:4] == ["True", str(errno.ENOSPC), "False", "True []"], done.stderr


def test_uploads_are_kept_with_their_job(kind: Kind, tmp_path: Path) -> None:
    for number, data in enumerate((b"", b"M31 10 41\n", os.urandom(3 * CHUNK_BYTES + 17))):
        came = kind.store.incoming() / "part"
        came.write_bytes(data)
        stored, digest = kind.store.keep_upload(JOB, came)
        came.unlink()
        assert digest == sha256(data).hexdigest()
        assert kind.names() == [stored]
        upload = Upload("T", "list.csv", "text/csv", len(data), digest, stored)
        assert content(kind.store, as_result(upload)) == data
        assert kind.store.signed_url(as_result(upload)) is None, "it is sent from here, with our headers"
        assert kind.store.fetch_upload(upload, tmp_path / f"{number}").read_bytes() == data
        local = kind.store.local_upload(stored)
        assert local is None or local.read_bytes() == data
        assert [name for name, _ in kind.store.objects(JOB)] == [stored]
        kind.store.remove_soon(stored)
        assert kind.names() == []
    assert files_below(tmp_path / "spool") == []


def test_what_a_split_left_is_found_and_discarded(kind: Kind) -> None:
    folder = kind.store.scratch(claim())
    (folder / "tasks.jsonl").write_text("[]")
    kind.store.discard(claim())
    assert not folder.exists()
