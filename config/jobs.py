"""Jobs, put together from settings: for the web server, for workers, for the reconciler and for commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from multiprocessing import parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from config import redis_server
from config.kernels import load_kernels_soon
from config.logs import configure_logs
from config.quotas import QuotaParts, make_quotas
from config.rights import AccountRights, make_rights
from config.settings import CutoutJobSettings, Settings, SettingsError, SyncSettings
from soda.estimate.service import Terms
from soda.jobtype import JobLimits, SodaJobs
from soda.lists.manifest import ListPackage
from soda.lists.packs import PACKS
from soda.lists.sent import SentTargets
from soda.lists.service import ListLimits
from soda.targets import TargetLimits
from surveys.execute import WORKSHOP
from surveys.planner import Limits
from uws.bell import Bell
from uws.jobtype import JobTypes
from uws.notices.desk import NO_NOTICES, NoticeDesk
from uws.packages.folder import PackageFolder
from uws.packages.package import Package
from uws.packages.shop import PackageShop
from uws.packages.sorting import Sorter
from uws.queue.board import QueueBoard
from uws.results import ResultStore
from uws.service import JobService
from uws.settings import JobSettings
from uws.store.changes import Changes
from uws.store.jobs import Jobs
from uws.store.ledger import Ledger
from uws.store.pace import Paces
from uws.store.queues import QueueStore
from uws.store.upkeep import Upkeep
from uws.streams.hub import Hub
from uws.waiting import Waiting

if TYPE_CHECKING:
    from config.app import Parts

#: The compiled kernels take most of a second to load: not before a process takes its first task, which most
#: often is what it was started for.
WARM_UP_AFTER_S = 2.0


@dataclass(frozen=True, slots=True)
class JobParts:
    """What has to do with jobs in one process."""

    jobs: Jobs
    paces: Paces
    upkeep: Upkeep
    results: ResultStore
    bell: Bell
    waiting: Waiting
    hub: Hub
    types: JobTypes
    service: JobService
    queues: QueueStore
    board: QueueBoard
    settings: JobSettings
    quotas: QuotaParts

    def close(self) -> None:
        """End its threads and its connections to Redis; the engine is not touched."""
        self.hub.close()
        self.waiting.close()
        self.quotas.meter.close()
        self.bell.close()


def make_jobs(
    settings: Settings,
    engine: Engine,
    types: JobTypes | None = None,
    rights: AccountRights | None = None,
    desk: NoticeDesk = NO_NOTICES,
) -> JobParts:
    """Make the parts; nothing is connected to.

    Parameters
    ----------
    settings
        All settings.
    engine
        Of the database, which must be ready when it is first asked.
    types, rights
        The job types, and who may do what, where they are made already.
    desk
        Takes down who wants to be told what; commands tell nobody.

    Raises
    ------
    SettingsError
        If results cannot be kept as the settings have it.
    ServerNotStarted
        If there is no safe place for the socket of the private Redis.
    """
    from config.app import declared_surveys

    types = types or make_job_types(settings)
    quotas = make_quotas(settings, engine)
    rights = rights or make_rights(settings, engine, declared_surveys(settings))
    jobs, results = Jobs(engine, quotas), result_store(settings)
    bell = Bell(redis_url(settings))
    waiting = Waiting(jobs, bell, settings.jobs.max_waiters)
    service = JobService(jobs, types, results, bell, waiting, settings.jobs, rights, quotas, desk)
    hub = Hub(Changes(engine), bell, service.may_see, settings.jobs.max_streams)
    paces, queues = Paces(engine), QueueStore(engine, settings.jobs.lease_s)
    return JobParts(
        jobs=jobs,
        paces=paces,
        upkeep=Upkeep(engine),
        results=results,
        bell=bell,
        waiting=waiting,
        hub=hub,
        types=types,
        service=service,
        queues=queues,
        board=QueueBoard(queues, paces, settings.jobs),
        settings=settings.jobs,
        quotas=quotas,
    )


def make_shop(
    settings: Settings,
    engine: Engine,
    results: ResultStore,
    packages: Mapping[str, Package],
    folder: Path | None = None,
) -> PackageShop:
    """Make what has ledgers and packages: of job types whose rows are told as `packages` say.

    `folder`: where packages are written, instead of where the web server has its own.
    """
    packs, ledger = {SodaJobs.name: PACKS}, Ledger(engine)
    tables = {SodaJobs.name: SentTargets(target_limits(settings))}
    sorter = Sorter(ledger, results, tables, Jobs(engine).uploads)
    return PackageShop(ledger, results, packages, package_folder(settings, folder), packs, sorter)


def package_folder(settings: Settings, path: Path | None = None) -> PackageFolder:
    """Make the folder of packages."""
    return PackageFolder(path or settings.data.path / "packages", settings.jobs.packages_bytes)


def packages_with(settings: Settings, parts: Parts) -> Mapping[str, Package]:
    """Say how the rows of each job type are told, where the results of its jobs are packages."""
    from config.app import site_of

    creator = site_of(settings, parts.identifiers).creator
    title, publisher = settings.record.title, settings.publisher.name or settings.identifiers.origin
    return {SodaJobs.name: ListPackage(parts.identifiers, title, creator, publisher)}


def redis_url(settings: Settings) -> str:
    """URL of Redis: the one of the settings, else of the private server of the data folder."""
    return settings.jobs.redis_url or redis_server.url_of(settings.data.path)


def result_store(settings: Settings) -> ResultStore:
    """Make the results store.

    Raises
    ------
    SettingsError
        If its settings do not fit.
    """
    jobs = settings.jobs
    if jobs.results_url.startswith("s3://") and find_spec("s3fs") is None:
        raise SettingsError("jobs.results_url is a bucket of S3; pip install 'sodafountain[s3]' to reach it")
    try:
        return ResultStore(
            jobs.results_url or str(settings.data.path / "results"),
            settings.data.path / "spool",
            _options(jobs.results_options),
            redirect=jobs.results_redirect,
            reserve_bytes=jobs.results_reserve_bytes,
        )
    except ValueError as fault:
        raise SettingsError(f"jobs.results_url or jobs.results_redirect: {fault}") from fault


def job_types_of(settings: Settings) -> Callable[[], JobTypes]:
    """Give what makes the job types; it can be pickled, for the processes of workers.

    In such a process it sends the log where the worker's goes, and has the compiled kernels loaded a little
    later.
    """
    return partial(_make_where_needed, settings)


def _make_where_needed(settings: Settings) -> JobTypes:
    if parent_process() is not None:  # the worker itself does no rows
        configure_logs(settings.log)
        load_kernels_soon(WARM_UP_AFTER_S)
    return make_job_types(settings)


def make_job_types(settings: Settings) -> JobTypes:
    """Make the job types, with connections of their own."""
    from config.app import assemble  # which makes its jobs with this module

    return types_with(settings, assemble(settings))


def types_with(settings: Settings, parts: Parts) -> JobTypes:
    """Make the job types with parts that are there."""
    return JobTypes([soda_jobs(settings, parts)])


def soda_jobs(settings: Settings, parts: Parts) -> SodaJobs:
    """Make SODA's job type with parts that are there."""
    limits, jobs = settings.cutout_jobs, settings.jobs
    lists = ListLimits(target_limits(settings), limits.max_list_rows, jobs.high_rows)
    return SodaJobs(
        replace(parts.soda, workshop=WORKSHOP),  # a worker does one thing at a time
        JobLimits(limits_of(limits), jobs.max_rows, jobs.high_rows, limits.high_pixels, lists),
    )


