-- auth.list_my_sessions: lists the caller's sessions, most recently used first
-- $1 session uuid     the caller's login session
-- $2 user    uuid     the caller
-- $3 most    integer  number of sessions: the current one and the newest others
-- returns: many LoginSession  (no row: the session has ended)
-- replica: ok
with /* auth.list_my_sessions */ newest as (
    select s.id
    from login_session as s
    where s.user_id = $2 and s.id <> $1 and s.ended_at is null and s.expires_at > now()
    order by s.created_at desc
    limit $3 - 1
),

wanted as (
    select id from newest
    union
    select $1
)

select
    login_session.id,
    login_session.created_at,
    login_session.last_used_at,
    login_session.expires_at,
    login_session.user_agent,
    host(login_session.ip) as ip,
    login_session.id = $1 as current
from live_session as caller
inner join live_session as live on live.user_id = caller.user_id
inner join login_session on login_session.user_id = live.user_id and login_session.id = live.session_id
where
    caller.session_id = $1 and caller.user_id = $2
    and live.session_id in (select wanted.id from wanted)
order by login_session.last_used_at desc, login_session.id asc;
