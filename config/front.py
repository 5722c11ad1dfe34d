"""Pages that tell what the service is and how it is asked, put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from flask import Blueprint
from sqlalchemy.exc import SQLAlchemyError

from accounts.quota.document import Stand
from config.demo.recipe import DEMO
from config.settings import Settings
from dali.caller import Caller
from portal import help as help_page
from portal import landing
from portal.help import Help
from portal.interface import document as openapi
from portal.landing import Landing
from portal.pages import Pages
from portal.position import Place
from portal.status import StatusKeeper
from portal.surveys import SurveysShown
from soda.lists.manifest import ListPackage
from surveys.identifiers import Identifiers

#: A spiral galaxy and a cluster of the demo survey.
_DEMO_SIGHTS = (Place(DEMO.ra_deg, DEMO.dec_deg, "equatorial"), Place(150.05, 2.15, "equatorial"))


def front_pages(
    settings: Settings,
    identifiers: Identifiers,
    pages: Pages,
    shown: SurveysShown,
    stand_of: Callable[[Caller], Stand],
    keeper: StatusKeeper,
    base_url: Callable[[], str],
) -> Iterator[Blueprint]:
    """Make the pages.

    Parameters
    ----------
    settings
        All settings.
    identifiers
        Publisher DIDs.
    pages
        Renders.
    shown
        The surveys.
    stand_of
        Tells how the quotas of a caller stand.
    keeper
        Knows how the service is.
    base_url
        Gives the public URL of the service.
    """
    sights = {DEMO.dataset.partition("/")[0]: _DEMO_SIGHTS}

    def surveys_of(caller: Caller) -> Sequence[Mapping[str, Any]]:
        # The page is open to all, although the service may not be; and it is there without the database.
        if not (caller.name or settings.accounts.anonymous):
            return ()
        try:
            surveys: Sequence[Mapping[str, Any]] = shown.told(caller)["surveys"]
        except SQLAlchemyError:
            return ()
        return surveys

    columns = ListPackage(identifiers, settings.record.title, "").columns
    yield help_page.make_blueprint(pages, Help(surveys_of, shown.limits, columns), base_url)
    yield openapi.make_blueprint(
        settings.record.title,
        version("sodafountain"),
        base_url,
        contact=settings.publisher.email,
        anonymous=settings.accounts.anonymous,
    )
    yield landing.make_blueprint(pages, Landing(shown, sights, stand_of, keeper), base_url)
