"""Names of files in packages: safe on every system, and none twice."""

from __future__ import annotations

import re
from itertools import chain, count

_SAFE = re.compile(r"(?:[A-Za-z0-9_+~][A-Za-z0-9._+~-]{0,119}/){0,7}[A-Za-z0-9_+~][A-Za-z0-9._+~-]{0,119}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._+~-]+")
_SEGMENTS, _LONGEST = 8, 120


class Names:
    """The names of one package."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, path: str, result_id: str) -> str:
        """Give a path as it may stand in a package; one that is taken gets the id of its result too.

        Names that differ by case alone are one to some systems.
        """
        path = safe_path(path)
        if path.lower() in self._taken:
            stem, dot, suffix = path.rpartition(".")
            if not dot or "/" in suffix:
                stem, dot, suffix = path, "", ""
            others = chain([safe_name(result_id)], (f"{safe_name(result_id)}_{n}" for n in count(2)))
            named = (f"{stem}_{other}{dot}{suffix}" for other in others)
            path = next(name for name in named if name.lower() not in self._taken)
        self._taken.add(path.lower())
        return path


def safe_path(path: str) -> str:
    """Path of ASCII, which leads nowhere else."""
    if _SAFE.fullmatch(path):
        return path
    segments = [safe_name(segment) for segment in path.split("/") if segment not in ("", ".", "..")]
    return "/".join(segments[-_SEGMENTS:]) or "_"


def safe_name(name: str) -> str:
    """Name of ASCII, of one file or folder."""
    plain = _UNSAFE.sub("_", name)[:_LONGEST]
    return plain if plain and plain[0] not in ".-" else f"_{plain}"
