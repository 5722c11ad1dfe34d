"""Small headers with a known WCS, for every kind of image the engine meets."""

from __future__ import annotations

from astropy.io import fits


def wcs_text(
    ctypes: tuple[str, str], crval: tuple[float, float], size: tuple[int, int], **cards: object
) -> str:
    """Cards of an image of `size` (nx, ny): CRPIX in its middle, 0.01 degrees a pixel unless `cards` say."""
    nx, ny = size
    header = fits.Header()
    header["NAXIS"], header["NAXIS1"], header["NAXIS2"] = 2, nx, ny
    header["CTYPE1"], header["CTYPE2"] = ctypes
    header["CRVAL1"], header["CRVAL2"] = crval
    header["CRPIX1"], header["CRPIX2"] = nx / 2 + 0.5, ny / 2 + 0.5
    first_is_latitude = ctypes[0].startswith(("DEC", "GLAT", "ELAT", "SLAT"))
    header["CDELT1"], header["CDELT2"] = (0.01, -0.01) if first_is_latitude else (-0.01, 0.01)
    for key, value in cards.items():
        header[key] = value
    return str(header.tostring(sep="", endcard=False, padding=False))
