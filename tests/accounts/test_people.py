"""Accounts, tokens and sessions in both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text

from accounts.people import SEEN_EVERY_MS, Identity
from accounts.tokens import parse_scopes
from config.accounts import AccountParts
from dali.caller import Caller
from dali.errors import AuthorizationError, NotFound, ProtocolError, UsageError
from tests.support.accounts import MAKER, later, somebody

ADA = Identity("ldap", "ada", "Ada", "ada@example.org", frozenset(("readers",)))
HOUR_S, DAY_S = 3600, 86_400


def test_who_signs_in_is_known_from_then_on(parts: AccountParts) -> None:
    first = parts.people.seen(ADA)
    assert (first.name, first.title, first.groups, first.role) == ("ldap:ada", "Ada", {"readers"}, "user")
    parts.people.join("ldap:ada", "own", by=MAKER)
    again = parts.people.seen(Identity("ldap", "ada", "Ada B.", "ada@example.org", frozenset(("others",))))
    assert (again.title, again.groups, again.created_ms) == ("Ada B.", {"others", "own"}, first.created_ms)
    kept = parts.people.seen(Identity("ldap", "ada", groups=None))
    assert (kept.title, kept.email, kept.groups) == ("Ada B.", "ada@example.org", {"others", "own"})
    assert parts.people.seen(Identity("ldap", "ada", groups=frozenset())).groups == {"own"}


def test_equal_mail_is_not_the_same_person_and_promotes_nobody(parts: AccountParts) -> None:
    parts.people.seen(ADA)
    parts.people.change("ldap:ada", by=MAKER, role="admin")
    parts.people.join("ldap:ada", "own", by=MAKER)
    other = parts.people.seen(Identity("oidc", "ada", "Ada", "ada@example.org"))
    case = parts.people.seen(Identity("ldap", "ADA", "Ada", "ada@example.org"))
    for account in (other, case):
        assert (account.role, account.groups) == ("user", frozenset())
    assert {account.name for account in parts.people.all()} == {"ldap:ada", "oidc:ada", "ldap:ADA"}


def test_an_operator_has_the_last_word(parts: AccountParts) -> None:
    parts.people.seen(ADA)
    parts.people.change("ldap:ada", by=MAKER, disabled=True, role="admin", may_act=True)
    account = parts.people.seen(ADA)
    assert (account.disabled, account.role, account.may_act) == (True, "admin", True)
    assert parts.callers.named("ldap:ada") is None
    assert parts.callers.named("nobody:x") is None


def test_when_somebody_was_seen_is_not_written_down_each_time(parts: AccountParts, engine: Engine) -> None:
    first = parts.people.seen(ADA)
    assert parts.people.seen(ADA).seen_ms == first.seen_ms
    later(engine, SEEN_EVERY_MS / 1000)
    assert parts.people.seen(ADA).seen_ms >= first.seen_ms


def test_names_that_no_account_has(parts: AccountParts) -> None:
    for label in ("", "LDAP", "a:b", "1a", "a b", 33 * "a", "a\n"):
        with pytest.raises(UsageError, match="label"):
            parts.people.seen(Identity(label, "ada"))
    for subject in ("", " ada", "ada\n", "a\x00b", 256 * "a", "\u202eada", "a\ud800"):
        with pytest.raises(UsageError, match="name of somebody"):
            parts.people.seen(Identity("ldap", subject))
    assert parts.people.all() == ()


def test_groups_of_ones_own_end(parts: AccountParts, engine: Engine) -> None:
    parts.people.seen(ADA)
    parts.people.join("ldap:ada", "guests", 1.0, by=MAKER)
    parts.people.join("ldap:ada", "own", by=MAKER)
    assert parts.callers.named("ldap:ada").groups == {"readers", "guests", "own"}  # type: ignore[union-attr]
    later(engine, DAY_S)
    assert parts.callers.named("ldap:ada").groups == {"readers", "own"}  # type: ignore[union-attr]
    parts.people.leave("ldap:ada", "own", by=MAKER)
    with pytest.raises(NotFound, match="not in the group"):
        parts.people.leave("ldap:ada", "own", by=MAKER)
    with pytest.raises(UsageError, match="name of a group"):
        parts.people.join("ldap:ada", "a, b", by=MAKER)
    with pytest.raises(NotFound, match="no account"):
        parts.people.join("ldap:eve", "own", by=MAKER)


def test_words_find_accounts(parts: AccountParts) -> None:
    parts.people.seen(ADA)
    parts.people.seen(Identity("ldap", "bob_100%", "Bob"))
    for words, found in (
        ("ADA", ["ldap:ada"]),
        ("example.org", ["ldap:ada"]),
        ("_", ["ldap:bob_100%"]),
        ("0%", ["ldap:bob_100%"]),
        ("\\", []),
        ("", ["ldap:ada", "ldap:bob_100%"]),
    ):
        assert [account.name for account in parts.people.all(words)] == found


def test_two_sign_in_at_the_same_time(parts: AccountParts) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = {account.name for account in pool.map(lambda _: parts.people.seen(ADA), range(16))}
    assert names == {"ldap:ada"}
    assert len(parts.people.all()) == 1


def test_acts_are_written_down_with_them(parts: AccountParts) -> None:
    ada = somebody(parts, "ada", groups=("own",))
    parts.people.change(ada.name, by=Caller("ldap:boss", actor="local:tool"), reason="left", disabled=True)
    parts.tokens.revoke(ada.token.token_id, by=MAKER)
    entries = parts.audit.read(10)
    assert [entry.act for entry in entries] == [
        "token revoked",
        "account changed",
        "token made",
        "account changed",
        "group joined",
        "account made",
    ]
    changed = entries[1]
    assert (changed.account, changed.actor, changed.object, changed.reason) == (
        "ldap:boss",
        "local:tool",
        ada.name,
        "left",
    )
    assert changed.data == {"disabled": True}
    assert [entry.act for entry in parts.audit.read(1, about=ada.token.token_id)] == ["token revoked"]
    assert parts.audit.read(10, before=entries[0].audit_id)[0] == changed
    assert ada.text not in str(entries)


def test_what_fails_is_not_written_down(parts: AccountParts) -> None:
    with pytest.raises(NotFound):
        parts.people.change("ldap:nobody", by=MAKER, disabled=True)
    with pytest.raises(NotFound):
        parts.tokens.make("ldap:nobody", "x", frozenset(("read",)), by=MAKER)
    assert parts.audit.read(10) == ()


def test_a_token_ends(parts: AccountParts, engine: Engine) -> None:
    ada = somebody(parts, "ada")
    short = parts.tokens.make(ada.name, "short", frozenset(("read",)), 1, by=MAKER)
    assert [token.title for token in parts.tokens.of(ada.name)] == ["short", "tests"]
    later(engine, DAY_S - 60)
    assert parts.tokens.find(short.text) is not None
    later(engine, 61)
    assert parts.tokens.find(short.text) is None
    assert [token.title for token in parts.tokens.of(ada.name)] == ["tests"]
    later(engine, 366 * DAY_S)
    assert parts.tokens.find(ada.text) is None


def test_the_last_use_is_told_to_the_minute(parts: AccountParts, engine: Engine) -> None:
    ada = somebody(parts, "ada")
    assert ada.token.used_ms is None

    def used() -> int | None:
        assert parts.tokens.find(ada.text) is not None
        parts.tokens.notes.finish()
        return parts.tokens.of(ada.name)[0].used_ms

    first = used()
    assert first is not None
    assert used() == first
    later(engine, 60)
    assert (used() or 0) >= first


def test_only_so_many_tokens(parts: AccountParts) -> None:
    ada = somebody(parts, "ada")

    def make(number: int) -> bool:
        try:
            parts.tokens.make(ada.name, f"{number}", frozenset(("read",)), by=MAKER)
        except AuthorizationError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, range(parts.tokens.limits.max_tokens + 10)))
    assert sum(made) == parts.tokens.limits.max_tokens - 1
    parts.tokens.revoke(ada.token.token_id, by=MAKER)
    assert make(0)


def test_tokens_that_are_not_made(parts: AccountParts) -> None:
    ada = somebody(parts, "ada")
    for title in ("", "  ", "a\nb", 81 * "a"):
        with pytest.raises(UsageError, match="title"):
            parts.tokens.make(ada.name, title, frozenset(("read",)), 1, by=MAKER)
    for days in (0, -1, 367, float("nan")):
        with pytest.raises(UsageError, match="days"):
            parts.tokens.make(ada.name, "x", frozenset(("read",)), days, by=MAKER)
    assert parts.tokens.of(ada.name) == (ada.token,)


def test_the_scope_admin_is_for_administrators_to_give(parts: AccountParts) -> None:
    ada = somebody(parts, "ada")
    with pytest.raises(AuthorizationError, match="administrators"):
        parts.tokens.make(ada.name, "x", frozenset(("admin",)), by=Caller(ada.name))


def test_scopes_are_read_and_unknown_ones_named() -> None:
    assert parse_scopes(["read, SUBMIT"]) == {"read", "submit"}
    for wrong in ([], [""], ["write"], ["read", "all"]):
        with pytest.raises(ProtocolError, match="scope"):
            parse_scopes(wrong)


def test_nobody_ends_the_tokens_of_others(parts: AccountParts) -> None:
    ada, bob = somebody(parts, "ada"), somebody(parts, "bob")
    with pytest.raises(NotFound):
        parts.tokens.revoke(ada.token.token_id, by=Caller(bob.name), account=bob.name)
    assert parts.tokens.find(ada.text) is not None


def test_a_session_has_a_new_key_after_each_login(parts: AccountParts) -> None:
    planted = parts.sessions.expect({"state": "x"})
    first = parts.sessions.begin("ldap:ada", instead_of=planted)
    second = parts.sessions.begin("ldap:ada", instead_of=first)
    assert len({planted, first, second}) == 3
    assert parts.sessions.take(planted) is None
    assert parts.sessions.find(first) is None
    assert parts.sessions.find(second).account == "ldap:ada"  # type: ignore[union-attr]


def test_a_session_ends_when_nobody_uses_it(parts: AccountParts, engine: Engine) -> None:
    key = parts.sessions.begin("ldap:ada")
    for _ in range(3):
        later(engine, 8 * HOUR_S - 60)
        assert parts.sessions.find(key) is not None
        parts.sessions.notes.finish()
    later(engine, 8 * HOUR_S)
    assert parts.sessions.find(key) is None


def test_a_session_ends_at_last_whoever_uses_it(parts: AccountParts, engine: Engine) -> None:
    key = parts.sessions.begin("ldap:ada")
    for _ in range(27):
        later(engine, 6 * HOUR_S)
        assert parts.sessions.find(key) is not None
        parts.sessions.notes.finish()
    later(engine, 6 * HOUR_S)
    assert parts.sessions.find(key) is None


def test_how_long_ago_the_password_was_asked_for(parts: AccountParts, engine: Engine) -> None:
    key = parts.sessions.begin("ldap:ada")
    later(engine, 2 * HOUR_S)
    session = parts.sessions.find(key)
    assert session is not None
    assert session.proved_for_s == pytest.approx(2 * HOUR_S, abs=60)  # the machine may be slow


def test_a_login_goes_on_once_and_soon(parts: AccountParts, engine: Engine) -> None:
    key = parts.sessions.expect({"state": "x"})
    assert parts.sessions.find(key) is None  # nobody is signed in by it
    assert parts.sessions.take(key) == {"state": "x"}
    assert parts.sessions.take(key) is None
    key = parts.sessions.expect({"state": "x"})
    later(engine, 600)
    assert parts.sessions.take(key) is None
    assert parts.sessions.take(parts.sessions.begin("ldap:ada")) is None


def test_a_login_goes_on_once_whoever_else_tries(parts: AccountParts) -> None:
    key = parts.sessions.expect({"state": "x"})
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: parts.sessions.take(key), range(8)))
    assert sum(data is not None for data in taken) == 1


def test_keys_that_nobody_has(parts: AccountParts) -> None:
    key = parts.sessions.begin("ldap:ada")
    for wrong in ("", "x", 43 * "a", 43 * "é", "x" * 5000, "'; DROP TABLE session; --", f"{key}\n"):
        assert parts.sessions.find(wrong) is None
        assert parts.sessions.take(wrong) is None
        parts.sessions.end(wrong)
    assert parts.sessions.find(key) is not None


def test_all_sessions_of_an_account_end(parts: AccountParts) -> None:
    mine = [parts.sessions.begin("ldap:ada") for _ in range(3)]
    other = parts.sessions.begin("ldap:bob")
    assert parts.sessions.end_all("ldap:ada", by=MAKER) == 3
    assert [parts.sessions.find(key) for key in mine] == [None, None, None]
    assert parts.sessions.find(other) is not None


def test_a_disabled_account_is_signed_out(parts: AccountParts) -> None:
    ada = somebody(parts, "ada")
    key = parts.sessions.begin(ada.name)
    parts.people.change(ada.name, by=MAKER, disabled=True)
    assert parts.sessions.find(key) is None


def test_what_is_over_is_swept_away(parts: AccountParts, engine: Engine) -> None:
    parts.sessions.begin("ldap:ada")
    parts.sessions.expect({})
    assert parts.sessions.sweep() == 0
    later(engine, 600)
    assert parts.sessions.sweep() == 1
    later(engine, 8 * HOUR_S)
    assert parts.sessions.sweep() == 1


def test_no_secret_is_in_the_database(parts: AccountParts, engine: Engine) -> None:
    ada = somebody(parts, "ada")
    keys = [parts.sessions.begin(ada.name), parts.sessions.expect({"next": "/"})]
    parts.tokens.find(ada.text)
    with engine.connect() as connection:
        for table in ("account", "member", "token", "session", "audit", "failure"):
            dump = str(connection.execute(text(f"SELECT * FROM {table}")).all())
            for secret in (ada.text, ada.text[4:], *keys):
                assert secret not in dump


def test_no_secret_is_in_what_is_shown(parts: AccountParts) -> None:
    from accounts.gate import Shown

    made = parts.tokens.make(somebody(parts, "ada").name, "x", frozenset(("read",)), by=MAKER)
    shown = Shown(f"Bearer {made.text}", "session-key")
    assert made.text not in repr(made)
    assert made.text not in repr(shown)
    assert "session-key" not in repr(shown)


@pytest.mark.parametrize("name", ["\0", "ldap:\0", "\ud800"])
def test_nothing_is_called_what_no_database_keeps(parts: AccountParts, name: str) -> None:
    assert parts.people.get(name) is None
    with pytest.raises(NotFound):
        parts.tokens.revoke(name, by=MAKER)
