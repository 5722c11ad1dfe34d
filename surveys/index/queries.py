"""The statements the catalog asks most, put together once: to build one takes longer than to run it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

from sqlalchemy import BindParameter, ColumnElement, Select, bindparam, or_, select, union_all
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import InstrumentedAttribute, aliased

from surveys.index.tables import ArtifactRow, CellRow, DatasetRow, FileRow, HeaderRow, SurveyRow

Order = Literal["highest", "lowest"]


def valid_in(table: Any, generation: Any) -> tuple[Any, ...]:
    """Conditions on the rows of a table that a reader of a generation sees."""
    return (table.gen_from <= generation, table.gen_to > generation)


COMPANION_COLUMNS: tuple[InstrumentedAttribute[Any], ...] = (
    ArtifactRow.id,
    ArtifactRow.role,
    ArtifactRow.hdu,
    ArtifactRow.extname,
    ArtifactRow.storage,
    ArtifactRow.data_offset,
    ArtifactRow.shape,
    ArtifactRow.x_axis,
    ArtifactRow.y_axis,
    ArtifactRow.bitpix,
    ArtifactRow.bscale,
    ArtifactRow.bzero,
    ArtifactRow.blank,
    ArtifactRow.wcs_text,
    ArtifactRow.header_id,
    ArtifactRow.ztiles,
    ArtifactRow.indexed_at,
    FileRow.path,
    FileRow.size,
    FileRow.mtime_ns,
    FileRow.sha256,
)
_IMAGE_COLUMNS: tuple[InstrumentedAttribute[Any], ...] = (
    *COMPANION_COLUMNS,
    DatasetRow.key,
    DatasetRow.band,
    DatasetRow.em_min,
    DatasetRow.em_max,
    DatasetRow.t_min,
    DatasetRow.t_max,
    DatasetRow.pol_states,
    DatasetRow.s_pixel_scale_deg,
    DatasetRow.attributes,
)


POINTER = select(SurveyRow.id, SurveyRow.generation).where(SurveyRow.name == bindparam("name"))
HEADER = select(HeaderRow.deflated).where(HeaderRow.id == bindparam("id"))
_IMAGE = (
    select(*_IMAGE_COLUMNS)
    .join(DatasetRow, ArtifactRow.dataset_id == DatasetRow.id)
    .join(FileRow, FileRow.id == ArtifactRow.file_id)
)
IMAGE_BY_ID = _IMAGE.where(ArtifactRow.id == bindparam("id"))
IMAGE_BY_KEY = _IMAGE.where(
    DatasetRow.survey_id == bindparam("survey_id"),
    DatasetRow.key_lower == bindparam("key"),
    *valid_in(DatasetRow, bindparam("generation")),
)


def range_names(number: int) -> tuple[str, str, str]:
    """Names of the parameters of one range: level, first and last cell."""
    return f"level{number}", f"first{number}", f"last{number}"


def band_names(bands: int) -> list[str]:
    """Names of the parameters of so many bands."""
    return [f"band{number}" for number in range(bands)]


def footprints(prefer: Order | None) -> Select[*tuple[Any, ...]]:
    """Query for ``(artifact, dataset, band, ra, dec, cover)`` of images; `prefer` as of `candidates_in`."""
    query: Select[*tuple[Any, ...]] = select(
        ArtifactRow.id,
        DatasetRow.key,
        DatasetRow.band,
        DatasetRow.s_ra,
        DatasetRow.s_dec,
        DatasetRow.cover,
    ).join(ArtifactRow, ArtifactRow.dataset_id == DatasetRow.id)
    return query if prefer is None else query.where(preferred(prefer))


@lru_cache(maxsize=256)
def candidates_in(ranges: int, bands: int, prefer: Order | None) -> Select[*tuple[Any, ...]]:
    """Query for the images of some bands with a cell in one of some ranges.

    Parameters: ``survey_id``, ``generation``, ``most`` (rows), the `band_names`, and the `range_names` of
    each range. With `prefer`, of the reprocessings of a tile only the one that sorts highest or lowest.
    """
    survey_id: BindParameter[int] = bindparam("survey_id")
    valid = valid_in(DatasetRow, bindparam("generation"))
    cells = union_all(
        *(
            select(CellRow.dataset_id).where(
                CellRow.survey_id == survey_id,
                CellRow.level == bindparam(level),
                CellRow.start.between(bindparam(first), bindparam(last)),
            )
            for level, first, last in map(range_names, range(ranges))
        )
    )
    return (
        footprints(prefer)
        .where(
            DatasetRow.id.in_(cells),
            or_(*(DatasetRow.band == bindparam(name) for name in band_names(bands))),
            *valid,
        )
        .limit(bindparam("most"))
    )


@lru_cache(maxsize=256)
def candidates_sql(ranges: int, bands: int, prefer: Order | None) -> tuple[str, dict[str, object]]:
    """`candidates_in` as SQLite takes it, and the values it has of its own."""
    compiled = candidates_in(ranges, bands, prefer).compile(dialect=sqlite.dialect(paramstyle="named"))
    return str(compiled), {name: value for name, value in compiled.params.items() if value is not None}


def preferred(order: Order) -> ColumnElement[bool]:
    """Condition on a dataset: no other reprocessing of its tile sorts before it.

    Parameters: ``survey_id``, ``generation``.
    """
    other = aliased(DatasetRow)
    more, less = (other, DatasetRow) if order == "highest" else (DatasetRow, other)
    better = select(other.id).where(
        other.survey_id == bindparam("survey_id"),
        other.band == DatasetRow.band,
        other.tile == DatasetRow.tile,
        more.preference > less.preference,
        *valid_in(other, bindparam("generation")),
    )
    return ~better.exists()
