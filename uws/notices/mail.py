"""Mail: messages, and the server that takes them."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime, parseaddr
from typing import Literal
from urllib.parse import unquote, urlsplit

from uws.notices.delivery import Refused, Unreachable
from uws.notices.event import Notice
from uws.notices.text import body, subject

#: For each answer of the server.
PATIENCE_S = 15.0
#: Headers of one word: folded, it would be encoded, and no mail program knew it for an address then.
_ONE_WORD = frozenset(("List-Unsubscribe", "Message-ID"))
_SCHEMES: dict[str, tuple[Literal["plain", "starttls", "tls"], int]] = {
    "smtp": ("plain", 25),
    "smtp+starttls": ("starttls", 587),
    "smtps": ("tls", 465),
}


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in."""

    host: str
    port: int
    security: Literal["plain", "starttls", "tls"]
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> MailServer:
        """Read ``smtp://``, ``smtp+starttls://`` or ``smtps://[user:password@]host[:port]``.

        Raises
        ------
        ValueError
            If it is none; or has a password that would be sent in the clear.
        """
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES or not parts.hostname or parts.path not in ("", "/") or parts.query:
            raise ValueError("no URL of a mail server")
        security, usual = _SCHEMES[parts.scheme]
        if parts.username and security == "plain":
            raise ValueError("a password is not sent without TLS")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return cls(parts.hostname, parts.port or usual, security, user, password)


class _Policy(EmailPolicy):
    """As mail is sent, and some headers whole."""

    def fold_binary(self, name: str, value: str) -> bytes:
        if name in _ONE_WORD:
            return f"{name}: {value}{self.linesep}".encode()
        return super().fold_binary(name, value)


def address_of(text: str) -> str:
    """Give a plain address, as ``ada@example.org``.

    Raises
    ------
    ValueError
        If it is none, or not of ASCII, or more than one.
    """
    if not text.isascii() or not text.isprintable() or parseaddr(text)[1] != text:
        raise ValueError("no address")
    try:
        address = Address(addr_spec=text)
    except (HeaderParseError, IndexError, ValueError) as fault:
        raise ValueError("no address") from fault
    if not address.domain or not address.username:
        raise ValueError("no address")
    return text


def compose(notice: Notice, address: str, sender: str, jobs_url: str, unsubscribe_url: str) -> EmailMessage:
    """Write a mail.

    Raises
    ------
    ValueError
        If the address is none.
    """
    message = EmailMessage(policy=_Policy(linesep="\r\n"))
    message["From"] = sender
    message["To"] = address_of(address)
    message["Subject"] = subject(notice)
    message["Date"] = format_datetime(datetime.fromtimestamp(notice.created_ms / 1000, UTC))
    # The same for all attempts: whoever gets two sees that they are one.
    message["Message-ID"] = f"<{notice.dedupe.replace(':', '.')}@{address_of(sender).rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message["List-Unsubscribe"] = f"<{unsubscribe_url}>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(body(notice, jobs_url, unsubscribe_url))
    return message


def send(server: MailServer, message: EmailMessage, handing: Callable[[], None]) -> None:
    """Hand a mail in.

    Parameters
    ----------
    server
        That takes it.
    message
        From one, to one.
    handing
        Called when all is said but the message itself: from then on it may arrive.

    Raises
    ------
    Unreachable
        If the server does not answer, or asks to try later; the message has not arrived.
    Refused
        If it does not take this message.
    OSError, smtplib.SMTPException
        If it fell silent after `handing`: nobody knows.
    """
    sender, address = str(message["From"]), str(message["To"])
    with _connected(server) as client:
        try:
            client.ehlo_or_helo_if_needed()
            _expect(client.mail(sender))
            _expect(client.rcpt(address))
        except (OSError, smtplib.SMTPServerDisconnected) as fault:
            raise Unreachable("the mail server fell silent") from fault
        handing()
        _expect(client.data(message.as_bytes()))
        with suppress(OSError, smtplib.SMTPException):  # it has the message
            client.quit()


def _expect(answer: tuple[int, bytes]) -> None:
    code, said = answer
    if not 200 <= code < 300:
        words = f"the mail server says {code} {said.decode('utf-8', 'replace')[:200]}"
        raise Unreachable(words) if 400 <= code < 500 else Refused(words)


@contextmanager
def _connected(server: MailServer) -> Iterator[smtplib.SMTP]:
    try:
        if server.security == "tls":
            context = ssl.create_default_context()
            client: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, timeout=PATIENCE_S, context=context
            )
        else:
            client = smtplib.SMTP(server.host, server.port, timeout=PATIENCE_S)
    except (OSError, smtplib.SMTPException) as fault:
        raise Unreachable(f"the mail server does not answer ({type(fault).__name__})") from fault
    try:
        try:
            if server.security == "starttls":
                client.starttls(context=ssl.create_default_context())
            if server.user:
                client.login(server.user, server.password)
        except (OSError, smtplib.SMTPException) as fault:
            # Not the server's words: they may hold the name, or more.
            raise Unreachable(f"the mail server does not let us in ({type(fault).__name__})") from fault
        yield client
    finally:
        client.close()
