-- system.find_position: finds the WAL position by which every confirmed commit is written, and its history
-- returns: maybe Position  (no row: this server is not a primary)
-- not null: history, position (a primary has both)
-- With synchronous_commit = off, commits are confirmed before they are flushed.
select /* system.find_position */
    system_identifier || '/' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8) || '/' || current_database()
        as history,
    (
        case
            when current_setting('synchronous_commit') = 'off' then pg_current_wal_insert_lsn()
            else pg_current_wal_flush_lsn()
        end - '0/0'
    )::bigint as position
from pg_control_system()
where not pg_is_in_recovery();
