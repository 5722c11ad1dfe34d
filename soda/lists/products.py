"""Products of a target: what is cut at its place, and what each is called."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import TypeVar
from urllib.parse import quote_plus

from dali.xtypes import format_numbers
from soda.combinations import numbered
from soda.params import ManyCutouts, on_grid, with_bands
from soda.spelling import canonical_query, spell_size
from soda.table import ARRAY, FITS, JPEG, PNG, WEBP
from surveys.identifiers import Identifiers
from surveys.request import CutoutRequest
from surveys.sky.stencil import CenteredBox, Size

#: Words for media types, in ids of results and in the ledger.
FORMATS = {FITS: "fits", "image/fits": "fits", PNG: "png", JPEG: "jpeg", WEBP: "webp", ARRAY: "json"}
MAX_LABEL = 64
#: Stands for the alert, or the object, that a row names, in the dataset of a product: ``survey/*/kind``.
EACH = "*"
T = TypeVar("T")

_UNSAFE = re.compile(r"[^A-Za-z0-9._~-]+")


@dataclass(frozen=True, slots=True)
class Product:
    """A cutout but for its place.

    Parameters
    ----------
    label
        Tells it from the other products of its target; "" of the only one.
    request
        Of no region, and without its canonical spelling.
    media_type
        Of the file.
    number
        What else its label is made of: ``band2`` of several values of BAND; "" for nothing.
    own
        What the row says of it itself beside dataset, size and format: columns and texts.
    """

    label: str
    request: CutoutRequest
    media_type: str
    number: str = ""
    own: tuple[tuple[str, str], ...] = ()

    @property
    def format(self) -> str:
        """Kind of the file in a word."""
        return FORMATS[self.media_type]

    @property
    def survey(self) -> str:
        """Name of the survey, as it was written."""
        return self.request.dataset.partition("/")[0]

    @property
    def is_of_alerts(self) -> bool:
        """Whether it is of the alert, or of the object, that a row names, and not of a place."""
        return is_of_each(self.request.dataset)

    @property
    def bands(self) -> tuple[str, ...]:
        """Labels of the bands that are asked for; () where all there are is meant."""
        if self.is_of_alerts:
            return self.request.filters
        if rest := self.request.dataset.split("/")[1:]:
            return (rest[0],)
        picture = self.request.picture
        return picture.bands if picture is not None and picture.bands else self.request.filters

    @property
    def has_all_bands(self) -> bool:
        """Whether its file has all `bands`: of several that are asked for a file has those with data."""
        if self.is_of_alerts:
            return False
        return len(self.bands) == 1 or (self.request.picture is not None and bool(self.request.picture.bands))


def is_of_each(dataset: str) -> bool:
    """Whether a dataset is that of the alert, or of the object, that each row names."""
    return dataset.split("/")[1:2] == [EACH]


def products_of(many: ManyCutouts, media_type: str) -> Iterator[Product]:
    """List all combinations of the values of ID, BAND, TIME and RGB; the last varies fastest."""
    for dataset in many.datasets:
        for (band, band_m), (time, time_mjd), (rgb, bands) in product(
            _choices("band", many.bands_m), _choices("time", many.times_mjd), _choices("rgb", many.triplets)
        ):
            request = replace(
                many.common,
                dataset=dataset,
                band_m=band_m,
                time_mjd=time_mjd,
                picture=with_bands(many.common.picture, bands),
            )
            yield Product("", request, media_type, "-".join(part for part in (band, time, rgb) if part))


def _choices(name: str, values: Sequence[T]) -> list[tuple[str, T | None]]:
    if len(values) <= 1:
        return [("", next(iter(values), None))]
    return [(numbered(name, number, len(values)), value) for number, value in enumerate(values, start=1)]


def labelled(products: Sequence[Product]) -> tuple[Product, ...]:
    """Give products labels that differ whatever the case of their letters, made of what they differ in."""
    products = tuple(dict.fromkeys(products))
    if len(products) == 1:
        return (replace(products[0], label=""),)
    datasets = _short_names(tuple(dict.fromkeys(one.request.dataset for one in products)))
    with_format = len({one.format for one in products}) > 1
    labels = []
    for one in products:
        parts = (
            datasets[one.request.dataset],
            one.number,
            one.format if with_format else "",
        )
        labels.append("-".join(part for part in parts if part)[:MAX_LABEL])
    counts = Counter(label.lower() for label in labels)
    return tuple(
        replace(one, label=label if label and counts[label.lower()] == 1 else f"product{number}")
        for number, (one, label) in enumerate(zip(products, labels, strict=True), start=1)
    )


def _short_names(datasets: Sequence[str]) -> dict[str, str]:
    """Name datasets by their bands, where that tells them apart, else by more of their names."""
    if len(datasets) == 1:
        return {datasets[0]: ""}
    names: dict[str, str] = {}
    parts_of = {dataset: [part for part in dataset.split("/") if part != EACH] for dataset in datasets}
    for part in (slice(1, 2), slice(-1, None), slice(0, 2), slice(None)):
        names = {
            dataset: _UNSAFE.sub("_", "-".join(parts[part] or parts)) for dataset, parts in parts_of.items()
        }
        if len({name.lower() for name in names.values()}) == len(datasets):
            break
    return names


_made: Callable[..., CutoutRequest] = CutoutRequest


class Spelling:
    """Writes the requests of one product, at many places or of many alerts, in their canonical spelling.

    It is that of `soda.spelling.canonical_query`, of which all but the place is spelled once.
    """

    def __init__(self, product: Product, identifiers: Identifiers) -> None:
        did, _, rest = canonical_query(product.request, identifiers).partition("&")
        self._pixscale_deg = product.request.mosaic.pixscale_deg
        # What `dataclasses.replace` would gather anew for each place.
        first, _, *others, _ = (getattr(product.request, one.name) for one in fields(CutoutRequest))
        self._dataset, self._others = first, tuple(others)
        self._head = f"{did}&CENTER="
        self._did = did
        self._tail = f"&{rest}" if rest else ""
        self._sizes: dict[Size, tuple[Size, str]] = {}

    def request(self, ra_deg: float, dec_deg: float, size: Size) -> CutoutRequest:
        """Request of a box about a place; `size` as the row says it."""
        box, spelled = self._sizes.get(size) or self._size(size)
        center = format_numbers(ra_deg, dec_deg).replace(" ", "+")
        canonical = f"sync?{self._head}{center}&SIZE={spelled}{self._tail}"
        return _made(self._dataset, CenteredBox(ra_deg, dec_deg, box), *self._others, canonical)

    def named(self, name: str) -> CutoutRequest:
        """Request of an alert or of an object, ``alert/123`` or ``object/ZTF18abc``."""
        dataset = self._dataset.replace(EACH, name, 1)
        did = self._did.replace(quote_plus(EACH), quote_plus(name, safe=":/?@,~"), 1)
        return _made(dataset, None, *self._others, f"sync?{did}{self._tail}")

    def _size(self, size: Size) -> tuple[Size, str]:
        box = on_grid(size, self._pixscale_deg)
        self._sizes[size] = box, spell_size(box).replace(" ", "+")
        return self._sizes[size]
