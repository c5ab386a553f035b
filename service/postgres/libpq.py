"""The one DATABASE_URL, for libpq: psycopg reads it, and so does yoyo.

asyncpg and libpq read the same URLs up to the question mark. Behind it, asyncpg takes every key that it does not
know for a server setting (`statement_timeout=5000`) and spells the database `database` too; libpq refuses both.
"""

from urllib.parse import parse_qsl, quote, urlencode

from psycopg import ProgrammingError, pq
from psycopg.conninfo import conninfo_to_dict

CONNECT_TIMEOUT = 5  # seconds for each host; psycopg's own default is 130

_LIBPQ = frozenset(option.keyword.decode() for option in pq.Conninfo.get_defaults())


def psycopg_url(url: str) -> str:
    """Translate `url` for psycopg: server settings become libpq's `options`, and a connect timeout is always there.

    Raises ValueError, which does not repeat the URL, for it holds a password.
    Source: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
    """
    address, _, query = url.partition("?")
    keys = {"connect_timeout": str(CONNECT_TIMEOUT)}
    if "," in address.rpartition("@")[2]:  # of several hosts, the one that takes writes
        keys["target_session_attrs"] = "primary"
    settings = []
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key == "database":
            keys["dbname"] = value
        elif key in _LIBPQ:
            keys[key] = value
        else:
            settings.append(f"-c {key}={_escaped(value)}")
    if settings:
        keys["options"] = " ".join([*([keys["options"]] if "options" in keys else []), *settings])
    translated = f"{address}?{urlencode(keys, quote_via=quote)}"
    try:
        conninfo_to_dict(translated if address.startswith(("postgres://", "postgresql://")) else "?")
    except ProgrammingError:
        raise ValueError(
            "must look like postgresql://user:password@host:5432/name, with special characters percent-encoded"
        ) from None
    return translated


def _escaped(value: str) -> str:
    """Keep `value` one word of libpq's `options`."""
    return value.replace("\\", "\\\\").replace(" ", "\\ ")
