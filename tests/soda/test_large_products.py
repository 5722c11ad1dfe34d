"""Products that are put together in a file: the same bytes, nothing left behind, no room told with 503."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import surveys.execute
from tests.support.field import MIDDLE, Field
from tests.support.service import did
from uws.job import RowStatus

ASKED = {"ID": did("field/r"), **MIDDLE, "CHECKSUM": "true"}


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    made = Field(tmp_path / "field")
    yield made
    made.close()


def test_a_file_has_the_bytes_that_memory_has(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory = field.get(**ASKED)
    monkeypatch.setattr(surveys.execute, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(surveys.execute, "CHUNK_BYTES", 1000)
    answer = field.get(**ASKED)
    assert answer.data == in_memory.data
    assert answer.content_length == len(answer.data)
    # so much of it is nobody's any more when the client is gone
    answer = field.get(**ASKED)
    next(answer.iter_encoded())
    answer.close()
    assert list((field.folder / "spool").iterdir()) == []
    (outcome,) = field.run(*ASKED.items())
    assert outcome.status is RowStatus.DONE


def test_without_room_it_is_tried_later(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveys.execute, "IN_MEMORY_BYTES", 0)
    (field.folder / "spool").write_bytes(b"in the way")
    answer = field.get(**ASKED)
    assert answer.status_code == 503
    assert answer.text.startswith("ServiceUnavailable: there is no room for a large cutout while it is made")
    assert int(answer.headers["Retry-After"]) > 0
    assert str(field.folder) not in answer.text
