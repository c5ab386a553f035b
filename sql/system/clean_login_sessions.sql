-- system.clean_login_sessions: deletes 1,000 sessions that expired more than 30 days ago
-- returns: count  (0: no more are left)
-- one-shard: ok runs once a day
-- A constant limit, because PostgreSQL's plan for an unknown one would read the whole table for each batch.
-- Not before expires_at, even if the session ended earlier: until then, this row reveals the reuse of a stolen token.
-- 30 days later, because logged_in_before() recognizes the networks of an account's owner by these rows.
delete /* system.clean_login_sessions */ from login_session
where (user_id, id) in (
    select user_id, id
    from login_session
    where expires_at <= now() - interval '30 days'
    order by expires_at
    limit 1000
);
