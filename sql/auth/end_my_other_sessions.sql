-- auth.end_my_other_sessions: ends every session of the caller but the current one
-- $1 session uuid  the caller's login session
-- returns: one Caller  (none: the session has ended)
select /* auth.end_my_other_sessions */ caller.session_id as session, caller.user_id as user
from live_session($1) as caller
inner join end_other_sessions(caller.user_id, $1) on true;
