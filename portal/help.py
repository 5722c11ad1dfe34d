"""``/help``: everything that can be asked and answered, from the very tables the service works with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, request

from dali.caller import Caller, caller_in
from dali.errors import ProtocolError
from dali.votable import Field
from portal import figures, texts
from portal.pages import Pages
from portal.words import gettext as _
from portal.words import marked
from soda.habits import ALIASES, OWN
from soda.lists.manifest import VERDICTS
from soda.table import JOB_PARAMETERS, SodaParameter
from soda.targets.columns import IDS, PAIRS

#: Parts of the table of parameters, by what they are about.
_GROUPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("where", marked("Where, how large, and of what"), ("pixels",)),
    ("mosaics", marked("Where images overlap, end, or lie on another grid"), ("mosaic",)),
    ("files", marked("FITS files"), ("fits",)),
    ("pictures", marked("Pictures"), ("picture", "grey", "colour", "lupton", "stiff")),
    ("protocol", marked("Requests"), ("protocol",)),
    ("tables", marked("Tables of targets, in jobs"), ("list",)),
)


@dataclass(frozen=True, slots=True)
class Help:
    """What the page tells of this service.

    Parameters
    ----------
    surveys_of
        Gives the surveys of a caller, as `/surveys` tells them; none where they cannot be known.
    limits
        How much may be asked for, by name.
    columns
        Of the manifests of lists.
    """

    surveys_of: Callable[[Caller], Sequence[Mapping[str, Any]]]
    limits: Mapping[str, float]
    columns: Sequence[Field]


def make_blueprint(pages: Pages, told: Help, base_url: Callable[[], str]) -> Blueprint:
    """Make the page."""
    blueprint = Blueprint("help", __name__)

    @blueprint.get("/help")
    def show() -> Response:
        return pages.render(
            "help.html",
            scripts=("base.js",),
            groups=[(name, title, [_row(one) for one in _of(concerns)]) for name, title, concerns in _GROUPS],
            habits=[(name, texts.HABITS[name], _also(name)) for name in OWN],
            surveys=told.surveys_of(caller_in(request.environ)),
            errors=list(errors()),
            verdicts=[(word, texts.VERDICTS[word]) for word in VERDICTS],
            limits=[
                (texts.LIMITS[name], _amount(name, number), name) for name, number in told.limits.items()
            ],
            formulas=texts.FORMULAS,
            columns=told.columns,
            pairs=PAIRS,
            ids=IDS,
            glossary=texts.GLOSSARY,
            base_url=base_url(),
        )

    return blueprint


def errors() -> Iterator[tuple[str, str, str, str]]:
    """List the labels of errors: with the states of HTTP they come with, their meaning, and what to do."""
    statuses: dict[str, set[int]] = {}
    for kind in _kinds(ProtocolError):
        statuses.setdefault(kind.label, set()).add(kind.status)
    for label, (meaning, remedy) in texts.ERRORS.items():
        yield label, ", ".join(map(str, sorted(statuses[label]))), meaning, remedy


def _kinds(kind: type[ProtocolError]) -> Iterator[type[ProtocolError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _kinds(narrower)


def _of(concerns: Sequence[str]) -> Iterator[SodaParameter]:
    return (one for one in JOB_PARAMETERS if one.concern in concerns)


def _row(parameter: SodaParameter) -> dict[str, Any]:
    """Write a parameter as the table has it."""
    takes = ", ".join(parameter.options) or _kind(parameter)
    several = []
    if parameter.many:
        several.append(_("may be repeated"))
    if parameter.product:
        several.append(_("several in jobs"))
    return {
        "name": parameter.name,
        "description": parameter.description,
        "takes": takes,
        "unit": parameter.unit,
        "several": ", ".join(several),
        "standard": not parameter.extension,
        "of": "" if parameter.concern in ("pixels", "picture", "mosaic", "list") else parameter.concern,
    }


def _kind(parameter: SodaParameter) -> str:
    match parameter.datatype:
        case "int":
            return _("whole number")
        case "double":
            return _("number") if parameter.arraysize is None else _("numbers")
    return _("text")


def _also(name: str) -> list[str]:
    return [other for other, known in ALIASES.items() if known == name]


def _amount(name: str, number: float) -> str:
    if name.endswith("_bytes"):
        return figures.size(number)
    if name.endswith(("_s", "_seconds")):
        return figures.duration(number) if number else _("without a limit")
    return figures.count(number)
