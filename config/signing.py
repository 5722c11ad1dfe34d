"""Ways to sign in, put together from the declarations of providers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from accounts.audit import Audit
from accounts.passwords import Passwords
from accounts.people import People
from accounts.providers.kinds import LdapProvider, OidcProvider, Provider
from accounts.providers.ldap import Directory
from accounts.providers.oidc import OpenId
from accounts.secret import Secret
from accounts.sessions import Sessions
from accounts.signing import SignIn, Way
from accounts.throttle import Throttle
from config.settings import Settings


@dataclass(frozen=True, slots=True)
class SigningParts:
    """What signs people in.

    Parameters
    ----------
    passwords
        Checks those of directories; None where there is none.
    openids
        Providers elsewhere.
    ways
        Both, as they are offered.
    directories
        That passwords are asked of.
    """

    passwords: Passwords | None
    openids: tuple[OpenId, ...]
    ways: tuple[Way, ...]
    directories: tuple[Directory, ...] = ()

    @property
    def providers(self) -> tuple[Provider, ...]:
        """All of them, as they are declared."""
        return (
            *(one.provider for one in self.directories),
            *(one.provider for one in self.openids),
        )

    @property
    def of_scripts(self) -> Passwords | None:
        """What checks the passwords that scripts send, where they may."""
        return self.passwords if self.passwords is not None and self.passwords.are_for_scripts else None

    def close(self) -> None:
        """Ask nobody any longer."""
        for directory in self.directories:
            directory.close()

    def sign_in(self, people: People, sessions: Sessions) -> SignIn:
        """Make what pages sign people in with."""
        openids = {openid.provider.label: openid for openid in self.openids}
        return SignIn(self.ways, self.passwords, openids, people, sessions)


def make_signing(
    settings: Settings,
    engine: Engine,
    providers: Sequence[Provider],
    people: People,
    audit: Audit,
    secret: Callable[[], Secret],
) -> SigningParts:
    """Make the parts; nothing is connected to.

    The secret, which hides whom directories are asked for, is read where there is a directory.
    """
    directories = tuple(Directory(one) for one in providers if isinstance(one, LdapProvider))
    openids = tuple(OpenId(provider) for provider in providers if isinstance(provider, OidcProvider))
    ways = tuple(
        Way(one.label, one.title, "password" if isinstance(one, LdapProvider) else "elsewhere")
        for one in providers
        if isinstance(one, LdapProvider | OidcProvider)
    )
    passwords = None
    if directories:
        hide, accounts = secret().sign, settings.accounts
        throttle = Throttle(
            engine,
            lambda words: hide("throttle", words),
            audit,
            accounts.login_failures,
            accounts.login_wait_s,
        )
        passwords = Passwords(directories, throttle, people)
    return SigningParts(passwords, openids, ways, directories)
