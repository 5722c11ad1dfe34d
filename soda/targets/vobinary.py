"""BINARY and BINARY2 of VOTable: rows of bytes, of which the wanted columns are taken."""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dali.errors import quoted
from soda.targets.source import Body, Column, Wanted, too_many_rows
from soda.targets.table import TargetLimits, UploadRefused

_SIZES = {
    "boolean": 1,
    "bit": 1,
    "unsignedByte": 1,
    "short": 2,
    "int": 4,
    "long": 8,
    "char": 1,
    "unicodeChar": 2,
    "float": 4,
    "double": 8,
    "floatComplex": 8,
    "doubleComplex": 16,
}
_NUMBERS = {
    "unsignedByte": "u1",
    "short": ">i2",
    "int": ">i4",
    "long": ">i8",
    "float": ">f4",
    "double": ">f8",
}
_TEXTS = {"char": "utf-8", "unicodeChar": "utf-16-be"}
_ARRAYSIZE = re.compile(r"(?:[0-9]{1,9}x)*(?:[0-9]{1,9}\*?|\*)")
_MOST_ROW_BYTES = 1 << 20
#: Bytes of a text that are decoded: enough to see that it is too long.
_MOST_TEXT = 1024
_BLANKS = str.maketrans("", "", " \t\r\n")
#: Characters decoded at once; a multiple of four.
_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class FieldType:
    """Type of a column: bytes of a row; where that varies, of one item, whose count goes before."""

    name: str
    datatype: str
    width: int
    is_variable: bool
    is_one: bool

    @property
    def is_text(self) -> bool:
        """Whether its values are texts."""
        return self.datatype in _TEXTS


