-- Blocked processes, longest wait first, with one line for each process that blocks them.
-- `its_statement` is the blocker's last statement: if it is idle in transaction, an earlier one may hold the lock.
select /* review.lock_waits */
    date_trunc('milliseconds', clock_timestamp() - lock.waitstart) as waits_for,
    lock.relation::regclass as on_table,
    lock.mode as wants,
    waiting.pid,
    substring(waiting.query from '(?:^-- |/\* )([a-z_0-9]+\.[a-z_0-9]+)(?:: | \*/)') as name,
    left(regexp_replace(waiting.query, '\s+', ' ', 'g'), 60) as statement,
    blocking.pid as blocked_by,
    blocking.usename as blocked_by_role,
    blocking.state as which_is,
    date_trunc('milliseconds', now() - blocking.xact_start) as since,
    left(regexp_replace(blocking.query, '\s+', ' ', 'g'), 60) as its_statement
from pg_locks as lock
inner join pg_stat_activity as waiting on waiting.pid = lock.pid
cross join unnest(pg_blocking_pids(lock.pid)) as blocker (pid)
inner join pg_stat_activity as blocking on blocking.pid = blocker.pid
where not lock.granted and waiting.datname = current_database()
order by lock.waitstart, waiting.pid, blocking.pid;
