"""What clients say to the job resource itself: filters, WAIT, commands and limits, parsed at the door."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from dali.errors import NotFound, UsageError, quoted
from dali.parameters import Parameters, parse_run_id, plain_name, refuse_unknown, upper_name
from uws.job import Job, Parameter, Upload
from uws.moment import parse_moment
from uws.phase import Phase

Command = Literal["RUN", "ABORT"]
Action = Literal["DELETE", "RETRY", "SHARE", "NOTIFY", "LINK", "UNLINK"]

#: Executions longer than this cannot be told in the document: an xs:int of seconds.
LONGEST_DURATION_S = 2**31 - 1

#: Names that steer a job and are no parameters of it.
CONTROL = frozenset({"PHASE", "RUNID", "ACTION", "WAIT", "SHARE", "NOTIFY"})
FILTERS = ("PHASE", "AFTER", "LAST")
#: What the list as JSON takes beside these.
BEYOND = ("TEXT", "LIMIT", "PAGE", "SHARED", "JOB")
_CHANGES = ("ACTION", "DESTRUCTION", "EXECUTIONDURATION")
_COMMANDS = ("RUN", "ABORT")
_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"\+?\d{1,18}(?:\.\d{0,18})?(?:[eE]\+?\d{1,2})?", re.ASCII)
#: As accounts have them; a job is shared with so many at most.
_GROUP = re.compile(r"[^\s,\x00-\x1f\x7f]{1,255}")
MOST_GROUPS = 16
_TIME = "a time such as 2026-01-31T12:00:00Z"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs are listed (section 2.2.2.1): those that pass all of it, then the newest `last`."""

    phases: frozenset[Phase] = frozenset()
    after_ms: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """How long to wait for a job to leave a phase: the one given, else the one it is in.

    `seconds` is None for as long as possible.
    """

    seconds: float | None
    phase: Phase | None


@dataclass(frozen=True, slots=True)
class Creation:
    """What a client sent to make a job, or to change one: its parameters, and what steers it.

    `run_id` is None where nothing is said of it; `shared_with` are groups; `notify` has the values of NOTIFY.
    """

    parameters: Parameters
    run: bool = False
    run_id: str | None = None
    shared_with: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()


def parse_filter(parameters: Parameters) -> Filter:
    """Read the filters of the list.

    Raises
    ------
    UsageError
        If a value is wrong, or there is a parameter of another name: it would be ignored, and more be listed
        than was asked for.
    """
    refuse_changes(parameters)
    if unknown := refuse_unknown(parameters, FILTERS, FILTERS):
        fault = unknown[0]
        if not parameters.values.keys().isdisjoint(BEYOND):
            fault.fix = "The list as JSON takes it: send Accept: application/json."
        else:
            # Some clients send here, by GET, what would make a job.
            fault.fix += " Jobs are made by POST."
        raise fault
    phases = frozenset(_phase(text) for text in parameters.all("PHASE"))
    after = parameters.one("AFTER")
    last = parameters.one("LAST")
    return Filter(
        phases,
        None if after is None else _moment("AFTER", after),
        None if last is None else _last(last),
    )


def parse_wait(parameters: Parameters) -> Wait | None:
    """Read WAIT and the PHASE to wait in; None if there is nothing to wait for (section 2.2.1.2)."""
    refuse_changes(parameters)
    wait, phase = parameters.one("WAIT"), parameters.one("PHASE")
    expected = None if phase is None else _phase(phase)
    if wait is None:
        return None
    seconds = _integer(wait)
    if seconds is None:
        raise UsageError(
            f"WAIT is a whole number of seconds; got {quoted(wait)}",
            "Write WAIT=30, or WAIT=-1 for as long as possible.",
        )
    return Wait(None if seconds < 0 else float(seconds), expected)


