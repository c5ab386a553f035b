"""The parts of the catalogue that `lock_rules` compares before and after each statement of a migration."""

from typing import Any, LiteralString

import attrs
import psycopg

# A migration can change it, and it affects the printed names of tables.
SEARCH_PATH = "set local search_path = public"
# Partitioned tables have no file.
TABLES = """
    select c.oid::bigint, c.oid::regclass::text, coalesce(pg_relation_filenode(c.oid), 0)
    from pg_class as c
    where c.relkind in ('r', 'm', 'p') and c.relnamespace::regnamespace::text !~ '^(pg_|information_schema$)'
"""
# By file: a new file means that the index is built. That of a partitioned table has none, but those of its partitions.
INDEXES = """
    select pg_relation_filenode(indexrelid)::bigint, indrelid::regclass::text
    from pg_index where indexrelid >= 16384 and pg_relation_filenode(indexrelid) > 0
"""
# Those to partitions are left out: they follow that to the table.
FOREIGN_KEYS = """
    select k.oid::bigint, k.conrelid::regclass::text
    from pg_constraint as k left join pg_constraint as whole on whole.oid = k.conparentid
    where k.contype = 'f' and k.convalidated and whole.conrelid is distinct from k.conrelid
"""
# Whether a column has a validated NOT NULL, and whether it has a default or is generated.
NOT_NULL = """
    select
        c.oid::regclass || '.' || a.attname,
        a.attnotnull and n.oid is null,
        a.atthasdef
    from pg_class as c
    inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_constraint as n
        on n.conrelid = c.oid and n.contype = 'n' and n.conkey = array[a.attnum] and not n.convalidated
    where c.relkind in ('r', 'p') and c.relnamespace::regnamespace::text !~ '^(pg_|information_schema$)'
"""
TRIGGERS = """
    select 'trigger ' || oid, 'trigger', tgrelid::regclass::text, tgname::text, tgenabled::text
    from pg_trigger where not tgisinternal or tgenabled <> 'O'
    union all
    select 'rule ' || oid, 'rule', ev_class::regclass::text, rulename::text, ev_enabled::text
    from pg_rewrite where rulename <> '_RETURN'
"""
ROW_SECURITY = """
    select oid::regclass::text, 'enabled' from pg_class where relrowsecurity
    union all
    select oid::regclass::text, 'forced' from pg_class where relrowsecurity and relforcerowsecurity
"""
# By strength, with the sessions that each blocks (https://www.postgresql.org/docs/current/explicit-locking.html).
WAITS = {
    "AccessShareLock": "",
    "RowShareLock": "",
    "RowExclusiveLock": "",
    "ShareUpdateExclusiveLock": "other migrations wait",
    "ShareLock": "writers wait",
    "ShareRowExclusiveLock": "writers wait",
    "ExclusiveLock": "writers wait",
    "AccessExclusiveLock": "readers and writers wait",
}
# The strongest lock of a table comes last.
LOCKS = """
    select relation::bigint, mode from pg_locks where pid = pg_backend_pid() and locktype = 'relation'
    order by array_position(%s, mode)
"""


@attrs.frozen
class State:
    """The parts of the catalogue that the rules compare, and the locks held; names have no quotes.

    `names`: those of the tables, by oid. `held`: the locks by oid, also of tables that are dropped.
    """

    names: dict[int, str]
    tables: dict[str, int]
    indexes: dict[int, str]
    foreign_keys: dict[int, str]
    not_null: dict[str, list[bool]]
    triggers: dict[str, list[str]]
    secured: set[tuple[str, str]]
    held: dict[int, str]
    locks: dict[str, str]
    lock_timeout: str

    @classmethod
    def read(cls, connection: psycopg.Connection[Any]) -> "State":
        """Read the catalogue."""

        def rows(query: LiteralString, *parameters: object) -> list[list[Any]]:
            found = connection.execute(query, parameters or None)
            return [[each.replace('"', "") if isinstance(each, str) else each for each in row] for row in found]

        with connection.transaction(force_rollback=True):
            connection.execute(SEARCH_PATH)
            [[timeout]] = rows("show lock_timeout")
            tables, held = rows(TABLES), dict(rows(LOCKS, [*WAITS]))
            names = {oid: name for oid, name, _ in tables}
            return cls(
                names=names,
                tables={name: file for _, name, file in tables},
                indexes=dict(rows(INDEXES)),
                foreign_keys=dict(rows(FOREIGN_KEYS)),
                not_null={name: flags for name, *flags in rows(NOT_NULL)},
                triggers={key: its for key, *its in rows(TRIGGERS)},
                secured={(table, what) for table, what in rows(ROW_SECURITY)},
                held=held,
                locks={names[oid]: mode for oid, mode in held.items() if oid in names},
                lock_timeout=timeout,
            )
