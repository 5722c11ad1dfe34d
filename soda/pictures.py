"""The parameters of pictures, and which of them go together."""

from __future__ import annotations

import re
from typing import Literal

from dali.errors import UsageError, quoted
from dali.words import parse_list, parse_text, parse_whole, parse_within, parse_word
from dali.xtypes import parse_number
from soda.reader import Reader
from soda.table import ARRAY, BY_NAME, JPEG, PARAMETERS, PICTURE_TYPES, PNG, SodaParameter
from surveys.request import Cuts, PictureOptions

MAX_LABEL_LENGTH = 64
MAX_NAME_LENGTH = 64
MAX_CAPTION_LENGTH = 120

# Spelled out, so that the types are checked; a test holds them against the table.
ALGORITHMS: tuple[Literal["lupton", "stiff"], ...] = ("lupton", "stiff")
VARIANTS: tuple[Literal["astropy"], ...] = ("astropy",)
STRETCHES: tuple[Literal["linear", "sqrt", "log", "asinh", "power"], ...] = (
    "linear",
    "sqrt",
    "log",
    "asinh",
    "power",
)
ORIENTS: tuple[Literal["native", "north"], ...] = ("native", "north")

_NAME = re.compile(r"[A-Za-z0-9._~+-]+")
_OF_FITS = ("CHECKSUM", "DETAIL", "LAYOUT")

Triplet = tuple[str, ...]


def band_label(text: str, name: str) -> str:
    """Read the label of a band, as the survey spells it."""
    return parse_text(text, name, MAX_LABEL_LENGTH, "the label of a band of the survey")


def rgb(text: str) -> Triplet:
    """Read which bands become red, green and blue."""
    labels = parse_list(text, "RGB", lambda label: band_label(label, "RGB"), "i,r,g")
    if len(labels) != 3:
        raise UsageError(
            f"RGB is three bands, red, green and blue; got {len(labels)} ({quoted(text)})", "Write RGB=i,r,g."
        )
    return labels


def read_picture(read: Reader, media_type: str) -> PictureOptions | None:
    """Read how pixels become a picture; None of a product that is none.

    RGB is left to the caller, since in async it may have several values.
    """
    given = [parameter for parameter in PARAMETERS if parameter.of_pictures and read.given(parameter.name)]
    if media_type in PICTURE_TYPES or media_type == ARRAY:
        _refuse_of_fits(read, media_type)
    if media_type not in PICTURE_TYPES:
        if given:
            names = ", ".join(parameter.name for parameter in given)
            is_are, it = ("is", "it") if len(given) == 1 else ("are", "them")
            read.refuse(
                f"{names} {is_are} for pictures, and RESPONSEFORMAT is {media_type}",
                f"Add RESPONSEFORMAT={PNG}, or leave {it} out.",
            )
        return None
    options = PictureOptions(
        media_type=media_type,
        recipe=read.one("RECIPE", _recipe) or "",
        algorithm=read.one("ALGORITHM", lambda text: parse_word(text, "ALGORITHM", ALGORITHMS)) or "",
        variant=read.one("VARIANT", lambda text: parse_word(text, "VARIANT", VARIANTS)) or "",
        q=_number(read, "Q"),
        softening=_number(read, "SOFTENING"),
        minimum=read.one("MINIMUM", _minimum) or (),
        stretch=read.one("STRETCH", lambda text: parse_word(text, "STRETCH", STRETCHES)) or "",
        power=_number(read, "POWER"),
        cuts=read.one("CUTS", parse_cuts),
        invert=read.flag("INVERT"),
        colormap=read.one("CMAP", lambda text: _name(text, "CMAP", "the name of a colour map")) or "",
        contrast=_number(read, "CONTRAST"),
        saturation=_number(read, "SATURATION"),
        orient=read.word("ORIENT", ORIENTS),
        width=_whole(read, "WIDTH"),
        height=_whole(read, "HEIGHT"),
        quality=_whole(read, "QUALITY"),
        draw=_draw(read),
        label=read.one("LABEL", lambda text: parse_text(text, "LABEL", MAX_CAPTION_LENGTH, "a text")) or "",
    )
    _check(read, options, given)
    return options


def parse_cuts(text: str) -> Cuts:
    """Read the brightnesses of black and white: ``zscale``, ``1% 99.5%``, or ``-0.5 20``."""
    example = "1% 99.5%, CUTS=-0.5 20 or CUTS=zscale"
    try:
        if text.strip(" ").lower() == "zscale":
            return Cuts("zscale")
        parts = parse_list(text, "CUTS", str, example)
        if len(parts) != 2:
            raise UsageError(
                f"CUTS is zscale, two percentiles or two values; got {len(parts)} ({quoted(text)})"
            )
        percents = [part.endswith("%") for part in parts]
        if any(percents) != all(percents):
            raise UsageError(f"CUTS is two percentiles or two values, not one of each; got {quoted(text)}")
        low, high = (parse_number(part.removesuffix("%"), "CUTS") for part in parts)
        if not low < high:
            raise UsageError(f"CUTS goes from black to white, the first below the second; got {quoted(text)}")
        if all(percents) and not (low >= 0 and high <= 100):
            raise UsageError(f"CUTS: percentiles are 0% to 100%; got {quoted(text)}")
    except UsageError as fault:
        fault.fix = fault.fix or f"Write CUTS={example}."
        raise
    return Cuts("percent" if all(percents) else "values", low + 0.0, high + 0.0)


