"""DATABASE_URL in libpq's form, for psycopg and for yoyo, which uses psycopg."""

from service.database_url import DatabaseUrl

CONNECT_TIMEOUT = 5  # seconds for each host; psycopg's default is 130


def psycopg_conninfo(url: str) -> str:
    """Return `url` as libpq's keywords, with every keyword set that the environment could set otherwise.

    Raises ValueError if `url` is invalid; the message contains no password.
    """
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415 - slow to import, and `serve` does not need it

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
    """Escape `value` for libpq's `options`, which are separated by spaces."""
    return value.replace("\\", "\\\\").replace(" ", "\\ ")
