-- auth.list_my_sessions: where the caller is logged in, the latest used first
-- $1 session uuid  the caller's login session
-- $2 user    uuid  the caller
-- returns: many LoginSession  (none: the session has ended)
-- replica: ok
select /* auth.list_my_sessions */
    login_session.id,
    login_session.created_at,
    login_session.last_used_at,
    login_session.expires_at,
    login_session.user_agent,
    host(login_session.ip) as ip,
    login_session.id = $1 as current
from live_session as caller
inner join login_session on login_session.user_id = caller.user_id
where
    caller.session_id = $1 and caller.user_id = $2
    and login_session.ended_at is null and login_session.expires_at > now()
order by login_session.last_used_at desc, login_session.id asc;
