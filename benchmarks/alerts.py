"""Stamps of alerts out of Parquet: one by its object, many by a list; against brokers' way with pyarrow."""

from __future__ import annotations

import gzip
import http.client
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import cast
from urllib.parse import quote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.jobs import ENDED
from benchmarks.lists import MEMORY
from benchmarks.service import FOUNTAIN, SETTLE_S, did_of, serving
from benchmarks.table import Row, medians_ms
from config.app import Parts, assemble
from config.database import prepare
from config.kernels import load_kernels
from config.settings import load_settings
from soda.lists.stamped import LookedUp
from surveys.alerts.planner import plan_records
from surveys.alerts.together import ReadTogether
from surveys.index.catalog import Catalog
from surveys.index.ingest import index_survey
from surveys.request import CutoutRequest
from tests.support.alerts import MadeAlert, alerts_table
from uws.containers import ContainerWriter
from uws.jobtype import File

#: Alerts of the lake: three stamps of 14 kB each make it one of 100 MB.
ALERTS = 2400
GROUP = 100
#: The lake of many files: so many, of so many alerts.
FILES, ALERTS_OF_A_FILE = 1000, 2
RUNS, PEER_RUNS = 200, 40
LISTED = 1000
WORKERS = 2
_BOUNDARY = "a-line-that-is-in-no-table"

DECLARATION = """
title = "Alerts"
kind = "alerts"
root = "{root}"
path = "**/*.parquet"
pixel_scale = 1.01
stamp_radius = 32.0
[bands]
g = {{ em_min_m = 3.7e-7, em_max_m = 5.6e-7, word = "1" }}
r = {{ em_min_m = 5.5e-7, em_max_m = 7.3e-7, word = "2" }}
i = {{ em_min_m = 6.9e-7, em_max_m = 8.9e-7, word = "3" }}
[columns]
object = "objectId"
candidate = "candid"
ra = "candidate.ra"
dec = "candidate.dec"
time = {{ column = "candidate.jd", format = "jd", scale = "utc" }}
band = "candidate.fid"
[stamps]
Science = "cutoutScience.stampData"
Template = "cutoutTemplate.stampData"
Difference = "cutoutDifference.stampData"
"""
LAYOUTS = {"one": "one row group", "groups": f"row groups of {GROUP}"}

Address = tuple[str, int]


def rows(folder: Path) -> Iterator[Row]:
    """Measure; the lakes are made in `folder`."""
    load_kernels()  # as a service does
    lakes, data = folder / "lakes", folder / "lakes-data"
    make_lakes(lakes)
    parts = make_service(lakes, data)
    for name in LAYOUTS:
        yield _by_object(parts, name, next((lakes / name).glob("*.parquet")))
    yield _many_files(parts)
    bare = _bare_rate(parts)
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else folder) as results:
        yield from _over_http(parts, data, Path(results), bare)
    parts.engine.dispose()


def make_lakes(folder: Path) -> None:
    """Write the same alerts in both layouts, and some of them into one file and into many."""
    table = alerts_table([MadeAlert(number, epochs=1) for number in range(ALERTS)])
    some = table.slice(0, FILES * ALERTS_OF_A_FILE)
    _write(table, folder / "one" / "part-0.parquet", ALERTS)
    _write(table, folder / "groups" / "part-0.parquet", GROUP)
    _write(some, folder / "single" / "part-0.parquet", ALERTS_OF_A_FILE)
    for number in range(FILES):
        part = some.slice(number * ALERTS_OF_A_FILE, ALERTS_OF_A_FILE)
        _write(part, folder / "many" / f"part-{number:04d}.parquet", ALERTS_OF_A_FILE)


def _write(table: pa.Table, path: Path, row_group_size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=row_group_size, use_dictionary=False, compression="snappy")


def make_service(lakes: Path, data: Path) -> Parts:
    """Declare the lakes and index them."""
    data.mkdir()
    for lake in lakes.iterdir():
        (data / f"{lake.name}.toml").write_text(DECLARATION.format(root=lake))
    parts = assemble(load_settings(_environment(data)))
    prepare(parts.engine)
    for lake in lakes.iterdir():
        index_survey(parts.engine, parts.catalog.survey(lake.name))
    return parts


def _environment(data: Path) -> dict[str, str]:
    return {"FOUNTAIN_DATA__FOLDER": str(data), "FOUNTAIN_SURVEYS__DECLARATIONS": str(data)}


def _order(seed: int, most: int = ALERTS) -> list[MadeAlert]:
    """All alerts in an order in which one follows another of another page, as a rule."""
    return [MadeAlert(int(n), epochs=1) for n in np.random.default_rng(seed).permutation(most)]


def _forget(parts: Parts) -> None:
    """Let all pages go; files are open, as those of a service are."""
    lakes = parts.catalog.alerts.lakes
    for kept in (lakes.pages, lakes.groups, lakes.peeked):
        kept.clear()


def _stamp_by_object(parts: Parts, survey: str, alerts: Sequence[MadeAlert]) -> Callable[[int], bytes]:
    """Look an object up, read the stamp of its alert, and inflate it."""
    catalog, engine = parts.catalog, parts.soda
    of = catalog.survey(survey)

    def ours(run: int) -> bytes:
        records = catalog.alerts.epochs(of, alerts[run % len(alerts)].object_id)
        request = CutoutRequest(f"{records[0].dataset}/Science")
        return engine.execute(plan_records(request, of, records, catalog, engine.limits)).tobytes()

    return ours


