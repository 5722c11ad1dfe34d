"""``/events`` and ``/async/<job>/events``: news of jobs, as a stream of events or page by page as JSON."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from dali.caller import Caller
from dali.errors import UsageError, quoted
from dali.handover import HandedOver
from dali.parameters import Parameters, refuse_unknown
from dali.responses import JSON, LOG_FIELDS
from dali.views import read_parameters, watch_client
from uws.documents.asked import parse_job_ids, parse_limit
from uws.documents.teller import JobTeller
from uws.links import LINK, link_in
from uws.service import JobService
from uws.store.changes import Changed, Changes
from uws.streams.followers import Follower, JobFollower, ListFollower, Reader, happened_value
from uws.streams.frames import MEDIA_TYPE, event, hello
from uws.streams.hub import Hub
from uws.streams.position import Position

#: Events of a page, where nothing is said, and at most.
LIMIT = 100
MOST = 1000
#: Whoever comes back after so long has missed jobs that are forgotten since.
LONG_MS = 3_600_000
#: A stream that has a thread of its own looks so often whether its client is there.
GONE_S = 1.0
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Vary": "Accept"}


def make_blueprint(
    service: JobService,
    teller: JobTeller,
    changes: Changes,
    hub: Hub,
    list_url: Callable[[], str],
    caller_of: Callable[[], Caller],
    path: str = "/async",
    client_of: Callable[[], str] = lambda: "",
) -> Blueprint:
    """Make both resources.

    Parameters
    ----------
    service, teller
        Know the jobs, and tell of them.
    changes
        What has changed of them.
    hub
        Tells streams.
    list_url
        Gives the public URL of the job resource during a request.
    caller_of
        Tells who asks.
    path
        Of the job resource.
    client_of
        Tells whose streams are counted together, "" for those that are not.
    """
    news = _News(service, teller, changes, hub, list_url, caller_of, client_of)
    blueprint = Blueprint("events", __name__)
    blueprint.add_url_rule("/events", "jobs", news.jobs, methods=["GET"])
    blueprint.add_url_rule(f"{path}/<job_id>/events", "job", news.job, methods=["GET"])
    return blueprint


class _News:
    """The resources, as they answer requests; `make_blueprint` says what the attributes are."""

    def __init__(
        self,
        service: JobService,
        teller: JobTeller,
        changes: Changes,
        hub: Hub,
        list_url: Callable[[], str],
        caller_of: Callable[[], Caller],
        client_of: Callable[[], str],
    ) -> None:
        self._service = service
        self._teller = teller
        self._changes = changes
        self._hub = hub
        self._list_url = list_url
        self._caller_of = caller_of
        self._client_of = client_of

    def job(self, job_id: str) -> Response:
        """Tell what happens to a job."""
        parameters = _read("AFTER", "LIMIT")
        asked, limit = parameters.one("AFTER"), parameters.one("LIMIT")
        seq = None if asked is None else _number(asked)
        reader = self._reader()
        job = self._service.find(job_id, reader.caller, self._teller.job_type, "see", reader.link)
        request.environ[LOG_FIELDS] = {"job_id": job.job_id, "run_id": job.run_id}
        brief = self._teller.briefs([job], reader.caller, reader.list_url)[0]
        if not _wants_stream():
            size = LIMIT if limit is None else parse_limit(limit, MOST)
            events = self._changes.events(job.job_id, seq or 0, size)
            after = events[-1].seq if len(events) == size else None
            more = f"{reader.list_url}/{job.job_id}/events?AFTER={after}&LIMIT={size}"
            more += f"&{urlencode({LINK: reader.link})}" if reader.link else ""
            told = [happened_value(one) for one in events]
            return _json({"events": told, "job": brief, "next": None if after is None else more})
        last = _last_event_id()
        if last.isdigit() and len(last) < 16:  # the browser knows better than the page that began
            seq = max(int(last), seq or 0)
        if seq is None or seq > job.event_seq:  # of another time, before the database was set back
            first = hello() + event("job", brief, job.event_seq)
            return self._stream(JobFollower(reader, job.job_id, job.event_seq), first)
        return self._stream(JobFollower(reader, job.job_id, seq), hello(seq))

    def jobs(self) -> Response:
        """Tell how jobs are whenever they change."""
        parameters = _read("JOB", "AFTER")
        reader = self._reader()
        job_ids = parse_job_ids(parameters) if "JOB" in parameters.values else None
        if job_ids is None and not reader.caller.name:
            raise UsageError(
                "it must be said which jobs: somebody who is not signed in has none of their own",
                "Name them: JOB=<id>, once for each.",
            )
        position = _position(parameters)
        known = self._changes.named(job_ids) if job_ids is not None else []
        for changed in known:
            if not changed.is_gone:
                job_id = changed.job.job_id
                self._service.find(job_id, reader.caller, self._teller.job_type, "see", reader.link)
        now_ms = self._changes.now_ms()
        if position is None:
            return self._begin(reader, job_ids, known, now_ms)
        is_late = not now_ms - LONG_MS <= position.floor_ms <= now_ms
        if is_late:
            position = Position(now_ms)
        missed = self._changed(reader, job_ids, position.floor_ms)
        if is_late:
            for changed in missed:
                position.take(changed)
        follower = ListFollower(reader, job_ids, position)
        if _wants_stream():
            first = hello(str(position)) + (event("reset", {}, str(position)) if is_late else b"")
            return self._stream(follower, first, missed)
        return self._page(
            reader, position, [one for one in missed if not position.has(one)], is_reset=is_late
        )

    def _begin(
        self, reader: Reader, job_ids: tuple[str, ...] | None, known: list[Changed], now_ms: int
    ) -> Response:
        """Answer those who come for the first time: JSON tells of the jobs that they name, streams do not."""
        position = self._now(reader, job_ids, now_ms)
        there = {changed.job.job_id for changed in known if not changed.is_gone}
        gone = [job_id for job_id in job_ids or () if job_id not in there]
        if not _wants_stream():
            return self._page(reader, position, known, gone)
        first = hello(str(position))
        first += b"".join(event("gone", {"id": job_id}, str(position)) for job_id in gone)
        return self._stream(ListFollower(reader, job_ids, position), first)

    def _reader(self) -> Reader:
        return Reader(self._caller_of(), self._list_url(), link_in(request.query_string), self._client_of())

    def _now(self, reader: Reader, job_ids: tuple[str, ...] | None, now_ms: int) -> Position:
        """Give the position of somebody who knows how jobs are."""
        position = Position(now_ms)
        for changed in self._changed(reader, job_ids, position.floor_ms):
            position.take(changed)
        return position

    def _changed(self, reader: Reader, job_ids: tuple[str, ...] | None, since_ms: int) -> list[Changed]:
        found = self._changes.since(since_ms)
        if job_ids is None:
            wanted = [one.job_id for one in found if one.owner == reader.caller.name]
        else:
            wanted = [one.job_id for one in found if one.job_id in job_ids]
        return [one for one in self._changes.named(wanted) if one.job.type == self._teller.job_type]

    def _page(
        self,
        reader: Reader,
        position: Position,
        changed: list[Changed],
        gone: list[str] | None = None,
        *,
        is_reset: bool = False,
    ) -> Response:
        for one in changed:
            position.take(one)
        jobs = [one.job for one in changed if not one.is_gone]
        return _json(
            {
                "jobs": self._teller.briefs(jobs, reader.caller, reader.list_url),
                "gone": gone if gone is not None else [one.job.job_id for one in changed if one.is_gone],
                "reset": is_reset,
                "cursor": str(position),
            }
        )

    def _stream(self, follower: Follower, first: bytes, missed: list[Changed] | None = None) -> Response:
        headers = {**_HEADERS, "X-Accel-Buffering": "no"}
        if request.method == "HEAD":
            return Response(headers=headers, content_type=MEDIA_TYPE)
        self._hub.take_place(follower.client)
        try:
            if missed:
                self._hub.catch_up(follower, self._teller, missed)
            self._hub.follow(follower, self._teller)
        except BaseException:
            self._hub.give_back(follower.client)
            raise
        line = request.environ.get("gunicorn.socket")
        body: _Handover | _Waited
        if self._hub.adopts and isinstance(line, socket.socket):
            body = _Handover(first, follower, self._hub, line)
        else:
            body = _Waited(first, follower, self._hub, watch_client(request))
        return Response(body, headers=headers, content_type=MEDIA_TYPE)


class _Handover:
    """A body that begins a stream, and hands the connection over."""

    def __init__(self, first: bytes, follower: Follower, hub: Hub, line: socket.socket) -> None:
        self._first = first
        self._follower = follower
        self._hub = hub
        self._line = line
        self._is_chunked = request.environ["SERVER_PROTOCOL"] not in ("HTTP/1.0", "HTTP/0.9")
        self._is_offered = False

    def __iter__(self) -> Iterator[bytes]:
        yield self._first
        self._hub.offer(self._line, self._follower, is_chunked=self._is_chunked)
        self._is_offered = True
        raise HandedOver

    def close(self) -> None:
        """Let go of the stream, if it is in no other hands."""
        if not self._is_offered:
            self._hub.leave(self._follower)


class _Waited:
    """A body that sends a stream in the thread of the request, under servers that hand nothing over."""

    def __init__(self, first: bytes, follower: Follower, hub: Hub, is_gone: Callable[[], bool]) -> None:
        self._first = first
        self._follower = follower
        self._hub = hub
        self._is_gone = is_gone

    def __iter__(self) -> Iterator[bytes]:
        yield self._first
        while not self._is_gone():
            taken = self._follower.outbox.take(GONE_S)
            if taken.data:
                yield taken.data
            if taken.is_last:
                return

    def close(self) -> None:
        """Let go of the stream."""
        self._hub.leave(self._follower)


def _read(*names: str) -> Parameters:
    # A key says by what right one looks; it is read in another place.
    parameters = read_parameters(request).without(LINK)
    if unknown := refuse_unknown(parameters, names, names):
        raise unknown[0]
    return parameters


def _wants_stream() -> bool:
    return (
        request.accept_mimetypes[MEDIA_TYPE] > 0 and MEDIA_TYPE in request.headers.get("Accept", "").lower()
    )


def _last_event_id() -> str:
    text = request.headers.get("Last-Event-ID", "").strip()
    return text if text.isascii() else ""


def _position(parameters: Parameters) -> Position | None:
    """Read where the client was, as it or its browser says; what no stream gave is no position."""
    if last := _last_event_id():
        try:
            return Position.parse(last)
        except ValueError:
            return None
    if (after := parameters.one("AFTER")) is None:
        return None
    try:
        return Position.parse(after)
    except ValueError:
        raise UsageError(
            f"AFTER is a cursor of this resource; got {quoted(after)}", "Leave it out to begin now."
        ) from None


def _number(text: str) -> int:
    digits = text.strip(" ")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 16):
        raise UsageError(f"AFTER is the number of an event; got {quoted(text)}", "Write AFTER=0 for all.")
    return int(digits)


def _json(value: Mapping[str, Any]) -> Response:
    return Response(json.dumps(value, ensure_ascii=False), headers=_HEADERS, content_type=JSON)
