"""Strips, threads and processes: the same pixels however they are made, in bounded memory."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import tracemalloc
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from surveys.errors import BrokenImage, StaleImage
from surveys.fits.source import Source
from surveys.mosaic.compose import Composition
from surveys.mosaic.planes import KeptWindows
from surveys.request import CutoutRequest, MosaicOptions
from surveys.sky.pixels import PixelBox
from tests.support.tiles import gzip_members, sky, write_compressed, write_plain
from tests.surveys.mosaic.skies import SCALE, SkyCatalog, composed, moved, part_of, sampled, tan, text_of

SIZE = (220, 200)
TARGET = text_of(tan(size=(300, 280), angle=25.0))
BOX = PixelBox(0, 300, 0, 280)


@pytest.fixture
def catalog(tmp_path: Path) -> SkyCatalog:
    made = SkyCatalog(root=tmp_path)
    four_tiles(made)
    return made


def four_tiles(catalog: SkyCatalog) -> None:
    step = 85 * SCALE
    for i, (east, north) in enumerate(((-1, -1), (1, -1), (-1, 1), (1, 1))):
        cards = tan(150.0 + east * step, 2.0 + north * step, SIZE)
        catalog.tile(sky((SIZE[1], SIZE[0]), seed=i), cards)


def strips_of(catalog: SkyCatalog, limit: int, threads: int = 1, **options: Any) -> list[np.ndarray]:
    request = CutoutRequest("demo/g", mosaic=MosaicOptions(**options))
    with Composition(part_of(catalog, BOX, wcs_text=TARGET), request, catalog, Source(), threads) as made:
        strips = list(made.strips(limit))
        assert made.covered == sum(int(np.isfinite(strip.image).sum()) for strip in strips)
        assert [strip.y0 for strip in strips] == [0, *(strip.y1 for strip in strips[:-1])]
        assert strips[-1].y1 == 280
    return [strip.image for strip in strips]


@pytest.mark.parametrize("kernel", ["bilinear", "lanczos3"])
def test_strips_and_threads_change_no_bit(
    catalog: SkyCatalog, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = composed(catalog, BOX, wcs_text=TARGET, resample=kernel)
    for limit, threads in ((1, 1), (300_000, 1), (300_000, 3), (1 << 30, 2)):
        strips = strips_of(catalog, limit, threads, resample=kernel)
        np.testing.assert_array_equal(np.concatenate(strips), whole.image)
        assert (len(strips) == 280) == (limit == 1)
    monkeypatch.setattr("surveys.mosaic.compose.BAND_PIXELS", 1000)
    monkeypatch.setattr("surveys.mosaic.compose.BAND_ROWS", 3)
    narrow = composed(catalog, BOX, wcs_text=TARGET, resample=kernel, threads=2)
    np.testing.assert_array_equal(narrow.image, whole.image)
    assert narrow.inputs == whole.inputs
    assert narrow.covered == whole.covered


def test_divided_windows_change_no_bit(catalog: SkyCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = composed(catalog, BOX, wcs_text=TARGET)
    monkeypatch.setattr("surveys.mosaic.resampling.WINDOW_PIXELS", 3000)
    monkeypatch.setattr("surveys.mosaic.resampling._SMALL_PX", 16)
    np.testing.assert_array_equal(composed(catalog, BOX, wcs_text=TARGET).image, whole.image)


def test_blocks_of_rows_change_nothing_that_can_be_seen(
    catalog: SkyCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each block of the output has a map of its own, right to 1e-5 px."""
    whole = composed(catalog, BOX, wcs_text=TARGET)
    for module in ("resampling", "nodes"):
        monkeypatch.setattr(f"surveys.mosaic.{module}.BLOCK_ROWS", 50)
        monkeypatch.setattr(f"surveys.mosaic.{module}.BLOCK_COLUMNS", 70)
    apart = np.abs(composed(catalog, BOX, wcs_text=TARGET).image - whole.image)
    assert np.mean(~(apart > 0.01)) > 0.999  # but for pixels at the middle between two tiles


@pytest.mark.parametrize("storage", ["gzip", "rice", "gzip tiles"])
def test_compressed_tiles_give_the_same(tmp_path: Path, storage: str) -> None:
    plain, packed = SkyCatalog(root=tmp_path), SkyCatalog(root=tmp_path / "packed")
    packed.root.mkdir()
    four_tiles(plain)
    for piece in plain.pieces:
        record = plain.artifact(piece.artifact_id)
        path, hdu = plain.path(record), 0
        text = record.wcs_text
        if storage == "gzip":
            path = gzip_members(path)
        else:
            pixels = np.frombuffer(path.read_bytes()[record.data_offset :], ">f4", record.nx * record.ny)
            path, hdu = packed.root / f"{piece.artifact_id}.fits", 1
            kind = "RICE_1" if storage == "rice" else "GZIP_1"
            options = {"quantize_level": 0.0} if kind == "GZIP_1" else {"quantize_level": 400.0}
            shaped = pixels.reshape(record.ny, record.nx).astype("f4")
            write_compressed(path, shaped, tan().items(), compression_type=kind, **options)
        own = packed.add(path, hdu, wcs_text=text, dataset=piece.dataset)
        packed.pieces.append(
            type(piece)(own.artifact_id, own.dataset, own.file.size, own.file.mtime_ns, piece.box)
        )
    for threads in (1, 3):
        made = composed(packed, BOX, wcs_text=TARGET, threads=threads)
        expected = composed(plain, BOX, wcs_text=TARGET)
        tolerance = 0.3 if storage == "rice" else 0.0
        np.testing.assert_allclose(made.image, expected.image, rtol=0, atol=tolerance)


