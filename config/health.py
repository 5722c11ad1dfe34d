"""What ``/availability`` looks at: the database, the folders of surveys, and what jobs need."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from surveys.access import EVERYBODY
from surveys.index.catalog import Catalog
from surveys.survey import Survey
from uws.job import LANES, Lane
from uws.store.upkeep import Upkeep
from vosi.availability import Check

if TYPE_CHECKING:
    from uws.bell import Bell
    from uws.results import ResultStore

#: An answer holds so long.
KEPT_S = 5.0
_SMALL_SYNC = "/sync goes on, but for large cutouts"
_SYNC: Mapping[Lane, str] = {"high": _SMALL_SYNC, "low": "/sync goes on"}


def service_checks(engine: Engine, catalog: Catalog, surveys: Sequence[Survey]) -> list[Check]:
    """Check what every request needs."""
    named = enumerate(surveys, start=1)
    return [_database_check(engine), *(_folder_check(catalog, survey, number) for number, survey in named)]


def for_administrators(parts: Mapping[str, bool], surveys: Sequence[Survey]) -> dict[str, bool]:
    """Give the outcomes of checks with the names of all surveys, closed ones too."""
    names = {_survey_part(survey, number): survey.name for number, survey in enumerate(surveys, start=1)}
    return {f"survey {names[part]}" if part in names else part: works for part, works in parts.items()}


def job_checks(upkeep: Upkeep, results: ResultStore, bell: Bell, alive_s: float) -> list[Check]:
    """Check what jobs need.

    Parameters
    ----------
    alive_s
        A worker not heard of for so long is not counted.
    """
    return [
        *(_workers_check(upkeep, lane, alive_s) for lane in LANES),
        # Whoever pauses a queue knows that its jobs wait.
        Check(lambda: _pauses(upkeep), "pauses", is_vital=False),
        Check(lambda: _results(results), "results"),
        # Workers look for tasks without it too: no job is lost, and each is done.
        Check(lambda: _bell(bell), "Redis", is_vital=False),
    ]


def _database_check(engine: Engine) -> Check:
    def look() -> str | None:
        try:
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except SQLAlchemyError:
            return "the database does not answer"
        return None

    return Check(look, "database")


def _folder_check(catalog: Catalog, survey: Survey, number: int) -> Check:
    what = _survey_part(survey, number)

    def look() -> str | None:
        if not catalog.generation(survey.name):
            return None
        for root in survey.roots:
            try:
                with os.scandir(root) as entries:
                    next(entries, None)
            except OSError:
                return f"a data folder of the {what} cannot be read"
        return None

    return Check(look, what)


def _survey_part(survey: Survey, number: int) -> str:
    # Everybody reads what is told here, names of closed surveys are not for all.
    return f"survey {survey.name if survey.access.may_enter(EVERYBODY) else f'no. {number}'}"


def _workers_check(upkeep: Upkeep, lane: Lane, alive_s: float) -> Check:
    def look() -> str | None:
        try:
            lives = upkeep.live_workers(lane, alive_s)
        except SQLAlchemyError:
            return None  # the database's own check says it
        return None if lives else f"no worker serves the queue {lane}: its jobs wait; {_SYNC[lane]}"

    return Check(look, f"workers of {lane}")


def _pauses(upkeep: Upkeep) -> str | None:
    try:
        paused = upkeep.pauses()
    except SQLAlchemyError:
        return None
    told = [f"the queue {lane} is paused{f' ({why})' if why else ''}" for lane, why in sorted(paused.items())]
    return f"{' and '.join(told)}: jobs wait" if told else None


def _results(results: ResultStore) -> str | None:
    if (fault := results.check()) is not None:
        return fault
    return None if results.has_room() else f"results have too little room: no job is taken; {_SMALL_SYNC}"


def _bell(bell: Bell) -> str | None:
    fault = bell.check()
    return None if fault is None else f"{fault}: jobs begin some seconds later; {_SMALL_SYNC}"
