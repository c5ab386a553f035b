"""The queries by which `catalogue` reads PostgreSQL's catalogue."""

from psycopg import sql

# A column is not null if it is declared so, or by a CHECK, and existing rows were checked, in each child table, too.
# The declaration of a foreign table is not checked; that of a domain does not exclude the null of an outer join or an
# empty subquery. The first and the last condition that AND connects are read, too: pg_get_expr() adds parentheses to
# each, so `(` before the first one and `)` after the last one are those of the whole CHECK.
COLUMNS = """
    with recursive conditions (relation, condition, tree) as (
        select conrelid, condition, conbin::text
        from pg_constraint
        cross join pg_get_expr(conbin, conrelid) as whole
        cross join unnest(array[
            whole,
            substring(whole from '^\\((\\(.*? NULL\\)) AND '),
            substring(whole from ' AND (\\([^()]*(\\([^()]*\\))? IS (NOT )?NULL\\))\\)$')
        ]) as condition
        where contype = 'c' and convalidated
    ),
    own as (
        select
            a.attrelid, a.attname, a.attnum, c.relname,
            a.atthasdef or a.attidentity <> '' or t.typdefault is not null as filled,
            a.attnotnull or t.typnotnull as required, a.attgenerated <> '' as generated,
            c.relkind in ('r', 'p') and (a.attnotnull and not exists (
                select from pg_constraint as k
                where k.conrelid = c.oid and k.contype = 'n' and not k.convalidated and k.conkey = array[a.attnum]
            ) or exists (
                select from conditions where relation = c.oid and condition = format('(%I IS NOT NULL)', a.attname)
            )) as checked,
            c.relkind in ('r', 'p') and exists (
                select from conditions where relation = c.oid
                    and starts_with(condition, format('(array_position(%I, NULL::', a.attname))
                    and condition ~ '^[^,]*, NULL::[^,()]+\\) IS NULL\\)$'
                    and not exists (
                        select from pg_proc where proname = 'array_position' and oid >= 16384
                            and strpos(tree, format(':funcid %s ', oid)) > 0
                    )
            ) as elements_checked
        from pg_attribute as a
        inner join pg_class as c on c.oid = a.attrelid
        inner join pg_type as t on t.oid = a.atttypid
        where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'f')
    ),
    family (ancestor, relation) as (
        select inhparent, inhrelid from pg_inherits
        union
        select family.ancestor, i.inhrelid from family inner join pg_inherits as i on i.inhparent = family.relation
    ),
    children as (
        select
            family.ancestor as attrelid, own.attname, bool_and(own.checked) as checked,
            bool_and(own.elements_checked) as elements_checked
        from family inner join own on own.attrelid = family.relation
        group by family.ancestor, own.attname
    )
    select
        own.attrelid, own.attnum, own.relname::text, own.attname::text, own.required, own.filled, own.generated,
        own.checked and coalesce(children.checked, true),
        own.elements_checked and coalesce(children.elements_checked, true)
    from own left join children using (attrelid, attname)
"""
FUNCTIONS = """
    select
        p.oid, p.proname::text, replace(p.oid::regprocedure::text, '"', ''), p.proisstrict, p.provolatile = 'v',
        l.lanname = 'sql' and p.prokind = 'f' and p.prorettype <> 'void'::regtype, p.pronargs,
        coalesce(p.proargdefaults::text, '()')
    from pg_proc as p inner join pg_language as l on l.oid = p.prolang
"""
# Composite types, and domains over them.
ROWS = """
    select t.oid, array(
        select attnum from pg_attribute where attrelid = c.typrelid and attnum > 0 and not attisdropped order by attnum
    )
    from pg_type as t inner join pg_type as c on c.oid in (t.oid, t.typbasetype)
    where c.typtype = 'c' or c.oid = 'record'::regtype
"""
# The functions of indexable comparisons and of casts, which return null for null arguments only, except casts of a JSON
# null and of infinity to a time.
COMPARISONS = """
    select o.oprcode::oid from pg_amop as a inner join pg_operator as o on o.oid = a.amopopr
    inner join pg_am as m on m.oid = a.amopmethod
    where m.amname in ('btree', 'hash') and a.amoppurpose = 's' and o.oid < 16384
    union select castfunc from pg_cast
    where castfunc <> 0 and oid < 16384 and castsource <> 'jsonb'::regtype
        and casttarget <> all ('{time,timetz}'::regtype[])
"""
# Some geometric operators return null if there is no point.
OPERATOR_FUNCTIONS = """
    select o.oprcode::oid from pg_operator as o inner join pg_proc as p on p.oid = o.oprcode
    where o.oid < 16384 and p.proisstrict and o.oprname = any (%s)
        and not (o.oprname in ('+', '#', '<->') and o.oprleft = any ('{path,lseg,line,box}'::regtype[]))
        and not (o.oprname = '@@' and o.oprleft = 'jsonb'::regtype)
"""
# In the gap when summer time begins, two timestamps equal one timestamptz.
EQUALITIES = """
    select a.amopopr, array_agg(f.amopfamily::bigint)
    from pg_amop as a inner join pg_am as m on m.oid = a.amopmethod inner join pg_amop as f on f.amopopr = a.amopopr
    where m.amname = 'btree' and a.amopstrategy = 3
        and (a.amoplefttype = a.amoprighttype or 'timestamptz'::regtype not in (a.amoplefttype, a.amoprighttype))
    group by a.amopopr
"""
# Their B-tree indexes can merge equal entries (support function 4, equalimage); bpchar ignores trailing spaces.
EXACT = """
    select p.amprocfamily from pg_amproc as p inner join pg_opfamily as f on f.oid = p.amprocfamily
    inner join pg_am as m on m.oid = f.opfmethod
    where m.amname = 'btree' and p.amprocnum = 4 and p.amproclefttype <> 'bpchar'::regtype
"""
# Operators that are false for equal values.
UNEQUAL = """
    select case a.amopstrategy when 3 then o.oprnegate else o.oid end
    from pg_amop as a inner join pg_am as m on m.oid = a.amopmethod inner join pg_operator as o on o.oid = a.amopopr
    where m.amname = 'btree' and a.amopstrategy in (1, 3, 5)
"""
# Each child table can have another expression.
GENERATED = """
    select a.attrelid, a.attnum, d.adbin::text
    from pg_attribute as a inner join pg_class as c on c.oid = a.attrelid
    inner join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attgenerated <> '' and c.relkind = 'r' and not c.relhassubclass
"""
KEYS = """
    select indrelid, (indkey::int2[])[0:indnkeyatts - 1], array(
        select c.opcfamily::bigint | coalesce(way.oid::bigint << 32, 0)
        from unnest(indclass, indcollation) with ordinality as class (oid, compared, place)
        inner join pg_opclass as c on c.oid = class.oid
        left join pg_collation as way on way.oid = class.compared and not way.collisdeterministic
        order by place
    ), coalesce(indexprs::text, '()'), coalesce(indpred::text, '<>')
    from pg_index where indisunique and indisvalid and indimmediate and not exists (
        select from pg_inherits inner join pg_class as c on c.oid = inhparent where c.oid = indrelid and c.relkind = 'r'
    )
"""
# Child tables do not inherit foreign keys. A foreign key to a partitioned table has a copy for each partition of it,
# which does not mean that every row references that partition.
FOREIGN_KEYS = """
    select o.conrelid, o.conkey, o.confrelid, o.confkey, o.conpfeqop::bigint[] from pg_constraint as o
    inner join pg_class as c on c.oid = o.conrelid
    where o.contype = 'f' and o.convalidated and not o.condeferrable
        and (c.relkind = 'p' or not c.relhassubclass)
        and not exists (select from pg_constraint as k where k.oid = o.conparentid and k.confrelid <> o.confrelid)
"""
# Validated CHECK constraints on one column, or of a domain.
CHECKS = """
    select case when contypid <> 0 then contypid else conrelid end, coalesce(conkey[1], 0), conbin::text
    from pg_constraint
    where contype = 'c' and convalidated and not connoinherit and coalesce(cardinality(conkey), 1) = 1
        and conrelid not in (select oid from pg_class where relkind = 'f')
"""
# Triggers that can change or skip a row before it is written: BEFORE and INSTEAD OF, FOR EACH ROW.
# A table is changed by the triggers of its child tables, too. An insert or update is not skipped if PL/pgSQL uses NEW
# only for its fields and in RETURN NEW, and returns nothing else.
TRIGGERS = r"""
    with recursive changed as (
        select
            t.tgrelid,
            t.tgtype,
            l.lanname <> 'plpgsql' or regexp_replace(p.prosrc, '\mreturn\s+new\s*;|\mnew\s*\.', '', 'gi')
                ~* '\m(return|new)\M' as skips
        from pg_trigger as t
        inner join pg_proc as p on t.tgfoid = p.oid
        inner join pg_language as l on p.prolang = l.oid
        where not t.tgisinternal and (t.tgtype & 64 <> 0 or t.tgtype & 3 = 3)
        union
        select i.inhparent, changed.tgtype, changed.skips
        from changed inner join pg_inherits as i on i.inhrelid = changed.tgrelid
    )
    select tgrelid, command, skips or command = 4 from changed
    inner join (values (2, 16), (3, 4), (4, 8)) as event (command, bit) on tgtype & bit <> 0
"""
# Rules that run other statements instead, whose rows are then returned; writing a view of such a table runs them, too.
RULES = """
    with recursive ruled as (
        select ev_class, ev_type::text::integer as command from pg_rewrite where is_instead and rulename <> '_RETURN'
        union
        select r.ev_class, ruled.command from ruled
        inner join pg_depend as d on d.refclassid = 'pg_class'::regclass and d.refobjid = ruled.ev_class
        inner join pg_rewrite as r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid and r.rulename = '_RETURN'
    )
    select ev_class, command from ruled
"""
BODY = """
    select p.prosqlbody::text, p.prosrc, array(
        select coalesce(quote_ident(nullif(name, '')) || ' ', '') || format_type(each, null)
        from unnest(coalesce(p.proallargtypes, p.proargtypes), p.proargmodes, p.proargnames) with ordinality
            as argument (each, mode, name, number)
        where mode is null or mode not in ('o', 't')
        order by number
    ), (select substr(setting, 13) from unnest(p.proconfig) as setting where starts_with(setting, 'search_path='))
    from pg_proc as p where p.oid = %s
"""
SEARCH_PATH = "select set_config('search_path', %s, true)"
ANALYSED = sql.SQL("create function pg_temp.analysed({}) returns void begin atomic\n{}\n; end")
TEMPORARY = """
    select prosqlbody::text from pg_proc where pronamespace = pg_my_temp_schema() and proname = 'analysed'
"""
VIEW = "select ev_action::text from pg_rewrite where ev_class = %s and rulename = '_RETURN'"
