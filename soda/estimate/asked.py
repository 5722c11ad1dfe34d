"""What a dry run is asked: the parameters of the request it is of, and a few of its own."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from dali.errors import UsageError, quoted
from dali.parameters import Parameters, UploadedFile, parse_boolean, upper_name
from uws.params import CONTROL

#: Name of the part in which targets come that stand in JSON.
TARGETS = "targets"
#: Verdicts of so many rows are told at a time.
PAGE = 10_000


@dataclass(frozen=True, slots=True)
class Page:
    """Which rows are told one by one: those after `after`, `limit` of them; none where there is no page."""

    after: int = 0
    limit: int = PAGE


@dataclass(frozen=True, slots=True)
class Asked:
    """A dry run.

    Parameters
    ----------
    parameters
        Of the request it is of, without what steers jobs.
    page
        Rows whose verdicts are told.
    """

    parameters: Parameters
    page: Page | None


def parse_asked(parameters: Parameters) -> Asked:
    """Tell the parameters of the request from those of the dry run.

    Raises
    ------
    UsageError
        If one of its own is wrong.

    Notes
    -----
    PHASE and RUNID may stay: whoever has the line that makes a job needs to change its URL alone.
    """
    own = ("VERDICTS", "AFTER", "LIMIT")
    wants = [name for name in own if name in parameters.values]
    page = None
    if wants:
        told = parameters.one("VERDICTS")
        after, limit = _number(parameters, "AFTER", 0, 0), _number(parameters, "LIMIT", 1, PAGE)
        if told is None or parse_boolean(told, "VERDICTS"):
            page = Page(after, min(limit, PAGE))
    kept = {name: values for name, values in parameters.values.items() if name not in (*own, *CONTROL)}
    return Asked(replace(parameters, values=kept), page)


def _number(parameters: Parameters, name: str, least: int, default: int) -> int:
    text = parameters.one(name)
    if text is None:
        return default
    digits = text.strip(" ")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 9 and int(digits) >= least):
        raise UsageError(
            f"{name} is a whole number, {least} or more; got {quoted(text)}", f"Write {name}=1000."
        )
    return int(digits)


def read_json(body: bytes) -> tuple[list[tuple[str, str]], list[Mapping[str, Any]]]:
    """Read a request written as a JSON object: its parameters, and its targets.

    Raises
    ------
    UsageError
        If it is none: names what is wrong and how it is written.
    """
    example = 'Write {"ID": ["ivo://…"], "SIZE": "30arcsec", "targets": [{"id": "a", "ra": 10.5, "dec": 2}]}.'
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as fault:
        where = f" in line {fault.lineno}" if isinstance(fault, json.JSONDecodeError) else ""
        raise UsageError(f"the body is not valid JSON{where}", example) from fault
    if not isinstance(found, dict):
        raise UsageError("the body is JSON, but no object", example)
    pairs: list[tuple[str, str]] = []
    targets: list[Mapping[str, Any]] = []
    for name, value in found.items():
        if name.lower() == TARGETS:
            targets = _targets(value, example)
        else:
            pairs += ((name, text) for text in _texts(name, value, example))
    return pairs, targets


def _targets(value: Any, example: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(target, dict) for target in value):
        raise UsageError("targets is a list of objects, one for each target", example)
    if not value:
        raise UsageError("targets is empty", example)
    return value


def _texts(name: str, value: Any, example: str) -> Iterator[str]:
    values: Sequence[Any] = value if isinstance(value, list) else [value]
    for item in values:
        match item:
            case None:
                continue
            case bool():
                yield str(item).lower()
            case str():
                yield item
            case int() | float():
                yield repr(item)
            case _:
                raise UsageError(f"{quoted(name)} is a text, a number, or a list of such", example)


def lines_of(targets: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Write targets as a file that a job would take: JSON, one on a line."""
    for target in targets:
        yield json.dumps(target, separators=(",", ":")).encode() + b"\n"


def with_targets(pairs: Iterable[tuple[str, str]], path: Path, size: int) -> Parameters:
    """Give targets that stand in JSON to the request, as if they had been sent as a file.

    Raises
    ------
    UsageError
        If a file is named too.
    """
    found = Parameters.from_pairs(pairs)
    if "UPLOAD" in found.values:
        raise UsageError("UPLOAD and targets each are a table of targets", "Send one of them.")
    name = upper_name(TARGETS)
    values = {**found.values, "UPLOAD": (f"{TARGETS},param:{TARGETS}",)}
    file = UploadedFile(path, f"{TARGETS}.jsonl", "application/jsonl", size)
    return Parameters(values, (name,), {name: file})


def job_command(parameters: Parameters, base_url: str) -> str:
    """Write the command that makes a job of a request.

    Parameters
    ----------
    parameters
        As they were sent.
    base_url
        Of the service.
    """
    pairs = [(name, value) for name, values in parameters.values.items() for value in values]
    pairs.append(("PHASE", "RUN"))
    url = shlex.quote(f"{base_url}/async")
    if not parameters.files:
        query = "&".join(f"{name}={quote_plus(value, safe=':/?@,~')}" for name, value in pairs)
        return f"curl -d {shlex.quote(query)} {url}"
    form = [f"--form-string {shlex.quote(f'{name}={value}')}" for name, value in pairs]
    for part, file in parameters.files.items():
        # curl takes some characters of a name for its own, unless it is quoted.
        name = '"' + (file.file_name or "FILE").replace("\\", "\\\\").replace('"', '\\"') + '"'
        form.append(f"-F {shlex.quote(f'{part.lower()}=@{name}')}")
    return " ".join(("curl", *form, url))
