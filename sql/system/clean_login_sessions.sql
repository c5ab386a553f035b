-- system.clean_login_sessions: deletes a batch of sessions that expired more than 30 days ago
-- $1 most bigint  batch size, small enough not to delay other statements
-- returns: count  (fewer than $1: no more are left)
-- one-shard: ok runs once a day
-- By expires_at even if the session ended earlier: until then, a stolen token of it is recognized by this row.
-- 30 days later, because logged_in_before() recognizes the networks of an account's owner by these rows.
delete /* system.clean_login_sessions */ from login_session
where (user_id, id) in (
    select user_id, id
    from login_session
    where expires_at <= now() - interval '30 days'
    order by expires_at
    limit $1
);
