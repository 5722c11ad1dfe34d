"""Finding and opening the files of a lake, and only those: nothing outside its root."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from surveys.errors import ImageRefused, UnknownDataset
from surveys.lake import Lake
from surveys.parquet.local import LocalStore
from surveys.parquet.reader import LakeReader, LakeStore, LakeWalk, StoredFile, is_set_aside
from surveys.template import PathTemplate

__all__ = ["LakeFiles", "LakeReader", "LakeWalk", "StoredFile"]

_MOST_LETTERS = 2048
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
_HIVE = re.compile(r"(?P<field>[A-Za-z][A-Za-z0-9_]*)=(?P<value>.+)")


class LakeFiles:
    """Files of one lake; threads share it.

    Parameters
    ----------
    lake
        As it is declared. Nothing is opened or reached until a file is asked for.
    is_mapped
        Whether files of this machine are mapped.
    """

    def __init__(self, lake: Lake, *, is_mapped: bool = False) -> None:
        self._lake = lake
        self._template = PathTemplate(lake.path)
        self._store: LakeStore
        if lake.is_remote:
            from surveys.parquet.remote import RemoteStore

            self._store = RemoteStore(lake.root, lake.storage_options)
        else:
            self._store = LocalStore(Path(lake.root), is_mapped=is_mapped)

    def walk(self) -> LakeWalk:
        """Walk through the lake: iterating gives its files, sorted.

        Raises
        ------
        SurveyError
            If there is no such lake, or a package that reaches it is missing, which is named.
        """
        return self._store.walk(self._template)

    def find(self, path: str) -> StoredFile:
        """Find a file by its path below the root.

        Raises
        ------
        ImageRefused
            If it is not there, leads out of the root, or is none of the lake's.
        """
        if not _is_below(path) or self._template.match(path) is None or is_set_aside(path.rpartition("/")[2]):
            raise ImageRefused("it is none of the files that the survey is declared to have")
        return self._store.find(path)

    def open(self, path: str, size: int, version: str) -> LakeReader:
        """Open a file as it was indexed; it is kept open for the next.

        Raises
        ------
        StaleImage
            If its size or version differ.
        BrokenImage
            If it is gone, cannot be opened, or leads out of the root.
        """
        if not _is_below(path):
            raise UnknownDataset("The path leads out of the lake.")
        return self._store.open(path, size, version)

    def fields(self, path: str) -> dict[str, str]:
        """Tell what the path of a file says: fields of the template, and of folders such as ``year=2020``."""
        folders = (_HIVE.fullmatch(part) for part in path.split("/")[:-1])
        hive = {found["field"]: unquote(found["value"]) for found in folders if found}
        return hive | (self._template.match(path) or {})

    def confine(self, named: str) -> str:
        """Path below the root of a file as a client names it; no file system is asked.

        Parameters
        ----------
        named
            Below the root, or whole: with the root where that is a URL, or one of the other beginnings that
            the lake is known as; of a URL among these, its path alone is enough.

        Raises
        ------
        UnknownDataset
            If it is elsewhere: another scheme or folder, or by ``..`` or its like.
        """
        path = named
        # Where the folder of a local lake lies is nobody's business.
        beginnings = (*((self._lake.root,) if self._lake.is_remote else ()), *self._lake.known_as)
        paths = [urlsplit(beginning).path for beginning in beginnings if "://" in beginning]
        for beginning in (*beginnings, *filter(None, paths)):
            if named.startswith(f"{beginning}/"):
                path = named[len(beginning) + 1 :]
                break
        if not _is_below(path) or "://" in path:
            raise UnknownDataset("This path is not one of a file that is served here.")
        return path


# Files are opened again and again.
@lru_cache(maxsize=4096)
def _is_below(path: str) -> bool:
    """Whether a path is relative and stays below where it begins, however its letters are written."""
    if not 0 < len(path) <= _MOST_LETTERS:
        return False
    spellings = [path, unquote(path), unquote(unquote(path))]
    return all(
        not _CONTROL.search(spelling)
        and spelling.count("/") == path.count("/")
        and not any(part in ("", ".", "..") for part in spelling.split("/"))
        for spelling in spellings
    )
