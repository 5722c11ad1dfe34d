"""Real providers, one of each for all tests of a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.slapd import Slapd, slapd


@pytest.fixture(scope="session")
def directory_server() -> Iterator[Slapd]:
    """A directory that no test changes."""
    with slapd() as server:
        yield server
