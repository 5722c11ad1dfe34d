"""Tables of the index of alerts.

An alert's key is that of the first row of its file, and its row: so neither its file nor its survey stands
in its own line. Alerts share the life of their file, whose ``gen_from`` and ``gen_to`` say which readers see
them; the line of an alert is never changed.

There may be hundreds of millions of them. So positions and times are whole numbers, which SQLite keeps in six
bytes, and what alerts are looked up by lies in tables that are nothing but an index: their own number, a cell
of the sky, four bytes of a digest of the object's name. Those are written when all files of a run are read,
in their own order: no page of them is written twice.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, LargeBinary, SmallInteger, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from surveys.index.tables import NEVER_AGAIN, Base

# SQLite takes a whole number for the number of the row only where it is declared as INTEGER.
_Key = BigInteger().with_variant(Integer, "sqlite")
_INDEX_ALONE = {"sqlite_with_rowid": False}


class LakeFileRow(Base):
    """A file of a lake as it was read.

    `refused` is a list of ``[rows, reason]``, without a number where the whole file is meant; `bands` lists
    ``[label, alerts]``, by whose places its alerts name their bands.
    """

    __tablename__ = "lake_file"
    __table_args__ = (
        UniqueConstraint("survey_id", "path", "gen_to"),
        Index(None, "survey_id", "gen_to"),
        NEVER_AGAIN,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    survey_id: Mapped[int] = mapped_column(ForeignKey("survey.id"))
    path: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[str]
    first_id: Mapped[int] = mapped_column(BigInteger, unique=True)
    rows: Mapped[int]
    bands: Mapped[list[Any]]
    refused: Mapped[list[Any]]
    #: Of its alerts, as `AlertRow.mjd`; null where it has none.
    first_mjd: Mapped[int | None] = mapped_column(BigInteger)
    last_mjd: Mapped[int | None] = mapped_column(BigInteger)
    #: Where they lie (see `surveys.index.alerts.cover`).
    cover: Mapped[bytes | None] = mapped_column(LargeBinary)
    gen_from: Mapped[int]
    gen_to: Mapped[int]


class LakePagesRow(Base):
    """Where the pages of a kind of stamp lie in a file, packed."""

    __tablename__ = "lake_pages"

    file_id: Mapped[int] = mapped_column(ForeignKey("lake_file.id"), primary_key=True)
    #: Name of the kind, in lower case.
    kind: Mapped[str] = mapped_column(primary_key=True)
    packed: Mapped[bytes] = mapped_column(LargeBinary)


class LakeKeyRow(Base):
    """The key that the next alert will have: one row, since keys are never given twice."""

    __tablename__ = "lake_key"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    next_id: Mapped[int] = mapped_column(BigInteger)


class AlertRow(Base):
    """An alert.

    Its object is a text or a number, or neither (those of moving bodies may have none). `ra` and `dec` are in
    units of 1e-11 degrees, `mjd` in those of 1e-9 days.
    """

    __tablename__ = "alert"

    id: Mapped[int] = mapped_column(_Key, primary_key=True, autoincrement=False)
    candid: Mapped[int] = mapped_column(BigInteger)
    object: Mapped[str | None]
    object_number: Mapped[int | None] = mapped_column(BigInteger)
    ra: Mapped[int] = mapped_column(BigInteger)
    dec: Mapped[int] = mapped_column(BigInteger)
    mjd: Mapped[int] = mapped_column(BigInteger)
    band: Mapped[int] = mapped_column(SmallInteger)


class AlertCandidRow(Base):
    """Alerts by their own number; that of two with the same counts whose file was indexed later."""

    __tablename__ = "alert_candid"
    __table_args__ = _INDEX_ALONE

    candid: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    alert_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)


class AlertCellRow(Base):
    """Where on the sky an alert lies: a cell of `surveys.index.alerts.units.CELL_LEVEL`."""

    __tablename__ = "alert_cell"
    __table_args__ = _INDEX_ALONE

    cell: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    alert_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)


class AlertObjectRow(Base):
    """Alerts by `surveys.index.alerts.units.digest_of` of their object: few others have the same."""

    __tablename__ = "alert_object"
    __table_args__ = _INDEX_ALONE

    digest: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    alert_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
