"""Estimates: how long jobs of many kinds take, against what was said when they were submitted."""

from __future__ import annotations

import http.client
import os
import random
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
from lxml import etree

from benchmarks.service import FOUNTAIN, SETTLE_S, serving
from benchmarks.skies import DEC_DEG, ID_PREFIX, RA_DEG, SCALE_DEG, some_stars, survey_of, write_tiles
from benchmarks.table import Row
from uws.xml import JOBINFO, UWS

#: Tiles of the survey: so many in a row, of so many pixels, that overlap by so many.
COLUMNS, SIDE, OVERLAP = 2, 2400, 100
JOBS = 50
#: Jobs before these, so that something is learned; what they were told rests on less.
FIRST_JOBS = 40
#: Half the width of the field in which regions lie.
FIELD_DEG = (COLUMNS * SIDE - 400) * SCALE_DEG / 2
BETWEEN_S = 0.3
GOAL = 0.9
TARGETS = 10_000

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Told:
    """What was said of a job, and what became of it, in seconds from when it was queued."""

    p50_s: float
    p90_s: float
    actual_s: float
    runs: int
    what: str


def rows(folder: Path) -> Iterator[Row]:
    """Measure; the first jobs start from nothing."""
    tiles, data = folder / "tiles", folder / "data"
    write_tiles(tiles, some_stars(3000, FIELD_DEG, 1.2), COLUMNS, SIDE, OVERLAP, 1.0, "grz")
    with survey_of(tiles, data):
        pass
    environment = os.environ | {
        "FOUNTAIN_DATA__FOLDER": str(data),
        "FOUNTAIN_SURVEYS__DECLARATIONS": str(data),
        "FOUNTAIN_LOG__LEVEL": "warning",
        "FOUNTAIN_JOBS__WORKERS": "2",
        "FOUNTAIN_JOBS__HIGH_WORKERS": "0",
    }
    choose = random.Random(5)
    with serving([FOUNTAIN, "serve", "--port"], environment) as address:
        time.sleep(2 * SETTLE_S)  # workers have processes of their own, which load kernels too
        yield _dry_run(address, choose)
        first = list(_run_jobs(address, choose, FIRST_JOBS))
        told = list(_run_jobs(address, choose, JOBS))
    for some, when in ((first, "the first jobs of a site"), (told, "jobs after these")):
        print(_table(some), file=sys.stderr)
        goal = GOAL if some is told else 0.0
        below = sum(one.actual_s <= one.p90_s for one in some) / len(some)
        above = sum(one.actual_s >= one.p50_s / 2 for one in some) / len(some)
        yield _share(f"Share of {len(some)} jobs that end by the p90 of their estimate, {when}", below, goal)
        yield _share(f"Share of {len(some)} jobs that take half their p50 at least, {when}", above, goal)
        both = sum(one.p50_s / 2 <= one.actual_s <= one.p90_s for one in some) / len(some)
        yield _share(f"Share of {len(some)} jobs of which both holds, {when}", both, goal)


def _dry_run(address: Address, choose: random.Random) -> Row:
    """Ask what a long list would come to; the second time, as images are known then."""
    table = "".join(f"t{n},{_place(choose).replace(' ', ',')}\n" for n in range(TARGETS))
    values = {"ID": f"{ID_PREFIX}stars/r", "SIZE": "64px", "UPLOAD": "targets,param:t"}
    spent = []
    for _ in range(5):
        start = time.perf_counter()
        files = {"t": ("list.csv", f"id,ra,dec\n{table}")}
        answer = requests.post(f"http://{address[0]}:{address[1]}/estimate", values, files=files, timeout=60)
        spent.append(time.perf_counter() - start)
        assert answer.json()["rows"]["total"] == TARGETS, answer.text
    what = f"/estimate of {TARGETS:,} targets, HTTP"
    return Row(what, statistics.median(spent), None, "s", "", "below", 1.0)


def _share(what: str, share: float, goal: float) -> Row:
    return Row(what, share, 1.0, "of jobs", "all", "rate", goal)


def _table(told: list[Told]) -> str:
    lines = (
        f"{one.p50_s:8.2f} {one.p90_s:8.2f} {one.actual_s:8.2f} "
        f"{'' if one.p50_s / 2 <= one.actual_s <= one.p90_s else '*':1} {one.runs:5d}  {one.what}"
        for one in told
    )
    return "\n".join(("     p50      p90   actual    runs", *lines))


