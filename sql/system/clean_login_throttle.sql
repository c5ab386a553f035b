-- system.clean_login_throttle: removes counts of failed log-ins that are over, some at a time
-- $1 most bigint  how many at most: few enough not to hold up others
-- returns: count  (fewer than $1: there are no more)
delete /* system.clean_login_throttle */ from login_throttle
where ctid in (
    select ctid
    from login_throttle
    where ends_at <= now()
    order by ends_at
    limit $1
    for update skip locked
);
