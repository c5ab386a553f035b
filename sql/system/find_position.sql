-- system.find_position: up to where the primary's log holds what somebody was told, and the history that this is of
-- returns: maybe Position  (none: this server is no primary)
-- not null: history, position (a server that takes writes has both)
-- With synchronous_commit = off, somebody was told before it was flushed.
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
