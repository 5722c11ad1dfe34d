"""From the header of an HDU to the header of an image: what it inherits, what is put right, its WCS."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from astropy.io import fits

from surveys.errors import ImageRefused
from surveys.index.fitsfile import CARD, Hdu, card_value
from surveys.survey import CardValue

# What describes the HDU it stands in and nothing else, so that an extension never inherits it; texts without
# a keyword are not inherited either (FITS inheritance convention).
_OWN = re.compile(
    r"(SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|NEXTEND|PCOUNT|GCOUNT|GROUPS|BLOCKED|CHECKSUM|DATASUM|INHERIT"
    r"|EXTNAME|EXTVER|EXTLEVEL|BSCALE|BZERO|BLANK|BUNIT|DATAMIN|DATAMAX|END|COMMENT|HISTORY|CONTINUE|)\Z"
)
# What places pixels in the coordinates of their frame; and frames, times, lines, which may stand elsewhere.
_GEOMETRY = re.compile(
    r"(WCSAXES|WCSNAME|NAXIS\d*|(CTYPE|CRVAL|CRPIX|CDELT|CROTA|CUNIT|CRDER|CSYER|CNAME|PROJP)\d+"
    r"|(CD|PC|PV|PS)\d+_\d+|(CD|PC)\d{6}|LONPOLE|LATPOLE|[AB]P?_(ORDER|DMAX|\d+_\d+)"
    r"|(CPDIS|CQDIS|CPERR|CQERR|D2IMDIS|D2IMERR)\d+|D[PQ]\d+(\..*)?|(D2IM|AXISCORR).*"
    # what wcslib turns into a WCS itself: the plate solutions of the DSS, and IRAF's TNX and ZPX
    r"|CNPIX[12]|PPO\d|[XY]PIXELSZ|PLT(RA|DEC)\w+|AMD[XY]\d+|WAT\d_\d+)\Z"
)
_FRAME = re.compile(
    r"(RADESYS|RADECSYS|EQUINOX|EPOCH|TIMESYS|TIMEUNIT|TIMEOFFS|MJDREF[IF]?|JDREF[IF]?|DATEREF|DATE-OBS|MJD-OBS|MJD-AVG|DATE-AVG|SPECSYS|SSYSOBS|SSYSSRC|VELREF"
    r"|VELOSYS|ZSOURCE|VELANGL|RESTFRQ|RESTFREQ|RESTWAV|OBSGEO-[XYZ])\Z"
)
_CELESTIAL = re.compile(r"(RA|DEC|[GEHS]LON|[GEHS]LAT|[A-Z]{2}L[NT])-+[A-Z]{3}")
#: A plate solution of the DSS begins with it; it stands for a WCS where no CTYPE does.
_PLATE = "PLTRAH"
_DISTORTED = re.compile(r"(CPDIS|CQDIS|D2IMDIS)\d+\Z|AXISCORR\Z|D2IMARR\Z")


def image_header(text: str, primary: Hdu | None, fix: Mapping[str, CardValue]) -> str:
    """Cards of an image: its own, those it inherits from the primary, and the survey's fixes.

    Parameters
    ----------
    text
        Cards of the HDU, 80 characters each.
    primary
        Primary HDU of the file, for an extension that says INHERIT; else None.
    fix
        Cards to add or to put in the place of others.
    """
    cards = list(split_cards(text))
    if primary is not None:
        present = {keyword for keyword, _ in cards}
        # Geometry is taken as a whole or not at all: half of one and half of another would be neither.
        has_wcs = _PLATE in present or any(keyword.startswith("CTYPE") for keyword in present)
        cards += [
            (keyword, card)
            for keyword, card in split_cards(primary.text)
            if keyword not in present
            and not _OWN.match(keyword)
            and not (has_wcs and _GEOMETRY.match(keyword))
        ]
    for keyword, value in fix.items():
        fixed = fits.Card(keyword, value).image
        places = [place for place, (name, _) in enumerate(cards) if name == keyword]
        for place in reversed(places):
            del cards[place]
        cards.insert(places[0] if places else len(cards), (keyword, fixed))
    return "".join(card for _, card in cards)


def split_cards(text: str) -> Iterator[tuple[str, str]]:
    """Keyword and text of every card; a long string is one text together with its CONTINUE cards."""
    keyword, card = "", ""
    for place in range(0, len(text), CARD):
        part = text[place : place + CARD]
        if part.startswith("CONTINUE") and card:
            card += part
            continue
        if card:
            yield keyword, card
        keyword, card = _keyword(part), part
    if card:
        yield keyword, card


def _keyword(card: str) -> str:
    if card.startswith("HIERARCH "):
        return card.partition("=")[0].rstrip()
    return card[:8].rstrip()


def wcs_cards(text: str) -> str:
    """Those cards of an image that say where its pixels lie (the primary WCS, without alternates)."""
    return "".join(
        card for keyword, card in split_cards(text) if _GEOMETRY.match(keyword) or _FRAME.match(keyword)
    )


def celestial_axes(header: fits.Header, naxis: int) -> tuple[int, int]:
    """0-based numbers of the two celestial axes among the first `naxis`, the lower first.

    Raises
    ------
    ImageRefused
        If there are not exactly two, or the WCS is of a kind that a cutout cannot carry.
    """
    kinds = [str(card_value(header, f"CTYPE{axis}") or "").strip().upper() for axis in range(1, naxis + 1)]
    axes = [axis for axis, kind in enumerate(kinds) if _CELESTIAL.match(kind)]
    if not any(kinds) and _PLATE in header:
        axes = [0, 1]
    if len(axes) != 2:
        raise ImageRefused("its header has no celestial WCS")
    if any(kinds[axis].endswith("-TAB") for axis in axes):
        raise ImageRefused("a celestial axis is given by a table (-TAB), which a cutout cannot carry")
    if any(_DISTORTED.match(keyword) for keyword in header):
        raise ImageRefused("its WCS has a distortion by look-up table, which a cutout cannot carry")
    return axes[0], axes[1]
