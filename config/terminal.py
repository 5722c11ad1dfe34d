"""What the commands have in common: settings, the database, and what people see."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from sqlalchemy import Engine

    from config.settings import Settings
    from surveys.survey import Survey


#: Of a table that no person sees at once.
PIPED_COLUMNS = 500


def read_settings() -> Settings:
    """Read the settings of this process."""
    from config.settings import load_settings

    return load_settings(os.environ)


@contextmanager
def database(settings: Settings) -> Iterator[Engine]:
    """Give an engine of the database, made or migrated where that is automatic."""
    from config.database import make_engine, prepare

    settings.data.path.mkdir(parents=True, exist_ok=True)
    engine = make_engine(settings.data.engine_url)
    try:
        prepare(engine)
        yield engine
    finally:
        engine.dispose()


def console() -> Console:
    """Where tables are shown; who reads them through a pipe wants whole names, not a narrow table."""
    from rich.console import Console

    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPED_COLUMNS)


def declared_survey(settings: Settings, name: str) -> Survey:
    """Find the declaration of a survey; case does not matter.

    Raises
    ------
    UnknownDataset
        If there is none.
    """
    from config.app import declared_surveys
    from surveys.errors import UnknownDataset

    surveys = declared_surveys(settings)
    for declared in surveys:
        if declared.name.lower() == name.lower():
            return declared
    known = ", ".join(declared.name for declared in surveys)
    raise UnknownDataset(f"no survey {name!r} is declared; there are {known}")


@contextmanager
def progress_bar(title: str, unit: str = "") -> Iterator[Callable[[int, int], None]]:
    """Show a bar on standard error, if people look at it; give the function that moves it."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    amount = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
