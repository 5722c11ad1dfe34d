"""Settings: read once, checked, frozen. ``default.toml`` beside this file says what each key means."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from platformdirs import user_data_path

from accounts.quota.settings import QuotaSettings
from accounts.settings import AccountSettings
from accounts.tiers import PrioritySettings
from config.checks import SettingsError as SettingsError
from config.checks import check
from uws.notices.settings import NoticeSettings
from uws.packages.destination import Destination
from uws.settings import JobSettings

PREFIX = "FOUNTAIN_"
UNREGISTERED = "ivo://unregistered.invalid/soda-fountain"


@dataclass(frozen=True, slots=True)
class DataSettings:
    """Where the service keeps what it makes, and how it reads images."""

    folder: str
    database_url: str = field(repr=False)  # it may hold a password
    read: Literal["mmap", "pread"]

    @property
    def path(self) -> Path:
        """The data folder."""
        return Path(self.folder).expanduser().absolute() if self.folder else user_data_path("soda-fountain")

    @property
    def overviews(self) -> Path:
        """Folder of the overviews of images."""
        return self.path / "overviews"

    @property
    def hips(self) -> Path:
        """Folder of what sky viewers are given."""
        return self.path / "hips"

    @property
    def engine_url(self) -> str:
        """URL of the database."""
        return self.database_url or f"sqlite:///{self.path / 'fountain.db'}"


@dataclass(frozen=True, slots=True)
class SurveySettings:
    """Where surveys are declared."""

    declarations: tuple[str, ...]
    demo_hips: bool

    @property
    def folders(self) -> tuple[Path, ...]:
        """Every folder of declarations, the one that comes with the program first."""
        shipped = Path(str(files("config") / "surveys"))
        return (shipped, *(Path(folder).expanduser().absolute() for folder in self.declarations))


@dataclass(frozen=True, slots=True)
class IdentifierSettings:
    """What the service's identifiers begin with."""

    base: str
    former: tuple[str, ...]
    origin: str

    @property
    def is_registered(self) -> bool:
        """Whether a base of one's own is set."""
        return self.base != UNREGISTERED


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The web server."""

    host: str
    port: int
    workers: int
    threads: int
    cores: int
    base_url: str
    trusted_proxies: tuple[str, ...]
    graceful_stop_s: int

    @property
    def processes(self) -> int:
        """Number of worker processes."""
        return self.workers or available_cores()

    @property
    def pixel_slots(self) -> int:
        """Requests of one process that work on pixels at a time."""
        return max(1, (self.cores or available_cores()) // self.processes)


@dataclass(frozen=True, slots=True)
class SyncSettings:
    """Limits of SODA sync."""

    inline_pixels: int
    max_pixels: int
    max_bytes: int
    max_inputs: int
    max_pixels_in: int
    max_seconds: float
    max_body_bytes: int
    wait_s: float
    job_wait_s: float


@dataclass(frozen=True, slots=True)
class CutoutJobSettings:
    """Limits of cutouts that are made by jobs."""

    max_pixels: int
    max_bytes: int
    max_inputs: int
    max_pixels_in: int
    high_pixels: int
    max_targets: int
    max_list_rows: int


@dataclass(frozen=True, slots=True)
class SiaSettings:
    """Limits of SIA2 queries."""

    default_rows: int
    max_rows: int


@dataclass(frozen=True, slots=True)
class LinksSettings:
    """Limits of DataLink."""

    max_ids: int
    max_body_bytes: int


@dataclass(frozen=True, slots=True)
class PublisherSettings:
    """Who runs the service."""

    name: str
    contact: str
    email: str


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """What the service's record in the registry says."""

    title: str
    short_name: str
    description: str
    subjects: tuple[str, ...]
    reference_url: str
    rights: str
    rights_url: str
    created: str

    @property
    def since(self) -> datetime | None:
        """When there first was a record, None where that is not told."""
        return datetime.fromisoformat(self.created).replace(tzinfo=UTC) if self.created else None


