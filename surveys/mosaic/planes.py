"""One plane of the pixels of one HDU, read window by window, in any order."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surveys.cube.ranges import depth_of
from surveys.errors import RequestFault
from surveys.fits.cut import DTYPES, Frame, Strip, open_reader
from surveys.fits.source import OpenFile
from surveys.image import ImageRecord
from surveys.plan import Piece, Ranges
from surveys.sky.pixels import PixelBox

Pixels = NDArray[Any]

#: Windows of gzip files, which can only be inflated from their start, are kept: bytes of one, and of all.
LARGEST_KEPT_BYTES, KEPT_BYTES = 64 << 20, 128 << 20
#: Kept windows are so much wider than a plan has it: kernels need neighbours.
MARGIN_PX = 64


class KeptWindows:
    """Windows of the planes of one composition, the most recently used ones; safe between threads."""

    def __init__(self, limit_bytes: int = KEPT_BYTES) -> None:
        self._limit = limit_bytes
        self._windows: OrderedDict[Hashable, tuple[PixelBox, Pixels]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: Hashable, box: PixelBox) -> tuple[bool, Pixels | None]:
        """Whether a window of the plane `key` is kept, and its part `box`; None if it does not hold that."""
        with self._lock:
            if key not in self._windows:
                return False, None
            self._windows.move_to_end(key)
            window, pixels = self._windows[key]
        return True, _part(window, pixels, box) if _holds(window, box) else None

    def keep(self, key: Hashable, window: PixelBox, pixels: Pixels) -> None:
        """Keep a window in place of the one there was; the least recently used ones make room."""
        with self._lock:
            self._windows[key] = window, pixels
            self._windows.move_to_end(key)
            while sum(kept.nbytes for _, kept in self._windows.values()) > self._limit and self._windows:
                self._windows.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Plane:
    """One plane of the pixels of one HDU, as they are stored.

    Parameters
    ----------
    record, open
        The HDU, and what opens its file, or finds it among those that are open: a plan may have more images
        than a process may have files.
    box
        What a plan means to read of it.
    ranges
        Which of the pixels of its other axes: one of each.
    kept
        Where windows of gzip files are kept.
    """

    record: ImageRecord
    open: Callable[[], OpenFile]
    box: PixelBox
    ranges: Ranges = ()
    kept: KeptWindows = field(default_factory=KeptWindows, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def of(
        cls, record: ImageRecord, open_file: Callable[[], OpenFile], piece: Piece, kept: KeptWindows
    ) -> Plane:
        """Return the plane a piece has.

        Raises
        ------
        RequestFault
            If it has several.
        """
        # A layer may lack axes that its image has.
        ranges = tuple(limits for limits in piece.ranges if limits[0] < len(record.shape))
        if depth_of(record, ranges) != 1:
            raise RequestFault(
                f"{record.dataset} has several planes, which are not put together with other images: "
                "choose one of them by BAND, TIME or POL, or name the image as ID"
            )
        return cls(record, open_file, piece.box, ranges, kept)

    def read(self, box: PixelBox) -> Pixels:
        """Pixels of a box inside the image, (rows, columns), big-endian."""
        if self.record.storage == "plain":
            return self._read(box)
        if self.record.storage == "tiles" and self.record.ztiles and self.record.ztiles.method[:4] == "RICE":
            return self._read(box)
        with self._lock:
            return self._read(box) if self.record.storage == "tiles" else self._read_kept(box)

    def _read_kept(self, box: PixelBox) -> Pixels:
        """Read, of a file that is read from its start, all that is wanted at once if that is not much."""
        key = self.record.artifact_id, self.record.dataset, self.ranges
        known, pixels = self.kept.find(key, box)
        if pixels is not None:
            return pixels
        own = self.box
        wide: PixelBox | None = PixelBox(0, self.record.nx, 0, self.record.ny)
        if not known:  # who wants more a second time is sampling all of it
            wide = PixelBox(
                min(own.x0 - MARGIN_PX, box.x0),
                max(own.x1 + MARGIN_PX, box.x1),
                min(own.y0 - MARGIN_PX, box.y0),
                max(own.y1 + MARGIN_PX, box.y1),
            ).clip(self.record.nx, self.record.ny)
        if wide is None or wide.pixels * abs(self.record.bitpix) // 8 > LARGEST_KEPT_BYTES:
            return self._read(box)
        pixels = self._read(wide)
        self.kept.keep(key, wide, pixels)
        return _part(wide, pixels, box)

    def _read(self, box: PixelBox) -> Pixels:
        frame = Frame.of(self.record, self.ranges)
        stored = np.empty(frame.shape(1, box.height, box.width), DTYPES[self.record.bitpix])
        with open_reader(self.record, box, self.open(), self.ranges) as reader:
            reader.read(Strip(0, 1, box.y0, box.y1), stored)
        return stored[0, :, 0, :, 0]

    def blank(self) -> int | None:
        """BLANK, if the pixels are integers and have one."""
        return self.record.blank if self.record.bitpix > 0 else None


def _part(whole: PixelBox, pixels: Pixels, box: PixelBox) -> Pixels:
    return pixels[box.y0 - whole.y0 : box.y1 - whole.y0, box.x0 - whole.x0 : box.x1 - whole.x0]


def _holds(outer: PixelBox, inner: PixelBox) -> bool:
    return outer.x0 <= inner.x0 and inner.x1 <= outer.x1 and outer.y0 <= inner.y0 and inner.y1 <= outer.y1
