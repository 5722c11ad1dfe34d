"""Marks lie where the sky has what they say, and can be read."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from surveys.errors import RequestFault
from surveys.mosaic.grid import OutputGrid
from surveys.picture.colours import NO_DATA
from surveys.picture.graticule import graticule
from surveys.picture.marks import angle_text, bar_length_arcsec, draw_marks
from tests.support.headers import wcs_text
from tests.surveys.picture.sky import PNG

TAN = ("RA---TAN", "DEC--TAN")


def place(width: int = 300, height: int = 240, scale: float = 1e-4, **cards: Any) -> OutputGrid:
    text = wcs_text(TAN, (150.0, 2.0), (width, height), **{"CDELT1": -scale, "CDELT2": scale} | cards)
    return OutputGrid.of_text(text, width, height)


def drawn(*marks: str, label: str = "", at: OutputGrid | None = None, level: int = 20) -> NDArray[Any]:
    """Which pixels marks change, and by how much (of their brightest colour)."""
    at = place() if at is None else at
    before = np.full((at.height, at.width, 3), level, np.uint8)
    after = draw_marks(before, at, replace(PNG, draw=marks, label=label))
    return after.astype(int).max(axis=2) - level


@pytest.mark.parametrize(
    ("width_arcsec", "length"),
    [(100.0, 20.0), (75.0, 20.0), (74.0, 10.0), (3000.0, 600.0), (0.9, 0.2), (40000.0, 7200.0)],
)
def test_scale_bars_are_round_and_fit(width_arcsec: float, length: float) -> None:
    assert bar_length_arcsec(width_arcsec) == pytest.approx(length)


@pytest.mark.parametrize(
    ("arcsec", "text"),
    [(0.05, "0.05″"), (30, "30″"), (60, "1′"), (1200, "20′"), (3600, "1°"), (36000, "10°")],
)
def test_angles_read_as_astronomers_write_them(arcsec: float, text: str) -> None:
    assert angle_text(arcsec) == text


def test_a_scale_bar_is_as_long_as_it_says() -> None:
    at = place(scale=0.25 / 3600)  # 75 arcsec wide: 20 arcsec are 80 px
    rows = drawn("scalebar", at=at) > 150
    longest = max(np.flatnonzero(row)[-1] - np.flatnonzero(row)[0] + 1 for row in rows if row.any())
    assert longest == pytest.approx(80, abs=3)


@pytest.mark.parametrize("angle_deg", [0.0, 40.0, 130.0, 250.0])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_compass_points_north_and_east(angle_deg: float, mirrored: bool) -> None:
    turn, scale, sign = np.radians(angle_deg), 1e-4, 1.0 if mirrored else -1.0
    at = place(
        CD1_1=sign * scale * np.cos(turn),
        CD1_2=-scale * np.sin(turn),
        CD2_1=sign * scale * np.sin(turn),
        CD2_2=scale * np.cos(turn),
    )
    ink = drawn("compass", at=at) > 180
    y, x = np.nonzero(ink)
    assert (y > 0.5 * at.height).all()
    assert (x > 0.5 * at.width).all()
    # Both arrows start where their lines meet: ink lies along both directions from there, not beyond.
    north = _on_sheet(at, 0.0, 1.0)
    east = _on_sheet(at, 1.0, 0.0)
    start = np.array([x.mean(), y.mean()]) - (north + east) * 8
    found = []
    for direction in (north, east):
        along = [start + direction * t for t in np.linspace(4, 20, 9)]
        found.append(np.mean([ink[_near(ink, point)].any() for point in along]))
    assert min(found) > 0.5


def _near(ink: NDArray[np.bool_], point: NDArray[np.float64]) -> tuple[slice, slice]:
    x, y = (round(float(value)) for value in point)
    return slice(max(y - 6, 0), y + 7), slice(max(x - 6, 0), x + 7)


def _on_sheet(at: OutputGrid, east: float, north: float) -> NDArray[np.float64]:
    x, y = (at.width - 1) / 2, (at.height - 1) / 2
    step = 1e-7
    ra, dec = np.radians(150.0), np.radians(2.0)
    here = at.to_sky(x, y).reshape(3)
    ra, dec = np.arctan2(here[1], here[0]), np.arcsin(here[2])
    to_east = np.array([-np.sin(ra), np.cos(ra), 0])
    to_north = np.array([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)])
    px, py = at.to_pixel((here + step * (east * to_east + north * to_north))[None])
    direction = np.array([px[0] - x, y - py[0]])
    return np.asarray(direction / np.linalg.norm(direction))


@pytest.mark.parametrize("size", [(300, 240), (301, 241), (64, 48)])
def test_a_centre_mark_is_symmetric_and_leaves_the_centre_free(size: tuple[int, int]) -> None:
    ink = drawn("center", at=place(*size))
    assert (ink == ink[:, ::-1]).mean() > 0.96
    assert (ink == ink[::-1]).mean() > 0.96
    assert ink.max() > 150
    middle = ink[size[1] // 2 - 1 : size[1] // 2 + 1, size[0] // 2 - 1 : size[0] // 2 + 1]
    assert (middle == 0).all()


def test_lines_of_the_grid_have_the_coordinates_of_their_labels() -> None:
    at = place(scale=2e-4)
    lines = graticule(at, 12)
    by_text = {line.text: line for line in lines}
    assert {"+02°00′", "10h00m00s"} & set(by_text) or "+02°00′00″" in by_text
    for text, line in by_text.items():
        for sheet_x, sheet_y in line.runs[0][::40]:
            sky = at.to_sky(sheet_x - 0.5, at.height - 0.5 - sheet_y).reshape(3)
            ra, dec = np.degrees(np.arctan2(sky[1], sky[0])) % 360, np.degrees(np.arcsin(sky[2]))
            assert (dec if "°" in text else ra / 15) == pytest.approx(_value(text), abs=1e-9)


def _value(text: str) -> float:
    numbers = [float(part) for part in re.findall(r"[0-9.]+", text)]
    return sum(number / 60**power for power, number in enumerate(numbers))


@pytest.mark.parametrize(
    ("ra", "dec"), [(0.0, 0.0), (0.0, 90.0), (40.0, -90.0), (359.999, 60.0), (180.0, 89.99)]
)
@pytest.mark.parametrize("scale", [1e-6, 1e-4, 1e-2])
def test_there_is_a_grid_everywhere(ra: float, dec: float, scale: float) -> None:
    text = wcs_text(TAN, (ra, dec), (200, 160), CDELT1=-scale, CDELT2=scale)
    lines = graticule(OutputGrid.of_text(text, 200, 160), 12)
    assert 4 <= len(lines) <= 40
    assert len({line.text for line in lines}) == len(lines)
    for line in lines:
        points = np.array([point for run in line.runs for point in run])
        assert points.min() >= -1
        assert (points.max(axis=0) <= (201, 161)).all()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_marks_are_seen_on_any_sky(level: int) -> None:
    at = place()
    before = np.full((at.height, at.width, 3), level, np.uint8)
    options = replace(PNG, draw=("scalebar", "compass", "center", "grid"), label="NGC 1300, Σ λ é")
    after = draw_marks(before, at, options).astype(int)
    contrast = np.abs(after - level).max(axis=2)
    assert (contrast > 90).sum() > 300


def test_a_long_label_is_broken_and_stays_inside() -> None:
    ink = drawn(label="a very long label that does not fit into one line of this picture " * 2)
    rows = np.flatnonzero((ink > 100).any(axis=1))
    assert rows[-1] > 40  # several lines
    unbroken = drawn(label="x" * 120)
    assert (unbroken[:, -3:] == 0).all()


def test_marks_grow_with_the_picture() -> None:
    heights = []
    for size in (200, 800):
        rows = np.flatnonzero((drawn(label="H", at=place(size, size)) > 100).any(axis=1))
        heights.append(rows[-1] - rows[0])
    assert 1.4 < heights[1] / heights[0] < 3.0


def test_grey_becomes_colour_and_no_drawn_pixel_looks_like_no_data() -> None:
    before = np.full((60, 80, 1), NO_DATA[0] + 1, np.uint8)
    before[:20] = NO_DATA[0]
    at = place(80, 60)
    after = draw_marks(before, at, replace(PNG, draw=("grid", "center")))
    assert after.shape == (60, 80, 3)
    drawn_on = (after != np.repeat(before, 3, axis=2)).any(axis=2)
    assert not (drawn_on & (after == NO_DATA).all(axis=2)).any()


def test_marks_of_the_sky_need_a_place_on_it() -> None:
    pixels = np.zeros((60, 80, 1), np.uint8)
    with pytest.raises(RequestFault, match="DRAW=compass needs a picture that has a place on the sky"):
        draw_marks(pixels, None, replace(PNG, draw=("center", "compass")))
    assert draw_marks(pixels, None, replace(PNG, draw=("center",), label="x")).any()
