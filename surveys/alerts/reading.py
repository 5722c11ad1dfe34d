"""Stamps of a plan out of their files: alerts of one file together, each page of it read once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any, Protocol

from surveys.alert import AlertRecord, LakeFile
from surveys.alerts.stored import StampFault, StampHdu, StoredStamp, image_of, open_stamp, read_hdus
from surveys.errors import BrokenImage, StaleImage, SurveyError
from surveys.lake import Lake
from surveys.plan import CutoutPlan, Stamp
from surveys.survey import Survey


class Lakes(Protocol):
    """What is needed of the files of lakes."""

    def values(
        self, lake: Lake, path: str, size: int, version: str, pages: Any, rows: Sequence[int]
    ) -> list[bytes | None]:
        """Values of a column in some rows, which are sorted, as they are stored."""


class Alerts(Protocol):
    """What is needed of the index of alerts."""

    @property
    def lakes(self) -> Lakes:
        """Files of the lakes."""

    def records(self, ids: Sequence[int]) -> Mapping[int, AlertRecord]:
        """Alerts by their keys."""

    def pages(self, file: LakeFile, kind: str) -> Any:
        """Where the stamps of a kind lie in a file; None where it has no such column."""


class StampCatalog(Protocol):
    """What products of stamps need of the index."""

    @property
    def alerts(self) -> Alerts:
        """The index of alerts."""

    def survey(self, name: str) -> Survey:
        """Survey of this name."""


@dataclass(frozen=True, slots=True)
class OpenStamp:
    """A stamp, read and opened.

    Parameters
    ----------
    record, kind
        Of which alert, and which of its stamps.
    stored
        What the lake has.
    """

    record: AlertRecord
    kind: str
    stored: StoredStamp

    @property
    def hdus(self) -> tuple[StampHdu, ...]:
        """Its HDUs.

        Raises
        ------
        BrokenImage
            If they cannot be read.
        """
        try:
            return read_hdus(self.stored.fits)
        except StampFault as fault:
            raise broken(self.record, self.kind, fault) from fault

    def image(self, hdus: tuple[StampHdu, ...]) -> StampHdu:
        """Choose the image of the sky among its HDUs.

        Raises
        ------
        BrokenImage
            If there is none.
        """
        try:
            return image_of(hdus)
        except StampFault as fault:
            raise broken(self.record, self.kind, fault) from fault


@dataclass(frozen=True, slots=True)
class Epoch:
    """An alert with its stamps as the lake has them, gzipped mostly; opened one by one.

    Parameters
    ----------
    record
        The alert.
    values
        By kind, in the order of the product; None where there is no such stamp.
    """

    record: AlertRecord
    values: dict[str, bytes | None] = field(default_factory=dict)

    def open(self, kind: str) -> OpenStamp | None:
        """Open a stamp; None where there is none.

        Raises
        ------
        BrokenImage
            If it is no FITS file, damaged or too large; `dataset` names the alert.
        """
        if self.values[kind] is None:
            return None
        return self.the(kind)

    def the(self, kind: str) -> OpenStamp:
        """Open a stamp that has to be there.

        Raises
        ------
        BrokenImage
            Also if there is none.
        """
        try:
            return OpenStamp(self.record, kind, open_stamp(self.values[kind]))
        except StampFault as fault:
            raise broken(self.record, kind, fault) from fault


def records_of(plan: CutoutPlan, catalog: StampCatalog) -> tuple[AlertRecord, ...]:
    """Find the records of the alerts of a plan, in its order.

    Raises
    ------
    StaleImage
        If a file was indexed again since the plan was made.
    """
    known = catalog.alerts.records([stamp.alert_id for stamp in plan.stamps])
    records = []
    for stamp in plan.stamps:
        record = known.get(stamp.alert_id)
        if record is None or not _is_planned(record, stamp):
            stale = StaleImage(f"{stamp.dataset} was indexed again since the cutout was planned.")
            stale.dataset = stamp.dataset
            raise stale
        records.append(record)
    return tuple(records)


def _is_planned(record: AlertRecord, stamp: Stamp) -> bool:
    planned = (stamp.dataset, stamp.file_size, stamp.version)
    return planned == (record.dataset, record.file.size, record.file.version)


def read_epochs(
    stamps: Sequence[Stamp], records: Sequence[AlertRecord], survey: Survey, catalog: StampCatalog
) -> tuple[Epoch, ...]:
    """Read what a plan needs.

    Parameters
    ----------
    stamps, records
        The same alerts, in the order of the product.

    Raises
    ------
    StaleImage, BrokenImage
        If a file is not the one that was indexed, or cannot be read; `dataset` names an alert.
    """
    epochs = [
        Epoch(record, dict.fromkeys(stamp.kinds)) for stamp, record in zip(stamps, records, strict=True)
    ]
    for kind in dict.fromkeys(kind for stamp in stamps for kind in stamp.kinds):
        wanted = [
            (epoch.record.file.id, epoch.record.row, place)
            for place, epoch in enumerate(epochs)
            if kind in epoch.values
        ]
        for _, group in groupby(sorted(wanted), itemgetter(0)):
            of_file = [epochs[place] for _, _, place in group]
            for epoch, value in zip(of_file, _values(of_file, kind, survey, catalog), strict=True):
                epoch.values[kind] = value
    return tuple(epochs)


def _values(
    epochs: Sequence[Epoch], kind: str, survey: Survey, catalog: StampCatalog
) -> Iterator[bytes | None]:
    """Values of a kind in one file, whose alerts are sorted by row."""
    file, alerts = epochs[0].record.file, catalog.alerts
    if survey.lake is None:
        raise ValueError(f"{survey.name} is no survey of alerts")
    pages = alerts.pages(file, kind)
    if pages is None:
        return iter([None] * len(epochs))
    rows = [epoch.record.row for epoch in epochs]
    try:
        return iter(alerts.lakes.values(survey.lake, file.path, file.size, file.version, pages, rows))
    except (BrokenImage, StaleImage) as error:
        error.dataset = error.dataset or epochs[0].record.dataset
        if len(epochs) > 1 and isinstance(error, BrokenImage):
            # Which of them it is shows one by one.
            return (value for epoch in epochs for value in _values([epoch], kind, survey, catalog))
        raise


def broken(record: AlertRecord, kind: str, fault: Exception) -> SurveyError:
    """Tell what is wrong with a stamp."""
    error = BrokenImage(f"The {kind} stamp of {record.dataset} {fault}.")
    error.dataset = record.dataset
    return error
