"""The log: JSON lines, one for each request, with the id that every error body repeats."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from random import getrandbits
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog
from structlog.processors import ExceptionRenderer
from structlog.stdlib import ProcessorFormatter
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor

from config.settings import LogSettings
from dali.caller import ANONYMOUS, caller_in
from dali.handover import HandedOver
from dali.responses import LOG_FIELDS, REQUEST_ID

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: What a proxy may send as X-Request-Id; anything else is replaced, since it goes to logs and answers.
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_LONGEST_PATH = 200
#: What follows is for those alone who have the link.
_LINKS = "/unsubscribe/"
#: Key in the WSGI environment of the rule that was followed, where it was not by Flask.
RULE = "fountain.rule"

#: Without the values of variables: passwords are among them, and what clients sent.
_TRACEBACKS = ExceptionDictTransformer(show_locals=False)


def configure_logs(settings: LogSettings) -> None:
    """Send the log, and that of every library, to standard error in the form the settings ask for."""
    level = getattr(logging, settings.level.upper())
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    ends: list[Processor] = (
        [ExceptionRenderer(_TRACEBACKS), structlog.processors.JSONRenderer()]
        if settings.format == "json"
        else [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    structlog.configure(
        processors=[*shared, *ends],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder()],
            processors=[ProcessorFormatter.remove_processors_meta, *ends],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # It tells of each start that there was nothing to migrate.
    logging.getLogger("alembic").setLevel(logging.WARNING)


class Answered(NamedTuple):
    """A request that has been answered.

    Parameters
    ----------
    rule
        That of the URL map which the path fits, "" for none.
    sent
        Bytes of the answer.
    seconds, cpu_s
        From the request to the end of the answer; and how long this thread worked of them.
    environ
        Of the request.
    """

    method: str
    rule: str
    status: int
    sent: int
    seconds: float
    cpu_s: float = 0.0
    environ: Mapping[str, Any] = MappingProxyType({})


class RequestLog:
    """WSGI middleware: gives each request its id, and writes its line when the answer has been sent.

    Parameters
    ----------
    app
        What it wraps.
    listeners
        Told of each request then.
    """

    def __init__(self, app: WSGIApplication, *listeners: Callable[[Answered], None]) -> None:
        self._app = app
        self._listeners = listeners
        self._log = structlog.get_logger()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        asked_id = environ.get("HTTP_X_REQUEST_ID", "")
        # Told to everybody, and no secret: to ask the kernel for one would let go of the interpreter.
        request_id = asked_id if asked_id and _SAFE_ID.fullmatch(asked_id) else f"{getrandbits(64):016x}"
        environ[REQUEST_ID] = request_id
        answer = _Answer(self._log, environ, self._listeners)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            answer.status = int(status[:3])
            # Flask takes its request away from the environment when it has answered.
            rule = getattr(environ.get("werkzeug.request"), "url_rule", None)
            answer.rule = environ.get(RULE, "") if rule is None else rule.rule
            headers.append(("X-Request-Id", request_id))
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        answer.body = self._app(environ, start)
        return answer


class _Answer:
    """The body of an answer, which counts its bytes and writes the line of its request when it is closed."""

    body: Iterable[bytes]
    status = 0
    rule = ""

    def __init__(
        self, log: Any, environ: WSGIEnvironment, listeners: Iterable[Callable[[Answered], None]]
    ) -> None:
        self._log = log
        self._environ = environ
        self._listeners = listeners
        self._began = time.perf_counter()
        self._began_cpu = time.thread_time()
        self._sent = 0

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self.body:
                self._sent += len(chunk)
                yield chunk
        except HandedOver:
            raise
        except Exception:
            # The status is on its way already; all that is left is to break off, and to say why here.
            self._log.exception("answer cut short", request_id=self._environ[REQUEST_ID])
            raise

    def close(self) -> None:
        if (close := getattr(self.body, "close", None)) is not None:
            close()
        environ = self._environ
        seconds = time.perf_counter() - self._began
        # The logger itself: what stands for it until the log is configured takes its time for each name.
        log = self._log.bind()
        if log.is_enabled_for(logging.INFO):
            log.info(
                "request",
                request_id=environ[REQUEST_ID],
                method=environ["REQUEST_METHOD"],
                path=_path(environ.get("PATH_INFO", "")),
                status=self.status,
                bytes=self._sent,
                ms=round(seconds * 1000, 2),
                **_who(environ),
                **environ.get(LOG_FIELDS, {}),
            )
        cpu_s = time.thread_time() - self._began_cpu
        answered = Answered(
            environ["REQUEST_METHOD"], self.rule, self.status, self._sent, seconds, cpu_s, environ
        )
        for listener in self._listeners:
            listener(answered)


def _path(path: str) -> str:
    before, link, _ = path.partition(_LINKS)
    return f"{before}{link}…" if link else path[:_LONGEST_PATH]


def _who(environ: WSGIEnvironment) -> dict[str, str]:
    caller = caller_in(environ)
    if caller is ANONYMOUS:
        return {}
    told = {"account": caller.name, "actor": caller.actor}
    return {name: value for name, value in told.items() if value}
