"""The parameters of ``{query}`` (section 2.1): their table, and from what a client sent to a `SiaQuery`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from dali import tables, votable, xtypes
from dali.errors import Faults, UsageError, quoted
from dali.parameters import Parameters, parse_max_records, parse_run_id, refuse_unknown, refuse_uploads
from dali.votable import Datatype
from surveys.errors import UnknownDataset
from surveys.identifiers import Identifiers
from surveys.index.obscore import ObsConstraints
from surveys.request import Interval
from surveys.sky.stencil import Circle, Polygon, Range, Shape

T = TypeVar("T")

#: ObsCore 1.1, section B.6.5, in its order.
POL_STATES = ("I", "Q", "U", "V", "RR", "LL", "RL", "LR", "XX", "YY", "XY", "YX", "POLI", "POLA")
CALIB_LEVELS = range(5)
MAX_TEXT_LENGTH = 500

Form = Literal["votable", "csv", "json"]
#: RESPONSEFORMAT without its parameters, in lower case -> how the answer is written, and its media type.
FORMS: dict[str, tuple[Form, str]] = {
    "votable": ("votable", votable.MEDIA_TYPE),
    votable.MEDIA_TYPE: ("votable", votable.MEDIA_TYPE),
    "text/xml": ("votable", "text/xml"),
    "csv": ("csv", tables.CSV),
    tables.CSV: ("csv", tables.CSV),
    "json": ("json", tables.JSON),
    tables.JSON: ("json", tables.JSON),
}


@dataclass(frozen=True, slots=True)
class SiaParameter:
    """A row of the table: what a client is told of a parameter."""

    name: str
    description: str
    ucd: str = ""
    unit: str = ""
    datatype: Datatype = "char"
    arraysize: str | None = None
    xtype: str = ""


def _range(name: str, description: str, ucd: str, unit: str) -> SiaParameter:
    return SiaParameter(name, description, ucd, unit, "double", "2", "interval")


PARAMETERS = (
    SiaParameter(
        "POS",
        "CIRCLE ra dec radius, RANGE ra1 ra2 dec1 dec2 or POLYGON ra1 dec1 ra2 dec2 ra3 dec3 …; ICRS degrees",
        "pos.outline;obs",
    ),
    _range("BAND", "Wavelengths in vacuum, lower upper", "em.wl;stat.interval", "m"),
    _range("TIME", "Times, lower upper, MJD (UTC)", "time.interval;obs.exposure", "d"),
    SiaParameter("POL", "Polarization state", "meta.code;phys.polarization"),
    _range("FOV", "Field of view, lower upper", "phys.angSize;instr.fov", "deg"),
    _range("SPATRES", "Spatial resolution, lower upper", "pos.angResolution", "arcsec"),
    _range("SPECRP", "Spectral resolving power, lower upper", "spect.resolution", ""),
    _range("EXPTIME", "Exposure time, lower upper", "time.duration;obs.exposure", "s"),
    _range("TIMERES", "Time resolution, lower upper", "time.resolution", "s"),
    SiaParameter("ID", "Publisher DID of an image, a survey band or an alert", "meta.ref.ivoid"),
    SiaParameter("COLLECTION", "Data collection", "meta.id"),
    SiaParameter("FACILITY", "Telescope or observatory", "meta.id;instr.tel"),
    SiaParameter("INSTRUMENT", "Instrument", "meta.id;instr"),
    SiaParameter("DPTYPE", "image or cube", "meta.code.class"),
    SiaParameter("CALIB", "Calibration level, 0 to 4", "meta.code;obs.calib", datatype="int"),
    SiaParameter("TARGET", "Name of the target: of alerts, their object", "meta.id;src"),
    SiaParameter("FORMAT", "Media type of what access_url gives", "meta.code.mime"),
    SiaParameter("MAXREC", "So many rows at most", "meta.number", datatype="int"),
    SiaParameter("RESPONSEFORMAT", "Media type of the answer", "meta.code.mime"),
)

#: Of DALI 1.1, section 3.4; taken and without effect here, as are their values.
_WITHOUT_EFFECT = ("REQUEST", "VERSION")
NAMES = (*(parameter.name for parameter in PARAMETERS), "RUNID")
_KNOWN = frozenset((*NAMES, *_WITHOUT_EFFECT, "UPLOAD"))
#: On columns that are null in every row here: a value of these is satisfied by none (section 2.1).
_NEVER_KNOWN = ("SPATRES", "SPECRP", "TIMERES")


@dataclass(frozen=True, slots=True)
class SiaQuery:
    """A valid query.

    Parameters
    ----------
    constraints
        What the index is asked for.
    positions
        Each POS as the client wrote it, for `constraints.shapes`.
    collections, facilities, instruments
        Any one of these, exactly; empty for all.
    formats
        Media types of what `access_url` gives, in lower case and without spaces; empty for all.
    finds_nothing
        It restricts what no dataset here knows.
    max_records
        MAXREC; None where it is not given.
    form, media_type
        How the answer is written, and what it is called.
    """

    constraints: ObsConstraints
    positions: tuple[str, ...]
    collections: tuple[str, ...]
    facilities: tuple[str, ...]
    instruments: tuple[str, ...]
    formats: tuple[str, ...]
    finds_nothing: bool
    max_records: int | None
    form: Form
    media_type: str
    run_id: str


def errors_type(parameters: Parameters) -> str | None:
    """Media type of VOTable that errors are to have; None where the answer was to be text (section 3.2)."""
    asked = parameters.all("RESPONSEFORMAT")
    form, media_type = FORMS.get(_bare(asked[0]), FORMS["votable"]) if len(asked) == 1 else FORMS["votable"]
    return media_type if form == "votable" else None


def parse_query(parameters: Parameters, identifiers: Identifiers) -> SiaQuery:
    """Turn parameters into a query; the one place where a client's text becomes values.

    Raises
    ------
    UsageError
        With every fault found.
    """
    read = _Reader(parameters)
    for fault in (*refuse_unknown(parameters, _KNOWN, NAMES), *refuse_uploads(parameters)):
        read.faults.add(fault)
    constraints = ObsConstraints(
        shapes=read.many("POS", _shape),
        em_m=read.intervals("BAND", "wavelengths in metres"),
        t_mjd=read.intervals("TIME", "MJD, days, UTC"),
        s_fov_deg=read.intervals("FOV", "degrees"),
        t_exptime_s=read.intervals("EXPTIME", "seconds"),
        pol=read.many("POL", _pol_state),
        calib_levels=read.many("CALIB", _calib_level),
        product_types=read.texts("DPTYPE"),
        datasets=read.many("ID", lambda did: _dataset(did, identifiers)),
        targets=read.texts("TARGET"),
    )
    read.intervals("SPATRES", "arcseconds")
    read.intervals("SPECRP", "λ/δλ")
    read.intervals("TIMERES", "seconds")
    for name in _WITHOUT_EFFECT:
        read.one(name, str)
    form, media_type = read.one("RESPONSEFORMAT", _form) or FORMS["votable"]
    query = SiaQuery(
        constraints=constraints,
        positions=parameters.all("POS"),
        collections=read.texts("COLLECTION"),
        facilities=read.texts("FACILITY"),
        instruments=read.texts("INSTRUMENT"),
        formats=tuple(text.replace(" ", "").lower() for text in read.texts("FORMAT")),
        finds_nothing=any(parameters.all(name) for name in _NEVER_KNOWN),
        max_records=read.one("MAXREC", parse_max_records),
        form=form,
        media_type=media_type,
        run_id=read.one("RUNID", parse_run_id) or "",
    )
    read.faults.raise_any()
    return query


class _Reader:
    """Reads parameters one by one and gathers what is wrong with them."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.faults = Faults()

    def one(self, name: str, parse: Callable[[str], T]) -> T | None:
        """Value of a parameter that is taken once; None if absent or wrong."""
        if not self.parameters.all(name):
            return None
        return self.faults.attempt(lambda: parse(self.parameters.one(name) or ""))

    def many(self, name: str, parse: Callable[[str], T]) -> tuple[T, ...]:
        """Different values of a parameter that may be repeated (section 2.1), without the wrong ones."""
        values: dict[T, None] = {}
        for text in self.parameters.all(name):
            try:
                values[parse(text)] = None
            except UsageError as fault:
                self.faults.add(fault)
        return tuple(values)

    def intervals(self, name: str, meaning: str) -> tuple[Interval, ...]:
        return self.many(name, lambda text: Interval(*xtypes.parse_interval(text, name, meaning)))

    def texts(self, name: str) -> tuple[str, ...]:
        return self.many(name, lambda text: _text(text, name))


