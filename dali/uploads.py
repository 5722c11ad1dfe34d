"""Files that clients upload: how large they may be, and how they are called."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from dali.errors import ServiceUnavailable, UsageError

OCTETS = "application/octet-stream"
RETRY_AFTER_S = 10
MAX_FILE_NAME_LENGTH = 200

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,64}/[A-Za-z0-9!#$&^_.+-]{1,100}")
_NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Spool:
    """Where files of a request go, and how much they may take, all together.

    Parameters
    ----------
    folder
        On a disk; it must be there.
    max_bytes
        Of all files of a request.
    max_value_bytes
        Of everything else in it.
    """

    folder: Path
    max_bytes: int
    max_value_bytes: int


def plain_file_name(name: str) -> str:
    """Last segment of what a client calls a file, on whatever system, without what cannot be shown."""
    last = re.split(r"[/\\]", name.encode(errors="replace").decode())[-1]
    return _NOT_IN_NAMES.sub("_", last)[-MAX_FILE_NAME_LENGTH:]


def media_type_of(said: str | None) -> str:
    """Media type as it is said, without parameters; bytes of any kind if that is none."""
    plain = (said or "").partition(";")[0].strip().lower()
    return plain if _MEDIA_TYPE.fullmatch(plain) else OCTETS


def too_large(limit: int) -> UsageError:
    """Files are refused that take more than `limit` bytes."""
    return UsageError(
        f"the files of a request may have {limit} bytes at most; these are larger",
        "Send several requests, or a more compact format.",
        status=413,
    )


def no_room() -> ServiceUnavailable:
    """Files are refused for which there is no room."""
    return ServiceUnavailable("uploads cannot be stored now", "Try again later.", retry_after_s=RETRY_AFTER_S)
