"""``/login`` and ``/logout``: the pages of signing in, and the cookies that come of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from accounts.people import Account
from accounts.providers.answers import NotLetIn
from accounts.sessions import COOKIE, Sessions, cookie_header
from accounts.signing import HOME, SignIn, local_path
from dali.caller import caller_in
from dali.errors import (
    AuthenticationError,
    AuthorizationError,
    ProtocolError,
    ServiceUnavailable,
    TooManyRequests,
)
from dali.responses import JSON, error_response
from portal.pages import Pages, is_for_people, path_of
from portal.words import gettext as _

#: Of a login elsewhere that has begun. The session of the browser goes on until somebody has signed in.
BEGUN_COOKIE = "__Host-fountain-login"
BEGUN_S = 600
MOST_BYTES = 10_000


def make_blueprint(
    signing: SignIn, sessions: Sessions, pages: Pages, base_url: Callable[[], str], *, anonymous: bool
) -> Blueprint:
    """Make the resources.

    Parameters
    ----------
    signing
        The ways to sign in.
    sessions
        Those of browsers.
    pages
        Renders.
    base_url
        Gives the public URL of the service, which providers send people back to.
    anonymous
        Whether those who do not sign in are let in too.
    """
    blueprint = Blueprint("login", __name__)

    def page(status: int = 200, problem: str = "", fix: str = "", tried: str = "") -> Response:
        response = pages.render(
            "login.html",
            status=status,
            ways=signing.ways,
            next=_next(),
            again=_is_again(),
            anonymous=anonymous,
            problem=problem,
            fix=fix,
            tried=tried,
            typed=request.form.get("name", "")[:255] if tried else "",
        )
        return response

    @blueprint.get("/login")
    def show_ways() -> Response:
        if is_for_people():
            return page()
        ways = [
            {
                "label": way.label,
                "title": way.title,
                "kind": way.kind,
                "url": f"{base_url()}/login/{way.label}",
            }
            for way in signing.ways
        ]
        return Response(json.dumps({"anonymous": anonymous, "ways": ways}), content_type=JSON)

    @blueprint.get("/login/<label>")
    def begin(label: str) -> BaseResponse:
        if signing.way(label).kind == "password":
            return redirect(_login_page(), 303)
        url, key = signing.begin(label, _callback(base_url(), label), _next(), again=_is_again())
        response = redirect(url, 303)
        response.headers["Cache-Control"] = "no-store"
        response.headers.add("Set-Cookie", _begun(key, BEGUN_S))
        return response

    @blueprint.post("/login/<label>")
    def with_password(label: str) -> BaseResponse:
        request.max_content_length = MOST_BYTES
        way = signing.way(label)
        _expect_own_page(base_url())
        if way.kind != "password":
            return redirect(_login_page(), 303)
        name, password = request.form.get("name", ""), request.form.get("password", "")
        try:
            account = signing.with_password(label, name, password, request.remote_addr or "")
        except NotLetIn as refusal:
            return page(403, str(refusal), tried=label)
        except AuthenticationError:
            return page(401, _("Name and password do not fit."), tried=label)
        except (TooManyRequests, ServiceUnavailable) as error:
            refused = page(error.status, error.sentence, error.fix, tried=label)
            refused.headers["Retry-After"] = str(error.retry_after_s)
            return refused
        response = redirect(_next() or path_of(HOME), 303)
        response.headers["Cache-Control"] = "no-store"
        _begin_session(sessions, account, response)
        return response

    @blueprint.get("/login/<label>/callback")
    def come_back(label: str) -> BaseResponse:
        if signing.way(label).kind == "password":
            return redirect(_login_page(), 303)
        answer = {name: values[0] for name, values in request.args.lists() if len(values) == 1}
        key = request.cookies.get(BEGUN_COOKIE, "")
        try:
            account, path = signing.finish(label, key, answer, _callback(base_url(), label))
        except NotLetIn as refusal:
            response: BaseResponse = page(403, str(refusal))
        except ServiceUnavailable as error:
            response = page(error.status, error.sentence, error.fix)
            response.headers["Retry-After"] = str(error.retry_after_s)
        else:
            # A page, and no redirection: browsers take that for one of the provider's site, all the way.
            response = pages.render("signed-in.html", target=path or path_of(HOME))
            _begin_session(sessions, account, response)
        response.headers.add("Set-Cookie", _begun("", 0))
        return response

    @blueprint.get("/logout")
    def ask() -> Response:
        return pages.render("logout.html")

    @blueprint.post("/logout")
    def leave() -> BaseResponse:
        request.max_content_length = MOST_BYTES
        _expect_own_page(base_url())
        caller, key = caller_in(request.environ), request.cookies.get(COOKIE, "")
        if caller.way == "session" and request.form.get("everywhere"):
            sessions.end_all(caller.name, by=caller, reason="signed out everywhere")
        if key:
            sessions.end(key)
        response = redirect(path_of("/logout"), 303)
        response.headers.add("Set-Cookie", cookie_header("", 0))
        return response

    @blueprint.errorhandler(ProtocolError)
    def tell(error: ProtocolError) -> BaseResponse:
        return pages.error(error) if is_for_people() else error_response(error, request)

    return blueprint


def _begin_session(sessions: Sessions, account: Account, response: BaseResponse) -> None:
    """Give the browser a session of its own; the one that it had is over."""
    key = sessions.begin(account.name, instead_of=request.cookies.get(COOKIE, ""))
    response.headers.add("Set-Cookie", cookie_header(key, sessions.limits.absolute_s))


def _next() -> str:
    """Give where the request wants to go afterwards, if that is here."""
    return local_path(request.values.get("next", ""), request.root_path.rstrip("/"))


def _is_again() -> bool:
    return request.values.get("again", "") == "1"


def _login_page() -> str:
    given = {"next": _next(), "again": "1" if _is_again() else ""}
    query = urlencode({name: value for name, value in given.items() if value})
    return path_of("/login") + (f"?{query}" if query else "")


def _callback(base_url: str, label: str) -> str:
    return f"{base_url}/login/{label}/callback"


def _begun(key: str, age_s: int) -> str:
    return f"{BEGUN_COOKIE}={key}; Path=/; Max-Age={age_s}; Secure; HttpOnly; SameSite=Lax"


def _expect_own_page(base_url: str) -> None:
    """Refuse forms of other sites: nobody is to be signed in, or out, without having wanted to.

    Raises
    ------
    AuthorizationError
        If the browser says that the form is of another site.
    """
    site, origin = request.headers.get("Sec-Fetch-Site", ""), request.headers.get("Origin", "")
    own = "/".join(base_url.split("/", 3)[:3])
    if site not in ("", "same-origin") or (not site and origin not in ("", own)):
        raise AuthorizationError("this form is of another site", "Sign in on the page of this service.")