def _by_object(parts: Parts, survey: str, path: Path) -> Row:
    alerts = _order(1)
    ours = _stamp_by_object(parts, survey, alerts)

    def peer(run: int) -> bytes:
        wanted = [("objectId", "=", alerts[run % len(alerts)].object_id)]
        found = pq.read_table(path, filters=wanted, columns=["objectId", "cutoutScience"])
        return gzip.decompress(found["cutoutScience"][0].as_py()["stampData"])

    assert ours(1) == peer(1), "another stamp"
    took = medians_ms((ours, RUNS), (peer, PEER_RUNS), before=lambda: _forget(parts))
    size = path.stat().st_size / 1e6
    what = f"Alerts: one stamp by its object, {size:.0f} MB in {LAYOUTS[survey]}, no page kept"
    return Row(what, took[0], took[1], "ms", "read_table(filters=…)", "faster", 5.0)


def _many_files(parts: Parts) -> Row:
    alerts = _order(2, FILES * ALERTS_OF_A_FILE)
    many, one = (_stamp_by_object(parts, survey, alerts) for survey in ("many", "single"))
    took = medians_ms((many, RUNS), (one, RUNS))
    what = f"Alerts: one stamp by its object, {FILES:,} files"
    return Row(what, took[0], took[1], "ms", "one file", "within", 1.5)


def _bare_rate(parts: Parts) -> float:
    """Stamps per second of one process that writes them into a container, without any service."""
    catalog, survey = parts.catalog, parts.catalog.survey("one")
    names = [f"alert/{alert.candid}" for alert in _order(3)[:LISTED]]
    _forget(parts)
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        start = time.perf_counter()
        found = LookedUp(catalog, survey, names)
        plans = [parts.soda.plan(CutoutRequest(f"one/{name}/Science")) for name in names]
        together = ReadTogether(catalog, plans, {one.id: one for one in found.all()})
        held = replace(parts.soda, catalog=cast(Catalog, together))
        writer = ContainerWriter(Path(folder) / "stamps.zip")
        for number, plan in enumerate(plans):
            result = held.execute(plan)
            writer.add(File(f"r{number}", result.file_name, result.media_type, result.chunks()))
        writer.seal()
        return LISTED / (time.perf_counter() - start)


def _over_http(parts: Parts, data: Path, results: Path, bare: float) -> Iterator[Row]:
    environment = os.environ | {
        **_environment(data),
        "FOUNTAIN_LOG__LEVEL": "warning",
        "FOUNTAIN_JOBS__RESULTS_URL": str(results),
        "FOUNTAIN_JOBS__WORKERS": str(WORKERS),
        "FOUNTAIN_JOBS__HIGH_WORKERS": "0",
        "FOUNTAIN_QUOTAS__RATE": "user=60_000_000",
    }
    with serving([FOUNTAIN, "serve", "--port"], environment) as address:
        time.sleep(SETTLE_S)
        yield _sync(parts, address)
        candids = [alert.candid for alert in _order(4)]
        for count in (LISTED, 10 * LISTED):
            listed = [candids[number % len(candids)] for number in range(count)]
            _run_list(address, listed)  # the workers, and all they import
            took = min(_run_list(address, listed) for _ in range(3))
            what = f"Alerts: {count:,} stamps of a list, from submission to COMPLETED, {WORKERS} workers"
            yield Row(f"{what}, for one", 1e6 * took / count, None, "µs", "", "below", 1e6 / 1500)
            yield Row(what, count / took, bare, "/s", "one process without a service", "rate", 0.5)


def _sync(parts: Parts, address: Address) -> Row:
    """Compare a stamp over HTTP with one in this process, by median."""
    alerts = _order(5)
    here = _stamp_by_object(parts, "one", alerts)
    with closing(http.client.HTTPConnection(*address)) as connection:

        def there(run: int) -> bytes:
            path = f"alert/{alerts[run % len(alerts)].candid}/Science"
            connection.request("GET", f"/sync?ID={quote(did_of(f'one/{path}'))}")
            answer = connection.getresponse()
            said = answer.read()
            assert answer.status == 200, said
            return said

        assert here(1) == there(1), "another stamp"
        for run in range(RUNS):  # each process of the server has its own pages
            there(run)
        took = medians_ms((there, RUNS), (here, RUNS))
    return Row(
        "Alerts: one stamp over HTTP, less in this process", took[0] - took[1], None, "ms", "", "below", 3.0
    )


def _run_list(address: Address, candids: Sequence[int]) -> float:
    """Send a table of alerts, and wait until all is made: seconds."""
    fields = {"UPLOAD": "targets,param:t", "ID": did_of("one/Science"), "PHASE": "RUN"}
    parts = [f'form-data; name="{name}"\r\n\r\n{value}' for name, value in fields.items()]
    table = "candid\n" + "".join(f"{candid}\n" for candid in candids)
    parts.append(f'form-data; name="t"; filename="alerts.csv"\r\nContent-Type: text/csv\r\n\r\n{table}')
    body = "".join(f"--{_BOUNDARY}\r\nContent-Disposition: {part}\r\n" for part in parts)
    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    start, phase = time.perf_counter(), "QUEUED"
    with closing(http.client.HTTPConnection(*address)) as connection:
        connection.request("POST", "/async", f"{body}--{_BOUNDARY}--\r\n".encode(), headers)
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status == 303, said
        path = urlsplit(str(answer.headers["Location"])).path
        while phase not in ENDED:
            connection.request("GET", f"{path}?WAIT=60&PHASE={phase}")
            text = connection.getresponse().read().decode()
            phase = text.partition("<uws:phase>")[2].partition("<")[0]
    assert phase == "COMPLETED", text
    return time.perf_counter() - start
