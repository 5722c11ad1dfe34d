"""The small service, made once."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.service import make_service


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return make_service(tmp_path_factory.mktemp("service"))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
