comment on function live_session(uuid) is 'The session and its user while it is live; no row once it has ended.';
comment on function still_live(uuid) is 'Whether the session is live even now, after the statement has waited for a lock.';
comment on function end_other_sessions(uuid, uuid) is 'Ends every live session of a user but the one given.';
