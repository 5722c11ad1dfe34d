"""Who uses most of the quotas, in either database."""

from __future__ import annotations

from sqlalchemy import Engine, insert

from accounts.quota.kinds import DAY_MS, Kind, window_of
from accounts.quota.uses import TopUse, TopUses
from accounts.tables import UseRow
from dali.clock import now_ms


def test_those_are_first_who_use_most(engine: Engine) -> None:
    assert TopUses(engine).top(9) == []
    with engine.execution_options(writes=True).begin() as connection:
        now = now_ms(connection)
        today, yesterday = (window_of(Kind.CUTOUTS, moment) for moment in (now, now - DAY_MS))
        rows = [
            ("user:ada", "cutouts", today, 5, 0),
            ("user:bob", "cutouts", today, 2, 4),
            ("user:eve", "cutouts", today, 0, 0),
            ("user:eve", "cutouts", yesterday, 99, 0),
            ("user:bob", "cpu_s", today, 1500, 0),
            ("group:g", "bytes", "", 7, 1),
        ]
        names = ("subject", "kind", "day", "used", "reserved")
        connection.execute(insert(UseRow), [dict(zip(names, row, strict=True)) for row in rows])
    assert TopUses(engine).top(9) == [
        TopUse(Kind.CUTOUTS, "user:bob", 2, 4),
        TopUse(Kind.CUTOUTS, "user:ada", 5, 0),
        TopUse(Kind.CPU, "user:bob", 1.5, 0.0),
        TopUse(Kind.BYTES, "group:g", 7, 1),
    ]
    assert [one.subject for one in TopUses(engine).top(1)] == ["user:bob", "user:bob", "group:g"]
