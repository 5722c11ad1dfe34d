"""How fast things go here: what the past of this very site says of the times that are predicted.

A prediction is made of what is known of a piece of work before it is done; how long it took then is a ratio,
actual to predicted, and ratios are kept in histograms, one for each key. Keys are paths such as
``soda/fits/one/m/SDSS``, from what is general to what is special: of a special case of which little is known
the more general one is told, and of nothing the prediction itself. With each further run older ones count for
less, so that a new disk is learned.

A task takes some time whatever it does (`TASK_S`), and its rows take theirs. Both are learned for themselves:
what tasks of one row take tells little of those of a thousand.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from uws.job import Row

#: Bins of a factor of 2: each is 19 % wide.
FINENESS = 4
#: Ratios beyond a factor of 1000 are counted as that.
OUTERMOST = 10 * FINENESS
#: After so many further runs one counts for half of what it did: of tasks, and of jobs.
HALF_LIFE = 50.0
JOB_HALF_LIFE = 20.0
#: What is too little to be told from nothing.
LEAST_WEIGHT = 0.01
#: A more general case counts as so many runs of a special one.
GENERAL_RUNS = 4.0
#: How wrong a prediction is before anything is known, as a normal distribution of the logarithm: one in ten
#: takes longer than twice the time.
UNKNOWN_SPREAD = math.log(2.0) / 1.2816
#: Keys of what whole jobs take, of how long they wait for their start, and of what tasks take beside their
#: rows.
JOB, START, TASK = "job", "start", "task"
#: Of a task: to claim it, to hand it to the process that does it, to commit what became of it.
TASK_S = 0.02
#: That never takes longer: what does is the rows' doing.
MOST_TASK_S = 0.2
#: If more than the whole time of a task was expected of one part of it, the other took such a share.
LEAST_SHARE = 0.1
#: Where a task says of itself what to expect of it: an entry of its `common`, or of the payload of a row.
PACE = "pace"
#: Observations that wait to be stored; of more, the oldest are given up.
MOST_WAITING = 10_000


@dataclass(frozen=True, slots=True)
class Histogram:
    """Ratios that were seen.

    Parameters
    ----------
    runs
        How many there were.
    weights
        Bin -> how much of them counts still.
    """

    runs: int = 0
    weights: Mapping[int, float] = field(default_factory=dict)

    def with_ratios(self, ratios: Sequence[float], half_life: float) -> Histogram:
        """Count further runs, the last one last."""
        fade = 0.5 ** (1.0 / half_life)
        weights = {number: weight * fade ** len(ratios) for number, weight in self.weights.items()}
        for age, ratio in enumerate(reversed(ratios)):
            number = bin_of(ratio)
            weights[number] = weights.get(number, 0.0) + fade**age
        kept = {number: weight for number, weight in weights.items() if weight >= LEAST_WEIGHT}
        return Histogram(self.runs + len(ratios), kept)

    def quantile(self, share: float) -> float:
        """Ratio that such a share of runs stays below."""
        wanted = share * sum(self.weights.values())
        passed, ratio = 0.0, 1.0
        for number in sorted(self.weights):
            weight = self.weights[number]
            ratio = _edge(number + min(1.0, (wanted - passed) / weight))
            passed += weight
            if passed >= wanted:
                break
        return ratio

    @property
    def middle(self) -> float:
        """Mean of the middle half: what most take, whatever a few did that were cold, or in bad company."""
        total = sum(self.weights.values())
        first, last = total / 4, total * 3 / 4
        passed, found = 0.0, 0.0
        for number in sorted(self.weights):
            weight = self.weights[number]
            inside = min(last, passed + weight) - max(first, passed)
            found += max(0.0, inside) * _edge(number + 0.5)
            passed += weight
        return found / (last - first)


#: Histograms by key.
Known = Mapping[str, Histogram]
_NOTHING = Histogram()


def bin_of(ratio: float) -> int:
    """Give the number of the bin of a ratio; 0 begins at 1."""
    if not ratio > 0:
        return -OUTERMOST
    number = math.log2(ratio) * FINENESS
    return math.floor(max(-OUTERMOST, min(OUTERMOST - 1, number)))


def _edge(number: float) -> float:
    return math.exp2(number / FINENESS)


@cache
def _unknown() -> Histogram:
    """Give what is expected where nothing is known; of weight 1."""

    def below(number: int) -> float:
        return 0.5 * (1.0 + math.erf(math.log(_edge(number)) / UNKNOWN_SPREAD / math.sqrt(2.0)))

    numbers = range(-3 * FINENESS, 3 * FINENESS)
    weights = {number: below(number + 1) - below(number) for number in numbers}
    return Histogram(0, {number: weight / sum(weights.values()) for number, weight in weights.items()})


def path_of(key: str) -> Iterator[str]:
    """Yield the key and the more general ones, the most general first."""
    parts = key.split("/")
    for length in range(1, len(parts) + 1):
        yield "/".join(parts[:length])


def expected(key: str, known: Known) -> Histogram:
    """Tell what to expect of work of this key; `runs` tells how many of its own are known.

    A more general case tells of the other special ones: what was seen once is not to count twice.
    """
    names = list(path_of(key))
    found = _unknown().weights
    for name, special in zip(names, [*names[1:], ""], strict=True):
        own = known.get(name, _NOTHING).weights
        others = _without(own, known.get(special, _NOTHING).weights)
        total = sum(found.values())
        weights = {number: weight / total * GENERAL_RUNS for number, weight in found.items()}
        for number, weight in others.items():
            weights[number] = weights.get(number, 0.0) + weight
        found = weights
    return Histogram(known.get(key, _NOTHING).runs, found)


def _without(all_weights: Mapping[int, float], some: Mapping[int, float]) -> dict[int, float]:
    """Take some runs away from others; those of a special case fade more slowly than among all of them."""
    left = {number: weight - some.get(number, 0.0) for number, weight in all_weights.items()}
    return {number: weight for number, weight in left.items() if weight > 0.0}


def told(key: str, seconds: float, rows: int, size: int = 0) -> dict[str, Any]:
    """Write the entry of a task's `common` that says what to expect of it; of a row's payload, with 1 row.

    Parameters
    ----------
    key
        What kind of work it is.
    seconds
        How long its rows are predicted to take, by whoever knows nothing of this site.
    rows
        How many they are: of a task with fewer, tried again, as much less is expected.
    size
        Bytes that will come of it.
    """
    return {PACE: [key, round(seconds, 6), rows, size]}


@dataclass(frozen=True, slots=True)
class Expected:
    """A task: its key, and how long its rows are predicted to take, without knowledge of the site.

    `size`: bytes that will come of it.
    """

    key: str
    seconds: float
    size: int = 0


def expectation_of(rows: Sequence[Row], common: Mapping[str, Any]) -> Expected | None:
    """Read what a task says of itself, or its rows do one by one; None if nothing is said.

    Of rows of several kinds the task is of that which takes longest.
    """
    if PACE in common:
        return expectation_of_all(len(rows), common)
    kinds: dict[str, float] = {}
    size = 0
    for row in rows:
        match row.payload.get(PACE):
            case [str(key), float() | int() as seconds, 1, int(weight)]:
                kinds[key] = kinds.get(key, 0.0) + seconds
                size += weight
    if not kinds:
        return None
    return Expected(max(kinds, key=kinds.__getitem__), sum(kinds.values()), size)


def expectation_of_all(rows: int, common: Mapping[str, Any]) -> Expected | None:
    """Read what a task of so many rows says of all of them; None if it says nothing that can be used."""
    match common.get(PACE):
        case [str(key), float() | int() as seconds, int(count), int(size)] if count > 0:
            share = min(1.0, rows / count)
            return Expected(key, seconds * share, round(size * share))
        case _:
            return None


def size_class(seconds: float) -> str:
    """Sort work by how much it is, two classes for a factor of ten."""
    return str(max(-4, min(10, math.floor(2 * math.log10(max(seconds, 1e-6))))))


def job_key(kind: str, run_s: float) -> str:
    """Key of how long jobs take, of a type and so much work: it has no general case, short ones differ."""
    return f"{JOB}:{kind}:{size_class(run_s)}"


def start_key(wait_s: float) -> str:
    """Key of how long jobs wait that nothing goes before, or that something does."""
    return f"{START}:{size_class(wait_s)}"


def is_of_jobs(key: str) -> bool:
    """Whether a key is of whole jobs."""
    return key.startswith((f"{JOB}:", f"{START}:"))


def task_key(key: str) -> str:
    """Key of what tasks of a kind take beside their rows."""
    return f"{TASK}/{key}"


def task_s(key: str, known: Known) -> float:
    """Tell what a task of a kind takes beside its rows."""
    return TASK_S * expected(task_key(key), known).middle


def lesson(told: Expected, took_s: float, known: Known) -> tuple[str, float, float]:
    """Tell what a task teaches that took so long: a key, the seconds predicted, and the actual ones.

    It tells of its rows, or of what tasks take beside them: of that of which it has more, as far as is known.
    """
    beside_s = task_s(told.key, known)
    rows_s = told.seconds * expected(told.key, known).middle
    least_s = LEAST_SHARE * took_s
    if rows_s < beside_s and took_s - rows_s <= MOST_TASK_S:
        return task_key(told.key), TASK_S, max(least_s, took_s - rows_s)
    return told.key, told.seconds, max(least_s, took_s - beside_s)


class Observations:
    """Runs that were seen, kept until the next heartbeat stores them. Any thread may add some."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: list[tuple[str, float]] = []

    def add(self, key: str, predicted_s: float, actual_s: float) -> None:
        """Note how long something took."""
        if key and predicted_s > 0 and actual_s >= 0:
            with self._lock:
                self._seen.append((key, actual_s / predicted_s))

    def store(self, count: Callable[[Mapping[str, Sequence[float]]], None]) -> None:
        """Hand what was seen to `count` (`Paces.count`), by key; if that raises, it is kept."""
        with self._lock:
            seen, self._seen = self._seen, []
        by_key: dict[str, list[float]] = {}
        for key, ratio in seen:
            for name in path_of(key):
                by_key.setdefault(name, []).append(ratio)
        try:
            if by_key:
                count(by_key)
        except BaseException:
            with self._lock:
                self._seen = [*seen, *self._seen][-MOST_WAITING:]
            raise
