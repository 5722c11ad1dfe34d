"""A real browser that reaches this machine alone, and tells whatever goes wrong in it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    Response,
    WebError,
    expect,
    sync_playwright,
)

from tests.conftest import REPOSITORY

#: WebGL is made by the processor; no host but this one has an address.
ARGUMENTS = (
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)
OWN_HOSTS = ("localhost", "127.0.0.1")
#: Whatever is waited for comes at once, unless the machine has much else to do.
PATIENCE_MS = 60_000
#: Addresses of things that are in the page already.
_INSIDE = ("data", "blob", "about")
#: Begins what `_WATCH` says.
_VIOLATION = "content policy:"
_WATCH = f"""
document.addEventListener("securitypolicyviolation", (event) => {{
  const {{effectiveDirective, blockedURI, sourceFile, lineNumber}} = event;
  console.error("{_VIOLATION}", effectiveDirective, blockedURI, sourceFile, lineNumber);
}});
"""


@dataclass(frozen=True, slots=True)
class Look:
    """How somebody looks at pages.

    Parameters
    ----------
    language
        That the browser asks for.
    theme
        That the system has.
    width
        Of the window, px.
    scripts
        Whether scripts run.
    """

    language: Literal["en", "pt-BR"] = "en"
    theme: Literal["light", "dark"] = "light"
    width: int = 1400
    scripts: bool = True

    def __str__(self) -> str:
        return f"{self.language}-{self.theme}-{self.width}" + ("" if self.scripts else "-no-scripts")


@dataclass  # playwright keeps handlers as attributes of what they belong to
class Visitor:
    """A browser of its own: cookies, storage and one page, with whatever went wrong there.

    Parameters
    ----------
    page
        Where everything is looked at.
    base
        URL of the service.
    look
        How.
    complaints
        Errors of scripts, on the console and of the content policy; requests that failed, that were refused,
        or went elsewhere. Requests that ended because the page was left are none.
    """

    page: Page
    base: str
    look: Look
    complaints: list[str] = field(default_factory=list)

    @property
    def context(self) -> BrowserContext:
        return self.page.context

    def open(self, path: str) -> Response:
        """Go to a page of the service, and give the answer; its own status is nothing to complain of."""
        answer = self.page.goto(f"{self.base}{path}")
        assert answer is not None
        own = f"{answer.status}: GET {answer.url}"
        self.complaints[:] = [told for told in self.complaints if told != own]
        if self.look.scripts and self.page.locator("script#frame").count():
            self.page.locator("html[data-started]").wait_for(state="attached")
        return answer

    def sign_in(self, cookie: str) -> None:
        """Be whoever has this cookie from now on."""
        name, _, value = cookie.partition("=")
        told = {"name": name, "value": value, "url": self.base.replace("http:", "https:"), "path": "/"}
        # By `add_cookies` it would have a domain, which this kind must not have.
        answer = self.context.new_cdp_session(self.page).send("Network.setCookie", {**told, "secure": True})
        assert answer["success"]

    def take_complaints(self) -> list[str]:
        """Give what went wrong since this was asked last."""
        taken = list(self.complaints)
        self.complaints.clear()
        return taken

    def _watch(self) -> None:
        context = self.page.context
        if self.look.scripts:
            context.add_init_script(_WATCH)
        context.on("console", self._hear)
        context.on("weberror", self._fail)
        context.on("dialog", self._dismiss)
        context.on("request", self._see_request)
        context.on("requestfailed", self._see_failure)
        context.on("response", self._see_response)

    def _hear(self, message: ConsoleMessage) -> None:
        # An answer that is an error is told of by `_see_response`, and by which request it is.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.complaints.append(f"console: {message.text}")

    def _dismiss(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _fail(self, error: WebError) -> None:
        self.complaints.append(f"error of a script: {getattr(error.error, 'stack', '') or error.error}")

    def _see_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in _INSIDE and parts.hostname not in OWN_HOSTS:
            self.complaints.append(f"request to elsewhere: {request.url}")

    def _see_failure(self, request: Request) -> None:
        if request.failure not in ("net::ERR_ABORTED", "net::ERR_NAME_NOT_RESOLVED"):
            self.complaints.append(f"request failed: {request.url}: {request.failure}")

    def _see_response(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status}: {response.request.method} {response.url}")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the browser until the block ends."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no chromium to test with (a Debian package; CHROMIUM names another)")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visiting(
    browser: Browser, base: str, look: Look | None = None, cookie: str = "", **options: Any
) -> Iterator[Visitor]:
    """Give a visitor, whom nobody knows where there is no `cookie`; `options` are those of the context."""
    look = look or Look()
    context = browser.new_context(
        viewport={"width": look.width, "height": 900},
        locale=look.language,
        color_scheme=look.theme,
        reduced_motion="reduce",
        java_script_enabled=look.scripts,
        service_workers="block",
        accept_downloads=True,
        **options,
    )
    context.set_default_timeout(PATIENCE_MS)
    try:
        visitor = Visitor(context.new_page(), base, look)
        visitor._watch()
        if cookie:
            visitor.sign_in(cookie)
        yield visitor
    finally:
        context.close()


def screenshot(visitor: Visitor, name: str) -> Path:
    """Keep a picture of the whole page in the folder of FOUNTAIN_TEST_SCREENSHOTS, or in ``.screenshots``."""
    folder = Path(os.environ.get("FOUNTAIN_TEST_SCREENSHOTS", REPOSITORY / ".screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    safe = re.sub(r"[^\w.-]+", "-", name).strip("-") or "home"
    path = folder / f"{safe}.{visitor.look}.png"
    visitor.page.screenshot(path=path, full_page=True, animations="disabled")
    return path


@dataclass(frozen=True, slots=True)
class Axe:
    """The checker of accessibility, axe-core.

    ``npm install --prefix FOLDER axe-core@4`` gets it; FOUNTAIN_TEST_AXE names the folder.

    Parameters
    ----------
    source
        Its script. It is evaluated by the devtools protocol, for which there is no content policy.
    """

    source: str

    def problems(self, page: Page) -> list[str]:
        """Give what is serious or critical about a page."""
        page.evaluate(self.source)
        found: list[Mapping[str, Any]] = page.evaluate(_RUN_AXE)
        return [f"{one['impact']}: {one['help']} ({one['id']}): {', '.join(one['where'])}" for one in found]


_RUN_AXE = """
async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations
    .filter(({impact}) => impact === "serious" || impact === "critical")
    .map(({impact, help, id, nodes}) =>
      ({impact, help, id, where: nodes.slice(0, 5).map(({target, any}) =>
        `${target.join(" ")} [${any.map(({message}) => message).join("; ")}]`)}));
}
"""


def axe() -> Axe:
    """Find the checker."""
    folder = os.environ.get("FOUNTAIN_TEST_AXE", str(Path.home() / ".cache" / "fountain-test-axe"))
    script = Path(folder) / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file():
        pytest.skip("there is no axe-core to test with (FOUNTAIN_TEST_AXE names its folder)")
    return Axe(script.read_text(encoding="utf-8"))
