"""What somebody who has to be known is told."""

from __future__ import annotations

import pytest
from werkzeug.datastructures import WWWAuthenticate

from accounts.challenges import TOKEN, Challenges

URL = "https://example.org/soda"


def test_ways_are_told_with_the_page_to_sign_in() -> None:
    told = Challenges("Our surveys", passwords=True, login="/login").values(URL, is_wrong=False)
    assert told == [
        f'ivoa_bearer standard_id="{TOKEN}", access_url="https://example.org/soda/login"',
        'Bearer realm="Our surveys"',
        'Basic realm="Our surveys", charset="UTF-8"',
    ]


def test_what_is_not_valid_is_said_to_be() -> None:
    told = Challenges("x").values(URL, is_wrong=True)
    assert all('error="invalid_token"' in value for value in told)
    assert "access_url" not in told[0]


def test_a_browser_shows_its_page_and_no_window() -> None:
    told = Challenges("x", passwords=True).values(URL, is_wrong=False, is_browser=True)
    assert not any(value.startswith("Basic") for value in told)


@pytest.mark.parametrize("realm", ['a "quoted" one', "back\\slash", "two\r\nlines", "Müller", ""])
def test_another_reader_reads_them(realm: str) -> None:
    shown = "".join(one if " " <= one <= "~" else "?" for one in realm)
    for value in Challenges(realm, passwords=True, login="/login").values(URL, is_wrong=True):
        read = WWWAuthenticate.from_header(value)
        assert read is not None
        assert read.type in ("ivoa_bearer", "bearer", "basic")
        assert read.parameters.get("realm", shown) == shown
        assert "\n" not in value
