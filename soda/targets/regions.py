"""Regions of DS9 as targets: points, circles and boxes; their texts are the names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from dali.errors import quoted
from soda.targets.lines import text_lines
from soda.targets.source import Body, Field, Texts, Wanted
from soda.targets.table import TargetLimits, UploadRefused

_SYSTEMS = {
    "icrs": "",
    "fk5": "",
    "j2000": "",
    "fk4": "fk4 B1950",
    "b1950": "fk4 B1950",
    "galactic": "galactic",
}
_OTHER_SYSTEMS = ("image", "physical", "detector", "amplifier", "ecliptic", "linear")
_SHAPE = re.compile(r"[+-]?\s*([a-zA-Z]+)\s*(?:\(([^)]*)\)|\s([^#]*))?\s*(?:\|\|)?\s*(?:#(.*))?")
_TEXT = re.compile(r"""text\s*=\s*(?:\{([^}]*)\}|"([^"]*)"|'([^']*)')""")
_SIZE = re.compile(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)(d|r|p|i|\"|'|deg)?")
_UNITS = {"": "deg", "d": "deg", "deg": "deg", '"': "arcsec", "'": "arcmin"}
#: Number of values after the position.
_SHAPES = {"point": 0, "circle": 1, "box": 2}
_ROWS_AT_ONCE = 2000


class RegionSource:
    """A region file of DS9."""

    has_names = True
    _names = ("id", "ra", "dec", "radius", "width", "height")

    def __init__(self, path: Path, limits: TargetLimits) -> None:
        self._path = path
        self._limits = limits
        self._frame = ""
        first = next(self._regions(), None)
        if first is None:
            raise UploadRefused("the region file has no regions", "Points, circles and boxes are targets.")
        self._frame = first[3]
        self.fields = [
            Field(name, frame=self._frame if name in ("ra", "dec") else "") for name in self._names
        ]

    def read(self, wanted: Sequence[Wanted], most: int | None = None) -> Body:
        """Read the regions."""
        texts = Texts(wanted, self._limits, most)
        rows = []
        for line, cells, fault, frame in self._regions():
            if texts.is_full:
                break
            texts.line(line)
            if frame != self._frame:
                fault = fault or "the region is of another system of coordinates than those before it"
            if fault:
                texts.faults[texts.rows - 1] = fault
            rows.append([cells[one.index] for one in wanted])
            if len(rows) == _ROWS_AT_ONCE:
                texts.add(rows)
                rows.clear()
        texts.add(rows)
        return texts.body()

    def _regions(self) -> Iterator[tuple[int, list[str], str, str]]:
        """Line, cells, what is wrong, and system of each region."""
        frame, known = "", False
        for number, line in text_lines(self._path, self._limits):
            for part in _parts(line):
                word = part.split("(")[0].split()[0].lower() if part.split("(")[0].split() else ""
                if word in _SYSTEMS and word == part.lower():
                    frame, known = _SYSTEMS[word], True
                elif word in _OTHER_SYSTEMS and word == part.lower():
                    raise UploadRefused(
                        f"the regions are of the system {quoted(word)}",
                        "Save them as icrs, degrees.",
                        line=number,
                    )
                elif word and word not in ("global", "#"):
                    if not known:
                        raise UploadRefused(
                            "a region comes before its system of coordinates",
                            "Begin with a line: icrs",
                            line=number,
                        )
                    yield number, *_region(part), frame


def _parts(line: str) -> Iterator[str]:
    """Commands of a line: several may stand between semicolons, but not in a comment."""
    text = line.strip()
    if text.startswith(("#", "global")):
        return
    if "#" in text or ";" not in text:
        system, semicolon, rest = text.partition(";")
        if semicolon and system.strip().lower() in _SYSTEMS:
            yield system.strip()
            text = rest.strip()
        yield text
    else:
        yield from (part.strip() for part in text.split(";"))


def _region(text: str) -> tuple[list[str], str]:
    """Cells of a region, and what is wrong with it, if anything is."""
    empty = [""] * len(RegionSource._names)
    found = _SHAPE.fullmatch(text)
    if found is None:
        return empty, f"{quoted(text)} is no region"
    shape = found[1].lower()
    label = _TEXT.search(found[4] or "")
    name = next((group for group in label.groups() if group is not None), "") if label else ""
    values = [value for value in re.split(r"[,\s]+", (found[2] or found[3] or "").strip()) if value]
    if shape not in _SHAPES:
        return [name, *empty[1:]], f"{quoted(shape)} is no target; points, circles and boxes are"
    angle = values[4:5] if shape == "box" else []
    if len(values) != 2 + _SHAPES[shape] + len(angle):
        return [name, *empty[1:]], f"{shape} has {len(values)} values; {2 + _SHAPES[shape]} are right"
    if angle and angle[0] not in ("0", "0.0", "360"):
        return [name, *empty[1:]], f"the box is turned by {quoted(angle[0])}; boxes here are not turned"
    sizes = [_size(value) for value in values[2 : 2 + _SHAPES[shape]]]
    if None in sizes:
        return [
            name,
            *empty[1:],
        ], f"a size of the {shape} is {quoted(' '.join(values[2:]))}; units are \" ' d"
    told = [size or "" for size in sizes]
    radius, width, height = (told[0], "", "") if shape == "circle" else ("", *told) if told else ("", "", "")
    return [name, values[0], values[1], radius, width, height], ""


def _size(text: str) -> str | None:
    found = _SIZE.fullmatch(text[:64])
    if found is None or (found[2] or "") not in _UNITS:
        return None
    return f"{found[1]}{_UNITS[found[2] or '']}"
