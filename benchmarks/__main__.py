"""``python -m benchmarks [NAME …]``: measure everything, or what is named, and print one table.

The table of everything is written to ``benchmarks/results.md``; `degrees` writes ``docs/performance.md``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks import (
    accuracy,
    alert_index,
    alerts,
    cold,
    compressed,
    cutouts,
    degrees,
    discovery,
    estimates,
    index_lookup,
    jobs,
    lists,
    memory,
    mosaics,
    pages,
    pictures,
    service,
    streams,
)
from benchmarks.table import Row, markdown

RESULTS = Path(__file__).parent / "results.md"

#: What is measured, in this order; `jobs` uses what `service` makes.
SECTIONS: dict[str, Callable[[Path], Iterable[Row]]] = {
    "cutouts": cutouts.rows,
    "compressed": compressed.rows,
    "cold": cold.rows,
    "mosaics": mosaics.rows,
    "accuracy": accuracy.rows,
    "pictures": pictures.rows,
    "degrees": degrees.rows,
    "memory": memory.rows,
    "service": service.rows,
    "jobs": jobs.rows,
    "streams": streams.rows,
    "pages": pages.rows,
    "estimates": estimates.rows,
    "lists": lists.rows,
    "index_lookup": lambda folder: index_lookup.measure(),
    "alerts": alerts.rows,
    "alert_index": lambda folder: alert_index.measure(),
    "discovery": lambda folder: discovery.measure(),
}


def measure(names: Sequence[str], folder: Path) -> Iterator[Row]:
    """Measure one thing after the other."""
    for name in names:
        start = time.perf_counter()
        yield from SECTIONS[name](folder)
        print(f"({name} took {time.perf_counter() - start:.0f} s)", file=sys.stderr)


def main(names: Sequence[str]) -> int:
    """Measure, print, write; 1 if a goal is missed."""
    if unknown := set(names) - set(SECTIONS):
        print(f"no such measurement: {', '.join(unknown)}; there are {', '.join(SECTIONS)}", file=sys.stderr)
        return 2
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for row in measure(names or list(SECTIONS), Path(folder)):
            rows.append(row)
            print(f"{row.what}: {row.ours:.4g} {row.unit}, ratio {row.ratio:.3g}", file=sys.stderr)
    page = markdown(rows)
    print(page)
    if not names:
        RESULTS.write_text(page)
    return 0 if all(row.reached for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
