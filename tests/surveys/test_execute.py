"""Plans executed end to end: the same bytes again, bounded memory, files that change, real files."""

from __future__ import annotations

import csv
import os
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from surveys.errors import BrokenImage, StaleImage
from surveys.execute import IN_MEMORY_BYTES, STRIP_BYTES, describe_cutout, execute
from surveys.fits.product import DEFAULT_SITE
from surveys.fits.source import Source
from surveys.plan import CutoutPlan, Grid
from surveys.planner import plan_copy
from surveys.planning.images import Overlap
from surveys.sky.pixels import PixelBox
from tests.support.tiles import (
    FileCatalog,
    assert_same_sky,
    gzip_members,
    open_product,
    plan_of,
    ramp,
    same_bits,
    sky,
    write_compressed,
    write_plain,
)

BOX = PixelBox(10, 30, 20, 50)


@pytest.fixture
def catalog(tmp_path: Path) -> FileCatalog:
    catalog = FileCatalog()
    catalog.add(write_plain(tmp_path / "tile.fits", sky((100, 120))))
    return catalog


def test_the_same_request_gives_the_same_bytes(catalog: FileCatalog) -> None:
    plan = plan_of(catalog.artifact(1), BOX, canonical="sync?ID=x", checksum=True)
    first = execute(plan, catalog, Source())
    assert first.tobytes() == first.tobytes() == execute(plan, catalog, Source("pread")).tobytes()
    assert first.media_type == "application/fits"
    assert first.file_name == "DEMOJ100024.00-021200.0_g_20x30.fits"


def test_every_request_has_a_header_of_its_own(catalog: FileCatalog) -> None:
    record, source = catalog.artifact(1), Source()
    for x in (0, 5, 50):
        for clipped in (True, False):
            plan = plan_of(record, PixelBox(x, x + 9, 3, 7), canonical=f"sync?ID={x}")
            plan = replace(plan, parts=(replace(plan.parts[0], clipped=clipped),))
            header = open_product(execute(plan, catalog, source).tobytes()).header
            assert (header["X0"], header["CLIPPED"], header["CUT_URL"]) == (x + 1, clipped, f"sync?ID={x}")


def test_a_plan_that_is_changed_is_described_anew(catalog: FileCatalog) -> None:
    record, source = catalog.artifact(1), Source()
    request = plan_of(record, BOX).request
    plan = plan_copy(request, 1, Overlap(record, BOX, BOX, True), catalog, DEFAULT_SITE)
    assert describe_cutout(plan, catalog) is plan.described
    assert plan == (read := CutoutPlan.from_json(plan.to_json()))
    assert read.described is None
    assert execute(read, catalog, source).tobytes() == execute(plan, catalog, source).tobytes()
    part = plan.parts[0]
    for changed, keyword, value in (
        (replace(plan, parts=(replace(part, clipped=True),)), "CLIPPED", True),
        (replace(plan, parts=(replace(part, grid=Grid(PixelBox(9, 30, 20, 50))),)), "X0", 10),
        (replace(plan, parts=(replace(part, remarks=("so",)),)), "HISTORY", "so"),
        (replace(plan, request=replace(request, canonical="sync?ID=y")), "CUT_URL", "sync?ID=y"),
    ):
        header = open_product(execute(changed, catalog, source).tobytes()).header
        assert value in (header[keyword] if keyword == "HISTORY" else (header[keyword],))
    elsewhere = execute(plan, catalog, source, replace(DEFAULT_SITE, origin="Elsewhere"))
    assert open_product(elsewhere.tobytes()).header["ORIGIN"] == "Elsewhere"


def test_a_file_that_changed_since_it_was_indexed_is_stale(catalog: FileCatalog) -> None:
    record, source = catalog.artifact(1), Source()
    plan = plan_of(record, BOX)
    execute(plan, catalog, source)
    os.utime(catalog.path(record), ns=(0, record.file.mtime_ns + 10**9))
    with pytest.raises(StaleImage, match=r"^tile\.fits changed since it was indexed\.$"):
        execute(plan, catalog, source)
    catalog.accept(record)
    with pytest.raises(StaleImage, match=r"^tile\.fits was indexed again since the cutout was planned\.$"):
        execute(plan, catalog, source)
    assert execute(plan_of(catalog.artifact(1), BOX), catalog, source).size


