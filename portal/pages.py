"""How pages are rendered: their frame, and what templates may use."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, Protocol

from flask import Response, request
from jinja2 import Environment, PackageLoader, StrictUndefined

from dali.caller import Caller, caller_in
from dali.errors import ProtocolError, ServiceUnavailable, TooManyRequests
from dali.responses import REQUEST_ID
from portal import figures
from portal.assets import Assets
from portal.policy import HEADER, PagePolicy
from portal.words import LANGUAGES, gettext, language, ngettext, words_of_scripts

HTML = "text/html; charset=utf-8"
#: The module that every page with scripts has.
BASE = "base.js"
THEMES = ("auto", "light", "dark")
THEME_COOKIE = "fountain-theme"
_PLAIN = PagePolicy()


@dataclass(frozen=True, slots=True)
class NavItem:
    """An entry of the navigation.

    Parameters
    ----------
    text
        What it is called.
    path
        Where it leads; it is marked on this page, and on those beneath.
    whom
        Who sees it.
    number
        Gives what is told beside the text, of things that go on; 0 is not told.
    """

    text: str
    path: str
    whom: Literal["all", "known", "admin"] = "all"
    number: Callable[[Caller], int] | None = None

    def is_for(self, caller: Caller) -> bool:
        """Whether a caller sees it."""
        return self.whom == "all" or (bool(caller.name) if self.whom == "known" else caller.is_admin)


class Told(Protocol):
    """Something that all are told."""

    @property
    def text(self) -> str:
        """What."""

    @property
    def level(self) -> Literal["note", "warning"]:
        """How much it matters."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What is around every page.

    Parameters
    ----------
    title
        Name of the service.
    version
        Of the program.
    publisher
        Who runs it; "" is not told.
    contact
        E-mail address of somebody to ask; "" is not told.
    navigation
        Entries, in their order.
    name_of
        Gives what people read instead of the name of an account.
    announcements
        Gives those of this moment.
    can_sign_in
        Whether there is a way to sign in.
    mark
        Gives how the service is: the class of a mark, and what it says; without waiting for anything.
    """

    title: str
    version: str
    publisher: str
    contact: str
    navigation: Sequence[NavItem]
    name_of: Callable[[str], str]
    announcements: Callable[[], Iterable[Told]] = tuple
    can_sign_in: bool = True
    mark: Callable[[], tuple[str, str]] = lambda: ("", "")


class Pages:
    """Renders pages.

    Parameters
    ----------
    frame
        What is around each.
    assets
        Files that they need.
    """

    def __init__(self, frame: Frame, assets: Assets) -> None:
        self.frame = frame
        self._environment = Environment(
            loader=PackageLoader("portal"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(
            _=gettext, ngettext=ngettext, asset=lambda name: path_of(assets.address(name))
        )
        self._assets = assets
        self._environment.globals.update(path=path_of, frame=frame, languages=LANGUAGES, themes=THEMES)
        self._environment.filters.update(day=_day, moment=_moment, iso=_iso, sentence=sentence)
        self._environment.filters.update(
            count=figures.count, decimal=figures.decimal, size=figures.size, duration=figures.duration
        )

        @lru_cache
        def words_in(spoken: str, scripts: tuple[str, ...]) -> dict[str, Any]:
            return words_of_scripts(assets.scripts(scripts), spoken)

        self._words_in = words_in

    def render(
        self,
        template: str,
        *,
        status: int = 200,
        scripts: Sequence[str] = (),
        policy: PagePolicy = _PLAIN,
        **values: object,
    ) -> Response:
        """Give a page to whom the request is of.

        Parameters
        ----------
        template
            Its template.
        status
            Of the answer.
        scripts
            Modules that it starts; without any it may run none.
        policy
            What they may ask for.
        values
            Those of the template.
        """
        caller, spoken = caller_in(request.environ), language()
        nonce = secrets.token_urlsafe(16) if scripts else ""
        theme = request.cookies.get(THEME_COOKIE, "")
        body = self._environment.get_template(template).render(
            **values,
            caller=caller,
            caller_name=self.frame.name_of(caller.name) if caller.name else "",
            navigation=[item for item in self.frame.navigation if item.is_for(caller)],
            announcements=list(self.frame.announcements()),
            here=request.path,
            here_query=request.query_string.decode("utf-8", "replace"),
            language=spoken,
            theme=theme if theme in THEMES else THEMES[0],
            nonce=nonce,
            scripts=[path_of(self._assets.address(name)) for name in scripts],
            words=self._words_in(spoken, tuple(scripts)) if scripts else {},
        )
        response = Response(body, status, content_type=HTML)
        if scripts:
            response.headers[HEADER] = policy.header(nonce)
        # It says who is signed in.
        response.headers["Cache-Control"] = "no-store"
        return response

    def compile(self) -> None:
        """Compile all templates, which the first who asks for a page would wait for."""
        for name in self._environment.list_templates(extensions=("html",)):
            self._environment.get_template(name)

    def error(self, error: ProtocolError) -> Response:
        """Give a page that tells of an error, in the words that everybody else is told."""
        request_id = str(request.environ.get(REQUEST_ID, "-"))
        response = self.render("error.html", status=error.status, error=error, request_id=request_id)
        if isinstance(error, ServiceUnavailable | TooManyRequests):
            response.headers["Retry-After"] = str(error.retry_after_s)
        return response


def path_of(path: str) -> str:
    """Give a path as browsers know it: beneath that of the service."""
    return f"{request.root_path.rstrip('/')}{path}"


def is_for_people() -> bool:
    """Whether the request rather wants a page than data."""
    return request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"


def sentence(text: str) -> str:
    """Begin a text with a capital, as errors in text do not."""
    return text[:1].upper() + text[1:]


def _at(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _day(milliseconds: int) -> str:
    return f"{_at(milliseconds):%Y-%m-%d}"


def _moment(milliseconds: int) -> str:
    return f"{_at(milliseconds):%Y-%m-%d %H:%M} UTC"


def _iso(milliseconds: int) -> str:
    return _at(milliseconds).isoformat(timespec="seconds")
