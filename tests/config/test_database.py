"""Engines and migrations."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import InternalError

from config.database import (
    METADATA,
    POSTGRESQL_OPTIONS,
    DatabaseMismatch,
    check,
    make_engine,
    prepare,
    upgrade,
)
from tests.support.databases import postgresql, sqlite


def test_migrations_give_the_tables_of_the_models(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []  # type: ignore[arg-type]  # it takes several


def test_a_migrated_database_is_left_alone(engine: Engine) -> None:
    upgrade(engine)
    check(engine)
    prepare(engine)


def test_a_newer_database_is_refused(engine: Engine) -> None:
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseMismatch, match="newer version of this program"):
        prepare(engine)


def test_an_empty_sqlite_is_migrated_at_start(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path}/new.db")
    with pytest.raises(DatabaseMismatch, match="run `fountain db upgrade`"):
        check(engine)
    prepare(engine)
    assert "artifact" in inspect(engine).get_table_names()
    engine.dispose()


def test_an_empty_postgresql_is_refused_until_it_is_upgraded(postgresql_url: str) -> None:
    with postgresql(postgresql_url, empty=True) as engine:
        with pytest.raises(DatabaseMismatch, match="run `fountain db upgrade`"):
            prepare(engine)
        upgrade(engine)
        prepare(engine)


def test_many_may_start_at_once(tmp_path: Path) -> None:
    def start(_: int) -> None:
        engine = make_engine(f"sqlite:///{tmp_path}/new.db")
        prepare(engine)
        engine.dispose()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(start, range(4))) == [None] * 4


def test_sqlite_waits_for_other_writers_and_syncs(tmp_path: Path) -> None:
    with sqlite(tmp_path) as engine, engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 15_000}


def test_a_transaction_that_reads_first_may_write_while_others_do(tmp_path: Path) -> None:
    def count_up(engine: Engine) -> None:
        for _ in range(20):
            with engine.execution_options(writes=True).begin() as connection:
                value = connection.execute(text("SELECT value FROM counter")).scalar_one()
                connection.execute(text("UPDATE counter SET value = :value"), {"value": value + 1})

    with sqlite(tmp_path) as engine:
        with engine.execution_options(writes=True).begin() as connection:
            connection.execute(text("CREATE TABLE counter (value INTEGER)"))
            connection.execute(text("INSERT INTO counter VALUES (0)"))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(count_up, [engine] * 4))
        with engine.connect() as connection:
            assert connection.execute(text("SELECT value FROM counter")).scalar_one() == 80


def test_a_database_in_memory_is_one_for_all_threads() -> None:
    engine = make_engine("sqlite://")
    prepare(engine)
    with ThreadPoolExecutor(1) as pool:
        assert "survey" in pool.submit(lambda: inspect(engine).get_table_names()).result()
    engine.dispose()


def test_other_databases_are_refused() -> None:
    with pytest.raises(ValueError, match="SQLite or PostgreSQL, not mysql"):
        make_engine("mysql://localhost/x")


def test_a_server_that_is_gone_without_a_word_is_missed_soon(postgresql_url: str) -> None:
    def options_of(url: str) -> dict[str, str]:
        engine = make_engine(url)
        with engine.connect() as connection:
            found: dict[str, str] = connection.connection.driver_connection.info.get_parameters()  # type: ignore[union-attr]
        engine.dispose()
        return found

    assert {
        name: int(value) for name, value in options_of(postgresql_url).items() if name in POSTGRESQL_OPTIONS
    } == (POSTGRESQL_OPTIONS)
    mark = "&" if "?" in postgresql_url else "?"
    assert (
        options_of(f"{postgresql_url}{mark}connect_timeout=9&keepalives_idle=60")["keepalives_idle"] == "60"
    )


def test_f06_a_writer_that_freezes_does_not_keep_others_from_what_it_has_locked(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its host may be frozen between two statements, and its connection stay."""
    monkeypatch.setattr("config.database.IDLE_WRITER_MS", 300)
    with postgresql(postgresql_url) as engine:
        writing = engine.execution_options(writes=True)
        with writing.begin() as connection:
            connection.execute(text("INSERT INTO tally VALUES ('a', '', 1)"))
        change = text("UPDATE tally SET value = value + 1")
        frozen = writing.connect()
        frozen.execute(change)
        with writing.begin() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '20s'"))
            connection.execute(change)
        with pytest.raises(InternalError):
            frozen.execute(change)
        frozen.close()
        with engine.connect() as connection:
            assert connection.execute(text("SELECT value FROM tally")).scalar_one() == 2
