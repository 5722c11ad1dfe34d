"""What administrators do, and how it is written down."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from accounts.people import Identity
from dali.caller import TIERS
from dali.errors import AuthenticationError
from tests.portal.admin.conftest import Script, Site
from tests.support.accounts import MAKER, somebody
from tests.support.stored import all_of, finish, job_of, new_job, plan, run_job, set_job, take
from uws.job import LANES, RowStatus
from uws.phase import Phase
from uws.store.upkeep import Upkeep

DAY_MS = 86_400_000


def ended(site: Site, owner: str, rows: int = 2) -> str:
    """A job one of whose rows has failed."""
    job_id = site.jobs.create(new_job(owner), plan(rows)).job_id
    for number in range(rows):
        claim = take(site.claims)
        site.claims.settle(claim, all_of(claim, RowStatus.EMPTY if number else RowStatus.FAILED), finish)
    return job_id


def test_a_queue_is_paused_and_goes_on(site: Site, script: Script) -> None:
    script.act("queues", "pause", "low", "high")
    lanes = script.get("/admin/queues").get_json()["lanes"]
    assert [(lane["lane"], lane["pause"]["account"]) for lane in lanes] == [
        ("high", "local:robot"),
        ("low", "local:robot"),
    ]
    assert site.log(2) == [
        ("local:robot", "queue paused", "high", "why"),
        ("local:robot", "queue paused", "low", "why"),
    ]
    script.act("queues", "resume", "low", "high")
    assert site.log()[0] == ("local:robot", "queue resumed", "high", "why")
    assert "is not paused" in script.act("queues", "resume", "low", status=409).text


def test_workers_are_told(site: Site, script: Script) -> None:
    upkeep = Upkeep(site.engine)
    upkeep.beat("w1", "host", 7, LANES, 123_000_000)
    found = script.get("/admin/queues").get_json()["workers"]
    (line,) = [line for line in found if line["worker"]["worker_id"] == "w1"]
    assert line["state"] == "idle"
    assert line["worker"]["memory_bytes"] == 123_000_000
    for act, wanted, state in (("drain", "drain", "drains"), ("take", "", "idle"), ("stop", "stop", "ends")):
        script.act("queues", act, "w1")
        assert upkeep.beat("w1", "host", 7, LANES) == wanted
        told = script.get("/admin/queues").get_json()["workers"]
        assert [one["state"] for one in told if one["worker"]["worker_id"] == "w1"] == [state]
    assert [entry[1] for entry in site.log(3)] == [
        "worker told to stop",
        "worker told to resume",
        "worker told to drain",
    ]
    assert script.act("queues", "drain", "nobody", status=404).text.startswith(
        "UsageError: there is no worker"
    )
    upkeep.leave("w1")


def test_a_job_is_aborted_and_retried(site: Site, script: Script) -> None:
    waiting = run_job(site.jobs, owner="local:ada")
    script.act("jobs", "abort", waiting)
    aborted = job_of(site.jobs, waiting)
    assert aborted.phase is Phase.ABORTED
    assert aborted.error is not None
    assert aborted.error.message == "Error: who runs this service has aborted the job: why."
    assert site.log()[0] == ("local:robot", "job aborted", waiting, "why")
    failed = ended(site, "local:ada")
    script.act("jobs", "retry", failed)
    ((_, act, of, _),) = site.log()
    assert (act, of) == ("job retried", failed)
    entry = site.accounts.audit.read(1)[0]
    child = job_of(site.jobs, entry.data["as"])
    assert (child.owner, child.parent_id, child.phase) == ("local:ada", failed, Phase.QUEUED)
    site.jobs.end(child.job_id, Phase.ABORTED)


def test_what_no_database_keeps_is_no_name(site: Site, script: Script) -> None:
    for text in ("a\0b", "\ud800"):
        for area, act in (
            ("jobs", "abort"),
            ("queues", "drain"),
            ("accounts", "disable"),
            ("quotas", "unset"),
        ):
            script.act(area, act, text, status=400)
        script.act("announcements", "announce", text=text, status=400)


def test_a_large_cutout_of_sync_is_aborted(site: Site, script: Script) -> None:
    hidden = site.jobs.create(new_job("local:ada", hidden=True), plan(1)).job_id
    found = script.get("/admin/jobs?hidden=1&owner=ada").get_json()["jobs"]
    assert hidden in [job["job_id"] for job in found]
    script.act("jobs", "abort", hidden)
    assert job_of(site.jobs, hidden).phase is Phase.ABORTED


def test_of_several_jobs_those_are_told_that_are_refused(
    site: Site, script: Script, root: FlaskClient
) -> None:
    over, waiting = ended(site, ""), run_job(site.jobs)
    told = script.act("jobs", "abort", waiting, over, "nothing").get_json()
    assert told["done"] == [waiting]
    assert [one["of"] for one in told["refused"]] == [over, "nothing"]
    assert "PHASE=ABORT is taken" in told["refused"][0]["why"]
    page = root.post("/admin/jobs", data={"act": "abort", "of": [over, "nothing"], "reason": "why"})
    assert page.status_code == 409
    assert over in page.text
    assert script.act("jobs", "abort", over, status=403).text.startswith("UsageError: ")


def test_a_job_is_given_another_priority(site: Site, script: Script) -> None:
    job_id = site.jobs.create(new_job("local:ada", rank=3), plan(2)).job_id
    script.act("jobs", "prioritise", job_id, share=2.5, parallel="4", **{"class": "internal"})
    job = job_of(site.jobs, job_id)
    assert (TIERS[job.rank], job.share, job.parallel) == ("internal", 2.5, 4)
    entry = site.accounts.audit.read(1)[0]
    assert (entry.act, entry.object, entry.reason) == ("job prioritised", job_id, "why")
    script.act("jobs", "prioritise", job_id, parallel="0")
    assert job_of(site.jobs, job_id).parallel == 0
    for wrong in ({}, {"class": "royal"}, {"share": 0}, {"share": "nan"}, {"parallel": -1}):
        script.act("jobs", "prioritise", job_id, status=400, **wrong)
    site.jobs.end(job_id, Phase.ABORTED)


@pytest.mark.parametrize("area", ["jobs", "retention"])
def test_a_job_is_kept_longer_or_destroyed(site: Site, script: Script, area: str) -> None:
    job_id = ended(site, "local:ada")
    script.act(area, "keep", job_id, days=90)
    left = job_of(site.jobs, job_id).destruction_ms - site.jobs.now_ms()
    assert left == pytest.approx(90 * DAY_MS, abs=60_000)
    assert site.log()[0] == ("local:robot", "job kept", job_id, "why")
    script.act(area, "keep", job_id, status=400)
    script.act(area, "keep", job_id, days=0, status=400)
    script.act(area, "destroy", job_id)
    assert site.jobs.get(job_id) is None
    assert site.log()[0] == ("local:robot", "job destroyed", job_id, "why")
    script.act(area, "keep", job_id, days=1, status=404)


def test_accounts_are_disabled_and_enabled(site: Site, script: Script) -> None:
    ada = somebody(site.app, "ada")
    key = site.accounts.sessions.begin(ada.name)
    script.act("accounts", "disable", ada.name)
    assert site.log()[0] == ("local:robot", "account changed", ada.name, "why")
    assert site.accounts.sessions.find(key) is None
    assert site.app.test_client().get("/account", headers=ada.headers).status_code == 401
    script.act("accounts", "enable", ada.name)
    assert site.app.test_client().get("/account", headers=ada.headers).status_code == 200
    script.act("accounts", "disable", "local:nobody", status=404)


def test_roles_are_given_and_taken(site: Site, script: Script) -> None:
    ada = somebody(site.app, "adam")
    script.act("accounts", "promote", ada.name)
    assert site.app.test_client().get("/admin", headers=ada.headers).status_code == 200
    script.act("accounts", "demote", ada.name)
    assert site.app.test_client().get("/admin", headers=ada.headers).status_code == 403
    for act in ("demote", "disable"):
        assert "your own account" in script.act("accounts", act, "local:robot", status=403).text


def test_groups_are_joined_for_a_time(site: Site, script: Script) -> None:
    ada = somebody(site.app, "ada")
    script.act("accounts", "join", ada.name, group="readers", days="2.5")
    told = script.get(f"/admin/account?name={ada.name}").get_json()
    assert list(told["memberships"]) == ["readers"]
    assert site.log()[0] == ("local:robot", "group joined", ada.name, "why")
    script.act("accounts", "leave", ada.name, group="readers")
    assert script.get(f"/admin/account?name={ada.name}").get_json()["memberships"] == {}
    script.act("accounts", "leave", ada.name, group="readers", status=404)
    script.act("accounts", "join", ada.name, status=400)
    script.act("accounts", "join", ada.name, group="two words", status=400)


def test_sessions_end_and_tokens_are_revoked(site: Site, script: Script) -> None:
    eve = somebody(site.app, "eve")
    other = somebody(site.app, "eve")
    key = site.accounts.sessions.begin(eve.name)
    script.act("accounts", "sign-out", eve.name)
    assert site.accounts.sessions.find(key) is None
    assert site.log()[0] == ("local:robot", "signed out", eve.name, "why")
    script.act("accounts", "revoke-token", eve.token.token_id)
    assert site.log()[0] == ("local:robot", "token revoked", eve.token.token_id, "why")
    client = site.app.test_client()
    assert client.get("/account", headers=eve.headers).status_code == 401
    assert client.get("/account", headers=other.headers).status_code == 200
    script.act("accounts", "revoke-tokens", eve.name)
    assert client.get("/account", headers=other.headers).status_code == 401
    assert site.log()[0] == ("local:robot", "all tokens revoked", eve.name, "why")
    script.act("accounts", "sign-out", "local:nobody", status=404)
    script.act("accounts", "revoke-token", "nothing", status=404)


def test_limits_are_set_and_end(site: Site, script: Script) -> None:
    ada = somebody(site.app, "ada")
    script.act("quotas", "set", subject=f"user:{ada.name}", kind="cutouts", value="7", days="3")
    script.act("quotas", "set", subject="anonymous", kind="rate", value=30)
    decided = script.get("/admin/quotas").get_json()["decided"]
    assert [(one["subject"], one["kind"], one["value"], one["account"]) for one in decided] == [
        ("role:anonymous", "rate", 30, "local:robot"),
        (f"user:{ada.name}", "cutouts", 7, "local:robot"),
    ]
    assert decided[0]["until"] is None
    assert decided[1]["until"] is not None
    of_ada = script.get("/admin/account", query_string={"name": ada.name}).get_json()["entries"]
    assert ("quota set", f"user:{ada.name}") in {(one["act"], one["object"]) for one in of_ada}
    told = site.app.test_client().get("/quota", headers=ada.headers).get_json()
    assert [one["limit"] for one in told["quotas"] if one["kind"] == "cutouts"] == [7]
    stand = script.get(f"/admin/quotas?account={ada.name}").get_json()["standings"]
    assert [one["limit"] for one in stand if one["kind"] == "cutouts"] == [7]
    assert site.log()[0] == ("local:robot", "quota set", "role:anonymous", "why")
    script.act("quotas", "unset", f"cutouts user:{ada.name}", "rate role:anonymous")
    assert script.get("/admin/quotas").get_json()["decided"] == []
    assert site.log()[0] == ("local:robot", "quota unset", "role:anonymous", "why")
    script.act("quotas", "unset", "rate role:anonymous", status=404)


@pytest.mark.parametrize(
    "wrong",
    [
        {"subject": "user:x", "kind": "cutouts"},
        {"subject": "user:x", "kind": "cutouts", "value": "-1"},
        {"subject": "user:x", "kind": "cutouts", "value": "1e3"},
        {"subject": "user:x", "kind": "cutouts", "value": "9" * 30},
        {"subject": "user:x", "kind": "beer", "value": "1"},
        {"subject": "", "kind": "cutouts", "value": "1"},
        {"subject": "kings", "kind": "cutouts", "value": "1"},
        {"subject": "user:x", "kind": "cutouts", "value": "1", "days": "0"},
        {"subject": "user:x", "kind": "cutouts", "value": "1", "days": "inf"},
        {"subject": "user:x", "kind": "cutouts", "value": "1", "day": "3"},
    ],
)
def test_limits_that_are_none(script: Script, wrong: dict[str, str]) -> None:
    answer = script.act("quotas", "set", status=400, **wrong)
    assert answer.text.startswith("UsageError: ")
    assert script.get("/admin/quotas").get_json()["decided"] == []


def test_all_are_told_what_is_announced(site: Site, script: Script, root: FlaskClient) -> None:
    text = "No jobs <b>on</b> Tuesday"
    script.act("announcements", "announce", text=text, level="warning", days="1")
    (one,) = script.get("/admin/announcements").get_json()["announcements"]
    assert (one["text"], one["level"], one["account"]) == (text, "warning", "local:robot")
    assert site.log()[0] == ("local:robot", "announced", str(one["announcement_id"]), "why")
    shown = site.browser("other", admin=False).get("/account").text
    assert "No jobs &lt;b&gt;on&lt;/b&gt; Tuesday" in shown
    script.act("announcements", "withdraw", str(one["announcement_id"]))
    assert "on Tuesday" not in root.get("/admin").text
    script.act("announcements", "withdraw", str(one["announcement_id"]), status=404)
    script.act("announcements", "withdraw", "x", status=404)
    script.act("announcements", "announce", status=400)
    script.act("announcements", "announce", text="x", level="alarm", status=400)


def test_nobody_of_that_name_is_shown(script: Script) -> None:
    for name in ("", "local:nobody", "%0A"):
        assert script.get(f"/admin/account?name={name}").status_code == 404
    for job in ("nothing", "a%00b", "%FF"):
        assert script.get(f"/admin/jobs/{job}").status_code == 404
    assert script.get("/admin/quotas?account=local:nobody").status_code == 404


def test_accounts_of_any_name_have_a_page(site: Site, root: FlaskClient) -> None:
    site.accounts.people.seen(Identity("cilogon", "http://cilogon.org/serverA/users/1?x=1&y", "Vera & co"))
    listed = root.get("/admin/accounts?words=Vera").text
    link = "/admin/account?name=cilogon%3Ahttp%3A%2F%2Fcilogon.org%2FserverA%2Fusers%2F1%3Fx%3D1%26y"
    assert link in listed
    assert "Vera &amp; co" in root.get(link).text


def test_no_secret_is_shown(site: Site, script: Script, root: FlaskClient) -> None:
    token = somebody(site.app, "root", admin=True).text
    pages = "".join(
        root.get(f"/admin/{path}").text
        for path in ("configuration", "account?name=local:root", "log", "accounts")
    )
    pages += script.get("/admin/configuration").text + script.get("/admin/account?name=local:root").text
    assert "canary" not in pages
    assert token not in pages
    found = {
        (section["name"], one["name"]): one
        for section in script.get("/admin/configuration").get_json()["sections"]
        for one in section["settings"]
    }
    assert found["accounts", "secret"]["value"] == "(set, not shown)"
    assert found["publisher", "name"] == {"name": "name", "value": "Institute", "is_default": False}
    assert found["jobs", "workers"]["is_default"] is True


def test_an_account_disabled_elsewhere_is_not_found_by_its_token(site: Site) -> None:
    """The token of a disabled administrator opens nothing."""
    gone = somebody(site.app, "gone", admin=True)
    site.accounts.people.change(gone.name, by=MAKER, disabled=True)
    answer = site.app.test_client().get("/admin", headers=gone.headers)
    assert answer.status_code == AuthenticationError.status


def test_jobs_are_found_by_any_filter(site: Site, script: Script) -> None:
    job_id = site.jobs.create(new_job("local:zoe", run_id="night <i>1</i>"), plan(1)).job_id
    set_job(site.engine, job_id, created_ms=1_600_000_000_000)

    def found(query: str) -> list[str]:
        return [job["job_id"] for job in script.get(f"/admin/jobs?{query}").get_json()["jobs"]]

    assert found("owner=ZOE") == [job_id]
    assert found("owner=zoe&phase=queued") == [job_id]
    assert found("owner=zoe&phase=ERROR") == []
    assert found("words=night+%3Ci%3E") == [job_id]
    assert found("until=2020-09-14&type=toy") == [job_id]
    assert found("owner=zoe&since=2020-09-14") == []
    page = site.browser().get("/admin/jobs?owner=zoe")
    assert "night &lt;i&gt;1&lt;/i&gt;" in page.text
    for wrong in (
        "words=a%00b",
        "owner=%00",
        "phase=LATE",
        "since=tomorrow",
        "most=0",
        "after=x",
        "words=" + "x" * 1001,
    ):
        assert script.get(f"/admin/jobs?{wrong}").status_code == 400
    site.jobs.end(job_id, Phase.ABORTED)


def test_pages_of_jobs_follow_each_other(site: Site, script: Script, root: FlaskClient) -> None:
    made = {run_job(site.jobs, owner="local:pages") for _ in range(5)}
    seen: list[str] = []
    after = ""
    while True:
        told = script.get(f"/admin/jobs?owner=local:pages&most=2&after={after}").get_json()
        seen += [job["job_id"] for job in told["jobs"]]
        after = told["after"]
        if not after:
            break
    assert len(seen) == 5
    assert set(seen) == made
    page = root.get("/admin/jobs?owner=local:pages&most=2").text
    assert "Older jobs" in page
    assert "owner=local%3Apages&amp;most=2&amp;after=" in page
    for job_id in made:
        site.jobs.end(job_id, Phase.ABORTED)


def test_failures_show_their_causes(site: Site, script: Script, root: FlaskClient) -> None:
    job_id = ended(site, "local:ada", 3)
    told = script.get("/admin/failures?hours=1").get_json()
    (cause,) = [one for one in told["causes"] if one["text"] == "Error: so"]
    assert job_id in {sample["job_id"] for sample in cause["samples"]}
    assert told["is_all"] is True
    assert f"/admin/jobs/{cause['samples'][0]['job_id']}" in root.get("/admin/failures").text
    assert script.get("/admin/failures?hours=0").status_code == 400


def test_a_job_is_looked_into(site: Site, script: Script, root: FlaskClient) -> None:
    job_id = ended(site, "local:ada", 2)
    told = script.get(f"/admin/jobs/{job_id}").get_json()
    assert told["job"]["owner"] == "local:ada"
    assert told["job"]["counts"]["failed"] == 1
    assert sum(told["verdicts"].values()) == 2
    assert told["events"][0]["kind"] == "phase"
    page = root.get(f"/admin/jobs/{job_id}").text
    assert 'value="retry"' in page
    assert 'value="abort"' not in page


def test_use_is_had_as_csv(site: Site, root: FlaskClient, script: Script) -> None:
    answer = root.get("/admin/usage?days=3&format=csv&by=day")
    assert answer.content_type == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="usage.csv"'
    head, *days = answer.text.splitlines()
    assert head == "day,cutouts,failed,sync,images,bytes,seconds,wait_s"
    assert len(days) == 3
    assert script.get("/admin/usage?by=user&format=csv").text.startswith("user,cutouts")
    assert script.get("/admin/usage?days=0").status_code == 400
    assert script.get("/admin/log?format=csv").text.startswith("at,account,actor,act,object,reason,data")
