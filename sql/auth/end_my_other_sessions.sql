-- auth.end_my_other_sessions: ends all of the caller's sessions except the current one
-- $1 session uuid  the caller's login session
-- $2 user    uuid  the caller
-- returns: one Caller  (no row: the session has ended)
-- If two sessions end each other at once, the second waits for the lock on the account, then finds its own row ended.
-- The 1,000 newest sessions are marked as ended; a row in session_cutoff ends all older ones.
with /* auth.end_my_other_sessions */ account as materialized (
    select user_model.id
    from live_session as caller
    inner join user_model on user_model.id = caller.user_id
    where caller.session_id = $1 and caller.user_id = $2
    for no key update of user_model
),

newest as (
    select id
    from login_session
    where user_id = $2 and ended_at is null and expires_at > now()
    order by created_at desc
    limit 1000
),

live as materialized (
    select id
    from login_session
    where
        user_id = $2 and id = any(array(select newest.id from newest) || $1)
        and ended_at is null and expires_at > now()
        and exists (select from account)
    order by created_at desc, id asc
    for no key update
),

caller as (
    select id from live
    where id = $1
),

ended as (
    update login_session set ended_at = now()
    where user_id = $2 and id = any(array(select live.id from live)) and id <> $1 and exists (select from caller)
),

older as (
    insert into session_cutoff (user_id, created_before, kept_session)
    select $2, now(), caller.id
    from caller
    where (select count(*) from newest) = 1000
    on conflict (user_id) do update set
        created_before = excluded.created_before, kept_session = excluded.kept_session
)

select caller.id as session, $2 as user
from caller;
