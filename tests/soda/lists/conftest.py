"""Two small skies for the tests of lists, made once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from config.app import Parts, assemble
from tests.support.field import Field
from tests.support.service import index_all, settings_of, write_surveys


@pytest.fixture(scope="package")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """The surveys of `tests.support.service`."""
    folder = tmp_path_factory.mktemp("tiny")
    write_surveys(folder)
    index_all(settings_of(folder))
    made = assemble(settings_of(folder))
    yield made
    made.engine.dispose()


@pytest.fixture(scope="package")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    """One sky in two tiles, in three bands."""
    made = Field(tmp_path_factory.mktemp("field"))
    yield made
    made.close()
