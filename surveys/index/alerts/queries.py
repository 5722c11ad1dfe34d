"""The statements by which alerts are found, as each database takes them, and how they are run.

They say in which order tables are read, the next one by what was found in the one before: a database that
knows little of tables that have grown by a night would go through all of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from sqlalchemy import Engine, TextClause, text

#: An alert, then its file, then the name of its survey.
_COLUMNS = (
    "a.id, a.candid, a.object, a.object_number, a.ra, a.dec, a.mjd, a.band, "
    "f.id, f.path, f.size, f.version, f.first_id, f.rows, f.bands, s.name"
)


@dataclass(frozen=True)
class Statement:
    """A statement in the words of each database."""

    sqlite: str
    postgresql: str

    @cached_property
    def clause(self) -> TextClause:
        """The one for PostgreSQL, as SQLAlchemy takes it."""
        return text(self.postgresql)


@dataclass(frozen=True, slots=True)
class _Step:
    """A table of a join: what its rows are picked by, from those of the tables before, and what they must be.

    The latter stands apart, lest PostgreSQL goes by that, through all files of a survey.
    """

    table: str
    alias: str
    condition: str
    which: str = ""


def _join(
    columns: str,
    steps: Sequence[_Step],
    rest: str = "",
    *,
    keys: bool = False,
    without: Statement | None = None,
) -> Statement:
    """Put steps together.

    SQLite joins by CROSS JOIN in the order written. PostgreSQL reads a LATERAL part for each row of the ones
    before it, and OFFSET 0 keeps it from being taken apart.

    Parameters
    ----------
    columns, rest
        What stands before FROM, and behind the conditions.
    steps
        Tables; with `keys` the first goes by ``k.value``, the members of the parameter ``keys``.
    without
        Rows are left out for which this finds something.
    """
    lite = [f"{step.table} {step.alias}" for step in steps]
    parts = [
        f"(SELECT {step.alias}.* FROM {step.table} {step.alias} WHERE {step.condition} "  # noqa: S608
        f"OFFSET 0) {step.alias}"
        for step in steps
    ]
    if keys:
        lite.insert(0, "json_each(:keys) k")
        parts.insert(
            0, "(SELECT CAST(value AS bigint) AS value FROM json_array_elements_text(CAST(:keys AS json))) k"
        )
    which = [step.which for step in steps if step.which]
    both = [step.condition for step in steps] + which, ["TRUE", *which]
    if without is not None:
        # Not by EXISTS, of which PostgreSQL would make one more join.
        both[0].append(f"({without.sqlite}) IS NULL")
        both[1].append(f"({without.postgresql}) IS NULL")
    ours, theirs = map(" AND ".join, both)
    return Statement(
        f"SELECT {columns} FROM {' CROSS JOIN '.join(lite)} WHERE {ours} {rest}",  # noqa: S608
        f"SELECT {columns} FROM {' CROSS JOIN LATERAL '.join(parts)} WHERE {theirs} {rest}",  # noqa: S608
    )


def _plain(statement: str) -> Statement:
    """Take a statement that each database takes."""
    return Statement(statement, statement)


def _file_of(alias: str, alert: str) -> str:
    """Condition: the last file that begins at or before an alert is its own."""
    last = f"SELECT id FROM lake_file WHERE first_id <= {alert} ORDER BY first_id DESC LIMIT 1"  # noqa: S608
    return f"{alias}.id = ({last})"


def _valid(alias: str) -> str:
    return (
        f"{alias}.survey_id = :survey_id AND {alias}.gen_from <= :generation AND {alias}.gen_to > :generation"
    )


_ALERT = _Step("alert", "a", "a.id = l.alert_id")
_ANY_FILE = _Step("lake_file", "f", _file_of("f", "a.id"))
_FILE = _Step("lake_file", "f", _file_of("f", "a.id"), which=_valid("f"))
_SURVEY = _Step("survey", "s", "s.id = f.survey_id")
# Of alerts with one number that counts whose file was indexed last; few have such a twin.
_TWIN = _join(
    "1",
    (
        _Step("alert_candid", "other", "other.candid = a.candid AND other.alert_id > a.id"),
        _Step("lake_file", "g", _file_of("g", "other.alert_id"), which=_valid("g")),
    ),
    "LIMIT 1",
)
_BY_ID = _Step("alert", "a", "a.id = k.value")
_BY_CANDID = _Step("alert_candid", "l", "l.candid = k.value")
_BY_OBJECT = _Step("alert_object", "l", "l.digest = k.value")
_IN_TIME = "a.mjd BETWEEN :first_mjd AND :last_mjd"

#: Alerts by their keys, of whatever generation.
BY_ID = _join(_COLUMNS, (_BY_ID, _ANY_FILE, _SURVEY), keys=True)
#: Alerts by their own numbers; of twins all.
BY_CANDID = _join(_COLUMNS, (_BY_CANDID, _ALERT, _FILE, _SURVEY), "LIMIT :most", keys=True)
#: Alerts of objects, by the digests of their names.
BY_OBJECT = _join(_COLUMNS, (_BY_OBJECT, _ALERT, _FILE, _SURVEY), "LIMIT :most", keys=True, without=_TWIN)
#: Alerts of objects in one file; of twins all.
BY_OBJECT_IN_FILE = _join(
    _COLUMNS,
    (_BY_OBJECT, _ALERT, replace(_FILE, which=f"{_FILE.which} AND f.path = :path"), _SURVEY),
    "LIMIT :most",
    keys=True,
)
#: Alerts of a time by their keys, as far as they count.
BY_ID_IN_TIME = _join(_COLUMNS, (replace(_BY_ID, which=_IN_TIME), _FILE, _SURVEY), keys=True, without=_TWIN)
#: Keys of alerts in a range of cells, after one of them. It has no more to do, lest a database sorts the
#: whole range for each page.
CELLS = _plain(
    "SELECT cell, alert_id FROM alert_cell "
    "WHERE cell BETWEEN :first AND :last AND (cell, alert_id) > (:first, :after) "
    "ORDER BY cell, alert_id LIMIT :most"
)
#: Files with alerts of a time, after one of them.
FILES = _plain(
    f"SELECT f.first_id, f.rows FROM lake_file f WHERE f.first_id > :after AND {_valid('f')} "  # noqa: S608
    "AND f.first_mjd <= :last_mjd AND f.last_mjd >= :first_mjd ORDER BY f.first_id LIMIT :most"
)
#: The file that was indexed last of those with alerts.
LAST_FILE = _plain(
    f"SELECT f.first_id, f.rows FROM lake_file f WHERE {_valid('f')} AND f.cover IS NOT NULL "  # noqa: S608
    "ORDER BY f.first_id DESC LIMIT 1"
)
COVERS = _plain(f"SELECT f.cover FROM lake_file f WHERE {_valid('f')}")  # noqa: S608
#: What is told of each file of a generation.
HELD = _plain(
    "SELECT f.bands, f.refused, f.first_mjd, f.last_mjd, f.first_id, f.rows "  # noqa: S608
    f"FROM lake_file f WHERE {_valid('f')}"
)
PAGES = _plain("SELECT packed FROM lake_pages WHERE file_id = :file_id AND kind = :kind")


class Reads:
    """Runs statements, each of which is a transaction of its own. One for all threads.

    Parameters
    ----------
    engine
        On which every query is a transaction of its own.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def rows(self, statement: Statement, **values: object) -> Sequence[Sequence[Any]]:
        """Rows of a statement; a list of ``keys`` is handed over as JSON."""
        if "keys" in values:
            values["keys"] = json.dumps(values["keys"])
        if self._engine.dialect.name != "sqlite":
            with self._engine.connect() as connection:
                return connection.execute(statement.clause, values).all()
        # What SQLAlchemy does around such a query takes ten times as long as SQLite.
        with closing(self._engine.raw_connection()) as connection:
            cursor = connection.cursor()
            cursor.execute(statement.sqlite, values)
            return cursor.fetchall()


def from_json(stored: Any) -> Any:
    """JSON as a driver hands it over: PostgreSQL's reads it, SQLite's does not."""
    return json.loads(stored) if isinstance(stored, str) else stored
