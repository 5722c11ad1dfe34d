"""Records of images made of rows of the index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Row

from surveys.image import FileFacts, ImageRecord, SideTable, ZtileLayout
from surveys.survey import Survey


def image_of(survey: Survey, row: Row[Any]) -> ImageRecord:
    """Make the record of an image."""
    band = survey.band(row.band)
    return ImageRecord(
        dataset=row.key,
        survey=survey.name,
        band=row.band,
        em_min_m=row.em_min,
        em_max_m=row.em_max,
        t_min_mjd=row.t_min,
        t_max_mjd=row.t_max,
        pol_states=tuple(row.pol_states.split("/")) if row.pol_states else (),
        pixel_scale_deg=survey.pixel_scale_deg or row.s_pixel_scale_deg,
        nodata=None if band.nodata is None else band.nodata.value,
        tables=tuple(SideTable(**table) for table in row.attributes.get("tables", ())),
        **_stored(row),
    )


def layer_of(image: ImageRecord, row: Row[Any]) -> ImageRecord:
    """Make the record of another layer of an image: of the same sky, time and band, a dataset of its own."""
    stored = _stored(row)
    if "CTYPE" not in row.wcs_text and stored["shape"] == image.shape:
        # It lies on the grid of its image, whether it says so or not.
        stored |= {"wcs_text": image.wcs_text, "x_axis": image.x_axis, "y_axis": image.y_axis}
    # Tables of another file are not those of the image.
    tables = image.tables if stored["file"] == image.file else ()
    return replace(image, dataset=f"{image.dataset}/{row.role}", nodata=None, tables=tables, **stored)


def _stored(row: Row[Any]) -> dict[str, Any]:
    """Fields of an `ImageRecord` that say how and where its pixels are stored."""
    return {
        "artifact_id": row.id,
        "role": row.role,
        "file": FileFacts(row.path, row.size, row.mtime_ns, row.sha256),
        "hdu": row.hdu,
        "extname": row.extname,
        "storage": row.storage,
        "data_offset": row.data_offset,
        "shape": tuple(row.shape),
        "x_axis": row.x_axis,
        "y_axis": row.y_axis,
        "bitpix": row.bitpix,
        "bscale": row.bscale,
        "bzero": row.bzero,
        "blank": row.blank,
        "wcs_text": row.wcs_text,
        "header_key": row.header_id,
        "indexed_at": row.indexed_at,
        "ztiles": None if row.ztiles is None else _ztiles(row.ztiles),
    }


def _ztiles(stored: Mapping[str, Any]) -> ZtileLayout:
    columns = {name: (offset, form) for name, (offset, form) in stored["columns"].items()}
    return ZtileLayout(**{**stored, "columns": columns, "ztile": tuple(stored["ztile"])})
