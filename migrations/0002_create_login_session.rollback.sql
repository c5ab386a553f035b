drop function end_other_sessions(uuid, uuid);
drop function still_live(uuid);
drop function live_session(uuid);
drop table login_session;
