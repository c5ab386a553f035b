"""A snapshot of the catalogue: every object of every kind, with all that PostgreSQL stores about it.

PostgreSQL lists its catalogues and their references, so no kind is left out. Names replace oids, which differ between
databases. Members of extensions are left out.
"""

from typing import Any, LiteralString

import attrs
import psycopg
from psycopg import sql

# An empty search_path makes names include their schemas. Without JIT, because compiling takes longer than running.
SETTINGS = "set local search_path = ''; set local jit = off"
# Statistics, contents, and user mappings, which contain passwords. Labels of enums are in the definition of their type.
IGNORED = (
    *("pg_enum", "pg_init_privs", "pg_largeobject", "pg_largeobject_metadata", "pg_seclabel", "pg_statistic"),
    *("pg_statistic_ext_data", "pg_subscription_rel", "pg_user_mapping"),
)
# Columns that change by themselves, or whose value is in a definition.
VOLATILE = (
    "^(rel(pages|tuples|all|has|natts|toast|rewrite)|"
    "att(num|cacheoff|hasm|missing|options)|indcheckxmin|(ref)?objsubid)"
)
# For each catalogue: whether its rows are objects; the first column that refers to an object, with its catalogue; and
# the columns without meaning in another database.
CATALOGUES = """
    with reference as (
        select fktable, fkcols, pktable, number from pg_get_catalog_foreign_keys() with ordinality as r (
            fktable, fkcols, pktable, pkcols, is_array, is_opt, number
        )
    )
    select
        c.relname::text,
        exists (select from pg_attribute where attrelid = c.oid and attname = 'oid'),
        (select fkcols[1] from reference where fktable = c.oid order by number limit 1),
        (select pktable::text from reference where fktable = c.oid order by number limit 1),
        array(
            select a.attname::text from pg_attribute as a
            where a.attrelid = c.oid and (
                a.attname ~ %s or a.atttypid::regtype::text in ('pg_node_tree', 'xid')
                or exists (select from reference where fktable = c.oid and fkcols[2] = a.attname)
                or (a.atttypid = 'oid'::regtype and not exists (
                    select from reference where fktable = c.oid and fkcols = array[a.attname::text]
                ))
            )
        )
    from pg_class as c
    where c.relnamespace = 'pg_catalog'::regnamespace and c.relkind = 'r' and not c.relisshared
        and c.relname <> all (%s)
"""
# The definition of a row, in addition to its columns.
DEFINITIONS: dict[str, LiteralString] = {
    # Among the options, PostgreSQL 15.20 stores the position in its log at which the column was created.
    "pg_attribute": "array(select each from unnest(x.attoptions) as each where not starts_with(each, 'pg_attver='))",
    "pg_attrdef": "pg_get_expr(x.adbin, x.adrelid)",
    "pg_class": "concat(pg_get_indexdef(x.oid), pg_get_expr(x.relpartbound, x.oid), pg_get_partkeydef(x.oid))",
    "pg_constraint": "pg_get_constraintdef(x.oid)",
    "pg_depend": "(pg_identify_object(x.refclassid, x.refobjid, x.refobjsubid)).identity",
    "pg_policy": "array[pg_get_expr(x.polqual, x.polrelid), pg_get_expr(x.polwithcheck, x.polrelid)]",
    "pg_proc": "case when x.prokind <> 'a' then pg_get_functiondef(x.oid) end",
    "pg_publication_rel": """
        concat(pg_get_expr(x.prqual, x.prrelid), array(
            select attname from pg_attribute where attrelid = x.prrelid and attnum = any (x.prattrs) order by attname
        ))
    """,
    "pg_rewrite": "pg_get_ruledef(x.oid)",
    "pg_statistic_ext": "pg_get_statisticsobjdef(x.oid)",
    "pg_trigger": "pg_get_triggerdef(x.oid)",
    "pg_type": "array(select enumlabel from pg_enum where enumtypid = x.oid order by enumsortorder)",
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
PRIVILEGES = """jsonb_build_object('{0}acl', array(
    select each::text from unnest(coalesce(x.{0}acl, acldefault(({1})::"char", x.{0}owner))) as each order by 1
))"""
# The object of a row (its catalogue, its oid and a column), if it is neither the row itself nor the first referred to.
OBJECTS: dict[str, tuple[LiteralString, LiteralString, LiteralString]] = {
    "pg_attribute": ("'pg_class'", "x.attrelid", "x.attnum"),
    "pg_depend": ("x.classid", "x.objid", "x.objsubid"),
    "pg_description": ("x.classoid", "x.objoid", "x.objsubid"),
}
# Of dependencies, only the owners of sequences; internal triggers have oids in their names. The operators and functions
# in a family of an extension are not its members. The types of arrays and multiranges follow from their elements'.
MEMBERS: LiteralString = "(select objid from pg_depend where classid = 'pg_opfamily'::regclass and deptype = 'e')"
CONDITIONS: dict[str, LiteralString] = {
    "pg_amop": f"x.amopfamily not in {MEMBERS}",
    "pg_amproc": f"x.amprocfamily not in {MEMBERS}",
    "pg_attribute": "x.attnum > 0 and not x.attisdropped",
    "pg_depend": "x.refobjsubid > 0 and x.objid in (select seqrelid from pg_sequence)",
    "pg_trigger": "not x.tgisinternal",
    "pg_type": "x.typcategory <> 'A' and x.typtype <> 'm'",
}
# Built-in objects are left out, except for the privileges and the comment of the schema public.
ROWS = sql.SQL("""
    select
        {class_}::regclass, {object}, {number}::integer, {name}::regclass,
        to_jsonb(x) - {volatile}::text[] || {privileges} || jsonb_build_object('definition', {definition})
    from {catalogue} as x
    where {condition} and ({object} >= 16384 or {class_}::regclass = 'pg_namespace'::regclass)
""")
# Where a column refers to an object, its value becomes the identity of that.
STATES = sql.SQL("""
    with reference as materialized (
        select fktable, fkcols[1] as name, pktable from pg_get_catalog_foreign_keys() where cardinality(fkcols) = 1
    ),

    row (class, object, number, catalogue, state) as ({rows})

    select i.type, i.identity, i.schema, r.catalogue::text, jsonb_agg(named.state order by named.state::text)
    from row as r
    cross join lateral pg_identify_object(r.class, r.object, r.number) as i
    cross join lateral (
        select jsonb_object_agg(e.key, coalesce(
            case
                when f.pktable is null then null
                when jsonb_typeof(e.value) = 'array' then (
                    select jsonb_agg((pg_identify_object(f.pktable, each::oid, 0)).identity order by place)
                    from jsonb_array_elements_text(e.value) with ordinality as a (each, place)
                )
                when e.value #>> '{{}}' ~ '^[0-9]+$'
                    then to_jsonb((pg_identify_object(f.pktable, (e.value #>> '{{}}')::oid, 0)).identity)
            end, e.value
        ))
        from jsonb_each(r.state) as e left join reference as f on f.fktable = r.catalogue and f.name = e.key
    ) as named (state)
    where not exists (
        select from pg_depend as d where d.classid = r.class and d.objid = r.object and d.deptype = 'e'
    ) and i.identity !~ '^pg_(toast|temp)' and i.type <> 'index column'
    group by 1, 2, 3, 4
""")


@attrs.frozen
class Object:
    """An object: its schema, if it has one, and the rows about it, by catalogue."""

    schema: str | None
    rows: dict[str, list[dict[str, Any]]] = attrs.field(factory=dict)


Snapshot = dict[tuple[str, str], Object]  # by type and identity


def read_snapshot(connection: psycopg.Connection[Any]) -> Snapshot:
    """Read the catalogue. Raises psycopg.Error."""
    found: Snapshot = {}
    with connection.transaction(force_rollback=True):
        connection.execute(SETTINGS)
        catalogues = connection.execute(CATALOGUES, [VOLATILE, [*IGNORED]]).fetchall()
        query = STATES.format(rows=sql.SQL(" union all ").join(_rows(*each) for each in catalogues))
        for kind, identity, schema, catalogue, rows in connection.execute(query):
            found.setdefault((kind, identity), Object(schema)).rows[catalogue] = rows
    return found


def _rows(name: str, has_oid: bool, column: str, target: str, volatile: list[str]) -> sql.Composed:  # noqa: FBT001 - a row of CATALOGUES
    itself = sql.Literal(name), sql.SQL("x.oid"), sql.SQL("0")
    referred = sql.Literal(target), sql.SQL("x.{}").format(sql.Identifier(column or name)), sql.SQL("0")
    class_, object_, number = map(sql.SQL, OBJECTS[name]) if name in OBJECTS else itself if has_oid else referred
    return ROWS.format(
        class_=class_,
        object=object_,
        number=number,
        name=sql.Literal(name),
        volatile=sql.Literal(volatile),
        privileges=sql.SQL(PRIVILEGES.format(*OWNED[name]) if name in OWNED else "'{}'"),
        definition=sql.SQL(DEFINITIONS.get(name, "null")),
        catalogue=sql.Identifier(name),
        condition=sql.SQL(CONDITIONS.get(name, "true")),
    )
