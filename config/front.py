"""Pages that tell what the service is and how it is asked, put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from flask import Blueprint

from accounts.quota.document import Stand
from config.demo.recipe import DEMO
from config.settings import Settings
from dali.caller import Caller
from portal import landing
from portal.landing import Landing
from portal.pages import Pages
from portal.position import Place
from portal.status import StatusKeeper
from portal.surveys import SurveysShown

#: A spiral galaxy and a cluster of the demo survey.
_DEMO_SIGHTS = (Place(DEMO.ra_deg, DEMO.dec_deg, "equatorial"), Place(150.05, 2.15, "equatorial"))


def front_pages(
    settings: Settings,
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
    yield landing.make_blueprint(pages, Landing(shown, sights, stand_of, keeper), base_url)
