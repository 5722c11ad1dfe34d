"""Accounts in real databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine

from config.accounts import AccountParts, make_accounts
from tests.support.service import make_service, settings_of


@pytest.fixture
def parts(engine: Engine, tmp_path: Path) -> Iterator[AccountParts]:
    """Accounts as the settings make them, in either database."""
    made = make_accounts(settings_of(tmp_path), engine)
    yield made
    made.close()


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """The small service; tests share it, and make accounts of their own."""
    return make_service(tmp_path_factory.mktemp("service"))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
