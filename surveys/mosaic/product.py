"""FITS files of more than one copied image: mosaics, several bands, an image with its layers.

Everything but the values of pixels is decided first, the size of the file to the byte. Then the pixels are
written to their places strip by strip, each header after its pixels, and at last the table of what each
image gave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surveys.cube.ranges import AxisCut, label_of
from surveys.errors import StaleImage
from surveys.fits.hdus import CHECKSUM, Card, HduHeader, Late, lines_of, padded
from surveys.fits.header import card
from surveys.fits.naming import cutout_name, product_name
from surveys.fits.out import Out
from surveys.fits.product import Product, Site, describe
from surveys.fits.source import Source
from surveys.fits.table import Table
from surveys.image import ImageRecord
from surveys.mosaic.compose import Composition
from surveys.mosaic.cubes import check_one_grid, cube_dtype, cube_header
from surveys.mosaic.header import (
    FRAC_OK,
    MosaicFacts,
    bitpix_of,
    common_provenance,
    layer_header,
    mosaic_header,
    remarks,
    request_cards,
)
from surveys.mosaic.inputs import InputRow, bands_data, bands_table, inputs_data, inputs_table
from surveys.mosaic.layers import EXTNAMES, as_layer, copied_header, layer_cards, layer_products
from surveys.mosaic.opening import Catalog, record_of
from surveys.mosaic.sections import Composite, Copied, Hdu, Section, Tools, writings
from surveys.plan import CutoutPlan, Part, Piece
from surveys.survey import Band, Role, Survey

_WEIGHT = np.dtype(">f4")
_LAYERS: tuple[Role, ...] = ("weight", "mask", "psf")
# Compositions that are only described open no file.
_NO_FILES = Source()


@dataclass(frozen=True, slots=True)
class FileProduct:
    """A FITS file of several HDUs, or of pixels put together: all of it but its pixels.

    Parameters
    ----------
    file_name
        Name to save it under.
    primary
        A first HDU without pixels, where there are several images; else None.
    sections
        Images and their layers.
    rows, inputs
        What it is made of, and the table that tells; None where one image is copied.
    bands, planes
        Bands of the planes of a cube, and the table that tells; None elsewhere.
    """

    file_name: str
    primary: Hdu | None
    sections: tuple[Section, ...]
    rows: tuple[InputRow, ...] = ()
    inputs: Table | None = None
    bands: tuple[Band, ...] = ()
    planes: Table | None = None

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        tables = [table.size for table in (self.inputs, self.planes) if table is not None]
        first = self.primary.size if self.primary else 0
        return first + sum(section.size for section in self.sections) + sum(tables)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was done to pixel values that is not asked for: integers made into floats."""
        return tuple(dict.fromkeys(remark for section in self.sections for remark in section.remarks))

    def make(self, out: Out, tools: Tools) -> float:
        """Write the file; return the share of the images' pixels that have data.

        Raises
        ------
        StaleImage, BrokenImage
            If a file is not the one that was indexed, or cannot be read; `dataset` names it.
        NoRoom
            If the place it is written to is full.
        """
        offset = self.primary.size if self.primary else 0
        made = []
        for section in self.sections:
            made.append(section.make(out, offset, tools))
            offset += section.size
        covered = sum(one.covered for one in made) / sum(one.pixels for one in made)
        if self.primary is not None:
            for writing in writings([self.primary], out, 0):
                writing.close({FRAC_OK: covered})
        if self.inputs is not None:
            given = [given for one in made for given in one.inputs]
            offset = _write(self.inputs, inputs_data(self.inputs, self.rows, given), out, offset)
        if self.planes is not None:
            _write(self.planes, bands_data(self.planes, self.bands), out, offset)
        return covered


def _write(table: Table, data: bytes, out: Out, offset: int) -> int:
    """Write a table; return the offset of what follows it."""
    hdu = Hdu(table.header, table.data_size)
    for writing in writings([hdu], out, offset):
        writing.put(np.frombuffer(data, np.uint8))
        writing.close({})
    return offset + table.header.size + padded(table.data_size)


