"""DATABASE_URL means the same to asyncpg and libpq, or is refused with one sentence."""

import getpass
import ssl
from pathlib import Path
from urllib.parse import quote

import pytest
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from service.database_url import KEYWORDS, DatabaseUrl, primary_url, replica_url
from service.postgres.libpq import psycopg_conninfo

KEYWORDS_OF_LIBPQ = [option.keyword.decode() for option in pq.Conninfo.get_defaults()]
ROOT = ssl.get_default_verify_paths().cafile
REFUSED = [
    *"service hostaddr replication requirepeer require_auth krbsrvname gsslib".split(),  # noqa: SIM905 - `rename` would change a quoted "service"
    *("min_protocol_version", "max_protocol_version", "sslcrldir", "sslkeylogfile"),
    *("scram_client_key", "scram_server_key", "oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope"),
]
# A value of each other keyword, and the value that libpq receives.
HONOURED = {
    "host": ("a,b", {"host": "a,b", "port": "6,6", "target_session_attrs": "primary"}),
    "port": ("7", {"port": "7"}),
    "dbname": ("other", {"dbname": "other"}),
    "database": ("other", {"dbname": "other"}),
    "user": ("other", {"user": "other"}),
    "password": ("p w", {"password": "p w"}),
    "passfile": ("/dev/null", {"passfile": "/dev/null"}),
    "options": ("-c a=b", {"options": "-c a=b"}),
    "application_name": ("two words", {"options": r"-c application_name=two\ words"}),
    "fallback_application_name": ("name", {"options": "-c application_name=name"}),
    "connect_timeout": ("30", {"connect_timeout": "30"}),
    "client_encoding": ("UTF-8", {"client_encoding": "UTF8"}),
    "sslmode": ("require", {"sslmode": "require"}),
    "sslnegotiation": ("postgres", {"sslnegotiation": "postgres"}),
    "sslcert": ("/dev/null", {"sslcert": "/dev/null"}),
    "sslkey": ("/dev/null", {"sslkey": "/dev/null"}),
    "sslpassword": ("secret", {"sslpassword": "secret"}),
    "sslrootcert": ("/dev/null", {"sslrootcert": "/dev/null"}),
    "sslcrl": ("/dev/null", {"sslcrl": "/dev/null"}),
    "ssl_min_protocol_version": ("TLSv1.3", {"ssl_min_protocol_version": "TLSv1.3"}),
    "ssl_max_protocol_version": ("TLSv1.3", {"ssl_max_protocol_version": "TLSv1.3"}),
    "target_session_attrs": ("read-write", {"target_session_attrs": "read-write"}),
    "load_balance_hosts": ("random", {"load_balance_hosts": "random"}),
    "keepalives": ("0", {"keepalives": "0"}),
    "keepalives_idle": ("5", {"keepalives_idle": "5"}),
    "keepalives_interval": ("5", {"keepalives_interval": "5"}),
    "keepalives_count": ("5", {"keepalives_count": "5"}),
    "tcp_user_timeout": ("5", {"tcp_user_timeout": "5"}),
    "channel_binding": ("require", {"sslmode": "verify-full", "sslrootcert": ROOT}),
    "gssencmode": ("prefer", {}),
    "sslcompression": ("0", {}),
    "sslsni": ("1", {}),
    "sslcertmode": ("allow", {}),
    "gssdelegation": ("0", {}),
}
# libpq's defaults for a minimal URL.
PLAIN = {
    "host": "h",
    "port": "6",
    "user": "u",
    "dbname": "d",
    "client_encoding": "UTF8",
    "connect_timeout": "5",
    "target_session_attrs": "any",
    "load_balance_hosts": "disable",
    "gssencmode": "disable",
    "keepalives": "1",
    "keepalives_idle": "60",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
    "options": "",
}
PROVIDERS = {
    "Neon": (
        "postgresql://alex:AbC123@ep-cool-1.eu-central-1.aws.neon.tech/db?sslmode=require&channel_binding=require",
        ("ep-cool-1.eu-central-1.aws.neon.tech", 5432, "alex", "db", "verify-full"),
    ),
    "Neon, pooled": (
        "postgresql://alex:AbC123@ep-cool-1-pooler.eu-central-1.aws.neon.tech/db?sslmode=require",
        ("ep-cool-1-pooler.eu-central-1.aws.neon.tech", 5432, "alex", "db", "require"),
    ),
    "Supabase": (
        "postgresql://postgres.abcdef:secret@aws-0-eu-central-1.pooler.supabase.com:6543/postgres",
        ("aws-0-eu-central-1.pooler.supabase.com", 6543, "postgres.abcdef", "postgres", None),
    ),
    "Heroku": (
        "postgres://u1a2b3:p4c5d6@ec2-1-2-3-4.eu-west-1.compute.amazonaws.com:5432/d7e8f9",
        ("ec2-1-2-3-4.eu-west-1.compute.amazonaws.com", 5432, "u1a2b3", "d7e8f9", None),
    ),
    "RDS": (
        f"postgresql://app:secret@db.c1.eu-west-1.rds.amazonaws.com:5432/app?sslmode=verify-full&sslrootcert={ROOT}",
        ("db.c1.eu-west-1.rds.amazonaws.com", 5432, "app", "app", "verify-full"),
    ),
    "Azure": (
        "postgresql://app%40server:secret@server.postgres.database.azure.com:5432/app?sslmode=require",
        ("server.postgres.database.azure.com", 5432, "app@server", "app", "require"),
    ),
    "Cloud SQL": (
        "postgresql://app:secret@/app?host=/cloudsql/project:europe-west1:instance",
        ("/cloudsql/project:europe-west1:instance", 5432, "app", "app", None),
    ),
    "Cloud SQL, as Prisma writes it": (
        "postgresql://app:secret@localhost/app?host=/cloudsql/project:europe-west1:instance",
        ("/cloudsql/project:europe-west1:instance", 5432, "app", "app", None),
    ),
    "public certificate, over direct TLS": (
        "postgresql://alex:AbC123@db.example.com:5432/postgres?sslrootcert=system&sslnegotiation=direct",
        ("db.example.com", 5432, "alex", "postgres", "verify-full"),
    ),
    "Fly": (
        "postgres://app:secret@app-db.flycast:5432/app?sslmode=disable",
        ("app-db.flycast", 5432, "app", "app", "disable"),
    ),
}


