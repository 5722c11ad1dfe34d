"""Pixels into colours, and rows of colours into what deflate makes small (PNG 1.2, section 6)."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Image = NDArray[np.float32]
Bytes = NDArray[np.uint8]

#: The inverse hyperbolic sine is tabulated from 2**_LOWEST to 2**_HIGHEST, `1 << _BITS` steps an octave:
#: float32 numbers of the same leading bits lie in one step. Straight lines between them err by 1.2e-7.
_LOWEST, _HIGHEST, _BITS = -24, 127, 10
_FIRST = (_LOWEST + 127) << _BITS

#: A brightness from 0 to 1 is looked up in so many steps for the level it has at least.
STEPS = 1 << 16


def _asinh_table() -> Image:
    count = ((_HIGHEST - _LOWEST) << _BITS) + 1
    edges = ((np.arange(count, dtype=np.int64) + _FIRST) << (23 - _BITS)).astype(np.int32)
    return np.arcsinh(edges.view(np.float32).astype(np.float64)).astype(np.float32)


_ASINH = _asinh_table()


@njit(nogil=True, cache=True, error_model="numpy")
def _level(share: float, limits: Floats, starts: Bytes) -> int:
    """Level of a brightness from 0 to 1."""
    level = int(starts[int(share * STEPS)])
    while share >= limits[level]:
        level += 1
    return level


@njit(nogil=True, cache=True, error_model="numpy")
def shade(
    values: Image,
    black: float,
    span: float,
    limits: Floats,
    starts: Bytes,
    paint: Bytes,
    nothing: Bytes,
    out: Bytes,
) -> int:
    """Paint one band: brightness by a curve to a level, level to a colour; the first row at the bottom.

    Parameters
    ----------
    values
        Shape (h, w); not finite where there is no data.
    black, span
        Value that is black, and how much more is white.
    limits, starts
        The curve, from `surveys.picture.curves`.
    paint, nothing
        Colours of the 256 levels, shape (256, c), and of no data, shape (c,).
    out
        Shape (h, w, c), filled.

    Returns
    -------
    int
        Number of pixels without data.
    """
    height, width = values.shape
    depth = paint.shape[1]
    missing = 0
    for y in range(height):
        row = out[height - 1 - y]
        for x in range(width):
            share = (float(values[y, x]) - black) / span
            if not math.isfinite(share):
                missing += 1
                for c in range(depth):
                    row[x, c] = nothing[c]
                continue
            level = _level(min(max(share, 0.0), 1.0), limits, starts)
            for c in range(depth):
                row[x, c] = paint[level, c]
    return missing


def shade_plain(
    values: Image,
    black: float,
    span: float,
    limits: Floats,
    starts: Bytes,
    paint: Bytes,
    nothing: Bytes,
    out: Bytes,
) -> int:
    """Paint like `shade`; the twin."""
    share = (values.astype(np.float64) - black) / span
    lost = ~np.isfinite(share)
    levels = np.searchsorted(limits, np.clip(np.where(lost, 0.0, share), 0.0, 1.0), side="right")
    out[:] = np.where(lost[..., None], nothing, paint[levels])[::-1]
    return int(lost.sum())


@njit(nogil=True, cache=True, error_model="numpy")
def _fill(red: Image, green: Image, blue: Image) -> int:
    """Give a pixel that lacks some of its bands the mean of the others; how many lack all of them.

    Rows of a picture, shape (w,); changed in place.
    """
    missing = 0
    for x in range(red.size):
        r, g, b = math.isfinite(red[x]), math.isfinite(green[x]), math.isfinite(blue[x])
        if r and g and b:
            continue
        count = int(r) + int(g) + int(b)
        if count == 0:
            missing += 1
            red[x] = np.nan
            continue
        mean = np.float32(
            ((red[x] if r else 0.0) + (green[x] if g else 0.0) + (blue[x] if b else 0.0)) / count
        )
        if not r:
            red[x] = mean
        if not g:
            green[x] = mean
        if not b:
            blue[x] = mean
    return missing


@njit(nogil=True, cache=True, error_model="numpy")
def _put(row: Bytes, x: int, red: int, green: int, blue: int, nothing: Bytes) -> None:
    """Write a colour, which is never quite that of no data."""
    row[x, 0], row[x, 1], row[x, 2] = red, green, blue
    if red == nothing[0] and green == nothing[1] and blue == nothing[2]:
        row[x, 2] = blue + 1


@njit(nogil=True, cache=True, error_model="numpy")
def _lupton(
    red: Image,
    green: Image,
    blue: Image,
    black: Image,
    scale: Image,
    ceiling: np.float32,
    minimum: np.float32,
    steepness: np.float32,
    gain: np.float32,
    table: Image,
    nothing: Bytes,
    out: Bytes,
) -> int:
    height, width = red.shape
    r, g, b = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    intensity, argument = np.empty(width, np.float32), np.empty(width, np.float32)
    asinh = np.empty(width, np.float32)
    bits = argument.view(np.int32)
    zero, half, full = np.float32(0.0), np.float32(0.5), np.float32(255.0)
    third, step = np.float32(1.0 / 3.0), np.float32(1.0 / (1 << (23 - _BITS)))
    tiny, last = np.float32(1e-38), table.size - 2
    n0, n1, n2 = int(nothing[0]), int(nothing[1]), int(nothing[2])
    missing = 0
    # Several short loops over a row: each of them but the second works on many pixels at a time.
    for y in range(height):
        lost = 0
        for x in range(width):
            r[x] = (red[y, x] - black[0]) * scale[0]
            g[x] = (green[y, x] - black[1]) * scale[1]
            b[x] = (blue[y, x] - black[2]) * scale[2]
            total = r[x] + g[x] + b[x]
            lost += total - total != zero
        if lost:
            lost = _fill(r, g, b)
            missing += lost
        for x in range(width):
            # not min(): NaN stays NaN
            r[x] = ceiling if r[x] > ceiling else r[x]
            g[x] = ceiling if g[x] > ceiling else g[x]
            b[x] = ceiling if b[x] > ceiling else b[x]
            intensity[x] = (r[x] + g[x] + b[x]) * third
            argument[x] = max((intensity[x] - minimum) * steepness, zero)
        for x in range(width):
            at = min(max((bits[x] >> (23 - _BITS)) - _FIRST, 0), last)
            part = np.float32(bits[x] & ((1 << (23 - _BITS)) - 1)) * step
            asinh[x] = table[at] + (table[at + 1] - table[at]) * part
        for x in range(width):
            factor = gain * asinh[x] / max(intensity[x], tiny)
            factor = factor if argument[x] > zero else zero
            p, q, s = max(r[x] * factor, zero), max(g[x] * factor, zero), max(b[x] * factor, zero)
            shrink = full / max(max(p, q), max(s, full))
            g[x], b[x] = q * shrink + half, s * shrink + half
            asinh[x] = p * shrink + half  # red is kept: it tells where there is no data
        row = out[height - 1 - y]
        for x in range(width):
            p, q, s = int(asinh[x]), int(g[x]), int(b[x])
            # Data never has the colour of no data.
            row[x, 0], row[x, 1], row[x, 2] = p, q, s + int((p == n0) & (q == n1) & (s == n2))
        if lost:
            for x in range(width):
                if math.isnan(r[x]):
                    row[x, 0], row[x, 1], row[x, 2] = nothing[0], nothing[1], nothing[2]
    return missing


def lupton(
    bands: tuple[Image, Image, Image],
    black: Floats,
    scale: Floats,
    ceiling: float,
    minimum: float,
    steepness: float,
    gain: float,
    nothing: Bytes,
    out: Bytes,
) -> int:
    """Colours that keep their hue whatever the brightness (Lupton et al. 2004); the first row at the bottom.

    Parameters
    ----------
    bands
        Red, green and blue, shape (h, w); not finite where there is no data. A pixel with data in some of
        them has the mean of these in the others.
    black, scale
        What is subtracted from each band, and what it is multiplied by then, shape (3,).
    ceiling
        Limit of each band after that, a finite number: where all bands pass it, the pixel is white or grey.
    minimum
        Intensity that is black, 0 or more.
    steepness, gain
        Of the curve: ``gain asinh(steepness (I - minimum))``, where 1 is white.
    nothing
        Colour of no data, shape (3,). Where data would have it, blue is one level more.
    out
        Shape (h, w, 3), filled.

    Returns
    -------
    int
        Number of pixels without data in any band.
    """
    red, green, blue = bands
    return int(
        _lupton(
            red,
            green,
            blue,
            black.astype(np.float32),
            scale.astype(np.float32),
            np.float32(ceiling),
            np.float32(minimum),
            np.float32(steepness),
            np.float32(255.0 * gain),
            _ASINH,
            nothing,
            out,
        )
    )


def lupton_plain(
    bands: tuple[Image, Image, Image],
    black: Floats,
    scale: Floats,
    ceiling: float,
    minimum: float,
    steepness: float,
    gain: float,
    nothing: Bytes,
    out: Bytes,
) -> int:
    """Colours like `lupton`; the twin."""
    colours, lost = _filled_plain((np.stack(bands).astype(np.float64).T - black) * scale)
    colours = np.minimum(colours, ceiling)
    intensity = colours.mean(axis=-1)
    above = intensity > minimum
    curve = gain * np.arcsinh(steepness * np.where(above, intensity - minimum, 0.0))
    colours *= (curve / np.where(above, intensity, 1.0))[..., None]
    colours = np.maximum(colours, 0.0)
    colours /= np.maximum(colours.max(axis=-1, keepdims=True), 1.0)
    return _put_plain(np.floor(255.0 * colours + 0.5), lost, nothing, out)


def _filled_plain(colours: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Bands, shape (w, h, 3), as `_fill` leaves them (0 without any data), and where there is none."""
    known = np.isfinite(colours)
    lost = np.asarray(~known.any(axis=-1))
    mean = np.where(known, colours, 0.0).sum(axis=-1) / np.maximum(known.sum(axis=-1), 1)
    return np.where(known, colours, mean[..., None]), lost


