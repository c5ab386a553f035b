-- auth.end_my_other_sessions: ends every session of the caller but the current one
-- $1 session uuid  the caller's login session
-- $2 user    uuid  the caller
-- returns: one Caller  (none: the session has ended)
with /* auth.end_my_other_sessions */ caller as (
    select session_id, user_id from live_session
    where session_id = $1 and user_id = $2
),

ended as (
    update login_session set ended_at = now()
    from caller
    where
        login_session.user_id = $2 and login_session.id <> $1
        and login_session.ended_at is null and login_session.expires_at > now()
)

select session_id as session, user_id as user
from caller;
