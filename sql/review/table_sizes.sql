-- Tables, largest first: size of rows, indexes and long values; number of dead rows; last vacuum and analyze.
select /* review.table_sizes */
    relname as name,
    pg_size_pretty(pg_total_relation_size(relid)) as total,
    pg_size_pretty(pg_relation_size(relid)) as rows_alone,
    pg_size_pretty(pg_indexes_size(relid)) as indexes,
    pg_size_pretty(pg_table_size(relid) - pg_relation_size(relid)) as toast_and_maps,
    n_live_tup as live_rows,
    n_dead_tup as dead_rows,
    greatest(last_vacuum, last_autovacuum) as vacuumed_at,
    greatest(last_analyze, last_autoanalyze) as analyzed_at
from pg_stat_user_tables
order by pg_total_relation_size(relid) desc, relname asc;
