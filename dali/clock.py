"""The database's clock: leases and deadlines of all hosts are measured by this one."""

from __future__ import annotations

from sqlalchemy import BigInteger, Connection, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class NowMs(FunctionElement[int]):
    """Milliseconds since 1970 at the time the statement runs, not at the start of its transaction."""

    type = BigInteger()
    inherit_cache = True


@compiles(NowMs, "sqlite")
def _sqlite(element: NowMs, compiler: SQLCompiler, **kw: object) -> str:
    # SQLite of Debian 12 has no fractions in unixepoch(); a Julian day as a number is exact to 0.04 ms.
    return "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"


@compiles(NowMs, "postgresql")
def _postgresql(element: NowMs, compiler: SQLCompiler, **kw: object) -> str:
    # As a query of its own it is asked once: no index is used for what may change from row to row.
    return "(SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint))"


def now_ms(connection: Connection) -> int:
    """Ask for the time."""
    return connection.execute(select(NowMs())).scalar_one()
