"""The web server: gunicorn with threads, its workers made from one imported program."""

from __future__ import annotations

import errno
import gc
import logging
import socket
import sys
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from threading import Thread
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.util import write_nonblock
from gunicorn.workers.gthread import ThreadWorker

from config.app import JOBS, MONITOR, STREAMS, create_app
from config.identity import SAFETY
from config.kernels import load_kernels_soon
from config.portal import PAGES, SURVEYS
from config.settings import Settings
from dali.caller import ANONYMOUS
from dali.errors import ProtocolError, ServerError, UsageError
from dali.responses import TEXT, error_text
from portal.position import parse_place
from uws.memory import spare_the_collector

#: Ports tried after the default one.
NEXT_PORTS = 50
BACKLOG = 1024
SWITCH_INTERVAL_S = 0.0005
LONGEST_REQUEST_LINE = 8190
WARM_UP_AFTER_S = 5.0
STREAMS_END_S = 2.0


class PortTaken(Exception):
    """The port asked for is in use."""


def open_socket(host: str, port: int, *, or_next: bool) -> socket.socket:
    """Bind and listen; with `or_next`, on the next free port where `port` is taken.

    Raises
    ------
    PortTaken
        If no port is free.
    OSError
        If the address cannot be used at all.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    last = min(port + NEXT_PORTS, 65535) if or_next and port else port
    for candidate in range(port, last + 1):
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
        else:
            return listener
    raise PortTaken(
        f"port {port} of {host} is taken" if last == port else f"ports {port} to {last} are taken"
    )


def url_of(listener: socket.socket) -> str:
    """URL under which this machine reaches an open socket."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # every address is also ours
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn is untyped
    """Serves until it is told to stop.

    Parameters
    ----------
    settings
        All settings.
    listener
        An open socket.
    when_up
        Called in the first worker, in a thread of its own, when the service answers.
    """

    def __init__(
        self, settings: Settings, listener: socket.socket, when_up: Callable[[], None] | None = None
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._when_up = when_up
        super().__init__()

    def load_config(self) -> None:
        """Tell gunicorn what the settings say."""
        server = self._settings.server
        values = {
            "bind": [f"fd://{self._listener.fileno()}"],
            "workers": server.processes,
            "threads": server.threads,
            "worker_class": Worker,
            "logger_class": StandardLogger,
            "worker_connections": 4096,
            "graceful_timeout": server.graceful_stop_s,
            "timeout": 120,
            "keepalive": 15,
            "limit_request_line": LONGEST_REQUEST_LINE,
            "proc_name": "fountain",
            "control_socket_disable": True,
            # Which proxies are believed is decided in `config.proxies`, so that it is decided once.
            "forwarded_allow_ips": "",
            "secure_scheme_headers": {},
            "forwarder_headers": "",
            "post_worker_init": self._after_start,
        }
        for key, value in values.items():
            if key in self.cfg.settings:
                self.cfg.set(key, value)

    def load(self) -> Flask:
        """Make the application: in each worker, after the fork, so that no connection is shared."""
        return create_app(self._settings)

    def _after_start(self, worker: Any) -> None:
        spare_the_collector()
        # Loading takes a second of work: not at start, nor while the first client waits for it.
        load_kernels_soon(WARM_UP_AFTER_S, partial(_load_what_pages_need, worker.wsgi))
        if self._when_up is not None and worker.age == 1:
            Thread(target=self._when_up, name="when-up", daemon=True).start()


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn is untyped
    """A worker that says it is leaving, and that refuses broken requests in plain text."""

    def init_process(self) -> None:
        """Begin to serve."""
        # A request lets go of the interpreter several times (files, socket, database), and each time may wait
        # this long for a thread that computes. Beside one of those a small cutout takes 1.4 ms, but 21 ms
        # with Python's own 5 ms; shorter intervals cost throughput.
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        super().init_process()

    def load_wsgi(self) -> None:
        """Make the application, which may hand connections over."""
        super().load_wsgi()
        self.wsgi.extensions[STREAMS].adopts = True

    def run(self) -> None:
        """Serve until it is told to stop; then streams end as they should."""
        super().run()
        self.wsgi.extensions[STREAMS].wait_until_empty(STREAMS_END_S)

    def handle_exit(self, sig: int, frame: object) -> None:
        """Begin to stop: requests go on until they are answered, but nobody waits for jobs any longer."""
        for part in (MONITOR, JOBS, STREAMS):
            self.wsgi.extensions[part].drain()
        super().handle_exit(sig, frame)

    def handle(self, conn: Any) -> Any:
        """Answer a request, and close the connection where it ends with that."""
        result = super().handle(conn)
        if not result and not self.wsgi.extensions[STREAMS].adopt(conn.sock):
            # gunicorn waits up to two seconds for the client to close its end, and does so in the thread that
            # takes all connections: there a few clients that never close would hold up everybody.
            conn.close(graceful=True)
        return result

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        """Take note of an answer."""
        if not fs.cancelled() and fs.exception() is None and not fs.result():
            self.nr_conns -= 1  # closed by `handle`, or handed over
        else:
            super().finish_request(conn, fs)

    def handle_error(self, req: object, client: socket.socket, addr: object, exc: BaseException) -> None:
        """Answer what is no request, instead of gunicorn's HTML."""
        error: ProtocolError
        match exc:
            case LimitRequestLine():
                error = UsageError("the URL is too long", "Send the parameters by POST.", status=414)
            case LimitRequestHeaders():
                error = UsageError("the headers of the request are too large", status=431)
            case ParseException():
                error = UsageError("the request is not valid HTTP")
            case _:
                self.log.error("request failed in the server", exc_info=exc)
                error = ServerError("the service failed on this request")
        body = error_text(error, "-").encode()
        head = f"HTTP/1.1 {error.status} Refused\r\nConnection: close\r\nContent-Type: {TEXT}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in SAFETY)
        try:
            write_nonblock(client, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        except OSError:
            self.log.debug("the client of a broken request is gone")


class StandardLogger(Logger):  # type: ignore[misc]  # gunicorn is untyped
    """gunicorn's log, handed on to the standard one; requests are logged by `config.logs`."""

    def setup(self, cfg: object) -> None:
        """Leave handlers and levels to the root logger; not to tell of each request, by its whole path."""
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        self.error_log.setLevel(max(logging.getLogger().level, logging.INFO))

    def access(self, resp: object, req: object, environ: object, request_time: object) -> None:
        """Write nothing."""

    def reopen_files(self) -> None:
        """Do nothing: there are no files."""


def _load_what_pages_need(app: Flask) -> None:
    """Do once what the first page would take most of a second for: templates, coverages, constellations."""
    try:
        app.extensions[PAGES].compile()
        app.extensions[SURVEYS].told(ANONYMOUS)
        parse_place("0 0").told()
    except Exception:  # such as a database that is away: the first page finds out itself
        logging.getLogger(__name__).warning("pages are not made ready beforehand", exc_info=True)
    gc.freeze()
