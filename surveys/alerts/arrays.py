"""Pixels of stamps as JSON, for programs that know no FITS."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from surveys.alerts.files import FileMaker
from surveys.alerts.made import Made
from surveys.alerts.reading import Epoch
from surveys.alerts.stored import StampHdu
from surveys.fits.provenance import Site

What = Literal["kind", "alert", "object"]


def array_json(pixels: NDArray[Any]) -> bytes:
    """Write pixels as an array of rows, the first row of the FITS file first.

    Numbers are those of the pixels exactly, when they are read as doubles; what is not finite is ``null``.
    """
    if pixels.dtype.kind != "f":
        return _dumped(pixels.tolist())
    # Single precision becomes the doubles of the same values.
    values = pixels.astype(np.float64)
    finite = np.isfinite(values)
    if finite.all():
        return _dumped(values.tolist())
    known: NDArray[Any] = values.astype(object)
    known[~finite] = None
    return _dumped(known.tolist())


def values_of(hdu: StampHdu) -> NDArray[Any]:
    """Physical values of the pixels of a stamp: whole numbers where they are stored so."""
    is_plain = hdu.bitpix > 0 and hdu.blank is None and hdu.scaling == (1.0, 0.0)
    return hdu.stored if is_plain else hdu.physical()


def arrays_of(epochs: Sequence[Epoch], kinds: Sequence[str], maker: FileMaker, what: What) -> Made:
    """Write the stamps of an alert, or of all epochs of an object.

    Parameters
    ----------
    what
        ``kind``: the array of one stamp; ``alert``: one for each kind; ``object``: that for each epoch, with
        who, when and in which band it is.

    Raises
    ------
    BrokenImage, RequestFault, TooLarge
        As of a file.
    """
    made = Made()
    if what == "kind":
        made.write(*_stamp(epochs[0], kinds[0], maker, made))
    elif what == "alert":
        made.write(b"{", *_stamps(epochs[0], kinds, maker, made), b"}")
    else:
        made.write(b"[")
        for place, epoch in enumerate(epochs):
            made.write(b"," if place else b"", _beginning(epoch, maker.site))
            made.write(b",", *_stamps(epoch, kinds, maker, made), b"}")
        made.write(b"]")
    return made


def _stamps(epoch: Epoch, kinds: Sequence[str], maker: FileMaker, made: Made) -> Iterator[bytes]:
    for place, kind in enumerate(kinds):
        yield (b"," if place else b"") + _dumped(kind) + b":"
        if epoch.values[kind] is None:
            made.remarks.append(f"There is no {kind} stamp of {epoch.record.dataset}")
            yield b"null"
        else:
            yield from _stamp(epoch, kind, maker, made)


def _stamp(epoch: Epoch, kind: str, maker: FileMaker, made: Made) -> Iterator[bytes]:
    cut = maker.image(epoch, kind)
    made.note(cut)
    yield array_json(values_of(cut.hdu))


def _beginning(epoch: Epoch, site: Site) -> bytes:
    record = epoch.record
    # A number of 64 bits is more than JavaScript reads exactly: the identifier has it as text.
    facts = {
        "candid": record.candid,
        "id": site.did_prefix + record.dataset,
        "object": record.object_id,
        "mjd": record.mjd,
        "filter": record.band,
        "ra": record.ra_deg,
        "dec": record.dec_deg,
    }
    return _dumped(facts)[:-1]


def _dumped(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")
