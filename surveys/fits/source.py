"""Where the bytes of images come from: opened files, kept, and checked at every use.

Nothing is read but what is asked for. Warm files are read by `mmap` (or `pread`, see `Source`); when the
kernel says that the wanted rows are not in its page cache, they are read by a few threads at once, since
what a cold cutout costs is the wait for each row.
"""

from __future__ import annotations

import math
import mmap
import operator
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BufferedReader
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from surveys.errors import BrokenImage, StaleImage
from surveys.lru import Lru

Bytes = NDArray[np.uint8]

_READERS = 16
# What lies between wanted items is read with them up to this; and memory of what is read at once.
_SMALL_BYTES = 16 << 10
_PAGE_BYTES = 4096
_BATCH_BYTES = 8 << 20
# A file that was found in memory so often in a row is not asked about each time.
_SURELY_WARM = 64
_ASK_EACH = 16


class OpenFile:
    """A file held open, of a known identity. Closed when the last one who uses it lets go."""

    def __init__(
        self, path: Path, read: Literal["mmap", "pread"], pool: Callable[[], ThreadPoolExecutor]
    ) -> None:
        self._path = path
        self._pool = pool
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._map: mmap.mmap | None = None
        self._found_warm = 0
        self.identity = _identity(os.fstat(self._fd))
        self.size = self.identity[2]
        if read == "mmap" and self.size:
            self._map = mmap.mmap(self._fd, 0, access=mmap.ACCESS_READ)

    def __del__(self) -> None:
        # The descriptor is missing when the file could not be opened at all.
        if hasattr(self, "_fd"):
            os.close(self._fd)

    def stream(self) -> BufferedReader:
        """Open a new reader of the same file with a position of its own; the caller closes it."""
        stream = self._path.open("rb")
        if _identity(os.fstat(stream.fileno())) != self.identity:
            stream.close()
            raise StaleImage(f"{self._path.name} was replaced while it was read.")
        return stream

    def copy_lines(self, offset: int, strides: tuple[int, int, int], out: Bytes) -> None:
        """Fill `out` with lines of bytes.

        Parameters
        ----------
        offset
            Of the first line in the file.
        strides
            Distance in the file between neighbours along the first three axes of `out`.
        out
            Shape (planes, rows, lines, bytes of a line), any strides but on its last axis.
        """
        planes, rows, lines, width = out.shape
        last = offset + (planes - 1) * strides[0] + (rows - 1) * strides[1] + (lines - 1) * strides[2]
        self._check_end(last + width)
        cold = self._is_cold(offset, strides[1], rows)
        if self._map is not None and not cold:
            np.copyto(out, np.ndarray(out.shape, np.uint8, self._map, offset, (*strides, 1)))
            return
        targets = [
            (offset + p * strides[0] + r * strides[1] + n * strides[2], out[p, r, n])
            for p in range(planes)
            for r in range(rows)
            for n in range(lines)
        ]
        self._read_all(targets, cold)

    def copy_block(self, offset: int, strides: tuple[int, ...], out: NDArray[Any]) -> None:
        """Fill `out` with items that lie at equal distances in the file along each of its axes.

        Parameters
        ----------
        offset
            Of the first item in the file.
        strides
            Distance in the file between neighbours along each axis of `out`, the slowest first.
        out
            Any shape and strides; of the type of the items.
        """
        shape = out.shape
        spans = [
            out.itemsize + sum((n - 1) * s for n, s in zip(shape[axis:], strides[axis:], strict=True))
            for axis in range(out.ndim + 1)
        ]
        self._check_end(offset + spans[0])
        longest = max(range(out.ndim), key=lambda axis: (shape[axis] - 1) * strides[axis])
        cold = self._is_cold(offset, strides[longest], shape[longest])
        if self._map is not None and not cold:
            np.copyto(out, np.ndarray(shape, out.dtype, self._map, offset, strides))
            return
        outer = _axes_read_one_by_one(shape, strides, spans, out.itemsize)
        span, inner = spans[outer], (shape[outer:], out.dtype)
        places = list(np.ndindex(shape[:outer]))
        at_once = max(1, _BATCH_BYTES // span)
        for start in range(0, len(places), at_once):
            batch = places[start : start + at_once]
            buffer = np.empty((len(batch), span), np.uint8)
            offsets = (offset + sum(map(operator.mul, place, strides)) for place in batch)
            self._read_all(list(zip(offsets, buffer, strict=True)), cold)
            for place, read in zip(batch, buffer, strict=True):
                out[place] = np.ndarray(*inner, read.data, 0, strides[outer:])

    def gather(self, offsets: NDArray[np.int64], sizes: NDArray[np.int64]) -> tuple[Bytes, NDArray[np.int64]]:
        """Ranges of the file: a read-only buffer that holds them all, and where in it each of them starts."""
        if not len(offsets):
            return np.empty(0, np.uint8), offsets
        if (offsets < 0).any() or (sizes < 0).any():
            raise BrokenImage(f"{self._path.name} is corrupt: it points outside of itself.")
        self._check_end(int((offsets + sizes).max()))
        cold = self._is_cold(int(offsets.min()), int(np.ptp(offsets)) // 2, 3)
        if self._map is not None and not cold:
            return np.frombuffer(self._map, np.uint8), offsets
        starts = np.cumsum(sizes) - sizes
        buffer = np.empty(int(sizes.sum()), np.uint8)
        targets = [
            (int(offset), buffer[start : start + size])
            for offset, start, size in zip(offsets, starts, sizes, strict=True)
            if size
        ]
        self._read_all(targets, cold)
        buffer.flags.writeable = False  # as a mapped file is: the kernels are compiled for one kind
        return buffer, starts

    def _check_end(self, end: int) -> None:
        if end > self.size:
            raise BrokenImage(f"{self._path.name} is shorter than its header says.")

    def _is_cold(self, offset: int, stride: int, count: int) -> bool:
        """Whether some of `count` positions are not in the page cache; False where the kernel cannot tell.

        To ask costs as much as a tenth of a small cutout, and lets go of the interpreter three times.
        """
        self._found_warm += 1
        if self._found_warm > _SURELY_WARM and self._found_warm % _ASK_EACH:
            return False
        one = bytearray(1)
        try:
            for i in (0, count // 2, count - 1):
                os.preadv(self._fd, [one], offset + i * stride, os.RWF_NOWAIT)
        except BlockingIOError:
            self._found_warm = 0
            return True
        except (OSError, AttributeError):
            return False
        return False

    def _read_all(self, targets: list[tuple[int, Bytes]], cold: bool) -> None:
        if not cold or len(targets) < 2:
            self._read_some(targets)
            return
        share = -(-len(targets) // _READERS)
        shares = [targets[i : i + share] for i in range(0, len(targets), share)]
        for _ in self._pool().map(self._read_some, shares):
            pass

    def _read_some(self, targets: list[tuple[int, Bytes]]) -> None:
        try:
            for offset, target in targets:
                self._read_into(offset, target.data)
        except OSError as error:
            raise BrokenImage(f"{self._path.name} cannot be read: {error.strerror}.") from error

    def _read_into(self, offset: int, view: memoryview) -> None:
        while view:
            count = os.preadv(self._fd, [view], offset)
            if not count:
                raise BrokenImage(f"{self._path.name} is shorter than its header says.")
            offset, view = offset + count, view[count:]


def _axes_read_one_by_one(
    shape: tuple[int, ...], strides: tuple[int, ...], spans: Sequence[int], item: int
) -> int:
    """Count the slowest axes whose items are read each for itself, so that reads are few, and small.

    What lies between is read along where that is not much more than what is wanted, or where it is less than
    the kernel reads at a time anyway.

    Parameters
    ----------
    shape, strides
        Of what is wanted.
    spans
        Bytes in the file from begin to end of the axes from each one on.
    item
        Bytes of an item.
    """
    outer = len(shape)
    dense = True
    for axis in range(len(shape) - 1, -1, -1):
        dense = dense and strides[axis] - spans[axis + 1] < _PAGE_BYTES
        wanted = math.prod(shape[axis:]) * item
        if spans[axis] <= _BATCH_BYTES and (dense or spans[axis] <= max(_SMALL_BYTES, 2 * wanted)):
            outer = axis
    return outer


class Source:
    """Opens the files of surveys and keeps the last ones open.

    Parameters
    ----------
    read
        ``mmap``: the fastest for files that are never rewritten in place (a file cut short under a mapping
        ends the process; replacing it by a rename is safe). ``pread``: a little slower, safe in any case.
    max_open
        Number of files kept open.
    """

    def __init__(self, read: Literal["mmap", "pread"] = "mmap", max_open: int = 64) -> None:
        self._read = read
        self._files: Lru[str, OpenFile] = Lru(max_open)
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None

    def open(
        self, path: str | Path, size: int, mtime_ns: int, resolve: Callable[[], Path] | None = None
    ) -> OpenFile:
        """Return the file at `path`, which must still have this size and modification time.

        Parameters
        ----------
        path, size, mtime_ns
            The file; `path` may lead to it by symbolic links, which are followed at every use.
        resolve
            Tells where `path` really leads, or raises if that is not to be opened. Asked when the file is
            opened, and not while `path` leads to the very file that is open.

        Raises
        ------
        StaleImage
            It has changed.
        BrokenImage
            It is gone or cannot be opened.
        """

        def make() -> OpenFile:
            return OpenFile(resolve() if resolve else Path(path), self._read, self._pool)

        try:
            identity = _identity(os.stat(path))
            if identity[2:] != (size, mtime_ns):
                raise StaleImage(f"{_name(path)} changed since it was indexed.")
            file = self._files.get(os.fspath(path), make, lambda file: file.identity == identity)
        except OSError as error:
            raise BrokenImage(f"{_name(path)} cannot be opened: {error.strerror}.") from error
        if file.identity != identity:
            raise StaleImage(f"{_name(path)} was replaced while it was opened.")
        return file

    def _pool(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(_READERS, "read")
            return self._threads


def _name(path: str | Path) -> str:
    return os.path.basename(path)


def _identity(stat: os.stat_result) -> tuple[int, int, int, int]:
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
