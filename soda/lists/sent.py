"""Tables of targets as they were sent: any of their columns, to sort by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from soda.lists.request import TABLE
from soda.targets.formats import open_source
from soda.targets.source import Source, Wanted
from soda.targets.table import TargetLimits, UploadRefused
from uws.job import Upload


class SentTargets:
    """Reads uploaded tables again (`uws.packages.package.SentTable`).

    Parameters
    ----------
    limits
        Of tables, as they were when these were sent.
    """

    name = TABLE

    def __init__(self, limits: TargetLimits) -> None:
        self._limits = limits

    def columns(self, path: Path, upload: Upload) -> Sequence[str]:
        """Name the columns of a table; none of one that cannot be read."""
        try:
            return [field.name for field in self._open(path, upload).fields]
        except UploadRefused:  # by limits that have changed since
            return ()

    def values(self, path: Path, upload: Upload, column: int) -> Sequence[object]:
        """Read a column, by its place: a value of each row."""
        try:
            source = self._open(path, upload)
            wanted = Wanted(column, source.fields[column].name, is_setting=False)
            (found,) = source.read([wanted]).columns
        except UploadRefused:
            return ()
        return found.tolist() if isinstance(found, np.ndarray) else found

    def _open(self, path: Path, upload: Upload) -> Source:
        return open_source(path, upload.file_name, upload.media_type, self._limits)
