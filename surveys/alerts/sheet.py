"""Several stamps on one picture: a grid of panels with thin gaps, their names beside and above them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from surveys.errors import RequestFault, TooLarge
from surveys.picture.colours import NO_DATA
from surveys.picture.marks import font_of, shortened
from surveys.request import LONGEST_SIDE, PictureOptions

Bytes = NDArray[np.uint8]

#: Pixels of a picture of stamps, of all frames together.
MOST_PIXELS = 32_000_000

_PAPER, _INK = 18, 226
#: Pixels between panels, and between one line of columns and the next.
_GAP, _LINE_GAP = 3, 12
#: Longer side of a panel where no size is asked for, at least.
_SIDE = 120
_LEAST_FONT, _LARGEST_FONT = 9, 26


@dataclass(frozen=True, slots=True)
class Sheet:
    """How panels are laid out.

    Parameters
    ----------
    columns, rows
        Of panels, all of them.
    zoom
        Pixels of the picture, along each side, for one of a stamp.
    panel_width, panel_height, font_px
        Of each panel, and of the letters.
    per_line
        Columns side by side; the others follow below.
    title, row_names
        Whether there is a line of text above all, and one beside each row.
    width, height
        Of the whole picture.
    """

    columns: int
    rows: int
    zoom: int
    panel_width: int
    panel_height: int
    per_line: int
    font_px: int
    title: bool
    row_names: bool
    width: int
    height: int

    @property
    def _text(self) -> int:
        return round(1.6 * self.font_px)

    @property
    def _left(self) -> int:
        return _GAP + (self._text if self.row_names else 0)

    @property
    def _margin(self) -> tuple[int, int]:
        """What is left free at the left and above, where the picture is larger than it need be."""
        width, height = self.natural
        return max(0, self.width - width) // 2, max(0, self.height - height) // 2

    @property
    def _line_height(self) -> int:
        return self._text + self.rows * (self.panel_height + _GAP)

    @property
    def natural(self) -> tuple[int, int]:
        """Width and height that it needs."""
        lines = -(-self.columns // self.per_line)
        width = self._left + self.per_line * (self.panel_width + _GAP)
        height = (
            lines * self._line_height + (lines - 1) * _LINE_GAP + (self._text if self.title else 0) + _GAP
        )
        return width, height

    def corner(self, column: int, row: int) -> tuple[int, int]:
        """Left and upper edge of a panel."""
        line, place = divmod(column, self.per_line)
        left, top = self._margin
        top += (self._text if self.title else 0) + line * (self._line_height + _LINE_GAP) + self._text
        left += self._left + place * (self.panel_width + _GAP)
        return left, top + row * (self.panel_height + _GAP)

    def draw(
        self,
        panels: Sequence[Sequence[Bytes | None]],
        names: Sequence[Sequence[str]],
        row_names: Sequence[str] = (),
        title: str = "",
    ) -> Bytes:
        """Draw it.

        Parameters
        ----------
        panels
            Of each column its rows: pixels, smaller ones in the middle of their panel; None for nothing.
        names
            Of each column: the first that there is room for is written.
        row_names, title
            Texts.

        Returns
        -------
        array
            Shape (h, w, 1) where all panels are grey, else (h, w, 3); the upper row first.
        """
        is_grey = all(panel is None or panel.shape[2] == 1 for column in panels for panel in column)
        canvas = np.full((self.height, self.width, 1 if is_grey else 3), _PAPER, np.uint8)
        for place, column in enumerate(panels):
            for row, panel in enumerate(column):
                self._lay(canvas, panel, self.corner(place, row))
        sheet = Image.fromarray(canvas[..., 0] if is_grey else canvas)
        pen = ImageDraw.Draw(sheet)
        font = font_of(self.font_px)
        ink = _INK if is_grey else (_INK,) * 3
        for place, variants in enumerate(names):
            left, top = self.corner(place, 0)
            fitting = [text for text in variants if font.getlength(text) <= self.panel_width]
            if fitting:
                at = (left + self.panel_width / 2, top - self._text / 2)
                pen.text(at, fitting[0], fill=ink, font=font, anchor="mm")
        if title:
            left, above = self._margin
            text = shortened(title, font, self.width - left - self._left - _GAP)
            pen.text((left + self._left, above + self._text / 2), text, fill=ink, font=font, anchor="lm")
        for line in range(0, self.columns, self.per_line):
            for row, name in enumerate(row_names):
                self._name_row(sheet, name, self.corner(line, row)[1])
        drawn = np.asarray(sheet)
        return np.ascontiguousarray(drawn[..., None] if is_grey else drawn)

    def _lay(self, canvas: Bytes, panel: Bytes | None, corner: tuple[int, int]) -> None:
        left, top = corner
        place = canvas[top : top + self.panel_height, left : left + self.panel_width]
        place[:] = NO_DATA[: canvas.shape[2]]
        if panel is not None:
            height, width = panel.shape[:2]
            y, x = (self.panel_height - height) // 2, (self.panel_width - width) // 2
            place[y : y + height, x : x + width] = panel

    def _name_row(self, sheet: Image.Image, name: str, top: int) -> None:
        """Write the name of a row from below to above."""
        font = font_of(self.font_px)
        strip = Image.new("L", (self.panel_height, self._text), _PAPER)
        at = (self.panel_height / 2, self._text / 2)
        text = shortened(name, font, self.panel_height)
        ImageDraw.Draw(strip).text(at, text, fill=_INK, font=font, anchor="mm")
        sheet.paste(strip.rotate(90, expand=True).convert(sheet.mode), (self._margin[0], top))


def lay_out(
    stamp: tuple[int, int],
    columns: int,
    rows: int,
    options: PictureOptions,
    *,
    title: bool = False,
    row_names: bool = False,
    frames: int = 1,
) -> Sheet:
    """Decide how panels are laid out: in the largest size that has room in the width and height asked for.

    Parameters
    ----------
    stamp
        Columns and rows of the largest stamp.
    columns, rows
        Of panels.
    options
        With the width and height asked for, which the picture has then.
    title, row_names
        What is written beside names of columns.
    frames
        Pictures of this size that there are.

    Raises
    ------
    RequestFault
        If there is no room for stamps as they are.
    TooLarge
        If the picture would have too many pixels.
    """

    def sheet(zoom: int) -> Sheet:
        width, height = zoom * stamp[0], zoom * stamp[1]
        font = min(max(round(width / 10.5), _LEAST_FONT), _LARGEST_FONT)
        bare = Sheet(columns, rows, zoom, width, height, columns, font, title, row_names, 0, 0)
        room = (options.width or LONGEST_SIDE) - bare.natural[0] + columns * (width + _GAP)
        bare = replace(bare, per_line=min(columns, max(1, room // (width + _GAP))))
        return replace(bare, width=options.width or bare.natural[0], height=options.height or bare.natural[1])

    def has_room(one: Sheet) -> bool:
        width, height = one.natural
        return width <= (options.width or max(width, 1)) and height <= (options.height or height)

    usual = max(1, -(-_SIDE // max(stamp)))
    most = max(usual, (options.width or 0) // stamp[0], (options.height or 0) // stamp[1])
    chosen: Sheet | None = None
    for zoom in range(1, most + 1):
        one = sheet(zoom)
        # Beyond the usual size they do not grow at the price of more lines.
        if has_room(one) and (chosen is None or zoom <= usual or one.per_line >= chosen.per_line):
            chosen = one
    if chosen is None:
        width, height = sheet(1).natural
        raise RequestFault(
            f"WIDTH and HEIGHT leave no room for {columns * rows} stamps of {stamp[0]} x {stamp[1]} px with "
            f"their names: ask for {width} x {height} at least, or for fewer epochs by TIME or FILTER"
        )
    if chosen.width * chosen.height * frames > MOST_PIXELS:
        raise TooLarge(
            f"this picture would have {chosen.width} x {chosen.height} px"
            + (f" in {frames} frames" if frames > 1 else "")
            + f"; the limit is {MOST_PIXELS} px: choose epochs by TIME or FILTER, or ask for a smaller WIDTH"
        )
    return chosen