def test_memory_is_bounded_by_the_strip(tmp_path: Path) -> None:
    catalog = SkyCatalog(root=tmp_path)
    side = 3000
    catalog.tile(np.zeros((side, side), "f4"), tan(size=(side, side)))
    target = text_of(tan(size=(2800, 2800), angle=45.0))
    part = part_of(catalog, PixelBox(0, 2800, 0, 2800), wcs_text=target)
    with Composition(part, CutoutRequest("demo/g"), catalog, Source()) as made:
        next(made.strips(1 << 20))  # what is imported and kept
        tracemalloc.start()
        for strip in made.strips(4 << 20):
            del strip
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    # strip, its keys and winners, and a window: not the 31 MB of the product nor the 36 MB of the tile
    assert peak < 16 << 20


def test_small_pictures_of_large_tiles_take_little_memory(tmp_path: Path) -> None:
    catalog = SkyCatalog(root=tmp_path)
    side = 3000
    catalog.tile(np.ones((side, side), "f4"), tan(size=(side, side)))
    target = text_of(tan(size=(100, 100), scale=28 * SCALE))
    part = part_of(catalog, PixelBox(0, 100, 0, 100), wcs_text=target)
    with Composition(part, CutoutRequest("demo/g"), catalog, Source()) as made:
        list(made.strips(1 << 20))
        tracemalloc.start()
        list(made.strips(1 << 20))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert made.covered == 10_000
    assert peak < 16 << 20


def image_of(catalog: SkyCatalog, threads: int, _: int = 0) -> bytes:
    return composed(catalog, BOX, wcs_text=TARGET, threads=threads).image.tobytes()


@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.deployment
def test_processes_that_fork_or_spawn_make_the_same(catalog: SkyCatalog, start: str) -> None:
    """Threads and kernels of the parent have been used before; each child uses threads of its own."""
    expected = image_of(catalog, 2)
    context = multiprocessing.get_context(start)
    if start == "fork" and sys.version_info >= (3, 12):
        pytest.skip("Python warns of threads at a fork")
    with ProcessPoolExecutor(2, context) as pool:
        assert set(pool.map(partial(image_of, catalog, 2), range(3))) == {expected}


def test_threads_of_a_web_server_compose_at_once(catalog: SkyCatalog) -> None:
    expected, before = image_of(catalog, 1), threading.active_count()
    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(partial(image_of, catalog, 2), range(12))) == {expected}
    assert threading.active_count() <= before + 16  # those that read cold files, kept by each source


@pytest.mark.deployment
def test_nothing_is_compiled_after_the_kernels_are_warm(tmp_path: Path) -> None:
    """In a process of its own: whatever kind of pixels and layers, the kernels that were loaded do."""
    code = f"""
import sys
from pathlib import Path
from config.kernels import load_kernels
load_kernels()
from surveys.kernels import area, resample
kernels = [k for module in (area, resample) for k in vars(module).values() if hasattr(k, "signatures")]
before = [len(kernel.signatures) for kernel in kernels]
from tests.surveys.mosaic.test_strips import every_kind
every_kind(Path({str(tmp_path)!r}))
print([k.py_func.__name__ for k, n in zip(kernels, before) if len(k.signatures) != n], len(kernels))
"""
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    said = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    new, count = said.stdout.strip().rsplit(" ", 1)
    assert new == "[]"
    assert int(count) > 10


def every_kind(root: Path) -> None:
    """Compose of all kinds of pixels, with layers, at native and at larger scales, with every kernel."""
    from tests.surveys.mosaic.test_combine import declare

    for dtype in ("f4", "f8", "i2", "i8"):
        catalog = SkyCatalog(root=root)
        declare(catalog, "variance")
        weight, mask = np.ones((80, 100), "f4"), np.ones((80, 100), "u1")
        for x in (0, 60):
            catalog.tile(
                np.ones((80, 100), dtype), moved(tan(size=(100, 80)), x, 0), {"weight": weight, "mask": mask},
                unique=(5.0,) if x else (149.0, 151.0, 0.0, 10.0),
            )  # fmt: skip
        layers = ("image", "weight", "mask")
        for scale in (0.7, 1.3, 4.5):
            target = text_of(tan(size=(60, 50), scale=scale * SCALE))
            for kernel in ("bilinear", "lanczos3"):
                for combine in ("auto", "mean"):
                    composed(
                        catalog, PixelBox(0, 60, 0, 50), wcs_text=target, layers=layers, resample=kernel,
                        combine=combine, flux="flux", threads=2,
                    )  # fmt: skip
        composed(catalog, PixelBox(0, 160, 0, 80), "paste", layers=layers)