@pytest.mark.parametrize("keyword", KEYWORDS_OF_LIBPQ)
def test_every_keyword_of_libpq_is_honoured_or_refused(keyword: str) -> None:
    """A new version of libpq can add keywords, and each needs a decision."""
    assert keyword in KEYWORDS
    assert (keyword in HONOURED) is not (keyword in REFUSED)


@pytest.mark.parametrize("keyword", HONOURED)
def test_honoured_keyword_reaches_libpq(keyword: str) -> None:
    value, expected = HONOURED[keyword]

    assert conninfo_to_dict(psycopg_conninfo(f"postgresql://u@h:6/d?{keyword}={quote(value)}")) == PLAIN | expected


@pytest.mark.parametrize("keyword", REFUSED)
def test_unsupported_keyword_is_refused_by_name(keyword: str) -> None:
    with pytest.raises(ValueError, match=rf"^has the parameter {keyword}, which is not supported$"):
        DatabaseUrl.parse(f"postgresql://u@h/d?{keyword}=secret")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_urls_of_providers_are_understood(provider: str) -> None:
    url, expected = PROVIDERS[provider]

    parsed = DatabaseUrl.parse(primary_url(url))

    [(host, port)] = parsed.addresses
    assert (host, port, parsed.user, parsed.database, parsed.tls.get("sslmode")) == expected
    assert parsed.password
    assert parsed.settings == {}


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("postgresql://u@a,b:6432/db", [("a", 5432), ("b", 6432)]),
        ("postgres://u@[::1]:1,%2Frun%2Fpg/db?jit=a,b", [("::1", 1), ("/run/pg", 5432)]),
        ("postgresql://u:a,b@a/db?application_name=a,b", [("a", 5432)]),
        ("postgresql://u@/db?host=a,b&port=1,2", [("a", 1), ("b", 2)]),
        ("postgresql://u@/db?host=a,b&port=1", [("a", 1), ("b", 1)]),
        ("postgresql://u@a:1/db?host=b", [("b", 1)]),
    ],
)
def test_hosts_and_ports_are_paired(url: str, addresses: list[tuple[str, int]]) -> None:
    assert list(DatabaseUrl.parse(url).addresses) == addresses


