"""Notices, put together from settings: who takes down wishes, who sends, and where mail is stopped."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NoBase64
from dataclasses import dataclass

from flask import Blueprint
from sqlalchemy import Engine

from accounts.audit import Audit
from accounts.contacts import Contacts
from accounts.people import People
from accounts.secret import Secret
from config.accounts import secret_of
from config.settings import Settings
from uws.notices import views
from uws.notices.desk import NoticeDesk
from uws.notices.post import PostOffice
from uws.store.notices import NoticeStore

ASYNC_PATH = "async"
UNSUBSCRIBE_PATH = "unsubscribe"
#: What signatures in links of mails are for.
_PURPOSE = "unsubscribe"


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Links that stop the mail to an account: whoever has the mail may follow them, signed in or not.

    Parameters
    ----------
    secret
        Signs them.
    base_url
        Public URL of the service.
    """

    secret: Secret
    base_url: str

    def url(self, owner: str) -> str:
        """Give the link of an account."""
        name = urlsafe_b64encode(owner.encode()).decode().rstrip("=")
        return f"{self.base_url}/{UNSUBSCRIBE_PATH}/{name}.{self.secret.sign(_PURPOSE, owner)}"

    def owner(self, key: str) -> str:
        """Tell whose link it is, by its last part; "" if it was not made here."""
        name, _, signature = key.partition(".")
        try:
            owner = urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()
        except (NoBase64, ValueError):  # what is not ASCII, or not UTF-8 inside
            return ""
        return owner if self.secret.is_signed(_PURPOSE, owner, signature) else ""


def make_desk(settings: Settings, people: People) -> NoticeDesk:
    """Make what takes down who wants to be told what."""
    return NoticeDesk(settings.notices, Contacts(people))


def make_post(settings: Settings, engine: Engine) -> PostOffice | None:
    """Make what sends; None where nothing is sent.

    Raises
    ------
    SettingsError
        If there is no secret to sign links with.
    """
    notices, server = settings.notices, settings.server
    if not notices.smtp_url and not notices.webhook_hosts:
        return None
    base_url = server.base_url.rstrip("/") or f"http://{server.host}:{server.port}"
    return PostOffice(
        NoticeStore(engine),
        Contacts(People(engine, Audit(engine))),
        notices,
        f"{base_url}/{ASYNC_PATH}",
        Unsubscribe(secret_of(settings), base_url).url,
    )


def make_unsubscribe(settings: Settings, people: People) -> Blueprint:
    """Make the resource where mail is stopped."""
    links = Unsubscribe(secret_of(settings), "")
    return views.make_blueprint(links.owner, Contacts(people).stop)
