"""Asking the web site of a provider: within a time, so many bytes, and nowhere else."""

from __future__ import annotations

import json
import time
from typing import Any

import requests

#: A provider has so long to answer, and so many bytes.
WITHIN_S = 2.5
MOST_BYTES = 1_000_000


def read_json(url: str, token: str = "") -> Any:
    """Get a document, with a token in the header where there is one.

    Raises
    ------
    OSError, ValueError
        If there is no such document, or it does not come in time.
    """
    until = time.monotonic() + WITHIN_S
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    asked = requests.get(url, headers=headers, timeout=WITHIN_S, allow_redirects=False, stream=True)
    with asked as answer:
        if answer.status_code != 200:
            raise ValueError(f"status {answer.status_code}")
        body = b""
        for chunk in answer.iter_content(65536):
            body += chunk
            if len(body) > MOST_BYTES or time.monotonic() > until:
                raise ValueError("the document is too large or too slow")
    return json.loads(body)
