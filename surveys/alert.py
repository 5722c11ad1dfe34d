"""An alert as the index knows it: who, where, when, and in which row of which file."""

from __future__ import annotations

from dataclasses import dataclass


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