def field_type(name: str, datatype: str, arraysize: str) -> FieldType:
    """Understand datatype and arraysize of a FIELD."""
    size = _SIZES.get(datatype)
    shape = arraysize.replace(" ", "")
    if size is None:
        raise UploadRefused(f"column {quoted(name)}: there is no datatype {quoted(datatype)}")
    if shape and not _ARRAYSIZE.fullmatch(shape):
        raise UploadRefused(f"column {quoted(name)}: arraysize is {quoted(arraysize)}")
    is_variable = shape.endswith("*")
    count = 1
    for part in shape.split("x")[:-1] if is_variable else shape.split("x") if shape else ():
        count *= int(part)
    width = -(-count // 8) if datatype == "bit" and not is_variable else count * size
    if width > _MOST_ROW_BYTES:
        raise UploadRefused(
            f"column {quoted(name)}: arraysize {quoted(arraysize)} is {width} bytes a row; "
            f"at most {_MOST_ROW_BYTES} are taken"
        )
    return FieldType(name, datatype, width, is_variable, is_one=count == 1 and not is_variable)


class StreamDecoder:
    """Decodes base64 as it comes."""

    def __init__(self) -> None:
        self._waiting: list[str] = []
        self._length = 0
        self._content = bytearray()

    def feed(self, text: str) -> None:
        """Take some characters."""
        self._waiting.append(text)
        self._length += len(text)
        if self._length >= _AT_ONCE:
            characters = "".join(self._waiting).translate(_BLANKS)
            whole = len(characters) - len(characters) % 4
            self._decode(characters[:whole])
            self._waiting, self._length = [characters[whole:]], len(characters) - whole

    def content(self) -> bytearray:
        """Everything decoded."""
        self._decode("".join(self._waiting).translate(_BLANKS))
        self._waiting = []
        return self._content

    def _decode(self, characters: str) -> None:
        try:
            self._content += binascii.a2b_base64(characters, strict_mode=True)
        except (binascii.Error, ValueError) as fault:
            raise UploadRefused(f"the STREAM of the VOTable is not base64: {fault}") from fault


class BinaryTable:
    """Rows of a stream.

    Parameters
    ----------
    nulls
        Text that stands for no value, by column.
    has_flags
        Each row begins with a bit for each column, set where there is no value (BINARY2).
    """

    def __init__(
        self,
        types: Sequence[FieldType],
        wanted: Sequence[Wanted],
        nulls: Mapping[int, str],
        limits: TargetLimits,
        *,
        has_flags: bool,
    ) -> None:
        self._types = types
        self._wanted = wanted
        self._nulls = nulls
        self._limits = limits
        self._flags = (len(types) + 7) // 8 if has_flags else 0
        for one in wanted:
            kind = types[one.index]
            if not kind.is_text and not (kind.is_one and kind.datatype in (*_NUMBERS, "boolean")):
                raise UploadRefused(
                    f"column {quoted(kind.name)} is an array, or of datatype {kind.datatype}; "
                    "one number or text a row is taken"
                )
        if sum(kind.width for kind in types) > _MOST_ROW_BYTES:
            raise UploadRefused(f"a row of the VOTable is more than {_MOST_ROW_BYTES} bytes")

    def read(self, content: bytearray, most: int | None = None) -> Body:
        """Take the wanted columns of all rows, or of `most` from the first on."""
        starts, ends = ([places[:most] for places in found] for found in self._places(content))
        rows = len(starts[0]) if starts else 0
        flags = self._is_null
        columns = [
            self._column(content, one.index, starts[place], ends[place])
            for place, one in enumerate(self._wanted)
        ]
        for place, one in enumerate(self._wanted):
            missing = flags(content, starts[-1], one.index) if self._flags else None
            columns[place] = _without(columns[place], missing, self._nulls.get(one.index))
        return Body(columns, rows)

    def _places(self, content: bytearray) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
        """Where wanted values begin and end in the content; last of the starts, where rows do."""
        if not any(kind.is_variable for kind in self._types):
            return self._fixed_places(len(content))
        return self._variable_places(content)

    def _fixed_places(self, size: int) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
        offsets = np.cumsum([self._flags, *(kind.width for kind in self._types)])
        row = int(offsets[-1])
        if not row or size % row:
            raise UploadRefused(f"the STREAM of the VOTable ends within row {size // row + 1 if row else 1}")
        if size // row > self._limits.rows:
            raise too_many_rows(self._limits)
        begins = np.arange(0, size, row, dtype=np.int64)
        starts = [begins + int(offsets[one.index]) for one in self._wanted]
        ends = [begins + int(offsets[one.index + 1]) for one in self._wanted]
        return [*starts, begins], ends

    def _variable_places(self, content: bytearray) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
        """Go through rows whose lengths differ, jumping over what is fixed."""
        steps = self._steps()
        starts: list[list[int]] = [[] for _ in self._wanted]
        ends: list[list[int]] = [[] for _ in self._wanted]
        begins: list[int] = []
        at, size = 0, len(content)
        while at < size:
            if len(begins) == self._limits.rows:
                raise too_many_rows(self._limits)
            begins.append(at)
            at += self._flags
            for width, is_variable, places in steps:
                if is_variable:
                    # Past the end there are fewer than four bytes, and `at` is beyond the end all the same.
                    count = int.from_bytes(content[at : at + 4], "big")
                    at += 4
                    end = at + (count * width if width else -(-count // 8))
                else:
                    end = at + width
                for place, before, length in places:
                    starts[place].append(at + before)
                    ends[place].append(end if is_variable else at + before + length)
                at = end
            if at > size:
                raise UploadRefused(f"the STREAM of the VOTable ends within row {len(begins)}")
        arrays = [np.array(places, dtype=np.int64) for places in (*starts, begins, *ends)]
        return arrays[: len(starts) + 1], arrays[len(starts) + 1 :]

    def _steps(self) -> list[tuple[int, bool, list[tuple[int, int, int]]]]:
        """Give runs of fixed columns, and variable ones, with the wanted in them: place, offset, length."""
        places = {one.index: place for place, one in enumerate(self._wanted)}
        steps: list[tuple[int, bool, list[tuple[int, int, int]]]] = []
        run = 0
        found: list[tuple[int, int, int]] = []
        for index, kind in enumerate(self._types):
            here = [(places[index], run, kind.width)] if index in places else []
            if kind.is_variable:
                steps += [(run, False, found)] if run else []
                width = 0 if kind.datatype == "bit" else kind.width
                steps.append((width, True, [(place, 0, 0) for place, _, _ in here]))
                run, found = 0, []
            else:
                found = [*found, *here]
                run += kind.width
        return [*steps, (run, False, found)] if run else steps

    def _column(
        self, content: bytearray, index: int, starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> Column:
        kind = self._types[index]
        if kind.is_text:
            encoding, most = _TEXTS[kind.datatype], _MOST_TEXT
            spans = zip(starts.tolist(), np.minimum(ends, starts + most).tolist(), strict=True)
            return [
                content[start:end].decode(encoding, "replace").split("\0", 1)[0].rstrip()
                for start, end in spans
            ]
        octets = np.frombuffer(content, dtype=np.uint8)
        picked = octets[starts[:, np.newaxis] + np.arange(kind.width)]
        if kind.datatype == "boolean":
            return [
                "true" if chr(value) in "Tt1" else "false" if chr(value) in "Ff0" else ""
                for value in picked[:, 0]
            ]
        numbers = np.ascontiguousarray(picked).view(_NUMBERS[kind.datatype])[:, 0]
        return numbers.astype(numbers.dtype.newbyteorder("="))

    def _is_null(self, content: bytearray, begins: NDArray[np.int64], index: int) -> NDArray[np.bool_]:
        octets = np.frombuffer(content, dtype=np.uint8)
        flags: NDArray[np.bool_] = (octets[begins + index // 8] >> (7 - index % 8)) & 1 == 1
        return flags


def _without(column: Column, missing: NDArray[np.bool_] | None, null: str | None) -> Column:
    """Column without the values that are none: NaN among floats, "" among all others."""
    if missing is not None and not missing.any():
        missing = None
    if isinstance(column, np.ndarray) and column.dtype.kind == "f":
        return column if missing is None else np.where(missing, np.nan, column)
    if missing is None and null is None:
        return column
    gone = [False] * len(column) if missing is None else missing.tolist()
    texts = [str(value) for value in (column.tolist() if isinstance(column, np.ndarray) else column)]
    return ["" if none or text == null else text for text, none in zip(texts, gone, strict=True)]
