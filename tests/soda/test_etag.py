"""An ETag stands for the bytes: whatever changes them changes it."""

from __future__ import annotations

from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from config.app import create_app
from tests.support.service import did, index_all, settings_of, write_surveys


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("pixel_scale = 1.0", "pixel_scale = 2.0"),
        ("pixel_scale = 1.0", "pixel_scale = 1.0\nnodata = 20100"),
    ],
)
def test_what_a_declaration_says_of_pixels_counts(tmp_path: Path, was: str, becomes: str) -> None:
    write_surveys(tmp_path)
    settings = settings_of(tmp_path)
    index_all(settings)
    declaration = tmp_path / "declarations" / "tiny.toml"

    def ask(**headers: str) -> TestResponse:
        query = {"ID": did("tiny/g/a"), "CENTER": "150 0", "SIZE": "20arcsec"}
        return create_app(settings).test_client().get("/sync", query_string=query, headers=headers)

    before = ask()
    assert ask().headers["ETag"] == before.headers["ETag"]
    declaration.write_text(declaration.read_text().replace(was, becomes))
    after = ask(**{"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200
    assert after.data != before.data
    assert after.headers["ETag"] != before.headers["ETag"]
