"""``/openapi.json``: the document, written from the table of operations."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from flask import Blueprint, Response, request

from accounts.sessions import COOKIE
from dali.responses import JSON, TEXT
from portal.interface.operations import OPERATIONS, Asked, Operation
from portal.interface.schemas import SCHEMAS, ref

VERSION = "3.1.0"
_TAGS = {
    "cutouts": "Cutouts, and what there is to cut",
    "jobs": "Jobs, and what becomes of them",
    "service": "How the service is, and what may be used",
    "account": "Who the caller is, and tokens",
}
_ABOUT = (
    "What programs may ask for beside the standards of the Virtual Observatory (see /capabilities). "
    "Names of parameters may be written in any case. Where a resource has several forms, JSON is asked for "
    "by the header Accept: application/json."
)


def make_blueprint(
    title: str, version: str, base_url: Callable[[], str], *, contact: str = "", anonymous: bool = True
) -> Blueprint:
    """Make the resource.

    Parameters
    ----------
    title
        What the service calls itself.
    version
        Of the program.
    base_url
        Gives the public URL of the service.
    contact
        E-mail address of somebody to ask; "" is not told.
    anonymous
        Whether those whom nobody knows are let in.
    """
    blueprint = Blueprint("openapi", __name__)

    @lru_cache(maxsize=8)
    def written(url: str) -> str:
        info = {"title": title, "version": version, "description": _ABOUT}
        if contact:
            info = {**info, "contact": {"email": contact}}  # type: ignore[dict-item]
        return json.dumps(document(info, url, anonymous=anonymous), ensure_ascii=False, indent=1)

    @blueprint.get("/openapi.json")
    def show() -> Response:
        response = Response(written(base_url()), content_type=JSON)
        response.headers["Cache-Control"] = "no-cache"
        response.add_etag()
        return response.make_conditional(request)  # type: ignore[return-value]

    return blueprint


def document(info: Mapping[str, Any], base_url: str, *, anonymous: bool) -> dict[str, Any]:
    """Write the document."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    ways: list[dict[str, list[str]]] = [{"token": []}, {"session": []}]
    return {
        "openapi": VERSION,
        "info": info,
        "servers": [{"url": base_url}],
        "security": [{}, *ways] if anonymous else ways,
        "tags": [{"name": name, "description": told} for name, told in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "responses": {
                "Error": {
                    "description": "What is wrong, and how it is mended",
                    "content": {JSON: {"schema": ref("Error")}, TEXT: {"schema": {"type": "string"}}},
                }
            },
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A token of /account"},
                "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            },
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    parameters = list(_varying(operation.path))
    if not operation.body:
        parameters += [_parameter(asked) for asked in operation.asked]
    told: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": parameters,
    }
    if operation.body:
        schema = _form(operation.asked)
        told["requestBody"] = {"content": {kind: {"schema": schema} for kind in operation.body}}
    answers: dict[str, Any] = {
        str(status): {
            "description": answer.description,
            **(
                {"content": {kind: {"schema": one} for kind, one in answer.content.items()}}
                if answer.content
                else {}
            ),
        }
        for status, answer in operation.answers.items()
    }
    return {**told, "responses": {**answers, "default": {"$ref": "#/components/responses/Error"}}}


def _varying(path: str) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _parameter(asked: Asked) -> dict[str, Any]:
    return {
        "name": asked.name,
        "in": "query",
        **({"description": asked.description} if asked.description else {}),
        **({"required": True} if asked.is_required else {}),
        "schema": _values(asked),
    }


def _form(asked: Any) -> dict[str, Any]:
    required = [one.name for one in asked if one.is_required]
    return {
        "type": "object",
        "properties": {one.name: {**_values(one), "description": one.description} for one in asked},
        **({"required": required} if required else {}),
    }


def _values(asked: Asked) -> Mapping[str, Any]:
    return {"type": "array", "items": asked.schema} if asked.is_many else asked.schema
