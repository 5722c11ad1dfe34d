"""The parameters of SODA: their table, and from what a client sent to a `CutoutRequest`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

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
from soda.spelling import with_url
from surveys.errors import UnknownDataset
from surveys.identifiers import Identifiers
from surveys.request import CutoutRequest, Interval
from surveys.sky.stencil import CenteredBox, Circle, Polygon, Range, Size, Stencil

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

    `many`: it may be repeated in sync. `product`: in async it may have several values, each of which gives
    results of its own. `extension`: no standard knows it, we declare it.
    """

    name: str
    description: str
    ucd: str = ""
    unit: str = ""
    datatype: Datatype = "char"
    arraysize: str = "*"
    xtype: str = ""
    many: bool = False
    product: bool = False
    extension: bool = False


#: UCD and unit as in section 4, that of ID as in its proposed erratum 1.
PARAMETERS = (
    SodaParameter(
        "ID", "Publisher DID of an image, a survey band or a survey", "meta.id;meta.dataset", product=True
    ),
    SodaParameter(
        "POS",
        "CIRCLE ra dec radius, RANGE ra1 ra2 dec1 dec2 or POLYGON ra1 dec1 ra2 dec2 ra3 dec3 …; ICRS degrees",
        "pos.outline;obs",
        product=True,
    ),
    SodaParameter(
        "CIRCLE",
        "ra dec radius, ICRS degrees",
        "pos.outline;obs",
        "deg",
        "double",
        "3",
        "circle",
        product=True,
    ),
    SodaParameter(
        "POLYGON",
        "ra dec of each vertex, ICRS degrees; either winding, the smaller side",
        "pos.outline;obs",
        "deg",
        "double",
        "*",
        "polygon",
        product=True,
    ),
    SodaParameter(
        "BAND",
        "Wavelengths in vacuum, lower upper",
        "em.wl;stat.interval",
        "m",
        "double",
        "2",
        "interval",
        product=True,
    ),
    SodaParameter(
        "TIME",
        "Times, lower upper, MJD (UTC)",
        "time.interval;obs.exposure",
        "d",
        "double",
        "2",
        "interval",
        product=True,
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
        product=True,
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


@dataclass(frozen=True, slots=True)
class Region:
    """A region as it was sent: the `number`-th value, from 1, of the parameter `name`."""

    name: str
    number: int
    stencil: Stencil


@dataclass(frozen=True, slots=True)
class ManyCutouts:
    """A valid request for all combinations of some values.

    Parameters
    ----------
    datasets
        What follows ``?`` in the identifiers; one at least.
    regions, bands_m, times_mjd
        In the order of the values; empty where none was sent, which is no restriction.
    common
        What all cutouts share: filters that do not multiply, and the product.
    media_type
        Of the results.
    run_id
        The client's RUNID, "" for none.
    """

    datasets: tuple[str, ...]
    regions: tuple[Region, ...]
    bands_m: tuple[Interval, ...]
    times_mjd: tuple[Interval, ...]
    common: CutoutRequest
    media_type: str
    run_id: str

    @property
    def count(self) -> int:
        """Number of combinations."""
        return math.prod(
            max(1, len(values)) for values in (self.datasets, self.regions, self.bands_m, self.times_mjd)
        )


def parse_request(parameters: Parameters, identifiers: Identifiers) -> SodaRequest:
    """Turn parameters into a request for one cutout.

    Raises
    ------
    UsageError
        With every fault found. Sync takes one value of each parameter but POL and FILTER
        (`MultiValuedParamNotSupported`), one spatial parameter, and none that it does not know.
    """
    many = _parse(parameters, identifiers, several=False)
    cutout = replace(
        many.common,
        dataset=many.datasets[0],
        stencil=many.regions[0].stencil if many.regions else None,
        band_m=next(iter(many.bands_m), None),
        time_mjd=next(iter(many.times_mjd), None),
    )
    return SodaRequest(with_url(cutout, identifiers), many.media_type, many.run_id)


def parse_many(parameters: Parameters, identifiers: Identifiers) -> ManyCutouts:
    """Turn parameters into a request for several cutouts.

    Raises
    ------
    UsageError
        With every fault found, in the words of `parse_request`.
    """
    return _parse(parameters, identifiers, several=True)


def _parse(parameters: Parameters, identifiers: Identifiers, *, several: bool) -> ManyCutouts:
    """Turn a client's text into values: the one place where that is done."""
    if not parameters:
        raise UsageError("no parameter was given", f"This resource takes {', '.join(NAMES)}.")
    read = _Reader(parameters, several)
    for fault in (*_unknown(parameters), *refuse_uploads(parameters)):
        read.faults.add(fault)
    if not read.given("ID"):
        read.faults.add(UsageError("ID is missing", f"This resource takes {', '.join(NAMES)}."))
    many = ManyCutouts(
        datasets=read.each("ID", lambda did: _dataset(did, identifiers)),
        regions=_regions(read),
        bands_m=read.each(
            "BAND", lambda text: Interval(*xtypes.parse_interval(text, "BAND", "wavelengths in metres"))
        ),
        times_mjd=read.each(
            "TIME", lambda text: Interval(*xtypes.parse_interval(text, "TIME", "MJD, days, UTC"))
        ),
        common=CutoutRequest(
            dataset="",
            pol=tuple(sorted(read.union("POL", _pol_state), key=POL_STATES.index)),
            filters=tuple(sorted(read.union("FILTER", _label))),
            mask=read.one("MASK", lambda text: parse_boolean(text, "MASK")) or False,
            checksum=read.one("CHECKSUM", lambda text: parse_boolean(text, "CHECKSUM")) or False,
        ),
        media_type=read.one("RESPONSEFORMAT", _media_type) or MEDIA_TYPES["fits"],
        run_id=read.one("RUNID", parse_run_id) or "",
    )
    read.one("MAXREC", parse_max_records)
    for name in _WITHOUT_EFFECT:
        read.one(name, str)
    read.faults.raise_any()
    return many


class _Reader:
    """Reads parameters one by one and gathers what is wrong with them.

    `several`: parameters read by `each` may be repeated.
    """

    def __init__(self, parameters: Parameters, several: bool) -> None:
        self.parameters = parameters
        self.several = several
        self.faults = Faults()

    def given(self, name: str) -> bool:
        return name in self.parameters.values

    def one(self, name: str, parse: Callable[[str], T]) -> T | None:
        """Value of a parameter that is taken once; None if absent or wrong."""
        if not self.given(name):
            return None
        return self.faults.attempt(lambda: parse(self.parameters.one(name) or ""))

    def each(self, name: str, parse: Callable[[str], T]) -> tuple[T, ...]:
        """Values of a parameter of which each is a question of its own, but for those that are wrong."""
        if not self.several:
            value = self.one(name, parse)
            return () if value is None else (value,)
        return tuple(self._right(name, parse))

    def union(self, name: str, parse: Callable[[str], T]) -> set[T]:
        """Values of a parameter that may be repeated; it is one filter, their union (section 3.3.6)."""
        return set(self._right(name, parse))

    def _right(self, name: str, parse: Callable[[str], T]) -> Iterator[T]:
        for text in self.parameters.all(name):
            try:
                yield parse(text)
            except UsageError as fault:
                self.faults.add(fault)


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


def _regions(read: _Reader) -> tuple[Region, ...]:
    given = [name for name in _SPATIAL if read.given(name)]
    if len(given) > 1 and not read.several:
        read.faults.add(
            UsageError(f"{' and '.join(given)} are each a region; only one is taken", "Send one of them.")
        )
    found: list[tuple[str, tuple[Stencil, ...]]] = [
        (name, read.each(name, _SHAPES[name])) for name in given if name != "CENTER"
    ]
    if read.given("CENTER") or read.given("SIZE"):
        found.append(("CENTER", _centered_boxes(read)))
    return tuple(
        Region(name, number, stencil)
        for name, stencils in found
        for number, stencil in enumerate(stencils, start=1)
    )


def _centered_boxes(read: _Reader) -> tuple[CenteredBox, ...]:
    centers = read.each("CENTER", lambda text: xtypes.parse_point(text, "CENTER"))
    size = read.one("SIZE", lambda text: Size(*xtypes.parse_size(text, "SIZE")))
    if read.given("CENTER") != read.given("SIZE"):
        read.faults.add(
            UsageError("CENTER and SIZE go together", "Write CENTER=ra dec and SIZE=30arcsec, or SIZE=256px.")
        )
    return tuple(CenteredBox(*center, size) for center in centers) if size else ()


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
