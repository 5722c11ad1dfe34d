"""A few rows of an output in the making, and what the pieces put into them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from surveys.kernels.resample import tally
from surveys.mosaic.reading import OpenPiece

Pixels = NDArray[Any]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Layers:
    """What is made beside the image."""

    weight: bool = False
    mask: bool = False


@dataclass(slots=True)
class Band:
    """Rows of an output, from `y0` on; all arrays are (rows, width).

    Parameters
    ----------
    image
        Its pixels, a part of the product.
    best
        Smallest key so far.
    winner
        Number of the piece that had it, -1 where there is no data.
    weight
        Variances if `is_variance`, else weights as the survey has them; None if there are none.
    mask
        Bits; None if there are none.
    gained
        Pixels that each piece gave to, where they are averaged.
    """

    y0: int
    image: Pixels
    best: NDArray[np.float64]
    winner: NDArray[np.int16]
    weight: Pixels | None
    mask: NDArray[np.int64] | None
    gained: NDArray[np.int64]
    is_variance: bool = False

    @classmethod
    def new(cls, y0: int, image: Pixels, fill: float, layers: Layers, pieces: int) -> Self:
        """Return a band without any data."""
        image[...] = fill
        shape = image.shape
        return cls(
            y0,
            image,
            np.full(shape, np.inf),
            np.full(shape, -1, np.int16),
            np.full(shape, np.nan, np.float32) if layers.weight else None,
            np.zeros(shape, np.int64) if layers.mask else None,
            np.zeros(pieces, np.int64),
        )

    @property
    def layers(self) -> Layers:
        """What is made beside the image."""
        return Layers(self.weight is not None, self.mask is not None)

    def counts(self) -> tuple[NDArray[np.int64], int]:
        """Pixels that each piece gave to, and pixels with data."""
        numbers = np.zeros(len(self.gained), np.int64)
        tally(self.winner, numbers)
        return (self.gained if self.gained.any() else numbers), int(numbers.sum())

    def blank(self, where: Booleans, fill: float) -> None:
        """Take the data of some pixels away."""
        self.image[where] = fill
        self.winner[where] = -1
        if self.weight is not None:
            self.weight[where] = np.nan

    def average(self, pieces: Sequence[MosaicPiece], weighted: bool, outside: Booleans | None = None) -> None:
        """Fill the band with the mean of all pieces, weighted with their inverse variances if so asked.

        Pixels `outside` get nothing.
        """
        total, weight = np.zeros(self.image.shape), np.zeros(self.image.shape)
        noise = np.zeros(self.image.shape)
        for piece in pieces:
            one = Band.new(
                self.y0,
                np.empty(self.image.shape, self.image.dtype),
                np.nan,
                Layers(weighted or self.weight is not None, self.mask is not None),
                len(pieces),
            )
            one.is_variance = True
            piece.give(one)
            valid = one.winner >= 0
            if outside is not None:
                valid &= ~outside
            variances = one.weight if one.weight is not None else np.zeros(valid.shape, np.float32)
            share = valid.astype(float)
            if weighted:
                valid &= variances > 0
                share = np.where(valid, 1.0 / np.where(valid, variances, 1.0), 0.0)
            total += np.where(valid, share * np.where(valid, one.image, 0.0), 0.0)
            weight += share
            if self.weight is not None:
                noise += share * share * np.where(valid, variances, 0.0)
            if self.mask is not None and one.mask is not None:
                self.mask |= np.where(valid, one.mask, 0)
            self.winner[valid & (self.winner < 0)] = piece.piece.number
            self.gained[piece.piece.number] += int(np.count_nonzero(valid))
        covered = weight > 0
        weight[~covered] = np.nan
        self.image[...] = total / weight
        if self.weight is not None:
            self.weight[...] = noise / weight**2
            self.is_variance = True


class MosaicPiece(Protocol):
    """A piece that knows where in the output it lies."""

    piece: OpenPiece

    def give(self, band: Band) -> None:
        """Put its pixels into a band, where its key is the smallest and it has data."""
