"""Quotas over real jobs, in real databases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from config.quotas import QuotaParts, make_quotas
from tests.support.service import settings_of

MakeQuotas = Callable[..., QuotaParts]


@pytest.fixture
def make(engine: Engine, tmp_path: Path) -> MakeQuotas:
    """Make quotas of the limits that are named; of all else there is no limit."""

    def made(**limits: str) -> QuotaParts:
        kinds = dict.fromkeys(("cutouts", "cpu_s", "bytes", "jobs", "rows", "rate"), "[]") | limits
        environ = {f"FOUNTAIN_QUOTAS__{kind.upper()}": value for kind, value in kinds.items()}
        return make_quotas(settings_of(tmp_path, environ), engine)

    return made
