"""Tokens of the command line: from a file of one's own, to one service."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
import requests
from astropy.io import fits
from click.testing import CliRunner, Result

from config.cli import main
from config.token_file import Bearer, read_token
from tests.support.accounts import somebody
from tests.support.listening import listening
from tests.support.service import did, make_service


def run(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def test_commands_show_a_token(tmp_path: Path) -> None:
    app = make_service(tmp_path / "service", {"FOUNTAIN_ACCOUNTS__ANONYMOUS": "false"})
    ada = somebody(app, "ada", groups=("members",))
    file, output, table = tmp_path / "token", tmp_path / "a.fits", tmp_path / "targets.csv"
    file.write_text(f"{ada.text}\n")
    file.chmod(0o600)
    table.write_text("ra,dec\n150,0\n")
    with listening(app) as url:
        asked = ("cutout", did("secret/g/a"), "--circle", "150 0 0.0027", "--url", url, "-o", str(output))
        refused = run(*asked)
        assert refused.exit_code == 1
        assert "this service is for those it knows" in refused.stderr
        assert run(*asked, "--token", str(file)).exit_code == 0
        assert fits.getdata(output).shape == (20, 20)
        batch = ("batch", str(table), "--id", did("secret/g"), "--size", "5px", "--estimate", "--url", url)
        assert run(*batch).exit_code != 0
        told = run(*batch, "--token", str(file))
        assert told.exit_code == 0, told.output
        assert ada.text not in told.output


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("sft_x", 0o640, "can be read by others"),
        ("sft_x", 0o604, "can be read by others"),
        ("", 0o600, "holds no token"),
        ("two words", 0o600, "holds no token"),
        ("a\nb", 0o600, "holds no token"),
        ("é", 0o600, "holds no token"),
    ],
)
def test_files_that_are_not_taken(tmp_path: Path, text: str, mode: int, message: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(click.UsageError, match=message) as caught:
        read_token(file)
    assert not text or text not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="holds no token"):
        read_token(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("url", "is_shown"),
    [
        ("https://example.org/soda/async", True),
        ("https://EXAMPLE.org:443/", True),
        ("http://example.org/soda", False),
        ("https://example.org:8443/soda", False),
        ("https://bucket.example.net/result", False),
        ("https://example.org.evil.example/", False),
    ],
)
def test_nobody_else_is_shown_it(url: str, is_shown: bool) -> None:
    auth = Bearer("sft_x", "https://example.org/soda")
    sent = auth(requests.Request("GET", url).prepare())
    assert ("Authorization" in sent.headers) == is_shown


def test_it_is_not_sent_in_the_clear() -> None:
    with pytest.raises(click.UsageError, match="https alone"):
        Bearer("sft_x", "http://example.org/soda")
    assert Bearer("sft_x", "http://127.0.0.1:8080")
