"""What one request may cost."""

from __future__ import annotations

from dataclasses import dataclass

from surveys.errors import TooLarge
from surveys.fits.product import bitpix_of
from surveys.image import ImageRecord
from surveys.largest import nearest_allowed
from surveys.plan import Cost, Part
from surveys.planning.planes import Plane
from surveys.request import CutoutRequest
from surveys.sky.pixels import PixelBox
from surveys.sky.stencil import Stencil

#: Of a pixel of a mosaic, or of a picture's band.
FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest cutout one request may make.

    Parameters
    ----------
    max_pixels, max_bytes
        Of the product, all planes and bands counted.
    max_inputs
        Images of one band that a cutout is made of.
    max_pixels_in
        Pixels that are read, of all images.
    """

    max_pixels: int
    max_bytes: int
    max_inputs: int = 1000
    max_pixels_in: int = 1 << 40


def check_image(
    request: CutoutRequest, record: ImageRecord, grid: PixelBox, depth: int, most: Limits
) -> None:
    """Refuse a cutout of one image that passes a limit, with the limit and the nearest allowed size.

    Raises
    ------
    TooLarge
        Before anything is read.
    """
    pixel_bytes = abs(bitpix_of(record, grid, request)) // 8
    pixels = grid.pixels * depth
    allowed = min(most.max_pixels, most.max_bytes // pixel_bytes)
    if pixels <= allowed:
        return
    planes = f" x {depth} planes" if depth > 1 else ""
    raise TooLarge(
        f"this cutout would be {grid.width} x {grid.height} px{planes} "
        f"({pixels * pixel_bytes / 1e6:.1f} MB); the limit is {allowed} px "
        f"({allowed * pixel_bytes / 1e6:.1f} MB): "
        + nearest_allowed(request.stencil, record, grid, allowed // depth)
    )


def check_grid(stencil: Stencil | None, plane: Plane, box: PixelBox, bands: int, most: Limits) -> None:
    """Refuse a mosaic that passes a limit; `bands` images of this size are made.

    Raises
    ------
    TooLarge
        With the limit and the nearest allowed size.
    """
    pixels = box.pixels * bands
    allowed = min(most.max_pixels, most.max_bytes // FLOAT_BYTES)
    if pixels <= allowed:
        return
    times = f" x {bands} bands" if bands > 1 else ""
    raise TooLarge(
        f"this cutout would be {box.width} x {box.height} px{times} ({pixels * FLOAT_BYTES / 1e6:.1f} MB); "
        f"the limit is {allowed} px ({allowed * FLOAT_BYTES / 1e6:.1f} MB): "
        + plane.nearest_allowed(stencil, box, allowed // bands)
    )


def check_picture(width: int, height: int, bands: int, most: Limits) -> None:
    """Refuse a picture of too many pixels.

    Raises
    ------
    TooLarge
        With the limit.
    """
    allowed = min(most.max_pixels, most.max_bytes // FLOAT_BYTES) // bands
    if width * height > allowed:
        side = int(allowed**0.5)
        raise TooLarge(
            f"this picture would have {width} x {height} px; the limit is {allowed} px: "
            f"ask for WIDTH={side} and HEIGHT={side} at most"
        )


def too_many_images(survey: str, most: Limits) -> TooLarge:
    """Tell that a region touches too many images."""
    return TooLarge(
        f"the region needs more than {most.max_inputs} images of {survey}, which is the limit of one cutout: "
        "ask for a smaller region"
    )


def check_parts(parts: tuple[Part, ...], cost: Cost, most: Limits) -> None:
    """Refuse a product that passes a limit as a whole.

    Raises
    ------
    TooLarge
        With the limit.
    """
    allowed = min(most.max_pixels, most.max_bytes // FLOAT_BYTES)
    if cost.pixels_out > allowed:
        sizes = " + ".join(f"{part.grid.box.width} x {part.grid.box.height}" for part in parts)
        share = (allowed / cost.pixels_out) ** 0.5
        raise TooLarge(
            f"this cutout would have {cost.pixels_out} px ({sizes}, with all layers); the limit is {allowed} "
            f"px: ask for fewer bands, or for a region of at most {share:.2g} times its width and height"
        )
    images = sum(len(part.pieces) for part in parts)
    if cost.pixels_in > most.max_pixels_in:
        share = (most.max_pixels_in / cost.pixels_in) ** 0.5
        raise TooLarge(
            f"this cutout would read {cost.pixels_in} px of {images} images; the limit is "
            f"{most.max_pixels_in} px: ask for a region of at most {share:.2g} times its width and height"
        )


def check_bytes(size: int, most: Limits) -> None:
    """Refuse a file that is too large, with all its headers and layers.

    Raises
    ------
    TooLarge
        With the limit.
    """
    if size > most.max_bytes:
        share = (most.max_bytes / size) ** 0.5
        raise TooLarge(
            f"this cutout would be of {size / 1e6:.1f} MB; the limit is {most.max_bytes / 1e6:.1f} MB: "
            f"ask for fewer bands, or for a region of at most {share:.2g} times its width and height"
        )
