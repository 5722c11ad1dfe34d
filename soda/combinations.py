"""The product of the values of a job: which cutouts it asks for, in which order, and what each is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Generic, TypeVar

from soda.params import ManyCutouts, Region, with_bands
from soda.spelling import with_url
from surveys.identifiers import Identifiers
from surveys.request import CutoutRequest
from surveys.sky.stencil import Stencil

T = TypeVar("T")

#: Of a job that has but one result (clients look for this one).
ONLY_RESULT = "result"


@dataclass(frozen=True, slots=True)
class Combination:
    """One of the cutouts a job asks for.

    Parameters
    ----------
    name
        Which values it has of the parameters that have several: ``id1-circle2-band1``; "" if none has.
    request
        What is asked.
    """

    name: str
    request: CutoutRequest


def combinations(many: ManyCutouts, identifiers: Identifiers) -> Iterator[Combination]:
    """List all combinations of the values of ID, region, BAND, TIME and RGB; the last varies fastest.

    Notes
    -----
    Section 6 asks for each combination of the values; POL and FILTER are single filters whatever their number
    (section 3.3.6).
    """
    for dataset, stencil, band_m, time_mjd, rgb in product(
        _choices("id", many.datasets),
        _regions(many.regions),
        _choices("band", many.bands_m),
        _choices("time", many.times_mjd),
        _choices("rgb", many.triplets),
    ):
        cutout = replace(
            many.common,
            dataset=dataset.value or "",
            stencil=stencil.value,
            band_m=band_m.value,
            time_mjd=time_mjd.value,
            picture=with_bands(many.common.picture, rgb.value),
        )
        labels = [choice.label for choice in (dataset, stencil, band_m, time_mjd, rgb) if choice.label]
        yield Combination("-".join(labels), with_url(cutout, identifiers))


def numbered(name: str, number: int, count: int) -> str:
    """Name the `number`-th of `count` things, so that the names sort as the numbers do."""
    return f"{name}{number:0{len(str(count))}d}"


@dataclass(frozen=True, slots=True)
class _Choice(Generic[T]):
    """A value of a parameter, with a label if there are several; None where the parameter was not sent."""

    label: str
    value: T | None


def _choices(name: str, values: Sequence[T]) -> list[_Choice[T]]:
    if len(values) <= 1:
        return [_Choice("", next(iter(values), None))]
    return [_Choice(numbered(name, number, len(values)), value) for number, value in enumerate(values, 1)]


def _regions(regions: Sequence[Region]) -> list[_Choice[Stencil]]:
    """Regions are numbered within their parameter: ``circle1``, ``circle2``, ``polygon1``."""
    if len(regions) <= 1:
        return _choices("", [region.stencil for region in regions])
    counts = Counter(region.name for region in regions)
    return [
        _Choice(numbered(region.name.lower(), region.number, counts[region.name]), region.stencil)
        for region in regions
    ]
