-- system.clean_login_sessions: removes sessions that ended long ago, some at a time
-- $1 most bigint  how many at most: few enough not to hold up others
-- returns: count  (fewer than $1: there are no more)
-- one-shard: ok once a day
-- Only by expires_at, even if the session was ended earlier: until then its tokens are good or recognised as stolen.
-- And 30 days later, because logged_in_before() knows by these rows where an owner is at home.
delete /* system.clean_login_sessions */ from login_session
where (user_id, id) in (
    select user_id, id
    from login_session
    where expires_at <= now() - interval '30 days'
    order by expires_at
    limit $1
);
