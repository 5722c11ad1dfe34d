"""All cutouts of a list as one array, ``image[row, band, y, x]``, in a zip as zarr reads it.

A chunk of the array is the pixels of one cutout as they lie in its file, so nothing is converted, and no
pixel is read before it is sent. Format: zarr 2, which all versions of that library read.
"""

from __future__ import annotations

import json
import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from dali.errors import UsageError
from soda.lists.stamps import CARD, Header, Scalar, Stamp, is_of_wcs, read_stamps, require_alike
from uws.crc32 import crc32_inside
from uws.packages.archives import Archive, make_archive
from uws.packages.members import Member, Members
from uws.packages.package import Column, Entry
from uws.results import Ranges

_HEAD, _ARRAYS, _PLACES = "head.bin", "pack.npz", "pack.json"
_TYPES = {8: "|u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
#: Equal cutouts give an equal pack.
_MOMENT = datetime(1980, 1, 1, tzinfo=UTC)


class ZarrPack:
    """A group with the array ``image``, and arrays that tell of its rows and bands."""

    media_type, suffix = "application/zip", "zip"

    def build(
        self,
        folder: Path,
        columns: Sequence[Column],
        entries: Callable[[], Iterator[Entry]],
        ranges: Ranges,
    ) -> str:
        """Write all arrays but the pixels, and where those lie."""
        del columns  # of which an array needs a few only
        found = _Found()
        for stamp in read_stamps(entries(), ranges):
            found.add(stamp, ranges)
        files = found.files()
        head, members = bytearray(), []
        for name, content in files.items():
            crc = zlib.crc32(content)
            members.append(Member(name.encode(), str(folder / _HEAD), len(head), len(content), crc))
            head += content
        gathered = Members.of([*members, *found.chunks()])
        (folder / _HEAD).write_bytes(head)
        arrays: dict[str, Any] = gathered.arrays()
        np.savez(folder / _ARRAYS, **arrays)
        (folder / _PLACES).write_text(json.dumps(gathered.places[1:]))
        return sha256(bytes(head) + gathered.names + gathered.crc32s.tobytes()).hexdigest()

    def load(self, folder: Path) -> Archive:
        """Read what `build` wrote."""
        places = [str(folder / _HEAD), *json.loads((folder / _PLACES).read_text())]
        with np.load(folder / _ARRAYS) as arrays:
            members = Members.from_arrays(arrays, places)
        return make_archive("zip", members, 0, len(members), _MOMENT)


class _Found:
    """What is known of the cutouts, as they come: in the order of their rows."""

    def __init__(self) -> None:
        self._first: Stamp | None = None
        self._numbers: dict[int, int] = {}  # row of the user's table -> index
        self._targets: list[tuple[str, Any, Any]] = []
        self._bands: dict[str, int] = {}
        self._places: dict[tuple[int, int], str] = {}  # result by index of row and band, in order
        self._covered = array("d")
        self._sources: list[tuple[str, int]] = []
        self._crcs: list[tuple[int, int]] = []  # of the file, and of its header
        self._read: dict[int, int] = {}  # of the pixels, where others follow them, by number of the cutout
        self._numbers_of: dict[str, array[float]] = {}
        self._texts_of: dict[str, list[str]] = {}

    def add(self, stamp: Stamp, ranges: Ranges) -> None:
        """Take one more cutout.

        Raises
        ------
        UsageError
            If it is not like the others, or there is one of its row and band already.
        """
        first = self._first = self._first or stamp
        require_alike(first, stamp, "zarr")
        row, facts = stamp.entry.row, stamp.entry.row.facts
        if stamp.hdus > 1 and not _is_stamp(facts):
            raise UsageError(
                f"PACK=zarr takes files of one image; that of {row.result_id} has {stamp.hdus}",
                "Use PACK=mef, or ask for DETAIL=image.",
            )
        number = int(facts.get("row") or row.row + 1)
        if number not in self._numbers:
            self._numbers[number] = len(self._numbers)
            self._targets.append((row.label, facts.get("ra"), facts.get("dec")))
        survey, band = facts.get("survey") or "", facts.get("band") or ""
        label = "/".join(part for part in (survey, band) if part)
        place = self._numbers[number], self._bands.setdefault(label, len(self._bands))
        if place in self._places:
            raise UsageError(
                f"PACK=zarr takes one cutout of each row and band; {self._places[place]} and {row.result_id} "
                f"are both of row {number} and band {label}",
                "Use PACK=table, or choose rows with ROWS, ID or STATUS.",
            )
        if stamp.hdus > 1:
            start = row.offset + stamp.header.data_at
            (pixels,) = ranges.fetch([(row.container, start, start + stamp.header.data_bytes)])
            self._read[len(self._places)] = zlib.crc32(pixels)
        self._places[place] = row.result_id
        self._covered.append(_number(facts.get("frac_valid")))
        self._sources.append((row.container, row.offset + stamp.header.data_at))
        self._crcs.append((row.crc32, zlib.crc32(_bytes_of(stamp.header))))
        self._add_wcs(stamp.header)

    def _add_wcs(self, header: Header) -> None:
        before = len(self._places) - 1
        for card in header.cards:
            key = card[:8].rstrip()
            if not is_of_wcs(key):
                continue
            value = header.value(key)
            if isinstance(value, str):
                texts = self._texts_of.setdefault(key, [])
                texts += [""] * (before - len(texts)) + [value]
            else:
                numbers = self._numbers_of.setdefault(key, array("d"))
                numbers.extend([np.nan] * (before - len(numbers)) + [_number(value)])

    def files(self) -> dict[str, bytes]:
        """Give all files of the group but the pixels."""
        rows, bands = len(self._numbers), len(self._bands)
        files: dict[str, bytes] = {".zgroup": _json({"zarr_format": 2})}
        files[".zattrs"] = _json({"bands": list(self._bands), "pixels": "image[row, band, y, x]"})
        if self._first is not None:
            files |= _pixels(self._first.header, rows, bands)
        files |= _array("row", np.array(list(self._numbers), "<i8"), ["row"])
        files |= _array("id", np.array([target[0] for target in self._targets], np.str_), ["row"])
        for index, name in ((1, "ra"), (2, "dec")):
            values = np.array([_number(target[index]) for target in self._targets], "<f8")
            files |= _array(name, values, ["row"], units="deg")
        files |= _array("band", np.array(list(self._bands), np.str_), ["band"])
        files |= self._grid("result_id", list(self._places.values()))
        files |= self._grid("covered", np.array(self._covered))
        for key, numbers in self._numbers_of.items():
            files |= self._grid(f"wcs/{key}", np.array(numbers))
        for key, texts in self._texts_of.items():
            files |= self._grid(f"wcs/{key}", texts)
        files["wcs/.zgroup"] = files[".zgroup"]
        told = {name: json.loads(content) for name, content in files.items() if ".z" in name}
        files[".zmetadata"] = _json({"zarr_consolidated_format": 1, "metadata": told})
        return files

    def chunks(self) -> Iterator[Member]:
        """Give the pixels of each cutout as a chunk of the array."""
        if self._first is None:
            return
        header, size = self._first.header, self._first.header.data_bytes
        whole, before = np.array(self._crcs, np.uint32).reshape(-1, 2).T
        crcs = crc32_inside(whole, before, size, header.next_at - header.data_at - size)
        crcs[list(self._read)] = list(self._read.values())
        inner = ".0" * len(header.shape)
        for (row, band), (container, at), crc in zip(self._places, self._sources, crcs.tolist(), strict=True):
            yield Member(f"image/{row}.{band}{inner}".encode(), container, at, size, crc)

    def _grid(self, name: str, values: Any) -> dict[str, bytes]:
        """Give an array over rows and bands, empty where there is no cutout."""
        values = np.asarray(values, dtype=None if len(values) else "<f8")
        empty = "" if values.dtype.kind == "U" else np.nan
        filled = np.full((len(self._numbers), len(self._bands)), empty, values.dtype)
        if len(values):
            places = np.array(list(self._places))[: len(values)]
            filled[places[:, 0], places[:, 1]] = values
        return _array(name, filled, ["row", "band"])


def _is_stamp(facts: Mapping[str, Any]) -> bool:
    """Whether a file is one stamp of an alert, as it is stored: its image comes first, whatever follows."""
    parts = str(facts.get("dataset", "")).split("/")
    return len(parts) == 4 and parts[1] == "alert"


def _pixels(header: Header, rows: int, bands: int) -> dict[str, bytes]:
    shape = list(reversed(header.shape))
    kind = _TYPES[header.number("BITPIX", 8)]
    blank = header.value("BLANK")
    described = {
        "zarr_format": 2,
        "shape": [rows, bands, *shape],
        "chunks": [1, 1, *shape],
        "dtype": kind,
        "fill_value": "NaN" if "f" in kind else blank,
        "order": "C",
        "compressor": None,
        "filters": None,
    }
    axes = ["row", "band", "z", "y", "x"] if len(shape) == 3 else ["row", "band", "y", "x"]
    attributes: dict[str, Any] = {"_ARRAY_DIMENSIONS": axes}
    for key, name in (("BUNIT", "units"), ("BSCALE", "scale_factor"), ("BZERO", "add_offset")):
        if (value := header.value(key)) is not None:
            attributes[name] = value
    return {"image/.zarray": _json(described), "image/.zattrs": _json(attributes)}


def _array(name: str, values: Any, axes: Sequence[str], **attributes: str) -> dict[str, bytes]:
    """Give an array that is one chunk."""
    kind = values.dtype.kind
    described = {
        "zarr_format": 2,
        "shape": list(values.shape),
        "chunks": [max(length, 1) for length in values.shape],
        "dtype": values.dtype.str,
        "fill_value": {"U": "", "f": "NaN"}.get(kind, 0),
        "order": "C",
        "compressor": None,
        "filters": None,
    }
    files = {
        f"{name}/.zarray": _json(described),
        f"{name}/.zattrs": _json({"_ARRAY_DIMENSIONS": list(axes), **attributes}),
    }
    if values.size:
        files[f"{name}/{'.'.join('0' * values.ndim)}"] = np.ascontiguousarray(values).tobytes()
    return files


def _bytes_of(header: Header) -> bytes:
    """Give a header as it stands in its file."""
    text = "".join((*header.cards, "END".ljust(CARD)))
    return text.ljust(header.data_at).encode("latin-1")


def _number(value: Scalar) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True).encode()
