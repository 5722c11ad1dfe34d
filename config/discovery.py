"""How the service is found: links, examples, and its record for the registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from urllib.parse import parse_qsl, quote

from sqlalchemy import Engine

from config.settings import LinksSettings, Settings
from dali.caller import Caller
from dali.parameters import Parameters
from dali.xtypes import format_numbers
from datalink.links import WholeImage
from datalink.params import LINKS_TYPE
from datalink.service import STANDARD_ID as LINKS_ID
from datalink.service import LinksService
from sia.descriptor import STANDARD_ID as QUERY_ID
from soda.descriptor import SYNC, Descriptors
from soda.heavier import Client
from soda.service import SyncService
from soda.spelling import canonical_query
from soda.table import PNG
from surveys.access import EVERYBODY, Reader
from surveys.alert import AlertRecord
from surveys.errors import UnknownDataset
from surveys.identifiers import Identifiers
from surveys.index.catalog import Catalog
from surveys.index.extent import Extent, extent_of_alerts, moc_text, read_extent
from surveys.index.facts import DatasetFacts
from surveys.lru import Lru
from surveys.preview import MEDIA_TYPE as PREVIEW_TYPE
from surveys.survey import Survey
from vosi.capabilities import Capability, Interface, Param
from vosi.examples import Example
from vosi.record import Coverage, Record

#: So many surveys are shown by examples.
EXAMPLE_SURVEYS = 5
PICTURE_SIZE = "128px"


def make_links(
    settings: LinksSettings,
    catalog: Catalog,
    identifiers: Identifiers,
    descriptors: Descriptors,
    sync: SyncService,
    reader_of: Callable[[Caller], Reader],
) -> LinksService:
    """Make the service of links; a whole image is had from SODA sync, as far as that gives it."""

    def whole(did: str, caller: Caller, base_url: str) -> WholeImage:
        asked = sync.ask(Parameters({"ID": (did,)}), Client(base_url, caller))
        request = asked.request
        size = asked.plan.cost.bytes_out if asked.plan.parts else None
        return WholeImage(request.cutout.canonical, request.media_type, size)

    def preview(did: str) -> tuple[str, str]:
        return f"preview?ID={quote(did, safe=':/?')}", PREVIEW_TYPE

    return LinksService(
        catalog, identifiers, descriptors, whole, preview, reader_of, max_ids=settings.max_ids
    )


def links_capability() -> Capability:
    """DataLink, with its parameters."""
    interface = Interface(
        "links",
        use="base",
        version="1.1",
        query_types=("GET", "POST"),
        result_type=LINKS_TYPE,
        params=(
            Param(
                "ID",
                "Publisher DID of an image, a survey band, a survey, an alert or an object",
                "meta.id;meta.main",
            ),
            Param("RESPONSEFORMAT", "Media type of the answer", "meta.code.mime"),
            Param("MAXREC", "So many rows at most", datatype="integer"),
        ),
    )
    return Capability(LINKS_ID, (interface,))


class Discovery:
    """Tells everybody of the surveys there are: examples to try, and the record for the registry.

    Surveys that are not open to everybody are not in either.

    Parameters
    ----------
    settings
        What the record says of the people who run the service.
    engine, catalog
        The image index.
    identifiers
        Publisher DIDs of this service.
    started
        When the service was started: the record is no older.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        catalog: Catalog,
        identifiers: Identifiers,
        started: datetime,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._catalog = catalog
        self._identifiers = identifiers
        self._started = started
        self._extents: Lru[tuple[str, int], Extent] = Lru(256)

    def examples(self) -> list[Example]:
        """List requests that give something small, of the first public surveys that have images."""
        public = [survey for survey in self._catalog.surveys if survey.is_public]
        images = [survey for survey in public if survey.lake is None]
        held = (facts for survey in images if (facts := self._facts(survey.name)) is not None)
        shown = [example for facts in islice(held, EXAMPLE_SURVEYS) for example in self._of_survey(facts)]
        alerts = [survey for survey in public if survey.lake is not None]
        samples = (one for survey in alerts if (one := self._catalog.alerts.sample(survey)) is not None)
        return shown + [one for alert in islice(samples, EXAMPLE_SURVEYS) for one in self._of_alert(alert)]

    def record(self, base_url: str) -> Record:
        """Write down what the registry is told."""
        said, publisher = self._settings.record, self._settings.publisher
        known = [survey for survey in self._catalog.surveys if survey.access.may_enter(EVERYBODY)]
        extents = [(survey, self._extent(survey)) for survey in known]
        held = [(survey, extent) for survey, extent in extents if extent.cells]
        surveys = [survey for survey, _ in held]
        changes = [extent.last_modified for _, extent in held if extent.last_modified is not None]
        updated = max([self._started, *changes])
        name = publisher.name or self._settings.identifiers.origin
        return Record(
            identifier=self._settings.identifiers.base,
            title=said.title,
            short_name=said.short_name,
            description=said.description or _described(surveys),
            subjects=said.subjects,
            reference_url=said.reference_url or f"{base_url}/examples",
            publisher=name,
            contact=publisher.contact or name,
            email=publisher.email,
            rights=said.rights,
            rights_url=said.rights_url,
            created=said.since or updated,
            updated=updated,
            facilities=_distinct(survey.facility_name for survey in surveys),
            instruments=_distinct(survey.instrument_name for survey in surveys),
            coverage=_coverage(held),
        )

    def _facts(self, dataset: str) -> DatasetFacts | None:
        try:
            return self._catalog.describe(dataset)
        except UnknownDataset:
            return None

    def _of_survey(self, survey: DatasetFacts) -> Iterator[Example]:
        """Cut something from a band, or an image where bands cannot be cut; search there; ask for links."""
        name, title = survey.survey.name, survey.survey.title
        dataset = survey.sample if survey.example is None else f"{name}/{survey.filters[0]}"
        facts = self._facts(dataset)
        if facts is None or facts.example is None:
            return
        cutout = dict(parse_qsl(canonical_query(facts.example, self._identifiers)))
        yield Example(
            f"cutout-{name}",
            f"Cutout from {title}",
            f"A few arcseconds of {dataset}, as a FITS file.",
            SYNC.standard_id,
            SYNC.path,
            tuple(cutout.items()),
        )
        ra, dec, _ = cutout["CIRCLE"].split()
        picture = {"ID": cutout["ID"], "CENTER": f"{ra} {dec}", "SIZE": PICTURE_SIZE, "RESPONSEFORMAT": PNG}
        yield Example(
            f"picture-{name}",
            f"Picture from {title}",
            f"The same place as a browser shows it; in one short URL: "
            f"/cutout?ra={ra}&dec={dec}&survey={dataset}&size={PICTURE_SIZE}",
            SYNC.standard_id,
            SYNC.path,
            tuple(picture.items()),
        )
        here = {"POS": f"CIRCLE {cutout['CIRCLE']}", "COLLECTION": survey.survey.obs_collection}
        yield Example(
            f"query-{name}",
            f"Images of {title} at that place",
            "The survey bands and images that overlap a circle.",
            QUERY_ID,
            "query",
            (*here.items(), ("MAXREC", "10")),
        )
        yield Example(
            f"links-{name}",
            f"Links of an image of {title}",
            f"What there is of {survey.sample}: the file, and the services that cut it.",
            LINKS_ID,
            "links",
            (("ID", self._identifiers.did(survey.sample)),),
        )

    def _of_alert(self, alert: AlertRecord) -> Iterator[Example]:
        """Fetch its stamps, look at those of its object; search there; ask for links."""
        survey = self._catalog.survey(alert.survey)
        name, title = survey.name, survey.title
        did = self._identifiers.did(alert.dataset)
        yield Example(
            f"stamps-{name}",
            f"Stamps from {title}",
            f"Every kind of stamp of the alert {alert.candid}, in one FITS file.",
            SYNC.standard_id,
            SYNC.path,
            (("ID", did),),
        )
        if alert.object_id:
            yield Example(
                f"epochs-{name}",
                f"Epochs from {title}",
                f"All alerts of {alert.object_id} as a strip: a column an epoch.",
                SYNC.standard_id,
                SYNC.path,
                (("ID", self._identifiers.did(f"{name}/object/{alert.object_id}")), ("RESPONSEFORMAT", PNG)),
            )
        circle = f"CIRCLE {format_numbers(round(alert.ra_deg, 6), round(alert.dec_deg, 6))} 0.01"
        yield Example(
            f"query-{name}",
            f"Alerts of {title} at a place",
            "The alerts whose stamps overlap a circle.",
            QUERY_ID,
            "query",
            (("POS", circle), ("COLLECTION", survey.obs_collection), ("MAXREC", "10")),
        )
        yield Example(
            f"links-{name}",
            f"Links of an alert of {title}",
            f"What there is of {alert.dataset}: its stamps, pictures, and the object it is of.",
            LINKS_ID,
            "links",
            (("ID", did),),
        )

    def _extent(self, survey: Survey) -> Extent:
        key = (survey.name, self._catalog.generation(survey.name))
        if survey.lake is not None:
            return self._extents.get(key, lambda: extent_of_alerts(self._catalog, survey))
        return self._extents.get(key, lambda: read_extent(self._engine, survey.name))


def _described(surveys: Sequence[Survey]) -> str:
    titles = ", ".join(survey.title for survey in surveys)
    return (
        "Cutouts of astronomical image surveys. Name a survey and a position, and get the pixels as FITS: "
        f"found by SIA2, described by DataLink, cut by SODA. {f'Surveys: {titles}.' if titles else ''}"
    ).rstrip()


def _coverage(held: Sequence[tuple[Survey, Extent]]) -> Coverage:
    times = [extent.time_mjd for _, extent in held if extent.time_mjd is not None]
    bands = {(band.em_min_m, band.em_max_m) for survey, _ in held for band in survey.bands}
    return Coverage(
        moc_text(cells for _, extent in held for cells in extent.cells),
        (min(first for first, _ in times), max(last for _, last in times)) if times else None,
        tuple(sorted(bands)),
    )


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))
