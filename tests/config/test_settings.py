"""Settings: three layers, every key known, every value checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import Settings, SettingsError, load_settings


def with_file(tmp_path: Path, text: str, **environ: str) -> Settings:
    path = tmp_path / "fountain.toml"
    path.write_text(text)
    return load_settings({"FOUNTAIN_CONFIG": str(path), **environ})


def test_defaults() -> None:
    settings = load_settings({"HOME": "/nowhere", "FOUNTAIN_TEST_DATA": "x"})
    assert settings.server.port == 8080
    assert settings.server.processes >= 1
    assert settings.server.pixel_slots >= 1
    assert settings.data.engine_url.startswith("sqlite:////")
    assert not settings.identifiers.is_registered
    assert len(settings.surveys.folders) == 1


def test_the_file_then_the_environment(tmp_path: Path) -> None:
    settings = with_file(
        tmp_path,
        '[server]\nport = 9000\nthreads = 300\n[surveys]\ndeclarations = ["/a", "/b"]\n[sync]\nwait_s = 2\n',
        FOUNTAIN_SERVER__PORT="9001",
        FOUNTAIN_DATA__FOLDER=str(tmp_path),
        FOUNTAIN_SERVER__TRUSTED_PROXIES="10.0.0.0/8, ::1",
        FOUNTAIN_IDENTIFIERS__FORMER='["ivo://a/b"]',
    )
    assert (settings.server.port, settings.server.threads) == (9001, 300)
    assert settings.sync.wait_s == 2.0
    assert settings.surveys.folders[1:] == (Path("/a"), Path("/b"))
    assert settings.server.trusted_proxies == ("10.0.0.0/8", "::1")
    assert settings.identifiers.former == ("ivo://a/b",)
    assert settings.data.engine_url == f"sqlite:///{tmp_path}/fountain.db"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[serve]\nport = 1", r"no section \[serve\]; did you mean server\?"),
        ("[server]\nprot = 1", r"\[server\] has no key prot; did you mean port\?"),
        ("server = 1", "server is a section"),
        ("[server]\nport = 'x'", "server.port is of type int; got 'x'"),
        ("[server]\nport = true", "server.port is of type int; got True"),
        ("[server]\nport = 70000", "server.port must be 0 to 65535"),
        ("[server]\nthreads = 0", "server.threads must be at least 1"),
        ("[server]\nworkers = -1", "server.workers must be 0 or more"),
        ("[server]\nbase_url = 'example.org'", "server.base_url must be an http or https URL"),
        ("[server]\ntrusted_proxies = ['x']", "server.trusted_proxies must be IP addresses"),
        ("[server]\ntrusted_proxies = [1]", "server.trusted_proxies is a list of texts"),
        ("[sync]\nwait_s = -1", "sync.wait_s must be 0 or more"),
        ("[log]\nlevel = 'loud'", "log.level is one of debug, info, warning, error; got 'loud'"),
        ("[identifiers]\nbase = 'http://x'", "identifiers.base and .former must be ivo://"),
        (
            "[data]\ndatabase_url = 'mysql://u:hunter2@h'",
            "^data.database_url must begin with sqlite: or postgresql:$",
        ),
        (
            "[data]\ndatabase_url = 'postgresql://u:hunter2@h:port/d'",
            "^data.database_url must be a URL such as postgresql://user@host:5432/name$",
        ),
        *(
            (f"[jobs]\nredis_url = '{url}'", "^jobs.redis_url must be a URL such as redis://:password@host")
            for url in (
                "redis://:hunter2@h:port/0",
                "redis://:hunter2@h:99999/0",
                "redis://:hunter2@[::1",
                "redis://:hunter2@h?socket_timeout=soon",
                "unix://",
            )
        ),
        (
            "[jobs]\nredis_url = 'http://u:hunter2@h'",
            "^jobs.redis_url must be a URL that begins with one of redis://, rediss://, unix://$",
        ),
        ("[jobs]\nmax_waiters = 256", r"jobs.max_waiters must be less than server.threads \(256\)"),
        ("[jobs]\nexecution_duration_s = 604801", r"at most jobs.max_execution_duration_s \(604800\)"),
        ("[jobs]\nexecution_duration_s = 0", "at most jobs.max_execution_duration_s .*got '0, no limit'"),
        (
            "[jobs]\nmax_execution_duration_s = 9999999999",
            "max_execution_duration_s must be at most 2147483647",
        ),
        ("[jobs]\nmax_destruction_s = 99999999999", "jobs.max_destruction_s must be at most 3155760000"),
        ("[jobs]\ndestruction_s = 0", "jobs.destruction_s must be more than 0"),
        ("[jobs]\nhidden_destruction_s = 50", r"must be more than sync.job_wait_s \(50.0\); got 50"),
        ("[server", "fountain.toml is not valid TOML"),
        ("[sync]\nmax_inputs = 0", "sync.max_inputs must be at least 1"),
        ("[sync]\nmax_pixels_in = 0", "sync.max_pixels_in must be at least 1"),
        ("[cutout_jobs]\nmax_inputs = 2", r"max_inputs must be at least sync.max_inputs \(256\)"),
        ('[priority]\nsystem = ["staff"]', "priority.system must be group:NAME or user:ACCOUNT; got 'staff'"),
        ('[priority]\nshares = ["group:a=x"]', "priority.shares must be group:NAME=NUMBER or user:ACC"),
        (
            '[notices]\nsmtp_url = "smtp://us:hunter2@host"',
            "notices.smtp_url must be a URL such as",
        ),
        ('[notices]\nsmtp_url = "smtps://host"', "notices.sender must be an address such as .*; got ''"),
        ('[notices]\nwebhook_hosts = ["https://a/b"]', "notices.webhook_hosts must be hosts such as"),
        ('[notices]\nwebhook_hosts = ["a"]', "notices.webhook_secret must have 32 characters at least"),
        ("[notices]\nretry_s = -1", "notices.retry_s must be 0 or more"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as raised:
        with_file(tmp_path, text)
    assert "hunter2" not in str(raised.value)


def test_an_execution_may_be_without_limit(tmp_path: Path) -> None:
    settings = with_file(tmp_path, "[jobs]\nexecution_duration_s = 86400\nmax_execution_duration_s = 0")
    assert settings.jobs.max_execution_duration_s == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("FOUNTAIN_PORT", "did you mean FOUNTAIN_SERVER__PORT"),
        ("FOUNTAIN_SERVER__PROT", "did you mean port"),
        ("FOUNTAIN_SERV__PORT", "did you mean server"),
    ],
)
def test_an_unknown_name_in_the_environment(name: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load_settings({name: "1"})


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings({"FOUNTAIN_CONFIG": "/nowhere/x.toml"})


def test_a_password_is_not_shown() -> None:
    told = {
        "FOUNTAIN_NOTICES__SMTP_URL": "smtps://us:hunter2@mail.example.org",
        "FOUNTAIN_NOTICES__SENDER": "cutouts@example.org",
        "FOUNTAIN_NOTICES__WEBHOOK_SECRET": "hunter2",
    }
    assert "hunter2" not in repr(load_settings(told))
    settings = load_settings({"FOUNTAIN_DATA__DATABASE_URL": "postgresql://u:hunter2@h/d"})
    assert settings.data.engine_url == "postgresql://u:hunter2@h/d"
    assert "hunter2" not in repr(settings)
