"""Charts as SVG inside pages: drawn here, coloured by the style sheet, read aloud by their titles."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from portal.figures import duration

_WIDTH, _HEIGHT = 720, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 8, 10, 26
#: So many labels fit beneath.
_LABELS = 8
#: So many lines across.
_TICKS = 4
_SERIES = "abc"


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar; its values stand on each other."""

    label: str
    values: tuple[float, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Dot:
    """A dot of a chart with logarithmic axes."""

    x: float
    y: float
    title: str


def bars(shown: Sequence[Bar], series: Sequence[str], written: Callable[[float], str]) -> Markup:
    """Draw bars beside each other, in their order.

    Parameters
    ----------
    shown
        The bars.
    series
        What their values are.
    written
        Writes a value.
    """
    top, step = _axis(max((sum(bar.values) for bar in shown), default=0.0))
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    each = width / max(1, len(shown))
    parts = [_grid(_TOP + height * (1 - value / top), written(value)) for value in _values(top, step)]
    every = math.ceil(len(shown) / _LABELS)
    for number, bar in enumerate(shown):
        x, y = _LEFT + number * each, float(_TOP + height)
        told = ", ".join(f"{name}: {written(value)}" for name, value in zip(series, bar.values, strict=True))
        parts.append(Markup("<g><title>{}</title>").format(f"{bar.label}: {told} {bar.note}".rstrip()))
        # All of its column is to be pointed at.
        parts.append(_rect(x, _TOP, each, height, "chart-column"))
        for name, value in zip(_SERIES, bar.values, strict=False):
            tall = height * value / top
            y -= tall
            parts.append(_rect(x + each * 0.12, y, each * 0.76, tall, f"chart-{name}"))
        parts.append(Markup("</g>"))
        if number % every == 0:
            parts.append(_text(x + each / 2, _HEIGHT - 8, bar.label[-5:], "middle"))
    legend = Markup("") if len(series) < 2 else _legend(series)
    return _figure(_WIDTH, _HEIGHT, ", ".join(series), parts, legend)


def scatter(dots: Sequence[Dot], x_name: str, y_name: str) -> Markup:
    """Draw times against times; on the line both are equal, in the band they differ by a factor of 2."""
    width, height, left, bottom = 480, 340, 64, 44
    values = [max(value, 0.01) for dot in dots for value in (dot.x, dot.y)]
    least = math.floor(math.log10(min(values, default=0.1)))
    most = max(least + 1, math.ceil(math.log10(max(values, default=10.0))))

    def x_of(value: float) -> float:
        share = (math.log10(max(value, 0.01)) - least) / (most - least)
        return left + share * (width - left - 12)

    def y_of(value: float) -> float:
        share = (math.log10(max(value, 0.01)) - least) / (most - least)
        return height - bottom - share * (height - bottom - 12)

    low, high = 10.0**least, 10.0**most
    corners = [
        (low, low / 2),
        (low, low * 2),
        (high / 2, high),
        (high, high),
        (high, high / 2),
        (low * 2, low),
    ]
    band = " ".join(f"{x_of(x):.1f},{y_of(max(y, low)):.1f}" for x, y in corners)
    parts = [Markup('<polygon class="chart-band" points="{}"/>').format(band)]
    for power in range(least, most + 1):
        value = 10.0**power
        parts += [
            _line(left, y_of(value), width - 12, y_of(value), "chart-grid"),
            _line(x_of(value), 12, x_of(value), height - bottom, "chart-grid"),
            _text(left - 8, y_of(value) + 4, duration(value), "end"),
            _text(x_of(value), height - bottom + 18, duration(value), "middle"),
        ]
    parts.append(_line(x_of(low), y_of(low), x_of(high), y_of(high), "chart-even"))
    for dot in dots:
        title = f"{dot.title}; {x_name} {duration(dot.x)}, {y_name} {duration(dot.y)}"
        parts.append(
            Markup(
                '<circle class="chart-dot" cx="{:.1f}" cy="{:.1f}" r="3.5"><title>{}</title></circle>'
            ).format(x_of(dot.x), y_of(dot.y), title)
        )
    parts += [
        _text((left + width) / 2, height - 6, x_name, "middle"),
        Markup(
            '<text class="chart-text" transform="translate(12 {:.0f}) rotate(-90)" text-anchor="middle">'
            "{}</text>"
        ).format((height - bottom) / 2, y_name),
    ]
    return _figure(width, height, f"{y_name} against {x_name}", parts, Markup(""))


def meter(value: float, most: float) -> Markup:
    """Draw how large a value is, compared with the largest: for a cell of a table."""
    share = 100 * min(1.0, value / most) if most > 0 else 0.0
    return Markup(
        '<svg class="meter" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="meter-all" width="100" height="8"/>'
        '<rect class="chart-a" width="{:.1f}" height="8"/></svg>'
    ).format(share)


def _axis(most: float) -> tuple[float, float]:
    """Give the top of an axis and the step of its lines: 1, 2 or 5 times a power of ten."""
    if most <= 0:
        return 1.0, 1.0
    rough = most / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return math.ceil(most / step - 1e-9) * step, step


def _values(top: float, step: float) -> list[float]:
    return [number * step for number in range(round(top / step) + 1)]


def _grid(y: float, label: str) -> Markup:
    return _line(_LEFT, y, _WIDTH - _RIGHT, y, "chart-grid") + _text(_LEFT - 8, y + 4, label, "end")


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(
        kind, x1, y1, x2, y2
    )


def _rect(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
        kind, x, y, width, height
    )


def _text(x: float, y: float, words: str, anchor: str) -> Markup:
    return Markup('<text class="chart-text" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        x, y, anchor, words
    )


def _legend(series: Sequence[str]) -> Markup:
    keys = Markup("").join(
        Markup(
            '<li><svg class="key" viewBox="0 0 10 10" aria-hidden="true"><rect class="chart-{}" width="10"'
            ' height="10" rx="2"/></svg> {}</li>'
        ).format(letter, name)
        for letter, name in zip(_SERIES, series, strict=False)
    )
    return Markup('<ul class="legend">{}</ul>').format(keys)


def _figure(width: int, height: int, title: str, parts: Sequence[Markup], legend: Markup) -> Markup:
    drawn = Markup("").join(parts)
    return Markup(
        '<div class="chart"><div class="scroll" tabindex="0" role="region" aria-label="{}">'
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg></div>{}</div>'
    ).format(escape(title), width, height, escape(title), drawn, legend)
