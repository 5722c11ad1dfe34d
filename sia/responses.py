"""Tables of datasets as HTTP answers, streamed."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from flask import Request, Response

from dali.caller import caller_in
from dali.errors import ServerError
from dali.responses import REQUEST_ID, fault_message
from dali.votable import STATUS, Info
from sia.params import SiaQuery
from sia.service import QueryService

_log = logging.getLogger(__name__)


def query_response(query: SiaQuery, service: QueryService, request: Request, base_url: str) -> Response:
    """Answer with the rows of a query; for HEAD without a look at them."""
    request_id = str(request.environ.get(REQUEST_ID, "-"))

    def failed(error: Exception) -> Info:
        _log.error("a query failed amid its rows (request %s)", request_id, exc_info=error)
        fault = ServerError("the service failed here; rows are missing", "Please report the request id.")
        return Info(STATUS, "ERROR", fault_message(fault, request_id))

    chunks: Iterator[bytes] = iter(())
    if request.method != "HEAD":
        chunks = service.answer(query, caller_in(request.environ), base_url, failed)
    # As content_type: with mimetype= Flask would append a charset to XML.
    return Response(chunks, content_type=query.media_type)
