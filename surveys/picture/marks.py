"""Marks on a picture: scale bar, compass, centre, coordinate grid, label.

They are drawn larger than they are, and averaged, so that edges are smooth; bright on a dark rim
(dark on a bright one in bright pictures), so that they show on any sky.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from surveys.errors import RequestFault
from surveys.mosaic.grid import OutputGrid
from surveys.picture.colours import NO_DATA
from surveys.picture.graticule import Line, graticule
from surveys.request import PictureOptions
from surveys.sky.sphere import Floats

Bytes = NDArray[np.uint8]
Point = tuple[float, float]
Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
GREEN: Colour = (118, 255, 122)
BLUE: Colour = (126, 196, 255)
#: The same on bright pictures, where the rim is white.
_DARK = {WHITE: (0, 0, 0), GREEN: (0, 128, 32), BLUE: (16, 84, 150)}
_BRIGHT = 140

#: Lengths of scale bars, arcsec.
_LENGTHS = (
    *(n * f for f in (0.001, 0.01, 0.1, 1.0) for n in (1, 2, 5)),
    *(10, 20, 30, 60, 120, 300, 600, 1200, 1800),
    *(3600 * n for n in (1, 2, 5, 10, 20, 30)),
)
#: Parts of the picture's width that a scale bar has at most.
_BAR = 0.27
#: Times that marks are drawn larger than they are.
_FINE = 3
_RIM_OPACITY = 0.62


def draw_marks(pixels: Bytes, place: OutputGrid | None, options: PictureOptions) -> Bytes:
    """Draw what is asked for.

    Parameters
    ----------
    pixels
        Shape (h, w, 1) or (h, w, 3), the upper row first.
    place
        Of the picture; None where it has no place on the sky.
    options
        `draw` and `label`.

    Returns
    -------
    array
        Shape (h, w, 3).

    Raises
    ------
    RequestFault
        If a mark needs a place on the sky.
    """
    if place is None and set(options.draw) - {"center"}:
        mark = next(mark for mark in options.draw if mark != "center")
        raise RequestFault(f"DRAW={mark} needs a picture that has a place on the sky")
    sheet = _Sheet(pixels)
    if place is not None and "grid" in options.draw:
        sheet.grid(graticule(place, sheet.font_px, sheet.label_height(options.label)))
    if "center" in options.draw:
        sheet.center()
    if place is not None and "scalebar" in options.draw:
        sheet.scalebar(place)
    if place is not None and "compass" in options.draw:
        sheet.compass(place)
    if options.label:
        sheet.label(options.label)
    return sheet.finished()


def bar_length_arcsec(width_arcsec: float) -> float:
    """Round length of the scale bar of a picture of this width."""
    fitting = [length for length in _LENGTHS if length <= _BAR * width_arcsec]
    return float(fitting[-1] if fitting else _LENGTHS[0])


def angle_text(arcsec: float) -> str:
    """Angle as it stands beside a scale bar: ``30″``, ``2′``, ``1°``."""
    for size, sign in ((3600, "°"), (60, "′"), (1, "″")):
        if arcsec >= size:
            return f"{arcsec / size:g}{sign}"
    return f"{arcsec:g}″"


class _Sheet:
    """A picture that is drawn on."""

    def __init__(self, pixels: Bytes) -> None:
        self.height, self.width = pixels.shape[:2]
        self.colours = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels.copy()
        side = min(self.height, self.width)
        #: Everything grows slowly with the picture: text of 11 px on 200, 15 on 500, 21 on 1000, 30 on 2000.
        self.font_px = round(min(max(0.66 * math.sqrt(side), 9.0), 42.0))
        self.stroke = max(1.0, self.font_px / 11.0)
        self.margin = max(4.0, 0.75 * self.font_px)
        self.before = self.colours.copy()
        self.is_bright = float(self.colours.mean()) > _BRIGHT

    def finished(self) -> Bytes:
        """Pixels; none that was drawn on has the colour of no data."""
        drawn = (self.colours != self.before).any(axis=2)
        clash = drawn & (self.colours == NO_DATA).all(axis=2)
        self.colours[clash, 2] += 1
        return np.ascontiguousarray(self.colours)

    def grid(self, lines: Sequence[Line]) -> None:
        """Lines of equal coordinates, thin, with their values at the edge."""
        layer = _Layer(self, (0, 0, self.width, self.height), 2)
        for line in lines:
            for run in line.runs:
                layer.path(run, 0.8 * self.stroke)
        layer.lay(BLUE, ink=0.6, rim=0.25)
        for line in lines:
            if line.label_at is not None:
                self._text(line.text, line.label_at, line.anchor, BLUE, 0.8)

    def center(self) -> None:
        """Four lines about the centre, which they leave free."""
        x, y = self.width / 2, self.height / 2
        side = min(self.height, self.width)
        gap, end = max(3.0, 0.03 * side), max(7.0, 0.075 * side)
        layer = _Layer(self, (x - end - 6, y - end - 6, x + end + 6, y + end + 6))
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            layer.path([(x + gap * dx, y + gap * dy), (x + end * dx, y + end * dy)], 1.4 * self.stroke)
        layer.lay(GREEN)

    def scalebar(self, place: OutputGrid) -> None:
        """Bar in the lower left corner, of a round length at the centre of the picture."""
        scale = place.scale_deg * 3600
        arcsec = bar_length_arcsec(scale * self.width)
        length, tick = arcsec / scale, 0.32 * self.font_px
        x, y = self.margin, self.height - self.margin - tick
        layer = _Layer(self, (x - 8, y - tick - 8, x + length + 8, y + tick + 8))
        layer.path([(x, y), (x + length, y)], 1.7 * self.stroke)
        for end in (x, x + length):
            layer.path([(end, y - tick), (end, y + tick)], 1.7 * self.stroke)
        layer.lay(WHITE)
        # A text that is wider than the bar would leave the picture at the left.
        middle = max(x + length / 2, self.margin + self._width(angle_text(arcsec)) / 2)
        self._text(angle_text(arcsec), (middle, y - tick - 0.25 * self.font_px), "mb", WHITE)

    def compass(self, place: OutputGrid) -> None:
        """Arrows to north and east at the centre of the picture, in the lower right corner."""
        arms = {"N": _direction(place, self.width, self.height, 0.0)}
        arms["E"] = _direction(place, self.width, self.height, 90.0)
        length = min(2.6 * self.font_px, 0.2 * min(self.height, self.width))
        reach = 1.55 * self.font_px  # of letters, beyond the arrows
        ends = {name: (length * dx, length * dy) for name, (dx, dy) in arms.items()}
        # The corner moves so that arrows and letters, whichever way they point, stay in the picture.
        tips = [(0.0, 0.0), *((dx * (length + reach), dy * (length + reach)) for dx, dy in arms.values())]
        x = self.width - self.margin - max(0.3 * self.font_px, *(tip[0] for tip in tips))
        y = self.height - self.margin - max(0.3 * self.font_px, *(tip[1] for tip in tips))
        span = length + 12
        layer = _Layer(self, (x - span, y - span, x + span, y + span))
        for dx, dy in ends.values():
            layer.arrow((x, y), (x + dx, y + dy), 1.3 * self.stroke, 0.5 * self.font_px)
        layer.lay(WHITE)
        for name, (dx, dy) in arms.items():
            far = length + 0.75 * self.font_px
            self._text(name, (x + far * dx, y + far * dy), "mm", WHITE)

    def label_height(self, text: str) -> float:
        """Rows that a label takes from the top."""
        return self.margin + 1.25 * self.font_px * len(self._lines(text)) if text else 0.0

    def label(self, text: str) -> None:
        """Text in the upper left corner, in as many lines as it needs."""
        for number, line in enumerate(self._lines(text)):
            self._text(line, (self.margin, self.margin + number * 1.25 * self.font_px), "lt", WHITE)

    def _lines(self, text: str) -> list[str]:
        font = font_of(self.font_px)
        room = self.width - 2 * self.margin
        lines: list[str] = []
        for paragraph in text.splitlines():
            line = ""
            for word in paragraph.split():
                longer = f"{line} {word}".strip()
                if line and font.getlength(longer) > room:
                    lines.append(line)
                    longer = word
                line = longer
            lines.append(line)
        return [shortened(line, font, room) for line in lines]

    def _width(self, text: str) -> float:
        return float(font_of(self.font_px).getlength(text))

    def _text(self, text: str, at: Point, anchor: str, colour: Colour, size: float = 1.0) -> None:
        font_px = max(9.0, size * self.font_px)
        room = font_px * 1.6 + 6
        width = float(font_of(round(font_px)).getlength(text)) + room
        layer = _Layer(self, (at[0] - width, at[1] - room, at[0] + width, at[1] + room))
        layer.text(text, at, anchor, font_px)
        layer.lay(colour)


class _Layer:
    """Ink and its rim over a rectangle of a sheet, drawn `_FINE` times larger."""

    def __init__(self, sheet: _Sheet, limits: tuple[float, float, float, float], fine: int = _FINE) -> None:
        self.sheet, self.fine = sheet, fine
        self.x0, self.y0 = max(0, math.floor(limits[0])), max(0, math.floor(limits[1]))
        self.x1 = max(self.x0 + 1, min(sheet.width, math.ceil(limits[2])))
        self.y1 = max(self.y0 + 1, min(sheet.height, math.ceil(limits[3])))
        size = ((self.x1 - self.x0) * fine, (self.y1 - self.y0) * fine)
        self._ink, self._rim = Image.new("L", size), Image.new("L", size)
        self._drawings = (ImageDraw.Draw(self._ink), ImageDraw.Draw(self._rim))
        self._rim_px = max(0.8, 0.07 * sheet.font_px)

    def path(self, points: Sequence[Point], width: float) -> None:
        """Line through points of the sheet."""
        placed = [self._placed(point) for point in points]
        for drawing, wider in zip(self._drawings, (0.0, 2 * self._rim_px), strict=True):
            drawing.line(placed, fill=255, width=max(1, round((width + wider) * self.fine)), joint="curve")

    def arrow(self, start: Point, end: Point, width: float, head: float) -> None:
        """Line with a head."""
        length = math.hypot(end[0] - start[0], end[1] - start[1])
        dx, dy = (end[0] - start[0]) / length, (end[1] - start[1]) / length
        self.path([start, (end[0] - 0.8 * head * dx, end[1] - 0.8 * head * dy)], width)
        back, half = (end[0] - head * dx, end[1] - head * dy), 0.42 * head
        corners = [
            end,
            (back[0] - half * dy, back[1] + half * dx),
            (back[0] + half * dy, back[1] - half * dx),
        ]
        placed = [self._placed(corner) for corner in corners]
        self._drawings[0].polygon(placed, fill=255)
        self._drawings[1].polygon(placed, fill=255)
        rim = max(1, round(2 * self._rim_px * self.fine))
        self._drawings[1].line([*placed, placed[0], placed[1]], fill=255, width=rim, joint="curve")

    def text(self, text: str, at: Point, anchor: str, font_px: float) -> None:
        """Text; `anchor` as Pillow has it."""
        font, placed = font_of(round(font_px * self.fine)), self._placed(at)
        self._drawings[0].text(placed, text, fill=255, font=font, anchor=anchor)
        rim = max(1, round(self._rim_px * self.fine))
        self._drawings[1].text(
            placed, text, fill=255, font=font, anchor=anchor, stroke_width=rim, stroke_fill=255
        )

    def lay(self, colour: Colour, ink: float = 1.0, rim: float = _RIM_OPACITY) -> None:
        """Lay rim and ink over the pixels of the sheet."""
        part = self.sheet.colours[self.y0 : self.y1, self.x0 : self.x1]
        below = part.astype(np.float64)
        edge = (0, 0, 0)
        if self.sheet.is_bright:
            colour, edge = _DARK[colour], (255, 255, 255)
        for layer, paint, opacity in ((self._rim, edge, rim), (self._ink, colour, ink)):
            share = (opacity / 255.0) * np.asarray(layer.reduce(self.fine), np.float64)[..., None]
            below = below * (1.0 - share) + share * np.array(paint, np.float64)
        part[:] = np.rint(below).astype(np.uint8)

    def _placed(self, point: Point) -> Point:
        return (point[0] - self.x0) * self.fine, (point[1] - self.y0) * self.fine


@lru_cache(maxsize=64)
def font_of(size: int) -> ImageFont.FreeTypeFont:
    """Return the font of all texts on pictures, of some pixels."""
    # Of matplotlib's data, for which it need not be imported: Pillow's own font knows no ′ and no ″.
    found = find_spec("matplotlib")
    if found is None or found.origin is None:
        raise RuntimeError("matplotlib is not installed, whose font marks and labels need")
    path = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


def shortened(line: str, font: ImageFont.FreeTypeFont, room: float) -> str:
    """Leave out the end of a line for which there is no room."""
    if font.getlength(line) <= room:
        return line
    while line and font.getlength(f"{line}…") > room:
        line = line[:-1]
    return f"{line}…"


def _direction(place: OutputGrid, width: int, height: int, angle_deg: float) -> Point:
    """Direction on the sheet, a unit vector, of a position angle at its centre."""
    x, y = (width - 1) / 2, (height - 1) / 2
    here = place.to_sky(x, y).reshape(3)
    ra = math.atan2(here[1], here[0])
    east = np.array([-math.sin(ra), math.cos(ra), 0.0])
    north: Floats = np.cross(here, east)
    angle = math.radians(angle_deg)
    step = math.radians(place.scale_deg)
    there = here + step * (math.cos(angle) * north + math.sin(angle) * east)
    px, py = place.to_pixel(there / np.linalg.norm(there))
    dx, dy = float(px) - x, y - float(py)
    length = math.hypot(dx, dy)
    return (dx / length, dy / length) if length > 0 else (0.0, -1.0)
