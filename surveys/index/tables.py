"""Tables of the image index.

Rows are never changed once they are published: they carry ``gen_from`` and ``gen_to``, and a reader sees the
rows with ``gen_from <= generation < gen_to`` of the generation it read from `SurveyRow` first.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

#: `gen_to` of a row that has no end.
FOREVER = 2**31 - 1

# Readers keep rows by their keys: that of a row long gone must never name another one.
NEVER_AGAIN = {"sqlite_autoincrement": True}


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC, aware in Python; SQLite keeps no zone, so it is stored without."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Take the zone away."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        return None if value is None else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """All tables of the engine; constraints have names, as migrations need them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {datetime: UtcDateTime, dict[str, Any]: JSON, list[Any]: JSON, str: Text}


class SurveyRow(Base):
    """The pointer: which generation of a survey's index is to be read."""

    __tablename__ = "survey"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    generation: Mapped[int] = mapped_column(default=0)
    last_modified: Mapped[datetime]
    #: Digest of the declaration the index was made by; another one means that every file is read anew.
    declaration: Mapped[str] = mapped_column(default="")


class GenerationRow(Base):
    """When a generation was published, and what its bands cover (see `surveys.index.hull`)."""

    __tablename__ = "generation"

    survey_id: Mapped[int] = mapped_column(ForeignKey("survey.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    published: Mapped[datetime]
    #: Null in an index made before hulls were kept.
    hulls: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class FileRow(Base):
    """A file as it was read, with what was refused of it (a list of ``[hdu, reason]``)."""

    __tablename__ = "file"
    __table_args__ = (
        UniqueConstraint("survey_id", "path", "gen_to"),
        Index(None, "survey_id", "gen_to"),
        NEVER_AGAIN,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    survey_id: Mapped[int] = mapped_column(ForeignKey("survey.id"))
    path: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str | None]
    refused: Mapped[list[Any]]
    gen_from: Mapped[int]
    gen_to: Mapped[int]


class DatasetRow(Base):
    """A dataset: one image with its metadata, by the names of ObsCore where ObsCore has one."""

    __tablename__ = "dataset"
    __table_args__ = (
        UniqueConstraint("survey_id", "key_lower", "gen_to"),
        Index(None, "survey_id", "band", "tile", "gen_to"),
        NEVER_AGAIN,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    survey_id: Mapped[int] = mapped_column(ForeignKey("survey.id"))
    key: Mapped[str]
    key_lower: Mapped[str]
    band: Mapped[str]
    #: Fields of the path; `tile` is the same without the one that tells reprocessings apart.
    fields: Mapped[dict[str, Any]]
    #: The HDU of a file that holds several images; empty elsewhere.
    tag: Mapped[str]
    tile: Mapped[str]
    #: Sorts reprocessings of one tile; empty where the survey has no `prefer`.
    preference: Mapped[str]
    #: Footprint (sphgeom region, encoded).
    cover: Mapped[bytes | None] = mapped_column(LargeBinary)
    s_ra: Mapped[float | None]
    s_dec: Mapped[float | None]
    s_fov: Mapped[float | None]
    s_region: Mapped[str | None]
    s_xel1: Mapped[int | None]
    s_xel2: Mapped[int | None]
    s_pixel_scale_deg: Mapped[float | None]
    t_min: Mapped[float | None]
    t_max: Mapped[float | None]
    t_exptime: Mapped[float | None]
    em_min: Mapped[float | None]
    em_max: Mapped[float | None]
    pol_states: Mapped[str]
    calib_level: Mapped[int]
    obs_release_date: Mapped[datetime | None]
    expires: Mapped[datetime | None]
    owner: Mapped[str | None]
    attributes: Mapped[dict[str, Any]]
    gen_from: Mapped[int]
    gen_to: Mapped[int]


class HeaderRow(Base):
    """Text of a header, deflated; kept once for all HDUs of a survey that have the same."""

    __tablename__ = "header"
    __table_args__ = (UniqueConstraint("survey_id", "digest"), NEVER_AGAIN)

    id: Mapped[int] = mapped_column(primary_key=True)
    survey_id: Mapped[int] = mapped_column(ForeignKey("survey.id"))
    digest: Mapped[str]
    deflated: Mapped[bytes] = mapped_column(LargeBinary)


class ArtifactRow(Base):
    """One HDU with pixels. An image belongs to its dataset, other layers find theirs by `link`."""

    __tablename__ = "artifact"
    __table_args__ = (
        Index(None, "dataset_id"),
        Index(None, "file_id"),
        Index(None, "header_id"),
        Index(None, "survey_id", "link"),
        NEVER_AGAIN,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    survey_id: Mapped[int] = mapped_column(ForeignKey("survey.id"))
    file_id: Mapped[int] = mapped_column(ForeignKey("file.id"))
    dataset_id: Mapped[int | None] = mapped_column(ForeignKey("dataset.id"))
    role: Mapped[str]
    link: Mapped[str | None]
    state: Mapped[str]
    hdu: Mapped[int]
    extname: Mapped[str]
    storage: Mapped[str]
    data_offset: Mapped[int] = mapped_column(BigInteger)
    shape: Mapped[list[Any]]
    x_axis: Mapped[int]
    y_axis: Mapped[int]
    bitpix: Mapped[int]
    bscale: Mapped[float]
    bzero: Mapped[float]
    blank: Mapped[int | None] = mapped_column(BigInteger)
    wcs_text: Mapped[str]
    header_id: Mapped[int] = mapped_column(ForeignKey("header.id"))
    ztiles: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    indexed_at: Mapped[datetime]
    gen_from: Mapped[int]
    gen_to: Mapped[int]


class CellRow(Base):
    """Where on the sky a dataset lies: a cell of `level`, by its first descendant of the deepest level."""

    __tablename__ = "cell"
    __table_args__ = (Index(None, "dataset_id"), {"sqlite_with_rowid": False})

    survey_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    level: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    start: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    dataset_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
