"""Kinds of providers, as they are declared: plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from accounts.people import GROUP

Scope = Literal["base", "level", "subtree"]


@dataclass(frozen=True, slots=True)
class GroupNames:
    """How groups of a provider are called here.

    Parameters
    ----------
    names
        Names here, by names there.
    take_all
        Whether groups without such a line are taken too, by the name they have there.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    take_all: bool = False

    def of(self, found: Iterable[str]) -> frozenset[str]:
        """Give the groups here of somebody who is in `found` there."""
        known = {self.names.get(group, group if self.take_all else "") for group in found}
        return frozenset(name for name in known if GROUP.fullmatch(name))


@dataclass(frozen=True, slots=True)
class LdapProvider:
    """A directory, asked by LDAP.

    Parameters
    ----------
    label, title
        Part of account names; what people read.
    urls
        Of its servers, each ``ldap://`` or ``ldaps://``; the next is asked where one cannot be reached.
    tls
        Of ``ldap://``: ``starttls``, or ``none`` on purpose.
    ca_file
        Certificates to trust instead of the system's.
    bind_dn, bind_password
        Who looks people up; "" is nobody in particular.
    people_base, people_scope, people_filter
        Where people are, and which entries are people.
    login, subject, name, email
        Attributes: what is typed, what never changes, and what people read.
    groups_base, groups_filter, member, group_name
        Where groups are, which entries are groups, and their attributes. Without a base there are none.
    members
        What `member` holds: the DN of people, or what they are named by (posixGroup).
    member_of
        Attribute of people that names their groups, where there is one.
    groups
        What they are called here.
    basic
        Whether scripts may send the password with each request (HTTP Basic).
    """

    label: str
    title: str
    urls: tuple[str, ...]
    tls: Literal["starttls", "none"]
    ca_file: str
    bind_dn: str
    bind_password: str = field(repr=False)
    people_base: str
    people_scope: Scope
    people_filter: str
    login: str
    subject: str
    name: str
    email: str
    groups_base: str
    groups_filter: str
    member: str
    members: Literal["dn", "login"]
    group_name: str
    member_of: str
    groups: GroupNames
    basic: bool


@dataclass(frozen=True, slots=True)
class Claims:
    """Which claims of a token say what, and what some must be.

    Parameters
    ----------
    name, email, groups
        Claims with what people read, and with groups: a list, or words with commas or semicolons.
    required
        Values of which a claim must have one, by its name.
    """

    name: str
    email: str
    groups: str
    required: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class OidcProvider:
    """An OpenID provider, known by its discovery document.

    Parameters
    ----------
    label, title
        Part of account names; what people read.
    issuer
        Exactly as the provider's tokens say it; the discovery document lies beneath.
    client_id, client_secret
        Of this service; a public client has no secret.
    scopes
        That are asked for.
    ask
        Further parameters of the request, such as ``selected_idp`` of CILogon.
    algorithms
        Signatures that are believed.
    userinfo
        Whether the provider is asked for the claims that the token lacks.
    claims, groups
        What tokens say, and what groups are called here.
    """

    label: str
    title: str
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...]
    ask: Mapping[str, str]
    algorithms: tuple[str, ...]
    userinfo: bool
    claims: Claims
    groups: GroupNames


@dataclass(frozen=True, slots=True)
class JwtProvider:
    """An issuer whose JSON web tokens are taken as bearer tokens.

    Parameters
    ----------
    label, title
        Part of account names; what people read.
    issuer, audience
        What the claims `iss` and `aud` must be; one of several audiences.
    jwks_file, jwks_url
        Where its public keys are: one of the two.
    algorithms
        Signatures that are believed.
    types
        Header `typ`, of which a token has one.
    leeway_s
        How far its clock and ours may be apart, in seconds.
    scopes
        Names of the scopes `read`, `submit` and `admin` there; without any, a token may `read` and `submit`.
    client_claim
        Claim that names the client of a token that is nobody's; such an account is a service.
    claims, groups
        What tokens say, and what groups are called here.
    """

    label: str
    title: str
    issuer: str
    audience: tuple[str, ...]
    jwks_file: str
    jwks_url: str
    algorithms: tuple[str, ...]
    types: tuple[str, ...]
    leeway_s: int
    scopes: Mapping[str, str]
    client_claim: str
    claims: Claims
    groups: GroupNames


Provider = LdapProvider | OidcProvider | JwtProvider
