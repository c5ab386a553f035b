-- auth.rotate_session: rotates a refresh token, or ends its session if the token is reused
-- $1 id         uuid     the token's session
-- $2 user_id    uuid     the token's user
-- $3 generation integer  the token's generation
-- returns: maybe RotatedSession  (no row: the session has ended)
-- A token is valid while its generation is the session's. The previous one gets the same successor for 10 seconds,
-- because a response can be lost in transit. Any other reuse means that a token was stolen: the session ends, and
-- `ended` is true.
-- `clock`, because Citus refuses now() within CASE. The conditions of live_session are repeated, because PostgreSQL
-- checks only those of login_session again after it has waited for the row: otherwise a session could revive.
with /* auth.rotate_session */ clock as materialized (
    select now() as now
)

update login_session
set
    generation = case when generation = $3 then generation + 1 else generation end,
    last_used_at = case when generation = $3 then clock.now else last_used_at end,
    ended_at = case
        when generation = $3 then null
        when generation = $3 + 1 and clock.now - last_used_at < interval '10 seconds' then null
        else clock.now
    end
from clock
inner join live_session as live on live.session_id = $1 and live.user_id = $2
where login_session.user_id = $2 and id = $1 and ended_at is null and expires_at > now()
returning id, login_session.user_id, generation, last_used_at, expires_at, ended_at is not null as ended;
