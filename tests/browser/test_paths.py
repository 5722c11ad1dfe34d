"""The ways people go: from the sky to a file, from a table to an archive."""

from __future__ import annotations

import csv
import io
import random
import re
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from astropy.io import fits
from astropy.wcs import WCS
from playwright.sync_api import Download, Page, Route, expect

from tests.browser.chromium import Look, screenshot
from tests.browser.conftest import Visit
from tests.browser.stand import DEMO, Stand
from tests.support.cluster import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

ROWS, BAD = 200, 5
GALLERY = "#gallery .tile img"

STALE = re.compile(r"\bstale\b")


def table() -> str:
    """Targets in the field, of which every fortieth is wrong in a way of its own."""
    dice = random.Random(ROWS)
    wrong = ["here,there", "150.09,92", ",", "150.09,+2:70:00", "nan,2.19"]
    lines = []
    for row in range(ROWS):
        place = f"{dice.uniform(150.06, 150.12):.5f},{dice.uniform(2.16, 2.22):.5f}"
        lines.append(f"t{row},{wrong[row // 40] if row % 40 == 39 else place},{row / 10:.1f}")
    assert len(wrong) == BAD
    return "\n".join(["id,ra,dec,mag", *lines, ""])


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw from one point of the sky to another; points are shares of its width and height."""
    box = page.locator("svg.stencil").bounding_box()
    assert box is not None
    for number, (x, y) in enumerate((start, end)):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=8)
        if number == 0:
            page.mouse.down()
    page.mouse.up()


def content(download: Download) -> bytes:
    """What was downloaded."""
    return Path(download.path()).read_bytes()


def test_a_circle_is_drawn_seen_and_downloaded(visit: Visit) -> None:
    visitor = visit()
    visitor.open("/explore?survey=demo&at=150.1+2.2&shape=box&size=60arcsec&bands=r&format=fits")
    page = visitor.page
    page.locator(".ground[src]").wait_for()
    before = page.locator("#picture").get_attribute("src")
    page.get_by_role("button", name="Draw a circle").click()
    drag(page, (0.5, 0.5), (0.62, 0.5))
    expect(page.get_by_role("radio", name="Circle")).to_be_checked()
    expect(page.locator("#picture")).not_to_have_attribute("src", before or "")
    expect(page.locator("#preview")).not_to_have_class(STALE)
    # Numbers, drawing and address say the same.
    radius = page.get_by_label("Radius").input_value()
    assert radius.endswith("arcsec")
    assert f"radius={radius}" in page.url
    assert "shape=circle" in page.url
    page.get_by_label("Radius").fill("12arcsec")
    expect(page).to_have_url(re.compile("radius=12arcsec"))
    expect(page.locator("#preview")).not_to_have_class(STALE)
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download").click()
    with fits.open(io.BytesIO(content(downloading.value))) as hdus:
        image = hdus[0]
        assert image.header["NAXIS"] == 2
        assert abs(image.header["NAXIS1"] - 80) <= 2, "24 arcsec across, of 0.3 arcsec each"
        ra, dec = WCS(image.header).all_pix2world(image.header["NAXIS1"] / 2, image.header["NAXIS2"] / 2, 0)
        at = page.locator("#at").input_value().split()
        assert abs(float(at[0]) - ra) < 1e-4
        assert abs(float(at[1]) - dec) < 1e-4
    assert visitor.take_complaints() == []


def test_what_is_too_large_turns_red_and_says_why(visit: Visit) -> None:
    visitor = visit()
    visitor.open("/explore?survey=demo&at=150.1+2.2&shape=box&size=60arcsec&bands=r&format=fits")
    page = visitor.page
    page.locator("#size").fill("50arcmin")
    expect(page.locator("#problem-size")).to_contain_text("limit")
    expect(page.locator("svg.stencil")).to_have_class("stencil refused")
    expect(page.get_by_role("button", name="Submit as job")).to_be_visible()
    page.locator("#size").fill("1arcmin")
    expect(page.locator("#problem-size")).to_be_hidden()
    expect(page.locator("svg.stencil")).to_have_class("stencil")
    expect(page.get_by_role("button", name="Submit as job")).to_be_hidden()


def test_what_was_typed_before_the_scripts_were_there_counts(visit: Visit) -> None:
    visitor = visit()
    page, held = visitor.page, list[Route]()
    page.route("**/explore.*.js", lambda route: held.append(route))
    with page.expect_request("**/explore.*.js"):
        page.goto(f"{visitor.base}/explore?survey=demo&at=150.1+2.2&shape=box&size=60arcsec&bands=r")
    page.locator("#size").fill("50arcmin")
    held[0].continue_()
    expect(page.locator("#problem-size")).to_contain_text("limit")


def test_keys_draw_as_the_pointer_does(visit: Visit) -> None:
    visitor = visit()
    visitor.open("/explore?survey=demo&at=150.1+2.2&shape=circle&radius=30arcsec&bands=r&format=png")
    page = visitor.page
    page.locator(".ground[src]").wait_for()
    page.locator("svg.stencil").focus()
    for key in ("ArrowUp", "ArrowUp", "+"):
        page.keyboard.press(key)
    until(lambda: page.locator("#at").input_value() != "150.1 2.2", 60)
    ra, dec = map(float, page.locator("#at").input_value().split())
    assert (ra, round((dec - 2.2) * 3600 / 0.3)) == (150.1, 2)
    until(lambda: page.get_by_label("Radius").input_value() != "30arcsec", 60)


def test_a_table_is_dropped_estimated_submitted_and_its_archive_agrees(
    service: Stand, visit: Visit, tmp_path: Path
) -> None:
    visitor = visit("bob")
    page = visitor.page
    visitor.open("/batch")
    submit = page.get_by_role("button", name="Submit the job")
    expect(page.locator("#reason")).to_have_text("There are no targets yet.")
    drop(page, "targets.csv", table())
    expect(page.locator("#estimate .sum")).to_contain_text(f"{ROWS - BAD}")
    expect(page.locator("#estimate")).to_contain_text(f"{BAD} wrong")
    page.get_by_label("Size", exact=True).fill("60arcsec")
    page.locator('[name="RESPONSEFORMAT"][value="png"]').check(force=True)
    page.locator('.survey[data-survey="demo"] .toggle.wide').click()
    page.get_by_label("Label").fill("two hundred")
    expect(page.locator("#reason")).to_have_text("")
    screenshot(visitor, "batch-estimated")
    with service.held():
        submit.click()
        page.wait_for_url("**/jobs/*")
        expect(page.locator("#sub .phase")).to_contain_text("waiting")
        expect(page.get_by_role("heading", level=1)).to_have_text("two hundred")
    counts = page.locator("#count-ended")
    seen: list[int] = []

    def has_ended() -> bool:
        seen.append(int(counts.inner_text().replace(",", "")))
        return "done" in page.locator("#sub .phase").inner_text()

    until(has_ended, 300)
    assert any(0 < ended < seen[-1] for ended in seen), f"progress moves: {sorted(set(seen))}"
    assert seen == sorted(seen)
    page.locator(GALLERY).first.wait_for()
    screenshot(visitor, "job-of-a-table")
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download all").click()
    job = page.url.rpartition("/")[2].partition("#")[0]
    agree(service, job, content(downloading.value))
    assert visitor.take_complaints() == []


def drop(page: Page, name: str, text: str) -> None:
    """Drop a file, as from a folder."""
    transfer = page.evaluate_handle(
        """([name, text]) => {
          const given = new DataTransfer();
          given.items.add(new File([text], name, {type: "text/csv"}));
          return given;
        }""",
        [name, text],
    )
    page.locator("#drop").dispatch_event("drop", {"dataTransfer": transfer})


def agree(service: Stand, job: str, archive: bytes) -> None:
    """Assert that an archive holds what its manifest says, and that this is what the service says."""
    told = service.ask("GET", f"/async/{job}", "bob", json_wanted=True).json()
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        assert files.testzip() is None
        (name,) = (name for name in files.namelist() if name.endswith("manifest.csv"))
        root = name.removesuffix("manifest.csv")
        rows = list(csv.DictReader(io.StringIO(files.read(name).decode())))
        made = [row for row in rows if row["path"]]
        for row in made:
            assert sha256(files.read(root + row["path"])).hexdigest() == row["sha256"]
    assert len({row["id"] for row in rows}) == ROWS
    bad = {row["id"] for row in rows if row["status"] == "failed"}
    assert bad == {f"t{row}" for row in range(39, ROWS, 40)}
    assert len(made) == told["done"]
    assert (told["failed"], told["poison"]) == (BAD, 0)


def test_what_failed_is_tried_again_as_a_job_of_its_own(service: Stand, visit: Visit) -> None:
    """A file that is lost fails; found again, its row is made by another job, and nothing else is."""
    targets = "id,ra,dec\nnorth,0,90\nzero,0,-10\nbad,150,92\n"
    lost = service.folder / "tiny" / "pole_g.fits"
    lost.rename(lost.with_suffix(".away"))
    wanted = {"ID": f"{DEMO.rpartition('?')[0]}?tiny/g", "SIZE": "20arcsec", "RUNID": "again"}
    try:
        first = service.submit("carol", targets, **wanted)
        service.wait(first, "carol")
    finally:
        lost.with_suffix(".away").rename(lost)
    visitor = visit("carol", Look(width=360))
    page = visitor.page
    visitor.open(f"/jobs/{first}")
    page.get_by_role("button", name="Retry 1 failed row").click()
    page.wait_for_url(lambda url: "/jobs/" in url and first not in url)
    second = page.url.rpartition("/")[2]
    service.wait(second, "carol")
    expect(page.locator("#sub .phase")).to_contain_text("done")
    expect(page.locator("#count-done")).to_have_text("2")
    told = service.ask("GET", f"/async/{second}", "carol", json_wanted=True).json()
    assert (told["parent"], told["done"], told["failed"]) == (first, 2, 1)
    # What was refused before it was begun is refused again: it is not offered.
    visitor.open(f"/jobs/{second}")
    expect(page.get_by_role("button", name="Retry")).to_have_count(0)
    assert visitor.take_complaints() == []
