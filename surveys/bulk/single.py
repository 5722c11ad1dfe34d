"""Rows that are a copy of one image: their boxes, their cost, and whether they are allowed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from surveys.bulk.matching import Integers
from surveys.bulk.plans import Planner, Verdict
from surveys.bulk.rows import Rows
from surveys.cube.ranges import WHOLE, depth_of
from surveys.errors import RequestFault
from surveys.fits.header import BLOCK
from surveys.fits.product import bitpix_of, describe
from surveys.image import ImageRecord
from surveys.planning.images import Overlap, at_the_edge, edge_of
from surveys.planning.limits import check_image
from surveys.request import CutoutRequest
from surveys.sky.overlap import box_shape
from surveys.sky.pixels import PixelBox
from surveys.sky.sphere import Booleans, Floats

#: Headers are looked at of so many images; those of others are taken to be as long.
SAMPLED_IMAGES = 64
_POWERS = 10 ** np.arange(1, 10)


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Boxes of an image, and the rows they belong to."""

    rows: Integers
    x0: Integers
    x1: Integers
    y0: Integers
    y1: Integers
    inside: Integers
    whole: Booleans

    def taken(self, which: Booleans) -> Boxes:
        """Take some of them."""
        return Boxes(
            self.rows[which],
            self.x0[which],
            self.x1[which],
            self.y0[which],
            self.y1[which],
            self.inside[which],
            self.whole[which],
        )

    def box(self, at: int) -> PixelBox:
        """One of them."""
        return PixelBox(int(self.x0[at]), int(self.x1[at]), int(self.y0[at]), int(self.y1[at]))


