"""The parameters of SODA: their table, and from what a client sent to a `CutoutRequest`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar
from urllib.parse import quote_plus

from dali import xtypes
from dali.errors import Faults, NotFound, UsageError, quoted
from dali.parameters import (
    Parameters,
    parse_boolean,
    parse_max_records,
    parse_run_id,
    refuse_unknown,
    refuse_uploads,
)
from dali.votable import Datatype
from surveys.errors import UnknownDataset
from surveys.identifiers import Identifiers
from surveys.request import CutoutRequest, Interval
from surveys.stencil import CenteredBox, Circle, Polygon, Range, Size, Stencil

T = TypeVar("T")

#: ObsCore 1.1, section B.6.5, in its order.
POL_STATES = ("I", "Q", "U", "V", "RR", "LL", "RL", "LR", "XX", "YY", "XY", "YX", "POLI", "POLA")

#: RESPONSEFORMAT in lower case -> the media type of the answer.
MEDIA_TYPES = {"fits": "application/fits", "application/fits": "application/fits", "image/fits": "image/fits"}

MAX_LABEL_LENGTH = 64
MAX_ID_LENGTH = 500


@dataclass(frozen=True, slots=True)
class SodaParameter:
    """A row of the table: what a client is told of a parameter.

    `many`: it may be repeated in sync. `extension`: no standard knows it, we declare it.
    """

    name: str
    description: str
    ucd: str = ""
    unit: str = ""
    datatype: Datatype = "char"
    arraysize: str = "*"
    xtype: str = ""
    many: bool = False
    extension: bool = False


#: UCD and unit as in section 4, that of ID as in its proposed erratum 1.
PARAMETERS = (
    SodaParameter("ID", "Publisher DID of an image, a survey band or a survey", "meta.id;meta.dataset"),
    SodaParameter(
        "POS",
        "CIRCLE ra dec radius, RANGE ra1 ra2 dec1 dec2 or POLYGON ra1 dec1 ra2 dec2 ra3 dec3 …; ICRS degrees",
        "pos.outline;obs",
    ),
    SodaParameter("CIRCLE", "ra dec radius, ICRS degrees", "pos.outline;obs", "deg", "double", "3", "circle"),
    SodaParameter(
        "POLYGON",
        "ra dec of each vertex, ICRS degrees; either winding, the smaller side",
        "pos.outline;obs",
        "deg",
        "double",
        "*",
        "polygon",
    ),
    SodaParameter(
        "BAND", "Wavelengths in vacuum, lower upper", "em.wl;stat.interval", "m", "double", "2", "interval"
    ),
    SodaParameter(
        "TIME", "Times, lower upper, MJD (UTC)", "time.interval;obs.exposure", "d", "double", "2", "interval"
    ),
    SodaParameter(
        "POL", f"Polarization state: {', '.join(POL_STATES)}", "meta.code;phys.polarization", many=True
    ),
    SodaParameter("FILTER", "Label of a band of the survey", "instr.bandpass", many=True, extension=True),
    SodaParameter(
        "CENTER",
        "ra dec of the centre of a box of fixed size, ICRS degrees; with SIZE",
        "pos.eq",
        "deg",
        "double",
        "2",
        "point",
        extension=True,
    ),
    SodaParameter(
        "SIZE",
        "width [height] of the box and a unit: 30arcsec, 2', 0.1deg, 256px; with CENTER",
        "phys.angSize",
        extension=True,
    ),
    SodaParameter(
        "MASK", "true: blank pixels whose centres lie outside the region", "meta.code", extension=True
    ),
    SodaParameter("CHECKSUM", "true: write CHECKSUM and DATASUM", "meta.code", extension=True),
    SodaParameter("RESPONSEFORMAT", "application/fits or image/fits", "meta.code.mime"),
    SodaParameter("RUNID", "The client's own name for the request, written to the log", "meta.id"),
)

#: Of DALI 1.1, section 3.4; taken and without effect here, as are their values.
_WITHOUT_EFFECT = ("REQUEST", "VERSION")
NAMES = tuple(parameter.name for parameter in PARAMETERS)
_KNOWN = frozenset((*NAMES, *_WITHOUT_EFFECT, "MAXREC", "UPLOAD"))
_SPATIAL = ("POS", "CIRCLE", "POLYGON", "CENTER")


@dataclass(frozen=True, slots=True)
class SodaRequest:
    """A valid request: the cutout, the media type its answer is to have, the client's RUNID ("" for none)."""

    cutout: CutoutRequest
    media_type: str
    run_id: str


