-- Cost of each SQL file, most expensive first: `name` is the file, review.statements for sql/review/statements.sql.
-- Statements without a name come from elsewhere. Times are in milliseconds, since pg_stat_statements_reset().
-- Requires shared_preload_libraries = 'pg_stat_statements' and, once per database: create extension pg_stat_statements
select /* review.statements */
    substring(query from '/\* ([a-z_0-9]+\.[a-z_0-9]+) \*/') as name,
    sum(calls) as calls,
    sum(rows) as rows,
    round(sum(total_exec_time)::numeric, 1) as total_ms,
    round((sum(total_exec_time) / sum(calls))::numeric, 3) as mean_ms,
    round(max(max_exec_time)::numeric, 1) as max_ms,
    round(sum(shared_blks_hit + shared_blks_read) / sum(calls), 1) as blocks_a_call,
    round(100.0 * sum(shared_blks_hit) / nullif(sum(shared_blks_hit + shared_blks_read), 0), 1) as percent_cached,
    sum(temp_blks_written) as blocks_spilled,
    pg_size_pretty(sum(wal_bytes)) as wal
from pg_stat_statements
where
    dbid = (
        select database.oid from pg_database as database
        where database.datname = current_database()
    )
group by name
order by total_ms desc;
