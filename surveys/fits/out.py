"""Where the bytes of a product are put together: memory if they are few, else a file that nobody can see."""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from surveys.errors import NoRoom

Bytes = NDArray[np.uint8]


class Out(Protocol):
    """Bytes of a known number, zeros until they are written, in any order."""

    def write(self, offset: int, data: bytes) -> None:
        """Write some bytes."""

    def room(self, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any] | None:
        """Memory to make pixels in that will be put there as that type; None where there is none."""

    def put(self, offset: int, pixels: NDArray[Any], dtype: np.dtype[Any]) -> Bytes:
        """Write pixels as those of a type (big-endian); return the bytes that were written.

        Pixels made in their `room` are of no use afterwards.
        """

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield all of it: at once if it is in memory, else in chunks of at most `size` bytes."""


def open_out(size: int, in_memory: int, folder: Path | None = None) -> Out:
    """Return a place for `size` bytes, in memory up to `in_memory` of them.

    Parameters
    ----------
    folder
        Of the file; None for that of the system.

    Raises
    ------
    NoRoom
        If there is no room for the file.
    """
    return MemoryOut(size) if size <= in_memory else FileOut(size, folder)


class MemoryOut:
    """Bytes in memory."""

    def __init__(self, size: int) -> None:
        # The bytes of a BytesIO can be filled in place, and taken out without a copy.
        self._memory = BytesIO(bytes(size))

    def write(self, offset: int, data: bytes) -> None:
        """Write some bytes."""
        with self._memory.getbuffer() as buffer:
            buffer[offset : offset + len(data)] = data

    def room(self, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any] | None:
        """Return the place itself, in native byte order."""
        return np.ndarray(shape, dtype.newbyteorder("="), self._memory.getbuffer(), offset)

    def put(self, offset: int, pixels: NDArray[Any], dtype: np.dtype[Any]) -> Bytes:
        """Write pixels as those of a type; return the bytes that were written."""
        place = np.ndarray(pixels.shape, dtype, self._memory.getbuffer(), offset)
        if pixels.ctypes.data == place.ctypes.data and pixels.dtype == dtype.newbyteorder("="):
            if not dtype.isnative:
                pixels.byteswap(inplace=True)
        else:
            place[...] = pixels
        return place.reshape(-1).view(np.uint8)

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield all of it, which is no copy."""
        yield self._memory.getvalue()


class FileOut:
    """Bytes in a file without a name, which is gone with the process, or with the last use of this."""

    def __init__(self, size: int, folder: Path | None) -> None:
        self._size = size
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=folder) as file:
                self._fd = os.dup(file.fileno())
            # Whether there is room is known now, and not when half of it is written.
            os.posix_fallocate(self._fd, 0, size)
        except OSError as error:
            raise NoRoom(
                f"there is no room for a temporary file of {size} bytes: {error.strerror}"
            ) from error

    def __del__(self) -> None:
        if hasattr(self, "_fd"):
            os.close(self._fd)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Write some bytes."""
        view = memoryview(data)
        try:
            while view:
                count = os.pwrite(self._fd, view, offset)
                offset, view = offset + count, view[count:]
        except OSError as error:
            raise NoRoom(f"a temporary file cannot be written: {error.strerror}") from error

    def room(self, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any] | None:
        """There is none."""
        return None

    def put(self, offset: int, pixels: NDArray[Any], dtype: np.dtype[Any]) -> Bytes:
        """Write pixels as those of a type; return the bytes that were written."""
        data = np.ascontiguousarray(pixels, dtype).reshape(-1).view(np.uint8)
        self.write(offset, data.data)
        return data

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield all of it, in chunks."""
        for start in range(0, self._size, size):
            yield os.pread(self._fd, min(size, self._size - start), start)
