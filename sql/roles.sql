-- Three roles for one database, each with the least that it needs. For an administrator of the server (a superuser, or
-- who owns the database and may create roles), before the first migration; safe to run again:
--
--     psql "$ADMIN_URL" -f sql/roles.sql
-- or: DATABASE_URL=$ADMIN_URL python -m service roles --apply
--
-- None has a password yet: set them with psql's \password, which sends no password in the clear.

-- service_owner  migrates: owns the database and all that is in it
-- service_app    serves: reads and writes rows, changes no schema, and not the books of the migrations
-- service_reader looks, for DBAs: reads everything, writes nothing, sees what others run
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

-- Whoever runs this acts for the owner below.
grant service_owner to current_user;

-- The database, whatever its name is. Nobody else may connect, or make temporary tables.
do $$
begin
    execute format('alter database %I owner to service_owner', current_database());
    execute format('revoke all on database %I from public', current_database());
    execute format('grant connect on database %I to service_app, service_reader', current_database());
end $$;

-- Before PostgreSQL 15, everybody could make tables in public.
grant usage on schema public to service_app, service_reader;
grant create, usage on schema public to service_owner;
revoke create on schema public from public;

-- What the owner's migrations will make. Functions may be called by everybody, and run as who calls them; identity
-- columns need no privilege on their sequences.
alter default privileges for role service_owner in schema public
grant select, insert, update, delete on tables to service_app;
alter default privileges for role service_owner in schema public
grant select on tables to service_reader;

-- Timeouts, and the plans that were reviewed: for connections that bring no settings (those through PgBouncer cannot).
alter role service_app set plan_cache_mode = 'force_generic_plan';
alter role service_app set statement_timeout = '2s';
alter role service_app set lock_timeout = '1500ms'; -- more than deadlock_timeout
alter role service_app set idle_in_transaction_session_timeout = '10s';
alter role service_reader set default_transaction_read_only = on;
alter role service_reader set statement_timeout = '1min';
alter role service_reader set lock_timeout = '1s';
alter role service_reader set idle_in_transaction_session_timeout = '1min';
-- A table waits for its lock no longer, and all others behind it; `migrate` has limits of its own.
alter role service_owner set lock_timeout = '3s';
alter role service_owner set idle_in_transaction_session_timeout = '5min';

-- Statistics and statements of all roles: pg_stat_activity, pg_stat_statements.
do $$
begin
    grant pg_monitor to service_reader;
exception when insufficient_privilege then
    raise warning 'service_reader sees statements of its own only: let a superuser grant pg_monitor to service_reader';
end $$;