def _shape(text: str) -> Shape:
    word, rest = xtypes.parse_shape(text, "POS")
    match word:
        case "CIRCLE":
            # Clients write a point as a circle of radius 0.
            return Circle(*xtypes.parse_circle(rest, "POS CIRCLE", point=True))
        case "RANGE":
            return Range(*xtypes.parse_range(rest, "POS RANGE"))
        case _:
            vertices = xtypes.parse_polygon(rest, "POS POLYGON")
            try:
                return Polygon.of(vertices)
            except ValueError as fault:
                raise UsageError(f"POS POLYGON bounds no area: it has {fault}; got {quoted(rest)}") from fault


def _pol_state(text: str) -> str:
    state = text.strip(" ")
    if state not in POL_STATES:
        raise UsageError(f"POL is one of {', '.join(POL_STATES)}; got {quoted(text)}")
    return state


def _calib_level(text: str) -> int:
    digit = text.strip(" ")
    if digit not in map(str, CALIB_LEVELS):
        raise UsageError(f"CALIB is a whole number, 0 to {CALIB_LEVELS[-1]}; got {quoted(text)}")
    return int(digit)


def _dataset(did: str, identifiers: Identifiers) -> str:
    """Find the dataset of a publisher DID, in lower case; "", which is that of none, for a foreign one."""
    try:
        return identifiers.parse(_text(did, "ID")).lower()
    except UnknownDataset:
        return ""


def _text(text: str, name: str) -> str:
    if len(text) > MAX_TEXT_LENGTH or not text.isprintable():
        raise UsageError(
            f"{name} is a text on one line of at most {MAX_TEXT_LENGTH} characters; got {quoted(text)}"
        )
    return text


def _form(text: str) -> tuple[Form, str]:
    form = FORMS.get(_bare(text))
    if form is None:
        raise UsageError(f"RESPONSEFORMAT is {', '.join(FORMS)}; got {quoted(text)}")
    return form


def _bare(media_type: str) -> str:
    # DALI 1.1, section 3.4.3: parameters of a media type (";…") are tolerated.
    return media_type.partition(";")[0].strip(" ").lower()
