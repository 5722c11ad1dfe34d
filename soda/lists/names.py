"""Names of the files of a list: no two are the same, whatever the case of their letters.

They are those that sync gives, of survey, place, band and size, or of alert and kind of stamp. Where that may
be the name of a file of an earlier target too, the row of the target is added; where products of one target
may have one name, their labels. This is done when the list is split, and does not depend on the order in
which its rows are made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from soda.lists.products import Product
from surveys.fits.naming import position_name

#: Survey, bands and format of a product; () of bands that only making it tells.
_Kind = tuple[str, tuple[str, ...], str]
_STAMPED = ("*stamps*",)


class Namer:
    """Gives suffixes to files, target by target in the order of the table.

    Parameters
    ----------
    products
        All there are; below they are named by their numbers here.
    places
        Of all targets that have products: `position_name` of each, and the alert or object that it names.
    """

    def __init__(self, products: Sequence[Product], places: Sequence[str]) -> None:
        self._labels = [product.label for product in products]
        self._kinds = [_kind(product) for product in products]
        self._are_of_alerts = [product.is_of_alerts for product in products]
        self._repeated = {place for place, count in Counter(places).items() if count > 1}
        self._taken: set[tuple[str, _Kind]] = set()
        self._need_labels: dict[tuple[int, ...], tuple[bool, ...]] = {}

    def suffixes(self, place: str, row: int, products: tuple[int, ...]) -> list[str]:
        """Suffixes of the files of a target, `row` being its number in the table."""
        by_row = f"_r{row}" if place in self._repeated and self._is_taken(place, products) else ""
        if len(products) == 1:
            return [by_row]
        return [
            f"{by_row}-{self._labels[product]}" if needed else by_row
            for product, needed in zip(products, self._which_need_labels(products), strict=True)
        ]

    def suffixes_of_both(self, place: str, name: str, row: int, products: tuple[int, ...]) -> list[str]:
        """Suffixes of the files of a target, some of its place, and others of the alerts it names."""
        found: dict[int, str] = {}
        for of_alerts, what in ((False, place), (True, name)):
            some = tuple(one for one in products if self._are_of_alerts[one] is of_alerts)
            if some:
                found |= zip(some, self.suffixes(what, row, some), strict=True)
        return [found[product] for product in products]

    def _is_taken(self, place: str, products: tuple[int, ...]) -> bool:
        """Whether files of earlier targets may have the same names; if not, nobody after it has them."""
        taken = False
        for product in products:
            survey, bands, ending = self._kinds[product]
            some, unknown = (place, (survey, ("*",), ending)), (place, (survey, (), ending))
            mine = (place, (survey, bands, ending))
            taken = (
                taken or mine in self._taken or unknown in self._taken or (not bands and some in self._taken)
            )
        for product in products:
            survey, bands, ending = self._kinds[product]
            self._taken |= {(place, (survey, ("*",), ending)), (place, (survey, bands, ending))}
        return taken

    def _which_need_labels(self, products: tuple[int, ...]) -> tuple[bool, ...]:
        if products not in self._need_labels:
            kinds = [self._kinds[product] for product in products]
            counts = Counter(kinds)
            of_survey = Counter((survey, ending) for survey, _, ending in kinds)
            unclear = {(survey, ending) for survey, bands, ending in kinds if not bands}
            self._need_labels[products] = tuple(
                counts[kind] > 1 or ((kind[0], kind[2]) in unclear and of_survey[kind[0], kind[2]] > 1)
                for kind in kinds
            )
        return self._need_labels[products]


def places_of(ra_deg: Sequence[float], dec_deg: Sequence[float]) -> list[str]:
    """Names of places, as files have them."""
    return [position_name(ra, dec) for ra, dec in zip(ra_deg, dec_deg, strict=True)]


def _kind(product: Product) -> _Kind:
    if product.is_of_alerts:
        # Names of their files say which stamp of which alert it is, and nothing of bands.
        return product.request.dataset.lower(), _STAMPED, product.format
    bands = tuple(band.lower() for band in product.bands) if product.has_all_bands else ()
    return product.survey.lower(), bands, product.format
