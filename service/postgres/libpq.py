"""DATABASE_URL for libpq: what psycopg connects with, and so yoyo."""

from psycopg.conninfo import make_conninfo

from service.database_url import DatabaseUrl

CONNECT_TIMEOUT = 5  # seconds for each host; psycopg's own default is 130


def psycopg_conninfo(url: str) -> str:
    """Return `url` as libpq's keywords, each that matters given: the environment decides nothing.

    Raises ValueError, which does not repeat the password.
    """
    parsed = DatabaseUrl.parse(url)
    settings = dict(parsed.settings)
    options = [settings.pop("options", ""), *(f"-c {name}={_escaped(value)}" for name, value in settings.items())]
    target = parsed.target_session_attrs or ("primary" if len(parsed.addresses) > 1 else "any")
    return make_conninfo(
        "",
        host=",".join(host for host, _ in parsed.addresses),
        port=",".join(str(port) for _, port in parsed.addresses),
        user=parsed.user,
        password=parsed.password,
        dbname=parsed.database,
        options=" ".join(filter(None, options)),
        connect_timeout=parsed.connect_timeout or CONNECT_TIMEOUT,
        client_encoding="UTF8",
        target_session_attrs=target,
        load_balance_hosts="random" if parsed.load_balances else "disable",
        gssencmode="disable",
        **parsed.keepalive,
        **parsed.tls,
    )


def _escaped(value: str) -> str:
    """Keep `value` one word of libpq's `options`."""
    return value.replace("\\", "\\\\").replace(" ", "\\ ")
