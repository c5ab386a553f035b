-- auth.rotate_session: spends a refresh token, or ends its session if the token had been spent before
-- $1 id         uuid     the token's session
-- $2 generation integer  the token's generation
-- returns: maybe RotatedSession  (none: the session is over)
-- A token is good while its generation is the session's. The one before it is answered for 10 seconds with the
-- same successor, for a client whose answer was lost on the way. Any older one was stolen, here or there:
-- the session ends, and the answer tells of it by `ended`.
update /* auth.rotate_session */ login_session
set
    generation = case when generation = $2 then generation + 1 else generation end,
    last_used_at = case when generation = $2 then now() else last_used_at end,
    ended_at = case
        when generation = $2 then null
        when generation = $2 + 1 and last_used_at > now() - interval '10 seconds' then null
        else now()
    end
where id = $1 and ended_at is null and expires_at > now()
returning id, user_id, generation, last_used_at, expires_at, ended_at is not null as ended;
