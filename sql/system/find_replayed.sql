-- system.find_replayed: up to where a standby has replayed its primary's log, and the history that this is of
-- returns: maybe Position  (none: this server is no standby)
-- not null: history, position (a standby that answers has replayed something)
-- The timeline is that of the last restartpoint, or of the pages written since: it may be told late, never early.
select /* system.find_replayed */
    control.system_identifier || '/'
    || upper(lpad(to_hex(greatest(restartpoint.timeline_id, recovery.min_recovery_end_timeline)), 8, '0'))
    || '/' || current_database() as history,
    (pg_last_wal_replay_lsn() - '0/0')::bigint as position
from pg_control_system() as control
cross join pg_control_checkpoint() as restartpoint
cross join pg_control_recovery() as recovery
where pg_is_in_recovery();
