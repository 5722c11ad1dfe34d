"""Cutouts that are made at once are counted in memory, and written down."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import Engine, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from accounts.quota.kinds import Kind
from accounts.quota.limits import Override
from accounts.quota.records import forget_people
from accounts.tables import ExecutionRow
from config.quotas import QuotaParts
from dali.caller import ANONYMOUS, Caller
from dali.errors import QuotaExceeded
from tests.accounts.quota.conftest import MakeQuotas

ADA = Caller("local:ada", groups=frozenset({"mates"}), actor="local:robot")


def count(quotas: QuotaParts, caller: Caller = ADA, survey: str = "tiny") -> None:
    quotas.meter.count(caller, survey, 2, 100, 0.25, 0.5)


def used(quotas: QuotaParts, kind: Kind, caller: Caller = ADA) -> list[float]:
    return [one.used for one in quotas.ledger.standings(caller) if one.kind is kind]


def test_what_was_counted_is_written_once(engine: Engine, make: MakeQuotas) -> None:
    quotas = make(cutouts="group:mates=100", cpu_s="user=100")
    start = threading.Barrier(8)

    def count_some(number: int) -> None:
        start.wait(30)
        for _ in range(25):
            count(quotas, replace(ADA, way="token" if number % 2 else "session"))
            quotas.meter.flush()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count_some, range(8)))
    count(quotas, survey="nights")
    count(quotas, ANONYMOUS)
    quotas.meter.close()
    assert used(quotas, Kind.CUTOUTS) == [201, 201]  # hers, and the group's
    assert used(quotas, Kind.CPU) == [50.25]
    assert used(quotas, Kind.CUTOUTS, ANONYMOUS) == [1]
    with engine.connect() as connection:
        rows = connection.execute(select(*ExecutionRow.__table__.columns)).mappings().all()
    of_ada = [row for row in rows if row["account"] == ADA.name]
    assert sum(row["cutouts"] for row in of_ada if row["survey"] == "tiny") == 200
    assert {row["actor"] for row in of_ada} == {"local:robot"}
    assert sum(row["bytes"] for row in rows) == 202 * 100
    assert sum(row["images"] for row in rows) == 404
    assert sum(row["seconds"] for row in rows) == sum(row["wait_s"] for row in rows) == 202 * 0.25


def test_who_has_used_up_a_quota_is_refused_from_the_next_second_on(engine: Engine, make: MakeQuotas) -> None:
    quotas = make(cutouts="user=2,anonymous=1")
    for _ in range(3):
        quotas.meter.refuse(ADA)
        count(quotas)
    quotas.meter.flush()
    with pytest.raises(QuotaExceeded, match=r"your quota of cutouts a day does not suffice: 3 of 2 used"):
        quotas.meter.refuse(ADA)
    quotas.meter.refuse(ANONYMOUS)
    quotas.meter.refuse(Caller("local:eve"))
    quotas.limits.decide(Override("user:local:ada", Kind.CUTOUTS, 10), Caller("local:boss"))
    quotas.meter.flush()
    quotas.meter.refuse(ADA)
    quotas.meter.close()


def test_nothing_is_lost_while_the_database_is_away(engine: Engine, make: MakeQuotas) -> None:
    quotas = make()
    count(quotas)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE execution RENAME TO away"))
    with pytest.raises(SQLAlchemyError):
        quotas.meter.flush()
    count(quotas)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO execution"))
    quotas.meter.close()
    assert used(quotas, Kind.CUTOUTS) == [2]


def test_names_are_forgotten_after_their_time(engine: Engine, make: MakeQuotas) -> None:
    quotas = make()
    count(quotas)
    quotas.meter.close()
    assert forget_people(engine, 10) == 0
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(update(ExecutionRow).values(at_ms=ExecutionRow.at_ms - 11 * 86_400_000))
    assert forget_people(engine, 10) == 1
    assert forget_people(engine, 10) == 0
    with engine.connect() as connection:
        row = connection.execute(select(*ExecutionRow.__table__.columns)).mappings().one()
    assert (row["account"], row["actor"], row["cutouts"], row["survey"]) == ("", "", 1, "tiny")
