"""The service, as HTTP has it: requests, what it answers when it refuses, and patience when it is silent."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests
from lxml import etree

from config.batch.faults import BatchFault, NotThere, Refused, Unreachable
from config.token_file import Bearer

Pairs = Sequence[tuple[str, str]]
T = TypeVar("T")

#: To connect, and from one byte to the next; an estimate of a long list takes a while.
TIMEOUT_S = (10.0, 120.0)
#: Between attempts at what is worth another one: together a minute.
PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
#: Name of the part that has the table.
PART = "t"
_LONGEST_TOLD = 600
#: Errors as JSON where a service has that, documents as they are.
_ACCEPT = "application/xml, application/json;q=0.9, */*;q=0.5"


class Service:
    """A service.

    Parameters
    ----------
    url
        Its base, such as ``https://example.org/soda``; that of its ``/async`` will do.
    pauses_s
        Between attempts.
    token
        By which the service knows its client; "" where it need not.

    Raises
    ------
    Refused
        If that is no URL.
    """

    def __init__(self, url: str, pauses_s: Sequence[float] = PAUSES_S, token: str = "") -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Refused(f"--url is the address of a service, such as https://example.org/soda; got {url!r}")
        path = parts.path.rstrip("/").removesuffix("/async")
        self.url = urlunsplit((parts.scheme, parts.netloc, path, "", ""))
        self._pauses_s = tuple(pauses_s)
        self._session = requests.Session()
        self._session.headers["Accept"] = _ACCEPT
        if token:
            self._session.auth = Bearer(token, self.url)
        self._base: str | None = None

    def __str__(self) -> str:
        """Its URL as it may be shown."""
        return shown(self.url)

    def close(self) -> None:
        """Close its connections."""
        self._session.close()

    def did(self, dataset: str) -> str:
        """Make a publisher DID of a dataset as it is called for short, such as ``demo/r``.

        The service's own registry record tells what stands before the ``?``.
        """
        if dataset.lower().startswith("ivo://"):
            return dataset
        if self._base is None:
            self._base = self._identifier()
        return f"{self._base}?{dataset}"

    @contextmanager
    def get(
        self,
        url: str,
        parameters: Pairs = (),
        headers: Mapping[str, str] | None = None,
        timeout_s: tuple[float, float] = TIMEOUT_S,
    ) -> Iterator[requests.Response]:
        """Ask for something; its content has not been read yet.

        Raises
        ------
        Unreachable, Refused
            If there is no answer, or one that is an error; also while the content is read.
        """
        with (
            _told_of(self),
            self._session.get(
                url, params=list(parameters), headers=headers, timeout=timeout_s, stream=True
            ) as answer,
        ):
            _check(answer)
            yield answer

    def read(self, url: str, parameters: Pairs = ()) -> bytes:
        """Get something whole, and be patient about it."""

        def once() -> bytes:
            with self.get(url, parameters) as answer:
                return answer.content

        return self.patiently(once)

    def post(self, url: str, pairs: Pairs, file: Path | None = None) -> requests.Response:
        """Send parameters, with a table if there is one; return the answer, redirections not followed."""
        with _told_of(self):
            if file is None:
                answer = self._session.post(url, list(pairs), timeout=TIMEOUT_S, allow_redirects=False)
            else:
                with file.open("rb") as table:
                    files = {PART: (file.name, table)}
                    answer = self._session.post(
                        url, list(pairs), files=files, timeout=TIMEOUT_S, allow_redirects=False
                    )
            _check(answer)
            return answer

    def post_for_job(self, url: str, pairs: Pairs, file: Path | None = None) -> str:
        """Send what makes a job, and return its URL."""
        answer = self.post(url, pairs, file)
        location = answer.headers.get("Location")
        if answer.status_code not in (301, 302, 303, 307, 308) or not location:
            raise BatchFault(
                f"{shown(url)} made no job, but answered {answer.status_code}. Is that a SODA service?"
            )
        return urljoin(url, location)

    def patiently(self, do: Callable[[], T]) -> T:
        """Do something that may be done again, some more times as long as the service does not answer."""
        for pause_s in self._pauses_s:
            try:
                return do()
            except Unreachable as fault:
                time.sleep(max(pause_s, min(fault.retry_after_s, 60.0)) if pause_s else 0.0)
        return do()

    def _identifier(self) -> str:
        try:
            document = parse_xml(self.read_once(f"{self.url}/record"))
            found = document.findtext(".//identifier")
        except (NotThere, etree.XMLSyntaxError):
            found = None
        if not found:
            raise Refused(
                f"{self} does not tell its identifier. Name surveys by --id ivo://…, as it publishes them."
            )
        return found.strip()

    def read_once(self, url: str) -> bytes:
        """Get something whole, at the first attempt or not at all."""
        with self.get(url) as answer:
            return answer.content


def parse_xml(content: bytes) -> etree._Element:
    """Parse what a service sent, which may be anybody's."""
    return etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True))


def shown(url: str) -> str:
    """URL without the name and password that may stand in it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


@contextmanager
def _told_of(service: Service) -> Iterator[None]:
    """Turn what goes wrong with a connection into a sentence."""
    try:
        yield
    except requests.exceptions.InvalidURL as error:
        raise Refused(f"{service} is no URL") from error
    except requests.exceptions.SSLError as error:
        raise Unreachable(f"{service} has a certificate that is not valid here") from error
    except requests.Timeout as error:
        raise Unreachable(f"{service} does not answer in time") from error
    except requests.exceptions.ChunkedEncodingError as error:
        raise Unreachable(f"the connection to {service} broke off") from error
    except requests.ConnectionError as error:
        raise Unreachable(f"{service} does not answer; is that the URL, and does it run?") from error
    except requests.RequestException as error:
        raise Unreachable(f"{service} does not answer ({type(error).__name__})") from error


def _check(answer: requests.Response) -> None:
    """Raise what the service refuses."""
    status = answer.status_code
    if status < 400 or status == 416:
        return
    told = _told(answer)
    if status == 429 or status >= 500:
        after = answer.headers.get("Retry-After", "")
        raise Unreachable(told, float(after) if after.isdigit() else 0.0)
    raise NotThere(told) if status in (404, 410) else Refused(told)


def _told(answer: requests.Response) -> str:
    """Say what an error says: as our services do in JSON, others in text, and never in HTML."""
    plain = f"{shown(answer.url)} answered {answer.status_code} {answer.reason}"
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    text = answer.content[: 1 << 16].decode("utf-8", "replace")
    try:
        if kind == "application/json":
            faults = json.loads(text)["faults"]
            first, *others = [f"{fault['message']} {fault.get('fix') or ''}".rstrip() for fault in faults]
            return "\n".join([first, *(f"Also: {other}" for other in others)])
    except (ValueError, KeyError, TypeError):
        return plain
    if kind == "text/plain" and text.strip():
        return text.strip()[:_LONGEST_TOLD]
    return plain
