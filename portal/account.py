"""The page of one's own account: who one is here, how much may be used, tokens, mail."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from accounts.people import Account, People
from accounts.proof import Proof
from accounts.quota.standing import WORDS, Standing
from accounts.tokens import NewToken, Tokens, parse_scopes
from dali.caller import Caller, Scope, caller_in
from dali.errors import AuthenticationError, AuthorizationError, ProtocolError, UsageError, quoted
from dali.responses import error_response
from portal import figures
from portal.pages import Pages, is_for_people, path_of
from portal.words import gettext as _
from portal.words import marked

MOST_BYTES = 10_000
_SCOPES: Mapping[Scope, str] = {
    "read": marked("see data and jobs, and have small cutouts made"),
    "submit": marked("make, change and remove jobs"),
    "admin": marked("administer the service"),
}
_USUAL: tuple[Scope, ...] = ("read", "submit")


@dataclass(frozen=True, slots=True)
class Wish:
    """Something an account may want to be told of by mail.

    Parameters
    ----------
    word
        In the form, and in what is kept.
    text
        What people read after "Write to me when a job".
    """

    word: str
    text: str


@dataclass(frozen=True, slots=True)
class Wishes:
    """What can be wished for, and how that is kept.

    Parameters
    ----------
    offered
        In their order; none where the service sends no mail.
    read
        Gives those that an account has.
    keep
        Keeps those of an account.
    """

    offered: Sequence[Wish]
    read: Callable[[Account], frozenset[str]]
    keep: Callable[[str, frozenset[str]], object]


def account_page(
    pages: Pages,
    people: People,
    tokens: Tokens,
    wishes: Wishes,
    quotas: Callable[[Caller], Sequence[Standing]] = lambda _: (),
) -> Callable[..., BaseResponse]:
    """Make the function that gives the page; it sends those whom nobody knows to sign in first.

    `quotas` tells how those of a caller stand.
    """

    def page(
        *,
        status: int = 200,
        made: NewToken | None = None,
        error: ProtocolError | None = None,
        asked: Mapping[str, Any] | None = None,
        said: str = "",
    ) -> BaseResponse:
        caller = caller_in(request.environ)
        account = people.get(caller.name) if caller.name else None
        if account is None or caller.way == "token" or caller.actor:
            return redirect(f"{path_of('/login')}?next={path_of('/account')}", 303)
        wished = wishes.read(account)
        return pages.render(
            "account.html",
            status=status,
            account=account,
            quotas=[(*quota_line(one), *_shares(one)) for one in quotas(caller)],
            tokens=tokens.of(account.name),
            made=made,
            asked=asked or {"title": "", "days": tokens.limits.days, "scopes": _USUAL},
            max_days=tokens.limits.max_days,
            scopes=[(word, text) for word, text in _SCOPES.items() if word in _scopes_for(caller)],
            wishes=[(wish, wish.word in wished) for wish in wishes.offered],
            problem=error.sentence if error else "",
            fix=error.fix if error else "",
            said=said,
        )

    return page


def make_blueprint(
    pages: Pages, page: Callable[..., BaseResponse], tokens: Tokens, wishes: Wishes, proof: Proof
) -> Blueprint:
    """Make what the forms of the page are sent to; programs have ``/account/tokens``."""
    blueprint = Blueprint("account_page", __name__)

    @blueprint.before_request
    def limit() -> None:
        request.max_content_length = MOST_BYTES

    @blueprint.post("/account/new-token")
    def make_token() -> BaseResponse:
        caller = _signed_in()
        title, days = request.form.get("title", ""), request.form.get("days", "")
        scopes = request.form.getlist("scopes")
        try:
            wanted = parse_scopes(scopes)
            if "admin" in wanted:  # it administers, and is never asked again who it is
                proof.expect(caller)
            made = tokens.make(caller.name, title, wanted, _days(days), by=caller)
        except ProtocolError as error:
            asked = {"title": title, "days": days, "scopes": scopes}
            return page(status=error.status, error=error, asked=asked)
        # Not after a redirection: it is nowhere but in this answer.
        return page(status=201, made=made)

    @blueprint.post("/account/tokens/<token_id>/revoke")
    def revoke_token(token_id: str) -> BaseResponse:
        caller = _signed_in()
        tokens.revoke(token_id, by=caller, account=caller.name)
        return redirect(path_of("/account"), 303)

    @blueprint.post("/account/wishes")
    def keep_wishes() -> BaseResponse:
        caller = _signed_in()
        wanted = frozenset(request.form.getlist("mail")) & {wish.word for wish in wishes.offered}
        wishes.keep(caller.name, wanted)
        return page(said=_("Saved."))

    @blueprint.errorhandler(ProtocolError)
    def tell(error: ProtocolError) -> Response | BaseResponse:
        return pages.error(error) if is_for_people() else error_response(error, request)

    return blueprint


def _shares(standing: Standing) -> tuple[float, float]:
    """Tell how much of a quota is used, and how much jobs have reserved beside, in per cent."""
    if not standing.limit:
        return 0.0, 0.0
    used = min(100.0, 100 * standing.used / standing.limit)
    return used, min(100.0 - used, 100 * standing.reserved / standing.limit)


def quota_line(standing: Standing) -> tuple[str, str, str, str]:
    """Write how a quota stands: what, of which group, how much is taken, of how much."""
    kind = standing.kind
    group = standing.subject.removeprefix("group:") if standing.subject.startswith("group:") else ""
    taken = figures.amount(kind.value, standing.used + standing.reserved)
    return WORDS[kind], group, taken, figures.amount(kind.value, standing.limit) if standing.limit else ""


def _signed_in() -> Caller:
    """Give who has signed in with a browser.

    Raises
    ------
    AuthenticationError
        If nobody has.
    AuthorizationError
        If it is known in another way who asks.
    """
    caller = caller_in(request.environ)
    if not caller.name:
        raise AuthenticationError("nobody is signed in", "Sign in first.")
    if caller.way != "session":
        raise AuthorizationError("this form is for who has signed in", "Programs have /account/tokens.")
    return caller


def _scopes_for(caller: Caller) -> tuple[Scope, ...]:
    known: tuple[Scope, ...] = get_args(Scope)
    return known if caller.is_admin else _USUAL


def _days(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(f"days is a number; got {quoted(text)}") from error
