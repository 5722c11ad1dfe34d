"""Files that are sent with a job, or fetched for it (DALI 1.1, section 3.4.5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

from dali.errors import UsageError, quoted
from dali.parameters import Parameters, UploadedFile, plain_name, upper_name
from dali.uploads import OCTETS, Spool, no_room, plain_file_name
from uws.fetch import check_url
from uws.job import Result, RowStatus, Upload
from uws.jobtype import JobRefused, UploadSource
from uws.results import ResultStore, StorageError
from uws.settings import JobSettings

UPLOAD = "UPLOAD"
MAX_UPLOADS = 10

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_PART = re.compile(r"param:([A-Za-z0-9_.~-]{1,64})", re.IGNORECASE)
#: TAP has several in one value.
_NEXT = re.compile(r";(?=[A-Za-z_][A-Za-z0-9_.-]*,(?:param:|https?://))", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Named:
    """What a value of UPLOAD names: in lower case; the part in upper case, or a URL."""

    name: str
    part: str = ""
    url: str = ""


def parse_uploads(values: Sequence[str]) -> tuple[Named, ...]:
    """Read the values of UPLOAD.

    Raises
    ------
    UsageError
        If one is wrong.
    """
    found = tuple(_named(text.strip(" ")) for value in values for text in _NEXT.split(value))
    if len(found) > MAX_UPLOADS:
        raise UsageError(f"UPLOAD is taken {MAX_UPLOADS} times at most; got {len(found)}")
    for what in ("name", "part"):
        given = [getattr(named, what) for named in found if getattr(named, what)]
        if len(set(given)) < len(given):
            raise UsageError(f"two values of UPLOAD have the same {what}", "Give each one of its own.")
    return found


class Uploads:
    """Takes uploads, and has them at hand.

    Parameters
    ----------
    results
        Where they are kept.
    settings
        How large they may be, and where they may be fetched.
    """

    def __init__(self, results: ResultStore, settings: JobSettings) -> None:
        self._results = results
        self._settings = settings

    def spool(self) -> Spool:
        """Where the files of a request go.

        Raises
        ------
        ServiceUnavailable
            If there is no room for them.
        """
        settings = self._settings
        try:
            return Spool(self._results.incoming(), settings.max_upload_bytes, settings.max_body_bytes)
        except StorageError as fault:
            raise no_room() from fault

    def named(
        self, parameters: Parameters, takes_uploads: bool, stored: Collection[str] = ()
    ) -> tuple[Named, ...]:
        """Read what UPLOAD names, and see that there is a file for each, and no other.

        Parameters
        ----------
        parameters
            Of the job, with the files that came in the request.
        takes_uploads
            Whether the type of the job does.
        stored
            Parts whose files the job has already.

        Raises
        ------
        UsageError
            If they do not fit.
        JobRefused
            If nothing is taken, or not from there.
        """
        values = parameters.all(UPLOAD)
        if not takes_uploads:
            if values or parameters.uploads:
                raise JobRefused("UPLOAD is not supported here", "Send the values as parameters.")
            return ()
        found = parse_uploads(values)
        parts = {named.part for named in found}
        for name in parameters.files:
            if name not in parts:
                raise UsageError(
                    f"the file sent as {plain_name(name)} is not named by UPLOAD",
                    f"Write UPLOAD=name,param:{plain_name(name).lower()}.",
                )
        for named in found:
            if named.url:
                check_url(named.url, self._settings.upload_hosts)
            elif named.part not in parameters.files and named.part not in stored:
                raise UsageError(
                    f"UPLOAD names the part {plain_name(named.part)}, and no file was sent as that",
                    "Send it as a part of multipart/form-data, with a file name.",
                )
            if named.part in parameters.values:
                raise UsageError(
                    f"{plain_name(named.part)} is sent as a file and as a value", "Send one of them."
                )
        return found

    @contextmanager
    def at_hand(
        self, named: Sequence[Named], files: Mapping[str, UploadedFile], stored: Mapping[str, Upload]
    ) -> Iterator[Mapping[str, UploadSource]]:
        """Have uploads at hand for as long as the context lasts: those of the request, else stored ones."""
        with ExitStack() as stack:
            sources = {}
            for one in named:
                if one.url:
                    sources[one.name] = url_source(one)
                elif (file := files.get(one.part)) is not None:
                    locate = partial(Path, file.path)
                    sources[one.name] = UploadSource(
                        one.name, file.file_name, file.media_type, file.size, locate=locate
                    )
                else:
                    upload = stored[one.part]
                    sources[one.name] = source_of(one, upload, partial(self._locate, upload, stack))
            yield sources

    def keep(self, job_id: str, files: Mapping[str, UploadedFile]) -> tuple[Upload, ...]:
        """Store the files of a request for a job; they stay only if the job comes to name them.

        Raises
        ------
        ServiceUnavailable
            If that fails.
        """
        try:
            return tuple(self._keep(job_id, name, file) for name, file in files.items())
        except OSError as fault:
            raise no_room() from fault

    def remove(self, uploads: Collection[Upload]) -> None:
        """Remove what no job names any more; what cannot be removed now is found by its age."""
        for upload in uploads:
            self._results.remove_soon(upload.stored)

    def _keep(self, job_id: str, name: str, file: UploadedFile) -> Upload:
        stored, sha256 = self._results.keep_upload(job_id, file.path)
        return Upload(name, file.file_name, file.media_type, file.size, sha256, stored)

    def _locate(self, upload: Upload, stack: ExitStack) -> Path:
        if (path := self._results.local_upload(upload.stored)) is not None:
            return path
        folder = stack.enter_context(TemporaryDirectory(dir=self._results.incoming()))
        return self._results.fetch_upload(upload, Path(folder) / "upload")


def source_of(named: Named, upload: Upload, locate: Callable[[], Path]) -> UploadSource:
    """Give a stored upload to a job type."""
    return UploadSource(named.name, upload.file_name, upload.media_type, upload.size, locate=locate)


def url_source(named: Named) -> UploadSource:
    """Give an upload to a job type that is not here yet."""
    file_name = plain_file_name(unquote(urlsplit(named.url).path))
    return UploadSource(named.name, file_name, OCTETS, 0, named.url)


def as_result(upload: Upload) -> Result:
    """Show an upload as what is sent like a result."""
    return Result(
        result_id=upload.name,
        row=0,
        part=0,
        status=RowStatus.DONE,
        message="",
        media_type=upload.media_type,
        file_name=upload.file_name or upload.name,
        container=upload.stored,
        offset=0,
        size=upload.size,
        crc32=0,
        sha256=upload.sha256,
    )


def _named(text: str) -> Named:
    name, comma, where = (piece.strip(" ") for piece in text.partition(","))
    if not comma or _NAME.fullmatch(name) is None:
        raise _wrong(text)
    if part := _PART.fullmatch(where):
        return Named(name.lower(), upper_name(part[1]))
    if where.partition(":")[0].lower() in ("http", "https"):
        return Named(name.lower(), url=where)
    raise _wrong(text)


def _wrong(text: str) -> UsageError:
    return UsageError(
        f"UPLOAD is a name, a comma, and param:PART or a URL; got {quoted(text)}",
        "Write UPLOAD=targets,param:t and send the file as the part t.",
    )
