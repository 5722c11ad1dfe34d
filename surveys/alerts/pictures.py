"""Pictures of stamps: of one, of the kinds of an alert side by side, of the epochs of an object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from surveys.alerts.cards import iso_of
from surveys.alerts.files import FileMaker
from surveys.alerts.look import cited, levelled, paint, resized, turned, zeropoints
from surveys.alerts.made import Made
from surveys.alerts.options import check_stamp_look, look_of_stamp
from surveys.alerts.placing import placed
from surveys.alerts.reading import Epoch
from surveys.alerts.sheet import MOST_PIXELS, Sheet, lay_out
from surveys.alerts.stored import StampHdu
from surveys.errors import RequestFault, TooLarge
from surveys.lake import Orientation
from surveys.picture.avm import Caption, describe
from surveys.picture.encode import QUALITY, encode_jpeg, encode_png
from surveys.picture.render import render
from surveys.picture.size import view_of
from surveys.request import PictureOptions
from surveys.sky.pixels import PixelBox

Bytes = NDArray[np.uint8]
Pixels = NDArray[np.float32]

#: Of each epoch of an animation.
FRAME_MS = 350


@dataclass(frozen=True, slots=True)
class StampPicture:
    """A picture of stamps.

    Parameters
    ----------
    content, media_type
        The file.
    recipe
        By what it was made.
    made
        How much of it has data, and what is to be known of it.
    """

    content: bytes
    media_type: str
    recipe: str
    made: Made


@dataclass(frozen=True, slots=True)
class Painter:
    """What the pictures of one request have in common.

    Parameters
    ----------
    maker
        Reads stamps as the request has them.
    options
        How they are shown.
    caption
        What the metadata tell.
    """

    maker: FileMaker
    options: PictureOptions
    caption: Caption

    @property
    def _orientation(self) -> Orientation:
        lake = self.maker.survey.lake
        return "as-stored" if lake is None else lake.orientation

    def stamp(self, epoch: Epoch, kind: str) -> StampPicture:
        """Show one stamp, each of its pixels as one, unless another size is asked for.

        Raises
        ------
        BrokenImage, RequestFault, TooLarge
            As of a file.
        """
        self._check("image/webp", alone=True)
        options, survey, made = self.options, self.maker.survey, Made()
        cut = self.maker.image(epoch, kind)
        made.note(cut)
        values = turned(values_of(cut.hdu), self._orientation)
        rows, columns = values.shape
        view = view_of(PixelBox(0, columns, 0, rows), options, 1.0)
        if view.width * view.height > MOST_PIXELS:
            raise TooLarge(
                f"this picture would have {view.width} x {view.height} px; the limit is {MOST_PIXELS} px"
            )
        width, height = max(1, round(columns * view.zoom)), max(1, round(rows * view.zoom))
        canvas = np.full((view.height, view.width), np.nan, np.float32)
        bottom, left = (view.height - height) // 2, (view.width - width) // 2
        canvas[bottom : bottom + height, left : left + width] = resized(values, width, height)
        inside = PixelBox(left, left + width, bottom, bottom + height)
        look = levelled(look_of_stamp(options, survey, epoch.record.band), values, kind)
        place = placed(cut.hdu, self._orientation, inside, view.width, view.height)
        picture = render(
            [canvas],
            replace(look, bands=(epoch.record.band or "?",)),
            place,
            options,
            zeropoints=zeropoints(survey, epoch.record.band),
            caption=self.caption,
        )
        return StampPicture(picture.content, picture.media_type, picture.recipe, made)

    def alert(self, epoch: Epoch, kinds: Sequence[str]) -> StampPicture:
        """Show the stamps of an alert side by side.

        Raises
        ------
        BrokenImage, RequestFault, TooLarge
            As of a file.
        """
        self._check("image/webp")
        made = Made()
        size = self._largest([epoch], kinds, made)
        sheet = lay_out(size, len(kinds), 1, self.options, title=bool(self.options.label))
        panels, recipes = self._panels(sheet, epoch, kinds, made)
        pixels = sheet.draw([[panel] for panel in panels], [[kind] for kind in kinds], (), self.options.label)
        return self._encoded(pixels, recipes, made)

    def strip(self, epochs: Sequence[Epoch], kinds: Sequence[str]) -> StampPicture:
        """Show the epochs of an object side by side, a row for each kind.

        Raises
        ------
        BrokenImage, RequestFault, TooLarge
            As of a file.
        """
        self._check()
        made = Made()
        size = self._largest(epochs, kinds, made)
        sheet = lay_out(
            size, len(epochs), len(kinds), self.options, title=bool(self.options.label), row_names=True
        )
        columns, recipes = [], []
        for epoch in epochs:
            panels, used = self._panels(sheet, epoch, kinds, made)
            columns.append(panels)
            recipes += used
        names = [dates_of(epoch) for epoch in epochs]
        pixels = sheet.draw(columns, names, kinds, self.options.label)
        return self._encoded(pixels, recipes, made)

    def animation(self, epochs: Sequence[Epoch], kinds: Sequence[str]) -> StampPicture:
        """Show the epochs of an object one after the other, its kinds side by side; WebP.

        Raises
        ------
        BrokenImage, RequestFault, TooLarge
            As of a file.
        """
        self._check()
        made = Made()
        size = self._largest(epochs, kinds, made)
        sheet = lay_out(size, len(kinds), 1, self.options, title=True, frames=len(epochs))
        frames, recipes = [], []
        for number, epoch in enumerate(epochs, start=1):
            panels, used = self._panels(sheet, epoch, kinds, made)
            recipes += used
            words = [self.options.label, *dates_of(epoch)[:1], f"{number}/{len(epochs)}"]
            title = "   ".join(word for word in words if word)
            pixels = sheet.draw([[panel] for panel in panels], [[kind] for kind in kinds], (), title)
            still = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
            frames.append(still.convert("RGB"))
        return StampPicture(self._animated(frames), "image/webp", cited(recipes), made)

    def _check(self, refused: str = "", *, alone: bool = False) -> None:
        """Refuse what the picture cannot be.

        Parameters
        ----------
        refused
            Its media type must be another.
        alone
            Whether it is of one stamp.
        """
        check_stamp_look(self.maker.request, self.maker.survey)
        if self.options.media_type == refused:
            raise RequestFault(
                f"RESPONSEFORMAT={refused} is an animation of the epochs of an object: name one, or ask "
                "for image/png or image/jpeg"
            )
        if self.options.draw and not alone:
            raise RequestFault("DRAW is for a picture of one stamp: name an alert and a kind of stamp")

    def _image(self, epoch: Epoch, kind: str, made: Made) -> StampHdu | None:
        """Image of a stamp; None where there is none, which is told."""
        if epoch.values[kind] is None:
            made.remarks.append(f"There is no {kind} stamp of {epoch.record.dataset}")
            return None
        image = self.maker.image(epoch, kind).hdu
        made.count(image)
        return image

    def _largest(self, epochs: Sequence[Epoch], kinds: Sequence[str], made: Made) -> tuple[int, int]:
        """Columns and rows that hold any of the stamps."""
        # Stamps are opened once for their sizes and once to be shown: together they may be many.
        there = [(epoch, kind) for epoch in epochs for kind in kinds if epoch.values[kind] is not None]
        shapes = {self.maker.image(epoch, kind).hdu.shape[-2:] for epoch, kind in there}
        if not shapes:
            return 1, 1
        if len(shapes) > 1:
            made.remarks.append("Stamps of different sizes are in the middle of panels of the largest")
        return max(columns for _, columns in shapes), max(rows for rows, _ in shapes)

    def _panels(
        self, sheet: Sheet, epoch: Epoch, kinds: Sequence[str], made: Made
    ) -> tuple[list[Bytes | None], list[str]]:
        """Stamps of an alert in colours, and by what they were made."""
        panels: list[Bytes | None] = []
        recipes = []
        for kind in kinds:
            image = self._image(epoch, kind, made)
            if image is None:
                panels.append(None)
                continue
            values = turned(values_of(image), self._orientation)
            rows, columns = values.shape
            larger = resized(values, columns * sheet.zoom, rows * sheet.zoom)
            painted = paint(larger, epoch.record, kind, self.options, self.maker.survey)
            panels.append(painted.pixels)
            recipes.append(painted.recipe)
        return panels, recipes

    def _encoded(self, pixels: Bytes, recipes: Sequence[str], made: Made) -> StampPicture:
        height, width = pixels.shape[:2]
        recipe = cited(recipes)
        xmp = describe(replace(self.caption, recipe=recipe), None, width, height)
        if self.options.media_type == "image/jpeg":
            content = encode_jpeg(pixels, xmp, self.options.quality or QUALITY)
        else:
            content = encode_png(pixels, xmp)
        return StampPicture(content, self.options.media_type, recipe, made)

    def _animated(self, frames: Sequence[Image.Image]) -> bytes:
        """Write frames as WebP: without loss, unless a quality is asked for."""
        buffer = BytesIO()
        quality = self.options.quality
        how = {"lossless": True, "quality": 50} if quality is None else {"quality": quality}
        frames[0].save(
            buffer, "WEBP", save_all=True, append_images=frames[1:], duration=FRAME_MS, loop=0, **how
        )
        return buffer.getvalue()


def values_of(image: StampHdu) -> Pixels:
    """Physical values of a stamp as pictures take them."""
    with np.errstate(over="ignore"):
        return image.physical().astype(np.float32, copy=False)


def dates_of(epoch: Epoch) -> list[str]:
    """Say when and in which band an alert was observed, in less and less room."""
    day, _, time = iso_of(epoch.record.mjd).partition("T")
    band = epoch.record.band
    return [f"{text} {band}".strip() for text in (f"{day} {time[:5]}", day, day[5:], "")]
