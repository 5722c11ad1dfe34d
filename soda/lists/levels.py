"""Three levels of settings: of the service, of the job, and of each row; the last that says something has it.

Texts are read by the parsers of every other request, each text once however many rows have it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from dali.errors import ProtocolError, UsageError, quoted
from dali.parameters import Parameters
from soda.habits import DEFAULT_SIZE, parse_bands, side_of
from soda.lists.alerts import stamps_of
from soda.lists.products import Product, is_of_each, labelled, products_of
from soda.params import ManyCutouts, parse_box_size, parse_dataset, parse_media_type, parse_products
from soda.refusals import refusal
from soda.table import BY_NAME, FITS, PARAMETERS, PICTURE_TYPES
from surveys.access import Reader
from surveys.alerts.options import check_stamp_look
from surveys.alerts.planner import refuse_meaningless
from surveys.errors import RequestFault
from surveys.identifiers import Identifiers
from surveys.planner import check_access
from surveys.sky.stencil import Size
from surveys.survey import Survey

#: Columns that say what is cut, and of which size.
DATASET_COLUMNS = ("obs_publisher_did", "survey", "kind", *(BAND_COLUMNS := ("band", "bands", "filter")))
SIZE_COLUMNS = ("size", "radius", "width", "height", "xsize", "ysize")
#: Columns that have another name than their parameter.
_CALLED = {"format": "RESPONSEFORMAT"}
#: Parameters that rows have no say in, or say otherwise.
_OTHERWISE = frozenset(
    ("ID", "POS", "CIRCLE", "POLYGON", "CENTER", "SIZE", "BAND", "FILTER", "WIDTH", "HEIGHT", "RUNID")
)
_BARE_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")

Texts = Mapping[str, str]
T = TypeVar("T")

#: Ways to say a size; a row has one of them.
_KINDS = {
    "size": "size",
    "radius": "radius",
    **dict.fromkeys(("width", "height"), "sides"),
    **dict.fromkeys(("xsize", "ysize"), "arcmin"),
}


def parameter_of(column: str) -> str | None:
    """Name of the parameter that a column of products stands for; None if it is no such column."""
    name = _CALLED.get(column, column.upper())
    return name if name in BY_NAME and name not in _OTHERWISE else None


@dataclass(frozen=True, slots=True)
class JobLevel:
    """What a job says for all of its rows.

    Parameters
    ----------
    datasets
        What follows ``?`` in its IDs; () where rows name theirs.
    size
        Of the boxes; None where the job says nothing of it.
    formats
        RESPONSEFORMAT as it was sent.
    options
        Everything else that is said of the products.
    """

    datasets: tuple[str, ...]
    size: Size | None
    formats: tuple[str, ...]
    options: Parameters


class Levels:
    """Resolves the settings of rows.

    Parameters
    ----------
    job
        What the job says.
    identifiers
        Publisher DIDs of this service.
    survey
        Finds a survey by its name.
    reader
        Who asks.
    """

    def __init__(
        self,
        job: JobLevel,
        identifiers: Identifiers,
        survey: Callable[[str], Survey],
        reader: Reader,
    ) -> None:
        self._job = job
        self._identifiers = identifiers
        self._survey = survey
        self._reader = reader
        self._asked: dict[tuple[object, ...], ManyCutouts] = {}

    def check(self) -> None:
        """Raise what is wrong with the settings of the job, whatever its rows say."""
        if self._job.datasets:
            self.products({})
            return
        types = self._types(self._job.formats)
        for media_type in types:
            self._parse(_fitting(self._job.options.values, media_type, types), media_type, ())

    def size(self, said: Texts) -> Size:
        """Size of the box of a row.

        Raises
        ------
        UsageError
            If it is wrong, or said twice.
        """
        given = [name for name in SIZE_COLUMNS if said.get(name)]
        if not given:
            return self._job.size or parse_box_size(DEFAULT_SIZE)
        if len({_KINDS[name] for name in given}) > 1:
            raise UsageError(f"{' and '.join(given)} of one row are each a size; one is taken")
        match _KINDS[given[0]]:
            case "sides":
                return _sides(said, "width", "height", _parse_side)
            case "arcmin":
                return _sides(said, "xsize", "ysize", _parse_arcminutes)
            case "radius":
                return parse_radius(said["radius"])
            case _:
                return parse_box_size(said["size"])

    def products(self, said: Texts) -> tuple[Product, ...]:
        """Products of a row, at least one.

        Raises
        ------
        ProtocolError
            If something of it is wrong, there is no such dataset, or it is not for the caller.
        """
        columns = {column: name for column in said if (name := parameter_of(column)) and said[column]}
        options = {name: said[column] for column, name in columns.items()}
        of_job = self._job.options.values
        formats = self._job.formats
        if own_format := options.pop("RESPONSEFORMAT", None):
            # What the job says of pictures is for those rows that are some.
            formats = (own_format,)
            of_job = _concerning(of_job, parse_media_type(own_format))
        own = tuple((column, said[column]) for column, name in columns.items() if name in options)
        types = self._types(formats)
        found: list[Product] = []
        for media_type in types:
            for datasets, filters in self._datasets(said, media_type):
                values = {**of_job, **{name: (text,) for name, text in options.items()}}
                if filters:
                    values["FILTER"] = filters
                bands = tuple((name, said[name]) for name in BAND_COLUMNS if filters and said.get(name))
                many = self._parse(_fitting(values, media_type, types), media_type, datasets)
                self._check_stamps(many)
                found += (replace(one, own=(*own, *bands)) for one in products_of(many, media_type))
        return labelled(found)

    def _types(self, formats: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(parse_media_type(text) for text in formats)) or (FITS,)

    def _parse(
        self, values: Mapping[str, tuple[str, ...]], media_type: str, datasets: tuple[str, ...]
    ) -> ManyCutouts:
        """Parse what is said of products; the faults of several bands depend on what kind datasets are."""
        kinds = tuple("/" in dataset for dataset in datasets)
        key = (tuple(sorted(values.items())), media_type, kinds)
        if key not in self._asked:
            given = Parameters({**values, "RESPONSEFORMAT": (media_type,)})
            self._asked[key] = parse_products(given, datasets)
        return replace(self._asked[key], datasets=datasets)

    def _datasets(self, said: Texts, media_type: str) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
        """Datasets of a row, and the bands of them that one product is of: of alerts, then of images."""
        named = [name for name in ("obs_publisher_did", "survey") if said.get(name)]
        texts = [said[name] for name in BAND_COLUMNS if said.get(name)]
        if len(texts) > 1:
            raise UsageError("band, bands and filter of one row are each its bands; one is taken")
        if "obs_publisher_did" in named:
            bases: Sequence[str] = (parse_dataset(said["obs_publisher_did"].strip(" "), self._identifiers),)
        elif named:
            bases = (said["survey"].strip(" "),)
        else:
            bases = self._job.datasets
        if not bases:
            raise UsageError(
                "the row names no dataset, and the job has no ID",
                "Send ID with the job, or a column obs_publisher_did or survey.",
            )
        images = []
        for base in bases:
            survey = self._open(base)
            if survey.kind == "alerts":
                yield stamps_of(base, survey, said), parse_bands(texts[0], survey) if texts else ()
            else:
                images.append(self._check(base, survey))
        if images and texts:
            yield self._of_bands(images, texts[0], media_type, is_own=bool(named))
        elif images:
            yield tuple(dict.fromkeys(images)), ()

    def _of_bands(
        self, bases: Sequence[str], text: str, media_type: str, *, is_own: bool
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Say which bands of datasets are meant: a file each, or one picture of several."""
        found: dict[str, None] = {}
        filters: tuple[str, ...] = ()
        for base in bases:
            name, *rest = base.split("/")
            labels = parse_bands(text, self._survey(name))
            if rest and is_own and [label.lower() for label in labels] != [rest[0].lower()]:
                raise UsageError(
                    f"the row names the band {quoted(rest[0])} of {name}, and {quoted(text)} as its band"
                )
            if len(rest) > 1 and is_own:
                found[base] = None
            elif media_type in PICTURE_TYPES and len(labels) > 1:
                found[name], filters = None, labels
            else:
                found |= dict.fromkeys(f"{name}/{label}" for label in labels)
        return tuple(found), filters

    def _open(self, dataset: str) -> Survey:
        """See that there is such a survey, and that the caller may read it."""
        try:
            survey = self._survey(dataset.partition("/")[0])
            check_access(dataset, survey, self._reader)
        except RequestFault as fault:
            raise refusal(fault, self._identifiers) from fault
        return survey

    def _check_stamps(self, many: ManyCutouts) -> None:
        """Refuse what has no meaning for stamps, where these are asked for."""
        if any(is_of_each(dataset) for dataset in many.datasets):
            try:
                refuse_meaningless(many.common)
                check_stamp_look(many.common, self._survey(many.datasets[0].partition("/")[0]))
            except RequestFault as fault:
                raise refusal(fault, self._identifiers) from fault

    def _check(self, dataset: str, survey: Survey) -> str:
        """See that there is such a band of a survey of images."""
        try:
            if rest := dataset.split("/")[1:]:
                survey.band(rest[0])
        except RequestFault as fault:
            raise refusal(fault, self._identifiers) from fault
        return dataset


