"""Notices of the whole program: asked for over HTTP, sent by the reconciler, stopped by the link of one."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from click.testing import CliRunner

from accounts.people import Identity
from config.accounts import make_accounts
from config.app import create_app
from config.cli import main
from config.database import make_engine
from config.settings import load_settings
from dali.caller import Caller
from tests.portal.conftest import browser_of
from tests.support.accounts import sign_in
from tests.support.mail import mail_server
from tests.support.redis import own_redis
from tests.support.service import BASE, index_all, settings_of, write_surveys


def test_a_mail_comes_and_its_link_stops_the_next(tmp_path: Path) -> None:
    write_surveys(tmp_path)
    index_all(settings_of(tmp_path))
    with own_redis() as redis, mail_server() as box:
        environ = {
            "FOUNTAIN_DATA__FOLDER": str(tmp_path),
            "FOUNTAIN_SURVEYS__DECLARATIONS": str(tmp_path / "declarations"),
            "FOUNTAIN_IDENTIFIERS__BASE": BASE,
            "FOUNTAIN_JOBS__REDIS_URL": redis.url,
            "FOUNTAIN_JOBS__RESULTS_RESERVE_BYTES": "0",
            "FOUNTAIN_SERVER__BASE_URL": "https://cutouts.example.org/soda",
            "FOUNTAIN_NOTICES__SMTP_URL": f"smtp://127.0.0.1:{box.port}",
            "FOUNTAIN_NOTICES__SENDER": "cutouts@example.org",
            "FOUNTAIN_ACCOUNTS__SECRET": "0123456789abcdef0123456789abcdef",
        }
        settings = load_settings(environ)
        engine = make_engine(settings.data.engine_url)
        accounts = make_accounts(settings, engine)
        ada = accounts.people.seen(Identity("ldap", "ada", "Ada", "ada@example.org"))
        token = accounts.tokens.make(
            ada.name, "test", frozenset(("read", "submit")), by=Caller(ada.name)
        ).text
        app = create_app(settings)
        client = app.test_client()
        known = {"Authorization": f"Bearer {token}"}

        # Nothing of it is there, so it ends at once in an error.
        form = {
            "ID": f"{BASE}?nothing",
            "CIRCLE": "1 1 0.1",
            "PHASE": "RUN",
            "NOTIFY": "mail",
            "RUNID": "M31",
        }
        made = client.post("/async", data=form, headers=known)
        assert made.status_code == 303, made.text
        job_url = made.headers["Location"]
        for _ in range(2):
            done = CliRunner(env=environ).invoke(main, ["reconcile", "--once"])
            assert done.exit_code == 0, done.output
        (message,) = box.messages
        assert message["Subject"] == "A job has failed: M31"
        assert job_url in message.get_content()
        assert token not in message.as_string()

        found = re.search(r"^No more mail like this: (\S+)", message.get_content(), re.MULTILINE)
        assert found is not None
        path = urlsplit(found[1]).path.removeprefix("/soda")
        shown = client.get(path)
        assert shown.status_code == 200
        assert "script" not in shown.text
        assert client.post(path).status_code == 200
        assert client.post("/async", data=form, headers=known).status_code == 400
        assert client.post(f"{path}0").status_code == 404

        browser = browser_of(app)
        sign_in(browser, app, ada.name)
        saved = browser.post("/account/wishes", data={"mail": ["expiring", "failed"]})
        assert saved.status_code == 200
        assert re.findall(r'name="mail" value="(\w+)" checked', saved.text) == ["failed", "expiring"]
        quiet = {**form, "NOTIFY": "none", "RUNID": "quiet"}
        assert client.post("/async", data=quiet, headers=known).status_code == 303
        del form["NOTIFY"]
        assert client.post("/async", data={**form, "RUNID": "M33"}, headers=known).status_code == 303
        CliRunner(env=environ).invoke(main, ["reconcile", "--once"])
        assert [mail["Subject"] for mail in box.messages[1:]] == ["A job has failed: M33"]
        engine.dispose()
