"""NOTIFY, and links that stop mail, over HTTP."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from accounts.secret import Secret
from config.answers import answer_errors
from config.notices import Unsubscribe
from tests.uws.conftest import NAMES, Client, id_of
from tests.uws.notices.conftest import Bureau
from uws.notices import views


@pytest.fixture
def ada(bureau: Bureau) -> Client:
    bureau.settings = replace(bureau.settings, webhook_hosts=("hub.example.org",))
    bureau.house.service = bureau.service
    return bureau.house.client("ldap:ada")


def notify(client: Client, url: str) -> list[str | None]:
    return [element.text for element in client.document(url).findall("uws:jobInfo/job:notify", NAMES)]


def test_a_job_says_how_its_owner_is_told(ada: Client, bureau: Bureau) -> None:
    url = ada.make(NOTIFY=["mail", "https://hub.example.org/secret/path?key=1"], DO="ok")
    assert notify(ada, url) == ["mail", "hub.example.org"]
    assert b"secret" not in ada.get(url).data
    assert b"NOTIFY" not in ada.get(f"{url}/parameters").data
    assert ada.post(url, NOTIFY="none").status_code == 303
    assert notify(ada, url) == []
    assert ada.post(url, notify="Mail").headers["Location"] == url
    assert bureau.house.job(id_of(url)).notify == {"mail": ["done", "failed", "expiring", "expired"]}
    assert ada.post(f"{url}/phase", PHASE="RUN").status_code == 303
    bureau.house.work()
    assert ada.post(url, NOTIFY="none").status_code == 303, "in any phase"
    assert bureau.house.job(id_of(url)).notify is None


@pytest.mark.parametrize(
    ("values", "status", "sentence"),
    [
        (["maybe"], 400, 'NOTIFY is mail, none, or one URL; got "maybe"'),
        (["none", "mail"], 400, 'NOTIFY is mail, none, or one URL; got "none"'),
        (["ftp://hub.example.org/"], 400, "which is no https URL"),
        (["https://a@hub.example.org/"], 400, "which is no https URL"),
        (["https://hub.example.org:444/"], 403, "this service does not tell https://hub.example.org:444"),
        (["https://hub.example.org/", "https://hub.example.org/2"], 400, "NOTIFY is mail, none, or one URL"),
    ],
)
def test_what_cannot_be_done_is_refused(values: list[str], status: int, sentence: str, ada: Client) -> None:
    url = ada.make()
    for refused in (ada.post(NOTIFY=values), ada.post(url, NOTIFY=values)):
        assert refused.status_code == status
        assert sentence in refused.text
    assert notify(ada, url) == []


def test_somebody_unknown_and_somebody_without_an_address_are_not_told(ada: Client, bureau: Bureau) -> None:
    assert bureau.house.client().post(NOTIFY="mail").status_code == 401
    assert bureau.house.client().post(NOTIFY="none").status_code == 303
    bob = bureau.house.client("ldap:bob").post(NOTIFY="mail")
    assert (bob.status_code, "there is no address for mail" in bob.text) == (400, True)
    bureau.contacts.stop("ldap:ada")
    assert ada.post(NOTIFY="mail").status_code == 400
    bureau.contacts.keep("ldap:ada", ())
    assert ada.post(NOTIFY="mail").status_code == 303


def test_where_no_mail_is_sent_none_is_promised(bureau: Bureau) -> None:
    bureau.settings = replace(bureau.settings, smtp_url="")
    bureau.house.service = bureau.service
    refused = bureau.house.client("ldap:ada").post(NOTIFY="mail")
    assert (refused.status_code, "this service sends no mail" in refused.text) == (400, True)
    bureau.contacts.keep("ldap:ada", {"done"})
    assert bureau.submit().notify is None


def test_others_cannot_say_who_is_told(ada: Client, bureau: Bureau) -> None:
    url = ada.make()
    assert bureau.house.client("ldap:bob").post(url, NOTIFY="none").status_code == 403
    assert ada.post(f"{url}/parameters", NOTIFY="none").status_code == 400
    assert ada.post(url, NOTIFY="none", ACTION="DELETE").status_code == 303, "deleted, as it was asked for"


class TestUnsubscribe:
    LINKS = Unsubscribe(Secret(("0123456789abcdef0123456789abcdef",)), "https://example.org/soda")

    @pytest.fixture
    def client(self, bureau: Bureau) -> FlaskClient:
        assert bureau.contacts.address("ldap:ada")
        app = Flask("mail", static_folder=None)
        app.register_blueprint(views.make_blueprint(self.LINKS.owner, bureau.contacts.stop))
        answer_errors(app)
        return app.test_client()

    def path(self, owner: str) -> str:
        url = self.LINKS.url(owner)
        assert url.startswith("https://example.org/soda/unsubscribe/")
        return url.removeprefix("https://example.org/soda")

    def test_looking_at_the_link_changes_nothing(self, client: FlaskClient, bureau: Bureau) -> None:
        shown = client.get(self.path("ldap:ada"))
        assert shown.status_code == 200
        assert '<form method="post">' in shown.text
        assert bureau.contacts.address("ldap:ada") == "ada@example.org"

    def test_one_click_stops_mail(self, client: FlaskClient, bureau: Bureau) -> None:
        """As mail programs send it (RFC 8058)."""
        for _ in range(2):
            done = client.post(self.path("ldap:ada"), data={"List-Unsubscribe": "One-Click"})
            assert (done.status_code, "no more mail" in done.text) == (200, True)
        assert bureau.contacts.address("ldap:ada") == ""

    def test_links_that_were_not_made_here_do_nothing(self, client: FlaskClient, bureau: Bureau) -> None:
        name, _, signature = self.path("ldap:ada").rpartition("/")[2].partition(".")
        others = f"bGRhcDpib2I.{signature}"
        for key in ("", ".", name, f"{name}.", f"{name}.{signature[:-1]}-", others, "é.é", "=.x"):
            answer = client.post(f"/unsubscribe/{key}")
            assert answer.status_code == 404, key
        assert client.post(self.path("ldap:nobody")).status_code == 404
        assert bureau.contacts.address("ldap:ada") == "ada@example.org"

    def test_names_are_shown_as_text(self, client: FlaskClient) -> None:
        assert "<script>" not in client.get(self.path("ldap:<script>")).text
