"""A cutout, decided and priced before a pixel is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Protocol

from surveys.request import CutoutRequest, Cuts, Interval, MosaicOptions, PictureOptions
from surveys.sky.pixels import PixelBox
from surveys.sky.stencil import CenteredBox, Circle, Polygon, Range, Size, Stencil
from surveys.survey import Role

PLAN_VERSION = 2

Method = Literal["copy", "paste", "resample"]

#: ``(axis, first, end, step)`` of each axis that is not taken whole: 0-based FITS number, half-open.
Ranges = tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Companion:
    """A layer of a piece that is read with it: its weight, mask or psf."""

    role: Role
    dataset: str
    file_size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Piece:
    """What one image gives to a cutout.

    Parameters
    ----------
    artifact_id, dataset, file_size, mtime_ns
        The image, as it was indexed.
    box
        The pixels of it that are read.
    ranges
        What is taken of those of its further axes that are not taken whole.
    scale
        Factor that brings its pixel values to the zero point of the first piece.
    unique
        Its part of the sky that no other image has: ``(ra_min, ra_max, dec_min, dec_max)`` in ICRS degrees;
        () where none is declared.
    companions
        Layers that are read with it.
    """

    artifact_id: int
    dataset: str
    file_size: int
    mtime_ns: int
    box: PixelBox
    ranges: Ranges = ()
    scale: float = 1.0
    unique: tuple[float, ...] = ()
    companions: tuple[Companion, ...] = ()


@dataclass(frozen=True, slots=True)
class Grid:
    """The pixels of an output.

    Parameters
    ----------
    box
        Pixels on the plane of the image of the first piece, out of which it may stick; or, where there is a
        `wcs_text`, on a plane of its own, then beginning at 0, 0.
    wcs_text
        Cards (80 characters each, no END) of that plane's WCS; "" for that of the first piece's image.
    """

    box: PixelBox
    wcs_text: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One image of a product: all pieces of one band, and how they are put together.

    Parameters
    ----------
    band
        Label of the band.
    pieces
        One at least; the first is the reference, whose grid, zero point and header the part has.
    grid
        Its pixels.
    method
        ``copy``: one image, pixels as stored; ``paste``: images of one pixel grid; ``resample``.
    clipped
        Whether the stencil reaches beyond the data: the product is cut down to it, or padded.
    remarks
        What the user should know of how the request was understood, a sentence each.
    """

    band: str
    pieces: tuple[Piece, ...]
    grid: Grid
    method: Method = "copy"
    clipped: bool = False
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stamp:
    """What one alert gives to a product of a survey of alerts.

    Parameters
    ----------
    alert_id
        Its key in the index.
    dataset
        Its identifier, ``survey/alert/candid``.
    kinds
        Names of the stamps that are taken, in the order of the product.
    file_size, version
        The file that has them, as it was indexed.
    """

    alert_id: int
    dataset: str
    kinds: tuple[str, ...]
    file_size: int
    version: str


@dataclass(frozen=True, slots=True)
class Cost:
    """Price of a cutout: pixels read and made, bytes of the product (exact for one image)."""

    pixels_in: int
    pixels_out: int
    bytes_out: int


class Described(Protocol):
    """A product that is known but for its pixels."""

    @property
    def file_name(self) -> str:
        """Name to save it under, without any folder."""

    @property
    def size(self) -> int | None:
        """Bytes of all of it; None where only making it can tell."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is to be known of its pixels beside what the plan says, a sentence each."""


