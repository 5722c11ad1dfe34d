"""A table of targets that a client uploads: bytes in, positions, names and settings of rows out.

Formats are told by their content. What a parser would trust, sizes, counts, entities, is checked before it is
given the file; nothing a file names is ever fetched. A row that is wrong is a fault of that row (`RowFault`);
a file that is wrong is refused as a whole (`UploadRefused`), with the line.

May import: dali, and the standard's own table of parameters.
"""

from dali.tables import guarded_csv_cell
from soda.targets.cells import slug
from soda.targets.mapping import ColumnMapping, parse_mapping
from soda.targets.read import read_targets
from soda.targets.table import RowFault, SeenColumn, Subject, TargetLimits, TargetTable, UploadRefused

__all__ = [
    "ColumnMapping",
    "RowFault",
    "SeenColumn",
    "Subject",
    "TargetLimits",
    "TargetTable",
    "UploadRefused",
    "guarded_csv_cell",
    "parse_mapping",
    "read_targets",
    "slug",
]
