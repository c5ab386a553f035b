"""The settings: environment variables and nothing else (https://12factor.net/config)."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote

import environ
from typing_extensions import override

from service import env
from service.database_url import primary_url, replica_url
from service.problems import OperatorError

T = TypeVar("T")
NOT_UTF_8 = "must be UTF-8"


class SettingsError(OperatorError):
    """An environment variable is missing or invalid; one sentence names it."""


def variable(name: str, convert: Callable[[str], T], *, help: str, **default: Any) -> T:  # noqa: A002, ANN401 - environ-config's own
    """Declare the variable `name`. `convert` parses its text, and raises ValueError if that is not valid.

    Without ``default=`` the variable is required. A default is not converted.
    """

    def read(text: Any) -> Any:  # noqa: ANN401 - a variable's text, or its default
        if default and text is default["default"]:
            return text
        try:
            text.encode()
            return convert(text)
        except UnicodeEncodeError:
            raise SettingsError(f"{name} {NOT_UTF_8}") from None
        except ValueError as error:
            raise SettingsError(f"{name} {error}") from None

    return cast(T, environ.var(name=name, converter=read, help=help, **default))


# Secrets that can be read from the file in NAME_FILE, as container engines mount them.
SECRETS = (
    "DATABASE_URL",
    "DATABASE_REPLICA_URL",
    "DATABASE_PASSWORD",
    "SECRET_KEY",
    "SECRET_KEY_PREVIOUS",
    "METRICS_TOKEN",
)


def read_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are not empty, with secrets read from their files.

    DATABASE_PASSWORD is put into DATABASE_URL, and into a DATABASE_REPLICA_URL that has none. Raises SettingsError.
    """
    variables = {name: text for name, text in environment.items() if text}
    for name in SECRETS:
        if path := variables.get(f"{name}_FILE"):
            if name in variables:
                raise SettingsError(f"{name} and {name}_FILE are both set; one is enough")
            try:
                variables[name] = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else error.reason
                raise SettingsError(f"{name}_FILE must name a file that can be read, not {path!r}: {reason}") from None
    if password := variables.get("DATABASE_PASSWORD"):
        try:
            quoted = quote(password.rstrip("\r\n"), safe="")
        except UnicodeEncodeError:
            raise SettingsError(f"DATABASE_PASSWORD {NOT_UTF_8}") from None
        for name in ("DATABASE_URL", "DATABASE_REPLICA_URL"):
            scheme, _, address = variables.get(name, "").partition("://")
            user, _, host = address.partition("@")
            if host and user and ":" not in user:
                variables[name] = f"{scheme}://{user}:{quoted}@{host}"
            elif name == "DATABASE_URL":
                raise SettingsError(
                    f"DATABASE_PASSWORD needs a {name} with a user and no password: postgresql://user@host:5432/name"
                )
    return variables


