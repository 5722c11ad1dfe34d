"""A provider's TOML file into a value: everything checked, nothing guessed.

The keys are described in the examples of ``config/providers/examples``.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path
from urllib.parse import urlsplit

from accounts.people import GROUP, LOCAL
from accounts.providers.keys import Keys, ProviderError
from accounts.providers.kinds import Claims, GroupNames, JwtProvider, LdapProvider, OidcProvider, Provider

_LABEL = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9.-]*\Z")
#: Signatures by a key pair. Others are not for what anybody may read the key of, `none` is no signature.
ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
)  # fmt: skip


def read_providers(paths: Iterable[Path], environ: Mapping[str, str] = os.environ) -> tuple[Provider, ...]:
    """Read declarations, in the order given: that of the choices on the page.

    Raises
    ------
    ProviderError
        If one cannot be read or is wrong, or two do not go together.

    Notes
    -----
    An issuer's accounts are the same whether somebody signs in there or sends its token, so declarations of
    one issuer have one label; any two others have different ones.
    """
    providers = tuple(read_provider(path, environ) for path in paths)
    for one, other in combinations(providers, 2):
        same_issuer = _issuer_of(one) == _issuer_of(other) != ""
        if same_issuer and (type(one) is type(other) or one.label != other.label):
            raise ProviderError(
                f"the issuer {_issuer_of(one)} is declared twice; an oidc and a jwt may be, with one label"
            )
        if one.label == other.label and not same_issuer:
            raise ProviderError(f"two providers have the label {one.label}")
    return providers


def _issuer_of(provider: Provider) -> str:
    return "" if isinstance(provider, LdapProvider) else provider.issuer


def read_provider(path: Path, environ: Mapping[str, str] = os.environ) -> Provider:
    """Read one declaration.

    Raises
    ------
    ProviderError
        If it cannot be read, or is wrong.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProviderError(f"accounts.providers names {path}, which cannot be read") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProviderError(f"{path.name} is not valid TOML: {error}") from error
    keys = Keys(content, path.name)
    match keys.choice("kind", ("ldap", "oidc", "jwt")):
        case "ldap":
            provider: Provider = _ldap(keys, environ)
        case "oidc":
            provider = _oidc(keys, environ)
        case _:
            provider = _jwt(keys)
    keys.finish()
    return provider


def _label(keys: Keys) -> str:
    label = keys.text("label")
    if not _LABEL.match(label) or label == LOCAL:
        raise keys.fault("label", f"at most 32 of a-z 0-9 -, beginning with a letter, and not {LOCAL}")
    return label


def _ldap(keys: Keys, environ: Mapping[str, str]) -> LdapProvider:
    label, title, urls = _label(keys), keys.text("title"), keys.texts("urls")
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("ldap", "ldaps") or not parts.hostname or parts.path.strip("/"):
            raise keys.fault("urls", "URLs such as ldaps://ldap.example.org or ldap://ldap.example.org:389")
    ca_file = keys.text("ca_file", "")
    if ca_file and not Path(ca_file).is_file():
        raise keys.fault("ca_file", "a file with certificates")
    bind_dn, password = keys.text("bind_dn", ""), keys.secret("bind_password", environ)
    if bool(bind_dn) != bool(password):
        # A name without a password binds as nobody, and says nothing of it.
        raise keys.fault("bind_dn", "a name together with bind_password_file or bind_password_env")
    people, groups = keys.table("people", required=True), keys.table("groups")
    provider = LdapProvider(
        label=label,
        title=title,
        urls=urls,
        tls=keys.choice("tls", ("starttls", "none"), "starttls"),
        ca_file=ca_file,
        bind_dn=bind_dn,
        bind_password=password,
        people_base=people.text("base"),
        people_scope=people.choice("scope", ("level", "subtree"), "subtree"),
        people_filter=_filter(people, "filter", "(objectClass=person)"),
        login=_attribute(people, "login", "uid"),
        subject=_attribute(people, "subject", "uid"),
        name=_attribute(people, "name", "cn"),
        email=_attribute(people, "email", "mail"),
        member_of=_attribute(people, "member_of", ""),
        groups_base=groups.text("base", ""),
        groups_filter=_filter(groups, "filter", "(objectClass=groupOfNames)"),
        member=_attribute(groups, "member", "member"),
        members=groups.choice("members", ("dn", "login"), "dn"),
        group_name=_attribute(groups, "name", "cn"),
        groups=_groups(groups),
        basic=keys.truth("basic", True),
    )
    people.finish()
    return provider


