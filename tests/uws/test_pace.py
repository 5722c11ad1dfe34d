"""What is learned of speeds: the arithmetic, on histories that are known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from uws.forecast import START_S, Forecast, Queue, Workload, forecast, spread_over
from uws.job import Row
from uws.pace import (
    FINENESS,
    TASK_S,
    Expected,
    Histogram,
    Observations,
    bin_of,
    expectation_of,
    expected,
    job_key,
    lesson,
    path_of,
    size_class,
    task_key,
    task_s,
    told,
)

#: A bin is so wide: nothing is known better than that.
BIN = 2 ** (1 / FINENESS)
KEY = "toy/fits/one/m/Tiny"


def of(ratios: Sequence[float], half_life: float = 1e9) -> Histogram:
    return Histogram().with_ratios(ratios, half_life)


class Site:
    """A site that learns, as the database does it: each run is counted under its key and the more general."""

    def __init__(self) -> None:
        self.known: dict[str, Histogram] = {}

    def learn(self, key: str, *ratios: float, half_life: float = 200.0) -> None:
        for name in path_of(key):
            self.known[name] = self.known.get(name, Histogram()).with_ratios(ratios, half_life)


@pytest.mark.parametrize(
    "ratio", [1e-9, 0.002, 0.5, 0.99, 1.0, 1.01, 7.7, 900.0, 1e9, 0.0, math.nan, math.inf]
)
def test_every_ratio_has_a_bin(ratio: float) -> None:
    histogram = of([ratio])
    assert histogram.runs == 1
    if 1 / 1024 < ratio < 1024:
        assert histogram.quantile(0.0) * (1 - 1e-9) <= ratio <= histogram.quantile(1.0) * (1 + 1e-9)
        assert histogram.middle == pytest.approx(ratio, rel=BIN - 1)


def test_quantiles_and_the_middle_are_those_of_what_was_seen() -> None:
    ratios = np.random.default_rng(1).lognormal(0.7, 0.5, 4000)
    histogram = of(ratios.tolist())
    for share in (0.05, 0.5, 0.9, 0.99):
        assert histogram.quantile(share) == pytest.approx(np.quantile(ratios, share), rel=0.1)
    half = ratios[(ratios > np.quantile(ratios, 0.25)) & (ratios < np.quantile(ratios, 0.75))]
    assert histogram.middle == pytest.approx(half.mean(), rel=0.05)
    # A tenth that is a hundred times slower does not matter to what most take.
    outliers = np.where(np.arange(4000) % 10 == 0, 100.0, ratios)
    assert of(outliers.tolist()).middle == pytest.approx(half.mean(), rel=0.2)


def test_a_histogram_stays_small_and_older_runs_fade() -> None:
    histogram = of([1.0] * 1000, half_life=50.0)
    assert histogram.runs == 1000
    assert sum(histogram.weights.values()) == pytest.approx(50 / math.log(2), rel=0.02)
    for _ in range(7):  # half-lives of a disk four times slower
        histogram = histogram.with_ratios([4.0] * 50, 50.0)
    assert histogram.weights.keys() == {bin_of(1.0), bin_of(4.0)}
    assert histogram.quantile(0.5) == pytest.approx(4.0, rel=BIN - 1)
    assert of([*[1.0] * 9, *[2.0] * 3], 5.0).weights == pytest.approx(
        of([1.0] * 9, 5.0).with_ratios([2.0] * 3, 5.0).weights
    )


def test_nothing_is_known_at_first_and_that_is_said() -> None:
    nothing = expected(KEY, {})
    assert nothing.runs == 0
    assert nothing.quantile(0.5) == pytest.approx(1.0, rel=0.02)
    assert nothing.quantile(0.9) == pytest.approx(2.0, rel=0.05)


def test_a_special_case_is_told_by_the_general_one_until_it_is_known() -> None:
    site = Site()
    site.learn(KEY, *[3.0] * 100)
    other = "toy/fits/one/m/Other"
    assert (expected(KEY, site.known).runs, expected(other, site.known).runs) == (100, 0)
    assert expected(other, site.known).quantile(0.5) == pytest.approx(3.0, rel=BIN - 1)
    site.learn(other, *[0.5] * 20)
    assert expected(other, site.known).quantile(0.5) == pytest.approx(0.5, rel=BIN - 1)
    assert expected(KEY, site.known).quantile(0.5) == pytest.approx(3.0, rel=BIN - 1)


def rows(*payloads: Mapping[str, Any]) -> list[Row]:
    return [Row(n, f"r{n}", payload) for n, payload in enumerate(payloads)]


def test_what_a_task_says_of_itself() -> None:
    common = {"template": "x", **told(KEY, 1.5, 3, 900)}
    whole, part = expectation_of(rows({}, {}, {}), common), expectation_of(rows({}), common)
    assert whole is not None
    assert part is not None
    assert (whole.key, whole.size, part.size) == (KEY, 900, 300)
    assert whole.seconds - part.seconds == pytest.approx(1.0)
    for wrong in ({}, {"pace": None}, {"pace": []}, {"pace": [1, 1.0, 1, 0]}, told(KEY, 1.0, 0)):
        assert expectation_of(rows({}), wrong) is None


def test_what_rows_say_one_by_one() -> None:
    mixed = rows(told("a/b", 1.0, 1, 10), told("a/c", 0.7, 1, 20), {}, told("a/c", 0.7, 1, 30))
    assert expectation_of(mixed, {}) == Expected("a/c", pytest.approx(2.4), 60)
    assert expectation_of(rows({}, {"pace": "?"}), {}) is None


def test_work_is_spread_over_workers() -> None:
    assert spread_over(10.0, 10.0, 1, 4) == 10.0
    assert spread_over(10.0, 5.0, 2, 2) == 5.0
    assert spread_over(100.0, 2.0, 50, 2) == pytest.approx(50.5)
    assert spread_over(100.0, 2.0, 50, 1) == 100.0


def test_what_goes_before_delays_the_start() -> None:
    tasks = Workload.of([Expected(KEY, 2.0)] * 10)
    free, busy = forecast("toy", tasks, Queue(workers=2), {}), forecast("toy", tasks, Queue(3, 60.0, 2), {})
    assert free.start_s < 0.1
    assert busy.start_s == pytest.approx(60.05, rel=0.02)
    assert busy.p50_s - free.p50_s == pytest.approx(60.0, rel=0.02)
    assert busy.p90_s - free.p90_s == pytest.approx(120.0, rel=0.05)
    assert free.p50_s < free.p90_s
    nothing = forecast("toy", Workload({}), Queue(), {}).run
    assert (nothing.runs, nothing.work_s) == (0, 0.0)
    split = forecast("toy", replace(tasks, split=Expected("toy/split", 3.0)), Queue(workers=2), {})
    assert split.run.seconds == pytest.approx(free.run.seconds + 3.0, rel=0.05)


def test_the_other_lane_goes_first_but_for_a_task_now_and_then() -> None:
    queue = Queue(workers=2, urgent_s=100.0)
    assert [queue.passed_over_s(tasks) for tasks in (1, 2, 3, 10, 1000)] == [10.0, 10.0, 20.0, 50.0, 100.0]
    one, many = (forecast("toy", Workload.of([Expected(KEY, 1.0)] * tasks), queue, {}) for tasks in (1, 50))
    assert one.start_s == pytest.approx(many.start_s) == pytest.approx(10.05, rel=0.02)
    assert (one.delay_s, many.delay_s) == (0.0, 90.0)


def test_sizes_are_few_classes() -> None:
    assert len({size_class(10.0**power) for power in range(-12, 13)}) <= 15
    assert size_class(0.9) != size_class(1.1)
    assert size_class(3.2) == size_class(9.9)


@pytest.mark.parametrize("spread", [0.1, 0.3, 0.6])
def test_estimates_hold_on_a_site_that_is_not_as_it_was_thought(spread: float) -> None:
    """The site is thrice as slow as predicted; its jobs vary as a whole and by task."""
    rng = np.random.default_rng(7)
    site = Site()
    below, above, count = 0, 0, 300
    for number in range(20 + count):
        tasks = [Expected(KEY, float(s)) for s in rng.uniform(0.1, 2.0, rng.integers(1, 40))]
        work = Workload.of(tasks)
        told = forecast("toy", work, Queue(workers=2), site.known)
        factor = 3.0 * rng.lognormal(0.0, spread)
        actual = [task.seconds * factor * rng.lognormal(0.0, 0.2) for task in tasks]
        run_s = spread_over(sum(actual), max(actual), len(actual), 2)
        if number >= 20:
            below += told.start_s + run_s <= told.p90_s
            above += told.start_s + run_s >= told.p50_s / 2
        site.learn(KEY, *(seconds / task.seconds for task, seconds in zip(tasks, actual, strict=True)))
        expected_s = work.run(site.known, 2).seconds
        site.learn(job_key("toy", expected_s), run_s / expected_s, half_life=20.0)
    assert below / count > 0.85
    assert above / count > 0.85


class Workers:
    """A site whose tasks take a fixed time and one for each row; the plan says a millisecond for a row.

    It learns what it has done as workers do (`uws.learning`).
    """

    def __init__(self, fixed_s: float, row_s: float, spread: float = 0.0) -> None:
        self.site = Site()
        self._fixed_s, self._row_s, self._spread = fixed_s, row_s, spread
        self._rng = np.random.default_rng(3)

    def told(self, *tasks: int) -> Forecast:
        return forecast("toy", self._work(tasks), Queue(workers=2), self.site.known)

    def run(self, *tasks: int) -> float:
        """Do a job whose tasks have so many rows; seconds from when it was queued."""
        took = [self._fixed_s * self._noise() + rows * self._row_s * self._noise() for rows in tasks]
        run_s = spread_over(sum(took), max(took), len(took), 2)
        for rows, took_s in zip(tasks, took, strict=True):
            key, predicted_s, actual_s = lesson(Expected(KEY, rows / 1000), took_s, self.site.known)
            self.site.learn(key, actual_s / predicted_s, half_life=50.0)
        expected_s = self._work(tasks).run(self.site.known, 2).seconds
        self.site.learn(job_key("toy", expected_s), run_s / expected_s, half_life=20.0)
        return START_S + run_s

    def _work(self, tasks: Sequence[int]) -> Workload:
        return Workload.of([Expected(KEY, rows / 1000) for rows in tasks])

    def _noise(self) -> float:
        return float(self._rng.lognormal(0.0, self._spread))


def holds(told: Forecast, actual_s: float) -> bool:
    return told.p50_s / 2 <= actual_s <= told.p90_s


@pytest.mark.parametrize("fixed_s", [0.005, 0.02, 0.08, 0.15])
def test_what_small_jobs_take_is_not_told_of_large_ones(fixed_s: float) -> None:
    workers, large = Workers(fixed_s, 0.001), [1000] * 5
    for _ in range(60):
        workers.run(1)
    told = workers.told(*large)
    assert holds(told, workers.run(*large))
    assert told.run.work_s == pytest.approx(5.0 + 5 * fixed_s, rel=0.1)


@pytest.mark.parametrize("row_s", [0.0003, 0.001, 0.004])
def test_what_large_jobs_take_is_not_told_of_small_ones(row_s: float) -> None:
    workers = Workers(0.03, row_s)
    for _ in range(20):
        workers.run(*[1000] * 5)
    told = workers.told(1)
    assert holds(told, workers.run(1))
    assert told.p90_s < 0.3
    assert workers.told(*[500] * 40).p50_s == pytest.approx(workers.run(*[500] * 40), rel=0.3)


def test_the_time_of_rows_is_learned_by_one_large_job_after_many_small_ones() -> None:
    workers, large = Workers(0.06, 0.004), [1000] * 8
    for _ in range(200):
        workers.run(1)
    for _ in range(3):
        workers.run(*large)
    assert workers.told(*large).p50_s == pytest.approx(workers.run(*large), rel=0.3)
    assert holds(workers.told(1), workers.run(1)), "what was known of small ones is still"


def test_rows_that_take_long_are_no_fixed_time() -> None:
    workers = Workers(0.02, 0.5)
    for _ in range(30):
        workers.run(1)
    assert task_s(KEY, workers.site.known) < 0.05
    assert workers.told(100).p50_s == pytest.approx(workers.run(100), rel=0.3)


@pytest.mark.parametrize(("fixed_s", "row_s"), [(0.01, 0.0003), (0.06, 0.001), (0.15, 0.005)])
@pytest.mark.parametrize("spread", [0.1, 0.35])
def test_nine_of_ten_mixed_jobs_hold_what_was_told(fixed_s: float, row_s: float, spread: float) -> None:
    workers = Workers(fixed_s, row_s, spread)
    dice = np.random.default_rng(11)
    held = []
    for number in range(90):
        tasks = [int(rows) for rows in np.exp(dice.uniform(0, 7.6, dice.choice([1, 1, 2, 10])))]
        told = workers.told(*tasks)
        actual_s = workers.run(*tasks)
        if number >= 40:
            held.append(holds(told, actual_s))
    assert sum(held) >= 0.9 * len(held)


def test_what_a_task_teaches() -> None:
    known = {task_key(KEY): of([2.0] * 50), KEY: of([0.5] * 50)}
    small, large = Expected(KEY, 0.001), Expected(KEY, 2.0)
    key, predicted_s, actual_s = lesson(small, 0.05, known)
    assert (key, predicted_s) == (task_key(KEY), TASK_S)
    assert actual_s == pytest.approx(0.05, abs=0.001)
    key, predicted_s, actual_s = lesson(large, 1.54, known)
    assert (key, predicted_s) == (KEY, 2.0)
    assert actual_s == pytest.approx(1.5, abs=0.01)
    assert lesson(small, 3.0, known)[0] == KEY
    assert lesson(large, 0.01, known)[2] == pytest.approx(0.001)


def test_observations_are_kept_until_they_are_stored() -> None:
    observations, stored = Observations(), []

    def fail(seen: Mapping[str, Sequence[float]]) -> None:
        raise OSError("no database")

    observations.add("a/b", 2.0, 1.0)
    observations.add("", 2.0, 1.0)
    observations.add("a/b", 0.0, 1.0)
    with pytest.raises(OSError, match="no database"):
        observations.store(fail)
    observations.add("a/c", 2.0, 8.0)
    observations.store(stored.append)
    observations.store(stored.append)
    assert stored == [{"a": [0.5, 4.0], "a/b": [0.5], "a/c": [4.0]}]
