"""``/account`` and ``/account/tokens``: who one is here, and the tokens one has; as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as BaseResponse

from accounts.people import People
from accounts.proof import Proof
from accounts.tokens import Token, Tokens, parse_scopes
from dali.caller import Caller, caller_in
from dali.errors import AuthenticationError, AuthorizationError, UsageError, quoted
from dali.responses import JSON
from dali.views import expect_whole_body, read_parameters

HTML = "text/html"
MOST_BYTES = 10_000
#: In these ways somebody is known who could sign in: only they make tokens, and no token does.
_SIGNED_IN = ("session", "password")
_FIELDS = ("title", "scopes", "days")


def make_blueprint(
    people: People, tokens: Tokens, proof: Proof, page: Callable[[], BaseResponse] | None = None
) -> Blueprint:
    """Make the resources; browsers get the page at ``/account``, where there is one."""
    blueprint = Blueprint("account", __name__)

    @blueprint.get("/account")
    def show_account() -> BaseResponse:
        if page is not None and request.accept_mimetypes.best_match([JSON, HTML]) == HTML:
            return page()
        return _answer(_told(caller_in(request.environ), people))

    @blueprint.get("/account/tokens")
    def list_tokens() -> Response:
        caller = _somebody()
        if caller.actor:
            raise AuthorizationError("a service that acts for somebody sees none of their tokens")
        found = tokens.of(caller.name)
        return _answer({"tokens": [token_document(token) for token in found]})

    @blueprint.post("/account/tokens")
    def make_token() -> Response:
        caller = _somebody()
        if caller.way not in _SIGNED_IN or caller.actor:
            raise AuthorizationError(
                "a token makes no tokens", "Sign in on a page, or by name and password, to make one."
            )
        asked = _asked()
        scopes = parse_scopes(asked["scopes"].split(","))
        if "admin" in scopes:  # it administers, and is never asked again who it is
            proof.expect(caller)
        made = tokens.make(caller.name, asked["title"], scopes, _days(asked["days"]), by=caller)
        # It is told this once: nobody keeps it.
        return _answer(token_document(made.token) | {"token": made.text}, 201)

    @blueprint.delete("/account/tokens/<token_id>")
    def revoke_token(token_id: str) -> Response:
        caller = _somebody()
        if caller.actor:
            raise AuthorizationError("a service that acts for somebody ends none of their tokens")
        tokens.revoke(token_id, by=caller, account=caller.name)
        return Response(status=204, headers={"Cache-Control": "no-store"})

    return blueprint


def token_document(token: Token) -> dict[str, Any]:
    """Write what is known of a token; its text is not."""
    return {
        "id": token.token_id,
        "title": token.title,
        "scopes": sorted(token.scopes),
        "created": _moment(token.created_ms),
        "expires": _moment(token.expires_ms),
        "used": _moment(token.used_ms),
    }


def _told(caller: Caller, people: People) -> dict[str, Any]:
    account = people.get(caller.name) if caller.name and not caller.actor else None
    about = {"title": account.title, "email": account.email} if account else {}
    return {
        "account": caller.name,
        **about,
        "actor": caller.actor,
        "way": caller.way,
        "scopes": sorted(caller.scopes) if caller.name else ["read", "submit"],
        "groups": sorted(caller.groups),
        "class": caller.tier,
        "share": caller.share,
        "admin": caller.is_admin,
    }


def _somebody() -> Caller:
    caller = caller_in(request.environ)
    if not caller.name:
        raise AuthenticationError("it is not known whose tokens these are", "Sign in, or send a token.")
    return caller


def _asked() -> Mapping[str, str]:
    """Read a form or a JSON object with title, scopes and days."""
    request.max_content_length = MOST_BYTES
    if request.mimetype == JSON:
        given = _object()
    else:
        parameters = read_parameters(request)
        given = {name: parameters.one(name.upper()) or "" for name in ("title", "days")}
        given["scopes"] = ",".join(parameters.all("SCOPES"))
    for name in ("title", "scopes"):
        if not given.get(name):
            raise UsageError(f"{name} is missing", "A token has title, scopes (read, submit) and days.")
    return {"days": ""} | given


def _object() -> dict[str, str]:
    expect_whole_body(request)
    try:
        given = json.loads(request.get_data())
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise UsageError("the body is no JSON object", 'Send {"title": "laptop", "scopes": ["read"]}.')
    if unknown := sorted(set(given) - set(_FIELDS)):
        raise UsageError(f"there is no field {quoted(unknown[0])}", f"Fields are {', '.join(_FIELDS)}.")
    fields = {}
    for name, value in given.items():
        several = value if isinstance(value, list) else [value]
        if not all(isinstance(one, str | int | float) for one in several):
            raise UsageError(f"{name} is of no type that it may have", "Send texts; scopes may be a list.")
        fields[name] = ",".join(map(str, several))
    return fields


def _days(text: str) -> float | None:
    if not text.strip():
        return None
    if not text.strip().isascii() or not text.strip().isdigit() or len(text.strip()) > 9:
        raise UsageError(f"days is a whole number; got {quoted(text)}", "Write days=30.")
    return int(text)


def _moment(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms // 1000, UTC).isoformat().replace("+00:00", "Z")


def _answer(document: Mapping[str, Any], status: int = 200) -> Response:
    written = json.dumps(document, ensure_ascii=False, indent=1)
    return Response(f"{written}\n", status, {"Cache-Control": "no-store"}, content_type=JSON)
