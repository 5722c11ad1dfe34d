"""What queries of jobs share: words that are looked for, and the key of the next page."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, func, or_

from dali.errors import UsageError, quoted
from uws.tables import JobRow


def has_words(words: str) -> ColumnElement[bool]:
    """Whether a job has some words in its identifier, its run id or its parameters, in any case."""
    # The column holds JSON, in which what is not ASCII is escaped.
    in_json = json.dumps(words)[1:-1]
    return or_(
        contains(JobRow.job_id, words),
        contains(JobRow.run_id, words),
        contains(cast(JobRow.parameters, Text), in_json),
    )


def contains(column: Any, words: str) -> ColumnElement[bool]:
    """Whether a column contains some words, in any case."""
    escaped = "".join(f"\\{sign}" if sign in "\\%_" else sign for sign in words.lower())
    found: ColumnElement[bool] = func.lower(column).like(f"%{escaped}%", escape="\\")
    return found


def key_of(created_ms: int, job_id: str) -> str:
    """Write where the page begins that follows a job."""
    return f"{created_ms}-{job_id}"


def parse_key(text: str) -> tuple[int, str]:
    """Read such a key.

    Raises
    ------
    UsageError
        If it is none.
    """
    moment, mark, job_id = text.partition("-")
    if not mark or not (
        moment.isascii() and moment.isdigit() and len(moment) < 16 and job_id.isascii() and job_id.isalnum()
    ):
        raise UsageError(f"there is no page after {quoted(text)}", "Take the link to the next page.")
    return int(moment), job_id
