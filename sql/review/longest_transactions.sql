-- Open transactions, oldest first. An old one holds its locks, and keeps vacuum from removing rows deleted since.
-- To end one: select pg_terminate_backend(pid);
select /* review.longest_transactions */
    pid,
    usename as role,
    application_name as application,
    date_trunc('milliseconds', now() - xact_start) as age,
    date_trunc('milliseconds', now() - state_change) as in_state_for,
    state,
    wait_event_type as waits_for,
    substring(query from '(?:^-- |/\* )([a-z_0-9]+\.[a-z_0-9]+)(?:: | \*/)') as name,
    left(regexp_replace(query, '\s+', ' ', 'g'), 100) as statement
from pg_stat_activity
where datname = current_database() and xact_start is not null and pid <> pg_backend_pid()
order by xact_start;