@dataclass(frozen=True, slots=True)
class CutoutPlan:
    """What will be read and made; JSON-serialisable by `to_json`, no pixel was looked at.

    Parameters
    ----------
    request
        What was asked.
    generation
        Generation of the survey's index the pieces were found in.
    parts
        Images of the product, one a band. Empty when the filters select nothing: that is an answer, not an
        error.
    cost
        What it takes.
    stamps
        Of a survey of alerts, whose plans have no parts: what is taken of which alerts, in the order of the
        product.
    described
        The product, where it was described for its size, so that it need not be again. It follows from the
        plan, and is neither compared with it nor written.
    """

    request: CutoutRequest
    generation: int
    parts: tuple[Part, ...]
    cost: Cost
    stamps: tuple[Stamp, ...] = ()
    plan_version: int = PLAN_VERSION
    described: Described | None = field(default=None, repr=False, compare=False)

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """What is read, of all parts."""
        if len(self.parts) == 1:
            return self.parts[0].pieces
        return tuple(piece for part in self.parts for piece in part.pieces)

    @property
    def is_empty(self) -> bool:
        """Whether the filters select nothing."""
        return not (self.parts or self.stamps)

    @property
    def datasets(self) -> tuple[str, ...]:
        """What is read: identifiers of images, or of alerts, each once."""
        pieces = [piece.dataset for piece in self.pieces]
        return tuple(dict.fromkeys([*pieces, *(stamp.dataset for stamp in self.stamps)]))

    @property
    def grid(self) -> PixelBox | None:
        """Pixels of the first part; None of an empty plan."""
        return self.parts[0].grid.box if self.parts else None

    @property
    def is_plain(self) -> bool:
        """Whether the product is a FITS file of pixels of one image as they are, and nothing else."""
        request, parts = self.request, self.parts
        if len(parts) != 1 or request.picture is not None or request.detail != "image":
            return False
        return parts[0].method == "copy" and len(parts[0].pieces) == 1

    @property
    def is_stored(self) -> bool:
        """Whether the product is one stamp of an alert, byte for byte as it is stored."""
        return (
            len(self.stamps) == 1
            and len(self.stamps[0].kinds) == 1
            and self.request.dataset.count("/") == 3
            and "/alert/" in self.request.dataset.lower()
            and self.request.stencil is None
            and self.request.picture is None
            and not self.request.array
            and self.request.detail == "image"
            and not self.request.checksum
        )

    @property
    def clipped(self) -> bool:
        """Whether the stencil reaches beyond the data of any part."""
        return any(part.clipped for part in self.parts)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the user should know of how the request was understood, each sentence once."""
        return tuple(dict.fromkeys(remark for part in self.parts for remark in part.remarks))

    @property
    def padded(self) -> bool:
        """Whether the product holds pixels of the region that no image has."""
        edge, stencil = self.request.edge, self.request.stencil
        pads = edge == "pad" or (edge == "auto" and isinstance(stencil, CenteredBox))
        return any(
            part.grid.box.pixels > sum(piece.box.pixels for piece in part.pieces)
            if part.method == "copy"
            else part.clipped and pads
            for part in self.parts
        )

    @property
    def resampled(self) -> bool:
        """Whether pixel values are interpolated between those of the images."""
        return any(part.method == "resample" for part in self.parts)

    def to_json(self) -> str:
        """Write the plan as one line of JSON, keys in a fixed order; infinities as ``Infinity``."""
        plan = asdict(replace(self, described=None))
        del plan["described"]
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
            parts=tuple(_part(part) for part in plan["parts"]),
            cost=Cost(**plan["cost"]),
            stamps=tuple(
                Stamp(**{**stamp, "kinds": tuple(stamp["kinds"])}) for stamp in plan.get("stamps", ())
            ),
        )


def _part(fields: Mapping[str, Any]) -> Part:
    grid = fields["grid"]
    return Part(
        **dict(fields)
        | {
            "pieces": tuple(_piece(piece) for piece in fields["pieces"]),
            "grid": Grid(PixelBox(**grid["box"]), grid["wcs_text"]),
            "remarks": tuple(fields.get("remarks", ())),
        }
    )


def _piece(fields: Mapping[str, Any]) -> Piece:
    return Piece(
        **dict(fields)
        | {
            "box": PixelBox(**fields["box"]),
            "ranges": tuple(tuple(limits) for limits in fields["ranges"]),
            "unique": tuple(fields["unique"]),
            "companions": tuple(Companion(**companion) for companion in fields["companions"]),
        }
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
        mosaic=MosaicOptions(**fields["mosaic"]),
        picture=None if fields["picture"] is None else _picture(fields["picture"]),
    )


def _picture(fields: Mapping[str, Any]) -> PictureOptions:
    lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    cuts = None if fields["cuts"] is None else Cuts(**fields["cuts"])
    return PictureOptions(**dict(fields) | lists | {"cuts": cuts})


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
