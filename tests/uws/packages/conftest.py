"""One service of packed toys for a module, and one job of it that all may read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.packed import Toys, toys

WORDS = (["ok", "empty", "ok", "failed", "dull", "poison", "ok"] * 6)[:40]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toys]:
    with toys(tmp_path_factory.mktemp("toys")) as made:
        yield made


@pytest.fixture(scope="module")
def job(served: Toys) -> str:
    """Path of a job that has ended."""
    return f"/async/{served.make(WORDS)}"


@pytest.fixture(scope="module")
def running(served: Toys) -> str:
    """Path of a job of which something is done."""
    return f"/async/{served.make(WORDS, left=2)}"