@dataclass(frozen=True, slots=True)
class LogSettings:
    """The log."""

    level: Literal["debug", "info", "warning", "error"]
    format: Literal["json", "text"]


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """Folders to which packages are delivered."""

    folders: tuple[str, ...]

    def find(self, name: str) -> Destination | None:
        """Return the folder of a name."""
        return next((folder for folder in map(Destination.parse, self.folders) if folder.name == name), None)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings."""

    data: DataSettings
    surveys: SurveySettings
    identifiers: IdentifierSettings
    server: ServerSettings
    sync: SyncSettings
    jobs: JobSettings
    cutout_jobs: CutoutJobSettings
    priority: PrioritySettings
    notices: NoticeSettings
    sia: SiaSettings
    links: LinksSettings
    publisher: PublisherSettings
    record: RecordSettings
    log: LogSettings
    delivery: DeliverySettings
    accounts: AccountSettings
    quotas: QuotaSettings

    def missing_in_record(self) -> list[str]:
        """Name the settings without which a registry record says too little."""
        told = {
            "identifiers.base": self.identifiers.is_registered,
            "publisher.name": self.publisher.name,
            "publisher.contact": self.publisher.contact,
            "publisher.email": self.publisher.email,
            "record.rights": self.record.rights,
            "record.created": self.record.created,
        }
        return [name for name, value in told.items() if not value]


def available_cores() -> int:
    """Count the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read ``default.toml``, then the file named by FOUNTAIN_CONFIG, then FOUNTAIN_* of the environment.

    Raises
    ------
    SettingsError
        If a key is unknown, or a value is not what its key takes.
    """
    merged = tomllib.loads((files("config") / "default.toml").read_text(encoding="utf-8"))
    if path := environ.get(f"{PREFIX}CONFIG"):
        _merge(merged, _read(Path(path)), Path(path).name)
    for name, value in sorted(environ.items()):
        if name.startswith(PREFIX) and name != f"{PREFIX}CONFIG" and not name.startswith(f"{PREFIX}TEST_"):
            _merge(merged, _from_environment(name, value, merged), name)
    settings = Settings(**{key: _section(kind, key, merged[key]) for key, kind in _kinds(Settings).items()})
    check(settings)
    return settings


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{PREFIX}CONFIG names {path}, which cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name} is not valid TOML: {error}") from error


def _merge(merged: dict[str, Any], extra: Mapping[str, Any], where: str) -> None:
    for section, values in extra.items():
        if section not in merged:
            raise SettingsError(f"{where}: there is no section [{section}]{_nearest(section, merged)}")
        if not isinstance(values, dict):
            raise SettingsError(f"{where}: {section} is a section of settings, not a value")
        for key, value in values.items():
            if key not in merged[section]:
                raise SettingsError(f"{where}: [{section}] has no key {key}{_nearest(key, merged[section])}")
            merged[section][key] = value


def _from_environment(name: str, text: str, known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """``FOUNTAIN_SYNC__WAIT_S=3`` as the settings ``{"sync": {"wait_s": 3}}``; the default tells the type."""
    section, mark, key = name.removeprefix(PREFIX).lower().partition("__")
    if not mark:
        spelled = [f"{PREFIX}{s}__{k}".upper() for s, keys in known.items() for k in keys]
        raise SettingsError(f"{name} is not a setting{_nearest(name, spelled)}")
    value: object = text
    match known.get(section, {}).get(key):
        case bool():
            value = {"true": True, "false": False}.get(text.lower(), text)
        case int() | float():
            value = _number(text)
        case list():
            value = _list(text)
    return {section: {key: value}}


def _number(text: str) -> object:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _list(text: str) -> object:
    if not text.lstrip().startswith("["):
        return [item.strip() for item in text.split(",") if item.strip()]
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _kinds(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {item.name: hints[item.name] for item in fields(kind)}


def _section(kind: type, section: str, values: Mapping[str, object]) -> Any:
    """Make a settings object of one section; a key of the file that the class lacks is our own mistake."""
    return kind(**{key: _value(hint, f"{section}.{key}", values[key]) for key, hint in _kinds(kind).items()})


def _value(hint: Any, name: str, value: object) -> object:
    if get_origin(hint) is Literal:
        if value in get_args(hint):
            return value
        raise SettingsError(f"{name} is one of {', '.join(get_args(hint))}; got {value!r}")
    if get_origin(hint) is tuple:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise SettingsError(f"{name} is a list of texts; got {value!r}")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, hint) and isinstance(value, bool) == (hint is bool):
        return value
    raise SettingsError(f"{name} is of type {hint.__name__}; got {value!r}")


def _nearest(word: str, known: Any) -> str:
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"
