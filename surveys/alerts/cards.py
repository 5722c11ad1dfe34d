"""Headers of stamps in files made here: their own cards, put right by the survey, and what the index has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from astropy.time import Time

from surveys.alert import AlertRecord
from surveys.alerts.stored import StampHdu
from surveys.fits.hdus import CHECKSUM, Card, HduHeader, header_of, keyword_of, lines_of
from surveys.fits.header import STRUCTURE, Value, card, history
from surveys.fits.provenance import Site
from surveys.index.cards import image_header, split_cards, wcs_cards
from surveys.survey import Survey

#: Of the scales of time that TIMESYS may name, those that a moment can be told in.
_SCALES = {"UTC": "utc", "TAI": "tai", "TT": "tt", "TDB": "tdb"}
_MJD_BEGINS = datetime(1858, 11, 17)  # noqa: DTZ001 - UTC, as every time here
#: A frame that the stamp tells itself; none of them is ever changed.
_FRAMES = {"RADESYS", "RADECSYS", "EQUINOX", "EPOCH"}


def put_right(hdu: StampHdu, survey: Survey) -> StampHdu:
    """Return the image of a stamp with the cards of the survey's ``fix``.

    Those of a WCS complete one: where the stamp has no reference point they would invent it, and are left
    out.
    """
    if not survey.fix:
        return hdu
    own = {keyword for keyword, _ in split_cards(hdu.text)}
    is_placed = {"CRVAL1", "CRVAL2"} <= own
    fix = {key: value for key, value in survey.fix.items() if is_placed or not _is_geometry(key)}
    numbers = dict(hdu.numbers)
    for key, value in fix.items():
        numbers.pop(key, None)
        if isinstance(value, int | float) and not isinstance(value, bool):
            numbers[key] = value
    return replace(hdu, text=image_header(hdu.text, None, fix), numbers=numbers)


def _is_geometry(keyword: str) -> bool:
    return bool(wcs_cards(f"{keyword:<8}= 0".ljust(80)))


def alert_facts(record: AlertRecord, kind: str, site: Site, text: str) -> list[tuple[str, Value, str]]:
    """Say what is known of an alert beside its pixels.

    Parameters
    ----------
    kind
        Which of its stamps.
    text
        Cards of the stamp itself: a frame or a scale of time that it has stays.
    """
    own = dict(split_cards(text))
    facts: list[tuple[str, Value, str]] = []
    if record.object_id:
        facts.append(("OBJECT", record.object_id, "object that the alert is of"))
    facts += [
        ("CANDID", record.candid, "number of the alert"),
        ("RA", record.ra_deg, "[deg] position of the alert, ICRS"),
        ("DEC", record.dec_deg, "[deg] position of the alert, ICRS"),
    ]
    if not _FRAMES & own.keys():
        facts.append(("RADESYS", "ICRS", "frame of the coordinates"))
    if math.isfinite(record.mjd):
        facts += _moment(record.mjd, own.get("TIMESYS", ""))
    if record.band:
        facts.append(("FILTER", record.band, "band"))
    return [
        *facts,
        ("STAMP", kind, "which stamp of the alert"),
        ("ORIG_ID", f"{site.did_prefix}{record.dataset}/{kind}", "publisher DID of the stamp"),
        ("ORIG_FLE", record.file.name, "source file"),
        ("ORIG_ROW", record.row + 1, "its row (from 1)"),
    ]


def _moment(mjd: float, timesys: str) -> list[tuple[str, Value, str]]:
    """Cards of a moment (UTC), in the scale that the stamp has declared for all its times."""
    name = timesys[10:].partition("/")[0].strip(" '").upper() or "UTC"
    if name not in _SCALES:
        name = "UTC"
    if name != "UTC":
        mjd = float(getattr(Time(mjd, format="mjd", scale="utc"), _SCALES[name]).mjd)
    return [
        ("TIMESYS", name, "scale of the times"),
        ("MJD-OBS", mjd, "[d] when it was observed"),
        ("DATE-OBS", iso_of(mjd), "when it was observed"),
    ]


def iso_of(mjd: float) -> str:
    """Date and time of day, to the millisecond."""
    return (_MJD_BEGINS + timedelta(days=mjd)).isoformat(timespec="milliseconds")


def makers(site: Site) -> list[tuple[str, Value, str]]:
    """Say who made a file."""
    return [
        ("ORIGIN", site.origin, "who made this file"),
        ("CREATOR", site.creator, "service that made it"),
    ]


def stamp_header(
    hdu: StampHdu,
    facts: Sequence[tuple[str, Value, str]],
    remarks: Sequence[str] = (),
    *,
    checksum: bool = False,
) -> HduHeader:
    """Header of an image of a stamp, as that of a primary HDU.

    Parameters
    ----------
    hdu
        The image; of its own cards those of `facts` give way.
    facts
        Keyword, value and comment of what is added.
    remarks
        HISTORY.
    checksum
        Whether it has CHECKSUM and DATASUM.
    """
    named = {keyword for keyword, _, _ in facts} | ({"BLANK"} if hdu.bitpix < 0 else set())
    own = [
        (keyword, text)
        for keyword, text in split_cards(hdu.text)
        if not STRUCTURE.fullmatch(keyword) and keyword not in named
    ]
    cards = lines_of(
        [
            *_structure(hdu),
            *(text for _, text in own),
            *(card(keyword, value, comment) for keyword, value, comment in facts),
            *(history(remark) for remark in remarks),
        ]
    )
    return HduHeader((*cards, *(CHECKSUM if checksum else ())))


def _structure(hdu: StampHdu) -> list[str]:
    return [
        card("SIMPLE", True, "conforms to the FITS standard"),
        card("BITPIX", hdu.bitpix, "bits per pixel; negative: floating point"),
        card("NAXIS", len(hdu.shape), "number of axes"),
        *(
            card(f"NAXIS{axis}", length, "length of the axis")
            for axis, length in enumerate(reversed(hdu.shape), start=1)
        ),
    ]


def as_primary(header: HduHeader, name: str, *, followed: bool) -> HduHeader:
    """Return a header with the name of its image, and with EXTEND if others follow."""
    # The name that it had is kept, as that of an extension is.
    cards = header.as_extension(name).cards
    lengths = sum(1 for one in header.cards if str(one).startswith("NAXIS"))
    structure = header.cards[: 2 + lengths]
    extend = [card("EXTEND", True, "there are extensions")] if followed else []
    rest = cards[len(structure) + 2 :]  # behind PCOUNT and GCOUNT
    return HduHeader((*structure, *extend, *rest))


def further_header(hdu: StampHdu, prefix: str, extver: int | None, *, checksum: bool = False) -> HduHeader:
    """Header of a further HDU of a stamp, as an extension of another file.

    Parameters
    ----------
    prefix
        What its name begins with there; "" leaves it as it is.
    extver
        Its EXTVER there, None for its own.
    """
    header = header_of(hdu.text)
    name = hdu.name or str(hdu.number)
    if hdu.number == 0:
        header = header.as_extension(name)
    left = {"CHECKSUM", "DATASUM"} | ({"EXTNAME"} if prefix else set()) | ({"EXTVER"} if extver else set())
    kept = [one for one in header.cards if keyword_of(one) not in left]
    added: list[Card] = [card("EXTNAME", prefix + name, "name of this extension")] if prefix else []
    if extver:
        added.append(card("EXTVER", extver, "number of the epoch"))
    return HduHeader((*kept, *added, *(CHECKSUM if checksum else ())))
