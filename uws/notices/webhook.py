"""Webhooks: events as JSON, signed, to hosts that the settings list.

The signature is the HMAC-SHA256 of the time in ``X-Fountain-Timestamp``, a point, and the body: so nobody can
send an old one anew.
"""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from http.client import HTTPException

from uws.notices.delivery import Refused, Unreachable
from uws.notices.event import Notice
from uws.sites import NotListed, NotPublic, asked, connected, target

#: For the whole of it.
LONGEST_S = 20.0
#: The receiver says by this that it wants no more.
_GONE = 410


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Sends webhooks.

    Parameters
    ----------
    hosts
        That may be told.
    secret
        Known to them and to this service.
    """

    hosts: Collection[str]
    secret: str = field(repr=False)

    def post(self, notice: Notice, jobs_url: str, now_s: int) -> None:
        """Send a notice.

        Raises
        ------
        Unreachable
            If it was not taken now.
        Refused
            If it may not be sent there, or the receiver wants no more.
        """
        body = content(notice, jobs_url)
        headers = signed_headers(notice, body, self.secret, now_s)
        try:
            site = target(notice.url, self.hosts)
            with (
                connected(site, self.hosts, time.monotonic() + LONGEST_S) as raw,
                asked(notice.url, site, raw, body=body, headers=headers) as response,
            ):
                status = response.status
        except (ValueError, NotListed, NotPublic) as fault:
            raise Refused("the host is not one that may be told") from fault
        except (OSError, HTTPException) as fault:
            raise Unreachable(f"the host does not answer ({type(fault).__name__})") from fault
        if status == _GONE:
            raise Refused("the host wants no more (410)")
        if not 200 <= status < 300:  # a redirection is none of its answers: where to, is not for it to say
            raise Unreachable(f"the host answers {status}")


def content(notice: Notice, jobs_url: str) -> bytes:
    """Give the body."""
    told = {
        "id": notice.dedupe,
        "event": notice.event,
        "job_id": notice.job_id,
        "url": f"{jobs_url}/{notice.job_id}",
        **notice.facts.to_json(),
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def signed_headers(notice: Notice, body: bytes, secret: str, now_s: int) -> Mapping[str, str]:
    """Give the headers, with the signature."""
    signature = hmac.digest(secret.encode(), f"{now_s}.".encode() + body, sha256).hex()
    return {
        "Content-Type": "application/json",
        "X-Fountain-Event": notice.event,
        "X-Fountain-Delivery": notice.dedupe,
        "X-Fountain-Timestamp": str(now_s),
        "X-Fountain-Signature": f"sha256={signature}",
    }