def _check(read: Reader, options: PictureOptions, given: list[SodaParameter]) -> None:
    """Refuse what does not go together, whatever the survey."""
    if options.quality is not None and options.media_type != JPEG:
        read.refuse(
            f"QUALITY is for {JPEG}; {options.media_type} loses nothing", f"Add RESPONSEFORMAT={JPEG}."
        )
    if options.power is not None and options.stretch != "power":
        read.refuse("POWER is the exponent of STRETCH=power", "Add STRETCH=power, or leave POWER out.")
    if read.given("PIXSCALE") and (options.width or options.height):
        read.refuse(
            "PIXSCALE and WIDTH or HEIGHT each give the size of the picture",
            "Leave PIXSCALE, or the others, out.",
        )
    _check_kinds(read, options, given)


def _refuse_of_fits(read: Reader, media_type: str) -> None:
    """Refuse what has a meaning for FITS files alone."""
    for name in _OF_FITS:
        if read.given(name) and read.parameters.all(name)[0].strip(" ").lower() not in _plain(name):
            read.refuse(f"{name} is for FITS, and RESPONSEFORMAT is {media_type}", f"Leave {name} out.")


def _check_kinds(read: Reader, options: PictureOptions, given: list[SodaParameter]) -> None:
    """Refuse parameters of pictures of different kinds."""
    named = {concern: [p.name for p in given if p.concern == concern] for concern in _KINDS}
    colour = named["colour"] + named["lupton"] + named["stiff"]
    if named["grey"] and colour:
        read.refuse(
            f"{named['grey'][0]} is for pictures of one band, {colour[0]} for colour pictures of several",
            f"Leave {named['grey'][0]} or {colour[0]} out.",
        )
    for mine, other in (("lupton", "stiff"), ("stiff", "lupton")):
        if not named[mine]:
            continue
        if options.algorithm == other:
            read.refuse(
                f"{named[mine][0]} belongs to ALGORITHM={mine}; got ALGORITHM={other}",
                f"Write ALGORITHM={mine}, or leave {named[mine][0]} out.",
            )
    if named["lupton"] and named["stiff"] and not options.algorithm:
        read.refuse(
            f"{named['lupton'][0]} belongs to ALGORITHM=lupton, {named['stiff'][0]} to ALGORITHM=stiff",
            f"Leave {named['lupton'][0]} or {named['stiff'][0]} out.",
        )


_KINDS = ("grey", "colour", "lupton", "stiff")


def _plain(name: str) -> tuple[str, ...]:
    """Values of a parameter of FITS that ask for nothing special."""
    return ("false", "f", "0") if name == "CHECKSUM" else BY_NAME[name].options[:1]


def _number(read: Reader, name: str) -> float | None:
    row = BY_NAME[name]
    lowest = float("-inf") if row.lowest is None else row.lowest
    highest = float("inf") if row.highest is None else row.highest
    return read.one(name, lambda text: parse_within(text, name, lowest, highest, above=row.above))


def _whole(read: Reader, name: str) -> int | None:
    row = BY_NAME[name]
    return read.one(name, lambda text: parse_whole(text, name, int(row.lowest or 0), int(row.highest or 0)))


def _minimum(text: str) -> tuple[float, ...]:
    numbers = parse_list(text, "MINIMUM", lambda item: parse_within(item, "MINIMUM"), "0")
    if len(numbers) not in (1, 3):
        raise UsageError(
            f"MINIMUM is one number, or three, of red, green and blue; got {len(numbers)} ({quoted(text)})"
        )
    return numbers


def _draw(read: Reader) -> tuple[str, ...]:
    words = BY_NAME["DRAW"].options

    def marks(text: str) -> tuple[str, ...]:
        return parse_list(text, "DRAW", lambda word: parse_word(word, "DRAW", words), "scalebar,compass")

    asked = {word for several in read.union("DRAW", marks) for word in several}
    return tuple(word for word in words if word in asked)


def _recipe(text: str) -> str:
    name = _name(text, "RECIPE", "the name of a recipe of the survey, or auto")
    return "auto" if name.lower() == "auto" else name


def _name(text: str, parameter: str, meaning: str) -> str:
    name = text.strip(" ")
    if len(name) > MAX_NAME_LENGTH or not _NAME.fullmatch(name):
        raise UsageError(f"{parameter} is {meaning}; got {quoted(text)}")
    return name
