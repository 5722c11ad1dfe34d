"""Alerts as they are sent: Avro files, read block by block; what they hold is bounded by what they say.

fastavro, which reads the records, is not needed for anything else: ``pip install 'sodafountain[avro]'``.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

from surveys.errors import ImageRefused, SurveyError
from surveys.parquet.arrow import pyarrow

#: Bytes of a file, and of what is unpacked of it, beyond which it is refused.
MOST_BYTES = 256 << 20

_MAGIC = b"Obj\x01"
_SYNC_BYTES = 16
_MOST_SCHEMA = 4 << 20
_NOT_AVRO = "it is not an Avro file"
_BROKEN = "it is not Avro that can be read, or cut short"


@dataclass(frozen=True, slots=True)
class AvroSchema:
    """What alerts are made of.

    Parameters
    ----------
    text
        As a file has it.
    of_records, table
        As fastavro has it; and that of a table of them, as pyarrow has it.
    leaves
        Columns of values of the table, as Parquet calls them.
    """

    text: bytes
    of_records: Any
    table: Any
    leaves: tuple[str, ...]

    def find(self, names: Sequence[str]) -> str | None:
        """Give the first of some columns that the table has."""
        return next((name for name in names if name in self.leaves), None)


@dataclass(frozen=True, slots=True)
class AvroFile:
    """What a file holds.

    Parameters
    ----------
    records
        Its alerts.
    schema
        What they are made of.
    size
        Bytes of them, unpacked.
    """

    records: list[dict[str, Any]]
    schema: AvroSchema
    size: int


def read_avro(path: Path) -> AvroFile:
    """Read a file.

    Raises
    ------
    ImageRefused
        If it is no Avro file, cut short or corrupt, or too large; or has what no table can have.
    SurveyError
        Where fastavro is not installed.
    """
    fastavro = _fastavro()
    try:
        if not path.is_file():
            raise ImageRefused("it is not a regular file")
        if path.stat().st_size > MOST_BYTES:
            raise ImageRefused(f"it has more than {MOST_BYTES >> 20} MB")
        data = path.read_bytes()
    except OSError as error:
        raise ImageRefused(f"it cannot be read: {error.strerror}") from error
    if not data.startswith(_MAGIC):
        raise ImageRefused(_NOT_AVRO)
    try:
        blocks = _Blocks(data)
        schema = _schema(blocks.schema)
        records: list[dict[str, Any]] = []
        size = 0
        for count, block in blocks:
            size += len(block)
            if size > MOST_BYTES:
                raise ImageRefused(f"it has more than {MOST_BYTES >> 20} MB, unpacked")
            stream = BytesIO(block)
            records += (fastavro.schemaless_reader(stream, schema.of_records, None) for _ in range(count))
            if stream.tell() != len(block):
                raise ImageRefused(_BROKEN)
    except (ImageRefused, MemoryError):
        raise
    except Exception as error:  # what reading it raises has many names
        raise ImageRefused(_BROKEN) from error
    return AvroFile(records, schema, size)


@lru_cache(maxsize=64)
def _schema(text: bytes) -> AvroSchema:
    """Make sense of a schema: few are of many files."""
    of_records = _fastavro().parse_schema(_plain(json.loads(text)))
    table = _Types().table(of_records)
    leaves = tuple(leaf for field in table for leaf in _leaves(field.name, field.type))
    return AvroSchema(text, of_records, table, leaves)


def _leaves(name: str, kind: Any) -> Iterator[str]:
    """Columns of values within a column, as Parquet calls them."""
    types = pyarrow().types
    if types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{name}.{field.name}", field.type)
    elif types.is_map(kind):
        yield from _leaves(f"{name}.key_value.key", kind.key_type)
        yield from _leaves(f"{name}.key_value.value", kind.item_type)
    elif types.is_list(kind):
        yield from _leaves(f"{name}.list.element", kind.value_type)
    else:
        yield name


def _fastavro() -> Any:
    try:
        import fastavro
    except ImportError:
        raise SurveyError(
            "Avro cannot be read: fastavro is not installed (pip install 'sodafountain[avro]')"
        ) from None
    return fastavro


class _Blocks:
    """Blocks of a file: how many records each has, and their bytes, unpacked."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = len(_MAGIC)
        told: dict[bytes, bytes] = {}
        while count := self._number():
            if count < 0:
                count, _ = -count, self._number()
            for _ in range(count):
                key = self._bytes()
                told[key] = self._bytes()
        self.schema = told[b"avro.schema"]
        self._codec = told.get(b"avro.codec", b"null")
        if len(self.schema) > _MOST_SCHEMA:
            raise ImageRefused("its schema is too long")
        if self._codec not in (b"null", b"deflate", b"snappy"):
            raise ImageRefused("it is compressed in another way than null, deflate or snappy")
        self._sync = self._take(_SYNC_BYTES)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        while self._at < len(self._data):
            count, block = self._number(), self._unpacked(self._bytes())
            if not 0 <= count <= len(block) or self._take(_SYNC_BYTES) != self._sync:
                raise ImageRefused(_BROKEN)
            yield count, block

    def _unpacked(self, block: bytes) -> bytes:
        if self._codec == b"null":
            return block
        if self._codec == b"deflate":
            inflater = zlib.decompressobj(wbits=-15)
            unpacked = inflater.decompress(block, MOST_BYTES)
            if not inflater.eof:
                raise ImageRefused(_BROKEN)
            return unpacked
        from surveys.parquet.codecs import SNAPPY, snappy_size, unpack

        content = memoryview(block)[:-4]  # behind it stands a checksum
        size = snappy_size(content)
        if size > MOST_BYTES:
            raise ImageRefused(f"it has more than {MOST_BYTES >> 20} MB, unpacked")
        unpacked = bytes(unpack(SNAPPY, content, size))
        if zlib.crc32(unpacked) != int.from_bytes(block[-4:], "big"):
            raise ImageRefused(_BROKEN)
        return unpacked

    def _bytes(self) -> bytes:
        return self._take(self._number())

    def _take(self, size: int) -> bytes:
        if not 0 <= size <= len(self._data) - self._at:
            raise ImageRefused(_BROKEN)
        self._at += size
        return self._data[self._at - size : self._at]

    def _number(self) -> int:
        number = shift = 0
        while (byte := self._data[self._at]) & 0x80 and shift < 63:
            number |= (byte & 0x7F) << shift
            shift += 7
            self._at += 1
        self._at += 1
        number |= byte << shift
        return (number >> 1) ^ -(number & 1)


