"""Commands about accounts and tokens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from config.accounts import make_accounts
from config.cli import main
from config.database import make_engine
from tests.support.accounts import MAKER
from tests.support.service import environ_of, settings_of


def run(folder: Path, *words: str, environ: Mapping[str, str] | None = None) -> Result:
    (folder / "declarations").mkdir(exist_ok=True)
    return CliRunner().invoke(main, list(words), env=environ_of(folder, environ))


def said(folder: Path, *words: str) -> str:
    result = run(folder, *words)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_service_gets_an_account_and_a_token(tmp_path: Path) -> None:
    assert said(tmp_path, "accounts", "add-service", "portal", "--act-for-others").startswith(
        "local:portal: service, enabled, acts for others"
    )
    words = ("--title", "nightly", "--days", "3", "--scope", "read")
    made = run(tmp_path, "token", "make", "local:portal", *words)
    text = made.stdout.strip()
    assert text.startswith("sft_")
    assert text not in made.stderr
    engine = make_engine(settings_of(tmp_path).data.engine_url)
    parts = make_accounts(settings_of(tmp_path), engine)
    token = parts.tokens.find(text)
    assert token is not None
    assert (token.account, token.title, token.scopes) == ("local:portal", "nightly", {"read"})
    listed = said(tmp_path, "token", "list", "local:portal")
    assert token.token_id in listed
    assert text not in listed
    assert "is revoked" in said(tmp_path, "token", "revoke", token.token_id)
    assert parts.tokens.find(text) is None
    shown = said(tmp_path, "accounts", "show", "local:portal")
    assert "token" in shown
    assert "operator: account made" in shown
    assert {entry.account for entry in parts.audit.read(10)} == {"operator"}
    engine.dispose()


def test_accounts_are_changed(tmp_path: Path) -> None:
    said(tmp_path, "accounts", "add", "ldap:ada", "--title", "Ada")
    assert "disabled" in said(tmp_path, "accounts", "disable", "ldap:ada", "--reason", "left")
    assert "enabled" in said(tmp_path, "accounts", "enable", "ldap:ada")
    assert "0 sessions" in said(tmp_path, "accounts", "sign-out", "ldap:ada")
    assert "administrator" in said(tmp_path, "accounts", "admin", "ldap:ada")
    assert "administrator" not in said(tmp_path, "accounts", "admin", "ldap:ada", "--revoke")
    assert "acts for others" in said(tmp_path, "accounts", "act-for-others", "ldap:ada")
    assert "groups: guests" in said(tmp_path, "accounts", "group", "add", "guests", "ldap:ada", "--days", "2")
    (told,) = (line for line in said(tmp_path, "accounts", "list").splitlines() if "ldap:ada" in line)
    assert "  user  " in told
    listed = run(tmp_path, "accounts", "list", environ={"FOUNTAIN_ACCOUNTS__ADMIN_GROUPS": "guests"}).output
    (told,) = (line for line in listed.splitlines() if "ldap:ada" in line)
    assert "  admin  " in told, "by its group"
    assert "ldap:ada" in said(tmp_path, "accounts", "list", "ADA")
    assert "ldap:ada" not in said(tmp_path, "accounts", "list", "bob")
    assert "groups: none" in said(tmp_path, "accounts", "group", "remove", "guests", "ldap:ada")
    shown = said(tmp_path, "accounts", "show", "ldap:ada")
    assert "operator: account changed (disabled: true) left" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("token", "make", "ldap:nobody"), 'there is no account "ldap:nobody"'),
        (("token", "make", "ldap:nobody", "--days", "1000"), "days is more than 0 and at most 366"),
        (("token", "list", "ldap:nobody"), "there is no account ldap:nobody"),
        (("token", "revoke", "x"), 'there is no token "x"'),
        (("accounts", "show", "x"), "there is no account x"),
        (("accounts", "disable", "x"), 'there is no account "x"'),
        (("accounts", "add", "A:b"), "no label of a provider"),
        (("accounts", "add-service", ""), "cannot be the name of somebody"),
        (("accounts", "group", "add", "a b", "x"), "cannot be the name of a group"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    result = run(tmp_path, *words)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_an_account_is_made_once(tmp_path: Path) -> None:
    said(tmp_path, "accounts", "add-service", "portal")
    again = run(tmp_path, "accounts", "add-service", "portal")
    assert (again.exit_code, "already" in again.stderr) == (1, True)
    engine = make_engine(settings_of(tmp_path).data.engine_url)
    parts = make_accounts(settings_of(tmp_path), engine)
    assert parts.people.get("local:portal") is not None
    assert parts.people.change("local:portal", by=MAKER).kind == "service"
    engine.dispose()


def test_a_provider_that_is_wrong_is_named(tmp_path: Path) -> None:
    (tmp_path / "declarations").mkdir()
    (tmp_path / "wrong.toml").write_text('kind = "jwt"\n')
    environ = environ_of(tmp_path, {"FOUNTAIN_ACCOUNTS__PROVIDERS": str(tmp_path / "wrong.toml")})
    result = CliRunner().invoke(main, ["accounts", "list"], env=environ)
    assert result.exit_code == 1
    assert "wrong.toml: label" in result.stderr
