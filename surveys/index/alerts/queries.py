"""The statements by which alerts are found, in words of both databases, and how they are run.

The joins say in which order tables are read: a database that knows little of them yet would err.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from functools import lru_cache
from typing import Any

from sqlalchemy import Engine, TextClause, text

#: An alert, then its file, then the name of its survey.
_COLUMNS = (
    "a.id, a.candid, a.object, a.object_number, a.ra, a.dec, a.mjd, a.band, "
    "f.id, f.path, f.size, f.version, f.first_id, f.rows, f.bands, s.name"
)
_OF_FILE = "CROSS JOIN lake_file f CROSS JOIN survey s"
# The last file that begins at or before an alert is its own.
_FILE = "f.id = (SELECT id FROM lake_file WHERE first_id <= a.id ORDER BY first_id DESC LIMIT 1)"
_VALID = "f.survey_id = :survey_id AND f.gen_from <= :generation AND f.gen_to > :generation"
# Of alerts with one number that counts whose file was indexed last; few have a twin.
_NEWEST = """NOT EXISTS (
    SELECT 1 FROM alert_candid other CROSS JOIN lake_file g
    WHERE other.candid = a.candid AND other.alert_id > a.id
    AND g.id = (SELECT id FROM lake_file WHERE first_id <= other.alert_id ORDER BY first_id DESC LIMIT 1)
    AND g.survey_id = :survey_id AND g.gen_from <= :generation AND g.gen_to > :generation)"""
_IN_TIME = "a.mjd BETWEEN :first_mjd AND :last_mjd"

#: Parameter ``keys``, a JSON list, as a table of one column ``value``.
_KEYS = {
    "sqlite": "json_each(:keys) k",
    "postgresql": (
        "(SELECT CAST(value AS bigint) AS value FROM json_array_elements_text(CAST(:keys AS json))) k"
    ),
}


def _alerts(tables: str, *conditions: str, order: str = "", more: str = "") -> str:
    where = " AND ".join((*conditions, _FILE))
    return (
        f"SELECT {_COLUMNS}{more} FROM {tables} CROSS JOIN alert a {_OF_FILE} "  # noqa: S608
        f"WHERE {where} AND s.id = f.survey_id {order}"
    )


#: Alerts by their keys, of whatever generation.
BY_ID = _alerts("{keys}", "a.id = k.value")
#: Alerts by their own numbers; of twins all.
BY_CANDID = _alerts(
    "{keys} CROSS JOIN alert_candid l", "l.candid = k.value", "a.id = l.alert_id", _VALID, order="LIMIT :most"
)
#: Alerts of objects, by the digests of their names.
BY_OBJECT = _alerts(
    "{keys} CROSS JOIN alert_object l",
    *("l.digest = k.value", "a.id = l.alert_id", _VALID, _NEWEST),
    order="LIMIT :most",
)
#: Alerts of objects in one file, twins of others among them.
BY_OBJECT_IN_FILE = _alerts(
    "{keys} CROSS JOIN alert_object l",
    *("l.digest = k.value", "a.id = l.alert_id", _VALID, "f.path = :path"),
    order="LIMIT :most",
)
#: Alerts of a range of cells, after one of them; their cells come last.
BY_CELL = _alerts(
    "alert_cell l",
    *("l.cell <= :last", "(l.cell, l.alert_id) > (:first, :after)", "a.id = l.alert_id"),
    *(_VALID, _IN_TIME, _NEWEST),
    order="ORDER BY l.cell, l.alert_id LIMIT :most",
    more=", l.cell",
)
#: Alerts of a range of keys, after one of them.
BY_KEY = (
    f"SELECT {_COLUMNS} FROM alert a {_OF_FILE} "  # noqa: S608
    f"WHERE a.id > :after AND a.id <= :last AND {_FILE} AND {_VALID} AND {_IN_TIME} AND {_NEWEST} "
    "AND s.id = f.survey_id ORDER BY a.id LIMIT :most"
)
#: Files with alerts of a time, after one of them.
FILES = (
    f"SELECT f.first_id, f.rows FROM lake_file f WHERE f.first_id > :after AND {_VALID} "  # noqa: S608
    "AND f.first_mjd <= :last_mjd AND f.last_mjd >= :first_mjd ORDER BY f.first_id LIMIT :most"
)
PAGES = "SELECT packed FROM lake_pages WHERE file_id = :file_id AND kind = :kind"
COVERS = f"SELECT f.cover FROM lake_file f WHERE {_VALID} AND f.cover IS NOT NULL"  # noqa: S608
#: The file that was indexed last, if it has alerts.
LAST_FILE = (
    f"SELECT f.first_id, f.rows FROM lake_file f WHERE {_VALID} AND f.cover IS NOT NULL "  # noqa: S608
    "ORDER BY f.first_id DESC LIMIT 1"
)
#: What is told of each file of a generation.
HELD = f"SELECT f.bands, f.refused, f.first_mjd, f.last_mjd FROM lake_file f WHERE {_VALID}"  # noqa: S608


class Reads:
    """Runs statements, each of which is a transaction of its own. One for all threads.

    Parameters
    ----------
    engine
        On which every query is a transaction of its own.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def rows(self, statement: str, **values: object) -> Sequence[Sequence[Any]]:
        """Rows of a statement; a list of ``keys`` is handed over as JSON."""
        if "keys" in values:
            values["keys"] = json.dumps(values["keys"])
        if self._engine.dialect.name != "sqlite":
            with self._engine.connect() as connection:
                return connection.execute(_clause(statement), values).all()
        # What SQLAlchemy does around such a query takes ten times as long as SQLite.
        with closing(self._engine.raw_connection()) as connection:
            cursor = connection.cursor()
            cursor.execute(statement.format(keys=_KEYS["sqlite"]), values)
            return cursor.fetchall()


@lru_cache(maxsize=64)
def _clause(statement: str) -> TextClause:
    return text(statement.format(keys=_KEYS["postgresql"]))
