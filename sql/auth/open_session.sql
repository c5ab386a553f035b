-- auth.open_session: opens a login session, unless the password was changed since it was checked
-- $1 user_id         uuid      the user whose password was right
-- $2 hashed_password text      the hash that it was checked against
-- $3 lifetime        interval  lifetime of the session
-- $4 user_agent      text?     cut to 255 characters
-- $5 ip              inet?     where the log-in came from
-- $6 network         cidr?     its network, whose wrong passwords are forgotten; null: none were counted
-- returns: maybe Session  (none: the password was changed, the account is gone, or too many passwords were tried)
-- The row lock waits for a password reset that is under way, and holds the next one off until the session exists.
-- Not `for share`: of two log-ins that share a lock on Citus's reference table, one fails in a deadlock.
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
