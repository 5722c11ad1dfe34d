"""Mosaics of four tiles, against reproject, SWarp and Montage, and how right they are."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import product
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray
from reproject import reproject_interp
from reproject.mosaicking import reproject_and_coadd

from benchmarks.skies import DEC_DEG, RA_DEG, ask, some_stars, survey_of, write_tiles
from benchmarks.table import Row, medians_ms
from config.app import Parts
from config.kernels import load_kernels

SIZE = 1000
SIDE, OVERLAP = 2000, 100
NOISE = 5.0
#: Pixels about the mosaic that peers are given of each tile: more than any of their kernels needs.
MARGIN = 8
#: Pixels next to the edge of a tile, where interpolation has neighbours on one side only.
EDGE = 1
RUNS, SLOW_RUNS = 60, 7
#: What a crop of a tile is to a peer.
Crop = tuple[NDArray[np.float32], WCS]


def rows(folder: Path) -> Iterator[Row]:
    """Measure; the tiles are made in `folder` and stay there."""
    sky = folder / "four"
    if not sky.exists():
        write_tiles(sky, some_stars(4000, 0.16, 1.2), 2, SIDE, OVERLAP, NOISE)
    load_kernels()
    with survey_of(sky, folder / "four-data") as parts:
        yield from _times(parts, sky, folder / "four-crops")


@dataclass(frozen=True, slots=True)
class Peers:
    """What others are given to make the same mosaic: crops of the tiles, in memory and as files.

    Parameters
    ----------
    folder
        Where the files are, and where they may write.
    crops
        Pixels and WCS of each.
    header
        WCS and size of the mosaic.
    """

    folder: Path
    crops: list[Crop]
    header: fits.Header

    @classmethod
    def of(cls, tiles: list[Path], mosaic: bytes, folder: Path) -> Peers:
        """Crop the tiles to what a mosaic needs of them."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        full = fits.getheader(BytesIO(mosaic))
        header = WCS(full).to_header()
        header.update(NAXIS=2, NAXIS1=full["NAXIS1"], NAXIS2=full["NAXIS2"])
        crops = []
        for number, tile in enumerate(tiles):
            with fits.open(tile) as hdus:
                wcs, pixels = WCS(hdus[0].header), hdus[0].data
                part = _reach(wcs, header, pixels.shape)
                crop, crop_wcs = pixels[part].astype(np.float32), wcs[part]
            crops.append((crop, crop_wcs))
            fits.PrimaryHDU(crop, crop_wcs.to_header()).writeto(folder / f"crop{number}.fits")
        # SWarp takes the grid of coadd.fits from coadd.head, Montage that of everything from a template.
        text = header.tostring(sep="\n", endcard=False, padding=False)
        (folder / "coadd.head").write_text(f"{text}\nEND\n")
        (folder / "grid.hdr").write_text(f"SIMPLE  = T\nBITPIX  = -32\n{text}\nEND\n")
        return cls(folder, crops, header)

    def with_reproject(self, run: int) -> None:
        """Reproject each crop, and put them together."""
        reproject_and_coadd(self.crops, self.header, reproject_function=reproject_interp, order="bilinear")

    def with_swarp(self, kernel: str) -> Callable[[int], None]:
        """Return what runs SWarp, which writes a file."""
        options = {
            "RESAMPLING_TYPE": kernel, "SUBTRACT_BACK": "N", "COMBINE_TYPE": "AVERAGE", "WRITE_XML": "N",
            "VERBOSE_TYPE": "QUIET", "IMAGEOUT_NAME": "coadd.fits", "WEIGHTOUT_NAME": "weight.fits",
        }  # fmt: skip
        pairs = (part for name, value in options.items() for part in (f"-{name}", value))
        command = ["SWarp", *self._files(), *pairs]
        return lambda run: self._run(command)

    def with_montage(self, run: int) -> None:
        """Run Montage's fastest way for gnomonic tiles; it writes files."""
        for file in self._files():
            self._run(["mProjectPP", file, f"projected/{file}", "grid.hdr"])
        self._run(["mImgtbl", "projected", "images.tbl"])
        self._run(["mAdd", "-p", "projected", "images.tbl", "grid.hdr", "mosaic.fits"])

    def _files(self) -> list[str]:
        return [f"crop{number}.fits" for number in range(len(self.crops))]

    def _run(self, command: list[str]) -> None:
        (self.folder / "projected").mkdir(exist_ok=True)
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode or '[struct stat="ERROR"' in done.stdout:
            raise RuntimeError(f"{command[0]} failed: {done.stdout}{done.stderr}")


