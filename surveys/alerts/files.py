"""FITS files of stamps: one with what is known of it, all of an alert, all epochs of an object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surveys.alerts.cards import (
    alert_facts,
    as_primary,
    further_header,
    iso_of,
    makers,
    put_right,
    stamp_header,
)
from surveys.alerts.cut import Cut, cut_stamp
from surveys.alerts.made import Made
from surveys.alerts.reading import Epoch
from surveys.alerts.stored import StampHdu
from surveys.fits.checksum import Checksum
from surveys.fits.hdus import CHECKSUM, HduHeader, lines_of, padded
from surveys.fits.header import Value, card, history
from surveys.fits.provenance import Site
from surveys.fits.table import Column, Table, width_of
from surveys.request import CutoutRequest
from surveys.survey import Survey

_NOTHING = StampHdu(0, "", {}, 8, (), b"")


def write_hdu(made: Made, header: HduHeader, data: bytes) -> None:
    """Write an HDU.

    Raises
    ------
    TooLarge
        If the file becomes too large.
    """
    total = Checksum()
    if header.has_checksum:
        total.add(np.frombuffer(data, np.uint8))
    made.write(header.write({}, total.value), data, bytes(padded(len(data)) - len(data)))


@dataclass(frozen=True, slots=True)
class FileMaker:
    """What the files of one request have in common.

    Parameters
    ----------
    request, survey, site
        What is asked, of what, and of whom.
    """

    request: CutoutRequest
    survey: Survey
    site: Site

    def stamp(self, epoch: Epoch, kind: str) -> Made:
        """Make a file of one stamp.

        Raises
        ------
        BrokenImage
            If the stamp cannot be read; `dataset` names the alert.
        RequestFault
            If the region cannot be cut out of it.
        """
        file = Made()
        stamp = epoch.the(kind)
        hdus = stamp.hdus
        image = stamp.image(hdus)
        cut = self._cut(image, epoch)
        further = [self._cut_alike(hdu, image, cut) for hdu in self._further(hdus, image)]
        facts = [*alert_facts(epoch.record, kind, self.site, cut.hdu.text), *cut.facts, *self._made()]
        remarks = [f"{self.site.creator}: {kind} stamp of {epoch.record.dataset}", *cut.remarks]
        header = stamp_header(cut.hdu, facts, remarks, checksum=self._checksum)
        write_hdu(file, as_primary(header, kind.upper(), followed=bool(further)), cut.hdu.data)
        file.note(cut)
        for hdu in further:
            write_hdu(file, further_header(hdu, "", None, checksum=self._checksum), hdu.data)
        return file

    def image(self, epoch: Epoch, kind: str) -> Cut:
        """Take the image of a stamp, or the region of it that is asked for.

        Raises
        ------
        BrokenImage, RequestFault
            As of a file.
        """
        stamp = epoch.the(kind)
        return self._cut(stamp.image(stamp.hdus), epoch)

    def alert(self, epoch: Epoch, kinds: Sequence[str]) -> Made:
        """Make a file of the stamps of an alert: the first is the primary HDU, the others follow.

        Raises
        ------
        BrokenImage, TooLarge
            As elsewhere.
        """
        file = Made()
        self._epoch(file, epoch, kinds, None)
        return file

    def object(self, epochs: Sequence[Epoch], kinds: Sequence[str]) -> Made:
        """Make a file of all epochs of an object: a table of them, and an extension for each stamp.

        Raises
        ------
        BrokenImage, TooLarge
            As elsewhere.
        """
        file = Made()
        write_hdu(file, self._object_header(epochs, kinds), b"")
        table = epochs_table(epochs, checksum=self._checksum)
        write_hdu(file, table.header, epochs_data(table, epochs))
        for number, epoch in enumerate(epochs, start=1):
            self._epoch(file, epoch, kinds, number)
        return file

    @property
    def _checksum(self) -> bool:
        return self.request.checksum

    def _made(self) -> list[tuple[str, Value, str]]:
        asked: list[tuple[str, Value, str]] = []
        if self.request.canonical:
            asked.append(("CUT_URL", self.request.canonical, "the request"))
        return [*makers(self.site), *asked]

    def _further(self, hdus: Sequence[StampHdu], image: StampHdu) -> list[StampHdu]:
        """HDUs beside the image, where they are asked for; a primary without data is none."""
        if self.request.detail != "full":
            return []
        return [hdu for hdu in hdus if hdu is not image and (hdu.number or hdu.data)]

    def _cut(self, image: StampHdu, epoch: Epoch) -> Cut:
        return cut_stamp(put_right(image, self.survey), self.request, self.survey, epoch.record.dataset)

    def _cut_alike(self, hdu: StampHdu, image: StampHdu, cut: Cut) -> StampHdu:
        """Cut what lies on the pixels of the image as the image is cut."""
        return cut.also(hdu) if hdu.is_image and hdu.shape == image.shape else hdu

    def _epoch(self, file: Made, epoch: Epoch, kinds: Sequence[str], number: int | None) -> None:
        """Write the stamps of an alert, then what else is asked for of them.

        Parameters
        ----------
        number
            EXTVER of all of them; None for a file of this alert alone.
        """
        further: list[tuple[str, StampHdu]] = []
        for kind in kinds:
            stamp = epoch.open(kind)
            image, remarks = _NOTHING, []
            if stamp is None:
                remarks.append(f"There is no {kind} stamp of {epoch.record.dataset}")
                file.remarks += remarks
            else:
                hdus = stamp.hdus
                stored = stamp.image(hdus)
                image = put_right(stored, self.survey)
                further += [(kind, hdu) for hdu in self._further(hdus, stored)]
            facts = [*alert_facts(epoch.record, kind, self.site, image.text), *self._made()]
            header = stamp_header(image, facts, remarks, checksum=self._checksum)
            if number is None and kind == kinds[0]:
                followed = len(kinds) > 1 or self.request.detail == "full"
                header = as_primary(header, kind.upper(), followed=followed)
            else:
                header = header.as_extension(kind.upper(), _version(number))
            write_hdu(file, header, image.data)
            file.count(image)
        for kind, hdu in further:
            header = further_header(hdu, f"{kind.upper()}_", number, checksum=self._checksum)
            write_hdu(file, header, hdu.data)

    def _object_header(self, epochs: Sequence[Epoch], kinds: Sequence[str]) -> HduHeader:
        """Header of the first HDU of an object's file, which has no pixels."""
        first, last = epochs[0].record, epochs[-1].record
        dataset = f"{self.survey.name}/object/{first.object_id}"
        facts: list[tuple[str, Value, str]] = [
            ("SIMPLE", True, "conforms to the FITS standard"),
            ("BITPIX", 8, "bits per pixel; there are none"),
            ("NAXIS", 0, "number of axes"),
            ("EXTEND", True, "there are extensions"),
            ("OBJECT", first.object_id, "object that the alerts are of"),
            ("NALERTS", len(epochs), "number of alerts, each an epoch"),
            ("TIMESYS", "UTC", "scale of the times"),
            ("MJD-BEG", first.mjd, "[d] the first epoch"),
            ("DATE-BEG", iso_of(first.mjd), "the first epoch"),
            ("MJD-END", last.mjd, "[d] the last epoch"),
            ("DATE-END", iso_of(last.mjd), "the last epoch"),
            ("ORIG_ID", self.site.did_prefix + dataset, "publisher DID of the source"),
            *self._made(),
        ]
        remark = f"{self.site.creator}: {', '.join(kinds)} stamps of {dataset}; EXTVER is the epoch"
        cards = lines_of([*(card(*fact) for fact in facts), history(remark)])
        return HduHeader((*cards, *(CHECKSUM if self._checksum else ())))


