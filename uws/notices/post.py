"""The post office: finds what is to be told, and tells it, again and again until it is taken."""

from __future__ import annotations

import logging
import smtplib
from collections.abc import Callable, Sequence

from uws.notices.delivery import Refused, Unreachable
from uws.notices.desk import Contacts
from uws.notices.event import Notice
from uws.notices.mail import MailServer, compose, send
from uws.notices.settings import NoticeSettings
from uws.notices.webhook import Webhooks
from uws.store.notices import NoticeStore

#: Before the second attempt; twice that before the third, and so on up to the longest pause.
FIRST_PAUSE_S = 30.0
LONGEST_PAUSE_S = 3600.0
#: Whoever takes a notice has it for so long.
LEASE_S = 180.0
#: What was told, or given up, is forgotten after this time, and when its job is.
KEPT_S = 7 * 86_400.0
#: So many are told before others have their turn.
AT_ONCE = 50

_log = logging.getLogger(__name__)


class PostOffice:
    """Tells what became of jobs.

    Parameters
    ----------
    store
        Knows what is to be told.
    contacts
        Know where mail goes.
    settings
        What is sent, and how.
    jobs_url
        Public URL of the job resource.
    unsubscribe_url
        Gives the address at which the mail to an account is stopped.
    """

    def __init__(
        self,
        store: NoticeStore,
        contacts: Contacts,
        settings: NoticeSettings,
        jobs_url: str,
        unsubscribe_url: Callable[[str], str],
    ) -> None:
        self._store = store
        self._contacts = contacts
        self._settings = settings
        self._jobs_url = jobs_url
        self._unsubscribe_url = unsubscribe_url
        self._server = MailServer.parse(settings.smtp_url) if settings.smtp_url else None
        self._webhooks = Webhooks(settings.webhook_hosts, settings.webhook_secret)

    def steps(self) -> Sequence[tuple[str, Callable[[], object]]]:
        """List what the reconciler does again and again."""
        return (
            ("collecting notices", self.collect),
            ("sending notices", self.deliver),
            ("forgetting notices", self.forget),
        )

    def collect(self) -> None:
        """Write down what is to be told of jobs by now."""
        self._store.collect(self._settings.expiring_s)

    def deliver(self) -> None:
        """Tell what is to be told."""
        for _ in range(AT_ONCE):
            if (notice := self._store.take(LEASE_S)) is None:
                return
            self._deliver(notice)

    def forget(self) -> None:
        """Forget what was told long ago."""
        self._store.forget(KEPT_S)

    def _deliver(self, notice: Notice) -> None:
        try:
            if notice.is_handed:
                raise Refused("whoever handed it over was lost: it may have arrived")
            if notice.channel == "mail":
                self._mail(notice)
            else:
                self._webhooks.post(notice, self._jobs_url, self._store.now_ms() // 1000)
        except Refused as fault:
            self._give_up(notice, str(fault))
        except Unreachable as fault:
            pause_s = min(FIRST_PAUSE_S * 2.0**notice.attempts, LONGEST_PAUSE_S)
            if not self._store.again(notice, pause_s, self._settings.retry_s, str(fault)):
                self._give_up(notice, str(fault))
        else:
            self._store.sent(notice)

    def _mail(self, notice: Notice) -> None:
        address = self._contacts.address(notice.owner)
        if self._server is None or not address:
            raise Refused("no mail is sent, or wanted")
        unsubscribe_url = self._unsubscribe_url(notice.owner)
        try:
            message = compose(notice, address, self._settings.sender, self._jobs_url, unsubscribe_url)
        except ValueError as fault:
            raise Refused("the account has no address that mail can go to") from fault
        try:
            send(self._server, message, lambda: self._store.handing(notice))
        except (OSError, smtplib.SMTPException) as fault:
            # It may have been taken; a second one would be one too many.
            raise Refused(f"the mail server fell silent at the end ({type(fault).__name__})") from fault

    def _give_up(self, notice: Notice, reason: str) -> None:
        _log.warning(
            "a notice is given up: %s", reason, extra={"job_id": notice.job_id, "notice": notice.event}
        )
        self._store.give_up(notice, reason)
