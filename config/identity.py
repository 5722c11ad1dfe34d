"""Who sends a request is found out before anything answers it; and what all answers say of safety."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import structlog
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.wrappers import Request

from accounts.challenges import Challenges
from accounts.gate import Gate, Shown
from accounts.sessions import COOKIE
from accounts.tokens import PREFIX as TOKEN_PREFIX
from config.proxies import public_url
from dali.caller import ANONYMOUS, CALLER, Caller, Scope
from dali.errors import (
    SIGN_IN,
    AuthenticationError,
    AuthorizationError,
    ProtocolError,
    ServerError,
    ServiceUnavailable,
    UsageError,
)
from dali.responses import REQUEST_ID, error_response
from uws.links import link_in
from vosi.examples import STYLE

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Key of the session that a request belongs to, "" for none.
SESSION = "fountain.session"
_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
#: Resources that are only read, by POST too. Their work is done for whoever asks: not for a page of another
#: site, in the name of its visitor.
_READ = frozenset(("/sync", "/cutout", "/preview", "/query", "/links", "/estimate", "/api/v1/cutouts"))
#: Answered although the service is for those alone who are known: how it is, and how to be known.
_OPEN = (
    "/availability",
    "/capabilities",
    "/healthz",
    "/metrics",
    "/login",
    "/logout",
    "/static",
    "/unsubscribe",
    "/preferences",
    "/status",
    "/help",
    "/openapi.json",
    "/favicon.ico",
    "/robots.txt",
)
#: The same for everybody, and answered while it cannot be found out who asks.
_SURVIVING = ("/status", "/help", "/static", "/openapi.json")
#: Below these, jobs are seen by links too; whoever comes by one may do nothing else.
_BY_LINK = ("/async/", "/jobs/")
BY_LINK = replace(ANONYMOUS, way="link")
#: Headers that tell who asks, beside cookies.
_WHO = (("HTTP_AUTHORIZATION", "Authorization"), ("HTTP_X_ON_BEHALF_OF", "X-On-Behalf-Of"))
#: How a token begins that stands in a query.
_TOKEN_IN_QUERY = f"={TOKEN_PREFIX}"
#: What browsers say of requests that no other site has caused.
_OWN_SITE = ("same-origin", "none")
DATABASE_RETRY_S = 10

_ALWAYS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)


def _hash(text: str) -> str:
    return b64encode(sha256(text.encode()).digest()).decode()


#: Of what is no page: a browser that shows it all the same runs nothing.
DATA_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
#: Pages have no scripts, and so may have none: what was uploaded here would be one of this site.
PAGE_POLICY = (
    f"default-src 'none'; style-src 'self' 'sha256-{_hash(STYLE)}'; img-src 'self' data:;"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
#: What every answer says that is no page, whoever asks.
SAFETY = (*_ALWAYS, ("Content-Security-Policy", DATA_POLICY))
PAGE_SAFETY = (*_ALWAYS, ("Content-Security-Policy", PAGE_POLICY))
_SAFETY = frozenset(name for name, _ in SAFETY)
_PAGES = ("text/html", "application/xhtml+xml")
#: Half a year, and not for other services of the domain.
HSTS = "max-age=15768000"


class Identity:
    """WSGI middleware: finds out who sends a request, or refuses it.

    Parameters
    ----------
    app
        What it wraps.
    gate
        Knows people and services.
    challenges
        Tells how to be known.
    base_url
        The configured public URL, or "".
    anonymous
        Whether those whom nobody knows are let in.
    """

    def __init__(
        self,
        app: WSGIApplication,
        gate: Gate,
        challenges: Challenges,
        base_url: str = "",
        *,
        anonymous: bool = True,
    ) -> None:
        self._app = app
        self._gate = gate
        self._challenges = challenges
        self._base_url = base_url
        self._anonymous = anonymous
        self._is_secure = base_url.startswith("https:")
        self._log = structlog.get_logger()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        refusal: ProtocolError | None = None
        caller = ANONYMOUS
        if _tells(environ):
            try:
                caller = self._find(environ)
            except ProtocolError as error:
                refusal = error
            except SQLAlchemyError as error:
                self._log.error("the database failed", request_id=environ.get(REQUEST_ID), exc_info=error)
                refusal = None if _is_beneath(environ, _SURVIVING) else _database_away()
            except Exception as error:  # who it is is not known: nothing else may answer
                self._log.error("unexpected error", request_id=environ.get(REQUEST_ID), exc_info=error)
                refusal = ServerError("the service failed on this request", "Please report the request id.")
        if refusal is None and not (caller.name or self._anonymous or _is_open(environ)):
            caller = BY_LINK if _has_link(environ) else caller
        if refusal is None and not (caller.name or caller.way or self._anonymous or _is_open(environ)):
            refusal = AuthenticationError("this service is for those it knows", SIGN_IN)
        environ[CALLER] = caller

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            self._add_headers(environ, status, headers, caller)
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        if refusal is None:
            return self._app(environ, start)
        answer = error_response(refusal, Request(environ))
        answer.headers["Access-Control-Allow-Origin"] = "*"
        return answer(environ, start)

    def _find(self, environ: WSGIEnvironment) -> Caller:
        if _has_token_in_url(environ):
            raise UsageError(
                "a token cannot stand in a URL, which others see",
                "Send it in the Authorization header; revoke this one.",
            )
        for key, header in _WHO:
            # A program that has lost the name it was to send would go on as somebody else.
            if key in environ and not environ[key].strip():
                raise AuthenticationError(f"the header {header} is empty", "Leave it out, or say who asks.")
        key = _session_key(environ.get("HTTP_COOKIE", ""))
        shown = Shown(
            environ.get("HTTP_AUTHORIZATION", ""),
            key,
            environ.get("HTTP_X_ON_BEHALF_OF", ""),
            environ.get("REMOTE_ADDR", ""),
        )
        caller = self._gate.caller(shown)
        if caller.way == "session":
            self._expect_own_page(environ)
            environ[SESSION] = key
        elif caller.name:
            self._expect_no_browser_of_others(environ)
            _expect_scope(environ, caller)
        return caller

    def _expect_no_browser_of_others(self, environ: WSGIEnvironment) -> None:
        """Refuse a name and password that pages of other sites send: browsers that know them add them to all.

        Nothing adds a bearer token but a script that has it.
        """
        if not environ["HTTP_AUTHORIZATION"].lower().startswith("basic"):
            return
        site, origin = environ.get("HTTP_SEC_FETCH_SITE", ""), environ.get("HTTP_ORIGIN", "")
        is_foreign = origin not in ("", self._origin(environ)) if not site else site not in _OWN_SITE
        if is_foreign:
            raise AuthorizationError(
                "this request comes from a page of another site, with a name and password",
                "Scripts of other sites send a token: Authorization: Bearer.",
            )

    def _expect_own_page(self, environ: WSGIEnvironment) -> None:
        """Refuse what a page of another site sends with the cookie of its visitor.

        Notes
        -----
        ``Sec-Fetch-Site`` is what the browser itself says. Where it says nothing, changes need ``Origin``,
        which older browsers send with them.
        """
        site = environ.get("HTTP_SEC_FETCH_SITE", "")
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "").rstrip("/")
        if method in _SAFE:
            # Signed in or not, links to pages work from everywhere.
            is_link = environ.get("HTTP_SEC_FETCH_MODE", "") == "navigate" and path not in _READ
            is_own = not site or site in _OWN_SITE or is_link
        else:
            origin = environ.get("HTTP_ORIGIN", "")
            is_own = site == "same-origin" or (not site and origin == self._origin(environ))
        if not is_own:
            raise AuthorizationError(
                "this request comes from a page of another site, with the cookie of your session",
                "Send it from a page of this service, or with a token in the Authorization header.",
            )

    def _origin(self, environ: WSGIEnvironment) -> str:
        parts = urlsplit(public_url(Request(environ), self._base_url))
        return f"{parts.scheme}://{parts.netloc}"

    def _add_headers(
        self, environ: WSGIEnvironment, status: str, headers: list[tuple[str, str]], caller: Caller
    ) -> None:
        # Names are spelled as our own code spells them.
        there = dict(headers)
        safety = PAGE_SAFETY if there.get("Content-Type", "").startswith(_PAGES) else SAFETY
        headers += safety if there.keys().isdisjoint(_SAFETY) else [h for h in safety if h[0] not in there]
        if self._is_secure or environ.get("wsgi.url_scheme") == "https":
            headers.append(("Strict-Transport-Security", HSTS))
        if caller.name:
            headers.append(("X-VO-Authenticated", _in_header(caller.name)))
            # A cache that others share would hand it on to them.
            kept = [(name, _private(value) if name == "Cache-Control" else value) for name, value in headers]
            headers[:] = kept if "Cache-Control" in there else [*kept, ("Cache-Control", "private")]
        if status.startswith("401"):
            is_browser = "HTTP_SEC_FETCH_MODE" in environ
            base_url = public_url(Request(environ), self._base_url or "") if self._challenges.login else ""
            values = self._challenges.values(
                base_url, is_wrong="HTTP_AUTHORIZATION" in environ, is_browser=is_browser
            )
            headers += [("WWW-Authenticate", value) for value in values]


def _database_away() -> ProtocolError:
    return ServiceUnavailable(
        "the database does not answer", "Try again a little later.", retry_after_s=DATABASE_RETRY_S
    )


def _tells(environ: WSGIEnvironment) -> bool:
    """Whether a request has anything that may tell who sends it; without, nothing is looked up."""
    return (
        "HTTP_AUTHORIZATION" in environ
        or "HTTP_COOKIE" in environ
        or "HTTP_X_ON_BEHALF_OF" in environ
        or _has_token_in_url(environ)
    )


def _has_token_in_url(environ: WSGIEnvironment) -> bool:
    query = environ.get("QUERY_STRING", "")
    return "access_token=" in query or _TOKEN_IN_QUERY in query


def _is_open(environ: WSGIEnvironment) -> bool:
    # What browsers ask beforehand carries nothing that could tell who asks.
    return environ["REQUEST_METHOD"] == "OPTIONS" or _is_beneath(environ, _OPEN)


def _is_beneath(environ: WSGIEnvironment, paths: Iterable[str]) -> bool:
    path = environ.get("PATH_INFO", "")
    return any(path == one or path.startswith(f"{one}/") for one in paths)


def _has_link(environ: WSGIEnvironment) -> bool:
    """Whether a request may have a link to a job, to look at it; the job says whether it is right."""
    path = environ.get("PATH_INFO", "").rstrip("/")
    return (
        environ["REQUEST_METHOD"] in ("GET", "HEAD")
        and (path == "/events" or path.startswith(_BY_LINK))
        and bool(link_in(environ.get("QUERY_STRING", "").encode("latin-1", "replace")))
    )


def _session_key(cookies: str) -> str:
    """Find the key of a session; "" where there is none, or where somebody has sent two."""
    found = [
        value
        for name, _, value in (part.strip().partition("=") for part in cookies.split(";"))
        if name == COOKIE
    ]
    return found[0] if len(found) == 1 else ""


def _expect_scope(environ: WSGIEnvironment, caller: Caller) -> None:
    needed = _scope(environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""))
    if needed not in caller.scopes:
        raise AuthorizationError(
            f"the token is not for this: it lacks the scope {needed}",
            f"It has {', '.join(sorted(caller.scopes)) or 'none'}. Make one with the scope {needed}.",
        )


def _scope(method: str, path: str) -> Scope:
    path = path.rstrip("/")
    if path == "/admin" or path.startswith("/admin/"):
        return "admin"
    return "read" if method in _SAFE or path in _READ else "submit"


@lru_cache(maxsize=1024)
def _in_header(name: str) -> str:
    return quote(name, safe=":/@.+,=!*'()~ -_")


@lru_cache(maxsize=64)
def _private(value: str) -> str:
    words = [word.strip() for word in value.split(",")]
    is_kept_by_none = "no-store" in words or "private" in words
    return value if is_kept_by_none else ", ".join(("private", *(w for w in words if w != "public")))