def test_a_tile_that_breaks_is_named(catalog: SkyCatalog) -> None:
    piece = catalog.pieces[2]
    record = catalog.artifact(piece.artifact_id)
    path = catalog.path(record)
    os.truncate(path, record.data_offset + 4000)
    with pytest.raises(StaleImage) as stale:
        composed(catalog, BOX, wcs_text=TARGET)
    assert stale.value.dataset == piece.dataset
    catalog.accept(record)
    facts = path.stat()
    catalog.pieces[2] = type(piece)(
        piece.artifact_id, piece.dataset, facts.st_size, facts.st_mtime_ns, piece.box
    )
    for threads in (1, 2):
        with pytest.raises(BrokenImage, match="shorter") as broken:
            composed(catalog, BOX, wcs_text=TARGET, threads=threads)
        assert broken.value.dataset == piece.dataset
    path.unlink()
    with pytest.raises(BrokenImage) as gone:
        composed(catalog, BOX, wcs_text=TARGET)
    assert gone.value.dataset == piece.dataset
    assert "/" not in str(gone.value)


def test_an_image_indexed_again_is_stale(catalog: SkyCatalog) -> None:
    record = catalog.artifact(catalog.pieces[1].artifact_id)
    write_plain(catalog.path(record), sky((10, 10)), tan().items())
    catalog.accept(record)
    with pytest.raises(StaleImage) as stale:
        composed(catalog, BOX, wcs_text=TARGET)
    assert stale.value.dataset == catalog.pieces[1].dataset


def test_a_degree_of_output_has_maps_of_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks stand for large outputs: nodes are made for what a tile reaches, no more."""
    monkeypatch.setattr("surveys.mosaic.resampling.BLOCK_ROWS", 64)
    monkeypatch.setattr("surveys.mosaic.resampling.BLOCK_COLUMNS", 64)
    catalog = SkyCatalog(root=tmp_path)

    def plane(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
        return 1e4 * (ra - 150.0) + 2e4 * (dec - 2.0)

    for i in range(3):
        cards = tan(150.0 + 0.012 * i, 2.0, (200, 200), angle=10.0 * i)
        catalog.tile(sampled(plane, cards, (200, 200)).astype("f4"), cards)
    target = tan(150.012, 2.0, (500, 160))
    made = composed(catalog, PixelBox(0, 500, 0, 160), wcs_text=text_of(target), resample="bilinear")
    expected = sampled(plane, target, (500, 160))
    inside = np.isfinite(made.image)
    assert inside.mean() > 0.9
    # a plane has no bends: half a pixel beyond the outermost neighbours is what is missing
    assert np.median(np.abs(made.image - expected)[inside]) < 1e-3


def test_windows_of_gzip_files_are_kept_within_bounds() -> None:
    kept, pixels = KeptWindows(2000), np.arange(250.0, dtype="f4").reshape(10, 25)
    box = PixelBox(5, 30, 2, 12)
    for key in "ab":
        kept.keep(key, box, pixels)
    known, part = kept.find("a", PixelBox(6, 9, 3, 5))
    assert known
    np.testing.assert_array_equal(part, pixels[1:3, 1:4])
    assert kept.find("b", PixelBox(0, 9, 3, 5)) == (True, None)
    kept.find("a", box)
    kept.keep("c", box, pixels)  # there is room for two: the one not used for longest goes
    assert kept.find("b", box) == (False, None)
    assert kept.find("a", box)[0]


def test_more_images_than_files_may_be_open(tmp_path: Path) -> None:
    catalog = SkyCatalog(root=tmp_path)
    whole, cards = sky((20, 900)), tan(size=(900, 20))
    for x in range(0, 900, 10):
        catalog.tile(whole[:, x : x + 10], moved(cards, x, 0))
    code = f"""
import resource, pickle, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
from surveys.fits.source import Source
from surveys.mosaic.compose import compose
part, request, catalog = pickle.load(open({str(tmp_path / "plan")!r}, "rb"))
made = compose(part, request, catalog, Source(max_open=20))
sys.stdout.write(str(made.covered))
"""
    box = PixelBox(0, 900, 0, 20)
    (tmp_path / "plan").write_bytes(
        pickle.dumps((part_of(catalog, box, "paste"), CutoutRequest("demo/g"), catalog))
    )
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False
    )
    assert done.stdout == str(box.pixels), done.stderr
