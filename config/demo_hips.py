"""The HiPS of the demo survey, built beside the service when it runs for the first time."""

from __future__ import annotations

import logging
import os
import time

from config.settings import Settings

#: What is asked of a service that has just begun goes first.
AFTER_S = 20.0
NICE = 19

_log = logging.getLogger(__name__)


def is_wanted(settings: Settings) -> bool:
    """Whether there is a demo survey, and not yet its HiPS; whether it is indexed is looked at later."""
    data = settings.data
    return settings.surveys.demo_hips and (data.path / "demo").is_dir() and not _is_built(settings)


def build(settings: Settings, after_s: float = AFTER_S, order: int | None = None) -> None:
    """Build it in this process, with what is left of the machine.

    A stop ends it, and it goes on next time.
    """
    from config.app import declared_surveys
    from config.hips import build_hips
    from surveys.errors import SurveyError

    os.nice(NICE)
    time.sleep(after_s)
    survey = next((one for one in declared_surveys(settings) if one.name == "demo"), None)
    if survey is None:
        return
    recipe = next((recipe.name for recipe in survey.recipes if len(recipe.bands) > 1), None)
    parts: list[tuple[str | None, str | None]] = [(band.label, None) for band in survey.bands]
    try:
        for band, colours in [*parts, *([(None, recipe)] if recipe else [])]:
            if not (settings.data.hips / "demo" / (band or f"color-{colours}")).exists():
                build_hips(settings, survey, band, colours, order if band else None, "auto", 1, _silent)
    except SurveyError as fault:
        # It is not indexed, or somebody builds it.
        _log.warning("the HiPS of the demo survey is not built: %s", fault)
    else:
        _log.info("the HiPS of the demo survey is built")


def _is_built(settings: Settings) -> bool:
    return any((settings.data.hips / "demo").glob("color-*"))


def _silent(done: int, of: int) -> None:
    """Tell nobody how far it is."""
