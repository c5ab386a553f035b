-- auth.open_session: opens a login session, unless the password has changed since it was checked
-- $1 user_id         uuid      the user logging in
-- $2 hashed_password text      the hash that the password was checked against
-- $3 lifetime        interval  lifetime of the session
-- $4 user_agent      text?     the client's User-Agent, cut to 255 characters
-- $5 ip              inet?     the client's address
-- $6 network         cidr?     the client's network, whose failed log-ins are cleared; null: they are not counted
-- returns: maybe Session  (no row: the password has changed, the account is gone, or further attempts must wait)
-- The row lock waits for a concurrent password reset, and makes the next one wait until the session exists.
-- Not `for share`: on a Citus reference table, one of two concurrent log-ins would fail with a deadlock.
with /* auth.open_session */ account as materialized (
    select
        id,
        coalesce(email_key, email) as email_key,
        login_wait(coalesce(email_key, email), $6) is not null as must_wait
    from user_model
    where id = $1 and hashed_password = $2
    for no key update
),

allowed as materialized (
    select id, forget_login_failures(email_key, $6) as forgotten
    from account
    where not must_wait
)

insert into login_session (user_id, expires_at, user_agent, ip)
select id, now() + $3, left($4, 255), $5
from allowed
returning id, user_id, generation, last_used_at, expires_at;
