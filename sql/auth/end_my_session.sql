-- auth.end_my_session: ends one of the caller's sessions
-- $1 session uuid  the caller's login session
-- $2 user    uuid  the caller
-- $3 id      uuid  the session to end; can be the caller's current one
-- returns: maybe EndedSession  (no row: the caller's session has ended; a null id: the caller has no such session)
with /* auth.end_my_session */ caller as (
    select user_id from live_session
    where session_id = $1 and user_id = $2
),

ended as (
    update login_session set ended_at = now()
    from caller
    where
        login_session.user_id = $2 and login_session.id = $3
        and login_session.ended_at is null and login_session.expires_at > now()
    returning login_session.id
)

select ended.id
from caller
left join ended on true;