def parse_creation(parameters: Parameters) -> Creation:
    """Tell the parameters of a job from those that steer it (section 2.2.3.1).

    Raises
    ------
    UsageError
        If PHASE is not RUN, SHARE names no groups, or RUNID cannot be kept.
    """
    phase = parameters.one("PHASE")
    if phase not in (None, "RUN"):
        raise UsageError(f"PHASE is RUN where a job is made; got {quoted(phase or '')}", "Write PHASE=RUN.")
    if parameters.one("ACTION") is not None:
        raise UsageError("ACTION is not for the list of jobs", "POST ACTION=DELETE to the URL of a job.")
    shared_with, notify = parse_share(parameters), tuple(parameters.all("NOTIFY"))
    run_id = _run_id(parameters)
    return Creation(_job_parameters(parameters), phase is not None, run_id, shared_with, notify)


def parse_share(parameters: Parameters) -> tuple[str, ...]:
    """Read SHARE: names of groups, one a value.

    Raises
    ------
    UsageError
        If one is no name, or there are too many.
    """
    groups = tuple(dict.fromkeys(parameters.all("SHARE")))
    if len(groups) > MOST_GROUPS:
        raise UsageError(f"SHARE is given {len(groups)} groups; {MOST_GROUPS} are taken")
    for group in groups:
        if not _GROUP.fullmatch(group):
            raise UsageError(f"SHARE is the name of a group; got {quoted(group)}", "Write SHARE=my-group.")
    return groups


def parse_change(parameters: Parameters) -> Creation:
    """Read parameters that replace those of a job; RUNID may be among them.

    Raises
    ------
    UsageError
        If there are none, or one steers the job, which is done elsewhere.
    """
    for name in sorted(CONTROL - {"RUNID"}):
        if name in parameters.values:
            where = "NOTIFY to the job itself" if name == "NOTIFY" else "PHASE=RUN to its /phase"
            raise UsageError(f"{name} is not a parameter of the job", f"POST {where}.")
    if not parameters:
        raise UsageError("there are no parameters", "POST the parameters that are to change, with values.")
    return Creation(_job_parameters(parameters), run_id=_run_id(parameters))


def parse_command(parameters: Parameters) -> Command:
    """Read what is to become of a job (sections 2.2.3.5 and 2.2.3.6)."""
    phase = parameters.one("PHASE")
    if phase == "RUN":
        return "RUN"
    if phase == "ABORT":
        return "ABORT"
    raise UsageError(f"PHASE is RUN or ABORT; got {_got(phase)}", "POST PHASE=RUN, or PHASE=ABORT.")


def parse_action(parameters: Parameters) -> Action:
    """Read what a POST to a job asks for: to be deleted (section 2.2.3.2), tried again, shared.

    RESUME is another word for RETRY: both do what is missing, as it failed or was never begun.

    Raises
    ------
    UsageError
        If it asks for nothing, or for anything else: 403 for parameters, which DALI 1.1, section 2.1, takes
        in /parameters only.
    """
    action = parameters.one("ACTION")
    if action == "DELETE":
        return "DELETE"
    if action in ("RETRY", "RESUME"):
        return "RETRY"
    if action == "SHARE":
        return "SHARE"
    if action == "LINK":
        return "LINK"
    if action == "UNLINK":
        return "UNLINK"
    if action == "NOTIFY" or (action is None and set(parameters.values) == {"NOTIFY"}):
        return "NOTIFY"
    if action is not None or not parameters:
        raise UsageError(
            f"ACTION is DELETE, RETRY, RESUME, SHARE, NOTIFY, LINK or UNLINK; got {_got(action)}",
            "Write ACTION=DELETE, or ACTION=RETRY to have done what is missing.",
        )
    name = next(iter(parameters.values), "UPLOAD")
    where = {"PHASE": "phase", "DESTRUCTION": "destruction", "EXECUTIONDURATION": "executionduration"}
    raise UsageError(
        f"{plain_name(name)} is not taken by the job itself, which takes ACTION alone",
        f"POST it to /{where.get(name, 'parameters')} of the job.",
        status=403,
    )


