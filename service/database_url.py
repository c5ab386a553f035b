"""Parses DATABASE_URL for asyncpg and for libpq (psycopg, yoyo), so that both treat it alike.

Sources: https://www.postgresql.org/docs/current/libpq-connect.html, 32.1.1.2 (URIs) and 32.1.2 (keywords).
"""

import getpass
import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qsl, unquote

import attrs

Address: TypeAlias = tuple[str, int]
"""A host name or a Unix socket's folder, and a port."""

URL_FORMAT = "must look like postgresql://user:password@host:5432/name, with special characters percent-encoded"
_SERVER = r"(?:[^\s/?#@:,\[\]]*|\[[\da-fA-F:.]+\])(?::\d+)?"
_URL = re.compile(
    rf"postgres(?:ql)?://(?:(?P<user>[^\s/?#@:]*)(?::(?P<password>[^\s/?#@]*))?@)?(?P<servers>{_SERVER}(?:,{_SERVER})*)"
    r"(?:/(?P<database>[^\s/?#@]*))?(?:\?(?P<query>[^\s#]*))?",
    re.ASCII,
)
_NUMBER = r"\d{1,9}"
_TLS = "TLSv1|TLSv1.1|TLSv1.2|TLSv1.3"
# libpq's keywords, each with a pattern of the values that both drivers treat alike. An empty pattern refuses it.
KEYWORDS: Mapping[str, str] = {
    **dict.fromkeys(("host", "port", "dbname", "user", "password", "passfile"), r".*"),
    **dict.fromkeys(("options", "application_name", "fallback_application_name"), r".*"),
    **dict.fromkeys(("sslrootcert", "sslcert", "sslkey", "sslcrl", "sslpassword"), r".*"),
    "sslmode": "disable|allow|prefer|require|verify-ca|verify-full",
    "sslnegotiation": "postgres|direct",
    "ssl_min_protocol_version": _TLS,
    "ssl_max_protocol_version": _TLS,
    "target_session_attrs": "any|read-write|read-only|primary|standby|prefer-standby",
    "load_balance_hosts": "disable|random",
    "connect_timeout": _NUMBER,
    "keepalives": "0|1",
    **dict.fromkeys(("keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"), _NUMBER),
    "client_encoding": "UTF8|utf8|UTF-8|utf-8|unicode",  # the service always uses UTF8
    "channel_binding": "disable|prefer|require",
    # These values turn off features that asyncpg lacks.
    "gssencmode": "disable|prefer",
    "sslcompression": "0",
    "sslsni": "1",
    "sslcertmode": "allow",
    "gssdelegation": "0",
    **dict.fromkeys("service servicefile hostaddr replication requirepeer require_auth".split(), ""),  # noqa: SIM905 - `rename` would change a quoted "service"
    **dict.fromkeys(("min_protocol_version", "max_protocol_version", "krbsrvname", "gsslib"), ""),
    **dict.fromkeys(("sslcrldir", "sslkeylogfile", "scram_client_key", "scram_server_key"), ""),
    **dict.fromkeys(("oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope"), ""),
}
# Parameters of other libraries, each with a hint; PostgreSQL would take them for server settings.
_OTHER_LIBRARIES = {
    "pgbouncer": "DATABASE_STATEMENT_CACHE=0 is for poolers that cannot prepare statements",
    "schema": "search_path names the schema",
    "currentschema": "search_path names the schema",
    "ssl": "sslmode=require asks for TLS",
    **dict.fromkeys(("connection_limit", "pool", "pool_size"), "DATABASE_POOL_SIZE limits the connections"),
    **dict.fromkeys(
        ("pool_timeout", "socket_timeout", "sslaccept", "sslidentity", "statement_cache_size", "charset", "encoding"),
        "it belongs to another library",
    ),
}
# The largest values that Linux accepts (tcp(7)). It does not accept 0 either: each connection would fail.
_LARGEST = {"keepalives_idle": 32767, "keepalives_interval": 32767, "keepalives_count": 127}
_SETTING = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")
# The files in which systems keep their trusted root certificates.
_ROOT_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_SOCKETS = ("/run/postgresql", "/tmp")  # noqa: S108 - PostgreSQL's default folders for its socket
# In seconds, tcp_user_timeout in milliseconds. They detect a connection that a firewall has dropped.
_KEEPALIVE = {
    "keepalives": "1",
    "keepalives_idle": "60",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}


