"""How the service is, found out for ``/status``: by what ``/availability`` looks at, and by a cutout."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError

from accounts.providers.kinds import LdapProvider, Provider
from config.metrics import JobWatch
from config.settings import Settings
from dali.caller import Caller
from dali.errors import ProtocolError, ServiceUnavailable
from dali.parameters import Parameters
from dali.xtypes import format_numbers
from portal.status import Found, Name, Piece
from portal.words import marked
from soda.heavier import Client
from soda.service import SyncService
from surveys.errors import SurveyError
from surveys.fits.naming import centre_deg
from surveys.identifiers import Identifiers
from surveys.index.catalog import Catalog
from uws.notices.mail import MailServer
from vosi.availability import Monitor

#: Name of the file of the data folder that keeps what was found.
FILE = "status.json"
#: A cutout that worked is not made again before that, nor is a server called that answered.
TESTED_S = 60.0
CONNECT_S = 1.0
TEST_SIZE = "32px"
_PORTS = {"ldap": 389, "ldaps": 636}
#: Sees to it that each survey can be tested; what it finds out is told without a name.
_TESTER = Caller(name="local:status", is_admin=True)


def make_look(
    settings: Settings,
    monitor: Monitor,
    watch: JobWatch,
    sync: SyncService,
    catalog: Catalog,
    identifiers: Identifiers,
    providers: Sequence[Provider],
) -> Callable[[], Mapping[Name, Found]]:
    """Make what finds out how each part of the service is."""
    cutout = _Rarely(_Cutout(sync, catalog, identifiers).look)
    directories = _Rarely(lambda: _directories(providers))
    mail = _Rarely(lambda: _mail(settings.notices.smtp_url))

    def look() -> Mapping[Name, Found]:
        found = monitor.look()
        faults, has_database = found.faults, "database" not in found.faults
        away = Found("down", faults.get("database", ""))
        is_leaving = not found.parts
        leaving = " ".join(found.notes) if is_leaving else ""
        return {
            "web": Found("limited" if is_leaving else "ok", leaving),
            "sync": cutout() if has_database else away,
            "jobs": _jobs(faults, watch) if has_database else away,
            "storage": _storage(found.parts, faults),
            "sign-in": directories() if has_database or not providers else away,
            "mail": mail(),
        }

    return look


class _Rarely:
    """Looks seldom while all is well; what does not work is looked at each time."""

    def __init__(self, look: Callable[[], Found]) -> None:
        self._look = look
        self._found = Found("off")
        self._until = float("-inf")

    def __call__(self) -> Found:
        if time.monotonic() >= self._until or self._found.state not in ("ok", "off"):
            self._found = self._look()
            self._until = time.monotonic() + TESTED_S
        return self._found


class _Cutout:
    """Makes a small cutout of a survey, as anybody may."""

    def __init__(self, sync: SyncService, catalog: Catalog, identifiers: Identifiers) -> None:
        self._sync = sync
        self._catalog = catalog
        self._identifiers = identifiers

    def look(self) -> Found:
        try:
            asked_for = self._example()
            if asked_for is None:
                return Found("off", marked("no survey has images yet"))
            began = time.perf_counter()
            sent = self._sync.cut(self._sync.ask(Parameters(asked_for), Client(caller=_TESTER)))
            size = sum(len(chunk) for chunk in sent.chunks or ())
            milliseconds = max(1, round(1000 * (time.perf_counter() - began)))
        except ServiceUnavailable:
            return Found("limited", marked("there is much to do: cutouts are told to come later"))
        except (ProtocolError, SurveyError, SQLAlchemyError, OSError):
            return Found("down", marked("a small cutout could not be made"))
        words = marked("a cutout of 32 × 32 pixels ({size} bytes) took {time} ms")
        if "SIZE" not in asked_for:
            words = marked("the stamps of an alert ({size} bytes) took {time} ms")
        return Found.saying("ok", (words, {"size": size, "time": milliseconds}))

    def _example(self) -> dict[str, tuple[str, ...]] | None:
        """Say what to cut: from the middle of an image, rather of a public survey; None if there is none.

        Where there are alerts alone, it is the stamps of one.
        """
        held = (survey for survey in self._catalog.surveys if self._catalog.generation(survey.name))
        for survey in sorted(held, key=lambda survey: (survey.lake is not None, not survey.is_public)):
            if survey.lake is not None:
                if (alert := self._catalog.alerts.sample(survey)) is not None:
                    return {"ID": (self._identifiers.did(alert.dataset),)}
                continue
            facts = self._catalog.describe(survey.name)
            facts = facts if facts.example is not None else self._catalog.describe(facts.sample)
            if facts.example is None or facts.example.stencil is None:
                continue
            dataset = facts.dataset if facts.image is not None else f"{survey.name}/{facts.filters[0]}"
            centre = format_numbers(*centre_deg(facts.example.stencil))
            return {"ID": (self._identifiers.did(dataset),), "CENTER": (centre,), "SIZE": (TEST_SIZE,)}
        return None


def _jobs(faults: Mapping[str, str], watch: JobWatch) -> Found:
    lanes = [what for what in faults if what.startswith("workers of ")]
    told = [sentence for what, sentence in faults.items() if what in (*lanes, "pauses", "results", "Redis")]
    if not told:
        return Found.saying("ok", *_figures(watch))
    is_down = "results" in faults or len(lanes) > 1
    return Found("down" if is_down else "limited", "; ".join(told))


def _figures(watch: JobWatch) -> Iterator[Piece]:
    if (figures := watch.look()) is None:
        return
    words = marked("{lane}: workers {workers}, tasks in hand {running}, waiting {waiting}")
    for lane, state in figures.lanes.items():
        workers = figures.workers[lane]
        yield words, {"lane": lane, "workers": workers, "running": state.running, "waiting": state.queued}


def _storage(parts: Mapping[str, bool], faults: Mapping[str, str]) -> Found:
    # Which surveys have files is not known without the database.
    of_surveys = () if "database" in faults else (what for what in parts if what.startswith("survey "))
    looked_at = [*of_surveys, *(what for what in parts if what == "results")]
    told = [faults[what] for what in looked_at if what in faults]
    if not told:
        return Found("ok")
    return Found("down" if len(told) == len(looked_at) else "limited", "; ".join(told))


def _directories(providers: Sequence[Provider]) -> Found:
    """See whether directories can be reached; other providers are asked when somebody comes from them."""
    if not providers:
        return Found("off", marked("nobody needs an account here"))
    directories = [one for one in providers if isinstance(one, LdapProvider)]
    away = [one.title for one in directories if not any(_is_there(url) for url in one.urls)]
    if not away:
        return Found("ok")
    told = marked("{names} cannot be reached"), {"names": ", ".join(away)}
    return Found.saying("down" if len(away) == len(providers) else "limited", told)


def _is_there(url: str) -> bool:
    parts = urlsplit(url)
    return _answers(parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 389))


def _mail(smtp_url: str) -> Found:
    if not smtp_url:
        return Found("off", marked("no mail is sent"))
    server = MailServer.parse(smtp_url)
    if _answers(server.host, server.port):
        return Found("ok")
    return Found("down", marked("the mail server cannot be reached: mail is sent later"))


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=CONNECT_S):
            return True
    except OSError:
        return False
