"""``fountain survey hips``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from config.cli import main
from config.settings import Settings
from tests.support.service import environ_of

Run = Callable[..., Result]


@pytest.fixture
def run(stars: Settings) -> Run:
    def run(*arguments: str) -> Result:
        return CliRunner(env=environ_of(stars.data.path)).invoke(main, ["survey", "hips", *arguments])

    return run


def test_it_says_what_it_built_and_where_it_is_served(run: Run, hips: Path) -> None:
    result = run("STARS", "G", "--workers", "1")
    assert result.exit_code == 0
    assert f"{hips}: order 5" in result.output
    assert "0 of them made now; served at /hips/stars/g" in result.output


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("stars",), 2, "name a BAND, or a recipe by --rgb"),
        (("stars", "g", "--rgb", "rgb"), 2, "name a BAND, or a recipe by --rgb"),
        (("stars", "--rgb", "rgb", "--order", "4"), 2, "--order is that of the bands"),
        (("nothing", "g"), 1, "no survey 'nothing' is declared"),
        (("stars", "z"), 1, "stars has no band 'z'"),
        (("stars", "g", "--order", "21"), 1, "the order is a number from 3 to 20; got 21"),
    ],
)
def test_what_is_wrong_is_said(run: Run, arguments: tuple[str, ...], code: int, said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == code
    assert said in result.output
    assert "Traceback" not in result.output