@attrs.frozen
class DatabaseUrl:
    """A parsed URL, with the defaults that both drivers share."""

    addresses: tuple[Address, ...]
    user: str
    password: str | None = attrs.field(repr=False)
    database: str
    tls: dict[str, str]
    """libpq's TLS keywords, and ``passfile``."""
    settings: dict[str, str]
    """Server settings of each session."""
    keepalive: dict[str, str]
    target_session_attrs: str | None
    load_balances: bool
    connect_timeout: int
    """Seconds for each host; 0: the default."""

    @classmethod
    def parse(cls, text: str) -> "DatabaseUrl":
        """Parse a URL. Raises ValueError with a message that names the wrong parameter and contains no password."""
        match = _URL.fullmatch(text)
        if not match or not text.isascii():
            raise ValueError(URL_FORMAT)
        keywords, settings = _parameters(match["query"] or "")
        servers = [
            server.rpartition(":") if re.search(r":\d+$", server) else (server, "", "")
            for server in match["servers"].split(",")
        ]
        hosts = keywords.pop("host", "") or ",".join(_decoded(host.strip("[]")) for host, _, _ in servers)
        ports = keywords.pop("port", "") or ",".join(port for _, _, port in servers)
        user = keywords.pop("user", "") or _decoded(match["user"] or "") or _system_user()
        password = keywords.pop("password", "") or _decoded(match["password"] or "")
        fallback = keywords.pop("fallback_application_name", "")
        if name := keywords.pop("application_name", fallback):
            settings["application_name"] = name
        if options := keywords.pop("options", ""):
            settings["options"] = options
        keepalive = {key: keywords.pop(key, default) for key, default in _KEEPALIVE.items()}
        addresses = _addresses(hosts.split(","), ports.split(","))
        return cls(
            addresses=addresses,
            user=user,
            password=password or None,
            database=keywords.pop("dbname", "") or _decoded(match["database"] or "") or user,
            settings=settings,
            keepalive=keepalive,
            target_session_attrs=keywords.get("target_session_attrs"),
            load_balances=keywords.pop("load_balance_hosts", "") == "random",
            connect_timeout=int(keywords.pop("connect_timeout", "0")),
            tls=_tls(keywords),
        )


def _decoded(text: str) -> str:
    """Undo percent-encoding."""
    if re.search(r"%(?![\da-fA-F]{2})|%00", text):
        raise ValueError(URL_FORMAT)
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError(URL_FORMAT) from None


