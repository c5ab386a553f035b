-- system.clean_login_throttle: deletes a batch of expired counts of failed log-ins
-- $1 most bigint  batch size, small enough not to delay other statements
-- returns: count  (fewer than $1: no more are left)
delete /* system.clean_login_throttle */ from login_throttle
where ctid in (
    select ctid
    from login_throttle
    where ends_at <= now()
    order by ends_at
    limit $1
    for update skip locked
);
