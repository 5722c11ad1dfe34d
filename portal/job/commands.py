"""A job as it can be asked for again: what was asked, as JSON, and as a line for a shell. Never a token."""

from __future__ import annotations

import json
from collections.abc import Sequence
from shlex import quote

from uws.job import Job, Parameter
from uws.packages.names import safe_name

#: More parameters than this are not written as a line.
MOST = 200


def as_json(job: Job, list_url: str) -> str:
    """Write what was asked."""
    asked: dict[str, list[str]] = {}
    for one in job.parameters:
        if not one.by_reference:
            asked.setdefault(one.name, []).append(one.value)
    told = {
        "url": list_url,
        "label": job.run_id,
        "parameters": {name: values[0] if len(values) == 1 else values for name, values in asked.items()},
        "files": {one.name.lower(): one.value for one in job.parameters if one.by_reference},
    }
    return json.dumps({name: value for name, value in told.items() if value}, indent=2, ensure_ascii=False)


def as_curl(job: Job, list_url: str, job_url: str) -> str:
    """Write lines that make a job of the same request."""
    lines, words = [], ["curl"]
    for one in job.parameters[:MOST]:
        if one.by_reference:
            file = safe_name(one.value) or one.name.lower()
            lines.append(f"curl -o {quote(file)} {quote(f'{job_url}/parameters/{one.name}')}")
            words.append(f"-F {quote(f'{one.name.lower()}=@{file}')}")
        else:
            words.append(f"--form-string {quote(f'{one.name}={one.value}')}")
    if job.run_id:
        words.append(f"--form-string {quote(f'RUNID={job.run_id}')}")
    words.append(f"-F PHASE=RUN {quote(list_url)}")
    if len(job.parameters) > MOST:
        lines.append(f"# {len(job.parameters) - MOST} parameters are left out here")
    return "\n".join([*lines, " \\\n  ".join(words)])


def shown(parameters: Sequence[Parameter]) -> list[Parameter]:
    """Give the parameters that the page lists."""
    return list(parameters[:MOST])
