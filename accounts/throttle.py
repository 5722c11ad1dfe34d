"""Logins that fail too often have to wait: of an account, from an address, and never anybody else.

Three things are counted: failures of one account from one address, of an account from anywhere, and of an
address for whatever accounts. Each may be so many, then whoever it concerns waits; the right password works
after the wait. Nobody can keep others out by guessing: from where somebody has signed in lately, that account
may try whatever was guessed elsewhere. And a script with an old password does not keep out its colleagues,
whom the world sees at the same address: of one account only the first few failures count for the address.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from unicodedata import category, normalize

from sqlalchemy import Connection, Engine, bindparam, case, delete, or_, select, text, update

from accounts.audit import Audit
from accounts.tables import FailureRow
from dali.addresses import network_of
from dali.caller import ANONYMOUS
from dali.clock import now_ms
from dali.errors import TooManyRequests

DAY_MS = 86_400_000
#: Failures count for so long, and an address from which somebody has signed in is theirs for so long.
FORGOTTEN_MS = DAY_MS
THEIRS_MS = 30 * DAY_MS
LONGEST_WAIT_S = 3600

#: SQLite and PostgreSQL share this syntax. What was long ago counts for nothing.
_COUNT = text(
    "INSERT INTO failure (key, count, first_ms, until_ms) VALUES (:key, 1, :now, NULL)"
    " ON CONFLICT (key) DO UPDATE SET"
    " count = CASE WHEN failure.first_ms <= :old THEN 1 ELSE failure.count + 1 END,"
    " until_ms = CASE WHEN failure.first_ms <= :old THEN NULL ELSE failure.until_ms END,"
    " first_ms = CASE WHEN failure.first_ms <= :old THEN excluded.first_ms ELSE failure.first_ms END"
    " RETURNING count, until_ms"
)
_THEIRS = text(
    "INSERT INTO failure (key, count, first_ms, until_ms) VALUES (:key, 0, :now, :until)"
    " ON CONFLICT (key) DO UPDATE SET until_ms = excluded.until_ms"
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A login that is being tried: counted as a failure until it is known to be none.

    Parameters
    ----------
    pair, theirs
        Keys of the account from this address: its failures, and that it has signed in there.
    counted
        Keys of all that counts it.
    closed
        Those which are closed now, since this may have been the last that is let through.
    """

    pair: str
    theirs: str
    counted: tuple[str, ...]
    closed: tuple[str, ...]


