-- Creates three roles for one database, each with the least privileges it needs. Run it as superuser, or as a role that
-- owns the database and can create roles, before the first migration; it is safe to repeat:
--
--     psql "$ADMIN_URL" -f sql/roles.sql
-- or: DATABASE_URL=$ADMIN_URL python -m service roles --apply
--
-- The roles have no password yet: set them with psql's \password, which does not send them in clear text.

-- service_owner  runs migrations: owns the database and everything in it
-- service_app    serves requests: reads and writes rows; cannot change the schema or the records of migrations
-- service_reader is for DBAs: reads everything, writes nothing, sees the statements of all roles
do $$
declare
    missing text;
begin
    foreach missing in array array['service_owner', 'service_app', 'service_reader'] loop
        if to_regrole(missing) is null then
            execute format('create role %I login', missing);
        end if;
    end loop;
end $$;

-- The current user acts for the owner below.
grant service_owner to current_user;

-- The database, by its current name. Other roles cannot connect or create temporary tables.
do $$
begin
    execute format('alter database %I owner to service_owner', current_database());
    execute format('revoke all on database %I from public', current_database());
    execute format('grant connect on database %I to service_app, service_reader', current_database());
end $$;

-- Before PostgreSQL 15, every role could create tables in public.
grant usage on schema public to service_app, service_reader;
grant create, usage on schema public to service_owner;
revoke create on schema public from public;

-- Tables, sequences and functions of later migrations. Functions run with the caller's privileges; every role can call
-- them, unless that was revoked from public. Even then, service_app can call those in this schema, because requests do.
-- An identity column needs no privilege on its sequence, but a query that calls nextval() does.
alter default privileges for role service_owner in schema public
grant select, insert, update, delete on tables to service_app;
alter default privileges for role service_owner in schema public
grant select on tables to service_reader;
alter default privileges for role service_owner in schema public
grant usage on sequences to service_app;
alter default privileges for role service_owner in schema public
grant execute on functions to service_app;

-- Sequences of earlier migrations: earlier versions of this file did not grant them.
do $$
declare
    owned regclass;
begin
    for owned in
        select oid from pg_class
        where relkind = 'S' and relnamespace = 'public'::regnamespace and relowner = 'service_owner'::regrole
    loop
        execute format('grant usage on sequence %s to service_app', owned);
    end loop;
end $$;

-- Timeouts and generic plans, for connections without settings of their own, such as those through PgBouncer.
alter role service_app set plan_cache_mode = 'force_generic_plan';
alter role service_app set statement_timeout = '2s';
alter role service_app set lock_timeout = '1500ms'; -- more than deadlock_timeout
alter role service_app set idle_in_transaction_session_timeout = '10s';
alter role service_reader set default_transaction_read_only = on;
alter role service_reader set statement_timeout = '1min';
alter role service_reader set lock_timeout = '1s';
alter role service_reader set idle_in_transaction_session_timeout = '1min';
-- Other statements on a table queue behind a migration that waits for its lock; `migrate` has its own limits.
alter role service_owner set lock_timeout = '3s';
alter role service_owner set idle_in_transaction_session_timeout = '5min';

-- pg_monitor shows statistics and statements of all roles: pg_stat_activity, pg_stat_statements.
do $$
begin
    grant pg_monitor to service_reader;
exception when insufficient_privilege then
    raise warning 'service_reader sees only its own statements: let a superuser grant pg_monitor to service_reader';
end $$;
