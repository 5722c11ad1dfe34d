"""Files that come in a multipart body: written to disk as they come, never held in memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any, cast

from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.formparser import FormDataParser

from dali.errors import UsageError
from dali.parameters import UploadedFile, plain_name, upper_name
from dali.uploads import Spool, media_type_of, no_room, plain_file_name, too_large

#: Heads of parts, and what has been read and not yet been understood, beyond the values themselves.
SLACK_BYTES = 1 << 18
#: Parts of the request that a value of UPLOAD names.
_PARTS = re.compile(r"param:([A-Za-z0-9_.~-]{1,64})", re.IGNORECASE)


class Forms(FormDataParser):
    """Reads forms. One that cannot be read is not taken for an empty one: parameters would be ignored."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "silent": False})


class SpooledForms(Forms):
    """Reads forms whose files go to a spool; `of` makes the class for one."""

    spool: Spool

    @classmethod
    def of(cls, spool: Spool) -> type[SpooledForms]:
        """Make the parser of forms that writes files to a spool."""
        return cast(type[SpooledForms], type("SpooledForms", (cls,), {"spool": spool}))

    def _parse_multipart(
        self, stream: IO[bytes], mimetype: str, content_length: int | None, options: dict[str, str]
    ) -> tuple[IO[bytes], MultiDict[str, str], MultiDict[str, FileStorage]]:
        counting = _Counting(stream, self.spool)
        self.stream_factory = counting.new_file
        try:
            stream, form, files = super()._parse_multipart(
                cast(IO[bytes], counting), mimetype, content_length, options
            )
            return stream, *self._with_texts(form, files, counting)
        except BaseException:
            counting.discard()
            raise

    def _with_texts(
        self, form: MultiDict[str, str], files: MultiDict[str, FileStorage], counting: _Counting
    ) -> tuple[MultiDict[str, str], MultiDict[str, FileStorage]]:
        """Make files of the values that UPLOAD names as parts: texts that were typed, or pasted.

        A file that nobody chose, as forms send it, makes room for the text of its name; any other stays.

        Notes
        -----
        A part of multipart/form-data needs no file name, and DALI 1.1, section 3.4.5, wants none.
        """
        named = {
            upper_name(part)
            for name, value in form.items(multi=True)
            if upper_name(name or "") == "UPLOAD"
            for part in _PARTS.findall(value)
        }
        named -= {upper_name(name or "") for name, file in files.items(multi=True) if _is_chosen(file)}
        kept: list[tuple[str, str]] = []
        texts: dict[str, FileStorage] = {}
        for name, value in form.items(multi=True):
            part = upper_name(name or "")
            if part not in named or part in texts or not value.strip():
                kept.append((name, value))
                continue
            file = counting.new_file(None, None, None)
            file.write(value.encode("utf-8", "replace"))
            file.seek(0)
            texts[part] = FileStorage(file, name=name, content_type="text/plain")
        if not texts:
            return form, files
        others = []
        for name, file_there in files.items(multi=True):
            if upper_name(name or "") in texts:
                file_there.close()
            else:
                others.append((name, file_there))
        both = [*others, *((file.name or "", file) for file in texts.values())]
        return type(form)(kept), type(files)(both)


def _is_chosen(file: FileStorage) -> bool:
    return bool(file.filename) or cast(SpooledFile, file.stream).size > 0


class _Counting:
    """Body of a request, of which files may take so much and everything else so much."""

    def __init__(self, stream: IO[bytes], spool: Spool) -> None:
        self._stream = stream
        self._spool = spool
        self._read = 0
        self._files: list[SpooledFile] = []

    def read(self, size: int = -1) -> bytes:
        """Read on, unless values have taken too much."""
        data = self._stream.read(size)
        self._read += len(data)
        most = self._spool.max_value_bytes
        if self._read - sum(file.size for file in self._files) > most + SLACK_BYTES:
            raise UsageError(f"the values in the body, files aside, are longer than {most} bytes", status=413)
        return data

    def new_file(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        """Make the file of a part."""
        taken = sum(file.size for file in self._files)
        self._files.append(SpooledFile(self._spool, self._spool.max_bytes - taken))
        return cast(IO[bytes], self._files[-1])

    def discard(self) -> None:
        """Remove what has come."""
        for file in self._files:
            file.close()


class SpooledFile:
    """A temporary file of `most` bytes at most; it is removed when it is closed, with its request."""

    def __init__(self, spool: Spool, most: int) -> None:
        try:
            self._file = NamedTemporaryFile(dir=spool.folder, prefix="part-")  # noqa: SIM115  # as long as the request
        except OSError as fault:
            raise no_room() from fault
        self._limit = spool.max_bytes
        self._most = most
        self.path = Path(self._file.name)
        self.size = 0

    def write(self, data: bytes) -> int:
        """Write on, unless it becomes too much."""
        self.size += len(data)
        if self.size > self._most:
            raise too_large(self._limit)
        try:
            return self._file.write(data)
        except OSError as fault:
            raise no_room() from fault

    def seek(self, offset: int, whence: int = 0) -> int:
        """Have all of it on the disk, and be read from there."""
        try:
            self._file.flush()
            return self._file.seek(offset, whence)
        except OSError as fault:
            raise no_room() from fault

    def read(self, size: int = -1) -> bytes:
        """Read on."""
        return self._file.read(size)

    def close(self) -> None:
        """Remove it."""
        self._file.close()


def spooled(files: MultiDict[str, FileStorage]) -> Mapping[str, UploadedFile]:
    """Give the files of a request by their names in upper case.

    Raises
    ------
    UsageError
        If there are two of one name.
    """
    found: dict[str, UploadedFile] = {}
    for name, storage in files.items(multi=True):
        upper = upper_name(name or "")
        if upper in found:
            raise UsageError(
                f"there are two files named {plain_name(upper)}", "Give each part a name of its own."
            )
        file = cast(SpooledFile, storage.stream)
        found[upper] = UploadedFile(
            file.path, plain_file_name(storage.filename or ""), media_type_of(storage.content_type), file.size
        )
    return found
