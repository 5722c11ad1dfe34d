"""Small synthetic files with the names, HDUs and typical cards of real surveys."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table
from numpy.typing import NDArray

Cards = Mapping[str, Any]


def tan_cards(ra: float, dec: float, scale_arcsec: float, nx: int = 40, ny: int = 30) -> dict[str, Any]:
    """WCS of a TAN image centred on a place, north up."""
    scale = scale_arcsec / 3600
    return {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": ra,
        "CRVAL2": dec,
        "CRPIX1": (nx + 1) / 2,
        "CRPIX2": (ny + 1) / 2,
        "CD1_1": -scale,
        "CD1_2": 0.0,
        "CD2_1": 0.0,
        "CD2_2": scale,
        "CUNIT1": "deg",
        "CUNIT2": "deg",
    }


def pixels(nx: int = 40, ny: int = 30, dtype: str = "f4") -> NDArray[Any]:
    return np.arange(nx * ny).reshape(ny, nx).astype(dtype)


def write(
    path: Path, *hdus: tuple[str, Cards, NDArray[Any]], primary: Cards | None = None, tiled: bool = False
) -> Path:
    """Write a file; with a `primary` header, or `tiled`, every image is an extension."""
    path.parent.mkdir(parents=True, exist_ok=True)
    extensions = primary is not None or tiled
    made: list[Any] = [fits.PrimaryHDU(header=_header(primary or {}))] if extensions else []
    for name, cards, data in hdus:
        if tiled:
            made.append(fits.CompImageHDU(data, _header(cards), compression_type="RICE_1"))
        elif not made:
            made.append(fits.PrimaryHDU(data, _header(cards)))
        else:
            made.append(fits.ImageHDU(data, _header(cards)))
        if name:
            made[-1].header["EXTNAME"] = name
    fits.HDUList(made).writeto(path)
    return path


def gzipped(path: Path) -> Path:
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes(), 1))
    path.unlink()
    return packed


def des(root: Path) -> None:
    names = {"DES0347-5540": (56.8, -55.7), "DES0000+0209": (0.0, 2.15)}
    for tile, (ra, dec) in names.items():
        for run in ("r4966p01", "r10000p01") if tile == "DES0347-5540" else ("r4966p01",):
            for band in "gr":
                wcs = tan_cards(ra, dec, 0.263) | {"RADESYS": "ICRS", "MAGZERO": 30.0, "FILTER": band}
                write(
                    root / tile / f"{tile}_{run}_{band}.fits.fz",
                    ("SCI", wcs, pixels()),
                    ("MSK", wcs, pixels(dtype="i4")),
                    ("WGT", wcs, pixels()),
                    tiled=True,
                )
    Table(
        {
            "TILENAME": list(names),
            "URALL": [56.3, 359.6],
            "URAUR": [57.3, 0.4],
            "UDECLL": [-56.0, 1.8],
            "UDECUR": [-55.4, 2.5],
        }
    ).write(root / "dr2_tile_info.csv", format="ascii.csv")


def legacy(root: Path) -> None:
    folder = root / "coadd" / "095" / "0959p805"
    cards = tan_cards(95.95, 80.5, 0.262) | {"BRICK": "0959p805", "EQUINOX": 2000.0, "BUNIT": "nanomaggy"}
    for band in "gz":
        for layer in ("image", "invvar"):
            write(
                folder / f"legacysurvey-0959p805-{layer}-{band}.fits.fz",
                ("", cards | {"FILTER": band}, pixels()),
                tiled=True,
            )
    write(folder / "legacysurvey-0959p805-maskbits.fits.fz", ("", cards, pixels(dtype="i4")), tiled=True)
    bricks = {"BRICKNAME": ["0959p805"], "RA1": [95.2], "RA2": [96.7], "DEC1": [80.375], "DEC2": [80.625]}
    Table(bricks).write(root / "survey-bricks.fits.gz", format="fits")


def panstarrs(root: Path) -> None:
    scale = 0.25 / 3600
    # PS1 writes the rotation in the keywords of a draft of the standard.
    cards = {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": 186.0,
        "CRVAL2": 25.0,
        "CRPIX1": 20.5,
        "CRPIX2": 15.5,
        "CDELT1": scale,
        "CDELT2": scale,
        "PC001001": -1.0,
        "PC001002": 0.0,
        "PC002001": 0.0,
        "PC002002": 1.0,
        "RADESYS": "FK5",
        "EQUINOX": 2000.0,
        "BSOFTEN": 100.0,
        "BOFFSET": 0.5,
        "EXPTIME": 100.0,
        "HIERARCH FPA.ZP": 25.0,
    }
    stem = "rings.v3.skycell.1866.056.stk.r.unconv"
    for layer, dtype in (("", "f4"), (".wt", "f4"), (".mask", "i2")):
        path = root / "1866" / "056" / f"{stem}{layer}.fits"
        write(path, ("", cards, pixels(dtype=dtype)), tiled=True)


def hsc(root: Path) -> None:
    folder = root / "deepCoadd-results" / "HSC-R2" / "9813" / "4,4"
    wcs = tan_cards(150.1, 2.2, 0.168) | {"RADESYS": "ICRS"}
    write(
        folder / "calexp-HSC-R2-9813-4,4.fits",
        ("IMAGE", wcs, pixels()),
        ("MASK", wcs, pixels(dtype="i4")),
        ("VARIANCE", wcs, pixels()),
        primary={"FLUXMAG0": 6.3e10},
    )


def rubin(root: Path) -> None:
    folder = root / "deep_coadd" / "5063" / "14" / "r"
    wcs = tan_cards(53.0, -28.0, 0.2) | {"RADESYS": "ICRS"}
    write(
        folder / "deep_coadd_5063_14_r_lsst_cells_v1_LSSTComCam_runs_DRP_DP1_v29_0_0_DM-50260.fits",
        ("IMAGE", wcs, pixels()),
        ("MASK", wcs, pixels(dtype="i4")),
        ("VARIANCE", wcs, pixels()),
        primary={},
        tiled=True,
    )


def unwise(root: Path) -> None:
    cards = tan_cards(186.6, 25.7, 2.75) | {"BAND": 1, "MAGZP": 22.5, "MJDMIN": 55203.5, "MJDMAX": 59000.25}
    folder = root / "186" / "1866p257"
    write(folder / "unwise-1866p257-w1-img-m.fits", ("", cards, pixels()))
    gzipped(write(folder / "unwise-1866p257-w1-invvar-m.fits", ("", cards, pixels())))


def twomass(root: Path) -> None:
    scale = 1 / 3600
    for number, scan in enumerate(("990502s1350080", "990502s1350092")):
        cards = {
            "CTYPE1": "RA---SIN",
            "CTYPE2": "DEC--SIN",
            "CRVAL1": 275.0,
            "CRVAL2": -16.2 + 0.2 * number,
            "CRPIX1": 20.5,
            "CRPIX2": 15.5,
            "CDELT1": -scale,
            "CDELT2": scale,
            "CROTA2": 0.01,
            "EQUINOX": 2000.0,
            "MAGZP": 19.9 + number,
            "DATE-OBS": "1999-05-02",
        }
        gzipped(write(root / f"aK_asky_{scan}.fits", ("", cards, pixels())))


def ztf(root: Path) -> None:
    folder = root / "000" / "field000245" / "zg" / "ccd15" / "q4"
    cards = tan_cards(10.0, -20.0, 1.01) | {"RADESYS": "ICRS", "MAGZP": 26.275, "FIELDID": 245}
    for layer in ("refimg", "refunc"):
        write(folder / f"ztf_000245_zg_c15_q4_{layer}.fits", ("", cards, pixels()))


#: Maker of each example of `config/surveys/examples`; it is given the survey's root.
MAKERS = {
    "des-dr2": des,
    "legacy-bricks": legacy,
    "panstarrs-stacks": panstarrs,
    "hsc-coadds": hsc,
    "rubin-coadds": rubin,
    "unwise": unwise,
    "twomass": twomass,
    "ztf-references": ztf,
}


def _header(cards: Cards) -> fits.Header:
    header = fits.Header()
    for keyword, value in cards.items():
        header.append((keyword, value), end=True)
    return header
