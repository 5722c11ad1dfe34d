"""What is made of stamps: files, arrays and pictures, each of them in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from surveys.alert import AlertName, AlertRecord
from surveys.alerts.arrays import What, arrays_of
from surveys.alerts.cut import Beyond
from surveys.alerts.files import FileMaker
from surveys.alerts.made import Made
from surveys.alerts.pictures import Painter
from surveys.alerts.reading import Epoch, StampCatalog, read_epochs, records_of
from surveys.errors import RequestFault
from surveys.fits.naming import safe_name
from surveys.fits.provenance import Site
from surveys.picture.avm import Caption
from surveys.plan import CutoutPlan
from surveys.survey import Survey

FITS, JSON = "application/fits", "application/json"
SUFFIXES = {FITS: ".fits", JSON: ".json", "image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}


@dataclass(frozen=True, slots=True)
class Stamped:
    """A product of stamps, made.

    Parameters
    ----------
    content, media_type
        The file.
    gzip
        The same, gzipped, where it is stored so.
    covered
        Share of its pixels that have data; None where they were not looked at.
    remarks
        What is to be known of it, a sentence each.
    recipe
        Of a picture: by what it was made.
    beyond
        What became of a part of the region beyond a stamp.
    """

    content: bytes
    media_type: str
    gzip: bytes | None = None
    covered: float | None = None
    remarks: tuple[str, ...] = ()
    recipe: str = ""
    beyond: Beyond = ""


@dataclass(frozen=True, slots=True)
class StampProduct:
    """A product of stamps that is to be made; only making it tells its size.

    Parameters
    ----------
    file_name
        Name to save it under.
    media_type
        What it will be.
    name
        What is named by the identifier.
    plan, records
        What it is made of.
    survey, site
        Whose stamps they are, and who makes it.
    """

    file_name: str
    media_type: str
    name: AlertName
    plan: CutoutPlan
    records: tuple[AlertRecord, ...]
    survey: Survey
    site: Site

    @property
    def size(self) -> int | None:
        """Not known."""
        return None

    @property
    def remarks(self) -> tuple[str, ...]:
        """Only making it tells."""
        return ()

    def make(self, catalog: StampCatalog) -> Stamped:
        """Read the stamps, and make what is asked of them.

        Raises
        ------
        StaleImage, BrokenImage
            If a file is not the one that was indexed, or a stamp cannot be read; `dataset` names it.
        RequestFault
            If the request asks for what these stamps do not have.
        """
        request, what = self.plan.request, self._what
        if request.stencil is not None and what != "kind":
            raise RequestFault(
                "a region is cut out of one stamp: name an alert and a kind of stamp, or leave the region out"
            )
        epochs = read_epochs(self.plan.stamps, self.records, self.survey, catalog)
        maker = FileMaker(request, self.survey, self.site)
        if self.plan.is_stored:
            stored = epochs[0].the(self.name.kind).stored
            return Stamped(stored.fits, FITS, stored.gzip)
        if request.array:
            return _stamped(arrays_of(epochs, self._kinds, maker, what), JSON)
        if request.picture is not None:
            return self._drawn(epochs, Painter(maker, request.picture, self._caption()))
        match what:
            case "kind":
                return _stamped(maker.stamp(epochs[0], self.name.kind), FITS)
            case "alert":
                return _stamped(maker.alert(epochs[0], self._kinds), FITS)
            case "object":
                return _stamped(maker.object(epochs, self._kinds), FITS)

    def _drawn(self, epochs: Sequence[Epoch], painter: Painter) -> Stamped:
        """Make a picture."""
        match self._what:
            case "kind":
                picture = painter.stamp(epochs[0], self.name.kind)
            case "alert":
                picture = painter.alert(epochs[0], self._kinds)
            case "object" if self.media_type == "image/webp":
                picture = painter.animation(epochs, self._kinds)
            case "object":
                picture = painter.strip(epochs, self._kinds)
        made = picture.made
        remarks = tuple(dict.fromkeys(made.remarks))
        how = picture.recipe, made.beyond
        return Stamped(picture.content, picture.media_type, None, made.covered, remarks, *how)

    def _caption(self) -> Caption:
        survey = self.survey
        return Caption(
            title=self.file_name.rpartition(".")[0],
            credit=survey.credit or survey.publisher.name,
            facility=survey.facility_name,
            instrument=survey.instrument_name,
            reference_url=survey.publisher.url,
            dataset=self.site.did_prefix + self.plan.request.dataset,
        )

    @property
    def _what(self) -> What:
        """Whether it is of one stamp, of an alert or of an object."""
        if self.name.what == "object":
            return "object"
        return "kind" if self.name.kind else "alert"

    @property
    def _kinds(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(kind for stamp in self.plan.stamps for kind in stamp.kinds))


def _stamped(made: Made, media_type: str) -> Stamped:
    remarks = tuple(dict.fromkeys(made.remarks))
    return Stamped(b"".join(made.chunks), media_type, None, made.covered, remarks, beyond=made.beyond)


def describe_stamps(plan: CutoutPlan, catalog: StampCatalog, site: Site) -> StampProduct:
    """Describe the product of a plan of stamps; opens no file.

    Raises
    ------
    StaleImage
        If a file was indexed again since the plan was made.
    """
    records = records_of(plan, catalog)
    survey = catalog.survey(records[0].survey)
    request = plan.request
    media_type = JSON if request.array else request.picture.media_type if request.picture else FITS
    name = None if survey.lake is None else AlertName.parse(request.dataset, survey.lake)
    if name is None:
        raise ValueError(f"{request.dataset} names neither an alert nor an object")
    number = str(records[0].candid) if name.what == "alert" else ""
    parts = (survey.name, records[0].object_id, number, name.kind)
    file_name = safe_name("_".join(part for part in parts if part), SUFFIXES[media_type])
    return StampProduct(file_name, media_type, name, plan, records, survey, site)
