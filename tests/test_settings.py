"""Settings from the environment, and the one-line error for invalid ones."""

import pytest

from service.env import LOGIN_LIMITS, REGISTRATION_LIMITS, LoginLimits, RegistrationLimits
from service.settings import Settings, SettingsError, database_url
from service.timeouts import DATABASE_TIMEOUTS, SHUTDOWN_TIMEOUTS
from tests.support.variables import KEY, NEEDED, PASSWORD, URL, refused

LIKE = "must look like postgresql://user:password@host:5432/name, with special characters percent-encoded"


def test_url_and_key_are_enough() -> None:
    settings = Settings.read(NEEDED)

    assert (settings.database_url, settings.secret_key, settings.secret_key_previous) == (URL, KEY.encode(), None)
    assert settings.address == ("127.0.0.1", 8000)
    assert settings.web_concurrency == 1
    assert (settings.database_pool_size, settings.database_statement_cache) == (10, 100)
    assert settings.database_max_idle_seconds == 200
    assert (settings.database_statement_timeout, settings.database_lock_timeout) == (2000, 1500)
    assert (settings.access_token_expire_seconds, settings.refresh_token_expire_seconds) == (900, 28 * 24 * 3600)
    assert (settings.allowed_hosts, settings.backend_cors_origins) == (("localhost", "127.0.0.1"), ())
    assert settings.trusted_proxy_hops == 0
    assert settings.require_current_password is False
    assert (settings.log_level, settings.log_format) == ("INFO", "json")


def test_longest_shutdown_fits_the_platforms_30_s() -> None:
    """Platforms kill 30 s after SIGTERM; with a replica, two pools must be closed."""
    longest = Settings.read(NEEDED | {"DRAIN_SECONDS": "15"}).drain_seconds
    shutdown = SHUTDOWN_TIMEOUTS.backlog + SHUTDOWN_TIMEOUTS.requests

    assert refused(DRAIN_SECONDS="16")
    assert longest + shutdown + 2 * DATABASE_TIMEOUTS.close_all < 30


@pytest.mark.parametrize("limit", ["DATABASE_STATEMENT_TIMEOUT", "DATABASE_LOCK_TIMEOUT"])
def test_statement_timeout_precedes_the_services_own(limit: str) -> None:
    """Otherwise a slow statement would look like a silent server, and close every connection."""
    assert refused(**{limit: str(int(DATABASE_TIMEOUTS.query * 1000))})


def test_every_variable_is_read() -> None:
    settings = Settings.read(
        NEEDED
        | {
            "SECRET_KEY_PREVIOUS": KEY[::-1],
            "WEB_CONCURRENCY": "4",
            "DATABASE_POOL_SIZE": "5",
            "DATABASE_STATEMENT_CACHE": "0",
            "DATABASE_MAX_IDLE_SECONDS": "60",
            "DATABASE_STATEMENT_TIMEOUT": "1800",
            "DATABASE_LOCK_TIMEOUT": "0",
            "ACCESS_TOKEN_EXPIRE_SECONDS": "60",
            "REFRESH_TOKEN_EXPIRE_SECONDS": "3600",
            "ALLOWED_HOSTS": "kites.example.com, .example.org,[::1],",
            "BACKEND_CORS_ORIGINS": "https://app.example.com,http://localhost:3000",
            "TRUSTED_PROXY_HOPS": "1",
            "REQUIRE_CURRENT_PASSWORD": "True",
            "LOG_LEVEL": "debug",
            "LOG_FORMAT": "Console",
        }
    )

    assert settings.secret_key_previous == KEY[::-1].encode()
    assert settings.web_concurrency == 4
    assert (settings.database_pool_size, settings.database_statement_cache) == (5, 0)
    assert settings.database_max_idle_seconds == 60
    assert (settings.database_statement_timeout, settings.database_lock_timeout) == (1800, 0)
    assert (settings.access_token_expire_seconds, settings.refresh_token_expire_seconds) == (60, 3600)
    assert settings.allowed_hosts == ("kites.example.com", ".example.org", "[::1]")
    assert settings.backend_cors_origins == ("https://app.example.com", "http://localhost:3000")
    assert settings.trusted_proxy_hops == 1
    assert settings.require_current_password is True
    assert (settings.log_level, settings.log_format) == ("DEBUG", "console")


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({"PORT": "5000"}, ("0.0.0.0", 5000)),  # noqa: S104 - where the platform looks for the service
        ({"HOST": "::1"}, ("::1", 8000)),
        ({"HOST": "127.0.0.1", "PORT": "5000"}, ("127.0.0.1", 5000)),
    ],
)
def test_port_alone_listens_on_every_address(environment: dict[str, str], address: tuple[str, int]) -> None:
    assert Settings.read(NEEDED | environment).address == address


@pytest.mark.parametrize("missing", NEEDED)
@pytest.mark.parametrize("empty", [{}, {"DATABASE_URL": "", "SECRET_KEY": ""}])
def test_missing_required_setting_is_refused(missing: str, empty: dict[str, str]) -> None:
    environment = {name: text for name, text in NEEDED.items() if name != missing}

    with pytest.raises(SettingsError) as refusal:
        Settings.read(empty | environment)

    assert str(refusal.value) == f"{missing} must be set; see README.md"