def _attribute(keys: Keys, key: str, default: str) -> str:
    name = keys.text(key, default)
    if name and not _ATTRIBUTE.match(name):
        raise keys.fault(key, "the name of an attribute")
    return name


def _filter(keys: Keys, key: str, default: str) -> str:
    text = keys.text(key, default)
    if not (text.startswith("(") and text.endswith(")") and text.count("(") == text.count(")")):
        raise keys.fault(key, f"a filter such as {default}")
    return text


def _groups(keys: Keys) -> GroupNames:
    """Read how groups are named, the last keys of their table."""
    groups = GroupNames(keys.words("names"), keys.choice("take", ("named", "all"), "named") == "all")
    if not all(GROUP.fullmatch(name) for name in groups.names.values()):
        raise keys.fault("names", "names without spaces and commas")
    keys.finish()
    return groups


def _oidc(keys: Keys, environ: Mapping[str, str]) -> OidcProvider:
    label, title = _label(keys), keys.text("title")
    issuer = keys.text("issuer")
    if not is_safe_url(issuer):
        raise keys.fault("issuer", "an https URL")
    scopes = keys.texts("scopes", ("openid", "profile", "email"))
    if "openid" not in scopes:
        raise keys.fault("scopes", "a list with openid")
    return OidcProvider(
        label=label,
        title=title,
        issuer=issuer,
        client_id=keys.text("client_id"),
        client_secret=keys.secret("client_secret", environ),
        scopes=scopes,
        ask=keys.words("ask"),
        algorithms=_algorithms(keys),
        userinfo=keys.truth("userinfo", True),
        claims=_claims(keys),
        groups=_groups(keys.table("groups")),
    )


def _jwt(keys: Keys) -> JwtProvider:
    label, title = _label(keys), keys.text("title")
    jwks_file, jwks_url = keys.text("jwks_file", ""), keys.text("jwks_url", "")
    if bool(jwks_file) == bool(jwks_url):
        raise keys.fault("jwks_url", "one of jwks_file and jwks_url")
    if jwks_url and not is_safe_url(jwks_url):
        raise keys.fault("jwks_url", "an https URL")
    if jwks_file and not Path(jwks_file).is_file():
        raise keys.fault("jwks_file", "a file with public keys")
    scopes = keys.words("scopes")
    if unknown := set(scopes) - {"read", "submit", "admin"}:
        raise keys.fault("scopes", f"names of read, submit and admin, not of {min(unknown)}")
    return JwtProvider(
        label=label,
        title=title,
        issuer=keys.text("issuer"),
        audience=keys.texts("audience"),
        jwks_file=jwks_file,
        jwks_url=jwks_url,
        algorithms=_algorithms(keys),
        types=keys.texts("types", ("at+jwt", "application/at+jwt")),
        leeway_s=keys.whole("leeway_s", 30, 0, 300),
        scopes=scopes,
        client_claim=keys.text("client_claim", "client_id"),
        claims=_claims(keys),
        groups=_groups(keys.table("groups")),
    )


def _algorithms(keys: Keys) -> tuple[str, ...]:
    algorithms = keys.texts("algorithms", ("RS256", "PS256", "ES256"))
    if unknown := set(algorithms) - set(ALGORITHMS):
        raise keys.fault("algorithms", f"some of {', '.join(ALGORITHMS)}, not {min(unknown)}")
    return algorithms


def _claims(keys: Keys) -> Claims:
    table, required = keys.table("claims"), keys.table("require")
    claims = Claims(
        name=table.text("name", "name"),
        email=table.text("email", "email"),
        groups=table.text("groups", "groups"),
        required={claim: required.texts(claim) for claim in list(required.content)},
    )
    table.finish()
    return claims


def is_safe_url(text: str) -> bool:
    """Whether what is sent there stays between us: https, or this machine."""
    parts = urlsplit(text)
    if not parts.hostname or parts.query or parts.fragment:
        return False
    return parts.scheme == "https" or (
        parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
    )
