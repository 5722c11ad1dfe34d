"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from babel.numbers import get_decimal_symbol

from portal.words import language

_SIZES = ("B", "kB", "MB", "GB", "TB", "PB")
_COUNTS = ("", " k", " M", " G")


def count(number: float) -> str:
    """Write a number with a thin space between thousands."""
    return f"{number:,.0f}".replace(",", "\u202f")


def decimal(number: float, digits: int = 3) -> str:
    """Write a number with so many digits."""
    return _decimal(f"{number:.{digits}g}")


def short(number: float) -> str:
    """Write a number by its size: 12, 3.4 k, 5.6 M."""
    return _scaled(number, _COUNTS)


def size(number: float) -> str:
    """Write a number of bytes."""
    return _scaled(number, tuple(f" {unit}" for unit in _SIZES))


def amount(kind: str, number: float) -> str:
    """Write an amount of a quota."""
    return size(number) if kind == "bytes" else count(number)


def duration(seconds: float) -> str:
    """Write a time: 0.12 s, 34 s, 5 min, 6 h, 7 d."""
    if seconds < 10:
        return _decimal(f"{seconds:.2g} s") if seconds else "0 s"
    for limit, unit, name in ((100, 1, "s"), (6000, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86_400:.0f} d"


def share(part: float, whole: float) -> str:
    """Write a part in per cent."""
    return f"{100 * part / whole:.0f} %" if whole else "–"


def ratio(number: float) -> str:
    """Write a ratio."""
    return _decimal(f"{number:.2f}") if number < 10 else f"{number:.0f}"


def clock(moment_ms: int) -> str:
    """Write a moment: 2026-01-31 12:00:05."""
    return f"{datetime.fromtimestamp(moment_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def told(data: Mapping[str, Any]) -> str:
    """Write what an entry of a log tells: days 30, group lsst."""
    return ", ".join(_told(name, value) for name, value in data.items())


def _told(name: str, value: Any) -> str:
    if name.endswith("_ms") and isinstance(value, int):
        return f"{name.removesuffix('_ms')} {clock(value)}"
    if isinstance(value, bool):
        return f"{name} {'yes' if value else 'no'}"
    if isinstance(value, list):
        return f"{name} {' '.join(map(str, value)) or '–'}"
    if isinstance(value, float):
        value = f"{value:g}"
    return f"{name.removesuffix('_ms')} {'–' if value is None else value}"


def _scaled(number: float, units: tuple[str, ...]) -> str:
    for unit in units[:-1]:
        if abs(number) < 999.5:
            plain = number >= 99.5 or unit == units[0]
            return f"{number:.0f}{unit}" if plain else _decimal(f"{number:.2g}{unit}")
        number /= 1000
    return f"{number:,.0f}{units[-1]}"


def _decimal(text: str) -> str:
    """Write a fraction as the language of the reader has it."""
    return text.replace(".", get_decimal_symbol(language()))
