"""Directories: a name and a password are right if a server lets somebody bind with them.

It is flask-ldap3-login that looks people up and binds; this says how it connects, within which time, and
what its failures mean. A referral is never followed: passwords go to the servers that are declared.
"""

from __future__ import annotations

import contextlib
import secrets
import ssl
import uuid
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from typing import Any
from urllib.parse import urlsplit

import ldap3
import structlog
from flask import Flask
from flask_ldap3_login import AuthenticationResponseStatus, LDAP3LoginManager
from ldap3.core import exceptions as ldap_errors
from ldap3.utils.dn import escape_rdn, parse_dn

from accounts.people import Identity, check_identity
from accounts.providers.answers import ProviderAway, line
from accounts.providers.kinds import LdapProvider
from dali.errors import UsageError

#: That a login takes at most, whatever the servers do.
DEADLINE_S = 2.5
#: The same of a connection, and of one answer; whole seconds, as the socket option takes them.
_CONNECT_S, _ANSWER_S = 1, 2
#: Logins at a time: servers that hang keep so many threads, and no more.
_AT_A_TIME = 16
LONGEST_NAME, LONGEST_PASSWORD = 255, 1024
# Where no server answers, the library would sleep for ten seconds before it says so.
ldap3.set_config_parameter("POOLING_LOOP_TIMEOUT", 0)

#: How a server says that somebody must not come in: an account that is locked, has no password, …
_REFUSED = (
    ldap_errors.LDAPInvalidCredentialsResult,
    ldap_errors.LDAPInappropriateAuthenticationResult,
    ldap_errors.LDAPUnwillingToPerformResult,
    ldap_errors.LDAPConstraintViolationResult,
    ldap_errors.LDAPNoSuchObjectResult,
    ldap_errors.LDAPInvalidDNSyntaxResult,
    ldap_errors.LDAPInsufficientAccessRightsResult,
    ldap_errors.LDAPSASLPrepError,  # control characters in a password
)


