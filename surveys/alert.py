"""An alert as the index knows it: who, where, when, and in which row of which file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from surveys.errors import UnknownAlert
from surveys.lake import Lake

#: A 64-bit number, as alerts have.
LARGEST_CANDID = 2**63 - 1
_CANDID = re.compile(r"-?[0-9]{1,19}", re.ASCII)


@dataclass(frozen=True, slots=True)
class LakeFile:
    """A file of a lake as it was indexed.

    Parameters
    ----------
    id
        Key in the index.
    survey
        Name of the survey.
    path
        Below the root, parts joined by ``/``.
    size, version
        Bytes, and what else tells it from another of its name: the time of its last change in nanoseconds,
        or what its store calls it by.
    first_id
        Key of the alert in its first row; those of the others follow it.
    rows
        Number of rows.
    """

    id: int
    survey: str
    path: str
    size: int
    version: str
    first_id: int
    rows: int

    @property
    def name(self) -> str:
        """Its bare name."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """An alert.

    Parameters
    ----------
    id
        Key in the index.
    survey
        Name of the survey, as declared.
    candid, object_id
        Its own number, and the identifier of the object it is of, as it is written in the lake.
    ra_deg, dec_deg
        ICRS.
    mjd
        When it was observed: MJD, UTC.
    band
        Label of the band; "" where the survey declares none for what the lake says.
    file
        Where its stamps are.
    """

    id: int
    survey: str
    candid: int
    object_id: str
    ra_deg: float
    dec_deg: float
    mjd: float
    band: str
    file: LakeFile

    @property
    def row(self) -> int:
        """Row of the file, from 0."""
        return self.id - self.file.first_id

    @property
    def dataset(self) -> str:
        """What follows ``?`` in its identifier."""
        return f"{self.survey}/alert/{self.candid}"


@dataclass(frozen=True, slots=True)
class AlertName:
    """What an identifier of a survey of alerts names.

    Parameters
    ----------
    survey
        Name of the survey, as it was written.
    what
        Whether it is one alert, or all those of an object.
    key
        Its number, or the identifier of the object, as it was written.
    kind
        The one stamp of it that is meant, as the lake spells it; "" for each kind.
    """

    survey: str
    what: Literal["alert", "object"]
    key: str
    kind: str = ""

    @property
    def candid(self) -> int:
        """Number of the alert."""
        return int(self.key)

    @classmethod
    def parse(cls, dataset: str, lake: Lake) -> AlertName | None:
        """Read ``survey/alert/<candid>[/<kind>]`` or ``survey/object/<id>[/<kind>]``, in whatever case.

        Returns
        -------
        AlertName or None
            None of an identifier that does not say which of the two it is.

        Raises
        ------
        UnknownDataset
            If it says so, and nothing can have that name.
        """
        survey, *parts = dataset.split("/")
        match parts:
            case [word, key, *kinds] if word.lower() in ("alert", "object") and key:
                what: Literal["alert", "object"] = "alert" if word.lower() == "alert" else "object"
            case _:
                return None
        kind = lake.stamp(kinds[0]) if kinds else None
        if len(kinds) > 1 or (kinds and kind is None):
            known = ", ".join(one.name for one in lake.stamps)
            raise UnknownAlert(
                f"there is no stamp {'/'.join(kinds)!r} of {survey}/{what}/{key}; it has {known}"
            )
        if what == "alert" and candid_of(key) is None:
            raise UnknownAlert(
                f"there is no alert {key!r} in {survey}: the number of an alert is a whole number of 64 bits"
            )
        return cls(survey, what, key, kind.name if kind else "")


def candid_of(text: str) -> int | None:
    """Read the number of an alert; None of a text that is none."""
    if not _CANDID.fullmatch(text) or abs(int(text)) > LARGEST_CANDID:
        return None
    return int(text)
