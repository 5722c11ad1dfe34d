"""Every page there is. Whoever makes one adds its row; `test_pages.py` looks at all of them in every way."""

from __future__ import annotations

from dataclasses import dataclass

from tests.browser.stand import TARGETS, Stand


@dataclass(frozen=True, slots=True)
class Seen:
    """A page.

    Parameters
    ----------
    name
        Of its screenshots.
    path
        With the names of things of `Things` in braces.
    who
        Looks at it: somebody of `stand.PEOPLE`, or "" for somebody whom nobody knows.
    settled
        Selector of what is there once its scripts have done their work; "" is nothing to wait for.
    status
        Of the answer.
    scripts
        Whether it has any; without, it is looked at with scripts allowed alone.
    language
        That it is always in; "" is that of the reader.
    """

    name: str
    path: str
    who: str = ""
    settled: str = ""
    status: int = 200
    scripts: bool = False
    language: str = ""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Things:
    """What pages are about: jobs of bob.

    Parameters
    ----------
    list
        A list of targets that has ended, with rows that failed.
    single
        A cutout.
    wrong
        A job that has failed.
    """

    list: str
    single: str
    wrong: str

    @classmethod
    def made_at(cls, service: Stand) -> Things:
        """Make them."""
        circle = {"CIRCLE": "150.1 2.2 0.003"}
        made = cls(
            list=service.submit("bob", TARGETS, SIZE="30arcsec", RUNID="galaxies of the field"),
            single=service.submit("bob", **circle, RUNID="<b>spiral</b>"),
            wrong=service.submit("bob", **circle, BAND="1 2 3"),
        )
        assert service.wait(made.list, "bob") == "COMPLETED"
        assert service.wait(made.single, "bob") == "COMPLETED"
        assert service.wait(made.wrong, "bob") == "ERROR"
        made_token = {"title": "my laptop", "scopes": ["read", "submit"], "days": "30"}
        assert service.ask("POST", "/account/new-token", "bob", data=made_token).ok
        return made

    def path(self, seen: Seen) -> str:
        """Give where a page is."""
        return seen.path.format(list=self.list, single=self.single, wrong=self.wrong)


_ADMINISTRATION = (
    "", "queues", "jobs", "jobs/{list}", "failures", "accounts", "account?name=institute%3Abob", "quotas",
    "usage", "estimates", "retention", "announcements", "configuration", "log",
)  # fmt: skip

_GALAXY = "survey=demo&at=150.1+2.2&shape=circle&radius=30arcsec&format=png"
#: Of the explorer, with its preview and the sky.
_PICTURED = "body:has(#preview:not(.stale) img):has(.ground[src^='blob:'])"
#: Of pages that follow a stream.
_LIVE = '[data-state="live"]'
#: Of pictures that have come.
_DRAWN = ".grid .tile img:not([hidden])"

PAGES = (
    Seen("explore", "/explore", settled=_PICTURED, scripts=True),
    Seen("explore-galaxy", f"/explore?{_GALAXY}", settled=_PICTURED, scripts=True),
    Seen("explore-wrong", "/explore?survey=demo&at=here&size=90deg&shape=box&bands=z", scripts=True),
    Seen("landing", "/", scripts=True),
    Seen("landing-known", "/", "bob", scripts=True),
    Seen("help", "/help", scripts=True),
    Seen("status", "/status", settled=".parts"),
    Seen("error", "/cutout?survey=demo&ra=150.05&dec=92&size=90deg", status=400),
    Seen("not-found", "/async/none", status=404),
    Seen("login", "/login"),
    Seen("logout", "/logout"),
    Seen("account", "/account", "bob"),
    Seen("account-unknown", "/account"),
    Seen("batch", "/batch", scripts=True),
    Seen("batch-known", "/batch", "bob", scripts=True),
    Seen("batch-clone", "/batch?from={list}", "bob", settled="#estimate .sum", scripts=True),
    Seen("jobs", "/jobs", "bob", settled=_LIVE, scripts=True),
    Seen("jobs-wrong", "/jobs?after=yesterday", "bob", settled=_LIVE, status=400, scripts=True),
    Seen("jobs-none", "/jobs", "carol", settled=_LIVE, scripts=True),
    Seen("jobs-unknown", "/jobs", settled="#none:not([hidden])", scripts=True),
    Seen("job", "/jobs/{list}", "bob", settled=_DRAWN, scripts=True),
    Seen("job-table", "/jobs/{list}?status=failed#table", "bob", settled="#rows tbody tr", scripts=True),
    Seen("job-single", "/jobs/{single}#request", "bob", scripts=True),
    Seen("job-wrong", "/jobs/{wrong}", "bob", scripts=True),
    Seen("job-not-found", "/jobs/none", "bob", status=404),
    Seen("job-closed", "/jobs/{list}"),
    Seen("examples", "/examples", language="en"),
    *(
        Seen(f"admin-{path.partition('?')[0]}", f"/admin/{path}".rstrip("/"), "alice")
        for path in _ADMINISTRATION
    ),
)
