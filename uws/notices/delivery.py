"""How the delivery of a notice may fail."""

from __future__ import annotations


class Unreachable(Exception):
    """Not now: it is tried again."""


class Refused(Exception):
    """Not ever: it is given up."""