def test_missing_parts_are_those_of_libpq(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("service.database_url._SOCKETS", (str(tmp_path),))
    (tmp_path / ".s.PGSQL.7").touch()

    here, elsewhere = DatabaseUrl.parse("postgresql://:7"), DatabaseUrl.parse("postgresql:///")

    assert here.addresses == ((str(tmp_path), 7),)
    assert elsewhere.addresses == (("localhost", 5432),)
    assert (here.user, here.database, here.password) == (getpass.getuser(), getpass.getuser(), None)


def test_url_without_user_is_refused_without_system_user(monkeypatch: pytest.MonkeyPatch) -> None:
    def getuser() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr(getpass, "getuser", getuser)

    with pytest.raises(ValueError, match=r"^names no user"):
        DatabaseUrl.parse("postgresql://h/d")


@pytest.mark.parametrize(
    ("query", "settings"),
    [
        ("sslmode=&statement_timeout=5000&jit=", {"statement_timeout": "5000", "jit": ""}),
        (
            "application_name=two+more%20words&search_path=%22a%20b%22,%20public",
            {"application_name": "two+more words", "search_path": '"a b", public'},
        ),
        (
            "citus.enable_statistics_collection=off&TimeZone=UTC",
            {"citus.enable_statistics_collection": "off", "TimeZone": "UTC"},
        ),
    ],
)
def test_other_parameters_are_settings_of_the_server(query: str, settings: dict[str, str]) -> None:
    assert DatabaseUrl.parse(f"postgresql://u@h/d?{query}").settings == settings


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://u:secret@h/db", "must look like postgresql://"),
        ("host=h password=secret", "must look like postgresql://"),
        ("postgresql://u:%zzsecret@h/db", "must look like postgresql://"),
        ("postgresql://u:secret%00@h/db", "must look like postgresql://"),
        ("postgresql://u:secret%ff@h/db", "must look like postgresql://"),
        ("postgresql://u:secret@h:abc/db", "must look like postgresql://"),
        ("postgresql://u:secret@h/db?application_name=%zz", "must look like postgresql://"),
        ("postgresql://u:secret@h/db?x", "must have parameters of the form name=value"),
        ("postgresql://u:secret@h:0/db", "has the port 0"),
        ("postgresql://u:secret@h:99999/db", "has the port 99999"),
        ("postgresql://u:secret@h/db?port=abc", "has the port abc"),
        ("postgresql://u:secret@/db?host=a,b&port=1,2,3", "names 2 hosts and 3 ports"),
        ("postgresql://u:secret@,/db", "names several hosts, and one of them is empty"),
        (
            "postgresql://u:secret@h/db?sslmode=no-verify",
            "has sslmode=no-verify, which is not supported: sslmode can be disable, allow, prefer",
        ),
        ("postgresql://u:secret@h/db?target_session_attrs=bogus", "has target_session_attrs=bogus"),
        ("postgresql://u:secret@h/db?target_session_attrs=standby", "has target_session_attrs=standby, and must lead"),
        (
            "postgresql://u:secret@h/db?connect_timeout=soon",
            "has connect_timeout=soon, which is not supported: connect_timeout can be a whole number",
        ),
        ("postgresql://u:secret@h/db?client_encoding=latin1", "has client_encoding=latin1"),
        ("postgresql://u:secret@h/db?Client_Encoding=latin1", "has the parameter Client_Encoding, which"),
        ("postgresql://u:secret@h/db?SSLMODE=require", "has the parameter SSLMODE, which must be written sslmode"),
        ("postgresql://u:secret@h/db?keepalives_idle=0", "has keepalives_idle=0: keepalives_idle can be a whole"),
        ("postgresql://u:secret@h/db?keepalives_interval=32768", "has keepalives_interval=32768: keepalives_interval"),
        ("postgresql://u:secret@h/db?keepalives_count=128", "has keepalives_count=128: keepalives_count can be"),
        ("postgresql://u:secret@h/db?gssencmode=require", "has gssencmode=require"),
        ("postgresql://u:secret@h/db?ssl_min_protocol_version=TLSv9", "has ssl_min_protocol_version=TLSv9"),
        (
            "postgresql://u:secret@h/db?ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2",
            "has ssl_max_protocol_version=TLSv1.2, which is below ssl_min_protocol_version",
        ),
        ("postgresql://u:secret@h/db?ssl_max_protocol_version=TLSv1.1", "has ssl_max_protocol_version=TLSv1.1, which"),
        ("postgresql://u:secret@h/db?sslnegotiation=direct", "has sslnegotiation=direct, which needs sslmode"),
        ("postgresql://u:secret@h/db?sslmode=verify-full", "has sslmode=verify-full and no root certificate"),
        (
            "postgresql://u:secret@h/db?sslrootcert=/nonexistent",
            "has sslrootcert=/nonexistent, which is not a readable file",
        ),
        ("postgresql://u:secret@h/db?sslrootcert=/", "has sslrootcert=/, which is not a readable file"),
        ("postgresql://u:secret@h/db?sslcert=/nonexistent", "has sslcert=/nonexistent, which is not a readable file"),
        ("postgresql://u:secret@h/db?pgbouncer=true", "has the parameter pgbouncer, which PostgreSQL does not know"),
        ("postgresql://u:secret@h/db?schema=public", "has the parameter schema, which PostgreSQL does not know"),
        ("postgresql://u:secret@h/db?a-b=c", "has the parameter 'a-b', which is not the name of a PostgreSQL"),
    ],
)
def test_invalid_url_is_refused_without_its_password(
    url: str, sentence: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    with pytest.raises(ValueError, match=f"^{sentence}") as refusal:
        primary_url(url)

    assert "secret" not in str(refusal.value)


def test_replica_url_must_not_require_a_primary() -> None:
    assert replica_url("postgresql://u@h/db?target_session_attrs=standby")
    with pytest.raises(ValueError, match=r"^has target_session_attrs=primary, and must lead to a replica$"):
        replica_url("postgresql://u@h/db?target_session_attrs=primary")


def test_root_certificate_of_the_home_folder_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    certificate = tmp_path / ".postgresql/root.crt"
    certificate.parent.mkdir()
    certificate.touch()

    assert DatabaseUrl.parse("postgresql://u@h/d?sslmode=verify-ca").tls["sslrootcert"] == str(certificate)


def test_system_without_root_certificates_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    none = ssl.get_default_verify_paths()._replace(cafile=None)  # type: ignore[arg-type]  # as on systems without one
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: none)
    monkeypatch.setattr("service.database_url._ROOT_CERTIFICATES", (str(tmp_path / "none"),))

    with pytest.raises(ValueError, match=r"^needs the system's trusted root certificates"):
        DatabaseUrl.parse("postgresql://u@h/d?sslrootcert=system")


def test_password_is_not_in_the_representation() -> None:
    assert "secret" not in repr(DatabaseUrl.parse("postgresql://u:secret@h/d"))
