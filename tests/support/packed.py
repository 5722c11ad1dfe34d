"""Jobs whose results are packages: the rows of a toy, told as a toy tells of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask, request
from flask.testing import FlaskClient
from sqlalchemy import Engine, update

from config.answers import answer_errors
from config.proxies import public_url
from dali.caller import ANONYMOUS
from dali.votable import Coosys, Info
from tests.support.databases import sqlite
from tests.support.rights import RIGHTS
from tests.support.stored import finish, new_job, take
from tests.support.toy import content, toy_settings, toy_types
from uws.bell import Bell
from uws.containers import ContainerWriter
from uws.job import Job, LedgerRow, Row, RowReport, RowStatus, Settlement
from uws.jobtype import File, JobPlan
from uws.packages.folder import PackageFolder
from uws.packages.package import (
    ACCESS_FORMAT,
    ACCESS_URL,
    ATTEMPTS,
    BYTES,
    ERROR_CODE,
    ERROR_MESSAGE,
    PATH,
    RESULT_ID,
    SECONDS,
    SHA256,
    STATUS,
    Column,
    fact,
)
from uws.packages.packs import Pack
from uws.packages.shop import PackageShop
from uws.results import ResultStore
from uws.service import JobService
from uws.store.claims import Claims
from uws.store.jobs import Jobs
from uws.store.ledger import Ledger
from uws.tables import TaskRow
from uws.views import make_blueprint
from uws.waiting import Waiting

BASE = "http://localhost"
MEDIA_TYPE = "application/octet-stream"


class ToyPackage:
    """Tells of the rows of toys; each has a place and a colour."""

    statuses = ("ok", "dull", "empty", "failed", "poison")
    systems = (Coosys("icrs"),)
    region_head = "# Region file format: DS9 version 4.1\nicrs"
    row_fact = ""
    _id = Column(name="id", datatype="unicodeChar", value=lambda entry: entry.row.label or None)
    _places = tuple(
        Column(name=name, datatype="double", unit="deg", ref="icrs", ucd=f"pos.eq.{name}", value=fact(name))
        for name in ("ra", "dec")
    )
    columns = (
        Column(name="row", datatype="long", value=lambda entry: entry.row.row + 1),
        _id,
        *_places,
        Column(name="colour", value=fact("colour")),
        PATH,
        BYTES,
        SHA256,
        STATUS,
        ERROR_CODE,
        ERROR_MESSAGE,
        ATTEMPTS,
        SECONDS,
        RESULT_ID,
        ACCESS_URL,
        ACCESS_FORMAT,
    )
    failed_columns = (_id, *_places)
    failed_settings = tuple(Column(name=name, value=fact(name)) for name in ("colour", "smell"))

    def table_row(self, row: LedgerRow) -> int:
        return row.row + 1

    def path(self, row: LedgerRow) -> str:
        return f"bin/{row.facts['colour']}/{row.file_name}"

    def infos(self, job: Job) -> Sequence[Info]:
        return [Info("job", job.job_id)]

    def readme(self, job: Job, job_url: str, counts: Mapping[str, int]) -> str:
        return f"Toys of {job_url}: {dict(sorted(counts.items()))}\n"

    def request(self, job: Job) -> Mapping[str, Any]:
        return {"job": job.job_id}

    def region(self, row: LedgerRow) -> str:
        return f"point({row.facts['ra']},{row.facts['dec']})" if "ra" in row.facts else ""


@dataclass(frozen=True)
class Toys:
    """What serves packed toys, without workers: `make` does what they do."""

    engine: Engine
    results: ResultStore
    app: Flask
    folder: Path

    @property
    def client(self) -> FlaskClient:
        """Somebody who uses the service."""
        return self.app.test_client()

    def make(
        self,
        words: Sequence[str],
        *,
        size: int = 100,
        per_task: int = 10,
        left: int = 0,
        files: Sequence[bytes] = (),
        media_type: str = MEDIA_TYPE,
    ) -> str:
        """Have a job done whose rows come to these words, but for the last tasks; return its id.

        Its files are those of toys, or `files`, one for each row.
        """
        rows = [Row(n, f"r{n + 1}") for n in range(len(words))]
        tasks = [rows[start : start + per_task] for start in range(0, len(rows), per_task)]
        jobs, claims = Jobs(self.engine), Claims(self.engine, "a worker", 30.0)
        made = jobs.create(new_job(run_id="blue sky"), JobPlan(tasks, "high", 1.0, packaged=True))
        for _ in range(len(tasks) - left):
            claim = take(claims)
            writer = ContainerWriter(path := self.results.spool(claim))
            reports = []
            for row in claim.rows:
                content = files[row.n] if files else file_of(row.n, size)
                reports.append(_report(writer, row, words[row.n], content, media_type))
            writer.seal()
            claims.settle(claim, Settlement(self.results.publish(claim, path, reports)), finish)
        with self.engine.execution_options(writes=True).begin() as connection:  # nobody else takes the others
            left_over = (TaskRow.job_id == made.job_id) & (TaskRow.state == "queued")
            connection.execute(update(TaskRow).where(left_over).values(not_before_ms=2**62))
        return made.job_id


def label_of(n: int) -> str:
    """Give the user's name of a row, as some users name theirs."""
    return ("=1+1", 'a "b", <c> & d', "M 31", "\x1bé", "-5")[n % 5] if n < 5 else f"star {n}"


def file_of(n: int, size: int = 100) -> bytes:
    """Give the file of row `n`; sizes differ."""
    return content(f"r{n + 1}", size + 7 * (n % 11))


@contextmanager
def toys(
    folder: Path,
    results: ResultStore | None = None,
    packages_bytes: int = 1 << 30,
    packs: Mapping[str, Pack] = {},
) -> Iterator[Toys]:
    """Serve packed toys from a folder."""
    store = results or ResultStore(str(folder / "results"), folder / "spool")
    with sqlite(folder) as engine:
        jobs, bell = Jobs(engine), Bell("redis://127.0.0.1:1")
        settings = toy_settings(results_reserve_bytes=0)
        waiting = Waiting(jobs, bell, 1)
        service = JobService(jobs, toy_types(), store, bell, waiting, settings, RIGHTS)
        app = Flask("packed", static_folder=None)
        blueprint = make_blueprint(
            service,
            "toy",
            lambda: public_url(request, ""),
            lambda: ANONYMOUS,
            results=store,
            settings=settings,
            packages=PackageShop(
                Ledger(engine),
                store,
                {"toy": ToyPackage()},
                PackageFolder(folder / "packages", packages_bytes),
                {"toy": packs},
            ),
        )
        app.register_blueprint(blueprint)
        answer_errors(app)
        yield Toys(engine, store, app, folder)
        waiting.close()
        bell.close()


def _report(writer: ContainerWriter, row: Row, word: str, content: bytes, media_type: str) -> RowReport:
    facts = {"ra": row.n * 0.25, "dec": -row.n / 3, "colour": ("red", "blue")[row.n % 2]}
    told: dict[str, Any] = {"label": label_of(row.n), "facts": facts, "seconds": 0.5}
    if word in ("ok", "dull"):
        file = File(row.result_id, f"{row.result_id}.bin", media_type, [content])
        return RowReport(
            row.n, row.result_id, RowStatus.DONE, files=writer.add_all([file]), verdict=word, **told
        )
    return RowReport(row.n, row.result_id, RowStatus(word), f"UsageError: it is {word}", **told)
