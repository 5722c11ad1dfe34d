"""Challenges: how somebody who has to be known is told the ways to be (RFC 9110, section 11.6.1)."""

from __future__ import annotations

from dataclasses import dataclass

#: Ways to be known, as capabilities and challenges of the Virtual Observatory name them. That of tokens in
#: the Authorization header is in use, and not yet in the recommendation, SSO 2.0.
BASIC = "ivo://ivoa.net/sso#BasicAA"
TOKEN = "ivo://ivoa.net/sso#token"  # noqa: S105  # no token


@dataclass(frozen=True, slots=True)
class Challenges:
    """What ``WWW-Authenticate`` says.

    Parameters
    ----------
    realm
        Name of the service.
    passwords
        Whether names and passwords are taken.
    login
        Path of the page on which people sign in, and get tokens; "" where there is none.
    """

    realm: str
    passwords: bool = False
    login: str = ""

    def values(self, base_url: str, *, is_wrong: bool, is_browser: bool = False) -> list[str]:
        """Give the values, one for each header.

        Parameters
        ----------
        base_url
            Public URL of the service, without a slash at its end.
        is_wrong
            Whether something was shown, and was not valid.
        is_browser
            Whether a browser asks, which would put a window of its own before the page of the answer.
        """
        where = f', access_url="{base_url}{self.login}"' if self.login else ""
        # RFC 6750, section 3.1: nothing is said of an error where nothing was shown.
        error = ', error="invalid_token"' if is_wrong else ""
        realm = _quoted(self.realm)
        values = [f'ivoa_bearer standard_id="{TOKEN}"{where}{error}', f"Bearer realm={realm}{error}"]
        if self.passwords and not is_browser:
            values.append(f'Basic realm={realm}, charset="UTF-8"')
        return values


def _quoted(text: str) -> str:
    plain = "".join(character if " " <= character <= "~" else "?" for character in text)
    return '"{}"'.format(plain.replace("\\", "\\\\").replace('"', '\\"'))
