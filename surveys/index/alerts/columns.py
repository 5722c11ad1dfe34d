"""What the columns of a file say of its alerts, as the index writes it; and which rows are not taken."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.time import Time
from numpy.typing import NDArray

from surveys.errors import ImageRefused
from surveys.index.alerts.units import (
    DAY,
    DEGREE,
    EARLIEST_MJD,
    LATEST_MJD,
    Integers,
    cells_at,
    digest_of,
)
from surveys.lake import Lake
from surveys.survey import Survey

#: Longer names of objects are none.
LONGEST_NAME = 200

_JD_OF_MJD_0 = 2400000.5

Refused = tuple[tuple[int | None, str], ...]


@dataclass(frozen=True, slots=True)
class Alerts:
    """Alerts of a file, those that are taken: columns of the table of alerts, and what they are looked up by.

    `row` is that of the file. Of `object` and `object_number` one is None for all of them.
    """

    row: Integers
    candid: Integers
    object: list[str | None] | None
    object_number: list[int | None] | None
    ra: Integers
    dec: Integers
    mjd: Integers
    band: Integers
    cell: Integers

    def __len__(self) -> int:
        return len(self.row)

    def columns(self, some: slice) -> list[list[Any]]:
        """Columns of the table of alerts after its key."""
        count = len(self.row[some])
        return [
            self.candid[some].tolist(),
            self.object[some] if self.object is not None else [None] * count,
            self.object_number[some] if self.object_number is not None else [None] * count,
            *(column[some].tolist() for column in (self.ra, self.dec, self.mjd, self.band)),
        ]

    def digests(self) -> tuple[Integers, Integers]:
        """Digests of the objects, and which of the alerts they are of: some have no object."""
        names = self.object if self.object is not None else self.object_number or []
        named = [place for place, name in enumerate(names) if name]
        digests = [digest_of(str(names[place])) for place in named]
        return np.array(digests, dtype=np.int64), np.array(named, dtype=np.int64)


def alerts_of(
    survey: Survey, lake: Lake, read: Mapping[str, pa.Array], names: Mapping[str, str]
) -> tuple[Alerts, tuple[tuple[str, int], ...], Refused]:
    """Make sense of columns.

    Parameters
    ----------
    survey, lake
        The declaration.
    read
        Columns as they are stored, by their names; all of one length.
    names
        Name of the column of each part of `surveys.lake.Columns`.

    Returns
    -------
    tuple
        Alerts, their bands (label and number, in the order declared, "" for what is none), and how many rows
        are refused, each with the reason.

    Raises
    ------
    ImageRefused
        If a column is not of the kind that it has to be.
    """
    candid, has_candid = _whole_numbers(read[names["candidate"]], names["candidate"])
    ra = _numbers(read[names["ra"]], names["ra"])
    dec = _numbers(read[names["dec"]], names["dec"])
    mjd = _mjd(_numbers(read[names["time"]], names["time"]), lake)
    texts, numbers = _objects(read[names["object"]], names["object"])
    strange = np.array([name is not None and not _is_name(name) for name in texts or ()], dtype=bool)
    good = np.ones(len(candid), dtype=bool)
    refused = []
    with np.errstate(invalid="ignore"):
        for reason, fits in (
            ("no candidate number", has_candid),
            ("the name of the object is too long, or has characters that names have not",
             ~strange if len(strange) else good),
            ("no position on the sky", (ra >= 0) & (ra <= 360) & (np.abs(dec) <= 90)),
            ("no time", (mjd >= EARLIEST_MJD) & (mjd <= LATEST_MJD)),
        ):  # fmt: skip
            if count := int(np.count_nonzero(good & ~fits)):
                refused.append((count, reason))
            good = good & fits
    row = np.flatnonzero(good)
    band, bands = _bands(survey, read[names["band"]].take(pa.array(row)))
    ra_units = np.rint(ra[good] % 360.0 * DEGREE).astype(np.int64) % (360 * DEGREE)
    dec_units = np.rint(dec[good] * DEGREE).astype(np.int64)
    alerts = Alerts(
        row=row,
        candid=candid[good],
        object=None if texts is None else [texts[place] for place in row],
        object_number=None if numbers is None else [numbers[place] for place in row],
        ra=ra_units,
        dec=dec_units,
        mjd=np.rint(mjd[good] * DAY).astype(np.int64),
        band=band,
        cell=cells_at(ra_units, dec_units),
    )
    return alerts, bands, tuple(refused)


def _whole_numbers(column: pa.Array, name: str) -> tuple[Integers, NDArray[np.bool_]]:
    column = _plain(column)
    try:
        # Of numbers with a fraction 53 bits are left.
        if pa.types.is_floating(column.type):
            raise pa.ArrowInvalid
        numbers = pc.cast(column, pa.int64())
    except pa.ArrowException:
        raise ImageRefused(f"its column {name} is not of whole numbers of 64 bits") from None
    return np.asarray(numbers.fill_null(0)), np.asarray(numbers.is_valid())


def _numbers(column: pa.Array, name: str) -> NDArray[np.float64]:
    try:
        numbers = pc.cast(_plain(column), pa.float64())
    except pa.ArrowException:
        raise ImageRefused(f"its column {name} is not of numbers") from None
    return np.asarray(numbers.fill_null(np.nan))


def _objects(column: pa.Array, name: str) -> tuple[list[str | None] | None, list[int | None] | None]:
    """Objects as texts or as numbers; None for those without: "" and 0 name none."""
    column = _plain(column)
    if pa.types.is_integer(column.type):
        numbers, valid = _whole_numbers(column, name)
        return None, [number or None for number in np.where(valid, numbers, 0).tolist()]
    if not (pa.types.is_string(column.type) or pa.types.is_binary(column.type) or _is_large(column.type)):
        raise ImageRefused(f"its column {name} is neither of texts nor of whole numbers")
    try:
        return [text or None for text in pc.cast(column, pa.string()).to_pylist()], None
    except (pa.ArrowException, UnicodeDecodeError):
        raise ImageRefused(f"its column {name} is not UTF-8") from None


def _bands(survey: Survey, column: pa.Array) -> tuple[Integers, tuple[tuple[str, int], ...]]:
    """Places of the alerts' bands in a list of those there are, and that list, with how many have each."""
    encoded = _plain(column).dictionary_encode()
    words = [_word(value) for value in encoded.dictionary.to_pylist()]
    labels = [band.label for band in survey.bands] + [""]
    by_word = {word: number for number, band in enumerate(survey.bands) for word in band.words}
    numbers = np.array([*(by_word.get(word, len(labels) - 1) for word in words), len(labels) - 1])
    own = numbers[np.asarray(encoded.indices.fill_null(len(words)), dtype=np.int64)]
    used, places, counts = np.unique(own, return_inverse=True, return_counts=True)
    return places.astype(np.int64), tuple(
        (labels[number], int(count)) for number, count in zip(used, counts, strict=True)
    )


def _word(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _mjd(times: NDArray[np.float64], lake: Lake) -> NDArray[np.float64]:
    """MJD, UTC; what is no time stays none."""
    mjd = times - _JD_OF_MJD_0 if lake.time_format == "jd" else times
    if lake.time_scale == "utc":
        return mjd
    known = np.isfinite(mjd) & (mjd >= EARLIEST_MJD) & (mjd <= LATEST_MJD)
    with warnings.catch_warnings():
        # Of years to come nobody knows the leap seconds.
        warnings.simplefilter("ignore")
        utc = Time(np.where(known, mjd, 50_000.0), format="mjd", scale=lake.time_scale).utc.mjd
    return np.where(known, utc, np.nan)


def _plain(column: pa.Array) -> pa.Array:
    """Values themselves, in one piece."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        return column.dictionary_decode()
    return column


def _is_large(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(kind) or pa.types.is_large_binary(kind))


def _is_name(name: str) -> bool:
    return len(name) <= LONGEST_NAME and name.isprintable()
