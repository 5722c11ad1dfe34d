"""What is made of many stamps, piece by piece, with a bound on all of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from surveys.alerts.cut import Beyond, Cut
from surveys.alerts.stored import StampHdu
from surveys.errors import TooLarge

#: Of a product of stamps, which is put together in memory.
MOST_BYTES = 128 << 20


@dataclass(slots=True)
class Made:
    """A product that grows.

    Parameters
    ----------
    chunks, size
        What was written.
    valid, pixels
        Of its images: pixels with data, and all.
    remarks
        What is to be known of it, a sentence each.
    beyond
        What became of a part of the region beyond a stamp.
    """

    chunks: list[bytes] = field(default_factory=list)
    size: int = 0
    valid: int = 0
    pixels: int = 0
    remarks: list[str] = field(default_factory=list)
    beyond: Beyond = ""

    @property
    def covered(self) -> float:
        """Share of the pixels that have data."""
        return self.valid / self.pixels if self.pixels else 0.0

    def write(self, *chunks: bytes) -> None:
        """Write some bytes.

        Raises
        ------
        TooLarge
            If the product becomes too large.
        """
        self.size += sum(len(chunk) for chunk in chunks)
        if self.size > MOST_BYTES:
            raise TooLarge(
                f"this would be of more than {MOST_BYTES >> 20} MB, which is the limit of one product of "
                "stamps: choose epochs by TIME or FILTER, or name one kind of stamp"
            )
        self.chunks += chunks

    def note(self, cut: Cut) -> None:
        """Note what is to be known of the image of a stamp."""
        self.count(cut.hdu)
        self.remarks += cut.remarks
        self.beyond = cut.beyond

    def count(self, image: StampHdu) -> None:
        """Count the pixels of an image."""
        if not image.shape:
            return
        stored = image.stored
        self.pixels += stored.size
        if image.blank is not None:
            self.valid += int(np.count_nonzero(stored != image.blank))
        else:
            self.valid += int(np.isfinite(stored).sum()) if image.bitpix < 0 else stored.size
