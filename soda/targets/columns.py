"""Which column is what: by the client's word, else by UCD, else by name, else by position.

Places are looked for first. A table that names alerts, or objects of which there are some, needs no place:
that of a job whose surveys are all of alerts, and that of rows that say themselves what they are of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dali.errors import quoted
from soda.targets.mapping import MAX_USED, POSITION, SETTINGS, STAMPED, ColumnMapping
from soda.targets.source import Field
from soda.targets.table import Subject, UploadRefused

#: Names of right ascension and of declination that go together, the likelier first.
PAIRS = (
    (("ra",), ("dec", "de", "decl", "declination")),
    (
        ("ra_deg", "radeg", "ra_d", "radegrees"),
        ("dec_deg", "decdeg", "dedeg", "de_deg", "dec_d", "decdegrees"),
    ),
    (("s_ra",), ("s_dec",)),
    (
        ("ra_icrs", "_ra_icrs", "_ra.icrs", "raicrs"),
        ("dec_icrs", "de_icrs", "_de_icrs", "_de.icrs", "deicrs"),
    ),
    (
        ("raj2000", "_raj2000", "ra_j2000", "ra2000"),
        ("dej2000", "_dej2000", "dec_j2000", "decj2000", "dec2000"),
    ),
    (("_ra",), ("_de", "_dec")),
    (("right_ascension", "rightascension"), ("declination", "dec")),
    (("alphawin_j2000",), ("deltawin_j2000",)),
    (("alpha_j2000", "alphaj2000"), ("delta_j2000", "deltaj2000")),
    (("alphapeak_j2000",), ("deltapeak_j2000",)),
    (("alpha",), ("delta",)),
    (("ramean", "meanra", "ra_mean"), ("decmean", "meandec", "dec_mean")),
    (("coord_ra",), ("coord_dec",)),
    (("target_ra",), ("target_dec",)),
    (("ar", "ascensao_reta", "ascensão_reta"), ("dec", "declinacao", "declinação")),
    (("ra_1",), ("dec_1",)),  # of the first table, where two were joined
)
#: Names that stand in for `id`, the likelier first.
IDS = (
    "name",
    "nome",
    "target",
    "target_name",
    "object",
    "object_name",
    "source_id",
    "objid",
    "object_id",
    "objectid",
    "diaobjectid",
    "coadd_object_id",
    "main_id",
    "name_1",
    "id_1",
)
#: Names of what identifies an object that has alerts, and an alert itself, as surveys and brokers have them.
OBJECTS = (
    "objectid",
    "object_id",
    "diaobjectid",
    "dia_object_id",
    "oid",
    "object",
    "object_name",
    "ztf_id",
    "ztf_name",
)
ALERTS = (
    "candid",
    "diasourceid",
    "dia_source_id",
    "alert",
    "alert_id",
    "alertid",
    "candidate_id",
    "candidate",
)
#: Settings that are looked for where rows may be of alerts; boxes are not, where they all are.
_BOXES = ("size", "width", "height", "radius", "xsize", "ysize")
_GALACTIC = "galactic"


@dataclass(frozen=True, slots=True)
class Choice:
    """A column that was chosen: its place in the file, and what showed it."""

    index: int
    how: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """Columns that are used, by our name; `frame` is that of the position, "" for ICRS."""

    columns: dict[str, Choice]
    frame: str


def choose(
    fields: Sequence[Field], has_names: bool, mapping: ColumnMapping, subject: Subject = "places"
) -> Chosen:
    """Find the columns of positions, names and settings.

    Parameters
    ----------
    subject
        What the job's surveys are of.

    Raises
    ------
    UploadRefused
        If there is neither a position nor what does without one, or there are two that are as good.
    """
    chosen = _mapped(fields, mapping)
    names_datasets = bool({"survey", "obs_publisher_did"} & {name for name, _ in _settings(fields)})
    if subject == "alerts" and names_datasets:
        subject = "both"
    if subject != "places" or names_datasets:
        chosen |= _of_alerts(fields, has_names, mapping, chosen)
    if subject == "alerts":
        chosen = {name: one for name, one in chosen.items() if name not in POSITION}
        if not chosen.keys() & {*STAMPED}:
            chosen["object"] = _identifier(fields, has_names)
    is_optional = subject == "alerts" or names_datasets or bool(chosen.keys() & {*STAMPED})
    frame = ""
    if subject != "alerts" and "ra" not in chosen:
        try:
            position, frame = _place(fields, has_names)
            chosen |= position
        except _NoPosition:
            if not is_optional:
                raise
    frames = {fields[chosen[name].index].frame for name in POSITION if name in chosen} or {""}
    if len(frames) > 1:
        names = " and ".join(quoted(fields[chosen[name].index].name) for name in POSITION)
        raise UploadRefused(f"the columns {names} are of two systems of coordinates", _told("ra"))
    frame = frame or frames.pop()
    if has_names:
        taken = {choice.index for choice in chosen.values()}
        for name, choice in (*_id(fields), *_settings(fields)):
            if subject == "alerts" and name in _BOXES:
                continue
            if name not in chosen and name not in mapping.names and choice.index not in taken:
                chosen[name] = choice
    if len(chosen) > MAX_USED:
        raise UploadRefused(
            f"{len(chosen)} columns are positions, names or settings; at most {MAX_USED} are used"
        )
    return Chosen(chosen, frame)


def names_a_position(fields: Sequence[Field]) -> bool:
    """Whether names of columns are those of a position."""
    return _by_name(fields) is not None


def _mapped(fields: Sequence[Field], mapping: ColumnMapping) -> dict[str, Choice]:
    """Columns the client names: as they are written, else in any case."""
    chosen = {}
    for ours, theirs in mapping.names.items():
        if not theirs:
            continue
        found = [index for index, field in enumerate(fields) if field.name == theirs]
        found = found or [index for index, field in enumerate(fields) if field.name.lower() == theirs.lower()]
        if not found:
            raise UploadRefused(f"COLUMNS: there is no column {quoted(theirs)}", _have(fields))
        if len(found) > 1:
            raise UploadRefused(
                f"COLUMNS: {len(found)} columns are called {quoted(theirs)}", "Rename one of them."
            )
        chosen[ours] = Choice(found[0], "mapping")
    return chosen


class _NoPosition(UploadRefused):
    """There are no columns of a position."""


def _of_alerts(
    fields: Sequence[Field], has_names: bool, mapping: ColumnMapping, chosen: Mapping[str, Choice]
) -> dict[str, Choice]:
    """Find what names alerts and objects, and the kind of stamp, by name."""
    found = {}
    taken = {choice.index for choice in chosen.values()}
    left = [index for index in range(len(fields)) if index not in taken] if has_names else []
    for ours, names in (("object", OBJECTS), ("alert", ALERTS), ("kind", ("kind", "stamp"))):
        if ours in chosen or ours in mapping.names:
            continue
        if columns := _first(fields, left, names):
            found[ours] = Choice(_only(fields, columns, ours), "name")
    return found


def _identifier(fields: Sequence[Field], has_names: bool) -> Choice:
    """Find what names objects in a table that names nothing else: by UCD, as ``id``, or the only column."""
    if not has_names and len(fields) == 1:
        return Choice(0, "position")
    if has_names:
        for name, choice in _id(fields):
            if name == "id":
                return choice
        if by_ucd := [
            i for i, field in enumerate(fields) if field.ucd.lower().partition(";")[0] == "meta.id"
        ]:
            return Choice(_only(fields, by_ucd, "object"), "ucd")
    raise UploadRefused(
        f"no column names objects or alerts; {_have(fields)}",
        "Call it objectId or candid, or write COLUMNS=object:name or COLUMNS=alert:number.",
    )


def _place(fields: Sequence[Field], has_names: bool) -> tuple[dict[str, Choice], str]:
    """Columns of the position; the first two where the file names none."""
    if has_names:
        return _position(fields, has_names)
    if len(fields) < 2:
        raise _no_position(fields, has_names)
    return {"ra": Choice(0, "position"), "dec": Choice(1, "position")}, ""


def _position(fields: Sequence[Field], has_names: bool) -> tuple[dict[str, Choice], str]:
    """Columns of the position, and their system where the columns themselves do not say it."""
    ra, dec = (_by_ucd(fields, f"pos.eq.{axis}") for axis in POSITION)
    how = "ucd"
    if not (ra and dec):
        by_name = _by_name(fields)
        if by_name is None:
            lon, lat = (_by_ucd(fields, f"pos.galactic.{axis}") for axis in ("lon", "lat"))
            if lon and lat:
                one = [_only(fields, found, name) for found, name in ((lon, "l"), (lat, "b"))]
                return {"ra": Choice(one[0], "ucd"), "dec": Choice(one[1], "ucd")}, _GALACTIC
            raise _no_position(fields, has_names)
        ra, dec, how = *by_name, "name"
    return {
        name: Choice(_only(fields, found, name), how) for name, found in zip(POSITION, (ra, dec), strict=True)
    }, ""


def _only(fields: Sequence[Field], found: Sequence[int], name: str) -> int:
    if len(found) > 1:
        names = " and ".join(quoted(fields[index].name) for index in found[:2])
        raise UploadRefused(f"two columns may be {name}: {names}, each as likely as the other", _told(name))
    return found[0]


def _told(name: str) -> str:
    wanted = "ra:…,dec:…" if name in (*POSITION, "l", "b") else f"{name}:…"
    return f"Say which with COLUMNS={wanted}."


def _by_ucd(fields: Sequence[Field], ucd: str) -> list[int]:
    """Columns of the best rank there is: main ones, then those of just this UCD; of several, a known name."""
    old = ucd.replace(".", "_")
    main = (f"{ucd};meta.main", f"{old}_main")
    ranks: list[list[int]] = [[], []]
    for index, field in enumerate(fields):
        said = re.sub(r"\s", "", field.ucd.lower()).removeprefix("meta.main;")
        if said in main or (said == ucd and field.ucd.lower().strip().startswith("meta.main")):
            ranks[0].append(index)
        elif said in (ucd, old):
            ranks[1].append(index)
    found = ranks[0] or ranks[1]
    if len(found) > 1 and ucd.startswith("pos.eq"):
        side = POSITION.index(ucd.rpartition(".")[2])
        known = [name for pair in PAIRS for name in pair[side]]
        return _first(fields, found, known) or found
    return found


def _by_name(fields: Sequence[Field]) -> tuple[list[int], list[int]] | None:
    """Columns whose names go together; else the likeliest of each."""
    everything = range(len(fields))
    for ra_names, dec_names in PAIRS:
        ra, dec = _first(fields, everything, ra_names), _first(fields, everything, dec_names)
        if ra and dec:
            return ra, dec
    ra, dec = (_first(fields, everything, [name for pair in PAIRS for name in pair[side]]) for side in (0, 1))
    return (ra, dec) if ra and dec else None


def _first(fields: Sequence[Field], among: Sequence[int], names: Sequence[str]) -> list[int]:
    """Columns of the first of `names` that any has, else with a prefix: ``coord.ra``, ``i:ra``."""
    spelled: tuple[Callable[[str], str], ...] = (
        _plain,
        lambda name: _plain(name).replace(":", ".").rpartition(".")[2],
    )
    for spell in spelled:
        called: dict[str, list[int]] = {}
        for index in among:
            called.setdefault(spell(fields[index].name), []).append(index)
        for name in names:
            if name in called:
                return called[name]
    return []


def _plain(name: str) -> str:
    """Name in lower case with underscores: ``RA (J2000)`` is ra_j2000."""
    return re.sub(r"[\s()\[\]-]+", "_", name[:100].strip().lower()).rstrip("_")


def _id(fields: Sequence[Field]) -> Iterator[tuple[str, Choice]]:
    """Name of the target: `id` always is it; without one, what the UCD says, or a usual name."""
    found = [index for index, field in enumerate(fields) if field.name.strip().lower() == "id"]
    if len(found) > 1:
        exact = [index for index in found if fields[index].name.strip() == "id"]
        found = exact if len(exact) == 1 else found
    if found:
        yield "id", Choice(_only(fields, found, "id"), "name")
    elif by_ucd := [i for i, field in enumerate(fields) if _is_main_id(field.ucd)]:
        yield "id", Choice(_only(fields, by_ucd, "id"), "ucd")
    elif by_name := _first(fields, range(len(fields)), IDS):
        yield "id", Choice(by_name[0], "name")


def _is_main_id(ucd: str) -> bool:
    said = re.sub(r"\s", "", ucd.lower())
    return said in ("meta.id;meta.main", "id_main")


def _settings(fields: Sequence[Field]) -> Iterator[tuple[str, Choice]]:
    for name in SETTINGS:
        found = [index for index, field in enumerate(fields) if _plain(field.name) == name]
        if found:
            yield name, Choice(_only(fields, found, name), "name")


def _no_position(fields: Sequence[Field], has_names: bool) -> _NoPosition:
    if not has_names:
        return _NoPosition(
            f"the first line names no columns, and has {len(fields)} of them; ra and dec are two",
            "Begin with a line of names, such as id,ra,dec.",
        )
    return _NoPosition(
        f"no columns are right ascension and declination, by UCD or by name; {_have(fields)}",
        "Call them ra and dec, or write COLUMNS=ra:RAJ2000,dec:DEJ2000.",
    )


def _have(fields: Sequence[Field]) -> str:
    names = ", ".join(quoted(field.name) for field in fields[:8])
    return f"the columns are {names}{' …' if len(fields) > 8 else ''}"
