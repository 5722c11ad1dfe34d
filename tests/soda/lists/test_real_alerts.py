"""Lists over real alerts, of ZTF and of Rubin: every stamp is what pyarrow reads."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from config.app import Parts, assemble
from soda.jobtype import SodaJobs
from soda.lists.service import ListLimits
from soda.targets import TargetLimits
from surveys.planner import Limits
from tests.soda.lists.lists import LIMITS, ListJob, content, kind_of
from tests.support.alert_service import make_alert_service, real_alerts
from tests.support.alerts import KINDS
from tests.support.service import did, settings_of

SURVEYS = ("ztf-alerts", "rubin-alerts")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> Iterator[Parts]:
    folder = tmp_path_factory.mktemp("real-alerts")
    make_alert_service(folder, real_data)
    made = assemble(settings_of(folder))
    yield made
    made.engine.dispose()


@pytest.fixture
def kind(parts: Parts) -> SodaJobs:
    lists = ListLimits(TargetLimits(), max_rows=20_000)
    return kind_of(parts, replace(LIMITS, cutout=Limits(1 << 22, 1 << 26), lists=lists))


@pytest.mark.parametrize("survey", SURVEYS)
def test_every_stamp_by_the_number_of_its_alert(
    kind: SodaJobs, tmp_path: Path, real_data: Path, survey: str
) -> None:
    alerts = real_alerts(real_data, survey)
    table = "candid\n" + "".join(f"{alert.candid}\n" for alert in alerts)
    ids = [("ID", did(f"{survey}/{stamp}")) for stamp in KINDS]
    found = ListJob(kind, tmp_path, table, *ids).run()
    assert len(found) == len(KINDS) * len(alerts)
    names = set()
    for row, alert in enumerate(alerts, start=1):
        for stamp in KINDS:
            outcome = found[f"r{row}-{stamp}"]
            assert outcome.verdict == "ok", outcome.message
            assert hashlib.sha256(content(outcome)).digest() == hashlib.sha256(alert.fits(stamp)).digest()
            names.add(outcome.files[0].file_name.lower())
        assert (outcome.facts["ra"], outcome.facts["dec"]) == pytest.approx((alert.ra_deg, alert.dec_deg))
        assert outcome.facts["band"] == alert.band
    assert len(names) == len(found)


@pytest.mark.parametrize("survey", SURVEYS)
def test_every_object_with_all_its_epochs(
    kind: SodaJobs, tmp_path: Path, real_data: Path, survey: str
) -> None:
    by_object: dict[str, set[int]] = {}
    for alert in real_alerts(real_data, survey):
        by_object.setdefault(alert.object_id, set()).add(alert.candid)
    by_object.pop("", None)
    table = "object\n" + "".join(f"{name}\n" for name in by_object)
    found = ListJob(kind, tmp_path, table, ("ID", did(f"{survey}/Difference"))).run()
    for candids, outcome in zip(by_object.values(), found.values(), strict=True):
        assert outcome.verdict == "ok", outcome.message
        with fits.open(io.BytesIO(content(outcome))) as hdus:
            np.testing.assert_array_equal(sorted(hdus["EPOCHS"].data["candid"]), sorted(candids))
