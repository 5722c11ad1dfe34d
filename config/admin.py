"""Administration, put together: which areas there are, and what they look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version

from flask import Blueprint
from sqlalchemy import Engine

from accounts.announcements import Announcements
from accounts.quota.uses import TopUses
from accounts.usage import Usage
from config.accounts import AccountParts
from config.jobs import JobParts
from config.masking import shown_settings
from config.portal import make_proof
from config.settings import Settings
from portal.admin.announcements import announcements_area
from portal.admin.area import Area
from portal.admin.configuration import configuration_area
from portal.admin.estimates import estimates_area
from portal.admin.failures import failures_area
from portal.admin.jobs import JobActs, jobs_area
from portal.admin.log import log_area
from portal.admin.overview import Sources, overview_area
from portal.admin.people import PeopleActs, people_areas
from portal.admin.queues import queues_area
from portal.admin.quotas import quotas_area
from portal.admin.retention import retention_area
from portal.admin.steering import Steering
from portal.admin.usage import usage_area
from portal.admin.views import make_blueprint
from portal.pages import Pages
from uws.store.calibration import Calibration
from uws.store.everybody import Everybody
from uws.store.failures import Failures
from uws.store.ledger import Ledger
from uws.store.retention import Keeping


@dataclass(frozen=True, slots=True)
class AdminParts:
    """What administration works with; `parts_of_service` tells which parts of the service work."""

    settings: Settings
    engine: Engine
    jobs: JobParts
    accounts: AccountParts
    announcements: Announcements
    parts_of_service: Callable[[], Mapping[str, bool]]


def admin_areas(parts: AdminParts) -> tuple[Area, ...]:
    """Make the areas, in the order of the navigation."""
    settings, engine, jobs, accounts = parts.settings, parts.engine, parts.jobs, parts.accounts
    steering = Steering(jobs.queues, accounts.audit)
    acts = JobActs(jobs.service, jobs.jobs, steering, accounts.audit)
    everybody, keeping, calibration = Everybody(engine), Keeping(engine), Calibration(engine)
    queues = queues_area(steering, jobs.upkeep, settings.jobs.lease_s)
    failures = failures_area(Failures(engine))
    people = PeopleActs(
        accounts.people, accounts.callers, accounts.tokens, accounts.sessions, accounts.audit, jobs.quotas
    )
    sources = Sources(
        parts.parts_of_service,
        queues.look,
        failures.look,
        everybody,
        keeping,
        calibration,
        parts.announcements,
        accounts.audit,
    )
    return (
        overview_area(sources),
        queues,
        jobs_area(acts, everybody, Ledger(engine)),
        failures,
        *people_areas(people),
        quotas_area(
            jobs.quotas,
            lambda kind: dict(settings.quotas.limits(kind)),
            TopUses(engine),
            accounts.callers.named,
        ),
        usage_area(Usage(engine), jobs.quotas.meter.flush),
        estimates_area(calibration),
        retention_area(keeping, acts),
        announcements_area(parts.announcements),
        configuration_area(version("sodafountain"), shown_settings(settings)),
        log_area(accounts.audit),
    )


def admin_blueprint(parts: AdminParts, pages: Pages) -> Blueprint:
    """Make the resources of administration."""
    proof = make_proof(parts.settings, parts.accounts)
    return make_blueprint(admin_areas(parts), proof, parts.accounts.audit, pages)
