-- system.find_replayed: finds the WAL position up to which a replica has replayed, and its history
-- returns: maybe Position  (no row: this server is not a replica)
-- not null: history, position (a replica that accepts connections has replayed something)
-- The timeline is that of the last restartpoint or of the pages written since: it can lag, but is never ahead.
select /* system.find_replayed */
    control.system_identifier || '/'
    || upper(lpad(to_hex(greatest(restartpoint.timeline_id, recovery.min_recovery_end_timeline)), 8, '0'))
    || '/' || current_database() as history,
    (pg_last_wal_replay_lsn() - '0/0')::bigint as position
from pg_control_system() as control
cross join pg_control_checkpoint() as restartpoint
cross join pg_control_recovery() as recovery
where pg_is_in_recovery();
