"""Whether somebody has shown lately who they are: to administer, and to make tokens that do."""

from __future__ import annotations

from collections.abc import Callable

from accounts.sessions import Sessions
from dali.caller import Caller
from dali.errors import AuthorizationError


class Proof:
    """Knows who has shown lately who they are.

    Parameters
    ----------
    sessions
        Know when somebody has signed in.
    session_of
        Gives the key of the session that the request in hand belongs to, "" for none.
    proof_s
        For how long that holds.
    """

    def __init__(self, sessions: Sessions, session_of: Callable[[], str], proof_s: float) -> None:
        self._sessions = sessions
        self._session_of = session_of
        self._proof_s = proof_s

    def is_given(self, caller: Caller) -> bool:
        """Whether a caller may act: passwords and tokens are shown each time, a session began a while ago."""
        if caller.way != "session":
            return bool(caller.name)
        session = self._sessions.find(self._session_of())
        if session is None or session.account != caller.name or session.proved_for_s is None:
            return False
        return session.proved_for_s <= self._proof_s

    def expect(self, caller: Caller) -> None:
        """Let a caller act.

        Raises
        ------
        AuthorizationError
            If it was too long ago that they showed who they are.
        """
        if not self.is_given(caller):
            raise AuthorizationError(
                f"whoever changes something has signed in within the last {self._proof_s / 60:.0f} minutes",
                "Sign in again at /login?again=1, or send a token with the scope admin.",
            )
