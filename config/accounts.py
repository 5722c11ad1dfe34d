"""Accounts, put together from settings: for the web server, and for commands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from accounts.audit import Audit
from accounts.bearer import JwtBearers
from accounts.callers import Callers
from accounts.challenges import Challenges
from accounts.gate import Gate
from accounts.known import Known
from accounts.people import People
from accounts.providers.declaration import read_providers
from accounts.providers.kinds import JwtProvider, Provider
from accounts.secret import Secret, SecretError, read_secret
from accounts.sessions import SessionLimits, Sessions
from accounts.tiers import Tiers
from accounts.tokens import TokenLimits, Tokens
from config.settings import Settings, SettingsError
from config.signing import SigningParts, make_signing


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
    signing: SigningParts

    def close(self) -> None:
        """Write what is still to be written; the engine is not touched."""
        self.tokens.notes.finish()
        self.sessions.notes.finish()


def make_accounts(settings: Settings, engine: Engine) -> AccountParts:
    """Make the parts; nothing is connected to.

    Raises
    ------
    ProviderError
        If the declaration of a provider is wrong.
    """
    accounts = settings.accounts
    known, audit = Known(accounts.kept_s), Audit(engine)
    people = People(engine, audit, known)
    limits = TokenLimits(accounts.token_days, accounts.max_token_days, accounts.max_tokens)
    tokens = Tokens(engine, limits, audit, known)
    sessions = Sessions(engine, SessionLimits(accounts.session_idle_s, accounts.session_s), audit, known)
    providers = declared_providers(settings)
    issuers = [provider for provider in providers if isinstance(provider, JwtProvider)]
    callers = Callers(people, accounts.admin_groups, Tiers(settings.priority).place)
    signing = make_signing(settings, engine, providers, people, audit, lambda: secret_of(settings))
    gate = Gate(
        people,
        tokens,
        sessions,
        callers,
        known,
        passwords=signing.of_scripts,
        bearers=JwtBearers(issuers) if issuers else None,
    )
    challenges = Challenges(settings.record.title, gate.takes_passwords, "/login" if signing.ways else "")
    return AccountParts(people, tokens, sessions, audit, callers, known, gate, challenges, signing)


def declared_providers(settings: Settings) -> tuple[Provider, ...]:
    """Read the declarations of those who sign people in, or issue tokens.

    Raises
    ------
    ProviderError
        If one is wrong.
    """
    return read_providers(Path(path).expanduser() for path in settings.accounts.providers)


def secret_of(settings: Settings) -> Secret:
    """Give the service's secret; it is made where there is none yet.

    Raises
    ------
    SettingsError
        If it cannot be read, or is too short.
    """
    try:
        return read_secret(settings.accounts, settings.data.path)
    except SecretError as error:
        raise SettingsError(str(error)) from error