class Resolved:
    """Settings of the rows of a table, each told by a number; those that are wrong are faults.

    Parameters
    ----------
    levels
        Resolves them.
    columns
        Columns of settings of a table, by our names, all of one length.
    count
        Number of rows.

    Attributes
    ----------
    sets, sizes
        Different settings: products or a fault, size or a fault.
    set_of, size_of
        Number of those of each row.
    """

    def __init__(self, levels: Levels, columns: Mapping[str, Sequence[str]], count: int) -> None:
        products = {name: texts for name, texts in columns.items() if name not in SIZE_COLUMNS}
        sizes = {name: texts for name, texts in columns.items() if name in SIZE_COLUMNS}
        self.set_of, self.sets = _different(products, count, levels.products)
        self.size_of, self.sizes = _different(sizes, count, levels.size)


def _different(
    columns: Mapping[str, Sequence[str]], count: int, parse: Callable[[Texts], T]
) -> tuple[list[int], list[T | ProtocolError]]:
    """Parse each different combination of texts once."""
    names = tuple(columns)
    if not names:
        return [0] * count, [_tried(parse, {})]
    numbers: dict[tuple[str, ...], int] = {}
    of_row = [numbers.setdefault(texts, len(numbers)) for texts in zip(*columns.values(), strict=True)]
    return of_row, [_tried(parse, dict(zip(names, texts, strict=True))) for texts in numbers]


