"""Rollbacks: each is run after its migration, and must restore the catalogue."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from yoyo.migrations import Migration, read_sql_migration  # type: ignore[import-untyped]  # yoyo ships no types

from service.migrate import load_migrations
from service.sqlcheck.findings import Finding
from service.sqlcheck.migrations.migration_files import MigrationFiles, Place
from service.sqlcheck.scratch import connect, scratch_database

Snapshot = dict[tuple[str, str], tuple[Any, ...]]
MAX_SHOWN = 3  # objects in the finding about one rollback

# The definition of an object, in addition to its row, by catalogue.
CATALOGUES: dict[str, LiteralString] = {
    "pg_attrdef": "pg_get_expr(x.adbin, x.adrelid)",
    "pg_class": """
        concat(
            pg_get_indexdef(x.oid), pg_get_expr(x.relpartbound, x.oid),
            (select row(i.indisvalid, i.indisreplident, i.indisclustered) from pg_index as i where indexrelid = x.oid),
            (select to_jsonb(s) - '{seqrelid,seqtypid}'::text[] from pg_sequence as s where seqrelid = x.oid)
        )
    """,
    "pg_constraint": "pg_get_constraintdef(x.oid)",
    "pg_policy": """
        concat(pg_get_expr(x.polqual, x.polrelid), pg_get_expr(x.polwithcheck, x.polrelid), x.polroles::regrole[])
    """,
    "pg_proc": """
        case when x.prokind <> 'a' then pg_get_functiondef(x.oid) else (
            select row(aggtransfn, aggfinalfn, aggtranstype::regtype, agginitval)::text
            from pg_aggregate where aggfnoid = x.oid
        ) end
    """,
    "pg_rewrite": "pg_get_ruledef(x.oid)",
    "pg_statistic_ext": "pg_get_statisticsobjdef(x.oid)",
    "pg_trigger": "pg_get_triggerdef(x.oid)",
    "pg_type": """
        concat(
            format_type(x.typbasetype, x.typtypmod),
            array(select enumlabel from pg_enum where enumtypid = x.oid order by enumsortorder)
        )
    """,
    **dict.fromkeys(
        (
            *("pg_cast", "pg_collation", "pg_default_acl", "pg_event_trigger", "pg_extension", "pg_foreign_server"),
            *("pg_foreign_data_wrapper", "pg_language", "pg_namespace", "pg_opclass", "pg_operator", "pg_publication"),
            *("pg_publication_rel", "pg_ts_config", "pg_ts_dict"),
        ),
        "''",
    ),
}
# The letters before `acl` and `owner`, and the kind of object: `grant` and `revoke` write default privileges out.
OWNED: dict[str, tuple[LiteralString, LiteralString]] = {
    "pg_class": ("rel", "case x.relkind when 'S' then 's' else 'r' end"),
    "pg_foreign_data_wrapper": ("fdw", "'F'"),
    "pg_foreign_server": ("srv", "'S'"),
    "pg_language": ("lan", "'l'"),
    "pg_namespace": ("nsp", "'n'"),
    "pg_proc": ("pro", "'f'"),
    "pg_type": ("typ", "'T'"),
}
PRIVILEGES = """array(
    select each::text from unnest(coalesce(x.{0}acl, acldefault(({1})::"char", x.{0}owner))) as each order by 1
)"""
# Oids, column numbers, statistics, and flags that only VACUUM resets are not part of a schema. The names of internal
# tables and triggers contain oids.
OBJECTS = sql.SQL("""
    select i.type, i.identity, (
        to_jsonb(x) - array(
            select attname::text from pg_attribute
            where attrelid = {name}::regclass and (
                atttypid::regtype::text = any ('{{oid,oid[],oidvector,int2vector,smallint[],xid,pg_node_tree}}')
                or atttypid = 'regproc'::regtype or attname ~ '^rel(pages|tuples|all|has|natts)|^[^d].+acl$'
            )
        )
    )::text, obj_description(x.oid, {name}), {definition}, {privileges}
    from {catalogue} as x cross join lateral pg_identify_object({name}::regclass, x.oid, 0) as i
    where x.oid >= 16384 and i.schema is distinct from 'pg_toast'
        and to_jsonb(x) -> 'tgisinternal' is distinct from 'true' and i.identity !~ '^pg_(toast_)?temp'
