"""What is to become of the pixels: how images are put together, and what a FITS file of them has in it."""

from __future__ import annotations

from typing import Literal

from dali.xtypes import parse_angle
from soda.reader import Reader
from soda.table import PIXSCALES_DEG
from surveys.request import Combine, Edge, MosaicOptions, Resample

# Spelled out, so that the types are checked; the first is the default. A test holds them against the table.
COMBINES: tuple[Combine, ...] = ("auto", "first", "mean", "weighted", "mosaic")
GRIDS: tuple[Literal["native", "tan"], ...] = ("native", "tan")
RESAMPLES: tuple[Resample, ...] = ("lanczos3", "bilinear", "interp", "adaptive", "exact")
PHOTSCALES: tuple[Literal["auto", "none"], ...] = ("auto", "none")
BACKGROUNDS: tuple[Literal["auto", "keep", "match"], ...] = ("auto", "keep", "match")
FLUXES: tuple[Literal["auto", "flux", "sb"], ...] = ("auto", "flux", "sb")
EDGES: tuple[Edge, ...] = ("auto", "clip", "pad", "error")
DETAILS: tuple[Literal["image", "full"], ...] = ("image", "full")
LAYOUTS: tuple[Literal["mef", "cube"], ...] = ("mef", "cube")


def read_mosaic(read: Reader) -> MosaicOptions:
    """Read how several images become one."""
    options = MosaicOptions(
        combine=read.word("COMBINE", COMBINES),
        grid=read.word("GRID", GRIDS),
        pixscale_deg=read.one("PIXSCALE", lambda text: parse_angle(text, "PIXSCALE", *PIXSCALES_DEG)),
        resample=read.word("RESAMPLE", RESAMPLES),
        photscale=read.word("PHOTSCALE", PHOTSCALES),
        background=read.word("BACKGROUND", BACKGROUNDS),
        flux=read.word("FLUX", FLUXES),
    )
    if options.pixscale_deg is not None and options.grid == "native":
        read.refuse(
            "PIXSCALE is that of GRID=tan; the native grid has the scale of its image",
            f"Write GRID=tan&PIXSCALE={read.parameters.all('PIXSCALE')[0].strip(' ')}.",
        )
    return options


def read_edge(read: Reader) -> Edge:
    """Read what becomes of a region that reaches beyond the data."""
    return read.word("EDGE", EDGES)


def read_detail(read: Reader) -> Literal["image", "full"]:
    """Read whether weight, mask and psf are wanted too."""
    return read.word("DETAIL", DETAILS)


def read_layout(read: Reader) -> Literal["mef", "cube"]:
    """Read how several bands lie in one file."""
    return read.word("LAYOUT", LAYOUTS)