def _reach(wcs: WCS, header: fits.Header, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Pixels of a tile that a mosaic may need."""
    corners = np.array(list(product((0, header["NAXIS1"] - 1), (0, header["NAXIS2"] - 1))), float)
    x, y = wcs.all_world2pix(*WCS(header).all_pix2world(*corners.T, 0), 0)
    limits = ((y.min(), y.max(), shape[0]), (x.min(), x.max(), shape[1]))
    rows, columns = (
        slice(max(0, int(low) - MARGIN), min(length, int(high) + MARGIN + 2)) for low, high, length in limits
    )
    return rows, columns


def _times(parts: Parts, sky: Path, folder: Path) -> Iterator[Row]:
    where = {"CENTER": f"{RA_DEG} {DEC_DEG}", "SIZE": f"{SIZE}px"}

    def ours(kernel: str) -> Callable[[int], bytes]:
        return lambda run: ask(parts, **where, RESAMPLE=kernel)

    mosaic = ours("bilinear")(0)
    peers = Peers.of(sorted(sky.iterdir()), mosaic, folder)
    swarp, montage = shutil.which("SWarp") is not None, shutil.which("mProjectPP") is not None
    functions: dict[str, tuple[Callable[[int], object], int]] = {
        "bilinear": (ours("bilinear"), RUNS),
        "lanczos3": (ours("lanczos3"), RUNS),
        "reproject": (peers.with_reproject, SLOW_RUNS),
    }
    if swarp:
        functions["swarp bilinear"] = (peers.with_swarp("BILINEAR"), SLOW_RUNS)
        functions["swarp lanczos3"] = (peers.with_swarp("LANCZOS3"), SLOW_RUNS)
    if montage:
        functions["montage"] = (peers.with_montage, SLOW_RUNS)
    took: dict[str, float] = dict(zip(functions, medians_ms(*functions.values()), strict=True))
    for kernel, key, peer, goal in (
        ("bilinear", "reproject", "reproject_interp and coadd, cropped inputs", 30.0),
        ("bilinear", "swarp bilinear", "SWarp BILINEAR, cropped inputs", 10.0),
        ("bilinear", "montage", "Montage mProjectPP and mAdd, cropped inputs", 10.0),
        ("lanczos3", "swarp lanczos3", "SWarp LANCZOS3, cropped inputs", 10.0),
    ):
        what = f"mosaic {SIZE}x{SIZE} of 4 tiles, {kernel}: parse, plan and execute"
        yield Row(what, took[kernel], took.get(key), "ms", peer, "faster", goal)
    yield _agreement(mosaic, peers.crops)


def _agreement(mosaic: bytes, crops: list[Crop]) -> Row:
    """Compare each pixel with what `reproject_interp` makes of the tile that it was made of."""
    with fits.open(BytesIO(mosaic)) as hdus:
        made, header = hdus[0].data, hdus[0].header
    least = np.full(made.shape, np.inf)
    judged = np.ones(made.shape, bool)
    for pixels, wcs in crops:
        theirs, _ = reproject_interp((pixels, wcs), WCS(header), made.shape, order="bilinear")
        np.fmin(least, np.abs(made - theirs), out=least)
        x, y = wcs.all_world2pix(*WCS(header).all_pix2world(*np.indices(made.shape)[::-1], 0), 0)
        judged &= ~_at_edge(x, pixels.shape[1]) & ~_at_edge(y, pixels.shape[0])
    what = "bilinear mosaic: largest difference from reproject_interp, of the peak"
    return Row(what, float(least[judged].max() / np.nanmax(made)), None, "", "", "below", 1e-5)


def _at_edge(position: NDArray[np.float64], length: int) -> NDArray[np.bool_]:
    return (np.abs(position) <= EDGE) | (np.abs(position - (length - 1)) <= EDGE)
