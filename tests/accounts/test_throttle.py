"""Logins that fail too often: who waits, for how long, and who does not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest
from sqlalchemy import Engine, text

from accounts.audit import Audit
from accounts.throttle import Throttle
from dali.errors import TooManyRequests
from tests.support.accounts import later

MOST, WAIT_S, OF_ONE_ACCOUNT = 50, 60, 5
HERE, ELSEWHERE = "192.0.2.1", "198.51.100.7"


@pytest.fixture
def throttle(engine: Engine) -> Throttle:
    return Throttle(engine, lambda words: sha256(words.encode()).hexdigest(), Audit(engine), MOST, WAIT_S)


def fail(throttle: Throttle, account: str, address: str = HERE, times: int = MOST) -> None:
    for _ in range(times):
        throttle.begin(account, address)


def waits(throttle: Throttle, account: str, address: str = HERE) -> int:
    """Tell how long somebody has to wait, in seconds; 0 if not at all, and the attempt then is none."""
    try:
        throttle.unanswered(throttle.begin(account, address))
    except TooManyRequests as error:
        return error.retry_after_s
    return 0


def test_after_fifty_failures_one_has_to_wait_and_then_not(throttle: Throttle, engine: Engine) -> None:
    fail(throttle, "ldap:alice")
    with pytest.raises(TooManyRequests, match="too many logins have failed") as caught:
        throttle.begin("ldap:alice", HERE)
    assert WAIT_S - 5 < caught.value.retry_after_s <= WAIT_S
    later(engine, WAIT_S)
    throttle.succeeded(throttle.begin("ldap:alice", HERE))
    assert waits(throttle, "ldap:alice") == 0


def test_letters_of_any_case_are_one_account(throttle: Throttle) -> None:
    fail(throttle, "ldap:alice", times=25)
    fail(throttle, "ldap:ALICE", times=25)
    assert waits(throttle, "ldap:Alice") > 0


@pytest.mark.parametrize("name", ["ａlice", "𝓪lice", " ali ce ", "al\u00adice", "álice", "ALİCE"])
def test_spellings_that_a_directory_takes_for_one_are_one_account(throttle: Throttle, name: str) -> None:
    fail(throttle, "ldap:alice", times=MOST - 1)
    fail(throttle, f"ldap:{name}", times=1)
    assert waits(throttle, "ldap:alice") > 0


def test_each_further_wait_is_twice_as_long(throttle: Throttle, engine: Engine) -> None:
    for wait_s in (WAIT_S, 2 * WAIT_S, 4 * WAIT_S):
        fail(throttle, "ldap:alice")
        assert wait_s - 5 < waits(throttle, "ldap:alice") <= wait_s
        later(engine, wait_s)
        assert waits(throttle, "ldap:alice") == 0


def test_others_at_the_address_do_not_wait_for_one_script(throttle: Throttle) -> None:
    fail(throttle, "ldap:alice")
    assert waits(throttle, "ldap:bob") == 0


def test_one_address_has_so_many_for_all_accounts(throttle: Throttle) -> None:
    for number in range(MOST):
        throttle.begin(f"ldap:guess{number}", HERE)
    assert waits(throttle, "ldap:bob") > 0
    assert waits(throttle, "ldap:bob", ELSEWHERE) == 0


def test_of_one_account_few_failures_count_for_the_address(throttle: Throttle) -> None:
    for number in range(MOST // OF_ONE_ACCOUNT - 1):
        fail(throttle, f"ldap:guess{number}", times=OF_ONE_ACCOUNT + 3)
    assert waits(throttle, "ldap:bob") == 0
    fail(throttle, "ldap:last", times=OF_ONE_ACCOUNT)
    assert waits(throttle, "ldap:bob") > 0
    # who has failed before meets the closed address too
    assert waits(throttle, "ldap:guess0") > 0


def test_an_account_guessed_from_everywhere_waits_but_not_where_it_has_been(
    throttle: Throttle,
) -> None:
    throttle.succeeded(throttle.begin("ldap:alice", HERE))
    for number in range(MOST):
        throttle.begin("ldap:alice", f"203.0.113.{number}")
    assert waits(throttle, "ldap:alice", ELSEWHERE) > 0
    assert waits(throttle, "ldap:alice", HERE) == 0


def test_who_has_signed_in_here_does_not_wait_for_others_here(throttle: Throttle) -> None:
    throttle.succeeded(throttle.begin("ldap:alice", HERE))
    for number in range(MOST):
        throttle.begin(f"ldap:guess{number}", HERE)
    assert waits(throttle, "ldap:bob") > 0
    assert waits(throttle, "ldap:alice") == 0
    fail(throttle, "ldap:alice")
    assert waits(throttle, "ldap:alice") > 0


def test_it_is_all_forgotten_after_a_day(throttle: Throttle, engine: Engine) -> None:
    fail(throttle, "ldap:alice", times=MOST - 1)
    later(engine, 86_400)
    fail(throttle, "ldap:alice", times=2)
    assert waits(throttle, "ldap:alice") == 0
    later(engine, 86_400)
    throttle.succeeded(throttle.begin("ldap:bob", HERE))
    with engine.connect() as connection:
        keys = connection.execute(text("SELECT key FROM failure")).scalars().all()
    # Of alice nothing is left; of bob's success, its address and that it is his.
    assert len(keys) == 3


def test_the_right_password_counts_for_nothing(throttle: Throttle) -> None:
    for _ in range(2 * MOST):
        throttle.succeeded(throttle.begin("ldap:alice", HERE))
    for _ in range(2 * MOST):
        throttle.unanswered(throttle.begin("ldap:alice", HERE))
    assert waits(throttle, "ldap:alice") == 0


def test_the_last_that_is_let_through_may_be_right(throttle: Throttle) -> None:
    fail(throttle, "ldap:alice", times=MOST - 1)
    throttle.succeeded(throttle.begin("ldap:alice", HERE))
    assert waits(throttle, "ldap:alice") == 0


def test_many_at_a_time_are_no_more_than_one_by_one(throttle: Throttle) -> None:
    def try_it(number: int) -> bool:
        try:
            throttle.begin("ldap:alice", f"203.0.113.{number % 3}")
        except TooManyRequests:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        let_through = sum(threads.map(try_it, range(MOST + 20)))
    assert let_through == MOST


def test_addresses_of_one_customer_are_one(throttle: Throttle) -> None:
    for number in range(MOST):
        throttle.begin(f"ldap:guess{number}", f"2001:db8:1:2:{number:x}::1")
    assert waits(throttle, "ldap:bob", "2001:db8:1:2::ffff") > 0
    assert waits(throttle, "ldap:bob", "2001:db8:1:3::1") == 0
    assert waits(throttle, "ldap:bob", "") == 0


def test_nobody_stands_in_the_table_and_the_audit_tells_who_had_to_wait(
    throttle: Throttle, engine: Engine
) -> None:
    fail(throttle, "ldap:alice", times=MOST)
    waits(throttle, "ldap:alice")
    with engine.connect() as connection:
        keys = " ".join(connection.execute(text("SELECT key FROM failure")).scalars())
    assert "alice" not in keys
    assert HERE not in keys
    entries = Audit(engine).read(10)
    assert [(entry.act, entry.object) for entry in entries] == [("login failed too often", "ldap:alice")]
    assert entries[0].data == {"failures": MOST, "address": HERE}
