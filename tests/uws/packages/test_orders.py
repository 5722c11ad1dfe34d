"""Rows in other orders than their own, from any place on, and as few columns as are wanted."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import pytest

from dali.errors import ServiceUnavailable
from tests.support.packed import BASE, Toys, label_of
from tests.uws.packages.conftest import WORDS
from uws.packages.orders import AT_ONCE, MOST_WAITING, Order, Orders, in_order

KEYS = [(0, 0), (1, 0), (1, 1), (2, 0), (4, 0)]
ALL = [f"r{n + 1}" for n in range(len(WORDS))]


@pytest.mark.parametrize(
    ("values", "descending", "expected"),
    [
        (None, False, [0, 1, 2, 3, 4]),
        ([3, None, 1.5, -2, 3], False, [3, 2, 0, 4, 1]),
        ([3, None, 1.5, -2, 3], True, [0, 4, 2, 3, 1]),
        (["10", "9", "", "1e2", "-1"], False, [4, 1, 0, 3, 2]),  # texts of numbers
        (["b", "A", "c", None, "10"], False, [4, 1, 0, 2, 3]),
        (["b", "A", "c", None, "10"], True, [2, 0, 1, 4, 3]),
        ([float("nan"), 1.0, None, 0.0, 2.0], False, [0, 3, 1, 4, 2]),
        ([True, False, None, True, False], False, [1, 4, 0, 3, 2]),
    ],
)
def test_an_order(values: list[Any] | None, descending: bool, expected: list[int]) -> None:
    order = in_order(KEYS, values, descending=descending)
    assert order.keys(0, len(order)) == [KEYS[place] for place in expected]
    assert order.place_after(KEYS[expected[1]]) == 2
    assert order.place_after((9, 9)) is None


def test_an_order_of_nothing() -> None:
    assert in_order([]).keys(0, 10) == []


def test_orders_are_kept_as_long_as_rows_are_the_same() -> None:
    orders, made = Orders(), []

    def make() -> Order:
        made.append(1)
        return in_order(KEYS[: len(made) + 1])

    first = orders.of("job", "a", 1, make)
    assert orders.of("job", "a", 1, make) is first
    # It is of a moment ago, which is new enough unless a row is known that it does not have.
    assert orders.of("job", "a", 2, make) is first
    second = orders.of("job", "a", 2, make, having=KEYS[2])
    assert len(second) == 3
    assert orders.of("job", "b", 1, make) is not second


def test_few_wait_for_an_order_and_none_of_another_job() -> None:
    orders, begun, go_on = Orders(), threading.Event(), threading.Event()

    def slow() -> Order:
        begun.set()
        go_on.wait()
        return in_order(KEYS)

    others = next(name for name in map(str, range(100)) if hash(name) % AT_ONCE != hash("job") % AT_ONCE)
    with ThreadPoolExecutor(1 + MOST_WAITING + 1) as pool:
        asked = [pool.submit(orders.of, "job", 0, 1, slow)]
        try:
            begun.wait()
            asked += [pool.submit(orders.of, "job", n, 1, slow) for n in range(1, MOST_WAITING + 2)]
            # One is more than wait, and is told so at once; the others are still there.
            refused = next(as_completed(asked))
            assert isinstance(refused.exception(), ServiceUnavailable)
            assert len(orders.of(others, 0, 1, lambda: in_order(KEYS))) == len(KEYS)
        finally:
            go_on.set()
    assert sum(one.exception() is None for one in asked) == 1 + MOST_WAITING


def test_orders_are_kept_as_far_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    orders, made = Orders(), []

    def make() -> Order:
        made.append(1)
        return in_order(KEYS, ["x" * 1000] * len(KEYS))

    monkeypatch.setattr("uws.packages.orders.KEPT_BYTES", 2 * make().size)
    for which in (0, 1, 2, 2, 1, 0):
        orders.of("job", which, 1, make)
    assert len(made) - 1 == 4  # the first was let go when the third came, and is made again


def read(served: Toys, job: str, **query: Any) -> dict[str, Any]:
    shown = served.client.get(f"{job}/ledger", query_string=query)
    assert shown.status_code == 200, shown.text
    told: dict[str, Any] = shown.json
    return told


def ids(told: dict[str, Any]) -> list[str]:
    return [row["result_id"] for row in told["rows"]]


def test_rows_are_sorted_by_columns(served: Toys, job: str) -> None:
    told = read(served, job, SORT="dec")
    assert ids(told) == ALL[::-1]
    assert told["by"] == sorted(told["by"])
    assert ids(read(served, job, SORT="dec,desc")) == ALL
    assert ids(read(served, job, SORT="Colour", LIMIT="3")) == ["r2", "r4", "r6"]
    assert told["matched"] == len(ALL)


def test_sorted_pages_follow_each_other(served: Toys, job: str) -> None:
    chosen: dict[str, Any] = {
        "SORT": "colour,desc",
        "STATUS": "ok,failed",
        "TEXT": "star",
        "COLUMNS": "result_id",
    }
    whole = read(served, job, **chosen)
    url, found = f"{job}/ledger?{'&'.join(f'{name}={value}' for name, value in chosen.items())}&LIMIT=3", []
    while url:
        page = served.client.get(url.removeprefix(BASE)).json
        assert len(page["rows"]) <= 3
        found += ids(page)
        url = page["next"]
    assert found == ids(whole)
    assert len(found) == whole["matched"] > 6


def test_a_page_begins_anywhere(served: Toys, job: str) -> None:
    told = read(served, job, OFFSET="38", COLUMNS="result_id, status")
    assert (ids(told), told["offset"], told["matched"], told["next"]) == (ALL[38:], 38, 40, None)
    assert [list(row) for row in told["rows"]] == [["result_id", "status"]] * 2
    assert read(served, job, OFFSET="40")["rows"] == []


def test_other_formats_are_sorted_too(served: Toys, job: str) -> None:
    lines = served.client.get(f"{job}/ledger?FORMAT=jsonl&SORT=dec&COLUMNS=result_id").text.splitlines()
    assert [json.loads(line) for line in lines] == [{"result_id": name} for name in ALL[::-1]]


def test_words_are_looked_for_in_names_and_messages(served: Toys, job: str) -> None:
    assert ids(read(served, job, TEXT='a "b", <C>')) == ["r2"]
    assert ids(read(served, job, TEXT="IT IS FAILED")) == [
        name for name, word in zip(ALL, WORDS, strict=True) if word == "failed"
    ]
    assert ids(read(served, job, TEXT="%")) == []
    assert [row["id"] for row in read(served, job, TEXT="star 7")["rows"]] == [label_of(7)]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SORT=nothing", "SORT is a column"),
        ("SORT=sent:dec", "SORT is a column"),
        ("COLUMNS=nothing", "COLUMNS are columns"),
        ("OFFSET=-1", "OFFSET is a whole number"),
        ("OFFSET=1&AFTER=3", "AFTER and OFFSET"),
        ("SORT=dec&AFTER=999", "AFTER is none of these rows"),
    ],
)
def test_what_is_wrong_is_said(served: Toys, job: str, query: str, says: str) -> None:
    refused = served.client.get(f"{job}/ledger?{query}")
    assert refused.status_code == 400
    assert says in refused.text


def test_failures_are_grouped_by_their_cause(served: Toys, job: str) -> None:
    told = served.client.get(f"{job}/causes").json
    assert told["statuses"] == {word: WORDS.count(word) for word in set(WORDS)}
    found = {cause["text"]: (cause["kind"], cause["rows"]) for cause in told["causes"]}
    assert found["UsageError: it is failed"] == ("row", WORDS.count("failed"))
    assert found["UsageError: it is poison"] == ("crash", WORDS.count("poison"))
    assert served.client.get(f"{job}/causes?X=1").status_code == 400


def test_files_that_nobody_draws(served: Toys, job: str) -> None:
    for look in ("thumbnail", "header"):
        assert served.client.get(f"{job}/results/r1/{look}").status_code == 404