def test_empty_variable_counts_as_unset() -> None:
    assert Settings.read(NEEDED | {"SECRET_KEY_PREVIOUS": "", "PORT": ""}).address == ("127.0.0.1", 8000)


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("PORT", 1, 65535),
        ("WEB_CONCURRENCY", 1, 64),
        ("DATABASE_POOL_SIZE", 1, 1000),
        ("DATABASE_STATEMENT_CACHE", 0, 10_000),
        ("DATABASE_STATEMENT_TIMEOUT", 0, 2000),
        ("DATABASE_LOCK_TIMEOUT", 0, 2000),
        ("ACCESS_TOKEN_EXPIRE_SECONDS", 1, 86_400),
        ("REFRESH_TOKEN_EXPIRE_SECONDS", 1, 31_536_000),
        ("TRUSTED_PROXY_HOPS", 0, 10),
    ],
)
def test_number_must_be_an_integer_within_bounds(name: str, least: int, most: int) -> None:
    for fine in (least, most):
        Settings.read(NEEDED | {name: str(fine)})
    for wrong in (str(least - 1), str(most + 1), "1.5", "many", "²"):
        assert refused(**{name: wrong}) == f"{name} must be a whole number from {least} to {most}, not {wrong!r}"


@pytest.mark.parametrize(
    ("name", "wrong", "sentence"),
    [
        ("LOG_LEVEL", "loud", "must be one of DEBUG, INFO, WARNING, ERROR, not 'loud'"),
        ("LOG_FORMAT", "xml", "must be one of json, logfmt, console, not 'xml'"),
        ("REQUIRE_CURRENT_PASSWORD", "yes", "must be true or false, not 'yes'"),
    ],
)
def test_unknown_choice_is_refused(name: str, wrong: str, sentence: str) -> None:
    assert refused(**{name: wrong}) == f"{name} {sentence}"


@pytest.mark.parametrize("wrong", ["[::1]", "a\nb", "żółw", "http://localhost"])
def test_host_is_an_address_or_a_name(wrong: str) -> None:
    assert refused(HOST=wrong) == f"HOST must be an IP address or a host name, not {wrong!r}"


@pytest.mark.parametrize("name", ["HOST", "SECRET_KEY", "LOG_LEVEL", "DATABASE_PASSWORD"])
def test_variable_that_is_not_utf_8_is_refused(name: str) -> None:
    assert refused(**{name: "\udcff" * 32}) == f"{name} must be UTF-8"


@pytest.mark.parametrize("wrong", ["https://example.com", "example.com:8000", "*.example.com", "exa mple", "::1", ","])
def test_impossible_host_is_refused(wrong: str) -> None:
    assert refused(ALLOWED_HOSTS=f"localhost,{wrong}" if wrong != "," else wrong) == (
        "ALLOWED_HOSTS must be host names without scheme and port (.example.com: subdomains too; *: any), "
        f"separated by commas, not {wrong!r}"
    )


@pytest.mark.parametrize("wrong", ["app.example.com", "https://app.example.com/", "https://", "null", ","])
def test_impossible_origin_is_refused(wrong: str) -> None:
    assert refused(BACKEND_CORS_ORIGINS=wrong) == (
        "BACKEND_CORS_ORIGINS must be origins such as https://app.example.com, with nothing after the port, "
        f"separated by commas, not {wrong!r}"
    )


@pytest.mark.parametrize(
    "url",
    [
        "postgres://localhost",
        "postgresql://",
        "postgresql:///kites?host=/run/postgresql&port=5433",
        "postgresql://kites:p%40ss%2Fword@[::1]:5432,10.0.0.2:5433/kites?target_session_attrs=primary",
    ],
)
def test_url_may_omit_what_libpq_fills_in(url: str) -> None:
    assert Settings.read(NEEDED | {"DATABASE_URL": url}).database_url == url


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://kites:{PASSWORD}@db/kites",
        f"host=db password={PASSWORD}",
        f"postgresql://kites:{PASSWORD}/@db/kites",
        f"postgresql://kites:12/{PASSWORD}@db/kites",
        f"postgresql://kites:{PASSWORD}#@db/kites",
        f"postgresql://kites:{PASSWORD}@@db/kites",
        f"postgresql://kites:{PASSWORD} @db/kites",
        f"postgresql://kites:{PASSWORD}\N{CARE OF}@db/kites",
        f"postgresql://kites:{PASSWORD}@db:port/kites",
        f"postgresql://kites:{PASSWORD}@[::1/kites",
    ],
)
def test_invalid_url_is_refused_without_its_password(url: str) -> None:
    assert refused(DATABASE_URL=url) == f"DATABASE_URL {LIKE}"


@pytest.mark.parametrize("name", ["SECRET_KEY", "SECRET_KEY_PREVIOUS"])
def test_short_key_is_refused_with_advice(name: str) -> None:
    assert refused(**{name: KEY[1:]}) == (
        f"{name} has 31 bytes and needs at least 32; make one with: "
        "python -c 'import secrets; print(secrets.token_urlsafe(48))'"
    )


