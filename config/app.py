"""The application: parts put together from settings, and the Flask app that answers with them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from flask import Blueprint, Flask, request
from sqlalchemy import Engine

from accounts.announcements import Announcements
from accounts.challenges import BASIC, TOKEN
from accounts.quota import views as quota_views
from config.accounts import AccountParts, make_accounts
from config.admin import AdminParts, admin_blueprint
from config.answers import allow_scripts, answer_errors
from config.database import make_engine
from config.discovery import Discovery, links_capability, make_links
from config.front import front_pages
from config.health import KEPT_S, for_administrators, job_checks, service_checks
from config.hips import hips_capability, make_hips
from config.identity import Identity
from config.job_page import make_job_page
from config.jobs import JobParts, limits_of, make_jobs, make_shop, packages_with, soda_jobs, terms_of
from config.logs import RequestLog
from config.metering import clients, make_metering, raise_refusal
from config.metrics import JobWatch, Metrics
from config.metrics import make_blueprint as metrics_blueprint
from config.notices import make_desk, make_unsubscribe
from config.portal import add_pages, make_explorer, make_shown
from config.proxies import PublicAddress, public_url
from config.query import QUERY_TABLE, make_query, query_capability
from config.quick import QuickCutouts
from config.rights import AccountRights, make_rights
from config.settings import Settings
from config.status import FILE as STATUS_FILE
from config.status import make_look
from config.visits import Visits
from datalink import views as datalink_views
from hips import views as hips_views
from hips.service import HipsService
from portal.explore import views as explore_views
from portal.status import StatusKeeper
from sia import views as sia_views
from soda import views as soda_views
from soda.broker import views as broker_views
from soda.broker.call import Broker
from soda.descriptor import ASYNC, SYNC, Descriptors, Endpoint
from soda.engine import Engine as SodaEngine
from soda.estimate.service import EstimateService
from soda.gate import PixelGate
from soda.habits import Habits
from soda.heavier import JOB_TYPE, Heavier
from soda.jobtype import SodaJobs
from soda.preview import PreviewService
from soda.service import SyncService
from soda.speed import Speeds
from soda.table import MEDIA_TYPES, PARAMETERS, SodaParameter
from soda.viewing import ProductViewer
from surveys.declaration import read_surveys
from surveys.errors import DeclarationError
from surveys.execute import Workshop
from surveys.fits.product import Site
from surveys.fits.source import Source
from surveys.identifiers import Identifiers
from surveys.index.catalog import Catalog
from surveys.survey import Survey
from uws import views as uws_views
from uws.documents.teller import JobTeller
from uws.jobtype import JobTypes
from uws.packages.shop import PackageShop
from uws.planning import Planner
from uws.queue import views as queue_views
from uws.store.changes import Changes
from uws.streams import views as stream_views
from uws.uploads import Uploads
from vosi import views as vosi_views
from vosi.availability import Monitor
from vosi.capabilities import VOSI_CAPABILITIES, Capability, Interface, Param, with_ways
from vosi.views import Described

#: A new index is served after this time at the latest; asking for it takes longer than a look-up.
GENERATION_KEPT_S = 0.25
MAX_FORM_PARTS = 500

#: Path of the pages about jobs.
JOB_PAGES = "/jobs"

#: Keys of the `Monitor`, the `JobService` and the `Hub` in ``Flask.extensions``.
MONITOR = "fountain.monitor"
JOBS = "fountain.jobs"
STREAMS = "fountain.streams"
#: Key of the `AccountParts`.
ACCOUNTS = "fountain.accounts"


@dataclass(frozen=True, slots=True)
class Parts:
    """What the service and the command line both work with."""

    engine: Engine
    surveys: tuple[Survey, ...]
    catalog: Catalog
    source: Source
    identifiers: Identifiers
    descriptors: Descriptors
    rights: AccountRights
    soda: SodaEngine
    gate: PixelGate
    sync: SyncService
    previews: PreviewService


def assemble(settings: Settings) -> Parts:
    """Make the parts; nothing is connected to or read but the declarations of surveys.

    Raises
    ------
    DeclarationError
        If a declaration is wrong.
    """
    engine = make_engine(settings.data.engine_url)
    surveys = declared_surveys(settings)
    data = settings.data
    maps = data.read == "mmap"
    catalog = Catalog(engine, surveys, GENERATION_KEPT_S, data.overviews, maps_lakes=maps)
    identifiers = Identifiers(settings.identifiers.base, settings.identifiers.former)
    resource = identifiers.base if settings.identifiers.is_registered else ""
    descriptors = Descriptors((SYNC, ASYNC), identifiers, resource)
    source = Source(settings.data.read)
    rights = make_rights(settings, engine, surveys)
    soda = SodaEngine(
        catalog,
        source,
        identifiers,
        limits_of(settings.sync),
        site_of(settings, identifiers),
        Workshop(settings.server.pixel_slots, spool_of(settings)),
        rights,
    )
    gate = PixelGate(settings.server.pixel_slots, settings.sync.wait_s)
    sync, previews = make_sync(settings, soda, gate), PreviewService(soda, gate)
    return Parts(
        engine, surveys, catalog, source, identifiers, descriptors, rights, soda, gate, sync, previews
    )


def make_sync(
    settings: Settings, engine: SodaEngine, gate: PixelGate, jobs: JobParts | None = None
) -> SyncService:
    """Make the service of sync requests; with `jobs`, workers make the larger cutouts."""
    sync, most = settings.sync, settings.cutout_jobs
    heavier = speeds = None
    if jobs is not None:
        limits = limits_of(most)
        heavier = Heavier(jobs.service, jobs.results, limits, sync.inline_pixels, sync.job_wait_s)
        speeds = Speeds(jobs.paces.known, sync.max_seconds)
    return SyncService(engine, gate, heavier, speeds=speeds)


def spool_of(settings: Settings) -> Path:
    """Folder for what is in the making."""
    return settings.data.path / "spool"


def site_of(settings: Settings, identifiers: Identifiers) -> Site:
    """Say who makes the products; part of their bytes, wherever they are made."""
    creator = f"Soda Fountain {version('sodafountain')}"
    return Site(settings.identifiers.origin, creator, identifiers.did(""))


def declared_surveys(settings: Settings) -> tuple[Survey, ...]:
    """Every survey declared, those that come with the program first.

    Raises
    ------
    DeclarationError
        If a declaration is wrong, a folder is missing, or two surveys have the same name.
    """
    surveys: dict[str, Survey] = {}
    for folder in settings.surveys.folders:
        if not folder.is_dir():
            raise DeclarationError(f"surveys.declarations names {folder}, which is no folder")
        for survey in read_surveys(folder, settings.data.path):
            if survey.name.lower() in surveys:
                raise DeclarationError(f"two surveys are named {survey.name}, one of them in {folder.name}")
            surveys[survey.name.lower()] = survey
    return tuple(surveys.values())


def create_app(settings: Settings) -> Flask:
    """Make the application. Its database must be ready (`config.database.prepare`)."""
    parts = assemble(settings)
    app = Flask("sodafountain", static_folder=None)
    weakref.finalize(app, parts.engine.dispose)  # its connections end with it
    app.config["MAX_CONTENT_LENGTH"] = settings.sync.max_body_bytes
    app.config["MAX_FORM_PARTS"] = MAX_FORM_PARTS
    # A missing or extra slash is no reason to redirect: clients do not follow one after a POST.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False

    def base_url() -> str:
        return public_url(request, settings.server.base_url)

    accounts = make_accounts(settings, parts.engine)
    desk = make_desk(settings, accounts.people)
    kind = soda_jobs(settings, parts)
    jobs = make_jobs(settings, parts.engine, JobTypes([kind]), parts.rights, desk)
    weakref.finalize(app, jobs.close)
    sync = make_sync(settings, parts.soda, parts.gate, jobs)
    alive_s = settings.jobs.lease_s
    checks = service_checks(parts.engine, parts.catalog, parts.surveys)
    checks += job_checks(jobs.upkeep, jobs.results, jobs.bell, alive_s)
    monitor = Monitor(checks, KEPT_S)
    watch = JobWatch(jobs.upkeep, alive_s)
    metrics = Metrics(monitor, watch)
    jobs.waiting.watch(metrics.waiting.set)
    jobs.hub.watch(metrics.streams.set)
    announcements = Announcements(parts.engine, accounts.audit)
    app.extensions |= {MONITOR: monitor, JOBS: jobs.service, STREAMS: jobs.hub, ACCOUNTS: accounts}
    hips = make_hips(settings, parts)
    estimates = make_estimates(settings, parts, sync, kind, jobs)
    shop = make_shop(settings, parts.engine, jobs.results, packages_with(settings, parts))
    for blueprint in (
        *_data_resources(settings, parts, sync, hips, base_url),
        *_job_resources(settings, parts, estimates, jobs, shop, base_url),
        vosi_views.make_blueprint(describe(settings, parts), monitor, base_url),
        metrics_blueprint(metrics),
    ):
        app.register_blueprint(blueprint)
    if desk.sends_mail:
        app.register_blueprint(make_unsubscribe(settings, accounts.people))
    shown = make_shown(settings, parts, hips)
    looks = make_look(
        settings, monitor, watch, sync, parts.catalog, parts.identifiers, accounts.signing.providers
    )
    keeper = StatusKeeper(looks, settings.data.path / STATUS_FILE)
    pages = add_pages(app, settings, accounts, announcements, base_url, jobs, shown, keeper)
    for blueprint in front_pages(
        settings, parts.identifiers, pages, shown, jobs.quotas.stand, keeper, base_url
    ):
        app.register_blueprint(blueprint)
    explorer = make_explorer(settings, parts, shown, estimates, sync)
    app.register_blueprint(explore_views.make_blueprint(pages, explorer, base_url))
    app.register_blueprint(make_job_page(parts.engine, jobs, shop, pages, base_url))

    def health() -> Mapping[str, bool]:
        return for_administrators(monitor.look().parts, parts.surveys)

    admin = AdminParts(settings, parts.engine, jobs, accounts, announcements, health)
    app.register_blueprint(admin_blueprint(admin, pages))
    app.after_request(allow_scripts)
    answer_errors(app, pages.error)
    _surround(app, settings, sync, jobs, accounts, metrics)
    return app


def _data_resources(
    settings: Settings,
    parts: Parts,
    sync: SyncService,
    hips: HipsService,
    base_url: Callable[[], str],
) -> Iterator[Blueprint]:
    """Make the resources that find data, and cut them at once."""
    index = parts.catalog, parts.identifiers, parts.descriptors
    habits = Habits(parts.surveys, parts.identifiers, parts.rights)
    yield soda_views.make_blueprint(sync, parts.previews, habits, base_url)
    yield broker_views.make_blueprint(Broker(parts.soda, sync), base_url)
    query = make_query(settings.sia, settings.sync, *index, parts.rights.reader)
    yield sia_views.make_blueprint(query, base_url)
    yield hips_views.make_blueprint(hips, base_url)
    links = make_links(settings.links, *index, sync, parts.rights.reader)
    yield datalink_views.make_blueprint(links, base_url, settings.links.max_body_bytes)


def _job_resources(
    settings: Settings,
    parts: Parts,
    estimates: EstimateService,
    jobs: JobParts,
    shop: PackageShop,
    base_url: Callable[[], str],
) -> Iterator[Blueprint]:
    """Make those of jobs: where they wait, what they would come to, how many one may have."""
    yield uws_views.make_blueprint(
        jobs.service,
        JOB_TYPE,
        base_url,
        soda_views.caller_of,
        f"/{ASYNC.path}",
        results=jobs.results,
        settings=settings.jobs,
        packages=shop,
        board=jobs.board,
        pages=JOB_PAGES,
        viewer=ProductViewer(parts.gate),
    )

    def list_url() -> str:
        return f"{base_url()}/{ASYNC.path}"

    teller = JobTeller(jobs.service, JOB_TYPE, jobs.board, has_ledgers=True)
    changes, client_of = Changes(parts.engine), clients(settings.quotas.unmetered)
    yield stream_views.make_blueprint(
        jobs.service,
        teller,
        changes,
        jobs.hub,
        list_url,
        soda_views.caller_of,
        f"/{ASYNC.path}",
        lambda: client_of(request.environ),
    )
    yield queue_views.make_blueprint(jobs.board, soda_views.caller_of, list_url)
    yield soda_views.make_estimate_blueprint(estimates, base_url)
    yield quota_views.make_blueprint(jobs.quotas.stand)


def make_estimates(
    settings: Settings, parts: Parts, sync: SyncService, kind: SodaJobs, jobs: JobParts
) -> EstimateService:
    """Make the service of dry runs."""
    planner, uploads = Planner(jobs.jobs, jobs.types, settings.jobs), Uploads(jobs.results, settings.jobs)
    terms = terms_of(settings)
    return EstimateService(kind, planner, uploads, sync, parts.identifiers, terms, jobs.quotas)


def _surround(
    app: Flask,
    settings: Settings,
    sync: SyncService,
    jobs: JobParts,
    accounts: AccountParts,
    metrics: Metrics,
) -> None:
    """Put around the application what each request passes: the log, who asks, how fast, the quick way."""
    quick = QuickCutouts(app.wsgi_app, sync, settings.server.base_url)
    metering = make_metering(settings, quick, jobs.quotas)
    app.before_request(raise_refusal(lambda: request.environ))
    identity = Identity(
        metering,
        accounts.gate,
        accounts.challenges,
        settings.server.base_url,
        anonymous=settings.accounts.anonymous,
    )
    visits = Visits(identity) if accounts.signing.ways else identity
    address = PublicAddress(visits, settings.server.trusted_proxies, settings.server.base_url)
    app.wsgi_app = RequestLog(address, metrics.request, metering.answered)  # type: ignore[method-assign]  # Flask's own way to add middleware


def describe(settings: Settings, parts: Parts) -> Described:
    """Gather what is told of the service."""
    started = datetime.now(UTC)
    discovery = Discovery(settings, parts.engine, parts.catalog, parts.identifiers, started)
    capabilities: tuple[Capability, ...] = (
        *VOSI_CAPABILITIES,
        soda_capability(SYNC, MEDIA_TYPES["fits"]),
        soda_capability(ASYNC, ASYNC.content_type),
        links_capability(),
        query_capability(),
        hips_capability(),
    )
    if settings.accounts.is_told:
        capabilities = with_ways(capabilities, (BASIC, TOKEN), anonymous=settings.accounts.anonymous)
    return Described(
        title=f"Examples of {settings.record.title}",
        capabilities=capabilities,
        tables=(QUERY_TABLE,),
        changed=started,
        examples=discovery.examples,
        record=discovery.record,
    )


def soda_capability(endpoint: Endpoint, result_type: str) -> Capability:
    """SODA, sync or async, with its parameters."""
    interface = Interface(
        endpoint.path,
        use="base",
        version="1.0",
        query_types=("GET", "POST"),
        result_type=result_type,
        params=tuple(_param(parameter) for parameter in (*PARAMETERS, *endpoint.more)),
    )
    return Capability(endpoint.standard_id, (interface,))


def _param(parameter: SodaParameter) -> Param:
    datatype = {"double": "real", "int": "integer"}.get(parameter.datatype, "string")
    return Param(
        parameter.name,
        parameter.description,
        parameter.ucd,
        parameter.unit,
        datatype=datatype,
        arraysize="" if datatype == "string" else parameter.arraysize or "",
        required=parameter.name == "ID",
        standard=not parameter.extension,
    )
