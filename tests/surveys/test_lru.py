"""What was used last is kept, up to a limit."""

from __future__ import annotations

from functools import partial

from surveys.lru import Lru


def test_the_least_recently_used_value_goes_first() -> None:
    cache: Lru[int, str] = Lru(2)
    made: list[int] = []

    def make(key: int) -> str:
        made.append(key)
        return str(key)

    for key in (1, 2, 1, 3, 1, 2):
        assert cache.get(key, partial(make, key)) == str(key)
    assert made == [1, 2, 3, 2]


def test_what_is_not_worth_it_is_not_kept() -> None:
    cache: Lru[int, list[int]] = Lru(2)
    for length in (1, 5, 1, 5):
        cache.get(length, partial(list, range(length)), worth=lambda value: len(value) < 3)
    assert list(cache._values) == [1]


def test_what_is_weighed_is_kept_up_to_a_weight() -> None:
    cache: Lru[str, bytes] = Lru(10, weigh=len)
    for key, size in (("a", 4), ("b", 4), ("c", 5), ("d", 11)):
        assert len(cache.get(key, partial(bytes, size))) == size
    assert list(cache._values) == ["b", "c"], "a made room for c; d, which is too heavy, drove nothing out"


def test_what_is_held_is_told_and_not_made() -> None:
    cache: Lru[str, str] = Lru(2)
    assert cache.held("a") is None
    assert cache.get("a", lambda: "made") == cache.held("a") == "made"


def test_what_is_made_anew_takes_the_place_of_the_old() -> None:
    cache: Lru[str, bytes] = Lru(10, weigh=len)
    for size in (6, 4, 6, 3):
        assert len(cache.get("a", partial(bytes, size), valid=lambda value: False)) == size
    assert cache.get("b", partial(bytes, 7)) == bytes(7)
    assert list(cache._values) == ["a", "b"]
