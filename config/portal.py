"""Pages, put together from settings and services."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING

from flask import Flask, request
from flask_babel import Babel
from sqlalchemy.exc import SQLAlchemyError

from accounts import token_views
from accounts.announcements import Announcements
from accounts.contacts import Contacts, wishes_of
from accounts.proof import Proof
from config import aladin
from config.accounts import AccountParts
from config.demo.recipe import DEMO
from config.identity import SESSION
from config.settings import Settings
from dali.caller import Caller
from portal import account as account_pages
from portal import assets as asset_views
from portal import batch, login, position, preferences, status, surveys, viewer
from portal.assets import Assets
from portal.explore.views import Explorer
from portal.jobs import views as job_list
from portal.pages import Frame, NavItem, Pages
from portal.position import Place
from portal.status import StatusKeeper, mark_of
from portal.surveys import SurveysShown
from portal.viewer import Viewer
from portal.words import chosen_language
from soda.estimate.service import EstimateService
from soda.heavier import JOB_TYPE
from soda.service import SyncService
from soda.targets.mapping import OUR_NAMES
from uws.documents.teller import JobTeller

if TYPE_CHECKING:
    from config.app import Parts
    from config.jobs import JobParts
    from hips.service import HipsService

#: Keys of the `Pages` and the `Announcements` in ``Flask.extensions``.
PAGES = "fountain.pages"
ANNOUNCEMENTS = "fountain.announcements"
#: Key of the `SurveysShown`.
SURVEYS = "fountain.surveys"
#: Of what there may be mail: after "Write to me when a job".
_WISHES = (
    account_pages.Wish("done", "is done"),
    account_pages.Wish("failed", "has failed"),
    account_pages.Wish("expiring", "expires soon"),
    account_pages.Wish("expired", "has expired"),
)


def navigation(running: Callable[[Caller], int]) -> tuple[NavItem, ...]:
    """List the entries of the navigation; `running` counts the jobs of a caller that run."""
    return (
        NavItem("Explore", "/explore"),
        NavItem("Batch", "/batch"),
        NavItem("Jobs", "/jobs", number=running),
        NavItem("Help", "/help"),
        NavItem("Status", "/status"),
        NavItem("Administration", "/admin", "admin"),
    )


def make_pages(
    settings: Settings,
    accounts: AccountParts,
    announcements: Announcements,
    assets: Assets,
    keeper: StatusKeeper,
    running: Callable[[Caller], int] = lambda _: 0,
) -> Pages:
    """Make what renders pages."""

    def name_of(name: str) -> str:
        account = accounts.people.get(name)
        return (account.title if account else "") or name.partition(":")[2]

    frame = Frame(
        settings.record.title,
        version("sodafountain"),
        settings.publisher.name,
        settings.publisher.email,
        navigation(running),
        name_of,
        announcements.current,
        can_sign_in=bool(accounts.signing.ways),
        mark=lambda: mark_of(keeper.last()),
    )
    return Pages(frame, assets)


def make_proof(settings: Settings, accounts: AccountParts) -> Proof:
    """Make what knows whether the sender of the request in hand has shown lately who they are."""

    def session_of() -> str:
        key: str = request.environ.get(SESSION, "")
        return key

    return Proof(accounts.sessions, session_of, settings.accounts.proof_s)


def add_pages(
    app: Flask,
    settings: Settings,
    accounts: AccountParts,
    announcements: Announcements,
    base_url: Callable[[], str],
    jobs: JobParts,
    shown: SurveysShown,
    keeper: StatusKeeper,
) -> Pages:
    """Have an application answer with pages, and with what they need; give what renders them."""
    weakref.finalize(app, accounts.signing.close)
    Babel(app, locale_selector=chosen_language)
    assets = Assets()
    listing, teller = jobs.service.listing, JobTeller(jobs.service, JOB_TYPE, jobs.board, has_ledgers=True)

    def running(caller: Caller) -> int:
        try:
            return listing.running(caller.name) if caller.name else 0
        except SQLAlchemyError:  # what a page is about is told all the same
            return 0

    pages = make_pages(settings, accounts, announcements, assets, keeper, running)
    people, tokens, sessions = accounts.people, accounts.tokens, accounts.sessions
    signing, anonymous = accounts.signing.sign_in(people, sessions), settings.accounts.anonymous
    contacts = Contacts(people)
    offered = _WISHES if settings.notices.smtp_url else ()
    wishes = account_pages.Wishes(offered, wishes_of, contacts.keep)
    proof = make_proof(settings, accounts)
    page = account_pages.account_page(pages, people, tokens, wishes, jobs.quotas.standings)

    def sends_mail(caller: Caller) -> bool:
        return bool(offered and caller.name and contacts.address(caller.name))

    for blueprint in (
        asset_views.make_blueprint(assets),
        login.make_blueprint(signing, sessions, pages, base_url, anonymous=anonymous),
        token_views.make_blueprint(people, tokens, proof, page),
        account_pages.make_blueprint(pages, page, tokens, wishes, proof),
        preferences.make_blueprint(),
        position.make_blueprint(),
        surveys.make_blueprint(shown),
        viewer.make_blueprint(make_viewer(settings)),
        status.make_blueprint(pages, keeper, announcements.current, base_url, version("sodafountain")),
        job_list.make_blueprint(pages, jobs.service, teller, JOB_TYPE, base_url),
        batch.make_blueprint(pages, shown, OUR_NAMES, sends_mail, base_url),
    ):
        app.register_blueprint(blueprint)
    app.extensions |= {PAGES: pages, ANNOUNCEMENTS: announcements, SURVEYS: shown}
    return pages


def make_shown(settings: Settings, parts: Parts, hips: HipsService) -> SurveysShown:
    """Make what tells of the surveys."""
    return SurveysShown(
        parts.catalog,
        hips.coverages,
        parts.identifiers,
        parts.rights.reader,
        hips.names,
        shown_limits(settings),
    )


def make_explorer(
    settings: Settings, parts: Parts, shown: SurveysShown, estimates: EstimateService, sync: SyncService
) -> Explorer:
    """Make what the explorer shows."""
    starts = {DEMO.dataset.partition("/")[0]: Place(DEMO.ra_deg, DEMO.dec_deg, "equatorial")}
    return Explorer(shown, parts.identifiers, estimates, sync, starts, make_viewer(settings).path)


def make_viewer(settings: Settings) -> Viewer:
    """Make what serves Aladin Lite, where it was fetched."""
    folder = aladin.folder_of(settings.data.path)
    return Viewer("aladin", aladin.VERSION, folder, aladin.SCRIPT, aladin.LICENCES)


def shown_limits(settings: Settings) -> dict[str, float]:
    """List how much may be asked for."""
    sync, jobs, cutouts = settings.sync, settings.jobs, settings.cutout_jobs
    return {
        "max_pixels": sync.max_pixels,
        "max_bytes": sync.max_bytes,
        "max_seconds": sync.max_seconds,
        "inline_pixels": sync.inline_pixels,
        "job_max_pixels": cutouts.max_pixels,
        "job_max_bytes": cutouts.max_bytes,
        "max_targets": cutouts.max_targets,
        "max_list_rows": cutouts.max_list_rows,
        "max_upload_bytes": jobs.max_upload_bytes,
        "destruction_s": jobs.destruction_s,
        "max_destruction_s": jobs.max_destruction_s,
    }
