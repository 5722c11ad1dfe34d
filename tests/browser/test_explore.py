"""The explorer in a real browser: what is drawn, typed and pressed is one request, and its answer."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from queue import Queue
from urllib.parse import parse_qs, urlsplit

import pytest
from astropy.io import fits
from playwright.sync_api import Page, Route, expect
from pyvo.samp import SAMPHubServer, SAMPIntegratedClient, WebProfileDialog

from config import aladin
from config.hips import build_hips
from config.settings import load_settings
from config.terminal import declared_survey
from tests.browser.chromium import Axe, Look, Visitor, screenshot
from tests.browser.conftest import Visit
from tests.browser.stand import Stand

pytestmark = pytest.mark.browser

SPIRAL = "/explore?survey=demo&bands=r&at=150.1+2.2&size=60arcsec"
#: Pixels of the demo survey, degrees.
PIXEL = 0.3 / 3600


@pytest.fixture
def visitor(visit: Visit) -> Visitor:
    return visit()


def opened(visitor: Visitor, path: str = SPIRAL) -> Page:
    """Open the explorer, and wait until it has drawn."""
    visitor.open(path)
    expect(visitor.page.locator(".stencil .body")).to_have_attribute("d", re.compile("^M"))
    return visitor.page


def said(page: Page) -> dict[str, str]:
    """What the address says."""
    return {name: values[-1] for name, values in parse_qs(urlsplit(page.url).query).items()}


def settled(page: Page) -> None:
    """Wait until what is shown is of what is asked for; the first picture of a service takes longer."""
    expect(page.locator("#preview")).not_to_have_class(re.compile("stale"), timeout=30_000)


def middle_of(page: Page) -> tuple[float, float]:
    """The middle of the sky, where the region is."""
    box = page.locator(".stage").bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    page.mouse.move(*end)
    page.mouse.up()


def test_a_circle_is_drawn_seen_and_downloaded(visitor: Visitor, tmp_path: Path) -> None:
    page = opened(visitor)
    x, y = middle_of(page)
    page.get_by_role("button", name="Draw a circle (C)").click()
    drag(page, (x, y), (x + 60, y))
    page.wait_for_url(re.compile("shape=circle"))
    settled(page)
    state = said(page)
    ra, dec = map(float, state["at"].split())
    assert (ra, dec) == pytest.approx((150.1, 2.2), abs=3 * PIXEL)
    width = page.locator("#told li").first.inner_text()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    with fits.open(file) as hdus:
        assert width == f"{hdus[0].header['NAXIS1']} × {hdus[0].header['NAXIS2']} pixels"
        radius = float(state["radius"].removesuffix("arcsec"))
        assert hdus[0].header["NAXIS1"] == pytest.approx(2 * radius / 0.3, abs=2)
    assert visitor.take_complaints() == []


def test_numbers_and_drawing_follow_each_other(visitor: Visitor) -> None:
    page = opened(visitor)
    body = page.locator(".stencil .body")
    before = body.bounding_box()
    page.locator("#size").fill("30arcsec")
    page.wait_for_url(re.compile("size=30arcsec"))
    settled(page)
    after = body.bounding_box()
    assert before is not None
    assert after is not None
    assert after["width"] == pytest.approx(before["width"] / 2, rel=0.05)
    assert page.locator("[data-unit=px]").input_value() == "100"
    page.locator("[data-unit=px]").fill("200")
    page.wait_for_url(re.compile("size=60arcsec"))
    # A corner is pulled to half of it.
    x, y = middle_of(page)
    settled(page)
    corner = page.locator(".stencil .handle").first.bounding_box()
    assert corner is not None
    at = corner["x"] + corner["width"] / 2, corner["y"] + corner["height"] / 2
    drag(page, at, ((at[0] + x) / 2, (at[1] + y) / 2))
    page.wait_for_url(re.compile("size=(29|30)"))
    expect(page.locator("[data-unit=px]")).to_have_value(re.compile("^(9[7-9]|10[0-3])"))
    assert visitor.take_complaints() == []


def test_all_can_be_done_by_keys(visitor: Visitor) -> None:
    page = opened(visitor)
    sky = page.locator(".stencil")
    sky.focus()
    page.keyboard.press("c")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("shape=circle"))
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowUp")
    page.wait_for_url(re.compile(r"at=150\.100083\+2\.200833"))
    page.keyboard.press("+")
    page.wait_for_url(re.compile(r"radius=30\.3arcsec"))
    page.keyboard.press("p")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("shape=polygon"))
    corner = page.locator(".stencil .handle").first
    points = said(page)["points"].split()
    corner.focus()
    page.keyboard.press("ArrowUp")
    page.wait_for_url(lambda url: parse_qs(urlsplit(url).query)["points"][0].split()[:2] != points[:2])
    moved = said(page)["points"].split()
    assert float(moved[1]) - float(points[1]) == pytest.approx(PIXEL, abs=2e-6)
    assert moved[2:] == points[2:]
    page.keyboard.press("b")
    expect(sky).to_have_class(re.compile("drawing"))
    page.keyboard.press("Escape")
    expect(sky).not_to_have_class(re.compile("drawing"))
    assert visitor.take_complaints() == []


def test_a_polygon_is_drawn(visitor: Visitor) -> None:
    page = opened(visitor)
    x, y = middle_of(page)
    page.locator(".stencil").focus()
    page.keyboard.press("p")
    for dx, dy in ((-60, -40), (20, -70), (60, 40)):
        page.mouse.click(x + dx, y + dy)
    page.mouse.click(x - 60, y - 40)  # where it began
    page.wait_for_url(re.compile("shape=polygon"))
    settled(page)
    assert len(said(page)["points"].split()) == 6
    expect(page.locator("#told")).to_contain_text("pixels")
    assert visitor.take_complaints() == []


def test_what_is_too_large_is_red_says_why_and_becomes_a_job(visitor: Visitor) -> None:
    page = opened(visitor)
    page.locator("#size").fill("45arcmin")
    expect(page.locator(".stencil")).to_have_class(re.compile("refused"))
    expect(page.locator("#problem-size")).to_contain_text("the limit is")
    expect(page.locator(".stencil .why")).to_have_text("Too large to be sent at once")
    expect(page.get_by_role("link", name="Download")).to_be_hidden()
    screenshot(visitor, "explore too large")
    with page.expect_navigation(url=re.compile("/jobs/")):
        page.get_by_role("button", name="Submit as job").click()
    job = urlsplit(page.url).path.rpartition("/")[2]
    assert json.loads(page.evaluate("() => localStorage.getItem('fountain-jobs')")) == [job]


def test_what_is_wrong_is_said_beside_its_field(visitor: Visitor) -> None:
    page = opened(visitor)
    page.locator("#at").fill("10:30")
    expect(page.locator("#problem-at")).to_contain_text("AT is a right ascension and a declination")
    expect(page.locator("#at")).to_have_attribute("aria-invalid", "true")
    page.locator("#at").fill("200 40")
    expect(page.locator("#problem-at")).to_contain_text("has no data")
    expect(page.locator("label.none")).to_have_count(3)
    page.get_by_role("link", name="Go to a place with images").click()
    expect(page.locator("label.none")).to_have_count(0)
    assert visitor.take_complaints() == []


def test_only_the_last_of_many_changes_is_shown(visitor: Visitor) -> None:
    page = opened(visitor, SPIRAL.replace("bands=r", "bands=g,r,i"))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "WIDTH" not in request.url else None)
    slider = page.locator("[data-of=q]")
    slider.focus()
    for _ in range(40):
        page.keyboard.press("ArrowRight")
    value = page.locator("#q").input_value()
    page.wait_for_url(re.compile(f"q={re.escape(value)}(&|$)"))
    with page.expect_response(lambda answer: f"Q={value}" in answer.url and answer.ok):
        pass
    settled(page)
    assert len([url for url in asked if "/sync" in url]) < 20
    assert visitor.take_complaints() == []


def test_places_are_gathered_in_a_list(visitor: Visitor) -> None:
    page = opened(visitor)
    page.get_by_role("button", name="Add to list").click()
    page.locator("#at").fill("150.09 2.19")
    page.wait_for_url(re.compile(r"at=150\.09"))
    settled(page)
    page.get_by_role("button", name="Add to list").click()
    expect(page.locator("#said")).to_have_text("2 places in your list")
    rows = json.loads(page.evaluate("() => localStorage.getItem('fountain-basket')"))
    assert rows[1] == {
        "id": "2",
        "ra": 150.09,
        "dec": 2.19,
        "survey": "demo",
        "band": "r",
        "size": "60arcsec",
    }


def test_names_are_looked_up_once_the_user_allows_it(visitor: Visitor) -> None:
    page = opened(visitor)
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        # As Sesame writes it.
        found = "# spiral\n#=S=Simbad\n%J 150.10000 +02.20000 = 10 00 24.0 +02 12 00\n"
        route.fulfill(body=found, headers={"Access-Control-Allow-Origin": "*"})

    page.route("https://cds.unistra.fr/**", answer)
    page.locator("#at").fill("NGC 1")
    expect(page.locator("#problem-at")).to_be_visible()
    assert asked == []
    page.get_by_label("Look up names at the CDS").check()
    page.wait_for_url(re.compile(r"at=150\.1\+2\.2"))
    assert [urlsplit(url).query for url in asked] == ["NGC%201"]
    # It is known the next time.
    page.reload()
    expect(page.get_by_label("Look up names at the CDS")).to_be_checked()


class _Yes(WebProfileDialog):
    """Somebody who lets everybody in."""

    def __init__(self) -> None:
        super().__init__()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def show_dialog(self, samp_name: object, details: object, client: object, origin: object) -> None:
        self.consent()

    def _look(self) -> None:
        while not self._stop.wait(0.05):
            self.handle_queue()

    def end(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue[dict[str, str]]]:
    """A hub with a program that opens images; gives what it is told."""
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:file://{tmp_path / 'hub'}")
    told: Queue[dict[str, str]] = Queue()
    user = _Yes()
    running = SAMPHubServer(
        addr="127.0.0.1", lockfile=str(tmp_path / "hub"), web_profile=True, web_profile_dialog=user
    )
    running.start()
    program = SAMPIntegratedClient(name="program", addr="127.0.0.1")
    try:
        program.connect()

        def receive(*message: object) -> None:
            told.put(next(part for part in message if isinstance(part, dict) and "url" in part))

        program.bind_receive_notification("image.load.fits", receive)
        yield told
    finally:
        program.disconnect()
        running.stop()
        user.end()


def test_programs_are_told_by_samp_on_a_press_alone(visitor: Visitor, hub: Queue[dict[str, str]]) -> None:
    page = opened(visitor)
    assert hub.empty()
    page.get_by_role("button", name="Send by SAMP").click()
    expect(page.locator("#said")).to_have_text("Sent to 1 program.")
    told = hub.get(timeout=10)
    answer = page.request.get(told["url"])
    with fits.open(BytesIO(answer.body())) as hdus:
        assert hdus[0].header["NAXIS1"] == 200
    assert visitor.take_complaints() == []


def test_without_a_hub_it_is_said_what_to_do(visitor: Visitor) -> None:
    page = opened(visitor)
    page.get_by_role("button", name="Send by SAMP").click()
    expect(page.locator("#said")).to_contain_text("Start TOPCAT or Aladin")


@pytest.fixture(scope="module")
def viewer(service: Stand) -> Iterator[None]:
    """Aladin Lite in the service, and a HiPS for it.

    ``npm install --prefix FOLDER aladin-lite@3.8.2`` gets it; FOUNTAIN_TEST_ALADIN names the folder.
    """
    folder = os.environ.get("FOUNTAIN_TEST_ALADIN", str(Path.home() / ".cache" / "fountain-test-aladin"))
    package = Path(folder) / "node_modules" / "aladin-lite"
    if not package.is_dir():
        pytest.skip("there is no Aladin Lite to test with (FOUNTAIN_TEST_ALADIN names its folder)")
    settings = load_settings(service.environ)
    survey = declared_survey(settings, "demo")
    build_hips(settings, survey, "r", None, 9, "auto", 1, lambda done, of: None)
    kept = aladin.install(service.folder, package)
    yield
    (kept / aladin.SCRIPT).unlink()


def test_aladin_lite_shows_the_sky_of_this_service_alone(
    viewer: None, visit: Visit, service: Stand, axe: Axe
) -> None:
    visitor = visit(look=Look(theme="dark"))
    page = visitor.page
    with page.expect_response(lambda answer: answer.ok and "/hips/demo/r/Norder" in answer.url):
        visitor.open(SPIRAL)
    expect(page.locator(".aladin-view canvas").first).to_be_visible()
    expect(page.locator(".stencil .body")).to_have_attribute("d", re.compile("^M"))
    x, y = middle_of(page)
    page.locator(".stencil").focus()
    page.keyboard.press("c")
    drag(page, (x, y), (x + 60, y))
    page.wait_for_url(re.compile("shape=circle"))
    ra, dec = map(float, said(page)["at"].split())
    assert (ra, dec) == pytest.approx((150.1, 2.2), abs=5 * PIXEL)
    settled(page)
    screenshot(visitor, "explore with Aladin Lite")
    # Tiles that there are not are answered with 404, as the standard has it.
    assert [told for told in visitor.take_complaints() if "/hips/" not in told] == []
    assert axe.problems(page) == []


def test_without_webgl_there_are_pictures(viewer: None, visitor: Visitor) -> None:
    page = visitor.page
    page.add_init_script(
        "const get = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...more) {"
        "  return kind.startsWith('webgl') ? null : get.call(this, kind, ...more); };"
    )
    opened(visitor)
    expect(page.locator(".picture-view")).to_be_visible()
    assert visitor.take_complaints() == []
