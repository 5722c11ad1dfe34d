"""A lake that is reached by a URL is walked and read range by range, as one in a folder is."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from surveys.errors import BrokenImage, StaleImage, SurveyError
from surveys.lake import Lake
from surveys.parquet.files import LakeFiles
from surveys.parquet.footer import open_footer
from surveys.parquet.pages import column_pages
from surveys.parquet.source import LakeSource
from tests.support.s3 import BUCKET, ObjectStore, object_store
from tests.surveys.parquet.lakes import lake_of, pages_of, read_values

PATH = "year=2020/part-0.parquet"
VALUES = [bytes([i]) * 1000 for i in range(200)]


def parquet_bytes(values: list[bytes], **options: object) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"stamp": pa.array(values)}), sink, **options)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


STORED = parquet_bytes(VALUES, row_group_size=50, use_dictionary=False, compression="none")


@pytest.fixture(scope="module")
def s3() -> Iterator[ObjectStore]:
    with object_store() as store:
        yield store


@pytest.fixture
def s3_lake(s3: ObjectStore) -> Lake:
    for key in (PATH, "_SUCCESS", "_temporary/part-1.parquet", "notes.txt"):
        s3.client.put_object(Bucket=BUCKET, Key=f"lake/{key}", Body=STORED)
    s3.client.put_object(Bucket=BUCKET, Key="lake-of-others/a.parquet", Body=STORED)
    return lake_of(f"s3://{BUCKET}/lake", storage_options=s3.options)


def test_a_lake_in_an_object_store_is_walked_and_read(s3_lake: Lake) -> None:
    source = LakeSource()
    (file,) = source.files(s3_lake).walk()
    assert (file.path, file.size) == (PATH, len(STORED))
    assert file == source.files(s3_lake).find(PATH)
    assert read_values(source, s3_lake, PATH, "stamp") == VALUES
    assert read_values(LakeSource(), s3_lake, PATH, "stamp", [3, 70, 199]) == [
        VALUES[i] for i in (3, 70, 199)
    ]


def test_an_object_that_was_replaced_is_noticed(s3_lake: Lake, s3: ObjectStore) -> None:
    source = LakeSource()
    pages = pages_of(source, s3_lake, PATH, "stamp")
    file = source.files(s3_lake).find(PATH)
    s3.client.put_object(Bucket=BUCKET, Key=f"lake/{PATH}", Body=STORED.replace(b"\x07" * 9, b"\x08" * 9))
    with pytest.raises(StaleImage, match=r"^part-0\.parquet changed since it was indexed\.$"):
        source.value(s3_lake, PATH, file.size, file.version, pages, 7)
    s3.client.delete_object(Bucket=BUCKET, Key=f"lake/{PATH}")
    with pytest.raises(BrokenImage, match=r"^part-0\.parquet cannot be read: it is no longer there\.$"):
        source.value(s3_lake, PATH, file.size, file.version, pages, 7)


def test_a_bucket_that_is_not_there_is_told(s3: ObjectStore) -> None:
    for root in (f"s3://{BUCKET}/nothing", "s3://no-such-bucket/lake"):
        with pytest.raises(
            SurveyError, match=r"^the (folder|store) of the lake (is not there|does not answer)"
        ):
            list(LakeFiles(lake_of(root, storage_options=s3.options)).walk())


class NameNode(BaseHTTPRequestHandler):
    """As much of the REST interface of HDFS as reading needs, over files of a folder."""

    root: Path
    sent: int
    asked: int

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked = {key: values[0] for key, values in parse_qs(url.query).items()}
        place = self.root / unquote(url.path.removeprefix("/webhdfs/v1/"))
        if not place.exists():
            fault = {"RemoteException": {"exception": "FileNotFoundException", "message": "no"}}
            return self._answer(json.dumps(fault).encode(), 404)
        if asked["op"] == "GETFILESTATUS":
            return self._answer(json.dumps({"FileStatus": self._status(place, "")}).encode())
        if asked["op"] == "LISTSTATUS":
            found = [self._status(entry, entry.name) for entry in place.iterdir()]
            return self._answer(json.dumps({"FileStatuses": {"FileStatus": found}}).encode())
        offset, length = int(asked["offset"]), int(asked["length"])
        type(self).asked += 1
        type(self).sent += length
        return self._answer(place.read_bytes()[offset : offset + length])

    def _status(self, place: Path, name: str) -> dict[str, object]:
        facts = place.stat()
        kind = "DIRECTORY" if place.is_dir() else "FILE"
        length = 0 if place.is_dir() else facts.st_size
        changed = facts.st_mtime_ns // 1_000_000
        return {"pathSuffix": name, "type": kind, "length": length, "modificationTime": changed}

    def _answer(self, content: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def webhdfs(tmp_path: Path) -> Iterator[tuple[Lake, type[NameNode]]]:
    node = type("Node", (NameNode,), {"root": tmp_path, "sent": 0, "asked": 0})
    (tmp_path / "lake" / PATH).parent.mkdir(parents=True)
    (tmp_path / "lake" / PATH).write_bytes(STORED)
    server = ThreadingHTTPServer(("127.0.0.1", 0), node)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield lake_of(f"webhdfs://127.0.0.1:{server.server_port}/lake"), node
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_lake_behind_webhdfs_is_walked_and_read_by_ranges(
    webhdfs: tuple[Lake, type[NameNode]], tmp_path: Path
) -> None:
    lake, node = webhdfs
    source = LakeSource()
    (file,) = source.files(lake).walk()
    assert (file.path, file.size) == (PATH, len(STORED))
    pages = pages_of(source, lake, PATH, "stamp")
    node.sent = 0
    assert source.value(lake, PATH, file.size, file.version, pages, 120) == VALUES[120]
    assert node.sent < len(STORED) / 3, "one page of four was read"
    (tmp_path / "lake" / PATH).write_bytes(STORED + b" ")
    with pytest.raises(StaleImage):
        source.value(lake, PATH, file.size, file.version, pages, 10)


def test_an_index_asks_few_times_for_what_is_near(
    webhdfs: tuple[Lake, type[NameNode]], tmp_path: Path
) -> None:
    lake, node = webhdfs
    many = parquet_bytes(VALUES, row_group_size=5, use_dictionary=False, compression="none")
    (tmp_path / "lake" / PATH).write_bytes(many)
    source, node.asked = LakeSource(), 0
    file = source.files(lake).find(PATH)
    reader = source.files(lake).open(PATH, file.size, file.version)
    footer = open_footer(reader)
    assert footer.read(["stamp"])["stamp"].to_pylist() == VALUES
    pages = column_pages(reader, footer, "stamp")
    assert len(pages.lengths) == 40
    assert node.asked < 10, "where there are 40 pages, the headers of which are looked at twice"


def test_what_is_missing_for_hdfs_is_named() -> None:
    """Here is no Hadoop."""
    files = LakeFiles(lake_of("hdfs://broker:8020/user/fink"))
    with pytest.raises(
        SurveyError, match=r"^a lake at hdfs:// cannot be reached; it needs pyarrow .*libhdfs"
    ):
        files.walk()
    with pytest.raises(SurveyError, match=r"^a lake at nosuch:// cannot be reached: it needs a package"):
        LakeFiles(lake_of("nosuch://broker/user/fink")).walk()