def parse_request(parameters: Parameters, identifiers: Identifiers) -> SodaRequest:
    """Turn parameters into a request; the one place where a client's text becomes values.

    Raises
    ------
    UsageError
        With every fault found. Sync takes one value of each parameter but POL and FILTER
        (`MultiValuedParamNotSupported`), one spatial parameter, and none that it does not know.
    """
    if not parameters:
        raise UsageError("no parameter was given", f"This resource takes {', '.join(NAMES)}.")
    read = _Reader(parameters)
    for fault in (*_unknown(parameters), *refuse_uploads(parameters)):
        read.faults.add(fault)
    dataset = read.required("ID", lambda did: _dataset(did, identifiers))
    stencil = _stencil(read)
    band = read.one(
        "BAND", lambda text: Interval(*xtypes.parse_interval(text, "BAND", "wavelengths in metres"))
    )
    time = read.one("TIME", lambda text: Interval(*xtypes.parse_interval(text, "TIME", "MJD, days, UTC")))
    cutout = CutoutRequest(
        dataset=dataset or "",
        stencil=stencil,
        band_m=band,
        time_mjd=time,
        pol=tuple(sorted(read.many("POL", _pol_state), key=POL_STATES.index)),
        filters=tuple(sorted(read.many("FILTER", _label))),
        mask=read.one("MASK", lambda text: parse_boolean(text, "MASK")) or False,
        checksum=read.one("CHECKSUM", lambda text: parse_boolean(text, "CHECKSUM")) or False,
    )
    media_type = read.one("RESPONSEFORMAT", _media_type) or MEDIA_TYPES["fits"]
    run_id = read.one("RUNID", parse_run_id) or ""
    read.one("MAXREC", parse_max_records)
    for name in _WITHOUT_EFFECT:
        read.one(name, str)
    read.faults.raise_any()
    return SodaRequest(replace(cutout, canonical=canonical_url(cutout, identifiers)), media_type, run_id)


def canonical_url(request: CutoutRequest, identifiers: Identifiers) -> str:
    """Spell `request` the one way: ``sync?ID=…&CIRCLE=…``, relative to the base of the service."""
    return f"sync?{canonical_query(request, identifiers)}"


def canonical_query(request: CutoutRequest, identifiers: Identifiers) -> str:
    """Spell the parameters of `request` the one way: ``ID=…&CIRCLE=…``.

    Notes
    -----
    ``POS=CIRCLE`` and ``CIRCLE`` are the same question (section 3.3.2), so they are spelled the same.
    """
    pairs = [("ID", identifiers.did(request.dataset)), *_spell_stencil(request.stencil)]
    for name, interval in (("BAND", request.band_m), ("TIME", request.time_mjd)):
        if interval is not None:
            pairs.append((name, xtypes.format_numbers(interval.lower, interval.upper)))
    pairs += [("POL", state) for state in request.pol]
    pairs += [("FILTER", label) for label in request.filters]
    pairs += [(name, "true") for name, on in (("MASK", request.mask), ("CHECKSUM", request.checksum)) if on]
    return "&".join(f"{name}={quote_plus(value, safe=':/?@,~')}" for name, value in pairs)


