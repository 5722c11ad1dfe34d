"""``python -m benchmarks``: measure everything, print one table, write ``benchmarks/results.md``."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import cutouts, discovery, index_lookup, jobs, memory, service
from benchmarks.table import Row, markdown

RESULTS = Path(__file__).parent / "results.md"


def measure(folder: Path) -> Iterator[Row]:
    """Measure one thing after the other."""
    yield from cutouts.rows(folder)
    yield from memory.rows(folder)
    yield from service.rows(folder)
    yield from jobs.rows(folder)
    yield from index_lookup.measure()
    yield from discovery.measure()


def main() -> int:
    """Measure, print, write; 1 if a goal is missed."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for row in measure(Path(folder)):
            rows.append(row)
            print(f"{row.what}: {row.ours:.4g} {row.unit}, ratio {row.ratio:.3g}", file=sys.stderr)
    page = markdown(rows)
    print(page)
    RESULTS.write_text(page)
    return 0 if all(row.reached for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
