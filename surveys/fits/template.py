"""Templates of headers: built once for an image, and completed by a few numbers for every cutout of it.

A template is the finished text of all the cards that are the same for every cutout of an image, in pieces
between the few numbers that are not (`Patch`): the length of the two cut axes, every reference pixel on them,
and what is known only when the pixels are. Making a header is then to write these, and to join the pieces.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from surveys.cube.axes import Axis, find
from surveys.errors import BrokenImage
from surveys.fits.header import CARD, NUMBER_END, NUMBER_START, STRUCTURE, UNPRINTABLE, Value, card
from surveys.image import ImageRecord

_COLUMNS = NUMBER_END - NUMBER_START

_COMPRESSION = re.compile(
    r"(T(TYPE|FORM|UNIT|SCAL|ZERO|NULL|DIM|DISP)\d+|THEAP|Z(IMAGE|CMPTYPE|BITPIX|NAXIS\d*|TILE\d+|NAME\d+"
    r"|VAL\d+|MASKCMP|QUANTIZ|DITHER0|SIMPLE|TENSION|EXTEND|BLOCKED|PCOUNT|GCOUNT|HECKSUM|DATASUM|BLANK|SCALE"
    r"|ZERO))"
)
_PIXEL_CARD = re.compile(r"(CRPIX|LTV|CNPIX)(\d+)([A-Z]?)")
# What grows with the distance of pixels along their axis; of a matrix beside CDELT, its row and its column.
_STEP_CARD = re.compile(r"(?:CDELT|CD\d+_|LTM\d+_)(\d+)[A-Z]?|PC(\d+)_(\d+)[A-Z]?")
_AXIS_CARD = re.compile(r"(?:CTYPE|CRVAL|CDELT|CUNIT|CRPIX)(\d+)([A-Z]?)|(?:CD|PC)(\d+)_(\d+)([A-Z]?)")
_NUMBER = re.compile(r" *([+-]?(?:\d+\.?\d*|\.\d+)(?:[EDed][+-]?\d+)?) *(?:/(.*))?$")


class Patch(NamedTuple):
    """A card whose value is ``base + factor * values[slot]``."""

    slot: str
    base: float
    factor: float
    keyword: str
    comment: str


@dataclass(frozen=True, slots=True)
class HeaderTemplate:
    """All cards but the last few: the numbers in which cutouts differ, and what stands between them.

    Parameters
    ----------
    fixed
        What precedes the number of each patch, and what follows the last.
    patches
        Cards of these numbers.
    size
        Bytes of all of it.
    """

    fixed: tuple[str, ...]
    patches: tuple[Patch, ...]
    size: int

    def write(self, values: Mapping[str, float]) -> str:
        """Write the cards with the `values` of the slots."""
        numbers = [
            repr(base + factor * values[slot]).rjust(_COLUMNS) for slot, base, factor, _, _ in self.patches
        ]
        fixed: Sequence[str] = self.fixed
        written = "".join(numbers)
        if len(written) > _COLUMNS * len(numbers) or "e" in written:
            numbers, fixed = self._as_cards(values)
        texts = [""] * (len(fixed) + len(numbers))
        texts[::2], texts[1::2] = fixed, numbers
        return "".join(texts)

    def _as_cards(self, values: Mapping[str, float]) -> tuple[list[str], list[str]]:
        """Numbers as `card` writes them, and what stands between: long ones leave less room for a comment."""
        numbers, fixed = [], list(self.fixed)
        for i, (slot, base, factor, keyword, comment) in enumerate(self.patches, start=1):
            text = card(keyword, base + factor * values[slot], comment)
            numbers.append(text[NUMBER_START:NUMBER_END])
            fixed[i] = text[NUMBER_END:] + fixed[i][CARD - NUMBER_END :]
        return numbers, fixed


class _Builder:
    """Collects cards and patches of a template; `cards` is what stands behind the last number."""

    def __init__(self) -> None:
        self.cards: list[str] = []
        self._fixed: list[str] = []
        self._patches: list[Patch] = []

    def add(self, keyword: str, value: Value, comment: str = "") -> None:
        self.cards.append(card(keyword, value, comment))

    def slot(self, keyword: str, comment: str, slot: str, base: float, factor: float = 1) -> None:
        text = card(keyword, 0, comment)
        self._fixed.append("".join([*self.cards, text[:NUMBER_START]]))
        self._patches.append(Patch(slot, base, factor, keyword, comment))
        self.cards = [text[NUMBER_END:]]

    def template(self) -> HeaderTemplate:
        fixed = (*self._fixed, "".join(self.cards))
        size = sum(map(len, fixed)) + _COLUMNS * len(self._patches)
        return HeaderTemplate(fixed, tuple(self._patches), size)


@dataclass(frozen=True, slots=True)
class Axes:
    """What of the axes beside those of the sky is the same for all cutouts of one template.

    Parameters
    ----------
    steps
        Of each axis that is cut, ``(0-based FITS number, pixels of the source from one of the cutout to the
        next)``.
    spectral
        Number of the spectral axis, which ALTRPIX of AIPS is about.
    extended
        Whether tables follow.
    """

    steps: tuple[tuple[int, int], ...] = ()
    spectral: int | None = None
    extended: bool = False


NO_AXES = Axes()


class _Slots:
    """Where the lengths and origins of axes come from."""

    def __init__(self, record: ImageRecord, axes: Axes) -> None:
        self.steps = dict(axes.steps)
        self.spectral = axes.spectral if axes.spectral in self.steps else None
        further = {axis: str(axis) for axis in self.steps}
        self._names = {record.x_axis: "x", record.y_axis: "y"}
        self.lengths = {axis: f"n{name}" for axis, name in (self._names | further).items()}
        self.origins = {axis: f"{name}0" for axis, name in self._names.items()}
        self.origins |= {axis: f"o{name}" for axis, name in further.items()}

    def factor(self, keyword: str) -> float:
        """Say how much larger the number of a card becomes where pixels are skipped."""
        match = _STEP_CARD.fullmatch(keyword)
        if match is None:
            return 1
        own, row, column = (self.steps.get(int(n) - 1, 1) if n else 1 for n in match.groups())
        return 1 / own if keyword.startswith("LTM") else own * column / row

    def pixel(self, builder: _Builder, keyword: str, comment: str, axis: int, base: float) -> None:
        """Add a card of a pixel of the source: where it is, 1-based, in pixels of the cutout."""
        step = self.steps.get(axis, 1)
        if step != 1:
            base, factor = (base - 1.0) / step + 1.0, -1.0 / step
            builder.slot(keyword, comment, self.origins[axis], base, factor)
        else:
            builder.slot(keyword, comment, self.origins[axis], base, -1)


def build_template(
    record: ImageRecord,
    header_text: str,
    bitpix: int,
    set_later: Iterable[str],
    provenance: Iterable[tuple[str, Value, str]],
    clipped: bool,
    axes: Axes = NO_AXES,
    on_source: bool = True,
) -> HeaderTemplate:
    """Template of the products of one image.

    Parameters
    ----------
    record
        The image.
    header_text
        80-character cards of the image HDU, with what it inherits and the survey's fixes, without END.
    bitpix
        BITPIX of the product. Where it is not the record's own, the pixels are physical values and BSCALE,
        BZERO and BLANK go.
    set_later
        Keywords the caller writes after the template; the source's cards of these names go.
    provenance
        Cards to set in place of the source's.
    clipped
        Whether the region reaches beyond the image.
    axes
        Which further axes are cut, and what comes behind the pixels.
    on_source
        Whether the pixels are on the grid of the image, so that they have a place in it (X0, Y0, LTV).

    Notes
    -----
    The slots are ``nx``, ``ny`` (lengths of the cut axes), ``x0``, ``y0`` (0-based origin of the cutout in
    the source image), for the axis of number 2 ``n2`` and ``o2`` likewise, and ``frac_ok``.
    """
    added = list(provenance)
    dropped = set(set_later) | {keyword for keyword, _, _ in added} | {"X0", "Y0", "CLIPPED", "FRAC_OK"}
    if bitpix != record.bitpix:
        dropped |= {"BSCALE", "BZERO", "BLANK"}
    elif bitpix < 0:
        dropped |= {"BLANK"}  # has no meaning for floats and makes a file invalid (FITS 4.0, 4.4.2.5)
    if find(record.tables, "beams") is None:
        dropped |= {"CASAMBM"}  # says that a table of beams follows
    if record.storage == "tiles" and record.extname == "COMPRESSED_IMAGE":
        dropped |= {"EXTNAME"}  # what compressors call their tables, not a name of the image
    builder = _Builder()
    slots = _Slots(record, axes)
    _add_structure(builder, record, bitpix, slots)
    if axes.extended:
        builder.add("EXTEND", True, "tables of the axes follow")
    source = [
        (keyword, line)
        for keyword, line in _split(header_text)
        if keyword not in dropped and _is_wanted(record, keyword)
    ]
    _add_source(builder, record, source, slots)
    if (
        record.blank is not None
        and bitpix == record.bitpix > 0
        and all(keyword != "BLANK" for keyword, _ in source)
    ):
        builder.add("BLANK", record.blank, "stored value of a pixel without data")
    _add_missing_pixel_cards(builder, record, source, slots, on_source)
    for keyword, value, comment in added:
        builder.add(keyword, value, comment)
    if on_source:
        builder.slot("X0", "first column of this, in the source (1-based)", "x0", 1)
        builder.slot("Y0", "first row of this, in the source (1-based)", "y0", 1)
    builder.add("CLIPPED", clipped, "the region reaches beyond the image")
    builder.slot("FRAC_OK", "fraction of the pixels that hold data", "frac_ok", 0.0)
    return builder.template()


def _add_structure(builder: _Builder, record: ImageRecord, bitpix: int, slots: _Slots) -> None:
    builder.add("SIMPLE", True, "conforms to the FITS standard")
    builder.add("BITPIX", bitpix, "bits per pixel; negative: floating point")
    builder.add("NAXIS", len(record.shape), "number of axes")
    for axis, length in enumerate(reversed(record.shape)):
        slot = slots.lengths.get(axis)
        if slot:
            builder.slot(f"NAXIS{axis + 1}", "length of the axis", slot, 0)
        else:
            builder.add(f"NAXIS{axis + 1}", length, "length of the axis")


def _split(text: str) -> Iterator[tuple[str, str]]:
    """Keyword and card, one by one; a CONTINUE card comes under the keyword it continues."""
    keyword = ""
    text = UNPRINTABLE.sub("?", text)
    for start in range(0, len(text), CARD):
        line = text[start : start + CARD].ljust(CARD)
        name = line[:8].rstrip()
        if name != "CONTINUE":
            keyword = name
        yield keyword, line


def _is_wanted(record: ImageRecord, keyword: str) -> bool:
    if record.storage == "tiles" and _COMPRESSION.fullmatch(keyword):
        return False
    return not STRUCTURE.fullmatch(keyword)


def _add_source(builder: _Builder, record: ImageRecord, source: list[tuple[str, str]], slots: _Slots) -> None:
    for keyword, line in source:
        match = _PIXEL_CARD.fullmatch(keyword)
        axis = int(match[2]) - 1 if match else None
        if keyword == "ALTRPIX" and _number_in(line) is not None:
            axis = slots.spectral
        if axis is not None and axis in slots.origins:
            base, comment = _number(record, keyword, line)
            if match and match[1] == "CNPIX":
                builder.slot(keyword, comment, slots.origins[axis], base, 1)
            else:
                slots.pixel(builder, keyword, comment, axis, float(base))
            continue
        factor = slots.factor(keyword)
        if factor == 1 or (keyword.startswith("PC") and _number_in(line) is None):
            builder.cards.append(line)
        else:
            base, comment = _number(record, keyword, line)
            builder.add(keyword, float(base) * factor, comment)


def _number(record: ImageRecord, keyword: str, line: str) -> tuple[float, str]:
    number = _number_in(line)
    if number is None:
        raise BrokenImage(f"The card {keyword} of {record.file.name} does not hold a number.")
    return number


def _number_in(line: str) -> tuple[float, str] | None:
    """Value and comment of a card with a finite number; None for any other."""
    match = _NUMBER.match(line[10:]) if line[8:10] == "= " else None
    if match is None:
        return None
    text = match[1].upper().replace("D", "E")
    value = int(text) if text.lstrip("+-").isdigit() else float(text)
    return (value, (match[2] or "").strip()) if math.isfinite(value) else None


def unshiftable_card(text: str, celestial: tuple[int, int], further: Iterable[Axis]) -> str | None:
    """Find a card of a header that cutouts have to shift or scale, and that holds no number.

    Parameters
    ----------
    text
        80-character cards.
    celestial
        0-based numbers of the axes of the sky.
    further
        Axes beside them that can be cut.
    """
    shifted = {axis + 1 for axis in celestial} | {axis.number + 1 for axis in further}
    scaled = {axis.number + 1 for axis in further if axis.kind == "stokes"}
    for keyword, line in _split(text):
        pixel, step = _PIXEL_CARD.fullmatch(keyword), _STEP_CARD.fullmatch(keyword)
        is_meant = int(pixel[2]) in shifted if pixel else step and int(step[1] or 0) in scaled
        if is_meant and _number_in(line) is None:
            return keyword
    return None


def _add_missing_pixel_cards(
    builder: _Builder,
    record: ImageRecord,
    source: list[tuple[str, str]],
    slots: _Slots,
    on_source: bool,
) -> None:
    """Add the reference pixels the source left at their default, 0, and physical coordinates (LTV, LTM)."""
    keywords = {keyword for keyword, _ in source}
    described: set[tuple[int, str]] = set()
    for keyword in keywords:
        if match := _AXIS_CARD.fullmatch(keyword):
            letter = match[2] if match[1] else match[5]
            described.update((int(number), letter) for number in match.group(1, 3, 4) if number)
    for number, letter in sorted(described):
        keyword = f"CRPIX{number}{letter}"
        if number - 1 in slots.origins and keyword not in keywords:
            slots.pixel(builder, keyword, "reference pixel", number - 1, 0.0)
        step = slots.steps.get(number - 1, 1)
        if step != 1 and not keywords & {f"CDELT{number}{letter}", f"CD{number}_{number}{letter}"}:
            builder.add(f"CDELT{number}{letter}", float(step), "coordinate increment")
    if not on_source:
        return
    if not any(keyword.startswith("LTM") for keyword in keywords):
        for axis in range(len(record.shape)):
            scale = 1.0 / slots.steps.get(axis, 1)
            builder.add(f"LTM{axis + 1}_{axis + 1}", scale, "pixels of this per pixel of the source")
    for axis in slots.origins:
        if f"LTV{axis + 1}" not in keywords:
            comment = "pixel 0 of the source, in pixels of this"
            slots.pixel(builder, f"LTV{axis + 1}", comment, axis, 0.0)
