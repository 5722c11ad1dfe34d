"""What administrators see of accounts: announcements, use, the log, sessions; in either database."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, insert

from accounts.announcements import Announcements
from accounts.audit import Audit
from accounts.tables import ExecutionRow
from accounts.usage import DAY_MS, Usage, Used
from config.accounts import AccountParts
from dali.caller import Caller
from dali.clock import now_ms
from dali.errors import NotFound, UsageError
from tests.support.accounts import MAKER, later, somebody
from tests.support.databases import sqlite

SAMPLE = {"actor": "", "job_id": "", "images": 2, "failed": 0, "wait_s": 0.0}


def test_announcements_are_shown_for_their_time(engine: Engine) -> None:
    announcements = Announcements(engine, Audit(engine))
    assert not announcements.current()
    announcements.say("disks  are\nmoved", "note", 1.0, by=MAKER, reason="so that all know")
    warning = announcements.say("no cutouts", "warning", None, by=MAKER)
    announcements.say("later", "note", 1.0, by=MAKER, in_days=0.5)
    assert [(one.text, one.level) for one in announcements.current()] == [
        ("no cutouts", "warning"),
        ("disks are moved", "note"),
    ]
    assert [one.text for one in announcements.all()] == ["later", "no cutouts", "disks are moved"]
    with engine.execution_options(writes=True).begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE announcement SET from_ms = from_ms - {DAY_MS}, until_ms = until_ms - {DAY_MS}"
        )
    assert [one.text for one in Announcements(engine, Audit(engine)).current()] == ["no cutouts", "later"]
    announcements.withdraw(warning.announcement_id, by=MAKER, reason="over")
    assert [one.text for one in announcements.current()] == ["later"]
    with pytest.raises(NotFound):
        announcements.withdraw(warning.announcement_id, by=MAKER)
    first, second, *_ = Audit(engine).read(9)
    assert (first.act, first.object, first.reason) == (
        "announcement withdrawn",
        str(warning.announcement_id),
        "over",
    )
    assert (second.act, second.data["text"]) == ("announced", "later")


def test_while_the_database_is_away_the_last_announcements_are_shown(tmp_path: Path) -> None:
    with sqlite(tmp_path) as engine:
        announcements = Announcements(engine, Audit(engine), kept_s=0.0)
        announcements.say("disks are moved", "note", None, by=MAKER)
        assert [one.text for one in announcements.current()] == ["disks are moved"]
        with engine.execution_options(writes=True).begin() as connection:
            connection.exec_driver_sql("ALTER TABLE announcement RENAME TO elsewhere")
        assert [one.text for one in announcements.current()] == ["disks are moved"]


@pytest.mark.parametrize(("text", "level"), [(" ", "note"), ("x" * 501, "note"), ("x", "alarm")])
def test_announcements_that_are_none(engine: Engine, text: str, level: str) -> None:
    with pytest.raises(UsageError):
        Announcements(engine, Audit(engine)).say(text, level, None, by=MAKER)
    assert Audit(engine).read(1) == ()


def test_use_is_summed_up(engine: Engine) -> None:
    with engine.execution_options(writes=True).begin() as connection:
        now = now_ms(connection)
        rows = [
            ("local:ada", "sync", "demo", 3, 300, 1.5, 0),
            ("local:ada", "async", "demo", 4, 400, 2.0, 1),
            ("local:bob", "sync", "other", 5, 5, 0.5, 1),
            ("", "sync", "demo", 1, 1, 0.25, 9),
        ]
        connection.execute(
            insert(ExecutionRow),
            [
                {
                    **SAMPLE,
                    "account": account,
                    "how": how,
                    "survey": survey,
                    "cutouts": cutouts,
                    "bytes": size,
                    "seconds": seconds,
                    "at_ms": now - ago * DAY_MS,
                }
                for account, how, survey, cutouts, size, seconds, ago in rows
            ],
        )
    usage = Usage(engine)
    days = usage.by("day", 3, 1)
    assert [day.cutouts for day in days] == [0, 9, 3]
    assert [day.sync for day in days] == [0, 5, 3]
    assert days[0] == Used(days[0].key)
    assert days[1].key < days[2].key
    assert usage.by("user", 3, 9) == [
        Used("local:ada", 7, 0, 3, 4, 700, 3.5, 0.0),
        Used("local:bob", 5, 0, 5, 2, 5, 0.5, 0.0),
    ]
    assert [one.key for one in usage.by("user", 30, 1)] == ["local:ada"]
    assert {one.key: one.cutouts for one in usage.by("survey", 30, 9)} == {"demo": 8, "other": 5}
    assert [one.key for one in usage.by("survey", 30, 9, account="local:bob")] == ["other"]
    assert [one.key for one in usage.by("user", 30, 9, survey="demo")] == ["local:ada", ""]


def test_the_log_is_searched(engine: Engine) -> None:
    audit = Audit(engine)
    for number, name in enumerate(("local:ada", "local:bob", "local:ada")):
        actor = "local:portal" if number == 1 else ""
        audit.write(None, Caller(name, actor=actor), f"act {number % 2}", f"thing_{number}", f"Why {number}%")
    assert [entry.object for entry in audit.read(9, by="local:ada")] == ["thing_2", "thing_0"]
    assert [entry.object for entry in audit.read(9, by="local:portal")] == ["thing_1"]
    assert [entry.object for entry in audit.read(9, act="act 1")] == ["thing_1"]
    assert [entry.object for entry in audit.read(9, words="why 0%")] == ["thing_0"]
    assert [entry.object for entry in audit.read(9, words="THING_")] == ["thing_2", "thing_1", "thing_0"]
    assert audit.read(9, words="thing%") == ()
    assert audit.acts() == ("act 0", "act 1")


def test_accounts_come_by_pages(parts: AccountParts) -> None:
    for name in ("ada", "bob", "eve"):
        somebody(parts, name, groups=("readers", name))
    first = parts.people.all(most=2)
    assert [one.subject for one in first] == ["ada", "bob"]
    assert first[0].own_groups == {"readers", "ada"}
    assert [one.subject for one in parts.people.all(after=first[-1].name, most=2)] == ["eve"]
    assert [one.subject for one in parts.people.all("LOCAL:e", most=2)] == ["eve"]
    parts.people.join("local:ada", "guests", 1.0, by=MAKER)
    found = parts.people.memberships("local:ada")
    assert list(found) == ["ada", "guests", "readers"]
    assert found["ada"] is None
    assert found["guests"] is not None


def test_sessions_are_listed_until_they_end(parts: AccountParts, engine: Engine) -> None:
    name = somebody(parts, "ada").name
    parts.sessions.begin(name)
    later(engine, parts.sessions.limits.idle_s - 60)
    parts.sessions.begin(name)
    assert len(parts.sessions.of(name)) == 2
    later(engine, 61)
    (left,) = parts.sessions.of(name)
    assert left.proved_for_s == pytest.approx(61, abs=30)
    assert parts.sessions.of("local:bob") == ()


def test_a_token_is_revoked_for_a_reason(parts: AccountParts) -> None:
    ada = somebody(parts, "ada")
    parts.tokens.revoke(ada.token.token_id, by=MAKER, reason="lost")
    entry = parts.audit.read(1)[0]
    assert (entry.act, entry.object, entry.reason) == ("token revoked", ada.token.token_id, "lost")
