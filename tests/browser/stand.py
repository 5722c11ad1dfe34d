"""The service that is looked at: a process of its own with a small sky, people, and jobs they have made."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import requests
from astropy.io import fits

from config.demo import RECIPE, Recipe, make_demo
from config.settings import load_settings
from tests.support.cluster import until
from tests.support.server import Served, serve
from tests.support.service import did, index_all, write_surveys
from tests.support.slapd import ADMIN_PASSWORD, Slapd, declaration

TIMEOUT_S = 60
PATIENCE_S = 300
LANES = ("high", "low")
#: Comes to an end of attributes and elements alike, and would run.
HOSTILE = """'"></title></script><img src=x onerror=alert(1)>"""
DEMO = "ivo://example.org/fountain?demo"
#: The field of the demo survey, with its spiral galaxy, in tiles of a third of their width.
SMALL_SKY = replace(RECIPE, tile_px=600, groups=(replace(RECIPE.groups[0], ra_deg=150.09, dec_deg=2.19),))
#: Who signs in, with which password; the first one administers.
PEOPLE = {"alice": "alicepw", "bob": "bobpw", "carol": "carolpw"}
#: Two rows are wrong, and one is where there is nothing.
TARGETS = """id,ra,dec
spiral,150.1,2.2
centre,150.09,2.19
north,150.09,2.22
south,150.09,2.16
lost,10,80
wrong,150.09,92
worse,here,there
"""


@dataclass(frozen=True)
class Stand:
    """What runs.

    Parameters
    ----------
    served
        The process.
    environ
        Its settings.
    folder
        Its data.
    cookies
        Of the sessions of `PEOPLE`.
    """

    served: Served
    environ: Mapping[str, str]
    folder: Path
    cookies: Mapping[str, str]

    @property
    def base(self) -> str:
        """Its URL, by the name that browsers take for safe without TLS."""
        return self.served.url.replace("127.0.0.1", "localhost").rstrip("/")

    def ask(
        self, method: str, path: str, who: str = "", *, json_wanted: bool = False, **more: object
    ) -> requests.Response:
        """Send a request as the browser of somebody does, from a page of the service."""
        headers = {"Cookie": self.cookies[who], "Sec-Fetch-Site": "same-origin"} if who else {}
        if json_wanted:
            headers["Accept"] = "application/json"
        url = path if path.startswith("http") else f"{self.base}{path}"
        return requests.request(
            method,
            url,
            headers=headers,
            timeout=TIMEOUT_S,
            allow_redirects=False,
            **more,  # type: ignore[arg-type]
        )

    def submit(self, who: str = "", targets: str = "", **values: str) -> str:
        """Make a job and run it, of a table if there are `targets`; give its id."""
        values = {"ID": f"{DEMO}/r", "PHASE": "RUN", **values}
        files = {"t": ("targets.csv", targets)} if targets else None
        if targets:
            values["UPLOAD"] = "targets,param:t"
        answer = self.ask("POST", "/async", who, data=values, files=files)
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"].rpartition("/")[2]

    def wait(self, job_id: str, who: str = "") -> str:
        """Wait until a job has ended; give its phase."""

        def phase() -> str:
            return self.ask("GET", f"/async/{job_id}/phase", who).text

        until(lambda: phase() in ("COMPLETED", "ERROR", "ABORTED"), PATIENCE_S, self.served.log.read_text)
        return phase()

    @contextmanager
    def held(self, *lanes: str) -> Iterator[None]:
        """Have queues, both unless some are named, give nothing to workers until the block ends."""
        for lane in lanes or LANES:
            self._steer("pause", lane)
        try:
            yield
        finally:
            for lane in lanes or LANES:
                self._steer("resume", lane)

    def _steer(self, act: str, lane: str) -> None:
        done = self.ask("POST", "/admin/queues", "alice", data={"act": act, "of": lane, "reason": "a test"})
        assert done.ok, done.text

    @contextmanager
    def announced(self, text: str, level: str) -> Iterator[None]:
        """Have all be told something until the block ends, give or take what the servers remember."""
        told = {"act": "announce", "text": text, "level": level, "reason": "a test"}
        assert self.ask("POST", "/admin/announcements", "alice", data=told).ok
        shown = self.ask("GET", "/admin/announcements", "alice").json()
        try:
            yield
        finally:
            (number,) = (one["announcement_id"] for one in shown["announcements"] if one["text"] == text)
            done = {"act": "withdraw", "of": str(number), "reason": "a test"}
            assert self.ask("POST", "/admin/announcements", "alice", data=done).ok

    def restart_web(self) -> None:
        """End the web server, as an update does, and wait until the next one answers."""
        before = self._web_servers()
        os.kill(before[-1], signal.SIGTERM)
        until(lambda: len(self._web_servers()) > len(before), 60, self.served.log.read_text)

        def answers() -> bool:
            try:
                return self.ask("GET", "/healthz").ok
            except requests.ConnectionError:
                return False

        until(answers, 60, self.served.log.read_text)

    def _web_servers(self) -> list[int]:
        """Processes of all web servers that there were, the last one too."""
        lines = [
            json.loads(line) for line in self.served.log.read_text().splitlines() if line.startswith("{")
        ]
        return [line["pid"] for line in lines if line["event"] == "the web server started"]


@contextmanager
def stand(
    folder: Path, directory: Slapd, environ: Mapping[str, str] | None = None, sky: Recipe = SMALL_SKY
) -> Iterator[Stand]:
    """Run a service in an empty folder, with everybody signed in, until the block ends."""
    write_surveys(folder)
    fits.setval(folder / "tiny" / "a_g.fits", "OBJECT", value=HOSTILE)
    make_demo(folder / "demo", workers=1, recipe=sky)
    provider = folder / "institute.toml"
    provider.write_text(declaration(directory), encoding="utf-8")
    environ = {
        "FOUNTAIN_DATA__FOLDER": str(folder),
        "FOUNTAIN_SURVEYS__DECLARATIONS": str(folder / "declarations"),
        "FOUNTAIN_IDENTIFIERS__BASE": did("").rstrip("?"),
        "FOUNTAIN_PUBLISHER__NAME": "Observatório de Teste",
        "FOUNTAIN_PUBLISHER__EMAIL": "help@example.org",
        "FOUNTAIN_ACCOUNTS__PROVIDERS": str(provider),
        "FOUNTAIN_ACCOUNTS__ADMIN_GROUPS": "staff",
        "FOUNTAIN_ACCOUNTS__LOGIN_FAILURES": "1000",
        "FOUNTAIN_SURVEYS__DEMO_HIPS": "false",
        # What it learns of times on a machine that is busy with other tests refuses nothing.
        "FOUNTAIN_SYNC__MAX_SECONDS": "0",
        "SLAPD_PASSWORD": ADMIN_PASSWORD,
        **(environ or {}),
    }
    index_all(load_settings(environ))
    # A web server that comes after another has the same address.
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with serve(folder, environ, "--port", str(port)) as served:
        made = Stand(served, environ, folder, {})
        yield replace(made, cookies={name: _session(made, name) for name in PEOPLE})


def _session(made: Stand, name: str) -> str:
    """Sign somebody in; give the cookie."""
    answer = made.ask("POST", "/login/institute", data={"name": name, "password": PEOPLE[name]})
    assert answer.status_code == 303, answer.text
    return answer.headers["Set-Cookie"].partition(";")[0]
