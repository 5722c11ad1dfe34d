"""The HiPS of the demo survey is built once, where there is a demo survey."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from config import demo_hips
from config.demo import RECIPE, make_demo
from config.settings import Settings, load_settings
from tests.support.service import index_all

#: One tile of it.
SKY = replace(RECIPE, tile_px=150, groups=(replace(RECIPE.groups[0], columns=1, rows=1, showpiece=None),))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"FOUNTAIN_DATA__FOLDER": str(tmp_path)})


def test_where_there_is_no_demo_survey_nothing_is_built(settings: Settings, tmp_path: Path) -> None:
    assert not demo_hips.is_wanted(settings)
    (tmp_path / "demo").mkdir()
    assert demo_hips.is_wanted(settings)
    off = replace(settings, surveys=replace(settings.surveys, demo_hips=False))
    assert not demo_hips.is_wanted(off)


def test_its_bands_and_colours_are_built_once(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_hips, "NICE", 0)  # it is this process
    make_demo(tmp_path / "demo", workers=1, recipe=SKY)
    index_all(settings)
    demo_hips.build(settings, after_s=0, order=3)
    assert sorted(path.name for path in (settings.data.hips / "demo").iterdir()) == [
        "color-gri",
        "g",
        "i",
        "r",
    ]
    assert not demo_hips.is_wanted(settings)


def test_what_is_not_indexed_is_left(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_hips, "NICE", 0)
    (tmp_path / "demo").mkdir()
    index_all(settings)
    demo_hips.build(settings, after_s=0)
    assert demo_hips.is_wanted(settings)
