"""A mail server in this process: what it was given, and what it says to the next ones."""

from __future__ import annotations

import socket
import ssl
from asyncio import AbstractServer
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class MailBox:
    """What a mail server was given.

    Parameters
    ----------
    messages, lines
        As they are read, and as they came.
    at_recipient, at_data
        What it says to further messages, when it hears their recipient and when it has them; "" takes them.
    """

    messages: list[EmailMessage] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    logins: list[tuple[str, str, bool]] = field(default_factory=list)
    at_recipient: str = ""
    at_data: str = ""
    port: int = 0

    async def handle_RCPT(  # noqa: N802  # as the server calls it
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.at_recipient:
            return self.at_recipient
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        if self.at_data:
            return self.at_data
        self.lines += (envelope.original_content or b"").splitlines()
        message = message_from_bytes(envelope.content or b"", policy=default)  # type: ignore[arg-type]
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        return "250 OK"

    def login(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login.decode(), data.password.decode(), session.ssl is not None))
        return AuthResult(success=True)


class _Controller(Controller):
    """Listens on a socket that is bound already: of a free port nobody else may take meanwhile."""

    listener: socket.socket

    def _create_server(self) -> Coroutine[Any, Any, AbstractServer]:
        return self.loop.create_server(self._factory_invoker, sock=self.listener)


@contextmanager
def mail_server(context: ssl.SSLContext | None = None, *, offers_login: bool = False) -> Iterator[MailBox]:
    """Run a mail server on a free port of this host; with a context it offers STARTTLS."""
    box = MailBox()
    options: dict[str, Any] = {"tls_context": context, "require_starttls": context is not None}
    if offers_login:
        options |= {"authenticator": box.login, "auth_require_tls": False}
    listener = socket.create_server(("127.0.0.1", 0))
    box.port = listener.getsockname()[1]
    controller = _Controller(box, hostname="127.0.0.1", port=box.port, **options)
    controller.listener = listener
    controller.start()
    try:
        yield box
    finally:
        controller.stop()
