"""The queries with which schema.py reads the catalogue.

They omit objects of extensions, and those of PostgreSQL itself, whose oids are below 16384.
"""

# Each row is the oid of a table, followed by the fields of a class in schema.py.
TABLES = """
    select
        c.oid, n.nspname::text, c.relname::text,
        case
            when c.relispartition then 'partition' when c.relkind = 'p' then 'partitioned table'
            when c.relkind = 'v' then 'view' when c.relkind = 'm' then 'materialized view'
            when c.relkind = 'f' then 'foreign table' else 'table'
        end,
        coalesce(obj_description(c.oid, 'pg_class'), ''),
        case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) else '' end,
        concat_ws(
            ', ',
            (
                select case when c.relispartition then 'partition of ' else 'inherits ' end
                    || string_agg(i.inhparent::regclass::text, ', ' order by i.inhseqno)
                from pg_inherits as i where i.inhrelid = c.oid
            ),
            pg_get_expr(c.relpartbound, c.oid), 'partition by ' || pg_get_partkeydef(c.oid),
            (
                select concat('server ', s.srvname, ' ' || f.ftoptions::text)
                from pg_foreign_table as f inner join pg_foreign_server as s on s.oid = f.ftserver
                where f.ftrelid = c.oid
            ),
            case c.relpersistence when 'u' then 'unlogged' end,
            case when c.relrowsecurity then 'row level security' end,
            case when c.relforcerowsecurity then 'forced for the owner' end, array_to_string(c.reloptions, ', '),
            case when c.relkind in ('v', 'f') then null when c.relreplident = 'n' then 'replica identity nothing'
                when c.relreplident = 'f' then 'replica identity full' end
        )
    from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname !~ '^(pg_|information_schema$)'
        and not exists (select from pg_depend as d where d.objid = c.oid and d.deptype = 'e')
    order by n.nspname <> 'public', n.nspname, c.relname
"""
COLUMNS = """
    select
        a.attrelid, a.attname::text,
        format_type(a.atttypid, a.atttypmod)
            || case when a.attcollation <> t.typcollation then ' collate ' || a.attcollation::regcollation else '' end,
        a.attnotnull or t.typnotnull,
        case
            when a.attidentity <> '' then concat(
                'generated ', case a.attidentity when 'a' then 'always' else 'by default' end, ' as identity', (
                    select ' (' || nullif(concat_ws(
                        ' ', 'start ' || nullif(s.seqstart, 1), 'increment ' || nullif(s.seqincrement, 1),
                        'minvalue ' || nullif(s.seqmin, 1), 'maxvalue ' || nullif(
                            s.seqmax, case s.seqtypid
                                when 'int2'::regtype then 32767 when 'int4'::regtype then 2147483647
                                else 9223372036854775807
                            end
                        ), case when s.seqcycle then 'cycle' end
                    ), '') || ')'
                    from pg_sequence as s
                    inner join pg_depend as o on o.objid = s.seqrelid and o.deptype = 'i'
                    where o.refclassid = 'pg_class'::regclass and o.refobjid = a.attrelid and o.refobjsubid = a.attnum
                )
            )
            when a.attgenerated <> '' then
                'generated always as (' || pg_get_expr(d.adbin, d.adrelid) || ') '
                || case a.attgenerated when 's' then 'stored' else 'virtual' end
            else coalesce('default ' || pg_get_expr(d.adbin, d.adrelid), '')
        end,
        array(select e.enumlabel::text from pg_enum as e where e.enumtypid = t.oid order by e.enumsortorder),
        coalesce(col_description(a.attrelid, a.attnum), '')
    from pg_attribute as a
    inner join pg_type as t on t.oid = a.atttypid
    left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid >= 16384 and a.attnum > 0 and not a.attisdropped
    order by a.attrelid, a.attnum
"""
# NOT NULL, a constraint since PostgreSQL 18, is part of the column. A foreign key of or to a partitioned table has more
# for its partitions.
CONSTRAINTS = """
    select
        o.conrelid, o.conname::text,
        case o.contype
            when 'p' then 'primary key' when 'u' then 'unique' when 'f' then 'foreign key' when 'c' then 'check'
            else 'exclusion'
        end,
        pg_get_constraintdef(o.oid), o.convalidated,
        array(
            select attname::text from pg_attribute where attrelid = o.conrelid and attnum = any (o.conkey)
            order by array_position(o.conkey, attnum)
        ),
        coalesce(obj_description(o.oid, 'pg_constraint'), ''),
        o.confrelid,
        array(
            select attname::text from pg_attribute where attrelid = o.confrelid and attnum = any (o.confkey)
            order by array_position(o.confkey, attnum)
        ),
        case o.confdeltype
            when 'c' then 'cascade' when 'n' then 'set null' when 'd' then 'set default' when 'r' then 'restrict'
            else ''
        end
    from pg_constraint as o
    where o.conrelid >= 16384 and (o.contype in ('p', 'u', 'c', 'x') or (o.contype = 'f' and o.conparentid = 0))
    order by o.conrelid, strpos('pufcx', o.contype::text), o.conname
"""
INDEXES = """
    select
        i.indrelid, c.relname::text, pg_get_indexdef(c.oid), i.indisunique, i.indisvalid,
        i.indpred is null and i.indexprs is null,
        array(
            select attname::text from pg_attribute
            where attrelid = i.indrelid and attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1])
            order by array_position(i.indkey::int2[], attnum)
        ),
        coalesce(obj_description(c.oid, 'pg_class'), '')
    from pg_index as i inner join pg_class as c on c.oid = i.indexrelid
    where i.indrelid >= 16384
    order by i.indrelid, not i.indisprimary, c.relname
"""
# Rules, too, which have no function, and event triggers, which have no table.
TRIGGERS = """
    select
        x.relation, x.kind, x.name,
        x.definition || case x.enabled
            when 'D' then ' -- disabled' when 'R' then ' -- replica' when 'A' then ' -- always' else ''
        end,
        coalesce(nullif(x.function, 0)::regprocedure::text, ''), coalesce(x.comment, '')
    from (
        select
            tgrelid, 'trigger', tgname::text, pg_get_triggerdef(oid, true), tgenabled, tgfoid,
            obj_description(oid, 'pg_trigger')
        from pg_trigger where not tgisinternal
        union all
        select
            ev_class, 'rule', rulename::text, pg_get_ruledef(oid, true), ev_enabled, 0,
            obj_description(oid, 'pg_rewrite')
        from pg_rewrite where rulename <> '_RETURN'
        union all
        select
            0, 'event trigger', evtname::text,
            concat_ws(
                ' ', format('create event trigger %I on %s', evtname, evtevent), 'when tag in ' || evttags::text,
                format('execute function %s()', evtfoid::regproc)
            ), evtenabled, evtfoid, obj_description(oid, 'pg_event_trigger')
        from pg_event_trigger where oid not in (select objid from pg_depend where deptype = 'e')
    ) as x (relation, kind, name, definition, enabled, function, comment)
    order by x.relation, x.name
"""
POLICIES = """
    select
        p.polrelid, p.polname::text,
        concat_ws(
            ' ', format('create policy %I on %s as', p.polname, p.polrelid::regclass),
            case when p.polpermissive then 'permissive' else 'restrictive' end,
            'for ' || case p.polcmd
                when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all'
            end,
            'to ' || array_to_string(
                array(select case when r = 0 then 'public' else r::regrole::text end from unnest(p.polroles) as r), ', '
            ),
            'using (' || pg_get_expr(p.polqual, p.polrelid) || ')',
            'with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'
        ),
        coalesce(obj_description(p.oid, 'pg_policy'), '')
    from pg_policy as p
    order by p.polrelid, p.polname
"""
# Domains, enums, ranges and composite types; the types of tables and arrays are left out.
TYPES = """
    select
        case t.typtype when 'd' then 'domain' when 'e' then 'enum' else 'type' end,
        case when n.nspname = 'public' then '' else quote_ident(n.nspname) || '.' end || quote_ident(t.typname),
        case t.typtype
            when 'd' then concat_ws(
                ' ', format_type(t.typbasetype, t.typtypmod), case when t.typnotnull then 'not null' end,
                'default ' || t.typdefault,
                (
                    select string_agg(pg_get_constraintdef(o.oid), ' ' order by o.conname)
                    from pg_constraint as o where o.contypid = t.oid and o.contype = 'c'
                )
            )
            when 'e' then (
                select string_agg(e.enumlabel::text, ', ' order by e.enumsortorder)
                from pg_enum as e where e.enumtypid = t.oid
            )
            when 'r' then (
                select concat_ws(
                    ' ', 'range of', format_type(r.rngsubtype, null), nullif(r.rngcanonical, 0::regproc),
                    nullif(r.rngsubdiff, 0::regproc)
                )
                from pg_range as r where r.rngtypid = t.oid
            )
            else (
                select string_agg(
                    quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod), ', ' order by a.attnum
                )
                from pg_attribute as a where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
            )
        end,
        coalesce(obj_description(t.oid, 'pg_type'), '')
    from pg_type as t
    inner join pg_namespace as n on n.oid = t.typnamespace
    left join pg_class as c on c.oid = t.typrelid
    where (t.typtype in ('d', 'e', 'r') or c.relkind = 'c') and n.nspname !~ '^(pg_|information_schema$)'
        and not exists (select from pg_depend as d where d.objid = t.oid and d.deptype = 'e')
    order by 2
"""
# Without the constructors of ranges.
FUNCTIONS = """
    select
        case when n.nspname = 'public' then '' else quote_ident(n.nspname) || '.' end || quote_ident(p.proname)
            || '(' || pg_get_function_identity_arguments(p.oid) || ')',
        p.proname::text, l.lanname::text,
        case p.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end,
        case p.prokind
            when 'a' then (
                select concat_ws(
                    ' ', 'create aggregate', p.oid::regprocedure, 'sfunc', a.aggtransfn, 'stype',
                    format_type(a.aggtranstype, null), 'finalfunc ' || nullif(a.aggfinalfn, 0::regproc),
                    'initcond ' || a.agginitval
                )
                from pg_aggregate as a where a.aggfnoid = p.oid
            )
            else pg_get_functiondef(p.oid)
        end,
        case p.prokind when 'a' then '' else p.prosrc end, coalesce(obj_description(p.oid, 'pg_proc'), '')
    from pg_proc as p
    inner join pg_namespace as n on n.oid = p.pronamespace
    inner join pg_language as l on l.oid = p.prolang
    where n.nspname !~ '^(pg_|information_schema$)'
        and not exists (select from pg_depend as d where d.objid = p.oid and d.deptype in ('e', 'i'))
    order by 1
"""
SEQUENCES = """
    select
        n.nspname::text, c.relname::text, coalesce(d.refobjid, 0), coalesce(a.attname::text, ''),
        coalesce(d.deptype = 'i', false),
        format_type(s.seqtypid, null), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle,
        coalesce(obj_description(c.oid, 'pg_class'), '')
    from pg_sequence as s
    inner join pg_class as c on c.oid = s.seqrelid
    inner join pg_namespace as n on n.oid = c.relnamespace
    left join pg_depend as d
        on d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refclassid = d.classid and d.refobjsubid > 0
    left join pg_attribute as a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
    where n.nspname !~ '^(pg_|information_schema$)' and not exists (
        select from pg_depend as e where e.objid = c.oid and e.deptype = 'e'
    )
    order by n.nspname <> 'public', n.nspname, c.relname
"""
# Without the privileges of owners.
GRANTS = """
    with granted (kind, schema, name, owner, acl) as (
        select 'database', '', 'this database', datdba, datacl from pg_database where datname = current_database()
        union all
        select 'schema', '', quote_ident(nspname), nspowner, nspacl
        from pg_namespace where nspname !~ '^(pg_|information_schema$)'
        union all
        select
            case relkind when 'S' then 'sequence' else 'table' end, relnamespace::regnamespace::text,
            quote_ident(relname), relowner, relacl
        from pg_class
        union all
        select
            'column', c.relnamespace::regnamespace::text, quote_ident(c.relname) || '.' || quote_ident(a.attname),
            c.relowner, a.attacl
        from pg_attribute as a inner join pg_class as c on c.oid = a.attrelid
        union all
        select 'function', pronamespace::regnamespace::text, quote_ident(proname), proowner, proacl from pg_proc
        union all
        select
            'default', '',
            case defaclobjtype
                when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions' when 'T' then 'types'
                else 'schemas'
            end || ' that ' || defaclrole::regrole || ' creates', defaclrole, defaclacl
        from pg_default_acl
    )
    select
        g.kind, case when g.schema in ('', 'public') then '' else g.schema || '.' end || g.name,
        case when a.grantee = 0 then 'everybody' else a.grantee::regrole::text end,
        string_agg(lower(a.privilege_type), ', ' order by a.privilege_type)
    from granted as g cross join lateral aclexplode(g.acl) as a
    where a.grantee <> g.owner and g.schema !~ '^(pg_|information_schema$)'
    group by 1, g.schema, g.name, 3
    order by min(strpos('database schema default', g.kind)) = 0, 1, g.schema, g.name, 3
"""
