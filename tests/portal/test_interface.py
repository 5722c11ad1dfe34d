"""The OpenAPI document: it is valid, it names what there is, and answers are as it says and no more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from werkzeug.routing import Rule

from portal.interface.operations import OPERATIONS
from tests.support.accounts import somebody
from tests.support.redis import own_redis
from tests.support.service import did, make_service

#: Rules that the document leaves to other descriptions: standards of the VO (capabilities), pages, files.
OTHERS = re.compile(
    r"/admin|/hips|/moc|/static|/tables|/unsubscribe|/login/|/account/(new-token|wishes|tokens/<token_id>/revoke)"
    r"|/async/<job_id>/(phase|executionduration|destruction|quote|owner|error|parameters|results)"
    r"|/(availability|capabilities|examples|record|healthz|metrics|query|links|preview|openapi\.json|favicon\.ico|robots\.txt)$"
    r"|/(batch|explore|jobs|help|logout|preferences)?$|/jobs/<job_id>$"
)
JSON = {"Accept": "application/json"}
LIST = "ra,dec,id\n150,0,a\n150.0005,0,b\n10,80,c\n150,95,d\n"


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    with own_redis() as redis:
        yield make_service(tmp_path_factory.mktemp("interface"), {"FOUNTAIN_JOBS__REDIS_URL": redis.url})


@pytest.fixture(scope="module")
def document(described: Flask) -> dict[str, Any]:
    told: dict[str, Any] = described.test_client().get("/openapi.json").json
    return told


@pytest.fixture(scope="module")
def job(described: Flask) -> str:
    """A list that waits: nobody works here."""
    asked = {"UPLOAD": "targets,param:t", "t": (BytesIO(LIST.encode()), "l.csv"), "ID": did("tiny/g")}
    answer = described.test_client().post("/async", data={**asked, "SIZE": "10arcsec", "PHASE": "RUN"})
    assert answer.status_code == 303
    return answer.headers["Location"].rpartition("/")[2]


def test_it_is_valid(document: dict[str, Any]) -> None:
    validate(document)
    assert document["openapi"] == "3.1.0"


def test_it_names_what_there_is(described: Flask, document: dict[str, Any]) -> None:
    rules = [
        (written(rule), method.lower())
        for rule in described.url_map.iter_rules()
        for method in rule.methods or ()
    ]
    documented = {(path, method) for path, methods in document["paths"].items() for method in methods}
    assert documented <= set(rules)
    for rule in described.url_map.iter_rules():
        if written(rule) not in document["paths"]:
            assert OTHERS.match(str(rule)), f"{rule} is neither in the document nor left to others"


def written(rule: Rule) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(rule))


def exact(schema: Any) -> Any:
    """Let objects have no other members than those that are named."""
    if isinstance(schema, list):
        return [exact(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: exact(one) for name, one in schema.items()}
    if isinstance(made.get("properties"), dict) and made.get("type") in ("object", ["object", "null"]):
        made.setdefault("additionalProperties", False)
    return made


def check(document: dict[str, Any], name: str, answer: Any) -> None:
    components = exact({"components": {"schemas": document["components"]["schemas"]}})
    schema = {**components, "$ref": f"#/components/schemas/{name}"}
    faults = [
        f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(answer)
    ]
    assert faults == []


CALLS = {
    "surveys": ("/surveys?POS=150 0&SIZE=1arcmin", "Surveys"),
    "position": ("/position?TEXT=150 0", "Place"),
    "estimate": (f"/estimate?ID={did('tiny/g')}&CIRCLE=150 0 0.005", "Estimate"),
    "jobs": ("/async?JOB={job}", "Jobs"),
    "job": ("/async/{job}", "WholeJob"),
    "eventsOfJob": ("/async/{job}/events?AFTER=0", "Events"),
    "ledger": ("/async/{job}/ledger", "Ledger"),
    "causes": ("/async/{job}/causes", "Causes"),
    "news": ("/events?JOB={job}", "News"),
    "queue": ("/queue", "Queues"),
    "quota": ("/quota", "Quota"),
    "status": ("/status", "Status"),
    "ways": ("/login", "Ways"),
    "account": ("/account", "Account"),
}


@pytest.mark.parametrize("name", CALLS)
def test_answers_are_as_it_says(described: Flask, document: dict[str, Any], job: str, name: str) -> None:
    path, schema = CALLS[name]
    answer = described.test_client().get(path.format(job=job), headers=JSON)
    assert answer.status_code == 200, answer.text
    check(document, schema, answer.json)
    operation = next(one for one in OPERATIONS if one.name == name)
    assert operation.answers[200].content["application/json"] == {"$ref": f"#/components/schemas/{schema}"}


def test_an_estimate_of_a_table_is_as_it_says(described: Flask, document: dict[str, Any]) -> None:
    asked = {"UPLOAD": "targets,param:t", "t": (BytesIO(LIST.encode()), "l.csv"), "ID": did("tiny/g")}
    answer = described.test_client().post("/estimate", data={**asked, "SIZE": "10arcsec", "VERDICTS": "true"})
    assert answer.json["faults"]
    check(document, "Estimate", answer.json)


def test_tokens_are_as_it_says(described: Flask, document: dict[str, Any]) -> None:
    ada = somebody(described, "ada")
    client: FlaskClient = described.test_client()
    check(document, "Tokens", client.get("/account/tokens", headers=ada.headers).json)
    check(document, "Account", client.get("/account", headers=ada.headers).json)


def test_acts_and_links_are_as_it_says(described: Flask, document: dict[str, Any]) -> None:
    ada = somebody(described, "linda")
    client: FlaskClient = described.test_client()
    headers = {**ada.headers, **JSON}
    made = client.post("/async", data={"ID": did("tiny/g"), "CIRCLE": "150 0 0.005"}, headers=headers)
    job_id = made.headers["Location"].rpartition("/")[2]
    check(document, "Link", client.post(f"/async/{job_id}", data={"ACTION": "LINK"}, headers=headers).json)
    check(document, "WholeJob", client.get(f"/async/{job_id}", headers=headers).json)
    acted = client.post("/jobs", data={"ACT": "retry", "OF": ["none", job_id]}, headers=headers)
    check(document, "Acted", acted.json)


@pytest.mark.parametrize("path", ["/position", "/async/none", "/cutout", "/nothing", "/account/tokens"])
def test_errors_are_as_it_says(described: Flask, document: dict[str, Any], path: str) -> None:
    answer = described.test_client().get(path, headers=JSON)
    assert answer.status_code >= 400
    check(document, "Error", answer.json)


def test_a_check_finds_what_is_not_as_it_says(document: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="dec"):
        check(document, "Place", {"ra": 1})
    with pytest.raises(AssertionError, match="more"):
        check(document, "Tokens", {"tokens": [], "more": 1})