def _run_jobs(address: Address, choose: random.Random, count: int) -> Iterator[Told]:
    """Submit jobs, some alone and some a few at a time, and wait for them."""
    while count > 0:
        some = [_job(choose) for _ in range(min(count, choose.choice((1, 1, 1, 2, 3))))]
        urls = [_submit(address, job) for job in some]
        yield from (_wait(address, url, job.what) for url, job in zip(urls, some, strict=True))
        time.sleep(choose.choice((0.0, BETWEEN_S)))
        count -= len(some)


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked: parameters, and a table of targets, "" for none."""

    values: list[tuple[str, str]]
    table: str = ""

    @property
    def what(self) -> str:
        """Say in a few words what it is of."""
        said = " ".join(value for name, value in self.values if name not in ("CENTER", "ID", "UPLOAD"))
        count = self.table.count("\n") - 1 if self.table else sum(n == "CENTER" for n, _ in self.values)
        return f"{count:4d} {'in a list' if self.table else ''} x {said}"


def _job(choose: random.Random) -> Job:
    """Make up a job: one or many regions, small or large, of one image or several, of any format."""
    kind = choose.choice(("fits", "fits", "fits", "png", "jpeg", "tan", "colour", "list", "list"))
    if kind == "list":
        return _list(choose)
    many = kind != "tan" and choose.random() < 0.7
    size = round(2 ** choose.uniform(5, 8 if many else 11))
    count = round(2 ** choose.uniform(2, 8 if size < 128 else 5)) if many else 1
    band = choose.choice(("stars/g", "stars/r", "stars/z"))
    job = [("ID", ID_PREFIX + ("stars" if kind == "colour" else band)), ("SIZE", f"{size}px")]
    job += [("CENTER", _place(choose)) for _ in range(count)]
    if kind == "tan":
        job.append(("GRID", "tan"))
    if kind in ("png", "jpeg", "colour"):
        job.append(("RESPONSEFORMAT", "jpeg" if kind == "jpeg" else "png"))
    if kind == "colour":
        job.append(("RGB", "z,r,g"))
    return Job(job)


def _list(choose: random.Random) -> Job:
    """Make up a table of targets."""
    size, count = round(2 ** choose.uniform(5, 9)), round(2 ** choose.uniform(4, 11))
    places = "".join(f"t{n},{_place(choose).replace(' ', ',')}\n" for n in range(count))
    did = ID_PREFIX + choose.choice(("stars/g", "stars/r", "stars/z"))
    values = [("ID", did), ("SIZE", f"{size}px"), ("UPLOAD", "targets,param:t")]
    if choose.random() < 0.3:
        values.append(("RESPONSEFORMAT", "jpeg"))
    return Job(values, f"id,ra,dec\n{places}")


def _place(choose: random.Random) -> str:
    ra, dec = (choose.uniform(-FIELD_DEG, FIELD_DEG) for _ in range(2))
    return f"{RA_DEG + ra:.6f} {DEC_DEG + dec:.6f}"


def _submit(address: Address, job: Job) -> str:
    files = {"t": ("list.csv", job.table)} if job.table else None
    answer = requests.post(
        f"http://{address[0]}:{address[1]}/async",
        [*job.values, ("PHASE", "RUN")],
        files=files,
        allow_redirects=False,
        timeout=60,
    )
    assert answer.status_code == 303, answer.text
    return urlsplit(answer.headers["Location"]).path


def _wait(address: Address, path: str, what: str) -> Told:
    phase = "QUEUED"
    with closing(http.client.HTTPConnection(*address)) as connection:
        while phase in ("QUEUED", "EXECUTING"):
            connection.request("GET", f"{path}?WAIT=60&PHASE={phase}")
            document = etree.fromstring(connection.getresponse().read())
            phase = document.findtext(f"{{{UWS}}}phase")
    assert phase == "COMPLETED", etree.tostring(document).decode()
    estimate = document.find(f".//{{{JOBINFO}}}estimate")
    actual = document.find(f".//{{{JOBINFO}}}actual")
    assert estimate is not None
    assert actual is not None
    p50, p90 = (float(estimate.findtext(f"{{{JOBINFO}}}{name}") or 0) for name in ("p50", "p90"))
    end = float(actual.findtext(f"{{{JOBINFO}}}end") or 0)
    return Told(p50, p90, end, int(estimate.get("runs", "0")), what)
