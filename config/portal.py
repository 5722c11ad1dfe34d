"""Pages, put together from settings and services."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from flask import Flask

from accounts.people import Account
from config.accounts import AccountParts
from config.settings import Settings
from portal import account as account_pages
from portal import assets as asset_views
from portal import login
from portal.assets import Assets
from portal.pages import Frame, NavItem, Pages

NAVIGATION = (NavItem("Examples", "/examples"), NavItem("Account", "/account", "known"))
#: What the notices know, which are not sent yet.
NO_WISHES = account_pages.Wishes((), lambda account: frozenset(), lambda name, wanted: None)


def make_pages(settings: Settings, accounts: AccountParts) -> Pages:
    """Make what renders pages."""

    def name_of(name: str) -> str:
        account: Account | None = accounts.people.get(name)
        return (account.title if account else "") or name.partition(":")[2]

    frame = Frame(
        settings.record.title,
        version("sodafountain"),
        settings.publisher.name,
        settings.publisher.email,
        NAVIGATION,
        name_of,
        can_sign_in=bool(accounts.signing.ways),
    )
    return Pages(frame, Assets())


def add_pages(app: Flask, settings: Settings, accounts: AccountParts, base_url: Callable[[], str]) -> Pages:
    """Have an application answer with pages; what renders them is given for others."""
    assets, pages = Assets(), make_pages(settings, accounts)
    app.register_blueprint(asset_views.make_blueprint(assets))
    signing = accounts.signing.sign_in(accounts.people, accounts.sessions)
    app.register_blueprint(
        login.make_blueprint(
            signing, accounts.sessions, pages, base_url, anonymous=settings.accounts.anonymous
        )
    )
    return pages
