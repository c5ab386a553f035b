-- system.clean_login_sessions: removes sessions that ended long ago, some at a time
-- $1 most bigint  how many at most: few enough not to hold up others
-- returns: count  (fewer than $1: there are no more)
-- Only by expires_at, an ended session too: until then its tokens are good or shown as stolen. And 30 days longer,
-- because logged_in_before() knows by them where an owner is at home.
delete /* system.clean_login_sessions */ from login_session
where ctid in (
    select ctid
    from login_session
    where expires_at <= now() - interval '30 days'
    order by expires_at
    limit $1
    for update skip locked
);
