"""A package as it is built: its tables in a folder, and where the bytes of all other files lie.

The files themselves are not touched: size and CRC-32 of each are in the ledger.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from uws.job import Job, LedgerRow
from uws.packages.archives import moment_of
from uws.packages.members import Members
from uws.packages.names import safe_name
from uws.packages.package import Package
from uws.packages.writing import (
    ERRORS_CSV,
    FAILED_CSV,
    MANIFEST_CSV,
    MANIFEST_VOT,
    REGIONS,
    Files,
    write_tables,
)

README = "README.txt"
REQUEST = "request.json"
SUMS = "SHA256SUMS"
#: Files that stand before all others in archives, in this order; those that are not there are left out.
TOLD = (MANIFEST_CSV, MANIFEST_VOT, README, REQUEST, REGIONS, ERRORS_CSV, SUMS)

_ARRAYS = "members.npz"
_META = "package.json"
_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class Table:
    """A file that was written: its size and its SHA-256."""

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Built:
    """A package that is ready.

    Parameters
    ----------
    root
        Name of the folder in archives, and of these.
    digest
        SHA-256 of what the files are, and of their names.
    moment
        When the job ended.
    tables
        Files that tell of the others, by name.
    together
        So many members stand before the files of rows.
    members
        All files, in their order.
    """

    root: str
    digest: str
    moment: datetime
    tables: Mapping[str, Table]
    together: int
    members: Members


def build(folder: Path, package: Package, job: Job, job_url: str, rows: Iterable[LedgerRow]) -> None:
    """Write a package into an empty folder; `load` gives it."""
    written = write_tables(folder, package, job, job_url, rows)
    readme = package.readme(job, job_url, dict(written.counts))
    (folder / README).write_text(readme, encoding="utf-8", errors="replace")
    request = json.dumps(package.request(job), indent=2, ensure_ascii=False) + "\n"
    (folder / REQUEST).write_text(request, encoding="utf-8", errors="replace")
    if not written.failed:
        (folder / ERRORS_CSV).unlink()
    order = sorted(range(len(written.files.paths)), key=written.files.paths.__getitem__)
    sums = {name: _sums(folder / name) for name in (*TOLD, FAILED_CSV) if (folder / name).is_file()}
    _write_sums(folder / SUMS, sums, written.files, order)
    sums[SUMS] = _sums(folder / SUMS)
    root = root_of(job)
    told = [(name, *sums[name]) for name in TOLD if name in sums]
    arrays: dict[str, Any] = _members(root, told, written.files, order).arrays()
    np.savez(folder / _ARRAYS, **arrays)
    meta = {
        "root": root,
        "digest": sums[SUMS][2],
        "moment_ms": job.ended_ms or job.created_ms,
        "tables": {name: (size, digest) for name, (size, _, digest) in sums.items()},
        "together": len(told),
        "places": [*(name for name, *_ in told), *written.files.places],
    }
    (folder / _META).write_text(json.dumps(meta))


def root_of(job: Job) -> str:
    """Name of the folder in archives, and of files that a user saves."""
    return safe_name(f"{job.run_id}_{job.job_id[:8]}" if job.run_id else job.job_id)


def load(folder: Path) -> Built:
    """Read what `build` wrote.

    Raises
    ------
    FileNotFoundError
        If it is not there, or not any more.
    """
    meta = json.loads((folder / _META).read_text())
    together = meta["together"]
    places = [*(str(folder / name) for name in meta["places"][:together]), *meta["places"][together:]]
    with np.load(folder / _ARRAYS) as arrays:
        members = Members.from_arrays(arrays, places)
    tables = {name: Table(folder / name, size, digest) for name, (size, digest) in meta["tables"].items()}
    return Built(meta["root"], meta["digest"], moment_of(meta["moment_ms"]), tables, together, members)


def _write_sums(
    path: Path, sums: Mapping[str, tuple[int, int, str]], files: Files, order: Iterable[int]
) -> None:
    """Write what ``sha256sum -c`` reads."""
    with path.open("w") as file:
        file.writelines(f"{sums[name][2]}  {name}\n" for name in TOLD if name in sums)
        for index in order:
            digest = files.sha256s[index * 32 : index * 32 + 32].hex()
            file.write(f"{digest}  {files.paths[index]}\n")


def _members(
    root: str, told: Sequence[tuple[str, int, int, str]], files: Files, order: Sequence[int]
) -> Members:
    """Give all members: the tables, then the files by their paths; only their places are not told."""
    names = [f"{root}/{name}" for name in (*(name for name, *_ in told), *(files.paths[i] for i in order))]
    count, chosen = len(told), np.array(order, np.int64)
    return Members(
        "".join(names).encode(),
        np.cumsum([len(name) for name in names], dtype=np.int64),
        (),
        np.concatenate([np.arange(count), np.array(files.sources)[chosen] + count]).astype(np.int32),
        np.concatenate([np.zeros(count, np.int64), np.array(files.offsets)[chosen]]).astype(np.int64),
        np.concatenate([[size for _, size, *_ in told], np.array(files.sizes)[chosen]]).astype(np.int64),
        np.concatenate([[crc32 for *_, crc32, _ in told], np.array(files.crc32s)[chosen]]).astype(np.uint32),
    )


def _sums(path: Path) -> tuple[int, int, str]:
    """Size, CRC-32 and SHA-256 of a file."""
    size, crc32, digest = 0, 0, sha256()
    with path.open("rb") as file:
        while chunk := file.read(_AT_ONCE):
            size += len(chunk)
            crc32 = zlib.crc32(chunk, crc32)
            digest.update(chunk)
    return size, crc32, digest.hexdigest()