def _tried(parse: Callable[[Texts], T], said: Texts) -> T | ProtocolError:
    try:
        return parse(said)
    except ProtocolError as fault:
        return fault


def parse_radius(text: str, name: str = "RADIUS") -> Size:
    """Read half the side of a square."""
    size = parse_box_size(text, name)
    if size.width != size.height:
        raise UsageError(f"{name} is one number with a unit; got {quoted(text)}", f"Write {name}=15arcsec.")
    return replace(size, width=2 * size.width, height=2 * size.height)


def _sides(said: Texts, x: str, y: str, parse: Callable[[str, str], Size]) -> Size:
    """Make a size of its sides; of one alone a square."""
    width, height = parse(said.get(x) or said[y], x.upper()), parse(said.get(y) or said[x], y.upper())
    if width.in_pixels != height.in_pixels:
        raise UsageError(f"{x.upper()} and {y.upper()} are both pixels, or both angles")
    return Size(width.width, height.width, width.in_pixels)


def _parse_side(text: str, name: str) -> Size:
    length, in_pixels = side_of(name)(text)
    return Size(length, length, in_pixels)


def _parse_arcminutes(text: str, name: str) -> Size:
    """Read a side as the Dark Energy Survey has it: arcminutes where there is no unit."""
    number = text.strip(" ")
    try:
        return _parse_side(f"{number}arcmin" if _BARE_NUMBER.fullmatch(number) else text, name)
    except UsageError as fault:
        fix = f"Write {name}=0.5 in arcminutes, or a number with its unit: {name}=30arcsec."
        raise UsageError(fault.sentence, fix) from fault


def _fitting(
    values: Mapping[str, tuple[str, ...]], media_type: str, types: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Leave out what is for the products of another kind, where there are such."""
    if len({one in PICTURE_TYPES for one in types}) < 2:
        return dict(values)
    return _concerning(values, media_type)


def _concerning(values: Mapping[str, tuple[str, ...]], media_type: str) -> dict[str, tuple[str, ...]]:
    """Leave out what is for products of another kind than this."""
    is_picture = media_type in PICTURE_TYPES
    others = {p.name for p in PARAMETERS if (p.concern == "fits" if is_picture else p.of_pictures)}
    return {name: texts for name, texts in values.items() if name not in others}
