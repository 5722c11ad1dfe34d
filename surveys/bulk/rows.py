"""What is known of rows while they are planned."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surveys.bulk.matching import Integers
from surveys.bulk.plans import Verdict
from surveys.errors import RequestFault
from surveys.sky.sphere import Booleans, Floats


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Arrays that are filled row by row; named as those of `ManyPlans`."""

    verdict: NDArray[np.uint8]
    fraction: Floats
    artifact: Integers
    nearest: Integers
    x0: NDArray[np.int32]
    x1: NDArray[np.int32]
    y0: NDArray[np.int32]
    y1: NDArray[np.int32]
    images: NDArray[np.int32]
    found: Booleans
    pixels_in: Integers
    pixels_out: Integers
    bytes_out: Integers
    faults: dict[int, RequestFault] = field(default_factory=dict)

    @classmethod
    def empty(cls, count: int, bands: int) -> Rows:
        """Rows that touch nothing."""

        def numbers(kind: type[np.signedinteger[Any]]) -> NDArray[Any]:
            return np.zeros(count, kind)

        return cls(
            verdict=np.full(count, Verdict.OUTSIDE, np.uint8),
            fraction=np.zeros(count),
            artifact=np.full(count, -1, np.int64),
            nearest=np.full(count, -1, np.int64),
            x0=numbers(np.int32),
            x1=numbers(np.int32),
            y0=numbers(np.int32),
            y1=numbers(np.int32),
            images=numbers(np.int32),
            found=np.zeros((count, bands), bool),
            pixels_in=numbers(np.int64),
            pixels_out=numbers(np.int64),
            bytes_out=numbers(np.int64),
        )

    def refuse(self, row: int, fault: RequestFault) -> None:
        """Remember why a row is refused."""
        self.faults[row] = fault
        self.verdict[row] = Verdict.FAILED
        self.artifact[row] = -1
        for column in (self.x0, self.x1, self.y0, self.y1, self.pixels_in, self.pixels_out, self.bytes_out):
            column[row] = 0
