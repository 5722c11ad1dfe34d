"""How fast clients may go on, and what is counted of the cutouts that are made at once.

A request is refused before anything looks at it closely; what its cutout was is counted when it has been
sent. Jobs are another matter: they are counted by the ledger, and whoever looks at them is never refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from accounts.quota.buckets import Buckets, Rate
from accounts.quota.kinds import Kind
from config.logs import Answered
from config.quotas import QuotaParts
from config.settings import Settings
from dali.addresses import network_of, within
from dali.caller import Caller, caller_in
from dali.errors import ProtocolError, TooManyRequests
from soda.broker.call import PATH as BROKER
from soda.service import SENT, Sent

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Key of the WSGI environment: why a request is refused, which the application says.
REFUSED = "fountain.refused"
#: What is asked for by these counts, by whatever method; of jobs it is their making alone.
CUTOUTS = frozenset(("/sync", "/cutout", BROKER))
METERED = CUTOUTS | {"/preview", "/estimate", "/query", "/links", "/explore", "/surveys", "/position"}
#: What begins a login, which is kept for a while.
LOGINS = "/login/"
JOBS = "/async"
PIXELS = 1 << 20
#: File of the data folder that the processes of a service share.
RATES = "rates"


class Metering:
    """WSGI middleware.

    Parameters
    ----------
    app
        What it wraps.
    quotas
        Who may have how much.
    buckets
        How fast each client was until now.
    unmetered
        Addresses or networks whose requests are not limited as long as nobody is known by them.
    pixels
        A cutout costs 1 more for each so many that are read or made.
    """

    def __init__(
        self,
        app: WSGIApplication,
        quotas: QuotaParts,
        buckets: Buckets,
        unmetered: Collection[str] = (),
        pixels: int = PIXELS,
    ) -> None:
        self._app = app
        self._quotas = quotas
        self._buckets = buckets
        # Clients have few rates between them.
        self._rate = lru_cache(maxsize=64)(partial(Rate, burst_s=quotas.burst_s))
        self._pixels = pixels
        self._client_of = clients(unmetered)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        path = environ.get("PATH_INFO", "").rstrip("/")
        method = environ["REQUEST_METHOD"]
        is_metered = path in METERED or path.startswith(LOGINS)
        if (is_metered and method != "OPTIONS") or (path == JOBS and method == "POST"):
            try:
                self._admit(environ, path)
            except ProtocolError as refusal:
                environ[REFUSED] = refusal
        return self._app(environ, start_response)

    def answered(self, answered: Answered) -> None:
        """Count what a request came to."""
        sent: Sent | None = answered.environ.get(SENT)
        if sent is None or sent.chunks is None:
            return
        plan, caller = sent.asked.plan, caller_in(answered.environ)
        if more := max(plan.cost.pixels_in, plan.cost.pixels_out) // self._pixels:
            client, rate = self._client(answered.environ, caller)
            if rate is not None:
                self._buckets.charge(client, rate, more)
        # What a worker has made is counted with its job.
        if sent.made_here:
            survey = plan.request.dataset.partition("/")[0]
            # Threads of their own put mosaics together.
            work_s = max(answered.cpu_s, sent.turns.seconds)
            images = len(plan.datasets)
            self._quotas.meter.count(caller, survey, images, answered.sent, work_s, answered.seconds)

    def _admit(self, environ: WSGIEnvironment, path: str) -> None:
        caller = caller_in(environ)
        client, rate = self._client(environ, caller)
        if rate is not None and (wait_s := self._buckets.take(client, rate)):
            raise TooManyRequests(
                f"{_whose(caller)} may send {rate.per_minute} requests a minute; these are more",
                f"Go on after {math.ceil(wait_s)} s; a job makes many cutouts by one request, of /async.",
                retry_after_s=math.ceil(wait_s),
            )
        if path in CUTOUTS:
            self._quotas.meter.refuse(caller)

    def _client(self, environ: Mapping[str, Any], caller: Caller) -> tuple[str, Rate | None]:
        """Tell whose requests are counted together, and how fast they may be; None is as fast as can be."""
        client = self._client_of(environ)
        if not client:
            return "", None
        per_minute = self._quotas.limits.one(caller, Kind.RATE)
        return client, self._rate(per_minute) if per_minute else None


def clients(unmetered: Iterable[str]) -> Callable[[Mapping[str, Any]], str]:
    """Give what names whose requests are counted together; "" where they are not: those of some addresses."""
    is_unmetered = within(unmetered)

    def client_of(environ: Mapping[str, Any]) -> str:
        if name := caller_in(environ).name:
            return name
        address = environ.get("REMOTE_ADDR", "")
        return "" if is_unmetered(address) else network_of(address)

    return client_of


def make_metering(settings: Settings, app: WSGIApplication, quotas: QuotaParts) -> Metering:
    """Make the middleware; rates are shared with the other processes of this service, if that can be."""
    try:
        buckets = Buckets(settings.data.path / RATES)
    except OSError:
        buckets = Buckets()
    return Metering(app, quotas, buckets, settings.quotas.unmetered)


def raise_refusal(environ: Callable[[], WSGIEnvironment]) -> Callable[[], None]:
    """Give what the application calls before it answers: it says why a request is refused."""

    def look() -> None:
        refusal: ProtocolError | None = environ().get(REFUSED)
        if refusal is not None:
            raise refusal

    return look


def _whose(caller: Caller) -> str:
    return "your account" if caller.name else "your address"
