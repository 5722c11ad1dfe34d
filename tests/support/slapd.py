"""A directory of one's own for a test: OpenLDAP's slapd, on a port of its own, and easily hurt."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ldap3
import pytest

START_S = 20
SUFFIX = "dc=soda,dc=test"
PEOPLE, GROUPS = f"ou=people,{SUFFIX}", f"ou=groups,{SUFFIX}"
ADMIN, ADMIN_PASSWORD = f"cn=admin,{SUFFIX}", "adminpw"

LDIF = f"""
dn: {SUFFIX}
objectClass: dcObject
objectClass: organization
o: soda
dc: soda

dn: {PEOPLE}
objectClass: organizationalUnit
ou: people

dn: {GROUPS}
objectClass: organizationalUnit
ou: groups

dn: uid=alice,{PEOPLE}
objectClass: inetOrgPerson
uid: alice
cn: Alice Ångström
sn: A
mail: alice@soda.test
userPassword: alicepw

dn: uid=bob,{PEOPLE}
objectClass: inetOrgPerson
uid: bob
cn: Bob B
sn: B
mail: shared@soda.test
userPassword: bobpw

dn: uid=carol,{PEOPLE}
objectClass: inetOrgPerson
uid: carol
cn: Carol C
sn: C
mail: carol@soda.test
userPassword: carolpw

dn: uid=twin,{PEOPLE}
objectClass: inetOrgPerson
uid: twin
cn: Twin One
sn: T
userPassword: twinpw

dn: ou=old,{PEOPLE}
objectClass: organizationalUnit
ou: old

dn: uid=twin,ou=old,{PEOPLE}
objectClass: inetOrgPerson
uid: twin
cn: Twin Two
sn: T
userPassword: twinpw

dn: uid=two,{PEOPLE}
objectClass: inetOrgPerson
uid: two
uid: deux
cn: Two Names
sn: T
userPassword: twopw

dn: uid=locked,{PEOPLE}
objectClass: inetOrgPerson
uid: locked
cn: Has no password
sn: L

dn: cn=elsewhere,{PEOPLE}
objectClass: referral
objectClass: extensibleObject
cn: elsewhere
ref: ldap://127.0.0.1:1/ou=people,dc=elsewhere,dc=test

dn: ou=moved,{SUFFIX}
objectClass: referral
objectClass: extensibleObject
ou: moved
ref: ldap://127.0.0.1:1/ou=people,dc=elsewhere,dc=test

dn: cn=survey-x,{GROUPS}
objectClass: groupOfNames
cn: survey-x
member: uid=alice,{PEOPLE}
member: uid=bob,{PEOPLE}

dn: cn=staff,{GROUPS}
objectClass: groupOfNames
cn: staff
member: uid=alice,{PEOPLE}

dn: cn=unix,{GROUPS}
objectClass: posixGroup
cn: unix
gidNumber: 500
memberUid: bob
"""


class Slapd:
    """A server, with LDIF above in it.

    Parameters
    ----------
    folder
        For its database.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        program = shutil.which("slapd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            pytest.skip("there is no slapd to test with (a Debian package)")
        self._program = program
        self.port, self.tls_port = _free_port(), _free_port()
        self.certificate = folder / "cert.pem"

    @property
    def url(self) -> str:
        """Where it listens; it takes StartTLS."""
        return f"ldap://localhost:{self.port}"

    @property
    def tls_url(self) -> str:
        """Where it listens with TLS."""
        return f"ldaps://localhost:{self.tls_port}"

    def fill(self) -> None:
        """Make its certificate and its database."""
        request = (
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
        )
        key = self._folder / "key.pem"
        names = [
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            str(key),
            "-out",
            str(self.certificate),
        ]
        subprocess.run(["openssl", *request.split(), *names], check=True, capture_output=True)
        (self._folder / "db").mkdir()
        (self._folder / "slapd.conf").write_text(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n"
            "include /etc/ldap/schema/nis.schema\ninclude /etc/ldap/schema/inetorgperson.schema\n"
            f"pidfile {self._folder}/pid\nmodulepath /usr/lib/ldap\n"
            "moduleload back_mdb\nmoduleload back_monitor\n"
            f"TLSCertificateFile {self.certificate}\nTLSCertificateKeyFile {key}\n"
            "access to attrs=userPassword by anonymous auth by * none\naccess to * by users read by * none\n"
            f"database mdb\nmaxsize 10485760\nsuffix {SUFFIX}\nrootdn {ADMIN}\nrootpw {ADMIN_PASSWORD}\n"
            f"directory {self._folder}/db\nindex objectClass,uid,member eq\n"
            f"database monitor\naccess to * by dn.exact={ADMIN} read by * none\n"
        )
        (self._folder / "in.ldif").write_text(LDIF.lstrip())
        add = ["-Tadd", "-q", "-f", str(self._folder / "slapd.conf"), "-l", str(self._folder / "in.ldif")]
        subprocess.run([self._program, *add], check=True, capture_output=True)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    self._program,
                    *("-f", str(self._folder / "slapd.conf"), "-d", "0"),
                    *("-h", f"ldap://127.0.0.1:{self.port}/ ldaps://127.0.0.1:{self.tls_port}/"),
                ],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_S
        while not _is_answering(self.tls_port):
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, "slapd does not answer"
            time.sleep(0.01)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Have it hang: connections are taken, but nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def operations(self) -> dict[str, int]:
        """Count what it was asked, by kind of operation; not what asking that takes."""
        with self._admin() as admin:
            admin.search(
                "cn=Operations,cn=Monitor", "(objectClass=*)", attributes=["monitorOpCompleted", "cn"]
            )
            found = [entry["attributes"] for entry in admin.response]
        counts = {entry["cn"][0]: int(entry["monitorOpCompleted"][0]) for entry in found if entry["cn"]}
        return {kind: counts[kind] for kind in ("Bind", "Search", "Extended")}

    def set_password(self, uid: str, password: str) -> None:
        """Give somebody another password."""
        with self._admin() as admin:
            change = {"userPassword": [(ldap3.MODIFY_REPLACE, [password])]}
            assert admin.modify(f"uid={uid},{PEOPLE}", change), admin.result

    @contextmanager
    def _admin(self) -> Iterator[ldap3.Connection]:
        server = ldap3.Server("127.0.0.1", self.port, get_info=ldap3.NONE)
        admin = ldap3.Connection(server, ADMIN, ADMIN_PASSWORD, auto_bind=True, check_names=False)
        try:
            yield admin
        finally:
            admin.unbind()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _is_answering(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 0.2):
            return True
    except OSError:
        return False


@contextmanager
def slapd() -> Iterator[Slapd]:
    """Give a directory that is filled and running."""
    with tempfile.TemporaryDirectory(prefix="slapd-") as folder:
        server = Slapd(Path(folder))
        server.fill()
        server.start()
        try:
            yield server
        finally:
            server.stop()


def declaration(server: Slapd, label: str = "institute", **changes: str) -> str:
    """Give the TOML of a provider that is this directory; `changes` are lines of it by their keys."""
    keys = {
        "urls": f'["{server.url}"]',
        "ca_file": f'"{server.certificate}"',
        "bind_dn": f'"{ADMIN}"',
        "bind_password_env": '"SLAPD_PASSWORD"',
        "people.base": f'"{PEOPLE}"',
        "groups.base": f'"{GROUPS}"',
        "groups.take": '"all"',
    } | changes
    lines = [f"{key} = {value}" for key, value in keys.items() if value]
    return "\n".join([f'kind = "ldap"\nlabel = "{label}"\ntitle = "Institute account"', *lines, ""])
