-- Distributes a migrated database by user over the nodes of a Citus cluster. Run it on the coordinator, as superuser or
-- owner of the tables, and again after each migration that adds a table; it is safe to repeat:
--
--     psql "$COORDINATOR_URL" -f sql/citus.sql
--
-- docs/scaling.md says when this is worthwhile, and which nodes it needs.

begin;
-- Sequential, because foreign keys between the tables rule out parallel work.
select set_config('citus.multi_shard_modify_mode', 'sequential', true);

do $$
declare
    drop_key text;
    drop_keys text[];
    add_key text;
    add_keys text[];
    relation regclass;
    -- Distributed tables are colocated: all rows of a user are on one node.
    beside text := coalesce((select logicalrelid::text from pg_dist_partition where partmethod = 'h' limit 1), 'none');
begin
    -- A table with foreign keys cannot be distributed: drop them here, and add them again at the end.
    select
        coalesce(array_agg(format('alter table %s drop constraint %I', conrelid::regclass, conname)), '{}'),
        coalesce(array_agg(format(
            'alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)
        )), '{}')
    into drop_keys, add_keys
    from pg_constraint
    where
        contype = 'f' and connamespace = 'public'::regnamespace
        and not exists (select from pg_dist_partition where logicalrelid = conrelid);
    foreach drop_key in array drop_keys loop
        execute drop_key;
    end loop;

    -- Accounts: a copy on each node, so that addresses stay unique, and foreign keys and joins stay on the node.
    if not exists (select from pg_dist_partition where logicalrelid = 'user_model'::regclass) then
        perform create_reference_table('user_model');
    end if;

    -- Distribute each table whose primary key begins with user_id.
    for relation in
        select indrelid::regclass
        from pg_index
        inner join pg_class on pg_class.oid = indrelid
        inner join pg_attribute on attrelid = indrelid and attnum = indkey[0]
        where
            indisprimary and relnamespace = 'public'::regnamespace and attname = 'user_id'
            and not exists (select from pg_dist_partition where logicalrelid = indrelid and partmethod = 'h')
        order by relname
    loop
        if exists (select from pg_dist_partition where logicalrelid = relation) then
            raise exception 'Citus registered % as a local table and can no longer distribute it', relation
            using hint = 'Roll back its migration and apply it with ?citus.enable_ddl_propagation=off in DATABASE_URL.';
        end if;
        perform create_distributed_table(relation, 'user_id', colocate_with => beside);
        beside := relation::text;
    end loop;

    -- All other tables stay on the coordinator; register them with the other nodes.
    for relation in
        select oid::regclass
        from pg_class
        where
            relnamespace = 'public'::regnamespace and relkind = 'r'
            and not exists (select from pg_dist_partition where logicalrelid = oid)
        order by relname
    loop
        perform citus_add_local_table_to_metadata(relation);
    end loop;

    foreach add_key in array add_keys loop
        execute add_key;
    end loop;

    if to_regrole('service_app') is not null then
        -- Citus derives the shard from the parameters, so generic plans fail.
        alter role service_app reset plan_cache_mode;
        -- With shards hidden from the catalogs, asyncpg's look-up of an array type takes a second on each connection.
        alter role service_app set citus.override_table_visibility = off;
    end if;
end $$;
commit;
