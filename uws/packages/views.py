"""The ledger of a job, and the results of one whose files come as a package, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain
from typing import Any
from urllib.parse import urlencode

from werkzeug.wrappers import Request, Response

from dali.errors import NotFound, UsageError
from dali.parameters import Parameters
from dali.tables import CSV, json_value
from uws.job import Job, LedgerRow, ResultRef
from uws.packages.archives import divide, make_archive
from uws.packages.asked import (
    ACCEPTED,
    ARCHIVE_FORMATS,
    LEDGER_FORMATS,
    ArchiveQuery,
    LedgerQuery,
    Selection,
    parse_archive,
    parse_ledger,
    refuse_all,
)
from uws.packages.build import Built
from uws.packages.documents import page_document, stream
from uws.packages.package import entries_of
from uws.packages.shop import Causes, PackageShop
from uws.packages.writing import FAILED_CSV, MANIFEST_CSV, MANIFEST_VOT
from uws.phase import TERMINAL
from uws.responses import archive_response, file_response
from uws.results import ResultStore

_VOTABLE, _CSV = LEDGER_FORMATS["votable"], LEDGER_FORMATS["csv"]
#: Results that are files of the package: which, and of what media type.
_TABLES = {
    "result": (MANIFEST_VOT, _VOTABLE),
    "manifest.csv": (MANIFEST_CSV, _CSV),
    "failed": (FAILED_CSV, _CSV),
}
_ARCHIVE = "archive"
#: Results of a job that has ended. How large they are is known when they are made, if they ever are.
RESULTS = tuple(
    ResultRef(name, media_type, None)
    for name, media_type in (
        ("result", _VOTABLE),
        ("manifest.csv", CSV),
        (_ARCHIVE, ARCHIVE_FORMATS["zip"]),
        ("failed", CSV),
    )
)
_NAMES = frozenset(ref.result_id for ref in RESULTS)


class PackageViews:
    """What the job resource answers for ledgers and packages.

    Parameters
    ----------
    shop
        Has them.
    results
        Where the files of rows lie.
    """

    def __init__(self, shop: PackageShop, results: ResultStore) -> None:
        self._shop = shop
        self._results = results

    def ledger(self, job: Job, job_url: str, parameters: Parameters, request: Request) -> Response:
        """Show the rows of a job, or some of them."""
        package = self._shop.package_of(job)
        accepted = request.accept_mimetypes.best_match(list(ACCEPTED)) if request.accept_mimetypes else None
        named = {column.name: column for column in package.columns}
        query = parse_ledger(parameters, package.statuses, accepted, named)
        page = self._page(job, f"{job_url}/ledger", query)
        columns = [named[name] for name in query.columns] or package.columns
        entries = entries_of(package, job_url, page.rows)
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Vary": "Accept"}
        if page.next_url is not None:
            headers["Link"] = f'<{page.next_url}>; rel="next"'
        body: Iterable[bytes]
        if query.format == "json":
            body = (page_document(job, job_url, columns, list(entries), page.next_url, page.told),)
        else:
            # The first piece is made at once: what fails then can still be said.
            pieces = stream(query.format, package, job, entries, columns)
            body = chain([next(pieces, b"")], pieces)
        return Response(body, headers=headers, content_type=LEDGER_FORMATS[query.format])

    def causes(self, job: Job, parameters: Parameters) -> Response:
        """Tell why rows of a job failed."""
        refuse_all(parameters)
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        told = json.dumps(causes_value(self._shop.causes(job)), ensure_ascii=False)
        return Response(told, headers=headers, content_type=LEDGER_FORMATS["json"])

    def _page(self, job: Job, url: str, query: LedgerQuery) -> _Page:
        if query.is_ordered:
            return self._ordered(job, url, query)
        if query.limit is None:
            return _Page(self._shop.rows(job, query.selection, query.after))
        found = self._shop.page(job, query.selection, query.after, query.limit + 1)
        rows = found[: query.limit]
        next_url = _next_url(url, query, rows[-1]) if len(found) > query.limit else None
        return _Page(rows, next_url)

    def _ordered(self, job: Job, url: str, query: LedgerQuery) -> _Page:
        order = self._shop.order(job, query.selection, query.sorting, query.after)
        start = query.offset or 0
        if query.after is not None:
            if (found := order.place_after(query.after)) is None:
                raise UsageError("AFTER is none of these rows", "Follow the link next of the page before.")
            start = found
        stop = len(order) if query.limit is None else min(start + query.limit, len(order))
        rows: Iterable[LedgerRow] = self._shop.ordered(job, order, start, stop)
        if query.limit is None:
            return _Page(rows)
        rows = list(rows)
        told: dict[str, Any] = {"matched": len(order), "offset": start}
        if order.values is not None:
            told["by"] = [json_value(value) for value in order.values[start:stop]]
        return _Page(rows, _next_url(url, query, rows[-1]) if rows and stop < len(order) else None, told)

    def refs(self, job: Job) -> tuple[ResultRef, ...]:
        """List the results of a job whose files come as a package: there are none before it has ended."""
        return RESULTS if job.phase in TERMINAL else ()

    def result(
        self, job: Job, job_url: str, name: str, parameters: Parameters, request: Request
    ) -> Response | None:
        """Send a result of a package; None if it is the file of a row."""
        if not job.packaged or name not in _NAMES:
            return None
        if name == _ARCHIVE:
            return self._archive(job, job_url, parameters, request)
        refuse_all(parameters)
        built = self._shop.built(job, job_url)
        table, media_type = _TABLES[name]
        file = built.tables[table]
        saved_as = f"{built.root}_{table}"
        return file_response(file.path, file.sha256, file.size, saved_as, media_type, request)

    def _archive(self, job: Job, job_url: str, parameters: Parameters, request: Request) -> Response:
        packs = self._shop.packs_of(job)
        query = parse_archive(parameters, self._shop.package_of(job).statuses, packs)
        if query.pack:
            packed, pack = self._shop.packed(job, job_url, query.selection, query.pack), packs[query.pack]
            name = f"{packed.root}_{query.pack}.{pack.suffix}"
            return archive_response(
                packed.archive, packed.etag, name, pack.media_type, self._results, request
            )
        built = self._shop.built(job, job_url, query.selection)
        url = f"{job_url}/results/{_ARCHIVE}"
        if query.part_bytes is None:
            return self._part(built, query, (0, len(built.members)), "", request)
        parts = divide(query.format, built.members, built.together, query.part_bytes)
        if query.part is None:
            return _parts_response(built, query, parts, url)
        if query.part > len(parts):
            raise NotFound(f"there is no part {query.part}; the last is {len(parts)}")
        name = f"-part{query.part}of{len(parts)}"
        response = self._part(built, query, parts[query.part - 1], name, request)
        response.headers["Link"] = _links(query, len(parts), url)
        return response

    def _part(
        self, built: Built, query: ArchiveQuery, part: tuple[int, int], suffix: str, request: Request
    ) -> Response:
        archive = make_archive(query.format, built.members, *part, built.moment)
        etag = sha256(
            f"{built.digest} {built.root} {built.moment} {query.format} {part}".encode()
        ).hexdigest()
        name = f"{built.root}{suffix}.{query.format}"
        return archive_response(archive, etag, name, ARCHIVE_FORMATS[query.format], self._results, request)


@dataclass(frozen=True, slots=True)
class _Page:
    """Rows of a ledger, where the next ones are, and what is told beside them."""

    rows: Iterable[LedgerRow]
    next_url: str | None = None
    told: Mapping[str, Any] = field(default_factory=dict)


def causes_value(causes: Causes) -> dict[str, Any]:
    """Tell why rows failed, as JSON."""
    return {
        "statuses": dict(causes.statuses),
        "failures": causes.looked_at,
        "causes": [
            {
                "key": cause.key,
                "kind": cause.kind,
                "text": cause.text,
                "rows": cause.failures,
                "messages": [{"message": said.message, "rows": said.failures} for said in cause.messages],
                "samples": [{"row": one.row, "id": one.label or None} for one in cause.samples],
            }
            for cause in causes.causes
        ],
    }


def _next_url(url: str, query: LedgerQuery, last: LedgerRow) -> str:
    """Write a query again, to go on after a row."""
    told = [("FORMAT", query.format), *_selected(query.selection)]
    if query.sorting is not None:
        told.append(("SORT", str(query.sorting)))
    if query.columns:
        told.append(("COLUMNS", ",".join(query.columns)))
    told += [("LIMIT", str(query.limit)), ("AFTER", f"{last.row}.{last.part}")]
    return f"{url}?{urlencode(told)}"


def _selected(selection: Selection) -> Iterator[tuple[str, str]]:
    yield from (("STATUS", word) for word in selection.statuses)
    yield from (("ID", label) for label in selection.labels)
    if selection.rows is not None:
        yield "ROWS", f"{selection.rows[0]}-{selection.rows[1]}"
    if selection.words:
        yield "TEXT", selection.words


def _part_url(query: ArchiveQuery, number: int, url: str) -> str:
    told = [("FORMAT", query.format), *_selected(query.selection)]
    return f"{url}?{urlencode([*told, ('PARTSIZE', str(query.part_bytes)), ('PART', str(number))])}"


def _links(query: ArchiveQuery, last: int, url: str) -> str:
    """Tell of the other parts (RFC 8288)."""
    number = query.part or 1
    others = {"first": 1, "prev": number - 1, "next": number + 1, "last": last}
    return ", ".join(
        f'<{_part_url(query, other, url)}>; rel="{relation}"'
        for relation, other in others.items()
        if 1 <= other <= last
    )


def _parts_response(built: Built, query: ArchiveQuery, parts: list[tuple[int, int]], url: str) -> Response:
    """List the parts of an archive, with what each comes to."""
    listed = [
        {
            "part": number,
            "url": _part_url(query, number, url),
            "name": f"{built.root}-part{number}of{len(parts)}.{query.format}",
            "bytes": make_archive(query.format, built.members, *part, built.moment).size,
            "files": part[1] - part[0],
        }
        for number, part in enumerate(parts, start=1)
    ]
    body = json.dumps({"format": query.format, "parts": listed}, indent=1) + "\n"
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(body, headers=headers, content_type=LEDGER_FORMATS["json"])
