"""Files of a lake are found within its root, and nothing outside it is opened."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from surveys.errors import BrokenImage, ImageRefused, StaleImage, SurveyError, UnknownDataset
from surveys.parquet.files import LakeFiles
from tests.surveys.parquet.lakes import lake_of

NIGHT = "year=2020/month=01/part-0.parquet"


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    root = tmp_path / "lake"
    for path in (NIGHT, "year=2020/month=02/part-1.parquet", "a.parquet"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())
    (tmp_path / "secret.parquet").write_bytes(b"secret")
    return root


def test_a_walk_gives_the_files_in_order_and_no_others(lake: Path) -> None:
    for other in (
        "_SUCCESS",
        ".part-0.parquet.crc",
        "_temporary/0/part-9.parquet",
        "notes.txt",
        "_x.parquet",
    ):
        (lake / other).parent.mkdir(parents=True, exist_ok=True)
        (lake / other).write_bytes(b"x")
    (lake / "inside.parquet").symlink_to(lake / "a.parquet")
    walk = LakeFiles(lake_of(lake)).walk()
    found = list(walk)
    assert [file.path for file in found] == [
        "a.parquet",
        "inside.parquet",
        NIGHT,
        "year=2020/month=02/part-1.parquet",
    ]
    facts = (lake / NIGHT).stat()
    assert (found[2].size, found[2].version) == (len(NIGHT), str(facts.st_mtime_ns))
    assert (walk.hidden, walk.unreadable) == ([], [])


def test_links_out_of_the_root_are_left_out_and_said(lake: Path, tmp_path: Path) -> None:
    (lake / "file.parquet").symlink_to(tmp_path / "secret.parquet")
    (lake / "folder").symlink_to(tmp_path)
    (lake / "again").symlink_to(lake)
    (lake / "gone.parquet").symlink_to(lake / "nothing.parquet")
    os.mkfifo(lake / "pipe.parquet")
    (lake / NIGHT).with_name("in.parquet").symlink_to(tmp_path / "secret.parquet")
    walk = LakeFiles(lake_of(lake)).walk()
    found = [file.path for file in walk]
    assert (found[0], len(found)) == ("a.parquet", 3)
    assert walk.hidden == [
        ("file.parquet", "it leads out of the lake"),
        ("folder", "it leads out of the lake"),
        ("gone.parquet", "it is no longer there"),
        ("pipe.parquet", "it is not a regular file"),
        (NIGHT.rpartition("/")[0] + "/in.parquet", "it leads out of the lake"),
    ]


def test_a_root_that_is_a_link_is_the_folder_it_leads_to(lake: Path, tmp_path: Path) -> None:
    (tmp_path / "here").symlink_to(lake)
    files = LakeFiles(lake_of(tmp_path / "here"))
    assert len(list(files.walk())) == 3
    file = files.find("a.parquet")
    assert files.open(file.path, file.size, file.version).read(0, 9) == b"a.parquet"


def test_a_lake_that_is_not_there_is_told_without_its_place(tmp_path: Path) -> None:
    with pytest.raises(SurveyError, match=r"^the folder of the lake is not there: nothing$"):
        LakeFiles(lake_of(tmp_path / "nothing")).walk()


def test_a_path_tells_fields_of_the_template_and_of_folders(lake: Path) -> None:
    files = LakeFiles(lake_of(lake, "{survey}/**/{band}-{part}.parquet"))
    told = {"survey": "ztf", "year": "2020", "kind": "a b", "band": "g", "part": "17"}
    assert files.fields("ztf/year=2020/kind=a%20b/g-17.parquet") == told


@pytest.mark.parametrize(
    "beginning", ["", "hdfs://broker:8020/user/fink/", "/user/fink/", "hdfs://other/fink/"]
)
def test_clients_name_files_by_any_beginning_that_is_declared(lake: Path, beginning: str) -> None:
    files = LakeFiles(
        lake_of(lake, known_as=("hdfs://broker:8020/user/fink", "/user/fink", "hdfs://other/fink"))
    )
    assert files.confine(beginning + NIGHT) == NIGHT


ESCAPES = [
    "",
    "/",
    ".",
    "..",
    "../secret.parquet",
    "year=2020/../../secret.parquet",
    "year=2020/./part.parquet",
    "a//b.parquet",
    "/etc/passwd",
    "/nowhere/a.parquet",
    "file:///etc/passwd",
    "hdfs://elsewhere:8020/user/fink/a.parquet",
    "hdfs://broker:8020/user/finkx/a.parquet",
    "hdfs://broker:8020/user/fink/../x.parquet",
    "hdfs://broker:8020/user/fink/",
    "hdfs://broker:8020/user/fink//etc/passwd",
    "hdfs://broker:8020/user/fink/s3://bucket/a.parquet",
    "s3://bucket/a.parquet",
    "%2e%2e/secret.parquet",
    "%252e%252e/secret.parquet",
    "..%2fsecret.parquet",
    "a%00.parquet",
    "a\x00.parquet",
    "a\n.parquet",
    "..\\secret.parquet",
    "a%5c..%5csecret.parquet",
    "a/" * 2000 + "b.parquet",
]


@pytest.mark.parametrize("named", ESCAPES)
def test_whatever_leads_elsewhere_is_refused_and_nothing_is_touched(named: str) -> None:
    class Untouched:
        """Fails at whatever is done to it."""

        def __getattr__(self, name: str) -> Callable[..., None]:
            raise AssertionError(name)

    files = LakeFiles(lake_of("/nowhere", known_as=("hdfs://broker:8020/user/fink",)))
    files._store = Untouched()  # type: ignore[assignment]
    with pytest.raises(UnknownDataset, match="not one of a file that is served here"):
        files.confine(named)
    with pytest.raises(ImageRefused):
        files.find(named)
    if named != "hdfs://broker:8020/user/fink/s3://bucket/a.parquet":
        with pytest.raises(UnknownDataset):
            files.open(named, 1, "1")


def test_a_file_is_read_range_by_range(lake: Path) -> None:
    files = LakeFiles(lake_of(lake))
    file = files.find(NIGHT)
    reader = files.open(file.path, file.size, file.version)
    assert (reader.name, reader.size) == ("part-0.parquet", len(NIGHT))
    assert reader.read(5, 4) == b"2020"
    assert reader.read(0, 0) == b""
    assert files.open(file.path, file.size, file.version) is reader
    for offset, size in ((0, len(NIGHT) + 1), (-1, 2), (len(NIGHT), 1), (0, -1)):
        with pytest.raises(BrokenImage, match=r"^part-0\.parquet is shorter than it says\.$"):
            reader.read(offset, size)


def test_a_file_that_was_replaced_is_noticed(lake: Path, tmp_path: Path) -> None:
    files = LakeFiles(lake_of(lake))
    file = files.find("a.parquet")
    facts = (lake / "a.parquet").stat()
    reader = files.open(file.path, file.size, file.version)
    # Another file, of the same size and the same time.
    (tmp_path / "new").write_bytes(b"A.PARQUET")
    os.utime(tmp_path / "new", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    os.replace(tmp_path / "new", lake / "a.parquet")
    assert reader.read(0, 9) == b"a.parquet", "what was opened is still whole"
    assert files.open(file.path, file.size, file.version).read(0, 9) == b"A.PARQUET"
    # In place.
    reader = files.open(file.path, file.size, file.version)
    (lake / "a.parquet").write_bytes(b"b.parquet")
    os.utime(lake / "a.parquet", ns=(1, 1))
    for use in (lambda: reader.read(0, 9), lambda: files.open(file.path, file.size, file.version)):
        with pytest.raises(StaleImage, match=r"a\.parquet changed"):
            use()
    (lake / "a.parquet").unlink()
    with pytest.raises(BrokenImage, match=r"^a\.parquet cannot be opened: No such file or directory\.$"):
        files.open(file.path, file.size, file.version)


def test_a_link_that_comes_to_lead_out_is_not_followed(lake: Path, tmp_path: Path) -> None:
    files = LakeFiles(lake_of(lake))
    (lake / "a.parquet").unlink()
    (lake / "a.parquet").symlink_to(tmp_path / "secret.parquet")
    facts = (tmp_path / "secret.parquet").stat()
    with pytest.raises(BrokenImage, match=r"^a\.parquet cannot be opened: it leads out of the lake\.$"):
        files.open("a.parquet", facts.st_size, str(facts.st_mtime_ns))
    with pytest.raises(ImageRefused, match="it leads out of the lake"):
        files.find("a.parquet")


def test_only_files_of_the_lake_are_found(lake: Path) -> None:
    (lake / "notes.txt").write_text("x")
    (lake / "_a.parquet").write_text("x")
    (lake / "folder.parquet").mkdir()
    for path, reason in {
        "notes.txt": "it is none of the files",
        "_a.parquet": "it is none of the files",
        "folder.parquet": "it is not a regular file",
        "b.parquet": "it is no longer there",
    }.items():
        with pytest.raises(ImageRefused, match=reason):
            LakeFiles(lake_of(lake)).find(path)