class Copies:
    """Plans rows that are a copy of one image.

    Parameters
    ----------
    planner
        What plans are made with.
    ra_deg, dec_deg
        Positions of all rows.
    rows
        Where they are planned.
    """

    def __init__(self, planner: Planner, ra_deg: Floats, dec_deg: Floats, rows: Rows) -> None:
        self._planner = planner
        self._ra, self._dec = ra_deg, dec_deg
        self._rows = rows
        self._sampled: set[int] = set()
        self._usual_size = 0

    def plan(
        self,
        record: ImageRecord,
        numbers: Integers,
        x0: Integers,
        y0: Integers,
        inside: Integers,
        whole: Booleans,
    ) -> None:
        """Plan the rows that are a copy of one image.

        Parameters
        ----------
        record
            The image.
        numbers
            Of the rows.
        x0, y0, inside, whole
            As `Pairs` has them.
        """
        width, height = box_shape(self._planner.size, record.pixel_scale_deg)
        rows = self._rows
        rows.fraction[numbers] = inside / float(width * height)
        rows.verdict[numbers] = np.where(whole, Verdict.COVERED, Verdict.PARTIAL)
        boxes = Boxes(numbers, x0, x0 + width, y0, y0 + height, inside, whole)
        boxes = self._at_the_edge(record, boxes)
        if len(boxes.rows):
            self._write(record, boxes)

    def _at_the_edge(self, record: ImageRecord, boxes: Boxes) -> Boxes:
        if boxes.whole.all():
            return boxes
        sample = self._request(int(boxes.rows[0]))
        match edge_of(sample):
            case "clip":
                return Boxes(
                    boxes.rows,
                    np.maximum(boxes.x0, 0),
                    np.minimum(boxes.x1, record.nx),
                    np.maximum(boxes.y0, 0),
                    np.minimum(boxes.y1, record.ny),
                    boxes.inside,
                    boxes.whole,
                )
            case "error":
                for at in np.flatnonzero(~boxes.whole).tolist():
                    self._refuse_sticking_out(record, int(boxes.rows[at]), boxes.box(at))
                return boxes.taken(boxes.whole)
            case _:
                return boxes

    def _refuse_sticking_out(self, record: ImageRecord, row: int, box: PixelBox) -> None:
        inside = box.clip(record.nx, record.ny)
        if inside is None:
            raise ValueError("the box has no pixel of the image")
        try:
            at_the_edge(self._request(row), Overlap(record, box, inside, whole=False))
        except RequestFault as fault:
            self._rows.refuse(row, fault)

    def _write(self, record: ImageRecord, boxes: Boxes) -> None:
        rows, depth = self._rows, depth_of(record)
        planes = (boxes.x1 - boxes.x0) * (boxes.y1 - boxes.y0)
        sticks_out = planes != boxes.inside
        sample = self._request(int(boxes.rows[0]))
        frame = PixelBox(0, record.nx, 0, record.ny)
        beyond = PixelBox(-1, record.nx, 0, record.ny)
        stored, padded = (bitpix_of(record, box, sample) for box in (frame, beyond))
        bitpix = np.where(sticks_out, padded, stored)
        allowed = self._allowed(record, boxes, bitpix, planes * depth)
        if not allowed.all():
            boxes, planes, bitpix = boxes.taken(allowed), planes[allowed], bitpix[allowed]
            if not len(boxes.rows):
                return
        at = boxes.rows
        rows.artifact[at] = record.artifact_id
        rows.x0[at], rows.x1[at], rows.y0[at], rows.y1[at] = boxes.x0, boxes.x1, boxes.y0, boxes.y1
        rows.pixels_in[at], rows.pixels_out[at] = boxes.inside * depth, planes * depth
        data = planes * depth * np.abs(bitpix) // 8
        rows.bytes_out[at] = -(-data // BLOCK) * BLOCK + self._header_bytes(record, boxes, bitpix)

    def _allowed(self, record: ImageRecord, boxes: Boxes, bitpix: Integers, pixels: Integers) -> Booleans:
        """Refuse rows that pass a limit; which are left."""
        limits = self._planner.limits
        most = np.minimum(limits.max_pixels, limits.max_bytes // (np.abs(bitpix) // 8))
        allowed = np.asarray(pixels <= most)
        # What is said depends on the size alone.
        faults: dict[tuple[int, int, int], RequestFault] = {}
        for at in np.flatnonzero(~allowed).tolist():
            box, row = boxes.box(at), int(boxes.rows[at])
            key = (box.width, box.height, int(bitpix[at]))
            if key not in faults:
                try:
                    check_image(self._request(row), record, box, depth_of(record), limits)
                except RequestFault as fault:
                    faults[key] = fault
            self._rows.refuse(row, faults[key])
        return allowed

    def _header_bytes(self, record: ImageRecord, boxes: Boxes, bitpix: Integers) -> Integers:
        """Bytes of headers, and of the tables behind the pixels."""
        sizes = np.full(len(boxes.rows), self._usual_size)
        if record.artifact_id not in self._sampled and len(self._sampled) >= SAMPLED_IMAGES:
            return sizes
        self._sampled.add(record.artifact_id)
        # Headers differ by the digits of the section in HISTORY, and by what is said of promoted integers.
        digits = _digits(np.stack([boxes.x0 + 1, boxes.x1, boxes.y0 + 1, boxes.y1])).sum(axis=0)
        for kind in np.unique(bitpix).tolist():
            alike = np.flatnonzero(bitpix == kind)
            fewest, most = int(digits[alike].min()), int(digits[alike].max())
            shortest = self._rest_bytes(record, boxes, alike[digits[alike].argmin()])
            longest = shortest
            if most != fewest:
                longest = self._rest_bytes(record, boxes, alike[digits[alike].argmax()])
            sizes[alike] = shortest
            if longest != shortest:
                for count in range(fewest, most + 1):
                    same = alike[digits[alike] == count]
                    if len(same):
                        sizes[same] = self._rest_bytes(record, boxes, same[0])
            self._usual_size = shortest
        return sizes

    def _rest_bytes(self, record: ImageRecord, boxes: Boxes, at: np.int64) -> int:
        planner, row = self._planner, int(at)
        product = describe(
            record,
            boxes.box(row),
            self._request(int(boxes.rows[row])),
            planner.catalog,
            planner.site,
            not boxes.whole[row],
            WHOLE,
        )
        return product.header_size + len(product.tables)

    def _request(self, row: int) -> CutoutRequest:
        return self._planner.request(self._ra[row], self._dec[row])


def _digits(values: Integers) -> Integers:
    """Count the characters of whole numbers."""
    return np.asarray(np.searchsorted(_POWERS, np.abs(values), side="right") + 1 + (values < 0))