def test_a_file_that_is_gone_is_broken_and_others_are_not(catalog: FileCatalog, tmp_path: Path) -> None:
    other, source = catalog.add(write_plain(tmp_path / "other.fits", sky((100, 120)))), Source()
    plan = plan_of(catalog.artifact(1), BOX)
    catalog.path(catalog.artifact(1)).unlink()
    with pytest.raises(BrokenImage) as caught:
        execute(plan, catalog, source)
    assert str(tmp_path) not in str(caught.value)
    assert execute(plan_of(other, BOX), catalog, source).tobytes()


def test_an_empty_plan_is_not_executed(catalog: FileCatalog) -> None:
    empty = replace(plan_of(catalog.artifact(1), BOX), parts=())
    with pytest.raises(ValueError, match="empty plan"):
        execute(empty, catalog, Source())


def test_threads_get_what_one_would(tmp_path: Path) -> None:
    catalog, source = FileCatalog(), Source(max_open=2)
    pixels = {}
    for i in range(6):
        pixels[i + 1] = sky((100, 120), seed=i)
        path = tmp_path / f"{i}.fits"
        if i % 3 == 2:
            catalog.add(write_compressed(path, pixels[i + 1], compression_type="RICE_1", quantize_level=0), 1)
        else:
            plain = write_plain(path, pixels[i + 1])
            catalog.add(gzip_members(plain) if i % 3 else plain)
    for number in (3, 6):
        with fits.open(catalog.paths[number]) as hdus:
            pixels[number] = hdus[1].data.copy()

    def check(n: int) -> bool:
        number, x, y = n % 6 + 1, n % 90, n % 70
        plan = plan_of(catalog.artifact(number), PixelBox(x, x + 20, y, y + 25))
        data = open_product(execute(plan, catalog, source).tobytes()).data
        return same_bits(data, pixels[number][y : y + 25, x : x + 20])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(check, range(240)))


LARGE = (2000, 4500)


@pytest.mark.parametrize("kind", ["plain", "gzip", "rice"])
@pytest.mark.parametrize("checksum", [False, True])
def test_large_products_are_streamed_in_bounded_memory(tmp_path: Path, kind: str, checksum: bool) -> None:
    catalog, pixels = FileCatalog(), ramp(LARGE, "i4")
    if kind == "rice":
        record = catalog.add(
            write_compressed(tmp_path / "c.fits", pixels, compression_type="RICE_1"), 1, blank=7
        )
    else:
        plain = write_plain(tmp_path / "tile.fits", pixels)
        record = catalog.add(gzip_members(plain) if kind == "gzip" else plain, blank=7)
    plan = plan_of(record, PixelBox(-10, LARGE[1], 0, LARGE[0]), checksum=checksum)
    source = Source()
    execute(plan_of(record, BOX), catalog, source)  # what is made once and kept is not of this product
    target = tmp_path / "product.fits"
    tracemalloc.start()
    result = execute(plan, catalog, source)
    assert result.size > IN_MEMORY_BYTES
    with target.open("wb") as stream:
        for chunk in result.chunks():
            assert len(chunk) <= 2 * STRIP_BYTES
            stream.write(chunk)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6
    assert target.stat().st_size == result.size
    hdu = open_product(target.read_bytes())
    assert same_bits(hdu.data[:, 10:], pixels)
    assert (hdu.data[:, :10] == 7).all()
    assert hdu.header["FRAC_OK"] == (pixels != 7).sum() / (LARGE[0] * (LARGE[1] + 10))


