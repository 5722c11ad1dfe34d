"""What a survey of kind ``alerts`` declares of its lake: where it is, and which columns say what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Orientation = Literal["as-stored", "flip-x", "flip-y", "rotate-180"]
TimeScale = Literal["utc", "tai"]
TimeFormat = Literal["jd", "mjd"]


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of the alerts, each with the names that it has had: the first that a file has counts.

    A name is a path through structures, its parts joined by dots (``candidate.ra``); in braces it is a field
    of the file's path (``{year}``), that of the template or of a folder ``year=2020``.

    Parameters
    ----------
    object, candidate
        Identifiers: of the object, a text or a number; of the alert, a 64-bit number.
    ra, dec
        ICRS, degrees.
    time
        When it was observed.
    band
        Which filter: its values are the words of the survey's bands.
    """

    object: tuple[str, ...]
    candidate: tuple[str, ...]
    ra: tuple[str, ...]
    dec: tuple[str, ...]
    time: tuple[str, ...]
    band: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StampKind:
    """One of the stamps of an alert: its name in identifiers (``Science``), and the column that holds it."""

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lake:
    """A lake of alerts.

    Parameters
    ----------
    root
        Absolute folder, or URL of one (``s3://bucket/prefix``, ``hdfs://…``, ``webhdfs://…``); nothing
        outside it is ever opened.
    path
        Glob of the files below it (``**/*.parquet``).
    columns
        What is where.
    stamps
        Kinds of stamps, in the order of products; names differ whatever the case of their letters.
    time_format, time_scale
        Of the column `Columns.time`.
    orientation
        What turns a stamp as stored north up and east left: for pictures alone.
    stamp_radius_deg
        Of the circle that a stamp covers, about the alert.
    known_as
        Other beginnings by which clients of a broker name files of the root (``hdfs://host:8020/user/x``).
    storage_options
        For the file system of a URL, as fsspec has them.
    """

    root: str
    path: str
    columns: Columns
    stamps: tuple[StampKind, ...]
    time_format: TimeFormat = "jd"
    time_scale: TimeScale = "utc"
    orientation: Orientation = "as-stored"
    stamp_radius_deg: float = 0.0
    known_as: tuple[str, ...] = ()
    storage_options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def is_remote(self) -> bool:
        """Whether it is reached by a URL."""
        return "://" in self.root

    def stamp(self, name: str) -> StampKind | None:
        """Kind of this name, in whatever case; None where there is none."""
        return next((kind for kind in self.stamps if kind.name.lower() == name.lower()), None)
