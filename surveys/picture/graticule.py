"""Lines of equal right ascension and declination over a picture, at round steps, with their labels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from surveys.mosaic.grid import OutputGrid
from surveys.sky.sphere import Floats, ra_dec_deg, unit_vectors

Point = tuple[float, float]

#: Steps of declination and of right ascension, degrees: round in ′ and ″, in minutes and seconds.
_DEC_STEPS = tuple(
    [n / 3600 * f for f in (0.01, 0.1, 1) for n in (1, 2, 5)]
    + [n / 3600 for n in (10, 20, 30)]
    + [n / 60 for n in (1, 2, 5, 10, 20, 30)]
    + [1, 2, 5, 10, 15, 30]
)
_RA_STEPS = tuple(
    [15 * n / 3600 * f for f in (0.001, 0.01, 0.1, 1) for n in (1, 2, 5)]
    + [15 * n / 3600 for n in (10, 20, 30)]
    + [15 * n / 60 for n in (1, 2, 5, 10, 20, 30)]
    + [15, 30, 45, 90]
)
#: About so many lines cross a picture each way.
_LINES = 4
#: Letters that fit along the sides of a picture whose lines have labels.
_LABELLED = 12
#: Points along a line.
_POINTS = 257
#: Points along the sides of a picture and across it where its coordinates are looked at.
_SIDE = 65


@dataclass(frozen=True, slots=True)
class Line:
    """A line of equal right ascension or declination.

    Parameters
    ----------
    text
        Its value, such as ``10:00:24`` or ``+02:12``.
    runs
        What of it lies in the picture, as points of the sheet: x to the right, y downwards from the top.
    label_at, anchor
        Where its label is, and which part of the label that is; None where it has none.
    """

    text: str
    runs: tuple[tuple[Point, ...], ...]
    label_at: Point | None
    anchor: str


def graticule(place: OutputGrid, font_px: float, top: float = 0.0) -> tuple[Line, ...]:
    """Lines of the coordinate grid of a picture, labels in letters of `font_px`, none in the `top` rows."""
    x, y = (
        grid.ravel()
        for grid in np.meshgrid(
            np.linspace(0, place.width - 1, _SIDE), np.linspace(0, place.height - 1, _SIDE)
        )
    )
    ra, dec = ra_dec_deg(place.to_sky(x, y))
    known = np.isfinite(ra)
    ra, dec = ra[known], dec[known]
    if ra.size == 0:
        return ()
    low, high = float(dec.min()), float(dec.max())
    first, width = _ra_range(ra)
    if _has_pole(place, 1.0):
        high, first, width = 90.0, 0.0, 360.0
    if _has_pole(place, -1.0):
        low, first, width = -90.0, 0.0, 360.0
    dec_step, ra_step = _step(_DEC_STEPS, high - low), _step(_RA_STEPS, width)
    lines = []
    for value in _values(low, high, dec_step):
        if abs(value) < 90.0:
            along = np.linspace(first - 0.05 * width, first + 1.05 * width, _POINTS)
            lines.append(
                _line(place, along, np.full(_POINTS, value), _dec_text(value, dec_step), font_px, top, "dec")
            )
    reach = 0.05 * (high - low)
    for value in _values(first, min(first + width, first + 360.0 - ra_step), ra_step):
        down, up = max(low - reach, -90.0 + dec_step / 4), min(high + reach, 90.0 - dec_step / 4)
        along = np.linspace(down, up, _POINTS)
        lines.append(
            _line(place, np.full(_POINTS, value), along, _ra_text(value % 360.0, ra_step), font_px, top, "ra")
        )
    return tuple(line for line in lines if line.runs)


def _has_pole(place: OutputGrid, z: float) -> bool:
    x, y = place.to_pixel(np.array([[0.0, 0.0, z]]))
    return bool(-0.5 <= x[0] <= place.width - 0.5 and -0.5 <= y[0] <= place.height - 0.5)


def _ra_range(ra: Floats) -> tuple[float, float]:
    """Least right ascension, and how far the others go on from it: around 0 too."""
    ordered = np.sort(ra)
    gaps = np.diff(np.append(ordered, ordered[0] + 360.0))
    widest = int(gaps.argmax())
    return float(ordered[(widest + 1) % ordered.size]), 360.0 - float(gaps[widest])


def _step(steps: tuple[float, ...], width: float) -> float:
    return min(steps, key=lambda step: abs(math.log(max(width, 1e-9) / step / _LINES)))


def _values(low: float, high: float, step: float) -> list[float]:
    return [
        number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ]


def _line(
    place: OutputGrid, ra: Floats, dec: Floats, text: str, font_px: float, top: float, kind: str
) -> Line:
    x, y = place.to_pixel(unit_vectors(ra, dec))
    with np.errstate(invalid="ignore"):
        inside = (x >= -1.0) & (x <= place.width) & (y >= -1.0) & (y <= place.height)
    runs, run = [], []
    for px, py, shown in zip(x, y, inside, strict=True):
        if shown:
            run.append((float(px) + 0.5, place.height - 0.5 - float(py)))
        elif run:
            runs.append(tuple(run))
            run = []
    runs = [one for one in [*runs, tuple(run)] if len(one) > 1]
    at, anchor = _label(runs, place, text, font_px, top, kind)
    return Line(text, tuple(runs), at, anchor)


def _label(
    runs: list[tuple[Point, ...]], place: OutputGrid, text: str, font_px: float, top: float, kind: str
) -> tuple[Point | None, str]:
    """Where the line leaves the picture: declinations at the left, right ascensions at the top."""
    room = 0.35 * font_px
    ends = [point for run in runs for point in (run[0], run[-1])]
    if not ends or min(place.width, place.height) < _LABELLED * font_px:
        return None, ""
    length = 0.47 * font_px * len(text)
    if kind == "dec":
        x, y = min(ends, key=lambda point: point[0])
        if x <= 0.3 * place.width and top + 2.4 * font_px < y < place.height - 5 * font_px:
            return (max(x, 0.0) + room, y - room / 2), "lb"
    else:
        x, y = min(ends, key=lambda point: point[1])
        if y <= 0.3 * place.height and 0 < x < place.width - length - 2 * room:
            return (x + room, max(y, top) + room), "lt"
    return None, ""


def _sexagesimal(value: float, step: float, separators: str) -> str:
    """Value in three parts, without those the step has no use for."""
    seconds = step * 3600
    digits = max(0, -math.floor(math.log10(seconds) + 1e-9)) if seconds < 1 else 0
    total = round(abs(value) * 3600 * 10**digits)
    whole, part = divmod(total, 10**digits)
    parts = [f"{whole // 3600:02d}", f"{whole // 60 % 60:02d}"]
    if step * 60 % 1 > 1e-6 and 1 - step * 60 % 1 > 1e-6:
        parts.append(f"{whole % 60:02d}" + (f".{part:0{digits}d}" if digits else ""))
    return "".join(text + sign for text, sign in zip(parts, separators, strict=False))


def _ra_text(value: float, step: float) -> str:
    return _sexagesimal(value / 15, step / 15, "hms")


def _dec_text(value: float, step: float) -> str:
    return ("-" if value < 0 else "+") + _sexagesimal(value, step, "°′″")
