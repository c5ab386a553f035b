"""The parts of the catalogue that `lock_rules` compares before and after each statement of a migration."""

from typing import Any, LiteralString

import attrs
import psycopg

from service.sqlcheck.migrations.schema import qualified

# Only a table or a materialized view has a file whose change means that it is rewritten.
RELATIONS = """
    select
        c.oid::bigint, n.nspname::text, c.relname::text,
        case when c.relkind in ('r', 'm') then coalesce(pg_relation_filenode(c.oid), 0)::bigint else 0 end,
        pg_table_is_visible(c.oid)
    from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace
    where c.relkind in ('r', 'm', 'p', 'v', 'f', 'S') and n.nspname !~ '^(pg_|information_schema$)'
"""
# By file: a new file means that the index is built. The index of a partitioned table has no file; its partitions' have.
INDEXES = """
    select pg_relation_filenode(indexrelid)::bigint, indrelid::bigint
    from pg_index where indexrelid >= 16384 and pg_relation_filenode(indexrelid) > 0
"""
# Without the copies that PostgreSQL keeps for each partition of the referenced table.
FOREIGN_KEYS = """
    select k.oid::bigint, k.conrelid::bigint
    from pg_constraint as k left join pg_constraint as whole on whole.oid = k.conparentid
    where k.contype = 'f' and k.convalidated and whole.conrelid is distinct from k.conrelid
"""
# Whether a column has a validated NOT NULL, and whether it has a default or is generated.
NOT_NULL = """
    select c.oid::bigint, a.attname::text, a.attnotnull and n.oid is null, a.atthasdef
    from pg_class as c
    inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_constraint as n
        on n.conrelid = c.oid and n.contype = 'n' and n.conkey = array[a.attnum] and not n.convalidated
    where c.relkind in ('r', 'p', 'v', 'm') and c.relnamespace::regnamespace::text !~ '^(pg_|information_schema$)'
"""
TRIGGERS = """
    select
        'trigger ' || t.oid, case when t.tgisinternal then 'constraint' else 'trigger' end, t.tgrelid::bigint,
        coalesce(k.conname, t.tgname)::text, t.tgenabled::text,
        concat(t.tgfoid, t.tgtype, t.tgattr, t.tgqual, t.tgargs)
    from pg_trigger as t left join pg_constraint as k on k.oid = t.tgconstraint
    where not t.tgisinternal or t.tgenabled <> 'O'
    union all
    select
        'rule ' || oid, 'rule', ev_class::bigint, rulename::text, ev_enabled::text,
        concat(ev_type, is_instead, ev_qual, ev_action)
    from pg_rewrite where rulename <> '_RETURN'
"""
ROW_SECURITY = """
    select oid::bigint, 'enabled' from pg_class where relrowsecurity
    union all
    select oid::bigint, 'forced' from pg_class where relrowsecurity and relforcerowsecurity
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
NO_READERS = "AccessExclusiveLock"
# The strongest lock comes last.
LOCKS = """
    select relation::bigint, mode from pg_locks where pid = pg_backend_pid() and locktype = 'relation'
    order by array_position(%s, mode)
"""


@attrs.frozen
class State:
    """The parts of the catalogue that the rules compare, and the locks held.

    `names`: those of tables, views and sequences, by oid; `visible`: by the name without a schema, if that is enough;
    `tables`: their oids and files; `locks`: the locks held on them.
    """

    names: dict[int, str]
    visible: dict[str, str]
    tables: dict[str, tuple[int, int]]
    indexes: dict[int, str]
    foreign_keys: dict[int, str]
    not_null: dict[tuple[str, str], list[bool]]
    triggers: dict[str, tuple[str, ...]]
    secured: set[tuple[str, str]]
    locks: dict[str, str]
    lock_timeout: str

    @classmethod
    def read(cls, connection: psycopg.Connection[Any]) -> "State":
        """Read the catalogue."""

        def rows(query: LiteralString) -> list[tuple[Any, ...]]:
            return connection.execute(query).fetchall()

        relations = rows(RELATIONS)
        names = {oid: qualified(schema, name) for oid, schema, name, *_ in relations}
        return cls(
            names=names,
            visible={name: names[oid] for oid, _, name, _, is_visible in relations if is_visible},
            tables={names[oid]: (oid, file) for oid, _, _, file, _ in relations},
            indexes={file: names.get(table, "") for file, table in rows(INDEXES)},
            foreign_keys={oid: names.get(table, "") for oid, table in rows(FOREIGN_KEYS)},
            not_null={(names[table], column): flags for table, column, *flags in rows(NOT_NULL)},
            triggers={key: (kind, names.get(table, ""), *rest) for key, kind, table, *rest in rows(TRIGGERS)},
            secured={(names.get(table, ""), what) for table, what in rows(ROW_SECURITY)},
            locks={names[oid]: mode for oid, mode in held_locks(connection).items() if oid in names},
            lock_timeout=rows("show lock_timeout")[0][0],
        )


def held_locks(connection: psycopg.Connection[Any]) -> dict[int, str]:
    """Return the strongest lock that the transaction holds on each relation, even a dropped one, by oid."""
    return dict(connection.execute(LOCKS, [[*WAITS]]).fetchall())
