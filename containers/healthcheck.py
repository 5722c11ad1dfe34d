"""Tell by exit status whether this container is well: ``healthcheck.py web`` or ``healthcheck.py worker``.

A web server is well if it answers. A worker is well if the database has heard of it lately; while the
database does not answer nothing is held against the worker: it waits, and starting it again would not help.
"""

from __future__ import annotations

import http.client
import os
import socket
import sys

TIMEOUT_S = 4
DEFAULT_PORT = 8080
#: Leases that may pass without a sign of life.
LEASES = 2


def web() -> str | None:
    """Ask ``/healthz``; give what is wrong."""
    port = int(os.environ.get("FOUNTAIN_SERVER__PORT", DEFAULT_PORT))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except OSError as error:
        return f"no answer: {error}"
    finally:
        connection.close()
    return None if status == 200 else f"status {status}"


def worker() -> str | None:
    """Look for a sign of life of a worker of this host; give what is wrong."""
    from sqlalchemy import func, select
    from sqlalchemy.exc import SQLAlchemyError

    from config.database import make_engine
    from config.settings import load_settings
    from dali.clock import NowMs
    from uws.tables import WorkerRow

    settings = load_settings()
    engine = make_engine(settings.data.engine_url)
    mine = select(func.max(WorkerRow.seen_ms), NowMs()).where(WorkerRow.host == socket.gethostname())
    seen_ms: int | None
    try:
        with engine.connect() as connection:
            seen_ms, now_ms = connection.execute(mine).one()
    except SQLAlchemyError:
        sys.stderr.write("the database does not answer\n")
        return None
    finally:
        engine.dispose()
    if seen_ms is None:
        return "no worker of this host is known"
    silent_s = (now_ms - seen_ms) / 1000
    return f"not heard of for {silent_s:.0f} s" if silent_s > LEASES * settings.jobs.lease_s else None


def main(arguments: list[str]) -> int:
    """Check what the one argument names."""
    checks = {"web": web, "worker": worker}
    if len(arguments) != 1 or arguments[0] not in checks:
        sys.stderr.write(f"usage: healthcheck.py {'|'.join(checks)}\n")
        return 2
    fault = checks[arguments[0]]()
    if fault is not None:
        sys.stderr.write(f"{fault}\n")
    return 0 if fault is None else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
