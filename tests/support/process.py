"""A process of a cluster: a worker, or a reconciler.

It imports when it runs: the child of a worker imports this module too, and needs nothing of it.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path


def main(role: str, told: str, *lanes: str) -> None:
    """Be one of the processes."""
    from config.database import make_engine
    from tests.support.dying import DyingBell, DyingResults
    from tests.support.toy import toy_types
    from uws.settings import JobSettings

    said = json.loads(Path(told).read_text())
    folder, settings = Path(said["folder"]), JobSettings(**said["settings"])
    engine, bell = make_engine(said["database_url"]), DyingBell(said["redis_url"])
    results = DyingResults(str(folder / "results"), folder / "spool")
    bell.moment = results.moment = said["moment"]
    if role == "worker":
        from uws.worker import Worker

        Worker(engine, toy_types, results, bell, settings, lanes).run()  # type: ignore[arg-type]
        return
    from uws.reconcile import Reconciler
    from uws.store.upkeep import Upkeep

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    Reconciler(Upkeep(engine), results, bell, toy_types(), settings).run(stop)


if __name__ == "__main__":
    main(*sys.argv[1:])
