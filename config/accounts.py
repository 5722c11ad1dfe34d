"""Accounts, put together from settings: for the web server, and for commands."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from accounts.audit import Audit
from accounts.callers import Callers
from accounts.challenges import Challenges
from accounts.gate import Gate
from accounts.known import Known
from accounts.people import People
from accounts.sessions import SessionLimits, Sessions
from accounts.tiers import Tiers
from accounts.tokens import TokenLimits, Tokens
from config.settings import Settings


@dataclass(frozen=True, slots=True)
class AccountParts:
    """What has to do with accounts in one process."""

    people: People
    tokens: Tokens
    sessions: Sessions
    audit: Audit
    callers: Callers
    known: Known
    gate: Gate
    challenges: Challenges


def make_accounts(settings: Settings, engine: Engine) -> AccountParts:
    """Make the parts; nothing is connected to."""
    accounts = settings.accounts
    known, audit = Known(accounts.kept_s), Audit(engine)
    people = People(engine, known)
    limits = TokenLimits(accounts.token_days, accounts.max_token_days, accounts.max_tokens)
    tokens = Tokens(engine, limits, audit, known)
    sessions = Sessions(engine, SessionLimits(accounts.session_idle_s, accounts.session_s), known)
    callers = Callers(people, accounts.admin_groups, Tiers(settings.priority).place)
    gate = Gate(people, tokens, sessions, callers, known)
    challenges = Challenges(settings.record.title, gate.takes_passwords)
    return AccountParts(people, tokens, sessions, audit, callers, known, gate, challenges)
