"""Who may look at administration, and who may act."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from lxml import html

from accounts.sessions import COOKIE
from tests.portal.admin.conftest import AREAS, Script, Site
from tests.support.accounts import MAKER, later, sign_in, somebody
from tests.support.stored import job_of, run_job
from uws.phase import Phase


@pytest.mark.parametrize("area", AREAS)
def test_each_area_is_a_page_and_json(root: FlaskClient, script: Script, area: str) -> None:
    page = root.get(f"/admin{area}")
    assert page.status_code == 200
    assert page.content_type == "text/html; charset=utf-8"
    assert page.headers["Cache-Control"] == "no-store"
    assert "<style" not in page.text
    assert "<script" not in page.text
    assert " style=" not in page.text
    told = script.get(f"/admin{area}")
    assert told.content_type == "application/json"
    assert told.get_json().keys()
    by_query = root.get(f"/admin{area}?format=json")
    assert by_query.get_json().keys() == told.get_json().keys()


@pytest.mark.parametrize("area", [*AREAS, "/account?name=local:robot"])
def test_each_page_is_for_all_who_read(site: Site, script: Script, root: FlaskClient, area: str) -> None:
    """Names of parts are there once, and everything that is to be filled in has a label."""
    run_job(site.jobs, owner="local:ada")
    page = html.fromstring(root.get(f"/admin{area}").data)
    ids = page.xpath("//@id")
    assert len(ids) == len(set(ids))
    for name in page.xpath("//label/@for | //@aria-labelledby"):
        assert name in ids
    labelled = set(page.xpath("//label/@for"))
    for field in page.xpath("//main//input[not(@type='hidden')] | //main//select | //main//textarea"):
        is_inside = field.xpath("ancestor::label")
        assert field.get("id") in labelled or field.get("aria-label") or is_inside, field.attrib
    for form in page.xpath("//main//form[@method='post']"):
        assert form.get("action", "").startswith("/admin/")
        assert form.xpath(".//input[@name='reason'][@required]")


def test_beneath_a_path_all_links_are_beneath_it_too(site: Site) -> None:
    browser = site.browser()
    page = browser.get("/admin/jobs?owner=x", environ_overrides={"SCRIPT_NAME": "/cutouts"})
    links = html.fromstring(page.data).xpath("//main//@href | //main//@action")
    assert links
    assert all(link.startswith("/cutouts/") for link in links)
    act = {"act": "pause", "of": "low", "reason": "why", "back": "/cutouts/admin/log?by=x"}
    answer = browser.post("/admin/queues", data=act, environ_overrides={"SCRIPT_NAME": "/cutouts"})
    assert answer.headers["Location"] == "/cutouts/admin/log?by=x&done=1"
    browser.post("/admin/queues", data=act | {"act": "resume"})


@pytest.mark.parametrize("area", AREAS)
def test_it_is_for_administrators_alone(site: Site, script: Script, area: str) -> None:
    nobody = site.app.test_client()
    assert nobody.get(f"/admin{area}").status_code == 401
    other = somebody(site.app, "other")
    assert nobody.get(f"/admin{area}", headers=other.headers).status_code == 403
    page = site.browser("other", admin=False).get(f"/admin{area}")
    assert page.status_code == 403
    assert "administration is for administrators" in page.text.lower()


def test_somebody_unknown_is_sent_to_sign_in(site: Site, root: FlaskClient) -> None:
    root.delete_cookie(COOKIE)
    answer = root.get("/admin/jobs?phase=ERROR")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=%2Fadmin%2Fjobs")


def test_a_former_administrator_is_refused_at_once(site: Site) -> None:
    browser = site.browser("former")
    old = somebody(site.app, "former", admin=True)
    assert browser.get("/admin/jobs").status_code == 200
    job_id = run_job(site.jobs)
    site.accounts.people.change(old.name, by=MAKER, role="user")
    assert browser.get("/admin/jobs").status_code == 403
    act = {"act": "abort", "of": job_id, "reason": "why"}
    assert browser.post("/admin/jobs", data=act).status_code == 403
    assert site.app.test_client().post("/admin/jobs", data=act, headers=old.headers).status_code == 403
    assert job_of(site.jobs, job_id).phase is Phase.QUEUED


def test_a_token_needs_the_scope(site: Site) -> None:
    plain = somebody(site.app, "root", admin=True, scopes=frozenset({"read", "submit"}))
    for method in ("GET", "POST"):
        answer = site.app.test_client().open("/admin/queues", method=method, headers=plain.headers)
        assert answer.status_code == 403
        assert "lacks the scope admin" in answer.text


def test_nobody_administers_for_others(site: Site) -> None:
    service = somebody(site.app, "portal", admin=True, may_act=True)
    somebody(site.app, "root", admin=True)
    headers = service.headers | {"X-On-Behalf-Of": "local:root"}
    assert site.app.test_client().get("/admin/queues", headers=headers).status_code == 403


def test_whoever_acts_has_signed_in_lately(site: Site, script: Script) -> None:
    browser = site.browser("late")
    act = {"act": "pause", "of": "low", "reason": "why"}
    later(site.engine, 3600 + 5, site.accounts)
    page = browser.get("/admin/queues")
    assert "Sign in again" in page.text
    assert 'value="pause"' not in page.text
    answer = browser.post("/admin/queues", data=act)
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/login?again=1&next=%2Fadmin%2Fqueues"
    answer = browser.post("/admin/queues", data=act, headers={"Accept": "application/json"})
    assert answer.status_code == 403
    assert "within the last 60 minutes" in answer.text
    assert script.get("/admin/queues").get_json()["lanes"][1]["pause"] is None
    sign_in(browser, site.app, "local:late")
    assert 'value="pause"' in browser.get("/admin/queues").text
    assert browser.post("/admin/queues", data=act).status_code == 303
    assert script.get("/admin/queues").get_json()["lanes"][1]["pause"]["reason"] == "why"
    script.act("queues", "resume", "low")


def test_a_browser_left_alone_makes_no_token_that_administers(site: Site) -> None:
    """Such a token acts without being asked who it is."""
    browser = site.browser("left")
    form = {"title": "laptop", "days": "1", "scopes": ["admin"]}
    assert browser.post("/account/new-token", data=form).status_code == 201
    later(site.engine, 3600 + 5, site.accounts)
    page = browser.post("/account/new-token", data=form)
    assert page.status_code == 403
    assert "within the last 60 minutes" in page.text
    answer = browser.post("/account/tokens", json={"title": "laptop", "scopes": ["admin"]})
    assert answer.status_code == 403
    assert "/login?again=1" in answer.text
    assert browser.post("/account/new-token", data={**form, "scopes": ["read"]}).status_code == 201


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "", "Origin": "https://evil.example"}]
)
def test_forms_of_other_sites_do_nothing(site: Site, root: FlaskClient, headers: dict[str, str]) -> None:
    act = {"act": "pause", "of": "high", "reason": "why"}
    assert root.post("/admin/queues", data=act, headers=headers).status_code == 403
    assert site.log()[0][1] != "queue paused"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "act is none of this area"),
        ({"act": "explode", "of": "low", "reason": "x"}, "act is none of this area"),
        ({"act": "pause", "of": "low"}, "reason has 1 to 500 characters; got 0"),
        ({"act": "pause", "of": "low", "reason": " \n "}, "reason has 1 to 500 characters"),
        ({"act": "pause", "of": "low", "reason": "x" * 501}, "reason has 1 to 500 characters; got 501"),
        ({"act": "pause", "reason": "x"}, "nothing is named that this is to be done to"),
        (
            {"act": "pause", "of": [str(n) for n in range(201)], "reason": "x"},
            "of names 200 things at most; got 201",
        ),
        ({"act": "pause", "of": {"a": 1}, "reason": "x"}, "is of no type that it may have"),
        ([], "no JSON object"),
        ({"act": "pause", "of": "middle", "reason": "x"}, "there is no queue"),
    ],
)
def test_acts_that_are_none(site: Site, script: Script, body: object, said: str) -> None:
    answer = script.client.post("/admin/queues", json=body, headers=script.headers)
    assert answer.status_code in (400, 404)
    assert said in answer.text


def test_what_is_not_to_be_read_is_refused(script: Script) -> None:
    assert script.get("/admin/queues?format=csv").status_code == 400
    assert script.get("/admin/queues?format=yaml").status_code == 400
    broken = script.client.post(
        "/admin/queues", data=b"{", content_type="application/json", headers=script.headers
    )
    assert broken.status_code == 400
    large = script.client.post("/admin/queues", data={"act": "x" * 200_000}, headers=script.headers)
    assert large.status_code == 413


def test_the_navigation_leads_administrators_there(site: Site, root: FlaskClient) -> None:
    assert 'href="/admin"' in root.get("/account").text
    assert 'href="/admin"' not in site.browser("other", admin=False).get("/account").text


@pytest.mark.parametrize(
    ("back", "location"),
    [
        ("/admin/log?by=x", "/admin/log?by=x&done=1"),
        ("https://evil.example/", "/admin/queues?done=1"),
        ("//evil.example", "/admin/queues?done=1"),
        ("/admin//evil.example", "/admin/queues?done=1"),
        ("/admin/../login", "/admin/queues?done=1"),
        ("/login", "/admin/queues?done=1"),
        ("", "/admin/queues?done=1"),
    ],
)
def test_after_an_act_one_is_back_where_one_was(
    script: Script, root: FlaskClient, back: str, location: str
) -> None:
    act = {"act": "pause", "of": "high", "reason": "<b>disks</b>", "back": back}
    answer = root.post("/admin/queues", data=act)
    assert (answer.status_code, answer.headers["Location"]) == (303, location)
    page = root.get(location)
    assert "queue paused" in page.text
    assert "&lt;b&gt;disks" in page.text
    script.act("queues", "resume", "high")
