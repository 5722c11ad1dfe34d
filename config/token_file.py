"""The token of a client of this program, from a file that nobody else may read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

if TYPE_CHECKING:
    import requests

_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")

option = click.option(
    "--token",
    "token_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File with a token of the service, which its owner alone may read.",
)


class Bearer:
    """Shows a token to one service, and to nobody whom that service sends its clients to; as requests has it.

    Parameters
    ----------
    token
        Its text.
    url
        Of the service.

    Raises
    ------
    click.UsageError
        If others could read the token on its way.
    """

    def __init__(self, token: str, url: str) -> None:
        self._token = token
        self._origin = _origin(url)
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in _THIS_MACHINE:
            raise click.UsageError("a token is sent by https alone: others could read it")

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header to a request of the service's."""
        if _origin(request.url or "") == self._origin:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def read_token(path: Path) -> str:
    """Read a token.

    Raises
    ------
    click.UsageError
        If the file cannot be read, can be read by others, or holds no token.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise click.UsageError(f"{path} can be read by others: chmod 600 {path}")
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path} holds no token that can be read") from error
    if not text or not text.isprintable() or " " in text:
        raise click.UsageError(f"{path} holds no token: it is one word on one line")
    return text


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)
