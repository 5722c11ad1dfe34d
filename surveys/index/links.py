"""How a layer finds the image it belongs to: both make the same key of what their paths say."""

from __future__ import annotations

import json
from collections.abc import Mapping


def link_of(role: str, fields: Mapping[str, str], band: str | None, tag: str) -> str:
    """Key that joins a layer in files of its own to its image: fields of its path, its band, its HDU."""
    return f"{role} {json.dumps([sorted(fields.items()), band, tag], separators=(',', ':'))}"


def link_in_file(role: str, path: str, tag: str) -> str:
    """Key that joins a layer to the image in the same file."""
    return f"{role} {json.dumps([path, tag], separators=(',', ':'))}"
