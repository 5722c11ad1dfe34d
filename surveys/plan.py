"""A cutout, decided and priced before a pixel is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from surveys.request import CutoutRequest, Interval
from surveys.sky.pixels import PixelBox
from surveys.sky.stencil import CenteredBox, Circle, Polygon, Range, Size, Stencil

PLAN_VERSION = 1


@dataclass(frozen=True, slots=True)
class Piece:
    """What one image gives to a cutout: `box`, inside the image of that artifact as it was indexed."""

    artifact_id: int
    dataset: str
    file_size: int
    mtime_ns: int
    box: PixelBox


@dataclass(frozen=True, slots=True)
class Cost:
    """Price of a cutout: pixels read and made, bytes of the product (exact for one image)."""

    pixels_in: int
    pixels_out: int
    bytes_out: int


@dataclass(frozen=True, slots=True)
class CutoutPlan:
    """What will be read and made; JSON-serialisable by `to_json`, no pixel was looked at.

    Parameters
    ----------
    request
        What was asked.
    generation
        Generation of the survey's index the pieces were found in.
    pieces
        Empty when the filters select nothing: that is an answer, not an error.
    grid
        The output's box in pixels of the first piece's image. It may stick out of the image
        (CENTER + SIZE): then the product is padded. None when `pieces` is empty.
    clipped
        Whether the stencil reaches beyond the image: the product is cut down to it, or padded (`padded`).
    cost
        What it takes.
    """

    request: CutoutRequest
    generation: int
    pieces: tuple[Piece, ...]
    grid: PixelBox | None
    clipped: bool
    cost: Cost
    plan_version: int = PLAN_VERSION

    @property
    def padded(self) -> bool:
        """Whether the product holds pixels that no image has."""
        return self.grid is not None and self.grid.pixels > sum(piece.box.pixels for piece in self.pieces)

    def to_json(self) -> str:
        """Write the plan as one line of JSON, keys in a fixed order; infinities as ``Infinity``."""
        plan = asdict(self)
        if (stencil := self.request.stencil) is not None:
            plan["request"]["stencil"]["shape"] = type(stencil).__name__
        return json.dumps(plan, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> CutoutPlan:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            If it is of another `plan_version`: plan again from the request.
        """
        plan = json.loads(text)
        if plan["plan_version"] != PLAN_VERSION:
            raise ValueError(f"plan of version {plan['plan_version']}, this program makes {PLAN_VERSION}")
        return cls(
            request=_request(plan["request"]),
            generation=plan["generation"],
            pieces=tuple(Piece(**piece | {"box": PixelBox(**piece["box"])}) for piece in plan["pieces"]),
            grid=None if plan["grid"] is None else PixelBox(**plan["grid"]),
            clipped=plan["clipped"],
            cost=Cost(**plan["cost"]),
        )


def _request(fields: Mapping[str, Any]) -> CutoutRequest:
    request = CutoutRequest(**fields)
    return replace(
        request,
        stencil=None if fields["stencil"] is None else _stencil(dict(fields["stencil"])),
        band_m=None if fields["band_m"] is None else Interval(**fields["band_m"]),
        time_mjd=None if fields["time_mjd"] is None else Interval(**fields["time_mjd"]),
        pol=tuple(fields["pol"]),
        filters=tuple(fields["filters"]),
    )


def _stencil(fields: dict[str, Any]) -> Stencil:
    match fields.pop("shape"):
        case "Circle":
            return Circle(**fields)
        case "Polygon":
            return Polygon(tuple((ra, dec) for ra, dec in fields["vertices_deg"]))
        case "Range":
            return Range(**fields)
        case "CenteredBox":
            return CenteredBox(**fields | {"size": Size(**fields["size"])})
        case shape:
            raise ValueError(f"unknown shape {shape!r} in a plan")
