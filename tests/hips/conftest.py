"""A HiPS, built once."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import Settings
from tests.hips.support import build, write_stars


@pytest.fixture(scope="session")
def stars(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a service with a survey of three bands, whose HiPS in g is built."""
    settings = write_stars(tmp_path_factory.mktemp("stars") / "data", "gri")
    build(settings)
    return settings


@pytest.fixture(scope="session")
def hips(stars: Settings) -> Path:
    """The HiPS, where it is published."""
    return stars.data.hips / "stars" / "g"
