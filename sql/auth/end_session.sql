-- auth.end_session: ends the session of a refresh token
-- $1 id      uuid  the token's session
-- $2 user_id uuid  the token's user
-- returns: count  (0: the session had already ended)
update /* auth.end_session */ login_session set ended_at = now()
where user_id = $2 and id = $1 and ended_at is null and expires_at > now();
