"""Troubles that last: each is logged once when it begins, and once when it is over."""

from __future__ import annotations

import logging

from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

#: What a database gives that is away, or read-only, or has too much to do, or has ended the transaction of
#: one who was frozen: it is asked again.
DatabaseAway = (OperationalError, InterfaceError, InternalError, PoolTimeoutError)

_log = logging.getLogger(__name__)


class Trouble:
    """Something that may fail again and again.

    Parameters
    ----------
    what
        Its name in the log.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._is_there = False

    def say(self, fault: BaseException) -> None:
        """Say that it fails."""
        if not self._is_there:
            # SQLAlchemy adds the statement, and where to read more.
            reason = str(fault).partition("\n")[0]
            _log.warning("%s fails (%s): %s", self._what, type(fault).__name__, reason)
        self._is_there = True

    def over(self) -> None:
        """Say that it works."""
        if self._is_there:
            _log.warning("%s works again", self._what)
        self._is_there = False
