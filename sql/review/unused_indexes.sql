-- Indexes that no statement has used since `counted_since`, largest first. Each slows down every write.
-- Unique indexes are left out, because they enforce constraints. Check the replicas too: each keeps its own counts.
select /* review.unused_indexes */
    usage.relname as on_table,
    usage.indexrelname as index,
    pg_size_pretty(pg_relation_size(usage.indexrelid)) as size,
    tables.n_tup_ins + tables.n_tup_upd - tables.n_tup_hot_upd as writes,
    database.stats_reset as counted_since
from pg_stat_user_indexes as usage
inner join pg_stat_user_tables as tables on tables.relid = usage.relid
inner join pg_index on pg_index.indexrelid = usage.indexrelid
inner join pg_stat_database as database on database.datname = current_database()
where usage.idx_scan = 0 and not pg_index.indisunique
order by pg_relation_size(usage.indexrelid) desc, usage.indexrelname asc;
