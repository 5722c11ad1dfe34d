"""One plane of the pixels of one HDU, read window by window, in any order."""

from __future__ import annotations

import threading
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

#: Windows of a gzip file, which can only be inflated from its start, are kept up to so many bytes.
KEPT_BYTES = 64 << 20
#: Kept windows are so much wider than a plan has it: kernels need neighbours.
MARGIN_PX = 64


@dataclass(frozen=True, slots=True)
class Plane:
    """One plane of the pixels of one HDU, as they are stored.

    Parameters
    ----------
    record, file
        The HDU.
    box
        What a plan means to read of it.
    ranges
        Which of the pixels of its other axes: one of each.
    """

    record: ImageRecord
    file: OpenFile
    box: PixelBox
    ranges: Ranges = ()
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _kept: dict[PixelBox, Pixels] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, record: ImageRecord, file: OpenFile, piece: Piece) -> Plane:
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
        return cls(record, file, piece.box, ranges)

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
        for kept, pixels in self._kept.items():
            if kept.clip(box.x1, box.y1) and _holds(kept, box):
                return pixels[box.y0 - kept.y0 : box.y1 - kept.y0, box.x0 - kept.x0 : box.x1 - kept.x0]
        own = self.box
        wide: PixelBox | None = PixelBox(0, self.record.nx, 0, self.record.ny)
        if not self._kept:  # who wants more a second time is sampling all of it
            wide = PixelBox(
                min(own.x0 - MARGIN_PX, box.x0),
                max(own.x1 + MARGIN_PX, box.x1),
                min(own.y0 - MARGIN_PX, box.y0),
                max(own.y1 + MARGIN_PX, box.y1),
            ).clip(self.record.nx, self.record.ny)
        if wide is None or wide.pixels * abs(self.record.bitpix) // 8 > KEPT_BYTES:
            return self._read(box)
        self._kept.clear()
        self._kept[wide] = self._read(wide)
        return self._read_kept(box)

    def _read(self, box: PixelBox) -> Pixels:
        frame = Frame.of(self.record, self.ranges)
        stored = np.empty(frame.shape(1, box.height, box.width), DTYPES[self.record.bitpix])
        with open_reader(self.record, box, self.file, self.ranges) as reader:
            reader.read(Strip(0, 1, box.y0, box.y1), stored)
        return stored[0, :, 0, :, 0]

    def blank(self) -> int | None:
        """BLANK, if the pixels are integers and have one."""
        return self.record.blank if self.record.bitpix > 0 else None


def _holds(outer: PixelBox, inner: PixelBox) -> bool:
    return outer.x0 <= inner.x0 and inner.x1 <= outer.x1 and outer.y0 <= inner.y0 and inner.y1 <= outer.y1
