"""``/cutout``: the words people are used to from other services, put into those of SODA.

One URL, one picture: ``ra, dec, size, width, height, pixscale, survey`` (or ``layer``), ``bands, format``.
Each such request is one of `/sync`, and is answered as that is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from dali.caller import ANONYMOUS, Caller
from dali.coordinates import parse_declination, parse_position, parse_right_ascension
from dali.errors import NotFound, ProtocolError, UsageError, quoted
from dali.parameters import Parameters, refuse_unknown, refuse_uploads
from dali.words import parse_list
from dali.xtypes import Point, format_numbers, parse_size
from soda.engine import PUBLIC_ALONE, Rights
from soda.reader import Reader
from soda.refusals import refusal
from soda.table import PARAMETERS
from surveys.errors import AccessDenied, UnknownDataset
from surveys.fits.naming import centre_deg
from surveys.identifiers import Identifiers
from surveys.planner import check_access
from surveys.request import CutoutRequest
from surveys.survey import Survey

DEFAULT_SIZE = "256px"
DEFAULT_FORMAT = "png"

OWN = ("RA", "DEC", "POS", "SIZE", "WIDTH", "HEIGHT", "PIXSCALE", "SURVEY", "BANDS", "FORMAT")
#: Words of one meaning; each is taken once.
ALIASES = {"LAYER": "SURVEY", "BAND": "BANDS", "RESPONSEFORMAT": "FORMAT"}
#: Parameters of SODA that are said otherwise here.
_OTHERWISE = ("ID", "POS", "CIRCLE", "POLYGON", "CENTER", "FILTER", "BAND", "RESPONSEFORMAT")
_SAME = tuple(p.name for p in PARAMETERS if p.name not in (*OWN, *_OTHERWISE))
NAMES = (*OWN, "LAYER", *_SAME)
_KNOWN = frozenset((*NAMES, *ALIASES, "REQUEST", "VERSION"))

#: Parameters of SODA, as they are called here.
_CALLED = {"FILTER": "BANDS", "RESPONSEFORMAT": "FORMAT"}
_TO_CALL = re.compile(rf"\b({'|'.join(_CALLED)})\b")
_BARE_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


class Habits:
    """Puts the words of ``/cutout`` into those of SODA.

    Parameters
    ----------
    surveys
        Those that are declared.
    identifiers
        Publisher DIDs of this service.
    rights
        Knows what people may read.
    """

    def __init__(
        self, surveys: Sequence[Survey], identifiers: Identifiers, rights: Rights = PUBLIC_ALONE
    ) -> None:
        self._surveys = {survey.name.lower(): survey for survey in surveys}
        self._identifiers = identifiers
        self._rights = rights

    def translate(self, parameters: Parameters, caller: Caller = ANONYMOUS) -> Parameters:
        """Put a request into the parameters of SODA.

        Raises
        ------
        UsageError
            With every fault found; what can be read in two ways is one.
        NotFound, AuthorizationError
            If there is no such survey, or not for this caller.
        """
        if not parameters:
            raise UsageError("no parameter was given", self._how())
        read = Reader(_with_one_name_each(parameters), several=False)
        for fault in (*refuse_unknown(parameters, _KNOWN, NAMES), *refuse_uploads(parameters)):
            read.faults.add(fault)
        if not read.given("SURVEY"):
            read.refuse("SURVEY is missing: it names what is cut", self._known())
        position, dataset = _position(read), read.one("SURVEY", self._dataset)
        if dataset is not None:
            self._check(dataset, caller)  # before anything is told of its bands
        pixscale = read.one("PIXSCALE", _pixscale)
        said: dict[str, tuple[str, ...]] = {
            "SIZE": (_size(read),),
            "FILTER": () if dataset is None else self._labels(read, dataset),
            "RESPONSEFORMAT": (read.one("FORMAT", str) or DEFAULT_FORMAT,),
            "PIXSCALE": (pixscale,) if pixscale else (),
            "GRID": ("tan",) if pixscale else (),
        }
        read.faults.raise_any()
        if dataset is not None and position is not None:  # else there was a fault
            self._expect_images(dataset, position)
            said |= {"ID": (self._identifiers.did(dataset),), "CENTER": (format_numbers(*position),)}
        said |= {name: read.parameters.all(name) for name in _SAME if read.given(name)}
        return Parameters({name: values for name, values in said.items() if values})

    def _dataset(self, text: str) -> str:
        """Read what is cut: a survey by its name, or what any ID names."""
        name = text.strip(" ")
        if name.lower().startswith("ivo:"):
            try:
                return self._identifiers.parse(name)
            except UnknownDataset as fault:
                raise NotFound(str(fault), self._known()) from fault
        if name.partition("/")[0].lower() not in self._surveys:
            raise NotFound(f"there is no survey {quoted(name)}", self._known())
        return name

    def _check(self, dataset: str, caller: Caller) -> None:
        survey = self._surveys.get(dataset.partition("/")[0].lower())
        if survey is None:
            return
        try:
            check_access(dataset, survey, self._rights.reader(caller))
        except AccessDenied as fault:
            raise refusal(fault, self._identifiers) from fault

    def _expect_images(self, dataset: str, position: Point) -> None:
        """Lead whoever wants alerts at a place to those that there are."""
        survey = self._surveys.get(dataset.partition("/")[0].lower())
        if survey is not None and survey.lake is not None:
            where, stamp = format_numbers(*position), self._identifiers.did(f"{survey.name}/alert/")
            raise UsageError(
                f"{survey.name} is a survey of alerts, which have stamps, and are not cut at a place",
                f"Alerts there: /query?POS=CIRCLE {where} 0.01. A stamp: /sync?ID={stamp}<number>/Science.",
            )

    def _labels(self, read: Reader, dataset: str) -> tuple[str, ...]:
        survey = self._surveys.get(dataset.partition("/")[0].lower())
        return () if survey is None else read.one("BANDS", lambda text: parse_bands(text, survey)) or ()

    def _known(self) -> str:
        names = ", ".join(survey.name for survey in self._surveys.values() if _is_offered(survey))
        return f"Surveys here: {names}." if names else ""

    def _how(self) -> str:
        name = next((survey.name for survey in self._surveys.values() if _is_offered(survey)), "demo")
        return f"Write /cutout?ra=150.1&dec=2.2&survey={name}&size=60arcsec. It takes {', '.join(NAMES)}."


def _is_offered(survey: Survey) -> bool:
    return survey.is_public and survey.lake is None


def outside(cutout: CutoutRequest) -> NotFound:
    """Tell that there is nothing at a place; a browser would show nothing of an answer without content."""
    where = "" if cutout.stencil is None else format_numbers(*centre_deg(cutout.stencil))
    return NotFound(
        f"{cutout.dataset} has no data at RA, Dec {where} (ICRS degrees) that this asks for",
        f"What there is: /query?POS=CIRCLE {where} 0.01",
    )


@contextmanager
def in_habit_words() -> Iterator[None]:
    """Call parameters in errors as they are called here; commands stay as they are."""
    try:
        yield
    except ProtocolError as error:
        for fault in (error, *error.also):
            fault.sentence, fault.fix = _called(fault.sentence), _called(fault.fix)
        raise


def _called(text: str) -> str:
    lines = (
        line if "curl " in line else _TO_CALL.sub(lambda found: _CALLED[found[0]], line)
        for line in text.split("\n")
    )
    return "\n".join(lines)


def _with_one_name_each(parameters: Parameters) -> Parameters:
    """Call words of one meaning by one name; where both are there, it is a word said twice."""
    gathered: dict[str, tuple[str, ...]] = {}
    for name, values in parameters.values.items():
        known = ALIASES.get(name, name)
        gathered[known] = gathered.get(known, ()) + values
    return Parameters(gathered, parameters.uploads)


def _position(read: Reader) -> Point | None:
    if read.given("POS"):
        if read.given("RA") or read.given("DEC"):
            read.refuse("POS and RA with DEC each are a position; one is taken", "Send one of them.")
        return read.one("POS", lambda text: parse_position(text, "POS"))
    ra = read.one("RA", lambda text: parse_right_ascension(text, "RA"))
    dec = read.one("DEC", lambda text: parse_declination(text, "DEC"))
    if missing := [name for name in ("RA", "DEC") if not read.given(name)]:
        read.refuse(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing", _POSITIONS)
    return None if ra is None or dec is None else (ra, dec)


_POSITIONS = "Write ra=150.1&dec=2.2 (degrees), or ra=10:00:24&dec=02:12:00 (hours and degrees)."


def _size(read: Reader) -> str:
    """Size of the box in the spelling of SODA, `DEFAULT_SIZE` where nothing is said of it."""
    sides = [name for name in ("WIDTH", "HEIGHT") if read.given(name)]
    if not sides:
        size = read.one("SIZE", lambda text: _sides(parse_size(text, "SIZE")))
        return size or DEFAULT_SIZE
    if read.given("SIZE"):
        read.refuse(f"SIZE and {' and '.join(sides)} each are a size; one is taken", "Send one of them.")
    if len(sides) == 1:
        read.refuse(f"{sides[0]} is one side of two", "Add the other one, or write SIZE for a square.")
    width, height = (read.one(name, side_of(name)) for name in ("WIDTH", "HEIGHT"))
    if width is None or height is None:
        return DEFAULT_SIZE
    if width[1] != height[1]:
        read.refuse("WIDTH and HEIGHT are both pixels, or both angles", "Write the same unit for both.")
    return _sides((width[0], height[0], width[1]))


def side_of(name: str) -> Callable[[str], tuple[float, bool]]:
    """Make what reads one side of a box: its length, and whether that is in pixels, else in degrees."""

    def side(text: str) -> tuple[float, bool]:
        width, height, in_pixels = parse_size(text, name)
        if width != height:
            raise UsageError(f"{name} is one number; got {quoted(text)}", f"Write {name}=30arcsec.")
        return width, in_pixels

    return side


def _sides(size: tuple[float, float, bool]) -> str:
    width, height, in_pixels = size
    return format_numbers(width, height) + ("px" if in_pixels else "deg")


def _pixscale(text: str) -> str:
    """Read a pixel scale in the spelling of SODA; a number alone is arcseconds, as it is everywhere."""
    return f"{text.strip(' ')}arcsec" if _BARE_NUMBER.fullmatch(text.strip(" ")) else text


def parse_bands(text: str, survey: Survey) -> tuple[str, ...]:
    """Read labels of bands: ``g,r,z``, ``g r z``, or ``grz`` where every letter is a band."""
    known = [band.label for band in survey.bands]
    words = parse_list(text, "BANDS", str, "g,r,z")
    if len(words) == 1 and len(word := words[0]) > 1 and all(letter in known for letter in word):
        if word in known:
            raise UsageError(
                f"BANDS {quoted(text)} can be read in two ways: as the band {word}, or as {','.join(word)}",
                f"Write bands={','.join(word)} for these, or survey={survey.name}/{word} for the one.",
            )
        words = tuple(word)
    if unknown := [word for word in words if word not in known]:
        sentence = f"BANDS: there is no band {quoted(unknown[0])}; there are {', '.join(known)}"
        raise NotFound(sentence, status=400)
    return tuple(dict.fromkeys(words))
