"""Who may do what: every resource, every method, everybody.

`CASES` says for each route and method what each of those in `WHO` is answered. A route that is not in it
fails `test_every_route_has_its_row`: whoever makes one says here for whom it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config.app import JOBS
from dali.caller import Caller
from dali.parameters import Parameters
from tests.support.accounts import Somebody, parts_of, somebody
from tests.support.redis import own_redis
from tests.support.service import did
from tests.support.soda_jobs import JobbingService, jobbing, until
from uws.phase import TERMINAL
from uws.service import JobService

#: The owner of the jobs, and somebody of the group they are shared with, may read the survey `secret`. The
#: service acts for the owner where it says so. The last one administered when the token was made.
WHO = ("anonymous", "owner", "other", "member", "service", "behalf", "admin", "former")
#: Those who may read `secret`, and look at the jobs.
READERS = frozenset(("owner", "member", "behalf", "admin"))

ALL = "200 200 200 200 200 200 200 200"
READ = "401 200 403 200 403 200 200 403"
CHANGE = "401 303 403 403 403 303 403 403"
KNOWN = "401 200 200 200 200 200 200 200"
MAKE = "303 303 303 303 303 303 303 303"
#: For who has signed in with a browser; all of these have tokens.
FORM = "401 403 403 403 403 403 403 403"
#: Nobody signs in by such a way.
NO_WAY = "404 404 404 404 404 404 404 404"
ADMIN = "401 403 403 403 403 403 200 403"
#: There is nothing of that name to act on, for those who may.
ADMIN_NONE = ADMIN.replace("200", "404")
#: Nothing of it is built.
NO_HIPS = "401 404 403 404 403 404 404 403"
#: A job that waits has no error.
NO_ERROR = READ.replace("200", "404")

SECRET = did("secret/g/a")
SECRET_BAND = did("secret/g")
HERE = {"CIRCLE": "150 0 0.005"}
CUTOUT = {"ID": SECRET, **HERE}
WORDS = {"survey": "secret/g", "ra": "150", "dec": "0", "size": "5px"}
TARGETS = "ra,dec\n150,0\n150.0005,0\n"
LIST = {"ID": did("secret/g"), "SIZE": "5px"}
JSON = "application/json"
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")


@dataclass(frozen=True)
class Case:
    """A request, and what each of `WHO` is answered.

    Parameters
    ----------
    expected
        Status for each, in their order.
    path
        With ``{fresh}`` for a job that nobody has changed yet, ``{done}`` and ``{list}`` for jobs that have
        ended, ``{token}`` for a token of the owner; that of the rule itself where it has no variable part.
    query, data, text, accept
        Of the request: of the URL, of a form, or the body itself; the header.
    shows
        Stands in the answers to those who may read `secret`, and in no other.
    never
        Whether the name of that survey stands in no answer.
    """

    expected: str
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    accept: str = ""
    shows: str = ""
    never: bool = False


JOB = "/async/<job_id>"
FRESH = "/async/{fresh}"
CASES: dict[tuple[str, str], Case] = {
    ("/sync", "GET"): Case(READ, query=CUTOUT),
    ("/sync", "POST"): Case(READ, data=CUTOUT),
    ("/cutout", "GET"): Case(READ, query=WORDS),
    ("/preview", "GET"): Case(READ, query={"ID": SECRET}),
    # Of alerts, of which there are none here; tests/soda/alerts has some.
    ("/api/v1/cutouts", "GET"): Case(NO_WAY, query={"candid": "1", "kind": "All"}, never=True),
    ("/api/v1/cutouts", "POST"): Case(NO_WAY, data={"candid": "1", "kind": "All"}, never=True),
    ("/estimate", "GET"): Case(ALL, query=CUTOUT, shows='"images": 1'),
    ("/estimate", "POST"): Case(ALL, data=CUTOUT, shows='"images": 1'),
    ("/query", "GET"): Case(ALL, query={"COLLECTION": "Secret"}, shows="secret/g/a"),
    ("/query", "POST"): Case(ALL, data={"POS": "CIRCLE 150 0 0.1"}, shows="secret/g/a"),
    ("/links", "GET"): Case(ALL, query={"ID": SECRET}, shows="/sync?ID="),
    ("/links", "POST"): Case(ALL, data={"ID": SECRET}, shows="/sync?ID="),
    ("/hips/hipslist", "GET"): Case(ALL, never=True),
    ("/hips/<survey>/<name>", "GET"): Case(NO_HIPS, "/hips/secret/g"),
    ("/hips/<survey>/<name>/index.html", "GET"): Case(NO_HIPS, "/hips/secret/g/index.html"),
    ("/hips/<survey>/<name>/properties", "GET"): Case(NO_HIPS, "/hips/secret/g/properties"),
    ("/hips/<survey>/<name>/<path:path>", "GET"): Case(NO_HIPS, "/hips/secret/g/Moc.fits"),
    ("/moc/<survey>", "GET"): Case(READ, "/moc/secret"),
    ("/moc/<survey>/<band>", "GET"): Case(READ, "/moc/secret/g"),
    ("/async", "GET"): Case(ALL),
    ("/async", "POST"): Case(MAKE, data=CUTOUT),
    (JOB, "GET"): Case(READ, FRESH),
    (JOB, "POST"): Case(CHANGE, FRESH, data={"ACTION": "DELETE"}),
    (JOB, "DELETE"): Case(CHANGE, FRESH),
    (f"{JOB}/phase", "GET"): Case(READ, f"{FRESH}/phase"),
    (f"{JOB}/phase", "POST"): Case(CHANGE, f"{FRESH}/phase", data={"PHASE": "RUN"}),
    (f"{JOB}/executionduration", "GET"): Case(READ, f"{FRESH}/executionduration"),
    (f"{JOB}/executionduration", "POST"): Case(
        CHANGE, f"{FRESH}/executionduration", data={"EXECUTIONDURATION": "60"}
    ),
    (f"{JOB}/destruction", "GET"): Case(READ, f"{FRESH}/destruction"),
    (f"{JOB}/destruction", "POST"): Case(
        CHANGE, f"{FRESH}/destruction", data={"DESTRUCTION": "2999-01-01T00:00:00Z"}
    ),
    (f"{JOB}/quote", "GET"): Case(READ, f"{FRESH}/quote"),
    (f"{JOB}/owner", "GET"): Case(READ, f"{FRESH}/owner"),
    (f"{JOB}/error", "GET"): Case(NO_ERROR, f"{FRESH}/error"),
    (f"{JOB}/parameters", "GET"): Case(READ, f"{FRESH}/parameters"),
    (f"{JOB}/parameters", "POST"): Case(CHANGE, f"{FRESH}/parameters", data=HERE),
    (f"{JOB}/parameters/<name>", "GET"): Case(READ, f"{FRESH}/parameters/ID"),
    (f"{JOB}/parameters/<name>", "PUT"): Case(CHANGE, f"{FRESH}/parameters/ID", text=SECRET),
    (f"{JOB}/results", "GET"): Case(READ, "/async/{done}/results"),
    (f"{JOB}/results/<result_id>", "GET"): Case(READ, "/async/{done}/results/result"),
    (f"{JOB}/results/<result_id>/thumbnail", "GET"): Case(READ, "/async/{list}/results/r1/thumbnail"),
    (f"{JOB}/results/<result_id>/header", "GET"): Case(READ, "/async/{list}/results/r1/header", shows=SECRET),
    (f"{JOB}/ledger", "GET"): Case(READ, "/async/{list}/ledger"),
    (f"{JOB}/causes", "GET"): Case(READ, "/async/{list}/causes"),
    (f"{JOB}/events", "GET"): Case(READ, f"{FRESH}/events", shows='"label"'),
    ("/events", "GET"): Case(READ, "/events?JOB={fresh}", shows='"label"'),
    ("/jobs", "GET"): Case(ALL),
    ("/jobs", "POST"): Case(NO_WAY, data={"act": "abort", "of": "none"}),
    ("/jobs/<job_id>", "GET"): Case(READ, "/jobs/{list}", shows=SECRET_BAND),
    ("/queue", "GET"): Case(ALL),
    # For whoever has the mail; it is signed.
    ("/unsubscribe/<key>", "GET"): Case(NO_WAY, "/unsubscribe/bm9uZQ.none"),
    ("/unsubscribe/<key>", "POST"): Case(NO_WAY, "/unsubscribe/bm9uZQ.none"),
    ("/quota", "GET"): Case(ALL),
    ("/surveys", "GET"): Case(ALL, query={"POS": "150 0"}, shows='"secret"'),
    ("/position", "GET"): Case(ALL, query={"TEXT": "150 0"}),
    ("/explore", "GET"): Case(ALL, shows='"secret"'),
    ("/static/aladin/<version>/<name>", "GET"): Case(NO_WAY, "/static/aladin/3.8.2/aladin.js"),
    ("/batch", "GET"): Case(ALL, shows='"secret"'),
    ("/preferences", "GET"): Case(MAKE, never=True),
    ("/account", "GET"): Case(ALL),
    ("/account/tokens", "GET"): Case("401 200 200 200 200 403 200 200"),
    ("/account/tokens", "POST"): Case(FORM, data={"TITLE": "another", "SCOPES": "read"}),
    ("/account/tokens/<token_id>", "DELETE"): Case(
        "401 204 404 404 404 403 404 404", "/account/tokens/{token}"
    ),
    ("/account/new-token", "POST"): Case(FORM, data={"title": "another", "scopes": "read"}),
    ("/account/tokens/<token_id>/revoke", "POST"): Case(FORM, "/account/tokens/none/revoke"),
    ("/account/wishes", "POST"): Case(FORM),
    ("/login", "GET"): Case(ALL, never=True),
    ("/login/<label>", "GET"): Case(NO_WAY, "/login/none"),
    ("/login/<label>", "POST"): Case(NO_WAY, "/login/none"),
    ("/login/<label>/callback", "GET"): Case(NO_WAY, "/login/none/callback"),
    ("/logout", "GET"): Case(ALL, never=True),
    ("/logout", "POST"): Case(MAKE),
    ("/static/<name>", "GET"): Case(ALL, "/static/portal.css"),
    ("/", "GET"): Case(ALL, shows="<code>secret</code>"),
    ("/help", "GET"): Case(ALL),
    ("/openapi.json", "GET"): Case(ALL, never=True),
    ("/favicon.ico", "GET"): Case(ALL, never=True),
    ("/robots.txt", "GET"): Case(ALL, never=True),
    ("/status", "GET"): Case(ALL, never=True),
    ("/availability", "GET"): Case(ALL, never=True),
    ("/capabilities", "GET"): Case(ALL, never=True),
    ("/tables", "GET"): Case(ALL, never=True),
    ("/tables/<name>", "GET"): Case(ALL, "/tables/sia.query", never=True),
    ("/examples", "GET"): Case(ALL, never=True),
    ("/record", "GET"): Case(ALL, never=True),
    ("/healthz", "GET"): Case(ALL, never=True),
    ("/metrics", "GET"): Case(ALL, never=True),
    ("/admin", "GET"): Case(ADMIN),
    ("/admin/queues", "GET"): Case(ADMIN),
    ("/admin/queues", "POST"): Case(
        ADMIN.replace("200", "409"), data={"act": "resume", "of": "low", "reason": "why"}
    ),
    ("/admin/jobs", "GET"): Case(ADMIN),
    ("/admin/jobs", "POST"): Case(ADMIN_NONE, data={"act": "abort", "of": "none", "reason": "why"}),
    ("/admin/jobs/<thing>", "GET"): Case(ADMIN, "/admin/jobs/{done}"),
    ("/admin/failures", "GET"): Case(ADMIN),
    ("/admin/accounts", "GET"): Case(ADMIN),
    ("/admin/accounts", "POST"): Case(ADMIN, data={"act": "sign-out", "of": "local:other", "reason": "why"}),
    ("/admin/account", "GET"): Case(ADMIN, query={"name": "local:other"}),
    ("/admin/quotas", "GET"): Case(ADMIN),
    ("/admin/quotas", "POST"): Case(
        ADMIN,
        data={"act": "set", "subject": "group:none", "kind": "jobs", "value": "5", "reason": "why"},
    ),
    ("/admin/usage", "GET"): Case(ADMIN),
    ("/admin/estimates", "GET"): Case(ADMIN),
    ("/admin/retention", "GET"): Case(ADMIN),
    ("/admin/retention", "POST"): Case(
        ADMIN_NONE, data={"act": "keep", "of": "none", "days": "1", "reason": "why"}
    ),
    ("/admin/announcements", "GET"): Case(ADMIN),
    ("/admin/announcements", "POST"): Case(ADMIN, data={"act": "announce", "text": "x", "reason": "why"}),
    ("/admin/configuration", "GET"): Case(ADMIN),
    ("/admin/log", "GET"): Case(ADMIN),
}
#: Further requests for routes that have a row.
MORE: dict[str, tuple[str, Case]] = {
    "jobs as JSON": ("GET", Case(ALL, "/async", accept=JSON)),
    "shared jobs": ("GET", Case(ALL, "/async", query={"SHARED": "true"}, accept=JSON)),
    "jobs by name": ("GET", Case(ALL, "/async?JOB={done}", accept=JSON, shows='"label"')),
    "a job as JSON": ("GET", Case(READ, FRESH, accept=JSON, shows=SECRET)),
    "news of one's own jobs": ("GET", Case(KNOWN.replace("401", "400"), "/events")),
    "a result of a list": ("GET", Case(READ, "/async/{list}/results/r1")),
    "the manifest of a list": ("GET", Case(READ, "/async/{list}/results/result")),
    "an archive of a list": ("GET", Case(READ, "/async/{list}/results/archive")),
    "trying a job again": (
        "POST",
        Case("401 403 403 403 403 403 403 403", "/async/{done}", data={"ACTION": "RETRY"}),
    ),
    "sharing a job": ("POST", Case(CHANGE, FRESH, data={"ACTION": "SHARE", "SHARE": "team"})),
    "linking a job": ("POST", Case(CHANGE, FRESH, data={"ACTION": "LINK"})),
    "a link that is none": ("GET", Case(READ.replace("401", "403"), FRESH, query={"LINK": "none"})),
    "being told of a job": ("POST", Case(CHANGE, FRESH, data={"NOTIFY": "none"})),
    "any survey": ("GET", Case(NO_HIPS.replace("404", "400"), "/sync", query={"ID": did("secret")})),
    "what there is not": ("GET", Case(NO_HIPS, "/sync", query={"ID": did("secret/g/none")})),
    "its bands": ("GET", Case(NO_HIPS.replace("404", "400"), "/cutout", query={**WORDS, "bands": "zz"})),
}


class Matrix:
    """The service with everybody."""

    def __init__(self, service: JobbingService) -> None:
        self.app: Flask = service.app
        self.jobs: JobService = self.app.extensions[JOBS]
        self.people: dict[str, Somebody] = {
            "owner": somebody(self.app, "owner", groups=("members", "team")),
            "other": somebody(self.app, "other", groups=("others",)),
            "member": somebody(self.app, "member", groups=("members", "team")),
            "service": somebody(self.app, "portal", may_act=True),
            "admin": somebody(self.app, "admin", admin=True),
            "former": somebody(self.app, "former", admin=True),
        }
        accounts = parts_of(self.app)
        accounts.people.change(
            self.people["former"].name, by=Caller("local:maker", is_admin=True), role="user"
        )
        self.ended = {"done": self.job_of(CUTOUT), "list": self._list()}
        until(lambda: all(self._has_ended(job_id) for job_id in self.ended.values()), service.told)

    def headers(self, who: str) -> dict[str, str]:
        """What somebody shows."""
        if who == "anonymous":
            return {}
        if who == "behalf":
            behalf = quote(self.people["owner"].name, safe="")
            return {**self.people["service"].headers, "X-On-Behalf-Of": behalf}
        return self.people[who].headers

    def ask(self, who: str, method: str, rule: str, case: Case) -> TestResponse:
        """Send the request of a case as somebody."""
        path = case.path or rule
        fresh = self.job_of(CUTOUT, run=False) if "{fresh}" in path else ""
        is_ended = "{token}" in path and method == "DELETE"
        token = somebody(self.app, "owner").token.token_id if is_ended else "none"
        client: FlaskClient = self.app.test_client()
        answer = client.open(
            path.format(fresh=fresh, token=token, **self.ended),
            method=method,
            query_string=dict(case.query) or None,
            data=case.text or dict(case.data) or None,
            headers=self.headers(who) | ({"Accept": case.accept} if case.accept else {}),
        )
        answer.get_data()
        answer.close()
        return answer

    def job_of(self, values: Mapping[str, str], *, run: bool = True) -> str:
        """Make a job of the owner that is shared with the group `team`."""
        groups = frozenset(("members", "team"))
        parameters = Parameters.from_pairs(list(values.items()))
        owner = Caller(self.people["owner"].name, groups=groups)
        job = self.jobs.submissions.create("soda", parameters, owner, run=run, shared_with=("team",))
        return job.job_id

    def _list(self) -> str:
        answer = self.app.test_client().post(
            "/async",
            data={
                **LIST,
                "UPLOAD": "targets,param:t",
                "SHARE": "team",
                "PHASE": "RUN",
                "t": (BytesIO(TARGETS.encode()), "targets.csv"),
            },
            headers=self.headers("owner"),
        )
        return answer.headers["Location"].rpartition("/")[2]

    def _has_ended(self, job_id: str) -> bool:
        return self.jobs.find(job_id, Caller(is_admin=True), action="see").phase in TERMINAL


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    folder = tmp_path_factory.mktemp("matrix") / "service"
    # Mail is never sent, but the resource that stops it is there.
    mail = {
        "FOUNTAIN_NOTICES__SMTP_URL": "smtp://mail.invalid",
        "FOUNTAIN_NOTICES__SENDER": "us@mail.invalid",
    }
    with own_redis() as redis, jobbing(folder, redis.url, mail) as service:
        yield Matrix(service)


def test_every_route_has_its_row(matrix: Matrix) -> None:
    routes = {
        (str(rule), method)
        for rule in matrix.app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in ("HEAD", "OPTIONS")
    }
    assert routes == set(CASES)


def check(matrix: Matrix, method: str, rule: str, case: Case) -> None:
    found = {who: matrix.ask(who, method, rule, case) for who in WHO}
    assert {who: answer.status_code for who, answer in found.items()} == dict(
        zip(WHO, map(int, case.expected.split()), strict=True)
    )
    for who, answer in found.items():
        text = answer.get_data().decode(errors="replace")
        if case.shows:
            assert (case.shows in text) == (who in READERS), f"{who} is told: {text[:2000]}"
        if case.never:
            assert "secret" not in text.lower()
        if answer.status_code == 401:
            assert answer.headers["WWW-Authenticate"].startswith("ivoa_bearer ")
        if who != "anonymous":
            kept = answer.headers["Cache-Control"].split(", ")
            assert "public" not in kept
            assert not {"private", "no-store"}.isdisjoint(kept)


@pytest.mark.parametrize(("rule", "method"), CASES)
def test_what_each_is_answered(matrix: Matrix, rule: str, method: str) -> None:
    check(matrix, method, rule, CASES[rule, method])


@pytest.mark.parametrize("name", MORE)
def test_what_each_is_answered_to_further_requests(matrix: Matrix, name: str) -> None:
    method, case = MORE[name]
    check(matrix, method, case.path, case)


@pytest.mark.parametrize("rule", dict.fromkeys(rule for rule, _ in CASES))
def test_other_methods_tell_no_more(matrix: Matrix, rule: str) -> None:
    """HEAD is answered as GET is, OPTIONS to everybody, and what is not there to nobody."""
    known = {method for of_rule, method in CASES if of_rule == rule}
    of_get = CASES.get((rule, "GET"))
    some = of_get or CASES[rule, next(iter(known))]
    is_admin = rule.startswith("/admin")
    path = (some.path or rule).format(fresh="none", token="none", **matrix.ended)
    # Some paths are of two rules, each with its methods.
    known |= set(matrix.app.url_map.bind("localhost").allowed_methods(path)) - {"HEAD", "OPTIONS"}
    for method in (method for method in METHODS if method not in known):
        if method == "HEAD":
            expected = of_get.expected if of_get else " ".join(["405"] * len(WHO))
        else:
            usual = "204" if method == "OPTIONS" else "405"
            # Whoever acts for somebody lacks the scope for all that is beneath /admin.
            expected = " ".join("403" if is_admin and who == "behalf" else usual for who in WHO)
        found = [str(matrix.ask(who, method, rule, some).status_code) for who in WHO]
        assert (method, " ".join(found)) == (method, expected)
