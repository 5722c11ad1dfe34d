"""Who may enter: administrators."""

from __future__ import annotations

from dali.caller import Caller
from dali.errors import AuthenticationError, AuthorizationError


def expect_administrator(caller: Caller) -> None:
    """Let a caller look.

    Raises
    ------
    AuthenticationError
        If nobody knows who it is.
    AuthorizationError
        If it is no administrator, or not any more.
    """
    if not caller.name:
        raise AuthenticationError(
            "administration is for administrators", "Sign in, or send a token with the scope admin."
        )
    if not caller.is_admin:
        raise AuthorizationError(
            "administration is for administrators", "Ask one of them to give you the role."
        )