""")
COLUMNS = """
    select i.type, i.identity, to_jsonb(x)
        - '{attrelid,atttypid,attnum,attcacheoff,attcollation,atthasmissing,attmissingval}'::text[],
        col_description(x.attrelid, x.attnum),
        concat(format_type(x.atttypid, x.atttypmod), x.attcollation::regcollation)
    from pg_attribute as x
    inner join pg_class as c on c.oid = x.attrelid and c.relkind <> 'i'
        and c.relnamespace::regnamespace::text !~ '^pg_(toast|temp)'
    cross join lateral pg_identify_object('pg_class'::regclass, x.attrelid, x.attnum) as i
    where x.attrelid >= 16384 and x.attnum > 0 and not x.attisdropped
"""


def check_rollbacks(directory: Path, server: str) -> Iterator[Finding]:
    """Apply each migration and try its rollback, on a scratch database on `server`.

    Raises psycopg.Error if a migration fails.
    """
    files = MigrationFiles(directory)
    with scratch_database(server) as url, connect(url) as connection:
        for migration in load_migrations(directory):
            name = Path(migration.path).stem
            place = Place(f"{directory.name}/{name}.rollback.sql", 1)
            before = _snapshot(connection)
            with connection.transaction() if migration.use_transactions else nullcontext():
                _run(connection, Path(migration.path))
            try:
                sentence = _differences(before, _rolled_back(connection, migration))
                if not migration.use_transactions and not sentence:
                    _run(connection, Path(migration.path))
            except psycopg.Error as error:
                sentence = f"PostgreSQL says: {error.diag.message_primary}"
            if sentence:
                yield from files.find("rollback", "migration", name, sentence, place)
                if not migration.use_transactions:
                    return  # the schema is unknown for the later ones


def _rolled_back(connection: psycopg.Connection[Any], migration: Migration) -> Snapshot:
    """Return the catalogue after the rollback; if that is a transaction, the migration remains applied."""
    with connection.transaction(force_rollback=True) if migration.use_transactions else nullcontext():
        _run(connection, Path(migration.path).with_suffix(".rollback.sql"))
        return _snapshot(connection)


def _run(connection: psycopg.Connection[Any], path: Path) -> None:
    for statement in read_sql_migration(str(path))[2]:
        connection.execute(statement)  # the text of a file


def _snapshot(connection: psycopg.Connection[Any]) -> Snapshot:
    found: Snapshot = {}
    for name, definition in CATALOGUES.items():
        query = OBJECTS.format(
            name=sql.Literal(name),
            catalogue=sql.Identifier(name),
            definition=sql.SQL(definition),
            privileges=sql.SQL(PRIVILEGES.format(*OWNED[name]) if name in OWNED else "''"),
        )
        found |= {(kind, identity): tuple(rest) for kind, identity, *rest in connection.execute(query)}
    return found | {(kind, identity): tuple(rest) for kind, identity, *rest in connection.execute(COLUMNS)}


def _differences(before: Snapshot, after: Snapshot) -> str:
    """Return the differences as a sentence; an empty string if there are none."""
    changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    words = [f"{' '.join(key)} {_change(before.get(key), after.get(key))}" for key in changed[:MAX_SHOWN]]
    more = [f"and {len(changed) - MAX_SHOWN} more"] if len(changed) > MAX_SHOWN else []
    return f"the schema is not what it was before the migration: {', '.join(words + more)}" if changed else ""


def _change(before: object, after: object) -> str:
    return "is changed" if before and after else "stays" if after else "is missing"
