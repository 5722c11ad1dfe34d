"""Clients' texts where they leave again, in names of files."""

from __future__ import annotations

import re

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
#: Names that mean a device, whatever follows the first dot, on Windows.
_DEVICE = re.compile(r"(?:CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(?:\.|$)", re.IGNORECASE)
SLUG_LENGTH = 64


def slug(text: str) -> str:
    """Part of a file name that stands for a client's text: ``[A-Za-z0-9._-]{1,64}``; "" if nothing is left.

    It never begins or ends with a dot, nor is it the name of a device.
    """
    safe = _UNSAFE.sub("_", text[: 4 * SLUG_LENGTH]).strip("._")[:SLUG_LENGTH].rstrip(".")
    return f"_{safe}"[:SLUG_LENGTH] if _DEVICE.match(safe) else safe