def test_a_product_of_200_mb_is_streamed_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "tile.fits"
    shape = (5000, 10_000)
    header = write_plain(path, np.zeros((1, 1), "f4")).read_bytes()[:2880]
    text = header.replace(b"NAXIS1  =                    1", b"NAXIS1  =                10000")
    text = text.replace(b"NAXIS2  =                    1", b"NAXIS2  =                 5000")
    with path.open("wb") as stream:
        stream.write(text)
        stream.truncate(2880 + -(-4 * shape[0] * shape[1] // 2880) * 2880)
    catalog = FileCatalog()
    plan = plan_of(catalog.add(path))
    tracemalloc.start()
    result = execute(plan, catalog, Source())
    assert sum(len(chunk) for chunk in result.chunks()) == result.size > 200_000_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


def test_small_cutouts_take_memory_of_their_own_size(tmp_path: Path) -> None:
    catalog = FileCatalog()
    for path, hdu in (
        (write_plain(tmp_path / "tile.fits", sky((2000, 2000))), 0),
        (write_compressed(tmp_path / "rice.fits", sky((2000, 2000)), compression_type="RICE_1"), 1),
    ):
        record, source = catalog.add(path, hdu), Source()
        execute(plan_of(record, BOX), catalog, source)
        tracemalloc.start()
        result = execute(plan_of(record, PixelBox(500, 1500, 500, 1500)), catalog, source)
        assert sum(len(chunk) for chunk in result.chunks()) == result.size
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2 * result.size + 20e6


def test_a_large_product_stops_when_its_file_changes_on_the_way(tmp_path: Path) -> None:
    catalog, path = FileCatalog(), write_plain(tmp_path / "tile.fits", np.zeros(LARGE, "i4"))
    result = execute(plan_of(catalog.add(path)), catalog, Source())
    os.utime(path, ns=(0, 0))
    with pytest.raises(StaleImage):
        list(result.chunks())


CUT_SHORT = "weird/l1448_equinox0_wrong_crval.fits"


def real_images(folder: Path) -> list[tuple[Path, int]]:
    """Image HDUs of all files that are whole and of a compression that is served."""
    with (folder / "hdus.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["naxis"] not in ("", "0", "1") and row["shape"]]
    return [
        (folder / row["file"], int(row["hdu"])) for row in rows if not row["file"].endswith((".Z", CUT_SHORT))
    ]


def celestial_axes(header: fits.Header, naxis: int) -> tuple[int, int] | None:
    """The two celestial axes (0-based) among the first `naxis` of a header; None if there are not two."""
    kinds = [str(header.get(f"CTYPE{axis + 1}", "")) for axis in range(naxis)]
    types = [kind[:4].rstrip("-") for kind in kinds]
    axes = [axis for axis, name in enumerate(types) if name in ("RA", "DEC", "GLON", "GLAT")]
    if len(axes) != 2:
        return None
    try:
        WCS(header, naxis=[axis + 1 for axis in axes]).all_pix2world(1, 1, 0)
    except ValueError:  # singular, or given by a table: no image that is indexed
        return None
    return axes[0], axes[1]


@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyUserWarning")
def test_real_images_give_the_pixels_and_the_sky_of_astropy(real_data: Path) -> None:
    random, source, on_sky = np.random.default_rng(9), Source(), 0
    for path, number in real_images(real_data):
        with fits.open(path, do_not_scale_image_data=True) as hdus:
            header, pixels = hdus[number].header, hdus[number].data
            axes = celestial_axes(header, pixels.ndim)
            x_axis, y_axis = axes or (0, 1)
            catalog = FileCatalog()
            record = catalog.add(path, number, x_axis=x_axis, y_axis=y_axis)
            box = random_box(random, record.nx, record.ny)
            content = execute(plan_of(record, box), catalog, source).tobytes()
            with fits.open(BytesIO(content), do_not_scale_image_data=True) as product:
                wanted = pixels.take(range(box.y0, box.y1), pixels.ndim - 1 - y_axis)
                wanted = wanted.take(range(box.x0, box.x1), pixels.ndim - 1 - x_axis)
                assert same_bits(product[0].data, wanted), path.name
                if axes:
                    assert_same_sky(product[0].header, header, box, axes=axes)
            on_sky += axes is not None
    assert on_sky > 90


@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyUserWarning")
def test_a_real_file_cut_short_is_broken(real_data: Path) -> None:
    catalog = FileCatalog()
    record = catalog.add(real_data / CUT_SHORT)
    with pytest.raises(BrokenImage, match="is shorter than its header says"):
        execute(plan_of(record, BOX), catalog, Source())


def random_box(random: np.random.Generator, nx: int, ny: int) -> PixelBox:
    width, height = int(random.integers(1, nx + 1)), int(random.integers(1, ny + 1))
    x0, y0 = int(random.integers(nx - width + 1)), int(random.integers(ny - height + 1))
    return PixelBox(x0, x0 + width, y0, y0 + height)
