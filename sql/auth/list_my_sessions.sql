-- auth.list_my_sessions: lists the caller's sessions, most recently used first
-- $1 session uuid     the caller's login session
-- $2 user    uuid     the caller
-- $3 most    integer  number of sessions: the current one and the newest others
-- returns: many LoginSession  (no row: the session has ended)
-- replica: ok
-- cardinality: ok the current session is one of them
with /* auth.list_my_sessions */ newest as (
    select s.id
    from login_session as s
    where s.user_id = $2 and s.id <> $1 and s.ended_at is null and s.expires_at > now()
    order by s.created_at desc
    limit $3 - 1
),

live as materialized (
    select session_id
    from live_session
    where user_id = $2 and session_id = any(array(select newest.id from newest) || $1)
)

select
    id,
    created_at,
    last_used_at,
    expires_at,
    user_agent,
    host(ip) as ip,
    id = $1 as current
from login_session
where
    user_id = $2 and id = any(array(select live.session_id from live))
    and $1 in (select live.session_id from live)
order by last_used_at desc, id asc;
