"""How rows of a list are written into tasks, and read from them again: JSON, and compact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

from dali.parameters import Parameters
from soda.lists.products import Product, Spelling
from soda.params import parse_request
from soda.spelling import canonical_query
from surveys.identifiers import Identifiers
from surveys.image import ImageRecord
from surveys.sky.pixels import PixelBox
from surveys.sky.stencil import Size
from uws.job import Row

#: Key of `Work.common` that tells rows of lists from others, and what they are written like.
LIST = "list"
VERSION = 1


@dataclass(frozen=True, slots=True)
class PlannedImage:
    """An image as it was when rows were planned."""

    artifact_id: int
    dataset: str
    file_size: int
    mtime_ns: int
    generation: int

    @classmethod
    def of(cls, record: ImageRecord, generation: int) -> PlannedImage:
        """Note how an image is."""
        file = record.file
        return cls(record.artifact_id, record.dataset, file.size, file.mtime_ns, generation)

    def is_still(self, record: ImageRecord) -> bool:
        """Whether an image is the one that was planned with."""
        return (record.dataset, record.file.size, record.file.mtime_ns) == (
            self.dataset,
            self.file_size,
            self.mtime_ns,
        )


@dataclass(frozen=True, slots=True)
class ListRow:
    """A row of a list: one product of one target.

    Parameters
    ----------
    product, size, image
        Numbers of what tasks say once of all their rows; `image` is None where the row is planned when it is
        made.
    box
        Its pixels in the image; they may stick out of it.
    suffix
        Of its file's name, where another row of the list has the same.
    label
        The user's name of the target.
    facts
        What is known of it before it is made.
    name
        The alert or the object that it is of, ``alert/123``; "" of one of a place.
    """

    product: int
    size: int
    image: int | None
    box: PixelBox | None
    suffix: str
    label: str
    facts: Mapping[str, Any]
    name: str = ""

    @property
    def ra_deg(self) -> float:
        """Right ascension of the target."""
        return float(self.facts["ra"])

    @property
    def dec_deg(self) -> float:
        """Declination of the target."""
        return float(self.facts["dec"])

    def to_payload(self) -> dict[str, Any]:
        """Write it; the ledger has label and facts of a row of which nothing else can be told."""
        payload: dict[str, Any] = {
            "product": self.product,
            "size": self.size,
            "label": self.label,
            "facts": self.facts,
        }
        if self.image is not None and self.box is not None:
            payload["image"] = self.image
            payload["box"] = [self.box.x0, self.box.x1, self.box.y0, self.box.y1]
        if self.suffix:
            payload["suffix"] = self.suffix
        if self.name:
            payload["name"] = self.name
        return payload

    @classmethod
    def of(cls, row: Row) -> ListRow:
        """Read it."""
        payload = row.payload
        box = payload.get("box")
        return cls(
            payload["product"],
            payload["size"],
            payload.get("image"),
            None if box is None else PixelBox(*box),
            payload.get("suffix", ""),
            payload["label"],
            payload["facts"],
            payload.get("name", ""),
        )


class CommonWriter:
    """Gathers what the rows of one task share, and numbers it."""

    def __init__(self, identifiers: Identifiers) -> None:
        self._identifiers = identifiers
        # By their numbers in the whole list, which are compared faster than what they stand for.
        self._product_numbers: dict[int, int] = {}
        self._size_numbers: dict[int, int] = {}
        self._products: list[Product] = []
        self._sizes: list[Size] = []
        self._images: dict[PlannedImage, int] = {}

    def product(self, number: int, products: Sequence[Product]) -> int:
        """Give the number here of one of the products of a list."""
        if number not in self._product_numbers:
            self._product_numbers[number] = len(self._products)
            self._products.append(products[number])
        return self._product_numbers[number]

    def size(self, number: int, sizes: Sequence[Size]) -> int:
        """Give the number here of one of the sizes of a list."""
        if number not in self._size_numbers:
            self._size_numbers[number] = len(self._sizes)
            self._sizes.append(sizes[number])
        return self._size_numbers[number]

    def image(self, image: PlannedImage) -> int:
        """Give the number here of an image."""
        return self._images.setdefault(image, len(self._images))

    def to_json(self) -> dict[str, Any]:
        """Write it all."""
        return {
            LIST: VERSION,
            "products": [
                [canonical_query(product.request, self._identifiers), product.media_type]
                for product in self._products
            ],
            "sizes": [[size.width, size.height, size.in_pixels] for size in self._sizes],
            "images": [
                [image.artifact_id, image.dataset, image.file_size, image.mtime_ns, image.generation]
                for image in self._images
            ],
        }


@dataclass(frozen=True, slots=True)
class Common:
    """What the rows of one task share."""

    products: Sequence[Product]
    spellings: Sequence[Spelling]
    sizes: Sequence[Size]
    images: Sequence[PlannedImage]

    @classmethod
    def of(cls, common: Mapping[str, Any], identifiers: Identifiers) -> Common:
        """Read it."""
        products = [_product(query, media_type, identifiers) for query, media_type in common["products"]]
        return cls(
            products,
            [Spelling(product, identifiers) for product in products],
            [Size(*size) for size in common["sizes"]],
            [PlannedImage(*image) for image in common["images"]],
        )


def _product(query: str, media_type: str, identifiers: Identifiers) -> Product:
    """Read a product from its own spelling, which any version of this program reads."""
    asked = parse_request(Parameters.from_pairs(parse_qsl(query)), identifiers)
    return Product("", replace(asked.cutout, canonical=""), media_type)