def target_limits(settings: Settings) -> TargetLimits:
    """Limits of a table of targets."""
    return TargetLimits(rows=settings.cutout_jobs.max_targets, bytes=settings.jobs.max_upload_bytes)


def terms_of(settings: Settings) -> Terms:
    """Tell what jobs may ask for."""
    jobs, cutouts = settings.jobs, settings.cutout_jobs
    limits = {
        "max_rows": jobs.max_rows,
        "max_pixels": cutouts.max_pixels,
        "max_bytes": cutouts.max_bytes,
        "max_inputs": cutouts.max_inputs,
        "max_pixels_in": cutouts.max_pixels_in,
        "max_body_bytes": jobs.max_body_bytes,
        "max_upload_bytes": jobs.max_upload_bytes,
        "max_targets": cutouts.max_targets,
        "max_list_rows": cutouts.max_list_rows,
    }
    return Terms(limits, jobs.destruction_s)


def limits_of(settings: SyncSettings | CutoutJobSettings) -> Limits:
    """Limits of one cutout."""
    return Limits(settings.max_pixels, settings.max_bytes, settings.max_inputs, settings.max_pixels_in)


def _options(text: str) -> Mapping[str, Any]:
    """Read the options of a bucket. They may hold a secret, so they are not repeated."""
    try:
        options = json.loads(text or "{}")
    except ValueError:
        options = None
    if not isinstance(options, dict):
        raise SettingsError('jobs.results_options must be a JSON object such as {"profile": "archive"}')
    return options
