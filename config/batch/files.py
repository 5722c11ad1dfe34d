"""The files of a job one by one, by several connections; those that are there are not fetched again."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from config.batch.archive import MANIFEST, Damaged, safe_path
from config.batch.download import CHUNK_BYTES, Download
from config.batch.faults import Unreachable
from config.batch.service import Service

CONNECTIONS = 4

Progress = Callable[[int, int], object]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file: where it is, where it goes, and what it is."""

    url: str
    path: Path
    size: int
    sha256: str


def fetch_files(service: Service, job_url: str, folder: Path, progress: Progress) -> int:
    """Fetch the manifest of a job and all files that it names.

    Returns
    -------
    int
        How many files there are.

    Raises
    ------
    Damaged
        If a file is not what the manifest says.
    Unreachable
        If the service is silent for too long.
    """
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{MANIFEST}.part"
    part.unlink(missing_ok=True)
    Download(service, f"{job_url}/results/{MANIFEST}", part).run(lambda done, total: None)
    manifest = part.replace(folder / MANIFEST)
    wanted = list(_wanted(manifest, job_url, folder))
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        running = [pool.submit(_fetch, service, file) for file in wanted]
        try:
            progress(0, len(wanted))
            for done, future in enumerate(as_completed(running), start=1):
                future.result()
                progress(done, len(wanted))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return len(wanted)


def _wanted(manifest: Path, job_url: str, folder: Path) -> Iterator[Wanted]:
    with manifest.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row.get("path"):
                url = f"{job_url}/results/{quote(row['result_id'], safe='')}"
                yield Wanted(url, folder / safe_path(row["path"]), int(row["bytes"]), row["sha256"])


def _fetch(service: Service, file: Wanted) -> None:
    if file.path.exists() and file.path.stat().st_size == file.size and _sha256(file.path) == file.sha256:
        return
    file.path.parent.mkdir(parents=True, exist_ok=True)
    part = file.path.with_name(f".{file.path.name}.part")

    def once() -> str:
        digest = hashlib.sha256()
        with service.get(file.url, headers={"Accept": "*/*"}) as answer, part.open("wb") as written:
            for chunk in answer.iter_content(CHUNK_BYTES):
                written.write(chunk)
                digest.update(chunk)
        if digest.hexdigest() != file.sha256 and written_less(part, file.size):
            raise Unreachable(f"{file.path.name} broke off")
        return digest.hexdigest()

    if service.patiently(once) != file.sha256:
        part.unlink()
        raise Damaged(f"{file.path.name} is not what the manifest says: it came damaged")
    part.replace(file.path)


def written_less(path: Path, size: int) -> bool:
    """Whether a file has not all of its bytes."""
    return path.stat().st_size < size


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
