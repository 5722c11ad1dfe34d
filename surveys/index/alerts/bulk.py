"""Rows by the ten thousand, as each database takes them fastest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection

from surveys.index.tables import Base

if TYPE_CHECKING:
    import psycopg


def copy_rows(connection: Connection, table: type[Base], columns: Sequence[Sequence[Any]]) -> None:
    """Add rows to a table, given by all of its columns, in their order."""
    rows = list(zip(*columns, strict=True))
    name = table.__tablename__
    if connection.dialect.name == "sqlite":
        places = ", ".join("?" * len(columns))
        sqlite = connection.connection.cursor()
        sqlite.executemany(f"INSERT INTO {name} VALUES ({places})", rows)  # noqa: S608
        sqlite.close()
        return
    driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
    with driver.cursor() as cursor, cursor.copy(f"COPY {name} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def delete_pairs(connection: Connection, table: type[Base], pairs: Sequence[tuple[int, int]]) -> None:
    """Delete rows of a table of pairs."""
    if not pairs:
        return
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    first, second = (column.name for column in table.__table__.columns)
    connection.exec_driver_sql(
        f"DELETE FROM {table.__tablename__} WHERE {first} = {mark} AND {second} = {mark}",  # noqa: S608
        list(pairs),
    )
