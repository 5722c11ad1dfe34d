"""Alerts out of the rows of the statements that find some."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from surveys.alert import AlertRecord, LakeFile
from surveys.errors import UnknownAlert
from surveys.index.alerts.queries import from_json
from surveys.index.alerts.units import DAY, DEGREE
from surveys.lru import Lru

#: Alerts of an object, by time.
Epochs = tuple[AlertRecord, ...]

_FILES_KEPT = 4_000


class Records:
    """Makes alerts; those of one file share it. One for all threads."""

    def __init__(self) -> None:
        self._files: Lru[int, tuple[LakeFile, tuple[str, ...]]] = Lru(_FILES_KEPT)

    def of(self, row: Sequence[Any]) -> AlertRecord:
        """Make an alert of a row of the statements that find some."""
        key, candid, name, number, ra, dec, mjd, band, *of_file = row
        file, labels = self._files.get(of_file[0], lambda: _file_of(of_file))
        return AlertRecord(
            id=key,
            survey=file.survey,
            candid=candid,
            object_id=name or ("" if number is None else str(number)),
            ra_deg=ra / DEGREE,
            dec_deg=dec / DEGREE,
            mjd=mjd / DAY,
            band=labels[band],
            file=file,
        )


def in_order(alerts: Iterable[AlertRecord]) -> Epochs:
    """Sort alerts by time."""
    return tuple(sorted(alerts, key=lambda alert: (alert.mjd, alert.candid, alert.id)))


def of_one_object(alerts: Epochs, object_id: str) -> Epochs:
    """Choose among alerts whose objects have one name, but for the case of its letters.

    Case does not matter, unless it alone tells objects of a lake apart.

    Raises
    ------
    UnknownAlert
        If there are several objects, and none is spelled as here.
    """
    names = {alert.object_id for alert in alerts}
    if len(names) < 2:
        return alerts
    if object_id not in names:
        raise UnknownAlert(
            f"{alerts[0].survey} has several objects {object_id!r}, whose names differ by the case of their "
            "letters: write that as the lake has it"
        )
    return tuple(alert for alert in alerts if alert.object_id == object_id)


def _file_of(row: Sequence[Any]) -> tuple[LakeFile, tuple[str, ...]]:
    """File of a row, and the labels of the bands that its alerts name by their places."""
    key, path, size, version, first_id, rows, bands, survey = row
    labels = tuple(label for label, _ in from_json(bands))
    return LakeFile(key, survey, path, size, version, first_id, rows), labels
