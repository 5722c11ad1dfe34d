"""What the commands have in common: settings, the database, and what people see."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from sqlalchemy import Engine

    from config.settings import Settings


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
    """Where tables are shown."""
    from rich.console import Console

    return Console(file=sys.stdout)