@environ.config(prefix="", frozen=True)
class Settings:
    """All settings; README.md lists them for operators.

    Handlers receive them as a dependency, pools and `service/auth` as arguments in `service/app.py`. What a connection
    needs before there is a request, such as `cors`, becomes an attribute of the Application.
    """

    database_url: str = variable("DATABASE_URL", primary_url, help="postgresql://user:password@host:5432/name")
    secret_key: bytes = variable("SECRET_KEY", env.secret_key, help="signs the tokens; at least 32 bytes")
    secret_key_previous: bytes | None = variable(
        "SECRET_KEY_PREVIOUS",
        env.secret_key,
        default=None,
        help="the previous key; verifies its tokens during a rotation",
    )
    port: int | None = variable("PORT", env.integer(1, 65535), default=None, help="the port to listen on (8000)")
    host: str | None = variable(
        "HOST", env.host, default=None, help="the address to listen on (127.0.0.1; 0.0.0.0 with PORT)"
    )
    web_concurrency: int = variable("WEB_CONCURRENCY", env.integer(1, 64), default=1, help="worker processes")
    drain_seconds: int = variable(
        "DRAIN_SECONDS",
        env.integer(0, 15),
        default=2,
        help="seconds after SIGTERM before new connections are refused; readiness returns 503 meanwhile",
    )
    database_pool_size: int = variable(
        "DATABASE_POOL_SIZE",
        env.integer(1, 1000),
        default=10,
        help="connections to PostgreSQL per worker, plus one for readiness",
    )
    database_statement_cache: int = variable(
        "DATABASE_STATEMENT_CACHE",
        env.integer(0, 10_000),
        default=100,
        help="prepared statements per connection; 0 behind PgBouncer before 1.21",
    )
    database_max_idle_seconds: int = variable(
        "DATABASE_MAX_IDLE_SECONDS",
        env.integer(1, 3600),
        default=200,
        help="seconds before an idle connection is closed",
    )
    # Less than DatabaseTimeouts.query: a server that takes longer than that counts as unreachable.
    database_statement_timeout: int = variable(
        "DATABASE_STATEMENT_TIMEOUT",
        env.integer(0, 2_000),
        default=2_000,
        help="milliseconds before a statement is cancelled; 0: the setting of the database role applies",
    )
    database_lock_timeout: int = variable(
        "DATABASE_LOCK_TIMEOUT",
        env.integer(0, 2_000),
        # Longer than PostgreSQL's deadlock_timeout (1 s), because statements are retried after a deadlock.
        default=1_500,
        help="milliseconds that a statement waits for a lock; 0: the setting of the database role applies",
    )
    database_replica_url: str | None = variable(
        "DATABASE_REPLICA_URL",
        replica_url,
        default=None,
        help="a replica, for the queries whose header says replica: ok",
    )
    database_replica_max_lag: int = variable(
        "DATABASE_REPLICA_MAX_LAG",
        env.integer(0, 500),
        default=50,
        help="milliseconds that a read waits for the replica before it uses the primary",
    )
    access_token_expire_seconds: int = variable(
        "ACCESS_TOKEN_EXPIRE_SECONDS", env.integer(1, 86_400), default=900, help="lifetime of an access token"
    )
    refresh_token_expire_seconds: int = variable(
        "REFRESH_TOKEN_EXPIRE_SECONDS",
        env.integer(1, 31_536_000),
        default=28 * 86_400,
        help="lifetime of a login session",
    )
    allowed_hosts: tuple[str, ...] = variable(
        "ALLOWED_HOSTS",
        env.comma_separated(env.HOST_NAME, "host names without scheme and port (.example.com: subdomains too; *: any)"),
        default=("localhost", "127.0.0.1"),
        help="accepted host names, separated by commas",
    )
    backend_cors_origins: tuple[str, ...] = variable(
        "BACKEND_CORS_ORIGINS",
        env.comma_separated(env.ORIGIN, "origins such as https://app.example.com, with nothing after the port"),
        default=(),
        help="origins whose pages can call the API, separated by commas",
    )
    trusted_proxy_hops: int = variable(
        "TRUSTED_PROXY_HOPS",
        env.integer(0, 10),
        default=0,
        help="X-Forwarded-For entries that your own proxies add, usually one each",
    )
    login_throttle: env.LoginLimits | None = variable(
        "LOGIN_THROTTLE",
        env.login_limits,
        default=env.LOGIN_LIMITS,
        help="four numbers: failed log-ins allowed from one network to one account; from one network; to one account, "
        "from networks that have not logged in to it before; and the period in seconds",
    )
    registration_throttle: env.RegistrationLimits | None = variable(
        "REGISTRATION_THROTTLE",
        env.registration_limits,
        default=env.REGISTRATION_LIMITS,
        help="registration attempts allowed from one network, and the period in seconds; off with LOGIN_THROTTLE=off",
    )
    max_sessions: int = variable(
        "MAX_SESSIONS", env.integer(1, 1000), default=100, help="login sessions per account; one more ends the oldest"
    )
    require_current_password: bool = variable(
        "REQUIRE_CURRENT_PASSWORD",
        env.boolean,
        default=False,
        help="whether changing the password or deleting the account requires the current password",
    )
    metrics_port: int | None = variable(
        "METRICS_PORT", env.port_or_service_link, default=None, help="the port that serves the metrics of all workers"
    )
    metrics_token: bytes | None = variable(
        "METRICS_TOKEN", env.token, default=None, help="the bearer token for /metrics"
    )
    slow_query_ms: int = variable(
        "SLOW_QUERY_MS",
        env.integer(0, 2_000),
        default=500,
        help="milliseconds after which a query is logged with its plan; 0: never",
    )
    log_level: str = variable(
        "LOG_LEVEL",
        env.choice("DEBUG", "INFO", "WARNING", "ERROR"),
        default="INFO",
        help="the lowest level that is logged",
    )
    log_format: str = variable(
        "LOG_FORMAT", env.choice("json", "logfmt", "console"), default="json", help="json, logfmt or console"
    )

    @override
    def __repr__(self) -> str:
        """Keep the secrets out of logs and tracebacks."""
        return "Settings(…)"

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port to listen on; on all interfaces by default if PORT is set, as platforms do."""
        return self.host or ("127.0.0.1" if self.port is None else "0.0.0.0"), self.port or 8000  # noqa: S104 - see above

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read `environment`; an empty variable counts as not set.

        Raises SettingsError, which names the variable.
        """
        try:
            settings: Settings = environ.to_config(cls, read_environment(environment))
        except environ.MissingEnvValueError as error:
            raise SettingsError(f"{', '.join(sorted(error.args))} must be set; see README.md") from None
        if settings.metrics_port == settings.address[1]:
            raise SettingsError(
                f"METRICS_PORT must not be PORT, {settings.metrics_port}: metrics need a port of their own"
            )
        return settings


def database_url(environment: Mapping[str, str] = os.environ) -> str:
    """Read DATABASE_URL alone, for the commands that need no other setting.

    Raises SettingsError if it is missing or invalid.
    """
    try:
        return primary_url(read_environment(environment)["DATABASE_URL"])
    except KeyError:
        raise SettingsError("DATABASE_URL must be set; see README.md") from None
    except ValueError as error:
        raise SettingsError(f"DATABASE_URL {error}") from None
