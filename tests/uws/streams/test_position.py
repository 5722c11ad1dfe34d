"""Where streams are, as clients carry it with them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.uws.streams.support import changed
from uws.streams.position import MEMORY_MS, MOST, OVERLAP_MS, Position

NOW = 1_800_000_000_000


def test_what_is_old_is_told_and_what_is_new_is_not() -> None:
    position = Position(NOW)
    assert position.has(changed("a", 1, NOW - OVERLAP_MS - 1))
    assert not position.has(changed("a", 1, NOW - OVERLAP_MS))
    assert not position.has(changed("a", 1, NOW + 1))


def test_a_state_is_told_once_and_the_next_one_again() -> None:
    position = Position(NOW)
    position.take(changed("a", 7, NOW))
    assert position.has(changed("a", 7, NOW))
    assert position.has(changed("a", 6, NOW - 1))
    assert not position.has(changed("a", 8, NOW + 1))
    assert not position.has(changed("b", 7, NOW))


def test_whoever_comes_back_goes_on_there() -> None:
    position = Position(NOW)
    for name, seq in (("a", 7), ("b", 2**31)):
        position.take(changed(name, seq, NOW))
    back = Position.parse(str(position))
    assert back.has(changed("a", 7, NOW))
    assert back.has(changed("b", 2**31, NOW))
    assert not back.has(changed("a", 8, NOW))
    assert not back.has(changed("c", 1, NOW - 1000)), "it has come to light since"
    assert str(back) == str(position)


def test_what_is_behind_is_carried_no_longer() -> None:
    position = Position(NOW)
    position.take(changed("a", 7, NOW))
    with_a = len(str(position))
    position.advance(NOW + OVERLAP_MS + 1)
    assert len(str(position)) < with_a
    assert position.has(changed("a", 7, NOW)), "it is remembered here"
    position.advance(NOW - 10)
    assert position.floor_ms == NOW + 1, "there is no way back"
    assert not position.has(changed("late", 1, NOW)), "something took long to come to light"


def test_a_stream_that_lasts_holds_no_more_and_more() -> None:
    position = Position(NOW)
    for number in range(3 * MOST):
        position.take(changed(f"{number}", 1, NOW + number))
    assert len(str(position)) < 4096
    position.advance(NOW + MEMORY_MS + 2 * MOST)
    assert len(position._told) <= MOST
    assert all(position.has(changed(f"{number}", 1, NOW + number)) for number in range(3 * MOST))


@pytest.mark.parametrize(
    "text", ["", "x", "-", "١-", "123456789012345678-", "1-AAAA", "1-é", "1-====", "1-\n", "1 -"]
)
def test_other_texts_are_no_positions(text: str) -> None:
    with pytest.raises(ValueError, match="no position"):
        Position.parse(text)


def test_a_change_of_a_job_that_is_gone_is_one_too() -> None:
    position = Position(NOW)
    position.take(changed("a", 7, NOW))
    assert not position.has(replace(changed("a", 8, NOW), is_gone=True))
