"""One indexer of a survey at a time."""

from __future__ import annotations

import contextlib
import fcntl
import zlib
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Engine, text

from surveys.errors import SurveyError


@contextlib.contextmanager
def index_lock(engine: Engine, name: str) -> Iterator[None]:
    """Hold the right to index the survey `name`; it ends with the process, however that ends.

    Raises
    ------
    SurveyError
        If another process has it.
    """
    hold = _advisory_lock if engine.dialect.name == "postgresql" else _file_lock
    with hold(engine, name) as held:
        if not held:
            raise SurveyError(f"the survey {name} is being indexed already")
        yield


@contextlib.contextmanager
def _advisory_lock(engine: Engine, name: str) -> Iterator[bool]:
    key = {"key": zlib.crc32(f"index {name.lower()}".encode())}
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        held = bool(connection.execute(text("SELECT pg_try_advisory_lock(:key)"), key).scalar())
        try:
            yield held
        finally:
            if held:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)


@contextlib.contextmanager
def _file_lock(engine: Engine, name: str) -> Iterator[bool]:
    database = engine.url.database
    if database in (None, "", ":memory:"):
        yield True
        return
    with Path(f"{database}.index-{name.lower()}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
