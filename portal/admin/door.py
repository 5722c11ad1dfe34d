"""Who may enter, and who may act: administrators, who have shown lately who they are."""

from __future__ import annotations

from collections.abc import Callable

from accounts.sessions import Sessions
from dali.caller import Caller
from dali.errors import AuthenticationError, AuthorizationError


class Door:
    """Lets administrators in.

    Parameters
    ----------
    sessions
        Know when somebody has shown who they are.
    session_of
        Gives the key of the session that the request in hand belongs to, "" for none.
    proof_s
        For how long that holds.
    """

    def __init__(self, sessions: Sessions, session_of: Callable[[], str], proof_s: float) -> None:
        self._sessions = sessions
        self._session_of = session_of
        self._proof_s = proof_s

    def expect_administrator(self, caller: Caller) -> None:
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

    def is_proved(self, caller: Caller) -> bool:
        """Whether a caller may act: passwords and tokens are shown each time, a session began a while ago."""
        if caller.way != "session":
            return bool(caller.name)
        session = self._sessions.find(self._session_of())
        if session is None or session.account != caller.name or session.proved_for_s is None:
            return False
        return session.proved_for_s <= self._proof_s

    def expect_proof(self, caller: Caller) -> None:
        """Let a caller act.

        Raises
        ------
        AuthorizationError
            If it was too long ago that they showed who they are.
        """
        if not self.is_proved(caller):
            raise AuthorizationError(
                f"whoever changes something has signed in within the last {self._proof_s / 60:.0f} minutes",
                "Sign in again at /login?again=1, or send a token with the scope admin.",
            )