class Throttle:
    """Counts logins that fail, in the database: all processes count together.

    Parameters
    ----------
    engine
        Of the database.
    hide
        Makes a key of names and addresses, of which nothing can be told.
    audit
        Is told when one of them has to wait.
    most
        Failures before a wait.
    wait_s
        The first wait; each further one is twice as long, up to an hour.
    """

    def __init__(
        self, engine: Engine, hide: Callable[[str], str], audit: Audit, most: int, wait_s: int
    ) -> None:
        self._writing = engine.execution_options(writes=True)
        self._hide = hide
        self._audit = audit
        self._most = most
        #: Failures of one account that count for the address they come from: a tenth.
        self._of_one_account = max(1, most // 10)
        self._wait_s = wait_s

    def begin(self, account: str, address: str) -> Attempt:
        """Count an attempt before it is made, so that many at a time are no more than those one by one.

        Parameters
        ----------
        account
            As it was typed, with its provider; whether there is one is not known.
        address
            Of the client.

        Raises
        ------
        TooManyRequests
            If it has to wait. It is not counted then.
        """
        account, address = _plain(account), network_of(address)
        pair, mine, here = (
            f"{kind}:{self._hide(f'{kind} {name}')[:40]}"
            for kind, name in (("pair", f"{account} {address}"), ("account", account), ("address", address))
        )
        theirs = f"theirs:{pair}"
        with self._writing.begin() as connection:
            now = now_ms(connection)
            until = connection.execute(select(FailureRow.until_ms).where(FailureRow.key == theirs)).scalar()
            is_theirs = until is not None and until > now
            counted = {pair: self._count(connection, pair, now)}
            counted[mine] = self._count(connection, mine, now, is_watched=not is_theirs)
            if counted[pair] <= self._of_one_account:
                counted[here] = self._count(connection, here, now, is_watched=not is_theirs)
            elif not is_theirs:
                _expect_open(connection, here, now)
            closed = tuple(key for key, count in counted.items() if count % self._most == 0)
            for key in closed:
                self._close(connection, key, now, counted[key])
            if closed:
                who = address if closed == (here,) else account
                told = {"failures": max(counted[key] for key in closed), "address": address}
                self._audit.write(connection, ANONYMOUS, "login failed too often", who, data=told)
        return Attempt(pair, theirs, tuple(counted), closed)

    def succeeded(self, attempt: Attempt) -> None:
        """Take note that the password was right: the address is theirs from now on."""
        with self._writing.begin() as connection:
            now = now_ms(connection)
            self._take_back(connection, attempt)
            connection.execute(delete(FailureRow).where(FailureRow.key == attempt.pair))
            connection.execute(_THEIRS, {"key": attempt.theirs, "now": now, "until": now + THEIRS_MS})
            _sweep(connection, now)

    def unanswered(self, attempt: Attempt) -> None:
        """Take note that it could not be found out whether the password was right."""
        with self._writing.begin() as connection:
            self._take_back(connection, attempt)

    @staticmethod
    def _count(connection: Connection, key: str, now: int, *, is_watched: bool = True) -> int:
        """Count an attempt, and give their number; raising takes back what was counted."""
        values = {"key": key, "now": now, "old": now - FORGOTTEN_MS}
        count, until_ms = connection.execute(_COUNT, values).one()
        if is_watched and until_ms is not None and until_ms > now:
            raise _too_many(until_ms - now)
        return int(count)

    def _close(self, connection: Connection, key: str, now: int, count: int) -> None:
        """Have what is counted by a key wait: twice as long as the last time."""
        wait_s = min(self._wait_s * 2 ** min(count // self._most - 1, 20), LONGEST_WAIT_S)
        values = {"until_ms": now + wait_s * 1000}
        connection.execute(update(FailureRow).where(FailureRow.key == key).values(values))

    @staticmethod
    def _take_back(connection: Connection, attempt: Attempt) -> None:
        lower = case((FailureRow.count > 0, FailureRow.count - 1), else_=0)
        is_ours = FailureRow.key.in_(bindparam("closed", expanding=True))
        until = case((is_ours, None), else_=FailureRow.until_ms)
        # In the order in which they were counted: processes wait for each other, never in a ring.
        for key in attempt.counted:
            change = update(FailureRow).where(FailureRow.key == key).values(count=lower, until_ms=until)
            connection.execute(change, {"closed": list(attempt.closed) or [""]})


def _plain(account: str) -> str:
    """Spell an account in one way, of all those that a directory may take for the same name.

    Directories compare as RFC 4518 has it: full-width letters, those of any case, and spaces are no
    difference, some see no accents. Names that are no more than alike here wait together.
    """
    decomposed = normalize("NFKD", normalize("NFKD", account).casefold())
    return "".join(one for one in decomposed if category(one)[0] not in "CMZ")


def _expect_open(connection: Connection, key: str, now: int) -> None:
    until_ms = connection.execute(select(FailureRow.until_ms).where(FailureRow.key == key)).scalar()
    if until_ms is not None and until_ms > now:
        raise _too_many(until_ms - now)


def _too_many(wait_ms: int) -> TooManyRequests:
    wait_s = -(-wait_ms // 1000)
    return TooManyRequests("too many logins have failed", f"Try again in {wait_s} s.", retry_after_s=wait_s)


def _sweep(connection: Connection, now: int) -> None:
    is_over = or_(FailureRow.until_ms.is_(None), FailureRow.until_ms <= now)
    old = FailureRow.first_ms <= now - FORGOTTEN_MS
    connection.execute(delete(FailureRow).where(old, is_over))
