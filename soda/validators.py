"""How cutouts are told from others: by all that decides of their bytes; and when that last changed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from surveys.image import ImageRecord
from surveys.plan import CutoutPlan
from surveys.survey import Survey

#: Ends the ETag of a cutout that goes out as it is stored, in gzip: other bytes, another tag.
IN_GZIP = "-gzip"
_LONGEST_NS = 19


@dataclass(frozen=True, slots=True)
class Validators:
    """Of the bytes of a cutout.

    Parameters
    ----------
    etag
        Strong: the same for the same bytes.
    modified_s
        When the data, or their index, last changed, seconds since 1970; 0 where that is not known.
    """

    etag: str
    modified_s: float


def of_images(plan: CutoutPlan, records: Sequence[ImageRecord], survey: Survey, made_by: str) -> Validators:
    """Tell those of a plan whose pieces are cut from `records`.

    Bytes depend on request and program, files, when they were indexed (card DATE), and what the declaration
    says of their pixels today.
    """
    facts: list[str | float | None] = [plan.request.canonical, made_by]
    modified_s = 0.0
    for piece, record in zip(plan.pieces, records, strict=True):
        indexed_s = record.indexed_at.timestamp()
        facts += (piece.artifact_id, piece.file_size, piece.mtime_ns, indexed_s)
        facts += (record.pixel_scale_deg, record.nodata)
        modified_s = max(modified_s, record.file.mtime_ns / 1e9, indexed_s)
    if not plan.is_plain:
        # What else decides of them: all options, grids, offsets, factors, layers; and what is declared.
        facts += [repr(plan.request), repr(plan.parts), repr(survey)]
    return Validators(_digest(facts), modified_s)


def of_stamps(plan: CutoutPlan, declared: str, made_by: str) -> Validators:
    """Tell those of a plan of stamps: of request and program, their files, and what is `declared` of them."""
    facts: list[str | float | None] = [plan.request.canonical, made_by, repr(plan.request)]
    facts += [repr(plan.stamps), declared]
    return Validators(_digest(facts), max(_changed_s(stamp.version) for stamp in plan.stamps))


def _changed_s(version: str) -> float:
    """When a file last changed, if its version is that moment in nanoseconds and no name in a store."""
    return int(version) / 1e9 if version.isdecimal() and len(version) <= _LONGEST_NS else 0.0


def _digest(facts: Sequence[str | float | None]) -> str:
    return hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest()