class _Reader:
    """Reads parameters one by one and gathers what is wrong with them."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.faults = Faults()

    def given(self, name: str) -> bool:
        return name in self.parameters.values

    def one(self, name: str, parse: Callable[[str], T]) -> T | None:
        """Value of a parameter that is taken once; None if absent or wrong."""
        if not self.given(name):
            return None
        return self.faults.attempt(lambda: parse(self.parameters.one(name) or ""))

    def required(self, name: str, parse: Callable[[str], T]) -> T | None:
        if not self.given(name):
            self.faults.add(UsageError(f"{name} is missing", f"This resource takes {', '.join(NAMES)}."))
        return self.one(name, parse)

    def many(self, name: str, parse: Callable[[str], T]) -> set[T]:
        """Values of a parameter that may be repeated; it is one filter, their union (section 3.3.6)."""
        values = set()
        for text in self.parameters.all(name):
            try:
                values.add(parse(text))
            except UsageError as fault:
                self.faults.add(fault)
        return values


def _unknown(parameters: Parameters) -> list[UsageError]:
    return [] if parameters.values.keys() <= _KNOWN else refuse_unknown(parameters, _KNOWN, NAMES)


def _dataset(did: str, identifiers: Identifiers) -> str:
    if len(did) > MAX_ID_LENGTH:
        raise NotFound(f"no dataset has the ID {quoted(did)}")
    try:
        return identifiers.parse(did)
    except UnknownDataset as fault:
        raise NotFound(
            str(fault), f"IDs here are {identifiers.did('survey/band/image')}, or shorter."
        ) from fault


def _stencil(read: _Reader) -> Stencil | None:
    given = [name for name in _SPATIAL if read.given(name)]
    if len(given) > 1:
        read.faults.add(
            UsageError(f"{' and '.join(given)} are each a region; only one is taken", "Send one of them.")
        )
    shapes: list[Stencil | None] = [read.one(name, _SHAPES[name]) for name in given if name != "CENTER"]
    return _centered_box(read) if read.given("CENTER") or read.given("SIZE") else next(iter(shapes), None)


def _centered_box(read: _Reader) -> CenteredBox | None:
    center = read.one("CENTER", lambda text: xtypes.parse_point(text, "CENTER"))
    size = read.one("SIZE", lambda text: Size(*xtypes.parse_size(text, "SIZE")))
    if read.given("CENTER") != read.given("SIZE"):
        read.faults.add(
            UsageError("CENTER and SIZE go together", "Write CENTER=ra dec and SIZE=30arcsec, or SIZE=256px.")
        )
    return CenteredBox(*center, size) if center and size else None


def _circle(text: str, name: str = "CIRCLE") -> Circle:
    return Circle(*xtypes.parse_circle(text, name))


def _polygon(text: str, name: str = "POLYGON") -> Polygon:
    try:
        return Polygon.of(xtypes.parse_polygon(text, name))
    except ValueError as fault:
        raise UsageError(f"{name} {quoted(text)} bounds no area: it has {fault}") from fault


def _pos(text: str) -> Stencil:
    shape, rest = xtypes.parse_shape(text, "POS")
    match shape:
        case "CIRCLE":
            return _circle(rest, "POS CIRCLE")
        case "POLYGON":
            return _polygon(rest, "POS POLYGON")
        case _:
            return Range(*xtypes.parse_range(rest, "POS RANGE"))


_SHAPES: dict[str, Callable[[str], Stencil]] = {"POS": _pos, "CIRCLE": _circle, "POLYGON": _polygon}


def _pol_state(text: str) -> str:
    state = text.strip(" ")
    if state not in POL_STATES:
        raise UsageError(
            f"POL is one of {', '.join(POL_STATES)}; got {quoted(text)}", "Repeat POL for several."
        )
    return state


def _label(text: str) -> str:
    label = text.strip(" ")
    if len(label) > MAX_LABEL_LENGTH or not label.isprintable():
        raise UsageError(f"FILTER is the label of a band of the survey; got {quoted(text)}")
    return label


def _media_type(text: str) -> str:
    # DALI 1.1, section 3.4.3: parameters of a media type (";…") are tolerated.
    media_type = MEDIA_TYPES.get(text.partition(";")[0].strip(" ").lower())
    if media_type is None:
        raise UsageError(f"RESPONSEFORMAT is {' or '.join(MEDIA_TYPES)}; got {quoted(text)}")
    return media_type


def _spell_stencil(stencil: Stencil | None) -> list[tuple[str, str]]:
    match stencil:
        case None:
            return []
        case Circle():
            return [("CIRCLE", xtypes.format_numbers(stencil.ra_deg, stencil.dec_deg, stencil.radius_deg))]
        case Polygon():
            return [
                ("POLYGON", xtypes.format_numbers(*(v for vertex in stencil.vertices_deg for v in vertex)))
            ]
        case Range():
            # Above 360 the range goes through 0. Both subtraction here and addition in parsing are exact.
            ra_max = stencil.ra_max_deg - 360.0 if stencil.ra_max_deg > 360.0 else stencil.ra_max_deg
            limits = (stencil.ra_min_deg, ra_max, stencil.dec_min_deg, stencil.dec_max_deg)
            return [("POS", f"RANGE {xtypes.format_numbers(*limits)}")]
        case CenteredBox():
            center = xtypes.format_numbers(stencil.ra_deg, stencil.dec_deg)
            return [("CENTER", center), ("SIZE", _spell_size(stencil.size))]


def _spell_size(size: Size) -> str:
    sides = (size.width,) if size.width == size.height else (size.width, size.height)
    return xtypes.format_numbers(*sides) + ("px" if size.in_pixels else "deg")