def _parameters(query: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the libpq keywords of the URL's query, and the remaining parameters, which are server settings."""
    keywords, settings = {}, {}
    _decoded(query)
    try:
        # libpq does not decode a plus sign as a space: a password can contain one.
        pairs = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ValueError("must have parameters of the form name=value, joined by &, after the question mark") from None
    for key, value in pairs:
        name = "dbname" if key == "database" else key
        if name in KEYWORDS:
            if value:
                _check(name, value)
                keywords[name] = value
        elif name.lower() in KEYWORDS:
            # PostgreSQL would take it for a setting, and honour Client_Encoding.
            raise ValueError(f"has the parameter {name}, which must be written {name.lower()}")
        elif hint := _OTHER_LIBRARIES.get(name.lower()):
            raise ValueError(f"has the parameter {name}, which PostgreSQL does not know: {hint}")
        elif not _SETTING.fullmatch(name):
            raise ValueError(f"has the parameter {name!r}, which is not the name of a PostgreSQL setting")
        else:
            settings[name] = value
    return keywords, settings


def _check(name: str, value: str) -> None:
    """Raise ValueError if the drivers would not treat the value alike."""
    allowed = KEYWORDS[name]
    if not allowed:
        raise ValueError(f"has the parameter {name}, which is not supported")
    if not re.fullmatch(allowed, value, re.ASCII | re.DOTALL):
        choices = "a whole number" if allowed == _NUMBER else allowed.replace("|", ", ")
        raise ValueError(f"has {name}={value}, which is not supported: {name} can be {choices}")
    if (largest := _LARGEST.get(name)) and not 1 <= int(value) <= largest:
        raise ValueError(f"has {name}={value}: {name} can be a whole number from 1 to {largest}")


def _addresses(hosts: list[str], ports: list[str]) -> tuple[Address, ...]:
    """Pair hosts and ports as libpq does: a single port applies to all hosts."""
    if len(ports) == 1:
        ports *= len(hosts)
    if len(ports) != len(hosts):
        raise ValueError(f"names {len(hosts)} hosts and {len(ports)} ports: give one port, or one for each host")
    numbers = []
    for port in ports:
        if port and not (port.isdecimal() and 1 <= int(port) < 1 << 16):
            raise ValueError(f"has the port {port}: a port is a whole number from 1 to 65535")
        numbers.append(int(port or 5432))
    if len(hosts) > 1 and not all(hosts):
        raise ValueError("names several hosts, and one of them is empty")
    return tuple((host or _default_host(port), port) for host, port in zip(hosts, numbers, strict=True))


def _default_host(port: int) -> str:
    """Return the host for a URL that names none: the folder of PostgreSQL's socket, or localhost."""
    return next((folder for folder in _SOCKETS if Path(folder, f".s.PGSQL.{port}").exists()), "localhost")


def _system_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise ValueError(
            "names no user, and the system has no name for this one: write postgresql://user@host/name"
        ) from None


def _tls(keywords: dict[str, str]) -> dict[str, str]:
    """Return the TLS keywords for both drivers. Raises ValueError."""
    tls = {name: value for name, value in keywords.items() if name.startswith("ssl") or name == "passfile"}
    if keywords.get("channel_binding") == "require":
        # asyncpg lacks channel binding, which protects from a man in the middle, as does verifying the certificate.
        tls |= {"sslmode": "verify-full", "sslrootcert": keywords.get("sslrootcert", "system")}
    for name in ("sslcompression", "sslsni", "sslcertmode"):
        tls.pop(name, None)
    if tls.get("sslrootcert") == "system":
        tls |= {"sslmode": "verify-full", "sslrootcert": _system_certificates()}
    mode = tls.get("sslmode", "prefer")
    if mode.startswith("verify") and "sslrootcert" not in tls:
        path = Path("~/.postgresql/root.crt").expanduser()
        if not path.is_file():
            raise ValueError(
                f"has sslmode={mode} and no root certificate: set sslrootcert to its file, or to system for those that "
                "the system trusts"
            )
        tls["sslrootcert"] = str(path)
    if tls.get("sslnegotiation") == "direct" and mode not in {"require", "verify-ca", "verify-full"}:
        raise ValueError("has sslnegotiation=direct, which needs sslmode=require, verify-ca or verify-full")
    lowest, highest = tls.get("ssl_min_protocol_version", "TLSv1.2"), tls.get("ssl_max_protocol_version", "TLSv1.3")
    if lowest > highest:  # libpq refuses this even if the server has no TLS
        raise ValueError(f"has ssl_max_protocol_version={highest}, which is below ssl_min_protocol_version ({lowest})")
    for name in _FILES:
        if name in tls and (Path(tls[name]).is_dir() or not os.access(tls[name], os.R_OK)):
            raise ValueError(f"has {name}={tls[name]}, which is not a readable file")
    return tls


def _system_certificates() -> str:
    paths = (ssl.get_default_verify_paths().cafile, *_ROOT_CERTIFICATES)
    found = next((path for path in paths if path and Path(path).is_file()), None)
    if found is None:
        raise ValueError("needs the system's trusted root certificates, and there are none: install ca-certificates")
    return found


def primary_url(text: str) -> str:
    """Check DATABASE_URL and return it. Raises ValueError."""
    if (target := DatabaseUrl.parse(text).target_session_attrs) not in {None, "any", "read-write", "primary"}:
        raise ValueError(f"has target_session_attrs={target}, and must lead to a server that accepts writes")
    return text


def replica_url(text: str) -> str:
    """Check DATABASE_REPLICA_URL and return it. Raises ValueError."""
    if (target := DatabaseUrl.parse(text).target_session_attrs) in {"read-write", "primary"}:
        raise ValueError(f"has target_session_attrs={target}, and must lead to a replica")
    return text