class Directory:
    """A directory that people sign in with.

    Parameters
    ----------
    provider
        Its declaration.
    """

    def __init__(self, provider: LdapProvider) -> None:
        self.provider = provider
        # The library takes its settings from an application; this one serves nothing.
        self._app = Flask("directory", static_folder=None)
        self._app.config.update(_settings(provider))
        self._manager = _Manager(self._app, provider)
        self._threads = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="ldap")

    def ask(self, name: str, password: str) -> Identity | None:
        """Tell whose name and password these are.

        Returns
        -------
        Identity or None
            None if there is nobody of this name, or more than one, or the password is another.

        Raises
        ------
        ProviderAway
            If that is not known within `DEADLINE_S` seconds.
        """
        # An empty password would bind as nobody, which servers take for a success (RFC 4513, section 5.1.2).
        if not name or not password or len(name) > LONGEST_NAME or len(password) > LONGEST_PASSWORD:
            return None
        asked = self._threads.submit(self._ask, name, password)
        try:
            return asked.result(DEADLINE_S)
        except TooLate as error:
            asked.cancel()
            raise ProviderAway(f"{self.provider.label}: no answer in {DEADLINE_S} s") from error
        except ldap_errors.LDAPException as error:
            raise ProviderAway(f"{self.provider.label}: {type(error).__name__}") from error

    def close(self) -> None:
        """Wait for nobody."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ask(self, name: str, password: str) -> Identity | None:
        with self._app.app_context():
            answer = self._manager.authenticate(name, password)
            if answer.status is AuthenticationResponseStatus.success:
                return self._known(answer.user_dn, answer.user_info)
            if answer.exception is None:
                self._manager.refuse(password)
            elif not isinstance(answer.exception, _REFUSED):
                raise ProviderAway(f"{self.provider.label}: {type(answer.exception).__name__}")
        return None

    def _known(self, dn: str, entry: dict[str, Any]) -> Identity | None:
        said, attributes = self.provider, {key.lower(): value for key, value in entry.items()}
        log, subject = structlog.get_logger(), _only(attributes.get(said.subject.lower()))
        if not subject:
            log.error("the attribute that names accounts has not one value", provider=said.label, dn=dn)
            return None
        found = [_group_of(value) for value in _values(attributes.get(said.member_of.lower()))]
        found += _values(attributes.get(said.member_of.lower()))
        if said.groups_base:
            member = subject if said.members == "login" else dn
            for group in self._manager.get_user_groups(member, said.groups_base):
                found += _values(
                    {key.lower(): value for key, value in group.items()}.get(said.group_name.lower())
                )
        identity = Identity(
            said.label,
            subject,
            line(next(iter(_values(attributes.get(said.name.lower()))), "")),
            line(next(iter(_values(attributes.get(said.email.lower()))), "")),
            said.groups.of(found),
        )
        try:
            check_identity(identity)
        except UsageError:
            log.error("somebody cannot have an account of this name", provider=said.label, dn=dn)
            return None
        return identity


def _settings(provider: LdapProvider) -> dict[str, object]:
    wanted = {provider.login, provider.subject, provider.name, provider.email, provider.member_of} - {""}
    return {
        "LDAP_ADD_SERVER": False,
        "LDAP_BASE_DN": provider.people_base,
        "LDAP_USER_LOGIN_ATTR": provider.login,
        "LDAP_USER_SEARCH_SCOPE": provider.people_scope.upper(),
        "LDAP_USER_OBJECT_FILTER": provider.people_filter,
        "LDAP_GET_USER_ATTRIBUTES": sorted(wanted),
        "LDAP_GROUP_OBJECT_FILTER": provider.groups_filter,
        "LDAP_GROUP_MEMBERS_ATTR": provider.member,
        "LDAP_GROUP_SEARCH_SCOPE": "SUBTREE",
        "LDAP_GET_GROUP_ATTRIBUTES": [provider.group_name],
        "LDAP_BIND_USER_DN": provider.bind_dn or None,
        "LDAP_BIND_USER_PASSWORD": provider.bind_password or None,
        # A DN is found, never made of what was typed.
        "LDAP_ALWAYS_SEARCH_BIND": True,
        "LDAP_FAIL_AUTH_ON_MULTIPLE_FOUND": True,
        "LDAP_SEARCH_FOR_GROUPS": False,
    }


class _Manager(LDAP3LoginManager):  # type: ignore[misc]  # it has no types
    """Connects within a time, with certificates checked, and once for the one who looks people up."""

    def __init__(self, app: Flask, provider: LdapProvider) -> None:
        super().__init__(app)
        self._provider = provider
        tls = _Tls(provider.ca_file)
        self._servers = ldap3.ServerPool(
            [_server(url, tls) for url in provider.urls], ldap3.FIRST, active=1, exhaust=False
        )

    def refuse(self, password: str) -> None:
        """Take the time that a wrong password takes."""
        nobody = f"{self._provider.login}={escape_rdn(secrets.token_hex(8))},{self._provider.people_base}"
        connection = self._make_connection(nobody, password)
        try:
            connection.bind()
        except _REFUSED:
            pass
        finally:
            self.destroy_connection(connection)

    def destroy_connection(self, connection: ldap3.Connection) -> None:
        """Close it, whether or not the server hears of it."""
        opened = connection.socket
        with contextlib.suppress(ldap_errors.LDAPException):
            super().destroy_connection(connection)
        if opened is not None:
            opened.close()

    def _make_connection(
        self,
        bind_user: str | None = None,
        bind_password: str | None = None,
        contextualise: bool = True,
        app: Flask | None = None,
        **kwargs: object,
    ) -> ldap3.Connection:
        """Connect, the one who looks people up with a bind: what fails here is no wrong password."""
        connection = _Connection(
            self._servers,
            user=bind_user,
            password=bind_password,
            read_only=True,
            raise_exceptions=True,
            auto_referrals=False,
            receive_timeout=_ANSWER_S,
        )
        if contextualise:
            self._contextualise_connection(connection)
        connection.open(read_server_info=False)
        if not connection.server.ssl and self._provider.tls == "starttls":
            connection.start_tls(read_server_info=False)
        if bind_user == (self._provider.bind_dn or None):
            connection.bind(read_server_info=False)
        return connection


class _Connection(ldap3.Connection):  # type: ignore[misc]  # it has no types
    """Binds once, and finds entries alone: directories of Active Directory refer to others in each answer."""

    response: Any

    def bind(self, *arguments: Any, **options: Any) -> bool:
        """Bind, where that has not been done."""
        return bool(self.bound or super().bind(*arguments, **options))

    def search(self, *arguments: Any, **options: Any) -> Any:
        """Search."""
        answer = super().search(*arguments, **options)
        found: list[dict[str, Any]] = self.response or []
        self.response = [one for one in found if one.get("type") == "searchResEntry"]
        return answer


class _Tls(ldap3.Tls):  # type: ignore[misc]  # it has no types
    """Has Python's own TLS check certificates and host names."""

    def __init__(self, ca_file: str) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._context = ssl.create_default_context(cafile=ca_file or None)

    def wrap_socket(self, connection: ldap3.Connection, do_handshake: bool = False) -> None:
        """Begin TLS."""
        connection.socket = self._context.wrap_socket(
            connection.socket, server_hostname=connection.server.host
        )


def _server(url: str, tls: _Tls) -> ldap3.Server:
    parts = urlsplit(url)
    secure = parts.scheme == "ldaps"
    return ldap3.Server(
        parts.hostname,
        port=parts.port or (636 if secure else 389),
        use_ssl=secure,
        tls=tls,
        get_info=ldap3.NONE,
        connect_timeout=_CONNECT_S,
    )


def _values(value: object) -> list[str]:
    """Texts of an attribute."""
    return [_text(one) for one in (value if isinstance(value, list) else [value]) if one]


def _text(value: object) -> str:
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        # objectGUID of Active Directory
        return str(uuid.UUID(bytes_le=value)) if len(value) == 16 else value.hex()


def _only(value: object) -> str:
    found = _values(value)
    return found[0] if len(found) == 1 else ""


def _group_of(dn: str) -> str:
    """Name of a group, of its DN."""
    try:
        return str(parse_dn(dn)[0][1])
    except (ldap_errors.LDAPException, IndexError):
        return ""
