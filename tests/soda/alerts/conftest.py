"""A service of the real samples of alerts, made once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.alert_service import LAKES, RealAlert, make_alert_service, real_alerts

#: The lake of the closed survey, once more, for everybody.
OPEN = {"open-alerts": LAKES["closed-alerts"]}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the service, once `app` has made it."""
    return tmp_path_factory.mktemp("alerts")


@pytest.fixture(scope="session")
def app(folder: Path, real_data: Path) -> Flask:
    return make_alert_service(folder, real_data, more=OPEN)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="session")
def alerts(real_data: Path) -> dict[str, list[RealAlert]]:
    """Alerts of the open surveys."""
    found = {survey: list(real_alerts(real_data, survey)) for survey in ("ztf-alerts", "rubin-alerts")}
    of_closed = real_alerts(real_data, "closed-alerts")
    return {**found, "open-alerts": [replace(alert, survey="open-alerts") for alert in of_closed]}
