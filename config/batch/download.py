"""A file that comes by HTTP in as many attempts as it takes (RFC 9110, section 14)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests

from config.batch.faults import BatchFault, Unreachable
from config.batch.service import Service, shown

#: What is lost at most where a connection breaks.
CHUNK_BYTES = 1 << 16
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")

Progress = Callable[[int, int], object]


@dataclass(slots=True)
class Download:
    """A file of which a beginning may be there already.

    Parameters
    ----------
    service
        Where it comes from.
    url
        Of the file.
    path
        Where it is written.
    etag
        Of what the beginning at `path` is one; "" if it is not known, and nothing of it is used.
    told_etag
        Is told the ETag before the first byte is written.
    """

    service: Service
    url: str
    path: Path
    etag: str = ""
    told_etag: Callable[[str], object] = lambda etag: None

    def run(self, progress: Progress) -> None:
        """Fetch what is missing; goes on where a connection broke, as long as something comes.

        Raises
        ------
        Unreachable
            If the service is silent for too long.
        BatchFault
            If it sends what was not asked for.
        """
        while True:
            before = self._there()
            try:
                self.service.patiently(lambda: self._attempt(progress))
                return
            except Unreachable:
                if self._there() <= before:
                    raise

    def _there(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def _attempt(self, progress: Progress) -> None:
        start = self._there() if self.etag else 0
        # Compressed on the way, its bytes would not be those that are counted.
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if start:
            headers |= {"Range": f"bytes={start}-", "If-Range": self.etag}
        with self.service.get(self.url, headers=headers) as answer:
            start, size = self._place(answer, start)
            if answer.status_code != 416:
                self._keep_etag(answer)
                self._write(answer, start, size, progress)
        there = self._there()
        if size and there != size:
            if there > size:
                self.path.unlink()
            raise Unreachable(f"{shown(self.url)} broke off after {there} of {size} bytes")

    def _place(self, answer: requests.Response, start: int) -> tuple[int, int]:
        """Say where the content that comes belongs, and how large the whole is (0: unknown)."""
        if answer.status_code == 206:
            found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != start:
                raise BatchFault(f"{shown(self.url)} sent another part than was asked for")
            return start, int(found[2])
        if answer.status_code == 416:
            # All of it may be there already; anything else begins anew.
            size = answer.headers.get("Content-Range", "").rpartition("/")[2]
            if not (size.isdigit() and int(size) == start):
                self.path.unlink(missing_ok=True)
                self.etag = ""
                raise Unreachable(f"{shown(self.url)} is another file now")
            return start, start
        return 0, int(answer.headers.get("Content-Length") or 0)

    def _keep_etag(self, answer: requests.Response) -> None:
        etag = answer.headers.get("ETag", "")
        # If-Range takes no weak ones.
        etag = "" if etag.startswith("W/") else etag
        if etag != self.etag:
            self.etag = etag
            self.told_etag(etag)

    def _write(self, answer: requests.Response, start: int, size: int, progress: Progress) -> None:
        with self.path.open("ab") as file:
            file.truncate(start)
            done = start
            progress(done, size)
            for chunk in answer.iter_content(CHUNK_BYTES):
                file.write(chunk)
                done += len(chunk)
                progress(done, size)
