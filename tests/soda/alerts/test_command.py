"""``fountain cutout`` gives the bytes of the service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask

from config.cli import main
from tests.support.alert_service import LARGER, RealAlert
from tests.support.service import environ_of


@pytest.mark.parametrize("name", ["x.fits", "x.json"])
def test_a_stamp_is_written_to_a_file(
    app: Flask, folder: Path, tmp_path: Path, alerts: dict[str, list[RealAlert]], name: str
) -> None:
    alert = alerts["ztf-alerts"][1]
    out = tmp_path / name
    asked = ["cutout", f"{alert.dataset}/Science", "-o", str(out)]
    done = CliRunner().invoke(main, asked, env=environ_of(folder, LARGER))
    assert done.exit_code == 0, done.output
    if name.endswith("fits"):
        assert out.read_bytes() == alert.fits("Science")
    else:
        assert len(json.loads(out.read_bytes())) == 63


def test_what_is_wrong_is_told(app: Flask, folder: Path, tmp_path: Path) -> None:
    asked = ["cutout", "ztf-alerts/alert/1/Science", "-o", str(tmp_path / "x.fits")]
    done = CliRunner().invoke(main, asked, env=environ_of(folder, LARGER))
    assert done.exit_code != 0
    assert "there is no alert 1" in done.output
    assert not (tmp_path / "x.fits").exists()
