"""The real samples, indexed once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.surveys.alerts.shop import Shop, real_surveys, shop_of


@pytest.fixture(scope="module")
def shops(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Shop]]:
    """Shops of the real samples by the name of their survey: ztf, raw, rubin."""
    with ExitStack() as stack:
        yield {
            survey.name: stack.enter_context(shop_of(survey, tmp_path_factory.mktemp("index")))
            for survey in real_surveys(real_data)
        }


@pytest.fixture(scope="module")
def ztf(shops: dict[str, Shop]) -> Shop:
    """Alerts of ZTF: gzipped stamps without WCS, north down."""
    return shops["ztf"]


@pytest.fixture(scope="module")
def rubin(shops: dict[str, Shop]) -> Shop:
    """Alerts of Rubin: plain stamps of three HDUs, with a WCS that lacks CTYPE."""
    return shops["rubin"]
