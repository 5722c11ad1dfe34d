"""The database: engines as every package expects them, and the one history of its tables.

SQLite works in write-ahead mode, syncs every commit, and opens a write transaction as such from its start
(``BEGIN IMMEDIATE``): a transaction that reads first and writes later would fail at once when another one
wrote in between, whatever the busy timeout. Code says that it writes by
``engine.execution_options(writes=True)``, and that it reads and each of its queries may stand alone by
``single_reads=True``: then no transaction is begun.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, MetaData, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

import surveys.index.alerts.tables  # noqa: F401 -- it adds to the tables of surveys
from accounts.tables import Base as AccountTables
from surveys.index.tables import Base as SurveyTables
from uws.tables import Base as JobTables

BUSY_TIMEOUT_MS = 15_000
#: A writer that freezes with its host must not keep others from what it has locked: PostgreSQL ends it.
IDLE_WRITER_MS = 15_000
#: A server that is gone without a word is missed after 20 to 30 seconds, not after hours. The URL may say
#: otherwise.
POSTGRESQL_OPTIONS: Mapping[str, int] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
MIGRATIONS = Path(__file__).parent / "migrations"

#: The tables of every package, in one history.
METADATA: list[MetaData] = [SurveyTables.metadata, JobTables.metadata, AccountTables.metadata]


class DatabaseMismatch(Exception):
    """The tables are not those this program works with; the message says what to do."""


def make_engine(url: str | URL) -> Engine:
    """Engine of a database.

    Parameters
    ----------
    url
        ``sqlite:///path``, or ``postgresql://…`` (psycopg 3 is the driver).

    Raises
    ------
    ValueError
        For any other database.
    """
    url = make_url(url)
    match url.get_backend_name():
        case "sqlite":
            return _sqlite(url)
        case "postgresql":
            return _postgresql(url)
        case other:
            raise ValueError(f"the database is SQLite or PostgreSQL, not {other}")


def prepare(engine: Engine) -> None:
    """Make the database ready at start: migrate SQLite, check PostgreSQL.

    Raises
    ------
    DatabaseMismatch
        If a PostgreSQL database wants `upgrade`, or any database is newer than this program.
    """
    if engine.dialect.name == "sqlite":
        with _migration_lock(engine):
            if not check(engine, upgradable=True):
                upgrade(engine)
        return
    check(engine)


def upgrade(engine: Engine) -> None:
    """Bring the tables to the newest version; nothing happens where they are."""
    with engine.execution_options(writes=True).begin() as connection:
        command.upgrade(_alembic(connection), "head")


def check(engine: Engine, *, upgradable: bool = False) -> bool:
    """Tell whether the database is as this program has it; only with `upgradable` it may be older.

    Raises
    ------
    DatabaseMismatch
        If they do not fit.
    """
    history = ScriptDirectory.from_config(_alembic(None))
    newest = history.get_current_head()
    with engine.connect() as connection:
        version = MigrationContext.configure(connection).get_current_revision()
    if version == newest:
        return True
    known = {script.revision for script in history.walk_revisions()}
    if version is not None and version not in known:
        raise DatabaseMismatch("the database was made by a newer version of this program; update the program")
    if not upgradable:
        raise DatabaseMismatch(
            "the tables of the database are older than this program: run `fountain db upgrade`"
        )
    return False


def _postgresql(url: URL) -> Engine:
    options = {name: value for name, value in POSTGRESQL_OPTIONS.items() if name not in url.query}
    url = url.set(drivername="postgresql+psycopg")
    engine = create_engine(url, pool_pre_ping=True, pool_size=8, connect_args=options)
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def _begin_postgresql(connection: Connection) -> None:
    if connection.get_execution_options().get("writes", False):
        connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = {IDLE_WRITER_MS}")


def _sqlite(url: URL) -> Engine:
    memory = url.database in (None, "", ":memory:")
    # A database in memory is gone with its connection, so all threads share one.
    options: dict[str, Any] = {"poolclass": StaticPool} if memory else {"pool_size": 8, "max_overflow": -1}
    engine = create_engine(url, connect_args={"check_same_thread": False}, **options)
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
    # The driver is not to begin transactions by itself: `_begin_sqlite` does, in the way that is meant.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "foreign_keys=ON",
        "cache_size=-65536",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get("single_reads", False):
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes", False) else "BEGIN")


@contextlib.contextmanager
def _migration_lock(engine: Engine) -> Iterator[None]:
    """One process migrates, the others wait for it."""
    database = engine.url.database
    if database in (None, "", ":memory:"):
        yield
        return
    with Path(f"{database}.migration.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Addresses of people are in it; the files beside it have its mode.
        Path(str(database)).touch(mode=0o600)
        yield


def _alembic(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
