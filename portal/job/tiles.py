"""Rows of a job as the page shows them: a picture or the reason why there is none, and what is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from uws.job import LedgerRow, Parameter, Result, RowStatus
from uws.packages.package import error_message, status_of

#: Pixels of a picture in the grid, and of the large one.
SMALL, LARGE = 256, 1024
#: What became of rows, in the order in which they are told.
GOOD, EMPTY, BAD = ("ok", "clipped", "done"), ("no_overlap", "no_rights", "empty"), ("failed", "poison")
_NAMES = {"image/png": "png", "image/jpeg": "jpeg"}


@dataclass(frozen=True, slots=True)
class Tile:
    """A row.

    Parameters
    ----------
    result_id
        Under which its file, or its sentence, is to be had.
    name
        The user's name of it, else its result id.
    status
        A word.
    message
        Why it has no file.
    is_file, is_drawn
        Whether it has one, and whether that is a picture or can be made one.
    value
        By which rows are sorted.
    again
        Query of the explorer that shows the same place; "" where that is not known.
    """

    result_id: str
    name: str
    status: str
    message: str
    is_file: bool
    is_drawn: bool
    file_name: str
    media_type: str
    size: int
    sha256: str
    facts: Mapping[str, Any]
    attempts: int
    seconds: float
    value: str = ""
    again: str = ""

    @property
    def path(self) -> str:
        """Below the resource of the job."""
        return f"results/{quote(self.result_id, safe='')}"

    @property
    def is_bad(self) -> bool:
        """Whether it failed."""
        return self.status in BAD


def tile_of_row(row: LedgerRow, value: Any = None) -> Tile:
    """Tell of a row of the ledger."""
    return Tile(
        **_of_result(row),
        name=row.label or row.result_id,
        status=status_of(row),
        message=error_message(row) or "",
        facts=row.facts,
        attempts=row.attempts,
        seconds=row.seconds,
        value="" if value is None else _written(value),
        again=_again(row),
    )


def tile_of_result(result: Result) -> Tile:
    """Tell of a result of a job that has no ledger."""
    return Tile(
        **_of_result(result),
        name=result.result_id,
        status=result.status.value,
        message="" if result.status is RowStatus.DONE else result.message,
        facts={},
        attempts=1,
        seconds=0.0,
    )


def again_of(parameters: Sequence[Parameter]) -> str:
    """Give the query of the explorer for parameters of a single cutout, a circle or a box; "" for others."""
    said: dict[str, list[str]] = {}
    for one in parameters:
        said.setdefault(one.name, []).append(one.value)
    dataset = next(iter(said.get("ID", ()))).partition("?")[2] if len(said.get("ID", ())) == 1 else ""
    survey, _, rest = dataset.partition("/")
    if not survey or len(said.get("CIRCLE", ())) + len(said.get("CENTER", ())) != 1:
        return ""
    told = {"survey": survey}
    if band := rest.partition("/")[0]:
        told["bands"] = band
    if circle := said.get("CIRCLE"):
        numbers = circle[0].split()
        if len(numbers) != 3:
            return ""
        told |= {"at": f"{numbers[0]} {numbers[1]}", "shape": "circle", "radius": f"{numbers[2]}deg"}
    else:
        told |= {"at": said["CENTER"][0], "shape": "box", "size": next(iter(said.get("SIZE", [""])))}
    kind = next(iter(said.get("RESPONSEFORMAT", [""]))).removeprefix("image/")
    if kind in _NAMES.values():
        told["format"] = kind
    return urlencode({name: value for name, value in told.items() if value})


def _of_result(result: Result) -> dict[str, Any]:
    is_file = bool(result.container)
    return {
        "result_id": result.result_id,
        "is_file": is_file,
        "is_drawn": is_file and (result.media_type.startswith("image/") or "fits" in result.media_type),
        "file_name": result.file_name,
        "media_type": result.media_type,
        "size": result.size,
        "sha256": result.sha256,
    }


def _again(row: LedgerRow) -> str:
    facts = row.facts
    if not facts.get("survey") or facts.get("ra") is None:
        return ""
    told = {"survey": facts["survey"], "at": f"{facts['ra']} {facts['dec']}", "shape": "box"}
    if band := facts.get("band"):
        told["bands"] = band
    width, height = facts.get("requested_w"), facts.get("requested_h")
    if width and height:
        told["size"] = f"{width}px" if width == height else f"{width}px {height}px"
    if (name := _NAMES.get(row.media_type)) is not None:
        told["format"] = name
    return urlencode(told)


def _written(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
