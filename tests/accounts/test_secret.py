"""The secret of the service, and settings of accounts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from accounts.secret import SAMPLE, Secret, SecretError, read_secret
from config.settings import SettingsError
from tests.support.service import settings_of

ONE, OTHER = 40 * "a", 40 * "b"


def test_each_purpose_has_signatures_of_its_own() -> None:
    secret = Secret((ONE,))
    signature = secret.sign("mail", "ada")
    assert secret.is_signed("mail", "ada", signature)
    assert not secret.is_signed("mail", "bob", signature)
    assert not secret.is_signed("job", "ada", signature)
    assert not secret.is_signed("mail", "ada", "é")
    assert ONE not in repr(secret)
    assert ONE not in signature


def test_an_old_secret_is_still_believed() -> None:
    signature = Secret((ONE,)).sign("mail", "ada")
    changed = Secret((OTHER, ONE))
    assert changed.is_signed("mail", "ada", signature)
    assert changed.sign("mail", "ada") != signature
    assert not Secret((OTHER,)).is_signed("mail", "ada", signature)


def test_it_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    settings = settings_of(tmp_path).accounts
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: read_secret(settings, tmp_path / "data"), range(16)))
    assert len(made) == 1
    file = tmp_path / "data" / "fountain.secret"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["fountain.secret"]


def test_it_comes_from_the_settings_or_a_file(tmp_path: Path) -> None:
    settings = settings_of(tmp_path).accounts
    (tmp_path / "s").write_text(f"{OTHER}\n\n{ONE}\n")
    assert read_secret(replace(settings, secret=ONE), tmp_path) == Secret((ONE,))
    filed = replace(settings, secret_file=str(tmp_path / "s"))
    assert read_secret(filed, tmp_path) == Secret((OTHER, ONE))
    (tmp_path / "s").write_text("short\n")
    with pytest.raises(SecretError, match="32 characters") as caught:
        read_secret(filed, tmp_path)
    assert "short" not in str(caught.value)
    (tmp_path / "s").unlink()
    with pytest.raises(SecretError, match="cannot be read"):
        read_secret(filed, tmp_path)
    assert not (tmp_path / "fountain.secret").exists()


def test_settings_do_not_show_it(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, {"FOUNTAIN_ACCOUNTS__SECRET": ONE})
    assert ONE not in repr(settings)


@pytest.mark.parametrize(
    "environ",
    [
        {"FOUNTAIN_SERVER__BASE_URL": "https://cutouts.example.org"},
        {"FOUNTAIN_SERVER__HOST": "0.0.0.0"},
        {"FOUNTAIN_SERVER__HOST": "cutouts.example.org"},
    ],
)
def test_the_sample_is_for_demonstrations(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / "s").write_text(f"{ONE}\n{SAMPLE}\n")
    for given in (
        {"FOUNTAIN_ACCOUNTS__SECRET": SAMPLE},
        {"FOUNTAIN_ACCOUNTS__SECRET_FILE": str(tmp_path / "s")},
    ):
        assert settings_of(tmp_path, given).accounts
        with pytest.raises(SettingsError, match="sample") as caught:
            settings_of(tmp_path, given | environ)
        assert SAMPLE not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SECRET", "short", "32 characters"),
        ("SECRET_FILE", "/nowhere/secret", "cannot be read"),
        ("SESSION_IDLE_S", "0", "more than 0"),
        ("SESSION_IDLE_S", "604801", "at most accounts.session_s"),
        ("TOKEN_DAYS", "367", "at most accounts.max_token_days"),
        ("KEPT_S", "61", "0 to 60"),
        ("PERSONAL_DAYS", "-1", "0 or more"),
    ],
)
def test_settings_that_are_wrong(tmp_path: Path, name: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settings_of(tmp_path, {f"FOUNTAIN_ACCOUNTS__{name}": value})