def describe_file(plan: CutoutPlan, catalog: Catalog, site: Site) -> FileProduct:
    """Describe the file of a plan that is not plain; opens no image.

    Raises
    ------
    StaleImage
        If an image was indexed again since the plan was made.
    RequestFault
        If images cannot be put together as the request has it.
    """
    if plan.request.layout == "cube":
        return _Describer(plan, catalog, site).cube()
    return _Describer(plan, catalog, site).file()


def _unchanged(record: ImageRecord, piece: Piece) -> ImageRecord:
    """Return the record of a piece, which must be as it was planned with."""
    if (record.file.size, record.file.mtime_ns) != (piece.file_size, piece.mtime_ns):
        stale = StaleImage(f"{record.file.name} was indexed again since the cutout was planned.")
        stale.dataset = piece.dataset
        raise stale
    return record


class _Describer:
    """Describes the file of one plan."""

    def __init__(self, plan: CutoutPlan, catalog: Catalog, site: Site) -> None:
        self._plan, self._request = plan, plan.request
        self._catalog, self._site = catalog, site
        self._survey: Survey = catalog.survey(plan.pieces[0].dataset.partition("/")[0])
        self._records = {
            piece.dataset: _unchanged(record_of(piece, catalog, plan.generation), piece)
            for piece in plan.pieces
        }
        self._full = plan.request.detail == "full"

    def file(self) -> FileProduct:
        """Describe an image, or an extension for each band."""
        parts = self._plan.parts
        if len(parts) == 1:
            section = self._section(parts[0], "")
            copied = isinstance(section, Copied)
            return FileProduct(self._name(), None, (section,), *(() if copied else self._inputs()))
        primary = Hdu(self._primary())
        sections = tuple(self._section(part, part.band) for part in parts)
        return FileProduct(self._name(), primary, sections, *self._inputs())

    def cube(self) -> FileProduct:
        """Describe one image whose planes are the bands."""
        parts = self._plan.parts
        facts = tuple(self._facts(part) for part in parts)
        check_one_grid(facts)
        header, dtype = cube_header(facts), cube_dtype(facts)
        section = self._composite(facts, header, dtype, "")
        bands = tuple(self._survey.band(part.band) for part in parts)
        table = bands_table(bands, checksum=self._request.checksum)
        return FileProduct(self._name(), None, (section,), *self._inputs(), bands, table)

    def _name(self) -> str:
        plan = self._plan
        box = plan.parts[0].grid.box
        record = self._records[plan.pieces[0].dataset]
        planes = label_of(record, plan.pieces[0].ranges)
        if len(plan.parts) == 1 and plan.parts[0].method == "copy":
            return product_name(record, self._request.stencil, box, planes)
        bands = [part.band for part in plan.parts]
        return cutout_name(record, bands, self._request.stencil, box.width, box.height, planes=planes)

    def _section(self, part: Part, band: str) -> Section:
        """Describe an image and its layers: the whole file, or, where there is a `band`, extensions."""
        if part.method == "copy":
            return self._copied(part, band)
        facts = self._facts(part)
        return self._composite((facts,), mosaic_header(facts), facts.composition.dtype, band)

    def _copied(self, part: Part, band: str) -> Copied:
        record = self._records[part.pieces[0].dataset]
        cut = AxisCut(part.pieces[0].ranges, part.remarks)
        image = describe(record, part.grid.box, self._request, self._catalog, self._site, part.clipped, cut)
        layers = self._layers(part, _LAYERS)
        header = copied_header(image)
        header = header.as_extension(band) if band else header.extended()
        headers = [self._named(copied_header(product), role, part, band) for role, product in layers]
        return Copied((image, *(product for _, product in layers)), (header, *headers))

    def _layers(self, part: Part, roles: tuple[Role, ...]) -> list[tuple[Role, Product]]:
        if not self._full:
            return []
        return layer_products(part, self._request, self._plan.generation, self._catalog, self._site, roles)

    def _named(self, header: HduHeader, role: Role, part: Part, band: str) -> HduHeader:
        name = f"{band}_{EXTNAMES[role]}" if band else EXTNAMES[role]
        return as_layer(header, name, layer_cards(role, self._survey, part.band))

    def _facts(self, part: Part) -> MosaicFacts:
        records = [self._records[piece.dataset] for piece in part.pieces]
        generation = self._plan.generation
        return MosaicFacts(
            part,
            self._request,
            generation,
            self._survey,
            self._site,
            records,
            [self._catalog.header_text(record) for record in records],
            Composition(part, self._request, self._catalog, _NO_FILES, generation=generation),
        )

    def _composite(
        self, planes: tuple[MosaicFacts, ...], header: HduHeader, dtype: np.dtype[np.generic], band: str
    ) -> Composite:
        pixels = sum(facts.part.grid.box.pixels for facts in planes)
        part = planes[0].part
        image = header.as_extension(band) if band else header.extended()
        weight = mask = None
        if self._has(planes, "weight"):
            weight = self._layer("weight", header, _WEIGHT, pixels, part, band)
        if self._has(planes, "mask"):
            dtypes = [facts.composition.mask_dtype for facts in planes]
            mask = self._layer("mask", header, np.result_type(*dtypes).newbyteorder(">"), pixels, part, band)
        big = dtype.newbyteorder(">")
        psf = self._layers(part, ("psf",)) if len(planes) == 1 else []
        copied = None
        if psf:
            products = tuple(product for _, product in psf)
            headers = tuple(self._named(copied_header(product), role, part, band) for role, product in psf)
            copied = Copied(products, headers)
        return Composite(planes, Hdu(image, pixels * big.itemsize, big), weight, mask, copied)

    def _has(self, planes: Sequence[MosaicFacts], role: Role) -> bool:
        """Whether all images have a layer, and it is asked for."""
        pieces = [piece for facts in planes for piece in facts.part.pieces]
        return self._full and all(any(c.role == role for c in piece.companions) for piece in pieces)

    def _layer(
        self,
        role: Role,
        image: HduHeader,
        dtype: np.dtype[np.generic],
        pixels: int,
        part: Part,
        band: str,
    ) -> Hdu:
        name = f"{band}_{EXTNAMES[role]}" if band else EXTNAMES[role]
        cards = layer_cards(role, self._survey, part.band)
        header = layer_header(image, bitpix_of(dtype), name, cards, self._request)
        return Hdu(header, pixels * dtype.itemsize, dtype)

    def _inputs(self) -> tuple[tuple[InputRow, ...], Table]:
        rows = tuple(
            InputRow(
                part.band,
                self._site.did_prefix + piece.dataset,
                self._records[piece.dataset].file.name,
            )
            for part in self._plan.parts
            for piece in part.pieces
        )
        return rows, inputs_table(rows, checksum=self._request.checksum)

    def _primary(self) -> HduHeader:
        """Header of a first HDU without pixels: what is true of all bands."""
        plan, site, survey = self._plan, self._site, self._survey.name
        provenance = common_provenance(site, list(self._records.values()))
        bands = ", ".join(part.band for part in plan.parts)
        structure = [
            card("SIMPLE", True, "conforms to the FITS standard"),
            card("BITPIX", 8, "bits per pixel; there are none"),
            card("NAXIS", 0, "number of axes"),
            card("EXTEND", True, "there are extensions"),
        ]
        facts = [
            card("ORIG_ID", site.did_prefix + survey, "publisher DID of the source"),
            card("NINPUT", len(plan.pieces), "number of source images"),
            card("RESAMPLD", plan.resampled, "pixel values of some band are interpolated"),
            card("CLIPPED", plan.clipped, "the region reaches beyond the images"),
        ]
        made_by = [card(keyword, value, comment) for keyword, value, comment in provenance]
        cards: list[Card] = list(lines_of([*structure, *made_by, *facts]))
        cards.append(Late(FRAC_OK, "fraction of the pixels that hold data"))
        cards += request_cards(self._request)
        cards += remarks([f"{site.creator}: bands {bands} of {survey}, an extension each"])
        return HduHeader((*cards, *(CHECKSUM if self._request.checksum else ())))