def parse_duration(parameters: Parameters) -> int:
    """Read EXECUTIONDURATION (section 2.2.3.4): seconds, 0 for no limit; a part of a second is a whole."""
    text = parameters.one("EXECUTIONDURATION")
    if text is None or _NUMBER.fullmatch(text.strip(" ")) is None:
        raise UsageError(
            f"EXECUTIONDURATION is a number of seconds, 0 or more; got {_got(text)}",
            "Write EXECUTIONDURATION=3600, or 0 for as long as the service lets jobs run.",
        )
    return min(math.ceil(float(text)), LONGEST_DURATION_S)


def parse_destruction(parameters: Parameters) -> int:
    """Read DESTRUCTION (section 2.2.3.3)."""
    text = parameters.one("DESTRUCTION")
    if text is None:
        raise UsageError(f"DESTRUCTION is {_TIME}; got nothing", "Write DESTRUCTION=2026-01-31T12:00:00Z.")
    return _moment("DESTRUCTION", text)


def refuse_changes(parameters: Parameters) -> None:
    """Refuse a GET that asks for a change, which it would wait for in vain."""
    commands = [name for name in _CHANGES if name in parameters.values]
    if any(value in _COMMANDS for value in parameters.all("PHASE")):
        commands.append("PHASE")
    if commands:
        name = commands[0]
        value = parameters.values[name][0]
        raise UsageError(f"GET changes nothing; got {name}={quoted(value)}", f"POST {name} instead.")


def flat(parameters: Parameters, uploads: Iterable[Upload] = ()) -> tuple[Parameter, ...]:
    """Parameters as a job keeps them; uploads are told by their URLs."""
    values = (Parameter(name, value) for name, values in parameters.values.items() for value in values)
    return (*values, *(Parameter(upload.name, upload.file_name, True) for upload in uploads))


def gathered(parameters: tuple[Parameter, ...]) -> Parameters:
    """Gather the parameters of a job as a job type reads them, without its uploads."""
    values: dict[str, tuple[str, ...]] = {}
    for parameter in parameters:
        if parameter.by_reference:
            continue
        values[parameter.name] = (*values.get(parameter.name, ()), parameter.value)
    return Parameters(values)


def _job_parameters(parameters: Parameters) -> Parameters:
    values = {name: values for name, values in parameters.values.items() if name not in CONTROL}
    return replace(parameters, values=values)


def _run_id(parameters: Parameters) -> str | None:
    run_id = parameters.one("RUNID")
    if run_id is None:
        return None
    # Bytes that are not UTF-8 were replaced: it could not be given back as it was sent.
    if "\ufffd" in run_id:
        raise UsageError(f"RUNID is not UTF-8; got {quoted(run_id)}")
    return parse_run_id(run_id)


def _phase(text: str) -> Phase:
    try:
        return Phase(text)
    except ValueError:
        raise UsageError(
            f"PHASE is one of {', '.join(Phase)}; got {quoted(text)}", "Write PHASE=COMPLETED."
        ) from None


def _last(text: str) -> int:
    number = _integer(text)
    if number is None or number < 1:
        raise UsageError(f"LAST is a whole number, 1 or more; got {quoted(text)}", "Write LAST=100.")
    return number


def _integer(text: str) -> int | None:
    return int(text) if _INTEGER.fullmatch(text := text.strip(" ")) else None


def _moment(name: str, text: str) -> int:
    try:
        return parse_moment(text)
    except ValueError:
        raise UsageError(
            f"{name} is {_TIME}; got {quoted(text)}", f"Write {name}=2026-01-31T12:00:00Z."
        ) from None


def _got(text: str | None) -> str:
    return "nothing" if text is None else quoted(text)


def find_parameter(job: Job, name: str) -> tuple[Parameter, ...]:
    """Return the values of a parameter of a job.

    Raises
    ------
    NotFound
        If the job has no such parameter.
    """
    found = tuple(parameter for parameter in job.parameters if parameter.name == upper_name(name))
    if not found:
        raise NotFound(f"the job has no parameter {plain_name(name)}")
    return found
