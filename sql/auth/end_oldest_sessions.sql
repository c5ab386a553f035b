-- auth.end_oldest_sessions: ends the oldest sessions of an account that has too many
-- $1 user_id uuid    the account
-- $2 most    bigint  number of sessions to keep
-- returns: count
-- It reads only the 2,000 newest sessions, so its run time is bounded.
with /* auth.end_oldest_sessions */ newest as (
    select id, created_at, expires_at
    from login_session
    where user_id = $1 and ended_at is null
    order by created_at desc
    limit 2000
),

oldest as (
    select id
    from newest
    where expires_at > now()
    order by created_at desc
    offset $2
)

update login_session set ended_at = now()
where user_id = $1 and id = any(array(select oldest.id from oldest)) and ended_at is null;
