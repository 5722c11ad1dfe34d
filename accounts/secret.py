"""The secret of the service: signs what is given away and comes back, such as links in mails."""

from __future__ import annotations

import hmac
import os
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from accounts.settings import AccountSettings

#: What stands for a secret in what comes with the program; for a demonstration, and nobody else.
SAMPLE = "sample-secret-for-demonstrations-only"
LEAST_LENGTH = 32
#: Beside the database; a survey may be called almost anything else.
FILE = "fountain.secret"


class SecretError(Exception):
    """There is no secret, or none that may be used; the message says nothing of it."""


@dataclass(frozen=True, slots=True)
class Secret:
    """Signs texts; each purpose has a key of its own.

    Parameters
    ----------
    keys
        The first signs, the others are still believed.
    """

    keys: tuple[str, ...] = field(repr=False)

    def sign(self, purpose: str, text: str) -> str:
        """Give the signature of a text, in hexadecimal."""
        return _signature(self.keys[0], purpose, text)

    def is_signed(self, purpose: str, text: str, signature: str) -> bool:
        """Tell whether a text was signed here for this purpose."""
        shown = signature.encode("utf-8", "replace")
        return any(hmac.compare_digest(_signature(key, purpose, text).encode(), shown) for key in self.keys)


def read_secret(settings: AccountSettings, folder: Path) -> Secret:
    """Give the secret that the settings have or name, else the one of the data folder, which is made once.

    Raises
    ------
    SecretError
        If it cannot be read, or is too short.
    """
    if settings.secret:
        return Secret(_checked(settings.secret.splitlines(), "accounts.secret"))
    if settings.secret_file:
        return Secret(_checked(_lines(Path(settings.secret_file)), "the file of accounts.secret_file"))
    path = folder / FILE
    if not path.exists():
        _make(path)
    return Secret(_checked(_lines(path), f"the file {FILE} of the data folder"))


def is_sample(settings: AccountSettings) -> bool:
    """Tell whether the secret is one that everybody knows.

    Raises
    ------
    SecretError
        If its file cannot be read.
    """
    lines = settings.secret.splitlines()
    if not settings.secret and settings.secret_file:
        lines = _lines(Path(settings.secret_file))
    return SAMPLE in (line.strip() for line in lines)


def _make(path: Path) -> None:
    """Write a new secret that its owner alone may read; of several processes, one does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{secrets.token_urlsafe(32)}\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        # A link, and not a rename: the first one stays.
        os.link(made, path)
    except FileExistsError:
        pass
    finally:
        made.unlink()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretError(f"the secret's file {path.name} cannot be read") from error


def _checked(lines: list[str], where: str) -> tuple[str, ...]:
    keys = tuple(line.strip() for line in lines if line.strip())
    if not keys or min(map(len, keys)) < LEAST_LENGTH:
        raise SecretError(
            f"{where} must be {LEAST_LENGTH} characters or more:"
            ' python3 -c "import secrets; print(secrets.token_urlsafe(32))" makes one'
        )
    return keys


def _signature(key: str, purpose: str, text: str) -> str:
    own = hmac.digest(key.encode(), purpose.encode(), sha256)
    return hmac.digest(own, text.encode(), sha256).hex()
