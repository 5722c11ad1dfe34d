"""The queues as JSON and as text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from uws.moment import format_moment
from uws.queue.board import Column, Row

#: So many places of others are shown of each queue, and all of one's own.
MOST_SHOWN = 1000


def queue_json(columns: Sequence[Column], jobs_url: str) -> str:
    """Write the queues as JSON; `jobs_url` is that of the job resource."""
    return json.dumps({"queues": [_queue(column, jobs_url) for column in columns]}, ensure_ascii=False)


def queue_text(columns: Sequence[Column], jobs_url: str) -> str:
    """Write the queues in lines."""
    lines = []
    for column in columns:
        queue = column.queue
        paused = f", paused ({queue.pause.reason})" if queue.pause is not None else ""
        lines.append(
            f"queue {column.lane}: {len(queue.waiting)} jobs wait, {queue.running} tasks run,"
            f" {queue.workers} workers{paused}"
        )
        for row in _shown(column):
            whose = f"{jobs_url}/{row.own_id}" if row.own_id else "-"
            size = f"{row.rows:7d} rows"
            lines.append(f"  {row.place:5d}  {row.tier:9s}  {size}  {row.waited_s:8.0f} s  {whose}")
    return "\n".join([*lines, ""])


def _queue(column: Column, jobs_url: str) -> dict[str, Any]:
    queue = column.queue
    pause = None
    if queue.pause is not None:
        pause = {"since": format_moment(queue.pause.since_ms), "reason": queue.pause.reason}
    return {
        "queue": column.lane,
        "jobs": len(queue.waiting),
        "running_tasks": queue.running,
        "workers": queue.workers,
        "oldest_wait_s": round(column.oldest_wait_s, 1),
        "paused": pause,
        "places": [_place(row, jobs_url) for row in _shown(column)],
    }


def _place(row: Row, jobs_url: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "place": row.place,
        "class": row.tier,
        "rows": row.rows,
        "waited_s": round(row.waited_s, 1),
        "own": bool(row.own_id),
    }
    if row.own_id:
        told |= {"job_id": row.own_id, "url": f"{jobs_url}/{row.own_id}"}
    return told


def _shown(column: Column) -> list[Row]:
    return [row for row in column.rows if row.own_id or row.place <= MOST_SHOWN]
