"""The data of all measurements: accounts with sessions and pets, and tokens of some of them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import attrs
import psycopg
from psycopg.rows import class_row, tuple_row

from service.auth.models import Session
from service.auth.passwords import Passwords
from service.auth.tokens import Tokens
from service.embedded import EmbeddedPostgres, embedded_postgres
from service.migrate import runner as migrate
from tests.support.application import make_settings
from tests.support.folders import temporary_folder
from tests.support.processes import serve_settings

PASSWORD = "a password of benchmarks"
# Otherwise commits would measure the disk.
SERVER_SETTINGS = {
    "synchronous_commit": "off",
    "shared_buffers": "1GB",
    "max_connections": "200",
    "max_wal_size": "8GB",
}
# Listing users keep exactly their initial pets; other users create pets.
LISTERS, CREATORS = 32, 32
NUMBERS = count(1)

# Inserted in primary key order, with other indexes created at the end: half of the time.
ADD_USERS = """
    insert into user_model (id, email, hashed_password)
    select id, 'user' || row_number() over (order by id) || '@example.com', %(hash)s
    from (select gen_random_uuid() as id from generate_series(1, %(users)s)) as new
    order by id"""
ADD_SESSIONS = """
    insert into login_session (id, user_id, expires_at)
    select gen_random_uuid() as id, user_model.id, now() + interval '2 days' from user_model order by 1"""
ADD_PETS = """
    insert into pets (user_id, pet_name)
    select id, 'pet ' || n from user_model cross join generate_series(1, %s) as n order by id"""
INDEXES = """
    select format('drop index %s', index), pg_get_indexdef(index)
    from pg_index cross join lateral (select indexrelid::regclass as index) as named
    where indrelid = any('{user_model,login_session,pets}'::regclass[]) and not indisprimary"""
SESSIONS = """
    select id, user_id, generation, last_used_at, expires_at
    from login_session tablesample bernoulli(least(100, 200.0 * %(number)s / %(users)s)) repeatable (1)
    order by random() limit %(number)s"""


@attrs.frozen
class Database:
    """A filled database, and the access tokens of some users."""

    server: EmbeddedPostgres
    name: str
    sessions: list[Session]
    listers: list[str]
    creators: list[str]

    @property
    def url(self) -> str:
        """The database's URL."""
        return self.server.url(self.name)

    def settings(self, host: str | None = None, port: int | None = None) -> dict[str, str]:
        """Return the settings that contestants need, in each one's form; by `host` and `port`, or the socket."""
        url = f"postgresql://{self.server.user}@{host}:{port}/{self.name}?sslmode=disable" if host else self.url
        return {
            **serve_settings(url),
            "PGHOST": host or str(self.server.socket_directory),
            "PGPORT": str(port or self.server.port),
            "PGUSER": self.server.user,
            "PGDATABASE": self.name,
            "PGSSLMODE": "disable",
            "SQL": str(Path(__file__).parents[2] / "sql"),
            "DATABASE_POOL_SIZE": "10",
            "LOGIN_THROTTLE": "off",
            "METRICS_TOKEN": "opens-the-metrics-of-benchmarks",
        }

    def execute(self, statement: str, parameters: object = None) -> None:
        """Run a statement and commit it."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement, parameters)  # type: ignore[call-overload]  # a literal statement

    def forget_created(self) -> None:
        """Delete the pets that were created."""
        users = [str(session.user_id) for session in self.sessions[-CREATORS:]]
        self.execute("delete from pets where user_id = any(%s::uuid[])", [users])
        self.execute("vacuum pets")


@contextmanager
def postgres() -> Iterator[EmbeddedPostgres]:
    """Run a PostgreSQL only for benchmarks, in memory if there is enough."""
    with (
        temporary_folder("benchmarks-", room=4 * 2**30) as folder,
        embedded_postgres(folder / "postgres", SERVER_SETTINGS) as server,
    ):
        yield server


def fill(server: EmbeddedPostgres, *, users: int, pets: int, listers: int = LISTERS) -> Database:
    """Create a database of `users` with a session and `pets` each; return the tokens of `listers` of them."""
    name = f"benchmark_{next(NUMBERS)}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"create database {name}")
    url = server.url(name)
    migrate.apply(url, report=lambda _: None)
    passwords = Passwords()
    with psycopg.connect(url, autocommit=True, row_factory=class_row(Session)) as connection:
        connection.execute("set session_replication_role = replica")  # generated rows need no foreign key checks
        connection.execute("set work_mem = '512MB'; set maintenance_work_mem = '1GB'")
        with connection.cursor(row_factory=tuple_row) as cursor:
            indexes = cursor.execute(INDEXES).fetchall()
        for drop, _ in indexes:
            connection.execute(drop)
        connection.execute(ADD_USERS, {"hash": asyncio.run(passwords.hash(PASSWORD)), "users": users})
        connection.execute(ADD_SESSIONS)
        connection.execute(ADD_PETS, [pets])
        for _, create in indexes:
            connection.execute(create)
        connection.execute("vacuum (analyze)")
        connection.execute("checkpoint")
        sessions = connection.execute(SESSIONS, {"number": listers + CREATORS, "users": users}).fetchall()
    passwords.close()
    tokens = Tokens(make_settings(url, ACCESS_TOKEN_EXPIRE_SECONDS="86400"))
    bearers = [tokens.issue(session).access_token for session in sessions]
    database = Database(server, name, sessions, bearers[:listers], bearers[listers:])
    database.forget_created()
    return database
