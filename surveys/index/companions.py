"""What belongs to images: their other layers, and what else the index knows of them, for many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from surveys.errors import StaleImage
from surveys.image import ImageRecord
from surveys.index.links import link_in_file, link_of
from surveys.index.queries import COMPANION_COLUMNS, valid_in
from surveys.index.records import layer_of
from surveys.index.tables import ArtifactRow, DatasetRow, FileRow
from surveys.survey import Survey
from surveys.template import BAND

# Keys in one query: databases bound them.
_AT_ONCE = 500


def rows_of_images(
    connection: Connection, images: Sequence[ImageRecord], *columns: Any
) -> dict[int, Row[Any]]:
    """Read columns of the datasets of some images, after the keys of their artifacts; by these.

    Raises
    ------
    StaleImage
        If one of them is no longer in the index.
    """
    query = select(ArtifactRow.id, *columns).join(DatasetRow, ArtifactRow.dataset_id == DatasetRow.id)
    keys = [image.artifact_id for image in images]
    found: dict[int, Row[Any]] = {}
    for start in range(0, len(keys), _AT_ONCE):
        some = ArtifactRow.id.in_(keys[start : start + _AT_ONCE])
        found |= {row[0]: row for row in connection.execute(query.where(some))}
    for image in images:
        if image.artifact_id not in found:
            raise StaleImage(f"{image.file.name} is no longer in the index")
    return found


def read_companions(
    connection: Connection,
    survey: Survey,
    survey_id: int,
    images: Sequence[ImageRecord],
    generation: int,
) -> dict[int, dict[str, ImageRecord]]:
    """Weight, mask and psf of images of one survey, where there are any: by artifact, then by role."""
    owners = _links_of(connection, survey, images)
    found: dict[int, dict[str, ImageRecord]] = {image.artifact_id: {} for image in images}
    columns: tuple[Any, ...] = (*COMPANION_COLUMNS, ArtifactRow.link)
    query: Select[*tuple[Any, ...]] = (
        select(*columns)
        .join(FileRow, FileRow.id == ArtifactRow.file_id)
        .where(ArtifactRow.survey_id == survey_id, *valid_in(ArtifactRow, generation))
    )
    links = list(owners)
    for start in range(0, len(links), _AT_ONCE):
        some = ArtifactRow.link.in_(links[start : start + _AT_ONCE])
        for row in connection.execute(query.where(some)):
            for image in owners[row.link]:
                found[image.artifact_id][row.role] = layer_of(image, row)
    return found


def _links_of(
    connection: Connection, survey: Survey, images: Sequence[ImageRecord]
) -> dict[str, list[ImageRecord]]:
    """Keys that join layers to images, and the images of each: bands may share a mask."""
    owners: dict[str, list[ImageRecord]] = {}
    rows = rows_of_images(connection, images, DatasetRow.fields, DatasetRow.tag)
    for image in images:
        fields, tag = rows[image.artifact_id].fields, rows[image.artifact_id].tag
        for layer in survey.layers[1:]:
            if layer.own_files:
                values = {name: fields[name] for name in layer.path.fields if name != BAND}
                link = link_of(layer.role, values, image.band if BAND in layer.path.fields else None, tag)
            else:
                link = link_in_file(layer.role, image.file.path, tag)
            owners.setdefault(link, []).append(image)
    return owners