def test_key_is_measured_in_bytes() -> None:
    key = "ßäöüéèêñ" * 2

    assert Settings.read(NEEDED | {"SECRET_KEY": key}).secret_key == key.encode()


def test_printed_settings_show_no_secret() -> None:
    settings = Settings.read(NEEDED)

    assert f"{settings!r} {settings}" == "Settings(…) Settings(…)"


def test_settings_are_immutable() -> None:
    settings = Settings.read(NEEDED)

    with pytest.raises(AttributeError):
        settings.port = 1


def test_url_can_be_read_alone() -> None:
    assert database_url({"DATABASE_URL": URL}) == URL


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({}, "DATABASE_URL must be set; see README.md"),
        ({"DATABASE_URL": f"mysql://kites:{PASSWORD}@db/kites"}, f"DATABASE_URL {LIKE}"),
    ],
)
def test_command_without_url_says_so(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        database_url(environment)

    assert str(refusal.value) == sentence


def test_settings_come_from_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in NEEDED.items():
        monkeypatch.setenv(name, text)

    assert Settings.read().database_url == database_url() == URL


@pytest.mark.parametrize(
    ("text", "limits"),
    [("on", LOGIN_LIMITS), ("OFF", None), ("5,100,50,900", LOGIN_LIMITS), ("1, 2, 3, 4", LoginLimits(1, 2, 3, 4))],
)
def test_login_throttle_is_off_or_four_numbers(text: str, limits: LoginLimits | None) -> None:
    assert Settings.read(NEEDED | {"LOGIN_THROTTLE": text}).login_throttle == limits


@pytest.mark.parametrize("text", ["yes", "5", "1,2,3", "1,2,3,4,5", "0,1,1,1", "a,b,c,d", "1,,2,3"])
def test_invalid_login_throttle_is_refused(text: str) -> None:
    sentence = refused(LOGIN_THROTTLE=text)

    assert sentence.startswith("LOGIN_THROTTLE must be on, off, or four whole numbers separated by commas")


@pytest.mark.parametrize(
    ("text", "limits"),
    [("on", REGISTRATION_LIMITS), ("OFF", None), ("20, 60", RegistrationLimits(20, 60))],
)
def test_registration_throttle_is_off_or_two_numbers(text: str, limits: RegistrationLimits | None) -> None:
    assert Settings.read(NEEDED | {"REGISTRATION_THROTTLE": text}).registration_throttle == limits


@pytest.mark.parametrize("text", ["yes", "5", "1,2,3", "0,1", "a,b", "1,"])
def test_invalid_registration_throttle_is_refused(text: str) -> None:
    sentence = refused(REGISTRATION_THROTTLE=text)

    assert sentence.startswith("REGISTRATION_THROTTLE must be on, off, or two whole numbers")


@pytest.mark.parametrize(
    "key",
    [
        "x" * 64,
        "ab" * 32,
        "changeme-changeme-changeme-changeme",
        "CHANGE_ME_before_you_go_to_production!",
        "your-256-bit-secret-your-256-bit-secret",
        "django-insecure-4w0!x9z&k3q@1v7b5n8m2l6j",
        "my super secret key, which is long enough",
    ],
)
@pytest.mark.parametrize("name", ["SECRET_KEY", "SECRET_KEY_PREVIOUS"])
def test_guessable_key_is_refused_without_showing_it(name: str, key: str) -> None:
    sentence = refused(**{name: key})

    assert sentence.startswith(f"{name} is easy to guess")
    assert key not in sentence
    assert "secrets.token_urlsafe" in sentence


@pytest.mark.parametrize("text", ["short", "sixteen letters!", "a token with blanks in it"])
def test_metrics_token_must_be_long_and_header_safe(text: str) -> None:
    assert refused(METRICS_TOKEN=text).startswith("METRICS_TOKEN must have at least 16 characters")


def test_metrics_are_off_without_port_or_token() -> None:
    settings = Settings.read(NEEDED)
    asked = Settings.read(NEEDED | {"METRICS_PORT": "9100", "METRICS_TOKEN": "a-token-for-one-test"})

    assert (settings.metrics_port, settings.metrics_token) == (None, None)
    assert (asked.metrics_port, asked.metrics_token) == (9100, b"a-token-for-one-test")


@pytest.mark.parametrize("port", [{"PORT": "9100", "METRICS_PORT": "9100"}, {"METRICS_PORT": "8000"}])
def test_metrics_port_must_not_be_port(port: dict[str, str]) -> None:
    number = port["METRICS_PORT"]

    assert refused(**port) == f"METRICS_PORT must not be PORT, {number}: metrics need a port of their own"


def test_service_link_of_kubernetes_is_no_metrics_port() -> None:
    assert Settings.read(NEEDED | {"METRICS_PORT": "tcp://10.43.0.17:9100"}).metrics_port is None
    assert refused(METRICS_PORT="http://10.43.0.17:9100").startswith("METRICS_PORT must be a whole number from 1")