def _put_plain(levels: Floats, lost: NDArray[np.bool_], nothing: Bytes, out: Bytes) -> int:
    painted = levels.astype(np.uint8)
    painted[(painted == nothing).all(axis=-1), 2] += 1
    painted[lost] = nothing
    out[:] = painted.transpose(1, 0, 2)[::-1]
    return int(lost.sum())


@njit(nogil=True, cache=True, error_model="numpy")
def stiff(
    red: Image,
    green: Image,
    blue: Image,
    black: Floats,
    span: Floats,
    exponent: float,
    saturation: float,
    limits: Floats,
    starts: Bytes,
    nothing: Bytes,
    out: Bytes,
) -> int:
    """Colours of a brightness and of differences from it, as STIFF makes them; the first row at the bottom.

    Parameters
    ----------
    red, green, blue
        Shape (h, w); not finite where there is no data. A pixel with data in some of them has the mean of
        these in the others, in units of `span`.
    black, span
        Value of each band that is black, and how much more is white, shape (3,).
    exponent, saturation
        ``1/F - 1`` and S.
    limits, starts
        The curve of the screen, from `surveys.picture.curves`.
    nothing
        Colour of no data, shape (3,). Where data would have it, blue is one level more.
    out
        Shape (h, w, 3), filled.

    Returns
    -------
    int
        Number of pixels without data in any band.
    """
    height, width = red.shape
    r, g, b = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    missing = 0
    for y in range(height):
        for x in range(width):
            r[x] = (red[y, x] - black[0]) / span[0]
            g[x] = (green[y, x] - black[1]) / span[1]
            b[x] = (blue[y, x] - black[2]) / span[2]
        lost = _fill(r, g, b)
        missing += lost
        row = out[height - 1 - y]
        for x in range(width):
            if lost and math.isnan(r[x]):
                row[x, 0], row[x, 1], row[x, 2] = nothing[0], nothing[1], nothing[2]
                continue
            c, d, e = float(r[x]), float(g[x]), float(b[x])
            mean = (c + d + e) / 3.0
            light = (max(c, 0.0) + max(d, 0.0) + max(e, 0.0)) / 3.0
            if light == 0.0:
                _put(row, x, 0, 0, 0, nothing)
                continue
            factor = 1.0 if exponent == 0.0 else light**exponent
            c = (light + saturation * (c - mean)) * factor
            d = (light + saturation * (d - mean)) * factor
            e = (light + saturation * (e - mean)) * factor
            _put(
                row,
                x,
                _level(min(max(c, 0.0), 1.0), limits, starts),
                _level(min(max(d, 0.0), 1.0), limits, starts),
                _level(min(max(e, 0.0), 1.0), limits, starts),
                nothing,
            )
    return missing


def stiff_plain(
    red: Image,
    green: Image,
    blue: Image,
    black: Floats,
    span: Floats,
    exponent: float,
    saturation: float,
    limits: Floats,
    starts: Bytes,
    nothing: Bytes,
    out: Bytes,
) -> int:
    """Colours like `stiff`; the twin."""
    shares = ((np.stack([red, green, blue]).astype(np.float64).T - black) / span).astype(np.float32)
    colours, lost = _filled_plain(shares.astype(np.float64))
    light = np.maximum(colours, 0.0).mean(axis=-1, keepdims=True)
    factor = np.where(light > 0.0, np.where(light > 0.0, light, 1.0) ** exponent, 0.0)
    colours = (light + saturation * (colours - colours.mean(axis=-1, keepdims=True))) * factor
    levels = np.searchsorted(limits, np.clip(colours, 0.0, 1.0), side="right")
    return _put_plain(levels.astype(np.float64), lost, nothing, out)