def _version(number: int | None) -> list[str]:
    return [] if number is None else [card("EXTVER", number, "number of the epoch")]


def epochs_table(epochs: Sequence[Epoch], *, checksum: bool) -> Table:
    """Table of the epochs of an object."""
    records = [epoch.record for epoch in epochs]
    columns = (
        Column("epoch", "EXTVER of its stamps", whole=True),
        Column("candid", "number of the alert", whole=True),
        Column("object", "object that it is of", width_of(record.object_id for record in records)),
        Column("mjd", "when it was observed, UTC", unit="d"),
        Column("band", "band", width_of(record.band for record in records)),
        Column("ra", "position of the alert, ICRS", unit="deg"),
        Column("dec", "position of the alert, ICRS", unit="deg"),
    )
    return Table("EPOCHS", columns, len(records), ("An alert a row, in order of time",), checksum)


def epochs_data(table: Table, epochs: Sequence[Epoch]) -> bytes:
    """Rows of that table."""
    records = [epoch.record for epoch in epochs]
    return table.data(
        {
            "epoch": list(range(1, len(records) + 1)),
            "candid": [record.candid for record in records],
            "object": [record.object_id for record in records],
            "mjd": [record.mjd for record in records],
            "band": [record.band for record in records],
            "ra": [record.ra_deg for record in records],
            "dec": [record.dec_deg for record in records],
        }
    )