def _plain(schema: Any) -> Any:
    """Take a schema's logical types off: columns have numbers as they are sent."""
    if isinstance(schema, dict):
        return {key: _plain(value) for key, value in schema.items() if key != "logicalType"}
    return [_plain(item) for item in schema] if isinstance(schema, list) else schema


class _Types:
    """Types of Avro as types of a table."""

    def __init__(self) -> None:
        self._named: dict[str, Any] = {}
        pa = pyarrow()
        self._simple = {
            "null": pa.null(),
            "boolean": pa.bool_(),
            "int": pa.int32(),
            "long": pa.int64(),
            "float": pa.float32(),
            "double": pa.float64(),
            "bytes": pa.binary(),
            "string": pa.string(),
        }

    def table(self, schema: Any) -> Any:
        """Make the schema of a table of records; ImageRefused if there can be none."""
        if not isinstance(schema, Mapping) or schema.get("type") != "record":
            raise ImageRefused("its schema is not one of records")
        return pyarrow().schema(list(self._type(schema)))

    def _type(self, schema: Any) -> Any:
        if isinstance(schema, list):
            return self._union(schema)
        if isinstance(schema, str):
            found = self._simple.get(schema, self._named.get(schema))
            if found is None:
                raise ImageRefused("its schema has a type within itself")
            return found
        match schema["type"]:
            case "record" | "error":
                self._named[schema["name"]] = None
                self._named[schema["name"]] = made = self._structure(schema)
                return made
            case "enum":
                self._named[schema["name"]] = made = pyarrow().string()
                return made
            case "fixed":
                self._named[schema["name"]] = made = pyarrow().binary(schema["size"])
                return made
            case "array":
                return pyarrow().list_(self._item(schema["items"]))
            case "map":
                return pyarrow().map_(pyarrow().string(), self._type(schema["values"]))
            case kind:
                return self._type(kind)

    def _structure(self, schema: Any) -> Any:
        fields = [(field["name"], self._type(field["type"]), field["type"]) for field in schema["fields"]]
        pa = pyarrow()
        return pa.struct([pa.field(name, kind, nullable=_may_be_null(told)) for name, kind, told in fields])

    def _item(self, schema: Any) -> Any:
        made = self._type(schema)
        # As many items as a file may say it has must take as many bytes at least.
        if not isinstance(schema, list) and (pyarrow().types.is_null(made) or _is_empty(made)):
            raise ImageRefused("its schema has arrays of nothing")
        return made

    def _union(self, schema: list[Any]) -> Any:
        kinds = [kind for kind in schema if kind != "null"]
        if len(kinds) > 1:
            raise ImageRefused("its schema has a choice of several types")
        return self._type(kinds[0]) if kinds else self._simple["null"]


def _is_empty(kind: Any) -> bool:
    types = pyarrow().types
    if types.is_fixed_size_binary(kind):
        return bool(kind.byte_width == 0)
    return types.is_struct(kind) and all(_is_empty(field.type) or types.is_null(field.type) for field in kind)


def _may_be_null(schema: Any) -> bool:
    return schema == "null" or (isinstance(schema, list) and "null" in schema)
