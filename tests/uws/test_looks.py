"""How long browsers keep small pictures of results."""

from __future__ import annotations

from pathlib import Path

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from dali.parameters import Parameters
from soda.gate import PixelGate
from soda.viewing import ProductViewer
from uws.job import Result, RowStatus
from uws.looks.views import Looks
from uws.results import ResultStore

KEPT, ASKED_FOR = "private, max-age=86400", "private, no-cache"


@pytest.mark.parametrize(("is_open", "cached"), [(True, KEPT), (False, ASKED_FOR)])
def test_pictures_of_closed_data_are_asked_for_each_time(tmp_path: Path, is_open: bool, cached: str) -> None:
    looks = Looks(
        ProductViewer(PixelGate(1, 1.0)), ResultStore(str(tmp_path / "results"), tmp_path / "spool")
    )
    request = Request(EnvironBuilder(headers=[("If-None-Match", "*")]).get_environ())
    result = Result("r1", 1, 0, RowStatus.DONE, "", "image/png", "a.png", "c", 0, 1, 0, "0" * 64)
    for look in (looks.thumbnail, looks.header):
        answer = look(result, Parameters({}), request, is_open=is_open)
        assert answer.status_code == 304
        assert answer.headers["Cache-Control"] == cached
